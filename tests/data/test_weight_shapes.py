"""Configurations are compared with the stored shapes: a right one always passes, a wrong field is named."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import architecture_checkpoints
import pytest
from commands import ROOT, environ

from evals.data.weight_shapes import first_mismatch

LLAMA = {"model_type": "llama", "vocab_size": 50, "hidden_size": 24, "intermediate_size": 40,
         "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
LAYER = "model.layers.0."
LLAMA_SHAPES = {
    "model.embed_tokens.weight": (50, 24), f"{LAYER}self_attn.q_proj.weight": (24, 24),
    f"{LAYER}self_attn.k_proj.weight": (12, 24), f"{LAYER}mlp.up_proj.weight": (40, 24), "model.norm.weight": (24,),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, None),
        ({"vocab_size": 40}, ("vocab_size",)),
        ({"hidden_size": 40}, ("hidden_size",)),
        ({"intermediate_size": 24}, ("intermediate_size",)),
        ({"num_key_value_heads": 4}, ("num_key_value_heads", "num_attention_heads")),
        ({"num_attention_heads": 12}, ("num_key_value_heads", "num_attention_heads")),
        ({"head_dim": 12}, ("num_attention_heads", "head_dim")),
        # Nothing is said of what a configuration leaves to the library, and of weights that are packed or removed.
        ({"num_key_value_heads": None}, None),
        ({"hidden_size": 40, "quantization_config": {"quant_method": "gptq"}}, None),
        ({"intermediate_size": [24, 40]}, None),
        ({"model_type": "another", "hidden_size": 40}, None),
    ],
)
def test_the_field_that_does_not_fit_is_named(change, fields):
    mismatch = first_mismatch({**LLAMA, **change}, LLAMA_SHAPES)
    assert fields == (mismatch and mismatch.fields)


def test_a_wrong_field_is_one_line_before_the_library_is_imported(tmp_path):
    folder = tmp_path / "model"
    architecture_checkpoints.save(folder, "decoders", "llama")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 32}))
    line = "intermediate_size (32) does not fit the stored weights: model.layers.0.mlp.down_proj.weight is 32 x 64"
    program = f"""
import sys
from evals.app.cli import main
code = main(["run", "--model", {str(folder)!r}, "--task", "glue/rte", "--limit", "2"])
print(code, [name for name in ("torch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environ())
    assert done.stdout == "2 []\n"
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "gemma2", "gpt2", "llama", "opt", "qwen3", "t5"])
def test_the_library_has_the_same_shapes(kind):
    """Draws configurations: no right one is refused, and a wrong one only where the library differs too."""
    import torch
    import transformers as library

    autos = {"bert": library.AutoModelForMaskedLM, "t5": library.AutoModelForSeq2SeqLM}
    draw = random.Random(kind)

    def shapes(**changes):
        config = architecture_checkpoints.config_of(kind, **changes)
        with torch.device("meta"):
            model = autos.get(kind, library.AutoModelForCausalLM).from_config(config)
        return config.to_dict(), {name: tuple(weight.shape) for name, weight in model.state_dict().items()}

    right, stored = shapes()
    assert first_mismatch(right, stored) is None
    compared = set()
    names = [name for name, value in right.items() if type(value) is int and value > 1 and "token_id" not in name]
    for name in names:
        try:
            wrong, other = shapes(**{name: draw.choice([2, 3]) * right[name]})
        except Exception:  # the library checks some configurations, with any exception
            continue
        mismatch = first_mismatch(wrong, stored)
        if mismatch is not None:
            assert other[mismatch.name] == mismatch.configured != stored[mismatch.name]
            changed = {field for field in wrong if wrong[field] != right.get(field)}  # some follow from others
            assert changed.intersection(mismatch.fields)
            compared.add(name)
    assert len(compared) >= 3, compared
