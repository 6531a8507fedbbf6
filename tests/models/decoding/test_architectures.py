"""The table of architectures: it is complete, the documents show it, the code follows it, and it is true of a dozen."""

from __future__ import annotations

import architecture_checkpoints
import architecture_checks
import architecture_table
import checkpoints
import pytest
import vision_checkpoints
import vision_reference
from model_requests import answers

from evals import Choose, Generate, InputError, run
from evals.models.decoding.batching import batch_rules
from evals.models.decoding.batching.rotary import reset_rotary
from evals.models.families import causal, classifier, encoder, vision_language
from evals.schema import Classify, Embed, Placement

CPU = Placement("cpu")
DOZEN = (
    "rwkv", "recurrent_gemma", "mamba", "mistral", "gemma2", "gemma3_text", "qwen3", "gpt2", "opt", "llama", "bloom",
    "falcon", "jamba", "qwen3_next", "bert", "bart", "axk2",
)  # fmt: skip
ENCODER_DECODERS = ("t5", "bart")
LONGROPE = {
    "rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 16,
                        "long_factor": [4.0] * 4, "short_factor": [1.0] * 4},
    "original_max_position_embeddings": 16,
}  # fmt: skip
TEXTS = ("red", "What color?", "How many squares are there? " * 3)


def table():
    return batch_rules.read_table()


# The table


def test_the_table_has_every_architecture_of_the_installed_library():
    from transformers.models.auto import modeling_auto

    assert set(table().decoders) >= set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert set(table().encoder_decoders) >= set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
    assert set(table().ropes) >= set(architecture_checks.ROPES)


def test_every_row_that_does_not_run_in_batches_says_why():
    rows = [row for section in ("decoders", "encoder_decoders", "ropes") for row in getattr(table(), section).values()]
    assert all(row.reason for row in rows if row.runs != "in batches")
    assert all(row.reason in {"", architecture_checks.CACHED} for row in rows if row.runs == "in batches")


def test_the_documents_show_the_table():
    assert architecture_table.PAGE.read_text(encoding="utf-8") == architecture_table.page(table())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "name"),
    [
        *(("decoders", name) for name in DOZEN),
        *(("encoder_decoders", name) for name in ENCODER_DECODERS),
        ("ropes", "longrope"), ("ropes", "dynamic"), ("ropes", "yarn"), ("ropes", "linear"),
    ],
)  # fmt: skip
def test_a_row_of_the_table_is_what_the_comparison_gives(section, name):
    row = architecture_checks.check(section, name)
    expected = getattr(table(), section)[name]
    assert (row.runs, row.requires, row.padding) == (expected.runs, expected.requires, expected.padding)


@pytest.mark.slow
def test_the_comparison_notices_batch_mates_and_later_tokens(tmp_path):
    architecture_checkpoints.save(tmp_path / "a", "decoders", "rwkv")
    assert architecture_checks.compare(tmp_path / "a").runs == "row by row"
    architecture_checkpoints.save(tmp_path / "b", "decoders", "bert")
    assert architecture_checks.compare(tmp_path / "b").reason == architecture_checks.LATER_TOKENS


# The rules


def test_an_unknown_architecture_is_read_row_by_row_and_the_rule_says_so(monkeypatch):
    config = architecture_checkpoints.config_of("llama")
    assert str(batch_rules.batch_rule(config)) == "in batches"
    monkeypatch.setattr(type(config), "model_type", "llama_of_tomorrow")
    rule = batch_rules.batch_rule(config)
    assert rule.runs == "row by row"
    assert rule.reason.startswith("llama_of_tomorrow is not in the table of architectures")


@pytest.mark.parametrize(
    ("rotary", "runs"),
    [
        ({"rope_type": "yarn", "factor": 2.0}, "in batches"),
        ({"rope_type": "dynamic", "factor": 2.0}, "row by row"),
        ({"full_attention": {"rope_type": "dynamic"}, "sliding_attention": {"rope_type": "default"}}, "row by row"),
        ({"rope_type": "of tomorrow"}, "row by row"),
    ],
)
def test_the_scaling_of_rotary_embeddings_decides_too(rotary, runs):
    config = architecture_checkpoints.config_of("llama")
    config.rope_parameters = rotary
    assert batch_rules.batch_rule(config).runs == runs
    assert batch_rules.encoding_rule(config).runs == runs


