"""Folders as people have them: caches, links, shards, older tokenizers; and folders that no model can be in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import checkpoints
import pytest

from evals.data.checkpoints import read_config
from evals.errors import InputError
from evals.execution.resolve import resolve
from evals.registry import discover
from evals.schema import Placement

CPU = Placement(device="cpu")
TEXT = "What color is the large circle? red"


@pytest.fixture(scope="module", autouse=True)
def registered():
    discover()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return checkpoints.language_model(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture
def copy(base, tmp_path):
    return Path(shutil.copytree(base, tmp_path / "copy"))


def logits(folder):
    import torch

    model = resolve(str(folder), scale="mini").load(CPU)
    with torch.inference_mode():
        return model.model(**model.tokenizer(TEXT, return_tensors="pt")).logits[0].numpy()


def change(folder, name="config.json", **fields):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# Layouts


def cache(base, folder):
    """The hub's cache: files in blobs/, links in a snapshot, the commit in refs/main."""
    snapshot = folder / "models--org--tiny" / "snapshots" / "abc"
    for path in base.iterdir():
        blob = snapshot.parents[1] / "blobs" / f"{hash(path.name):x}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        snapshot.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    return snapshot.parents[1]


def test_the_hubs_cache_and_a_snapshot_of_links_are_the_same_model(base, tmp_path):
    root = cache(base, tmp_path)
    expected = logits(base)
    assert (logits(root) == expected).all()
    assert (logits(root / "snapshots" / "abc") == expected).all()
    shutil.copytree(root / "snapshots" / "abc", root / "snapshots" / "def", symlinks=True)
    assert resolve(str(root), scale="mini").checkpoint == str(root / "snapshots" / "abc")
    (root / "refs" / "main").unlink()
    with pytest.raises(InputError, match="name one of its snapshots: abc, def"):
        resolve(str(root), scale="mini")


def test_shards_are_one_model_and_a_missing_one_is_named(base, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(folder, max_shard_size="50KB")
    checkpoints.tokenizer(folder).save_pretrained(folder)
    assert (logits(folder) == logits(base)).all()
    (folder / "model-00002-of-00008.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks 1 of its weight files, the first being model-00002-of-00008"):
        resolve(str(folder), scale="mini")
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(
        InputError, match=r"holds model-00001.* and neither model.safetensors nor model.safetensors.ind"
    ):
        resolve(str(folder), scale="mini")


def test_tied_weights_are_stored_once(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(checkpoints.config_of("llama", tie_word_embeddings=True)).eval()
    model.save_pretrained(tmp_path)
    words = checkpoints.tokenizer(tmp_path)
    words.save_pretrained(tmp_path)
    with torch.inference_mode():
        expected = model(**words(TEXT, return_tensors="pt")).logits[0].numpy()
    assert logits(tmp_path) == pytest.approx(expected, abs=1e-5)
    change(tmp_path, tie_word_embeddings=False)
    with pytest.raises(InputError, match=r"lacks 1 weights, the first being lm_head\.weight"):
        logits(tmp_path)


def test_a_tokenizer_of_two_files_is_read(tmp_path):
    folder = checkpoints.language_model(tmp_path, "gpt2")
    expected = logits(folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(merges))
    (folder / "tokenizer.json").unlink()
    config = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>", "bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert (logits(folder) == expected).all()


def test_no_padding_token_is_needed(copy, base):
    change(copy, "tokenizer_config.json", pad_token=None)
    change(copy, pad_token_id=None)
    assert logits(copy) == pytest.approx(logits(base), abs=1e-6)


def test_a_folder_in_the_working_directory_needs_no_slash(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    found = resolve("copy", scale="mini")
    assert (found.name, found.checkpoint) == ("copy", "copy")
    shutil.copytree(copy, "r1")
    assert resolve("r1", scale="mini").replica, "a registered name comes first"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "config.json").unlink(), "is not a checkpoint: it has no config.json"),
        (lambda f: f.joinpath("sub").mkdir() or (f / "config.json").rename(f / "sub" / "config.json"), "have one: sub"),
        (
            lambda f: (f / "config.json").unlink() or (f / "q.gguf").touch(),
            "only q.gguf: a GGUF file is not read; convert it: pip install gguf",
        ),
        (lambda f: (f / "config.json").write_text("{,"), r"config\.json: malformed JSON at line 1, column 2"),
        (lambda f: (f / "config.json").write_text("[]"), r"config\.json holds list, expected an object"),
        (lambda f: (f / "config.json").write_text("[" * 10**5), r"config\.json cannot be read: "),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), r"model\.safetensors is no readable safetensors"),
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-10]),
            r"model\.safetensors is cut off: it has \d+ bytes of \d+",
        ),
        (lambda f: (f / "model.safetensors").rename(f / "m.bin"), "no .safetensors file: other weight formats can run"),
        (lambda f: [path.unlink() for path in f.glob("tokenizer*")], "has no usable tokenizer: none of tokenizer"),
    ],
)
def test_a_folder_without_a_model_is_refused_in_one_line(copy, spoil, words):
    spoil(copy)
    with pytest.raises(InputError, match=words) as refused:
        resolve(str(copy), scale="mini").load(CPU)
    assert "\n" not in str(refused.value)


