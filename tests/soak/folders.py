"""Kinds of inputs that are folders: runs, and checkpoints before any weight is read."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.soak.targets import ROOT, Refused, Target, command, refusals

RUN_COMMAND = ("run", "--model", "vl", "--task", "vqa", "--limit", "3")
CACHE = Path(tempfile.gettempdir()) / f"evals-soak-{os.getuid()}"


@functools.cache
def run_folder() -> Path:
    """Return a finished run with shared prefixes and images; it is made once by a real command, in seconds."""
    folder = CACHE / "run"
    if not (folder / "report.html").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        arguments = [sys.executable, "-m", "evals", *RUN_COMMAND, "--out", str(folder)]
        environment = {**os.environ, "CI": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
        subprocess.run(arguments, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=600)
    return folder


def _runs(folder: Path) -> None:
    shutil.copytree(run_folder(), folder / "day" / "a")
    shutil.copytree(run_folder(), folder / "b")


def _read_runs(folder: Path) -> None:
    """Show, compare, report and score a run; all commands run, and a refusal of any is the whole's."""
    sample = json.loads((folder / "b" / "samples.jsonl").read_bytes().splitlines()[0])["id"]
    a, b = folder / "day" / "a", folder / "b"
    commands = [
        ("show", a), ("show", a, "--prompt", sample), ("compare", a, b), ("report", a, b),
        ("report", a, "--format", "html"), ("report", a, "--format", "tex"), ("report", a, "--format",
        "every-eval-ever"),
        ("report", a, "--format", "every-eval-ever-samples"), ("trends", folder / "day"), ("score", a), ("report", a),
    ]  # fmt: skip
    refusal = None
    for arguments in commands:
        try:
            command(*arguments)
        except Refused as error:
            refusal = error
    if refusal is not None:
        raise refusal


def _sign(folder: Path, file: str) -> None:
    """Give a damaged manifest the signature of its fields, and its result the same, as of a version without digests."""
    from evals.records.digests import signature_of

    manifest, result = folder / "day" / "a" / "manifest.json", folder / "day" / "a" / "result.json"
    try:
        stated = json.loads(manifest.read_bytes())
        stated["signature"] = signature_of(stated)
        manifest.write_text(json.dumps(stated))
        summary = json.loads(result.read_bytes())
        if file.endswith("manifest.json"):
            summary["signature"] = stated["signature"]
        if summary.pop("digest", None) is not None or file.endswith("manifest.json"):
            result.write_text(json.dumps(summary))
    except Exception:  # what is too damaged for a signature stays as it is
        return


def _checkpoint(folder: Path) -> None:
    width, words = 48, 400
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": width, "intermediate_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": words,
        "max_position_embeddings": 512, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        "torch_dtype": "float32", "bos_token_id": 0, "eos_token_id": [1, 2], "hidden_act": "silu",
    }  # fmt: skip
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text(json.dumps(config))
    names = [
        "model.embed_tokens.weight",
        "lm_head.weight",
        *(f"model.layers.{n}.input_layernorm.weight" for n in range(2)),
    ]
    shapes = {name: [words, width] if "layers" not in name else [width] for name in names}
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "base" / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model.safetensors")}
    (folder / "base" / "model.safetensors.index.json").write_text(json.dumps(index))
    adapter = folder / "adapter"
    adapter.mkdir()
    fields = {
        "peft_type": "LORA",
        "base_model_name_or_path": "../base",
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
    }
    (adapter / "adapter_config.json").write_text(json.dumps(fields))
    shutil.copy(folder / "base" / "model.safetensors", adapter / "adapter_model.safetensors")


def _resolve(folder: Path) -> None:
    from evals.data.checkpoints import stored_dtypes
    from evals.execution.resolve import resolve

    with refusals():
        assert resolve(str(folder / "base"), scale="mini").abilities
        stored_dtypes(folder / "base")
        assert resolve(str(folder / "adapter"), scale="mini").abilities


RUN_FILES = ("manifest.json", "result.json", "samples.jsonl", "prefixes.jsonl")
TARGETS: Mapping[str, Target] = {
    "run folder": Target(_runs, {f"day/a/{name}": name.rpartition(".")[2] for name in RUN_FILES}, _read_runs, _sign),
    "checkpoint JSON": Target(
        _checkpoint,
        dict.fromkeys(("base/config.json", "base/model.safetensors.index.json", "adapter/adapter_config.json"), "json"),
        _resolve,
    ),
    "safetensors": Target(
        _checkpoint,
        dict.fromkeys(("base/model.safetensors", "adapter/adapter_model.safetensors"), "safetensors"),
        _resolve,
    ),
}
"""Kinds that are folders."""
