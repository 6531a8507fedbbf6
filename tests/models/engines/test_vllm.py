"""The vLLM engine against the transformers engine, on a CPU; skipped where vLLM is not installed (`tox -e engines`).

Each checkpoint is loaded once per engine, since a start of vLLM takes many seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import checkpoints
import pytest
import vision_checkpoints
from commands import ROOT, environ
from engine_runs import LoadedModels, differing, rows

import evals as suite
from evals import InputError
from evals.paths import PACKAGE

pytest.importorskip("vllm", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TASKS = ("glue/rte", "glue/sst2", "math/gsm8k")
TOLERANCE = 1e-3
"""In nats: the engines add up float32 values in different orders."""
SOME = 8


@pytest.fixture(scope="module")
def loaded():
    return LoadedModels()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint by name: the replica, two random ones, and an adapter of a random one."""
    home = tmp_path_factory.mktemp("checkpoints")
    shape = {"hidden_size": 128, "max_position_embeddings": 1024}  # vLLM's CPU kernels have heads of 32 and more
    llama = checkpoints.language_model(home / "llama", "llama", **shape)
    return {
        "r1": PACKAGE / "models" / "replicas" / "checkpoints" / "r1",
        "qwen2": checkpoints.language_model(home / "qwen2", "qwen2", **shape),
        "llama": llama,
        "lora": adapter(home / "lora", llama),
    }


def adapter(folder: Path, base: Path) -> Path:
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.2
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["r1", "qwen2", "llama", "lora"])
def test_both_engines_give_the_same_texts_and_log_likelihoods(loaded, folders, tmp_path, name):
    options = {"limit": SOME, **({"long_prompts": "truncate-left"} if name != "r1" else {})}
    for task in TASKS:
        pair = [
            loaded.run(folders[name], task, engine, tmp_path / f"{task.replace('/', '-')}-{engine}", **options)
            for engine in ("transformers", "vllm")
        ]
        assert differing(*pair, TOLERANCE) == [], task
        assert [record.manifest.model["engine"] for record in pair] == ["transformers", "vllm"]
        assert not any(row.failed for row in pair[1].samples())
    model = pair[1].manifest.model
    assert model["attention"] == "CPU_ATTN"
    assert model["engine_settings"]["batch_invariant"] is False
    assert model["engine_settings"]["max_num_seqs"] > 0
    if name == "lora":
        assert model["adapter"]["applied"] == "by vllm"
        base = loaded.run(folders["llama"], task, "transformers", tmp_path / "base", **options)
        assert differing(base, pair[1], TOLERANCE) != [], "the adapter was ignored"


def test_a_scaled_rotary_embedding_has_the_same_positions_or_fewer(loaded, tmp_path):
    """Prompts of GSM8K have more than 128 tokens; vLLM reads behind its table of a dynamic embedding, if it is let."""
    shape = {"hidden_size": 128, "max_position_embeddings": 128}
    for kind, failed in (("yarn", 0), ("dynamic", SOME)):
        scaling = {"rope_type": kind, "factor": 16.0, "rope_theta": 10_000.0}
        scaling |= {"original_max_position_embeddings": 128} if kind == "yarn" else {}
        folder = checkpoints.language_model(tmp_path / kind, "qwen2", rope_parameters=scaling, **shape)
        pair = [
            loaded.run(folder, "math/gsm8k", engine, tmp_path / f"{kind}-{engine}", limit=SOME, max_new_tokens=16)
            for engine in ("transformers", "vllm")
        ]
        assert not any(row.failed for row in pair[0].samples())
        assert [row.long_prompt for row in pair[1].samples()] == [kind == "dynamic"] * SOME
        assert len(differing(*pair, TOLERANCE)) == failed


def test_both_engines_give_the_same_texts_for_images(loaded, tmp_path):
    wide = vision_checkpoints.text(hidden_size=128, max_position_embeddings=1024)
    folder = vision_checkpoints.idefics3(tmp_path / "idefics3", text_config=wide)  # LLaVA needs torchvision in vLLM
    pair = [loaded.run(folder, "vqa", engine, tmp_path / engine, limit=SOME) for engine in ("transformers", "vllm")]
    assert not any(row.failed for row in pair[1].samples()), [row.failure for row in pair[1].samples()]
    assert differing(*pair, TOLERANCE) == []
    assert len({row.output for row in pair[1].samples()}) > 1, "the images are not read"


