"""Damaged headers and adapters of a checkpoint are refused in one line, before any weight is read."""

from __future__ import annotations

import json
import struct

import pytest

from evals.data.checkpoints import read_adapter, stored_shapes
from evals.errors import InputError

LONG = "a" * 5_000


def weights(folder, header):
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder


@pytest.mark.parametrize(
    "header", [b'{"a":' * 50_000, b"[" * 100_000, b'{"a": {"dtype": ' + b"[" * 100_000, b"{", b"\xff", b'{"a": 1}', b""]
)
def test_a_header_that_is_none_is_refused(tmp_path, header):
    with pytest.raises(InputError, match="is no readable safetensors file") as refusal:
        stored_shapes(weights(tmp_path, header))
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("name", [LONG, "../other.safetensors", "/etc/passwd", "a\0b", "a\nb", ""])
def test_a_shard_is_a_file_of_the_folder(tmp_path, name):
    weights(tmp_path, b"{}")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match="the file name") as refusal:
        stored_shapes(tmp_path)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("base", [LONG, "~nobody-of-this-name/x", "a\0b", "a\nb", "a/" * 3_000, "", "x"])
def test_the_name_of_a_base_model_can_be_anything(tmp_path, base):
    weights(tmp_path, b"{}").joinpath("model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
    with pytest.raises(InputError) as refusal:
        read_adapter(tmp_path)
    assert len(str(refusal.value).splitlines()) == 1
