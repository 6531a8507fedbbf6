"""Which engine computes a model, and what is refused before any weight is read. Needs no vLLM."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json

import checkpoints
import pytest
from commands import evals, refused

from evals.data.checkpoints import Adapter
from evals.errors import InputError
from evals.models.backend.prompts.prompt_limits import PromptLimits
from evals.models.engines import choice, vllm_model
from evals.schema import Choose, Generate, Placement

GENERATE = Generate("1", ("Is it red?",), 4)


@pytest.fixture
def installed(monkeypatch):
    """Makes vLLM look installed, as far as that is looked at before it is imported."""
    find = importlib.util.find_spec
    spec = importlib.machinery.ModuleSpec("vllm", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: spec if name == "vllm" else find(name, *rest))


@pytest.fixture
def absent(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "vllm" else find(name, *rest))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--engine", "vllm"), ["needs vllm, which is not installed: pip install"]),
        (("--engine", "sglang"), ["invalid choice: 'sglang'"]),
        (("--tensor-parallel", 2), ["--tensor-parallel 2", "needs --engine vllm"]),
        (("--engine", "transformers", "--tensor-parallel", 2), ["needs --engine vllm"]),
        (("--engine", "vllm", "--tensor-parallel", 0), ["--tensor-parallel 0 leaves nothing to do"]),
    ],
)
def test_options_that_cannot_work_are_refused(absent, options, words):
    refused(evals("run", "--model", "r1", "--task", "math/gsm8k", *options), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "v3", "--task", "vqa"), ["families causal", "'v3' is of the family two_streams"]),
        (("--model", "replay:outputs.jsonl", "--task", "vqa"), ["is of the family replay"]),
        (("--model", "r1", "--task", "efficiency"), ["times models on the engine transformers only"]),
        (("--model", "r1", "--task", "math/gsm8k", "--temperature", 3), ["--temperature 3.0", "0.01 to 2"]),
        (
            ("--model", "r1", "--task", "math/gsm8k", "--temperature", 1, "--min-p", 0.1, "--top-p", 0.9),
            ["takes only one of them"],
        ),
        (("--model", "vl", "--task", "retrieval"), ["embeddings need --engine transformers"]),
        (
            ("--model", "r1", "--task", "math/gsm8k", "--workers", 2, "--tensor-parallel", 2),
            ["--workers 2 --tensor-parallel 2: give one of them"],
        ),
    ],
)
def test_what_vllm_does_not_do_is_refused_in_one_line(installed, arguments, words):
    refused(evals("run", *arguments, "--engine", "vllm"), *words)


@pytest.mark.parametrize(
    ("config", "adapter", "placement", "words"),
    [
        ({}, None, Placement(), None),
        ({"is_encoder_decoder": True}, None, Placement(), "encoder-decoder"),
        ({}, "IA3", Placement(), "kind IA3"),
        ({}, "LORA", Placement(), None),
        ({}, None, Placement(experts=2), "2 active experts"),
    ],
)
def test_what_the_files_say_against_vllm(tmp_path, config, adapter, placement, words):
    change = None if adapter is None else Adapter(tmp_path, adapter, "CAUSAL_LM", tmp_path)
    obstacle = choice.unsupported(config, change, placement)
    assert obstacle is None if words is None else words in obstacle


def test_a_request_is_refused_only_if_the_user_chose_vllm(tmp_path):
    folder = checkpoints.language_model(tmp_path, "t5")
    for request in (GENERATE, Choose("1", ("Is it red?",), ("yes", "no"))):
        choice.check_request(folder, Placement(), request)
        with pytest.raises(InputError, match="it is an encoder-decoder; --engine transformers can"):
            choice.check_request(folder, Placement(engine="vllm"), request)


def test_a_cpu_uses_transformers_and_gives_no_reason(absent, tmp_path):
    assert choice.choose(Placement(device="cpu"), tmp_path).facts == {"engine": "transformers"}


def test_a_gpu_says_why_it_does_not_use_vllm(absent, tmp_path):
    checkpoints.language_model(tmp_path, "llama")
    chosen = choice.choose(Placement(device="cuda"), tmp_path)
    assert chosen.name == "transformers"
    assert chosen.facts["engine_reason"].startswith("vllm: it is not installed")
    with pytest.raises(InputError, match="it is not installed"):
        choice.choose(Placement(device="cuda", engine="vllm"), tmp_path)


def test_a_checkpoint_that_vllm_fails_to_load_falls_back_only_by_default(monkeypatch, tmp_path):
    def start():
        raise InputError("--engine vllm cannot load it: no kernel")

    monkeypatch.setattr(choice, "choose", lambda *_: choice.EngineChoice("vllm"))
    chosen = choice.attempt(Placement(), tmp_path, start)
    assert chosen.facts == {"engine": "transformers", "engine_reason": "--engine vllm cannot load it: no kernel"}
    with pytest.raises(InputError, match="no kernel"):
        choice.attempt(Placement(engine="vllm"), tmp_path, start)
    assert choice.attempt(Placement(), tmp_path, lambda: "loaded") == "loaded"


def test_vllm_is_told_how_many_positions_yarn_makes(tmp_path):
    rotary = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
    for declared, rope, told in ((256, rotary, 1024), (1024, rotary, None), (256, {"type": "linear"}, None)):
        config = {"max_position_embeddings": declared, "rope_scaling": rope}
        (tmp_path / "config.json").write_text(json.dumps(config))
        overrides = {} if told is None else {"hf_overrides": {"max_position_embeddings": told}}
        assert vllm_model.scaled_positions(tmp_path, PromptLimits(1024)) == overrides


def test_packed_weights_are_refused_on_a_cpu(tmp_path):
    """vLLM's kernels for them end the process by SIGILL."""
    for stated in ({"quant_method": "gptq"}, {"quant_method": "compressed-tensors", "format": "pack-quantized"}):
        (tmp_path / "config.json").write_text(json.dumps({"quantization_config": stated}))
        with pytest.raises(InputError, match=r"its weights are packed .* end the process on a CPU$"):
            choice.check_request(tmp_path, Placement(engine="vllm", device="cpu"), GENERATE)
        choice.check_request(tmp_path, Placement(engine="vllm", device="cuda"), GENERATE)
