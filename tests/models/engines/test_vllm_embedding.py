"""Text encoders in vLLM against the library's, on a CPU; what was not compared is refused without it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import checkpoints
import numpy as np
import pytest

from evals import InputError
from evals.execution.batching import plan
from evals.models.engines import vllm_embedding
from evals.models.families import encoder
from evals.records.embeddings import unpack
from evals.schema import Embed, Placement

TEXTS = ["What color is the large circle?", "red", "How many squares are there? There are three.", "no " * 20, "?"]
VLLM = Placement("cpu", engine="vllm")


def vectors(model, budget):
    prompts = [model.prepare(Embed(str(number), (text,))) for number, text in enumerate(TEXTS)]
    predictions = [
        prediction
        for batch in plan(prompts, budget)
        for prediction in model.run(prompts, batch, model.stage(prompts, batch))
    ]
    return np.stack([unpack(each.output) for each in sorted(predictions, key=lambda each: int(each.id))])


def folder_of(home: Path, kind: str, *modules: str) -> Path:
    """A sentence-transformers folder with heads of 32 values, as vLLM's kernels for CPUs need them."""
    import torch
    from transformers import AutoModel

    torch.manual_seed(0)
    AutoModel.from_config(checkpoints.config_of(kind, hidden_size=128)).save_pretrained(home)
    checkpoints.pair_tokenizer(home, types=kind == "bert").save_pretrained(home)
    kinds = ["Transformer", "Pooling", *modules]
    paths = ["", *(f"{n}_{name}" for n, name in enumerate(kinds) if n)]
    listed = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{name}"}
        for n, (name, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (home / "modules.json").write_text(json.dumps(listed))
    for n, name in enumerate(kinds[1:], 1):
        (home / f"{n}_{name}").mkdir()
    pooling = {
        "word_embedding_dimension": 128,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": kind == "bert",
    }
    (home / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return home


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed")
@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_vectors_are_those_of_the_library(tmp_path, kind):
    folder = folder_of(tmp_path, kind, "Normalize")
    expected = vectors(encoder.load("x", str(folder), Placement("cpu")), 10_000)
    model = encoder.load("x", str(folder), VLLM)
    for budget in (1, 10_000):
        assert vectors(model, budget) == pytest.approx(expected, abs=1e-5)
    assert (model.facts["engine"], model.facts["attention"], model.facts["normalised"]) == ("vllm", "CPU_ATTN", True)


def test_what_was_not_compared_is_refused(tmp_path):
    request = Embed("1", ("red",))
    dense = folder_of(tmp_path / "dense", "bert")
    vllm_embedding.check_request(dense, VLLM, request)
    listed = json.loads((dense / "modules.json").read_text())
    listed.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (dense / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(InputError, match=r"a linear layer after the pooling.*--engine transformers can"):
        vllm_embedding.check_request(dense, VLLM, request)
    vllm_embedding.check_request(dense, Placement("cpu"), request)
    roberta = folder_of(tmp_path / "roberta", "roberta")
    with pytest.raises(InputError, match=r"embeddings of RobertaModel were not compared.*BertModel, Qwen2Model"):
        vllm_embedding.check_request(roberta, VLLM, request)
