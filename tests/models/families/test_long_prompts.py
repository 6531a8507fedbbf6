"""Prompts that need more positions than a model has: recorded failures that name both lengths, or shortened."""

from __future__ import annotations

import json

import checkpoints
import pytest
from glue_folders import official

import evals
from evals import Choose, Generate
from evals.errors import LongPromptError, SampleError
from evals.models.backend.prompts.prompt_limits import prompt_limits
from evals.models.families import causal
from evals.records.types import ProbeEntry
from evals.schema import Embed, Placement

LONG = "What color is the large circle? " * 40
POSITIONS = 64


def folder_of(tmp_path, kind, **changes):
    """A decoder or encoder-decoder of a kind with 64 positions."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    sizes = {
        "gpt2": {"n_positions": POSITIONS, "n_embd": 32, "n_layer": 2, "n_head": 4},
        "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32, "num_hidden_layers": 2},
        "bart": {
            "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
            "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "decoder_start_token_id": 2,
        },
    }  # fmt: skip
    common = {"vocab_size": 400, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    if kind != "gpt2":
        common |= {"max_position_embeddings": POSITIONS, "hidden_size": 32, "num_attention_heads": 4}
    shape = {"num_key_value_heads": 2, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
    config = AutoConfig.for_model(kind, **{**common, **sizes.get(kind, shape), **changes})
    torch.manual_seed(0)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    auto.from_config(config).save_pretrained(tmp_path)
    checkpoints.tokenizer(tmp_path).save_pretrained(tmp_path)
    return tmp_path


def load(folder, long_prompts=None):
    return causal.load("tiny", str(folder), Placement("cpu", long_prompts=long_prompts))


def answer(model, request):
    from model_requests import answers

    return answers(model, [request], 1000)[request.id]


@pytest.mark.parametrize("kind", ["gpt2", "opt", "llama", "bart"])
def test_a_long_prompt_is_refused_or_shortened(tmp_path, kind):
    folder = folder_of(tmp_path, kind)
    strict, lenient = load(folder), load(folder, "truncate-left")
    whole = strict.text_prompts.tokens(LONG)
    assert strict.facts["positions"] == POSITIONS
    for request, room in (
        (Generate("x", (LONG,), 16), POSITIONS - (0 if kind == "bart" else 16)),
        (Choose("x", (LONG,), (" red", " left and right")), None),
    ):
        with pytest.raises(LongPromptError, match=rf"{len(whole)}\b.*\b{POSITIONS}\b.*truncate-left"):
            strict.prepare(request)
        prompt = lenient.prepare(request)
        if room is None:
            longest = max(map(len, prompt.continuations))
            room = POSITIONS - (0 if kind == "bart" else longest - 1)
        assert tuple(prompt.tokens) == whole[-room:]
        assert prompt.removed == len(whole) - room
        prediction = answer(lenient, request)
        assert prediction.failure is None


@pytest.mark.parametrize("kind", ["gpt2", "opt", "llama", "bart"])
def test_the_last_position_is_used_and_none_beyond(tmp_path, kind):
    model = load(folder_of(tmp_path, kind))
    new = 0 if kind == "bart" else 4
    text = "a" * (POSITIONS - new)
    for length in (POSITIONS - new, POSITIONS - new + 1):
        text = next(LONG[:cut] for cut in range(len(LONG)) if len(model.text_prompts.tokens(LONG[:cut])) == length)
        request = Generate("x", (text,), 4)
        if length + new <= POSITIONS:
            assert answer(model, request).failure is None
        else:
            with pytest.raises(LongPromptError):
                model.prepare(request)


def test_new_tokens_beyond_the_decoders_positions_are_refused(tmp_path):
    model = load(folder_of(tmp_path, "bart"), "truncate-left")
    with pytest.raises(LongPromptError, match="65 new tokens; the model has 64"):
        model.prepare(Generate("x", ("What color?",), 65))


def test_whole_examples_are_left_out_before_tokens_are(tmp_path):
    model = load(folder_of(tmp_path, "llama"), "truncate-left")
    shots = tuple(f"How many squares are there? {n}\n" for n in range(8))
    for request in (
        Generate("x", ("Solve." + "".join(shots), "What color?"), 8, examples=shots),
        Choose("x", ("Solve.", *shots, "What color?"), (" red",), examples=shots),
    ):
        prompt = model.prepare(request)
        text = model.tokenizer.decode(prompt.tokens)
        kept = text.count("squares")
        assert 0 < kept < 8
        assert text == "Solve." + "".join(shots[8 - kept :]) + "What color?"
        one_more = model.text_prompts.tokens("Solve." + "".join(shots[7 - kept :]) + "What color?")
        assert len(one_more) + (8 if isinstance(request, Generate) else 0) > POSITIONS


def test_the_frame_of_a_chat_template_and_the_first_token_stay(tmp_path):
    from transformers import AutoTokenizer

    folder = folder_of(tmp_path, "llama")
    words = AutoTokenizer.from_pretrained(folder)
    words.chat_template = "{{ bos_token }}User: {{ messages[0]['content'] | trim }}\n\nAssistant:"
    words.save_pretrained(folder)
    prompt = load(folder, "truncate-left").prepare(Generate("x", (LONG,), 16))
    text = words.decode(prompt.tokens)
    assert len(prompt.tokens) == POSITIONS - 16
    assert text.startswith("<s>User:")
    assert text.endswith("large circle?\n\nAssistant:")


def test_a_prompt_that_no_shortening_fits_is_refused(tmp_path):
    with pytest.raises(LongPromptError, match="200 new tokens"):
        load(folder_of(tmp_path, "llama"), "truncate-left").prepare(Generate("x", (LONG,), 200))


@pytest.mark.parametrize(
    ("kind", "changes", "positions"),
    [
        ("llama", {}, 64),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}, 256),
        (
            "llama",
            {
                "rope_parameters": {
                    "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 1e4
                }
            },
            256,
        ),
        ("bloom", {"n_layer": 2, "n_head": 4}, None),
        ("falcon", {"alibi": True, "num_kv_heads": 2}, None),
        ("falcon", {"alibi": False, "num_kv_heads": 2}, 64),
        ("mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 48}, 48),
        ("mamba", {}, None),
        ("t5", {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 64}, None),
        ("roberta", {"is_decoder": True, "max_position_embeddings": 67}, 64),
    ],
)  # fmt: skip
def test_the_limit_is_that_of_the_architecture(tmp_path, kind, changes, positions):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    common = {
        "vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 2,
        "intermediate_size": 64, "decoder_start_token_id": 2,
    }  # fmt: skip
    limited = {} if kind in {"bloom", "mamba", "mpt", "t5"} else {"max_position_embeddings": POSITIONS}
    config = AutoConfig.for_model(kind, **{**common, **limited, **changes})
    with torch.device("meta"):
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = auto.from_config(config)
    assert prompt_limits(model, checkpoints.tokenizer(tmp_path), None).positions == positions


def test_an_encoder_refuses_or_cuts_on_the_left(tmp_path):
    from evals.models.families import encoder

    checkpoints.encoder(tmp_path)
    with pytest.raises(LongPromptError, match=r"\b\d{3} tokens is longer than the 64"):
        encoder.load("tiny", str(tmp_path), Placement("cpu")).prepare(Embed("x", (LONG,)))
    model = encoder.load("tiny", str(tmp_path), Placement("cpu", long_prompts="truncate-left"))
    prompt = model.prepare(Embed("x", (LONG,)))
    whole = model.tokenizer.tokenizer(LONG)["input_ids"]
    assert list(prompt.tokens) == [whole[0], *whole[-63:]]
    assert prompt.removed == len(whole) - 64


@pytest.mark.slow
def test_a_run_counts_long_prompts_and_says_so_first(tmp_path):
    folder = folder_of(tmp_path / "model", "gpt2")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text, "target": "x"}) + "\n" for text in ("Hi", LONG)))
    for policy, failed, words in (("fail", 2, "they failed"), ("truncate-left", 1, "shortened from the left")):
        record = evals.run(
            str(folder), "custom", data=str(rows), out=str(tmp_path / policy), device="cpu", long_prompts=policy
        )
        # `custom` asks for 64 new tokens, as many as the model has positions: no prompt fits beside them.
        assert record.result.long_prompts == record.result.failed == 2, (failed, words)
        first = next(
            line for line in (record.folder / "report.md").read_text().splitlines() if "scale" in line or "own" in line
        )
        assert "2 of 2 samples had a prompt longer than the model reads" in first


@pytest.mark.slow
def test_a_prompt_with_an_image_keeps_the_image(tmp_path):
    from model_requests import picture

    from evals import Image
    from evals.models.families import vision_language

    checkpoints.deepseek_vl(tmp_path)
    request = Generate("x", (Image("a", data=picture(1)), LONG * 3, "What color?"), 8)
    with pytest.raises(LongPromptError, match=r"the model has 512; --long-prompts"):
        vision_language.load("tiny", str(tmp_path), Placement("cpu")).prepare(request)
    model = vision_language.load("tiny", str(tmp_path), Placement("cpu", long_prompts="truncate-left"))
    prompt = model.prepare(request)
    assert sum(token < 0 for token in prompt.tokens) == 16
    assert 500 < len(prompt.tokens) <= 512 - 8
    assert model.processor.text([t for t in prompt.tokens if t >= 0]).endswith("circle? What color?\nAssistant:")
    assert answer(model, request).failure is None


@pytest.mark.parametrize(("rule", "left_out", "shortened"), [(None, 2, 0), ("truncate-left", 0, 2)])
def test_a_long_text_among_the_training_samples_of_a_probe_stops_nothing(tmp_path, rule, left_out, shortened):
    """It is not used, or it is shortened, and the report says how many there are."""
    data = official(tmp_path / "glue", 18)
    train = data / "SST-2" / "train.tsv"
    lines = train.read_text().splitlines()
    for number in (3, 8):
        index, _, label = lines[number].split("\t")
        lines[number] = f"{index}\t{'the large red circle ' * 200}\t{label}"
    train.write_text("\n".join(lines) + "\n")
    model = str(checkpoints.encoder(tmp_path / "bert", "bert"))
    options = {"method": "probe", "data": data, "device": "cpu", "long_prompts": rule}
    record = evals.run(model, "glue/sst2", out=tmp_path / "run", **options)
    assert record.manifest.probe == ProbeEntry(samples=18 - left_out, left_out=left_out, shortened=shortened)
    report = (record.folder / "report.md").read_text()
    assert (
        f"2 of 18 training samples had a text longer than the model reads: {'cut' if shortened else 'not used'}."
        in report
    )
    assert record.result.failed == record.result.long_prompts == 0

    lines = [line for number, line in enumerate(lines) if number not in (3, 8)]
    train.write_text("\n".join(lines) + "\n")
    without = evals.run(model, "glue/sst2", out=tmp_path / "without", **options)
    scores = [[row.scores for row in run.samples()] for run in (record, without)]
    assert (scores[0] == scores[1]) == (not shortened), "a text that is not used changes nothing"
    assert without.manifest.probe == ProbeEntry(samples=16, left_out=0, shortened=0)


def test_a_token_without_an_embedding_is_a_failure(tmp_path):
    folder = checkpoints.language_model(tmp_path, "llama")
    tokenizer = checkpoints.tokenizer(folder)
    config = json.loads((folder / "config.json").read_text())
    tokenizer.add_tokens([f"<extra{number}>" for number in range(config["vocab_size"])])
    tokenizer.save_pretrained(folder)
    model = causal.load("tiny", str(folder), Placement("cpu"))
    text = f"red <extra{config['vocab_size'] - 1}>"
    for request in (Generate("7", (text,), 3), Choose("7", ("red",), (" yes", text))):
        with pytest.raises(SampleError, match=r"request 7 has the token \d+; the model has embeddings of tokens 0 to"):
            model.prepare(request)
    assert model.prepare(Generate("7", ("red",), 3)).tokens
