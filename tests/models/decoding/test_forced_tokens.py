"""A first token that a checkpoint forces (mBART's language) is kept by name; everything else of its config is not."""

from __future__ import annotations

import json
import shutil

import checkpoints
import pytest
import torch

from evals.execution.batching import plan
from evals.models.families import causal
from evals.schema import Choose, Generate, Placement

LANGUAGE = 7
PROMPTS = ["What color is the circle?", "red", "How many squares are there? 3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small random mBART that must begin with a language token, with settings that would change what it writes."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    folder = tmp_path_factory.mktemp("mbart")
    torch.manual_seed(0)
    config = MBartConfig(
        vocab_size=400, d_model=48, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=128,
        bos_token_id=0, eos_token_id=1, pad_token_id=2, decoder_start_token_id=1, forced_eos_token_id=None,
    )  # fmt: skip
    model = checkpoints._spread(MBartForConditionalGeneration(config))
    settings = model.generation_config
    settings.forced_bos_token_id, settings.num_beams, settings.no_repeat_ngram_size = LANGUAGE, 3, 2
    settings.forced_eos_token_id, settings.max_length = 1, 6
    model.save_pretrained(folder)
    checkpoints.tokenizer(folder).save_pretrained(folder)
    return folder


def answers(model, requests, budget):
    prompts = [model.prepare(request) for request in requests]
    found = {}
    for batch in plan(prompts, budget):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = prediction
    return prompts, [found[request.id] for request in requests]


@pytest.mark.parametrize("budget", [1, 10_000])
def test_mbart_begins_with_its_language(folder, budget):
    from transformers import AutoModelForSeq2SeqLM

    model = causal.load("mbart", str(folder), Placement("cpu"))
    requests = [Generate(text, (text,), 10) for text in PROMPTS]
    prompts, found = answers(model, requests, budget)
    library = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    for prompt, prediction in zip(prompts, found, strict=True):
        ids = [library.config.decoder_start_token_id, LANGUAGE]
        with torch.inference_mode():
            while len(ids) < 11:
                logits = library(input_ids=torch.tensor([list(prompt.tokens)]), decoder_input_ids=torch.tensor([ids]))
                ids.append(int(logits.logits[0, -1].argmax()))
                if ids[-1] == 1:
                    break
        plain = [token for token in ids[1:] if token != 1]
        assert prediction.output == model.reader.text(plain)
        assert prediction.new_tokens == len(plain)
        assert len(plain) > 1, "the forced token is not all"


def test_what_is_forced_at_the_end_or_repeated_is_not_kept(folder):
    from evals.models.decoding.checkpoint_settings import library_config

    model = causal.load("mbart", str(folder), Placement("cpu"))
    kept = model.model.generation_config
    assert kept.forced_bos_token_id == LANGUAGE
    assert (kept.forced_eos_token_id, kept.num_beams, kept.no_repeat_ngram_size or None) == (None, 1, None)
    assert library_config(model.model).forced_bos_token_id == LANGUAGE


def test_settings_that_the_library_refuses_do_not_prevent_loading(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / "generation_config.json"
    settings = {**json.loads(path.read_text()), "num_return_sequences": 3, "num_beams": 1}
    path.write_text(json.dumps(settings))
    model = causal.load("mbart", str(tmp_path / "copy"), Placement("cpu"))
    assert model.model.generation_config.forced_bos_token_id == LANGUAGE


def test_continuations_of_mbart_are_scored_after_its_language(folder):
    from transformers import AutoModelForSeq2SeqLM

    model = causal.load("mbart", str(folder), Placement("cpu"))
    prompts, found = answers(model, [Choose(text, (text,), (" yes", " no no")) for text in PROMPTS], 10_000)
    library = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    for prompt, prediction in zip(prompts, found, strict=True):
        for tokens, score in zip(prompt.continuations, prediction.scores, strict=True):
            ids = [library.config.decoder_start_token_id, LANGUAGE, *tokens]
            with torch.inference_mode():
                logits = library(
                    input_ids=torch.tensor([list(prompt.tokens)]), decoder_input_ids=torch.tensor([ids[:-1]])
                ).logits[0]
            expected = logits[1:].log_softmax(-1)[range(len(tokens)), list(tokens)].sum()
            assert score == pytest.approx(float(expected), abs=1e-4)