def test_an_encoder_is_refused_as_a_language_model_and_read_as_a_decoder(tmp_path):
    refused, decoder = tmp_path / "refused", tmp_path / "decoder"
    architecture_checkpoints.save(refused, "decoders", "bert")
    with pytest.raises(InputError, match=r"is_decoder is false in its config\.json: its attention reads later tokens"):
        causal.load("tiny", str(refused), CPU)
    architecture_checkpoints.save(decoder, "decoders", "bert", is_decoder=True)
    assert causal.load("tiny", str(decoder), CPU).facts["batching"] == "in batches"


def test_a_row_by_row_architecture_shares_no_prefixes(tmp_path):
    architecture_checkpoints.save(tmp_path, "decoders", "llama")
    assert causal.load("tiny", str(tmp_path), CPU).facts["shares_prefixes"]
    facts = architecture_checks.load(tmp_path, "row by row").facts
    assert (facts["shares_prefixes"], facts["batching"]) == (False, "row by row: forced")


# Around the length at which the factors of `longrope` change


@pytest.mark.slow
@pytest.mark.parametrize("scaling", ["longrope", "dynamic"])
def test_prompts_around_the_switch_are_those_of_the_library(scaling, tmp_path):
    import torch

    kind, parameters = architecture_checks.ROPES[scaling]
    rotary = {"rope_parameters": {"rope_type": scaling, "rope_theta": 1e4, **parameters}}
    architecture_checkpoints.save(
        tmp_path, "decoders", kind, **rotary, **architecture_checks.ROPE_FIELDS.get(scaling, {})
    )
    model = causal.load("tiny", str(tmp_path), CPU)
    lengths = range(architecture_checks.SWITCH - 6, architecture_checks.SWITCH + 4)
    choices = [Choose(f"c{n}", (" red" * n,), (" red", " left and right")) for n in lengths]
    texts = [Generate(f"g{n}", (" red" * n,), 6) for n in lengths]
    scored, generated = answers(model, choices, 100_000), answers(model, texts, 100_000)
    for choice, text in zip(choices, texts, strict=True):
        expected = architecture_checks.plain_scores(model.model, model.prepare(choice))
        assert scored[choice.id].scores == pytest.approx(expected, abs=1e-4)
        reset_rotary(model.model)
        ids = torch.tensor([model.prepare(text).tokens])
        output = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, pad_token_id=2,
            eos_token_id=model.facts["end_ids"],
        )  # fmt: skip
        assert generated[text.id].output == model.reader.text(output[0, ids.shape[1] :].tolist())


@pytest.mark.parametrize("scaling", ["longrope", "dynamic"])
def test_a_longer_text_before_changes_nothing(scaling, tmp_path):
    kind, parameters = architecture_checks.ROPES[scaling]
    rotary = {"rope_parameters": {"rope_type": scaling, "rope_theta": 1e4, **parameters}}
    architecture_checkpoints.save(
        tmp_path, "decoders", kind, **rotary, **architecture_checks.ROPE_FIELDS.get(scaling, {})
    )
    model = causal.load("tiny", str(tmp_path), CPU)
    for length in (architecture_checks.SWITCH - 4, architecture_checks.SWITCH + 4):
        short, long = (Choose(str(n), (" red" * n,), (" red", " left")) for n in (length, 40))
        before = answers(model, [short], 1)
        answers(model, [long], 1)
        assert answers(model, [short], 1) == before


# Other families


