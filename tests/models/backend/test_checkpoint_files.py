"""What the library is shown of a checkpoint, and what its digest covers."""

from __future__ import annotations

import json

import checkpoints
import pytest

from evals.data.checkpoints import read_config
from evals.models.backend.checkpoint_files import digest, readable_folder
from evals.models.families import causal
from evals.schema import Placement

KERNELS = [
    {"attn_implementation": "someone/kernel"},
    {"_attn_implementation": "kernels-community/flash-attn2"},
    {"_attn_implementation": "flash_attention_2"},
    {"attn_implementation": {"": "someone/kernel"}},
    {"attn_implementation": 5, "experts_implementation": "sonicmoe"},
    {"fusion_config": {"x": True}, "use_kernels": True},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints.language_model(tmp_path_factory.mktemp("model"), "llama")


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_checkpoint_does_not_choose_the_code_that_computes(folder, tmp_path, kernels):
    """Its configuration can name a repository, whose code the library would load and run."""
    config = json.loads((folder / "config.json").read_text())
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config | kernels))
    assert read_config(tmp_path) == read_config(folder)
    with readable_folder(tmp_path) as shown:
        assert json.loads((shown / "config.json").read_text()) == config
        assert {path.name for path in shown.iterdir()} == {path.name for path in folder.iterdir()}
    model = causal.load("m", str(tmp_path), Placement(device="cpu"))
    assert model.model.config._attn_implementation == "sdpa"
    assert json.loads((tmp_path / "config.json").read_text()) == config | kernels


def test_a_folder_without_kernels_is_shown_itself(folder, tmp_path):
    with readable_folder(folder) as shown:
        assert shown == folder
    with readable_folder(tmp_path) as shown:  # a tokenizer's, which has no configuration
        assert shown == tmp_path


@pytest.mark.parametrize("name", ["source.spm", "bpe.codes", "model.safetensors", "chat_template.jinja"])
def test_the_digest_covers_what_is_read(tmp_path, name):
    digests = set()
    for content in (b"a", b"b"):
        (tmp_path / name).write_bytes(content)
        digests.add(digest(tmp_path))
    assert len(digests) == 2


def test_a_changed_configuration_is_read_again(folder, tmp_path):
    for content in ({"model_type": "llama"}, {"model_type": "gpt2"}):
        (tmp_path / "config.json").write_text(json.dumps(content))
        assert read_config(tmp_path) == content