def test_four_samples_per_problem_do_not_depend_on_the_batch(loaded, folders, tmp_path):
    options = {"samples": 4, "temperature": 0.8, "top_p": 0.95, "limit": 4}
    whole = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "whole", **options)
    small = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "small", token_budget=1, **options)
    assert differing(whole, small, TOLERANCE) == []
    outputs = [row.output for row in whole.samples()]
    assert any(len(set(output)) > 1 for output in outputs), outputs
    assert all(len(output) == 4 for output in outputs), outputs


def test_a_model_that_is_divided_in_two_gives_the_same_answers(loaded, folders, tmp_path):
    """On a CPU the two parts are processes; on GPUs each has one. Only one engine can be in this process."""
    flags = ["--limit", str(SOME), "--long-prompts", "truncate-left", "--device", "cpu", "--engine", "vllm"]
    for task in ("glue/rte", "math/gsm8k"):
        out = tmp_path / f"two-{task[:4]}"
        asked = ["--model", str(folders["llama"]), "--task", task, "--tensor-parallel", "2", "--out", str(out)]
        command = [sys.executable, "-m", "evals", "run", *asked, *flags]
        done = subprocess.run(command, cwd=ROOT, env=environ(), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        options = {"limit": SOME, "long_prompts": "truncate-left"}
        whole = loaded.run(folders["llama"], task, "transformers", tmp_path / f"one-{task[:4]}", **options)
        divided = suite.load(out)
        assert divided.manifest.model["engine_settings"]["tensor_parallel"] == 2
        assert differing(whole, divided, TOLERANCE) == []


def quantised(folder: Path, base: Path) -> Path:
    """A checkpoint of compressed-tensors with weights of 8 bits and a scale per row; inputs are rounded too."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    weights = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        weights[name] = weight
        if "proj" in name:
            scales = weight.abs().amax(dim=1, keepdim=True) / 127
            weights[name], weights[f"{name}_scale"] = (weight / scales).round().to(torch.int8), scales
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    eight = {"num_bits": 8, "type": "int", "symmetric": True}
    group = {
        "targets": ["Linear"],
        "weights": {**eight, "strategy": "channel", "dynamic": False},
        "input_activations": {**eight, "strategy": "token", "dynamic": True},
    }
    stated = {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
              "config_groups": {"group_0": group}, "ignore": ["lm_head"]}  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": stated}))
    return folder


def test_int8_weights_and_inputs_give_the_same_up_to_the_rounding_of_bfloat16(loaded, folders, tmp_path):
    folder = quantised(tmp_path / "w8a8", folders["llama"])
    with pytest.raises(InputError, match=r"expect A to be bfloat16 or half.*may need --dtype bfloat16"):
        loaded.run(folder, "glue/sst2", "vllm", tmp_path / "float32", limit=SOME)
    pair = [
        loaded.run(folder, "glue/sst2", engine, tmp_path / engine, limit=SOME, dtype="bfloat16")
        for engine in ("transformers", "vllm")
    ]
    assert differing(*pair, 0.3) == []
    assert pair[1].manifest.model["quantised"] == {"method": "compressed-tensors"}


def test_an_extended_sampled_run_is_that_of_the_higher_limit(loaded, folders, tmp_path):
    options = {"samples": 2, "temperature": 0.8, "top_p": 0.95, "limit": 6}
    short = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "run", max_new_tokens=8, **options)
    assert sum(map(len, [tokens for row in short.samples() for tokens in row.tokens or ()])) > 0
    extended = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "run", max_new_tokens=8, extend=48, **options)
    whole = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "whole", max_new_tokens=48, **options)
    assert differing(extended, whole, TOLERANCE) == []


def test_a_killed_run_continues_without_a_sample_lost_or_doubled(loaded, folders, tmp_path):
    options = {"limit": 60, "token_budget": 2000}
    flags = ["--limit", "60", "--token-budget", "2000", "--device", "cpu", "--engine", "vllm"]
    command = [sys.executable, "-m", "evals", "run", "--model", str(folders["r1"]), "--task", "math/gsm8k", *flags]
    run = subprocess.Popen([*command, "--out", str(tmp_path / "run")], cwd=ROOT, env=environ(), stderr=subprocess.PIPE)
    lines = tmp_path / "run" / "samples.jsonl"
    waited = time.monotonic()
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 8):
        assert run.poll() is None, run.stderr.read().decode()
        assert time.monotonic() - waited < 600
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    before = lines.read_bytes().count(b"\n")
    assert before < 60
    resumed = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "run", **options)
    whole = loaded.run(folders["r1"], "math/gsm8k", "vllm", tmp_path / "whole", **options)
    ids = [json.loads(line)["id"] for line in lines.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 60
    assert differing(resumed, whole, TOLERANCE) == []
    assert rows(resumed).keys() == rows(whole).keys()