@pytest.mark.slow
def test_the_language_model_of_a_vision_language_model_decides(tmp_path, monkeypatch):
    phi = {**checkpoints.text_config(model_type="phi3"), **LONGROPE}
    phi["rope_parameters"] = {**LONGROPE["rope_parameters"], "long_factor": [4.0] * 6, "short_factor": [1.0] * 6}
    monkeypatch.setattr(vision_checkpoints, "text", lambda: phi)
    with vision_checkpoints.images_only():
        vision_checkpoints.llava(tmp_path)
        model = vision_language.load("tiny", str(tmp_path), CPU)
        requests = vision_reference.requests()
        alone = vision_reference.library_outputs(tmp_path, requests)
        outputs = [vision_reference.outputs(model, requests, budget) for budget in (1, 300, 100_000)]
    assert outputs == [alone] * 3
    assert model.facts["batching"].startswith("row by row: ")
    assert not model.facts["shares_prefixes"]


@pytest.mark.slow
def test_an_encoder_decoder_that_must_be_read_row_by_row_is(tmp_path):
    architecture_checkpoints.save(tmp_path, "encoder_decoders", "t5")
    batched, single = causal.load("tiny", str(tmp_path), CPU), architecture_checks.load(tmp_path, "row by row")
    for requests in architecture_checks.requests():
        expected, outputs = answers(batched, requests, 1), answers(single, requests, 100_000)
        for id, prediction in outputs.items():
            assert prediction.output == expected[id].output
            assert prediction.scores == pytest.approx(expected[id].scores, abs=1e-4)
            assert prediction.computed_tokens == prediction.useful_tokens, "a row alone has no padding"


@pytest.mark.slow
def test_classifiers_and_encoders_follow_the_scaling_of_rotary_embeddings(tmp_path):
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    config = architecture_checkpoints.config_of("phi3", **LONGROPE, num_labels=2)
    torch.manual_seed(0)
    for name, auto in (("classifier", AutoModelForSequenceClassification), ("encoder", AutoModel)):
        architecture_checkpoints.randomise(auto.from_config(config)).save_pretrained(tmp_path / name)
        checkpoints.tokenizer(tmp_path / name).save_pretrained(tmp_path / name)
    classes = classifier.load("tiny", str(tmp_path / "classifier"), CPU)
    asked = [Classify(text, (text,), ("LABEL_0", "LABEL_1")) for text in TEXTS]
    alone, together = answers(classes, asked, 1), answers(classes, asked, 100_000)
    assert all(together[id].scores == pytest.approx(alone[id].scores, abs=1e-6) for id in TEXTS)
    vectors = encoder.load("tiny", str(tmp_path / "encoder"), CPU)
    embedded = [Embed(text, (text,)) for text in TEXTS]
    assert answers(vectors, embedded, 1) == answers(vectors, embedded, 100_000)
    assert classes.facts["batching"] == vectors.facts["batching"] != "in batches"


# The cases of strangers


@pytest.fixture
def cases(shared_data):
    folder = shared_data.parent / "cases" / "checkpoints"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("model", ["08-padding-without-mask/rwkv", "08-padding-without-mask/phi3_longrope",
                                   "07-sep-after-prompt/m8-sep"])  # fmt: skip
def test_the_scores_of_a_run_are_those_of_plain_forward_passes(cases, model, tmp_path):
    """The reference reads what the run recorded as read, one continuation at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = cases / model
    record = run(str(folder), "glue/rte", data=folder.parent / "data4", device="cpu", out=tmp_path / "run")
    reference = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = list(record.samples())
    assert len(rows) > 3
    for row in rows:
        (read,) = row.inputs
        text = tokenizer(row.prompt, add_special_tokens=False)["input_ids"]
        assert list(read.tokens) == [*([1] if model.endswith("m8-sep") else []), *text], (
            "<s> before it, no </s> after it"
        )
        scores = []
        for continuation in read.continuations:
            new = list(continuation.tokens)
            whole = torch.tensor([[*read.tokens, *new[:-1]]])
            with torch.inference_mode():
                logits = reference(input_ids=whole, use_cache=False).logits[0, -len(new) :]
            scores.append(float(logits.log_softmax(-1)[range(len(new)), new].sum()))
        assert list(row.scores[0]) == pytest.approx(scores, abs=1e-4)
    assert (record.manifest.model["batching"] == "in batches") == model.endswith("m8-sep")
