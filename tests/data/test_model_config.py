"""Configurations that fit their weights although a simple count says otherwise are not refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.data.model_config import check_config
from evals.errors import InputError

WEIGHTS = {"model.embed_tokens.weight": (40, 32), "model.layers.0.mlp.weight": (64, 32), "model.layers.1.b": (32,)}


def test_layers_that_run_several_times_are_counted_once():
    config = {"model_type": "hrm_text", "hidden_size": 32, "num_hidden_layers": 16}
    check_config(Path("config.json"), {**config, "num_layers_per_stack": 2}, WEIGHTS)
    with pytest.raises(InputError, match="num_hidden_layers is 16, but the weights hold 2 layers"):
        check_config(Path("config.json"), config, WEIGHTS)


def test_a_decoder_that_was_saved_alone_has_no_encoder_layers():
    config = {"model_type": "prophetnet", "hidden_size": 32, "num_encoder_layers": 12, "num_decoder_layers": 2}
    check_config(Path("config.json"), config, WEIGHTS)
    with pytest.raises(InputError, match="num_encoder_layers is 12, but the weights hold 2 layers"):
        check_config(Path("config.json"), config, {**WEIGHTS, "encoder.layers.0.b": (32,)})


def test_the_number_of_a_layer_can_have_any_length():
    config = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2}
    check_config(Path("config.json"), config, {**WEIGHTS, f"model.layers.{'9' * 5_000}.b": (32,)})