def write_gguf(base, path):
    """Write a Llama as llama.cpp's converter does: its own names, and the rows of queries and keys in another order."""
    import gguf
    import numpy as np
    from safetensors.torch import load_file

    config, tokenizer = (json.loads((base / f"{name}.json").read_text()) for name in ("config", "tokenizer"))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(512)
    writer.add_embedding_length(48)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10000.0)
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    vocabulary += [f"unused {number}" for number in range(len(vocabulary), 400)]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    pairs = tokenizer["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in pairs])
    writer.add_token_types([3 if word in {"<s>", "</s>", "<pad>", "<image>"} else 1 for word in vocabulary])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "model.layers.": "blk.", "model.embed_tokens": "token_embd", "model.norm": "output_norm",
             "lm_head": "output"}  # fmt: skip
    for name, weight in load_file(base / "model.safetensors").items():
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        if heads:
            rows, columns = weight.shape
            weight = weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, np.ascontiguousarray(weight.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.slow
def test_a_gguf_file_is_refused_with_a_command_that_converts_it(base, tmp_path):
    pytest.importorskip("gguf")
    write_gguf(base, tmp_path / "tiny.gguf")
    for name in (tmp_path / "tiny.gguf", tmp_path):
        with pytest.raises(InputError, match="a GGUF file is not read; convert it: ") as refused:
            resolve(str(name), scale="mini")
    command = str(refused.value).partition("&& ")[2].rpartition("; then --model ")[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, shell=True, check=True, capture_output=True, env={**os.environ, "PATH": path})
    assert logits(tmp_path / "tiny") == pytest.approx(logits(base), abs=1e-5)


# Configurations

ABSURD = {
    "num_hidden_layers": [10**12, -1, 0, 2, 4, "3", 2.5, True],
    "hidden_size": [-4, 0, 64, 10**12, [48], None],
    "vocab_size": [-400, 0, 399, 10**30],
    "intermediate_size": [10**9, 128, -1],
    "num_attention_heads": [0, 7, 10**9],
    "num_key_value_heads": [0, 3],
    "head_dim": [10**9, -12],
    "max_position_embeddings": [10**12, -5],
    "hidden_act": ["no such function"],
    "rms_norm_eps": ["small"],
    "rope_parameters": ["x", {"rope_type": "magic", "rope_theta": 1.0}],
    "pad_token_id": [10**6],
    "dtype": ["float33"],
    "model_type": [7, "llamaa"],
    "architectures": ["LlamaForCausalLM", [3]],
    "quantization_config": [3],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in ABSURD for value in ABSURD[field]])
def test_an_absurd_configuration_is_one_line_that_names_the_field_within_a_second(copy, base, field, value):
    resolve(str(base), scale="mini").load(CPU)  # imports are not what is timed
    change(copy, **{field: value})
    start = time.process_time()
    with pytest.raises(InputError, match=rf"config\.json.*\b{field}\b|{field}") as refused:
        resolve(str(copy), scale="mini").load(CPU)
    assert time.process_time() - start < 1
    assert "\n" not in str(refused.value)


def test_the_same_fields_are_checked_in_a_part_of_a_configuration(tmp_path):
    config = {"model_type": "llava", "text_config": {"num_hidden_layers": 10**12}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"text_config\.num_hidden_layers is 1000000000000, expected at most 10000"):
        read_config(tmp_path)


@pytest.mark.parametrize("name", ["r1", "v2", "v3", "v3-seq2seq", "vl", "r1-moe", "r1-zero"])
def test_every_replica_fits_its_configuration(name):
    from evals.registry import VARIANTS

    assert read_config(Path(resolve(name, scale="mini").checkpoint)), VARIANTS.get(name)


def test_infinity_is_a_value(copy):
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text.replace("{", '{"time_step_limit": [0.0, Infinity],', 1))
    assert read_config(copy)["time_step_limit"] == [0.0, float("inf")]


def test_a_missing_package_is_named_with_its_extra(tmp_path, base):
    """Whole messages on one line: those of the library begin with an empty line and end in advice on notebooks."""
    from evals.models.backend.requirements import missing_packages

    if not missing_packages("torchvision"):
        pytest.skip("torchvision is installed")
    config = {"model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"]}
    processor = {"processor_class": "Qwen2VLProcessor", "image_processor_type": "Qwen2VLImageProcessor"}
    shutil.copy(base / "tokenizer.json", tmp_path)
    for name, content in {"config": config, "processor_config": processor, "preprocessor_config": processor}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as refused:
        resolve(str(tmp_path), scale="mini").load(CPU)
    assert str(refused.value).endswith(
        "it needs torchvision, which is not installed: pip install 'claim-evals[vision]'"
    )


def test_the_base_of_a_public_chat_model_is_counted(command):
    done = command("show-model", "deepseek-ai/DeepSeek-V2-Lite")
    assert done.returncode == 0, done.stderr
    assert "15,706,484,224" in done.stdout


def test_a_cache_and_an_adapter_are_counted(base, tmp_path, command):
    root = cache(base, tmp_path)
    assert "100,944" in command("show-model", root).stdout
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_model.safetensors").touch()
    stated = {"peft_type": "LORA", "base_model_name_or_path": str(base)}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(stated))
    assert "100,944" in command("show-model", tmp_path / "adapter").stdout


def test_a_format_that_the_run_does_not_use_is_stated(copy):
    change(copy, dtype="bfloat16")
    facts = resolve(str(copy), scale="mini").load(CPU).facts
    assert (facts["dtype"], facts["checkpoint_dtype"]) == ("float32", "bfloat16")
