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


@pytest.mark.parametrize(
    "name",
    [LONG, "../other.safetensors", "/etc/x.safetensors", "a\0b.safetensors", "a\nb.safetensors", "", ".safetensors/",
     "weights.bin", "model.SAFETENSORS", "more/model.safetensors", "adapter_model.safetensors", f"{LONG}.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False])
def test_a_shard_is_a_safetensors_file_beside_the_index(tmp_path, name, whole):
    """The library would read a pickle, or a file that no digest covers."""
    weights(tmp_path, b"{}")
    if not whole:
        (tmp_path / "model.safetensors").rename(tmp_path / "decoy.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match=r"names the weight file|the file name") as refusal:
        stored_shapes(tmp_path)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("base", [LONG, "~nobody-of-this-name/x", "a\0b", "a\nb", "a/" * 3_000, "", "x"])
def test_the_name_of_a_base_model_can_be_anything(tmp_path, base):
    weights(tmp_path, b"{}").joinpath("model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
    with pytest.raises(InputError) as refusal:
        read_adapter(tmp_path)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("shape", "offsets", "message"),
    [([-1], [0, 4], "has the shape"), ([1 << 40], [0, 4], "but 4 bytes"),
     ([2], [0, 4], "but 4 bytes"), ([1], [4, 0], "the place")],
)  # fmt: skip
def test_a_shape_is_the_size_of_its_data(tmp_path, shape, offsets, message):
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    with pytest.raises(InputError, match=rf"model.safetensors: 'w' .*{message}"):
        stored_shapes(weights(tmp_path, header))


@pytest.mark.parametrize(
    ("index", "message"),
    [({"weight_map": {}}, "names no weights"), ({"weight_map": {"w": "a.safetensors"}}, 'has no "metadata"')],
)
def test_an_index_that_the_library_cannot_read(tmp_path, index, message):
    weights(tmp_path, b"{}").joinpath("model.safetensors").rename(tmp_path / "a.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=message):
        stored_shapes(tmp_path)
