"""Dual encoders: the library's own features, whatever is in a batch; limits of texts; pictures that cannot be read.

python -m pytest tests/models/families/test_dual_encoder.py
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import transformers
from checkpoints import deepseek_vl, dual_encoder
from model_requests import answers, picture
from PIL import Image as pillow
from retrieval_reference import brute_force

import evals as package
from evals.errors import InputError
from evals.execution.resolve import resolve
from evals.models.families import dual_encoder as family
from evals.models.families import vision_language
from evals.records.embeddings import unpack
from evals.schema import Embed, Generate, Image, Options, Placement, Sample
from evals.tasks import retrieval

TEXTS = ["What color is the large circle?", "red", "How many squares are there? " * 12, "left right yes no"]


def requests():
    shown = [Embed(f"i{n}", (Image(f"i{n}", data=picture(n)),)) for n in range(3)]
    broken = Embed("broken", (Image("broken", data=b"not a picture"),))
    return [*shown, broken, *(Embed(f"t{n}", (text,)) for n, text in enumerate(TEXTS))]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def checkpoint(request, tmp_path_factory):
    return dual_encoder(tmp_path_factory.mktemp(request.param), request.param)


def test_embeddings_are_the_librarys_whatever_shares_the_batch(checkpoint):
    model = family.load("tiny", str(checkpoint), Placement("cpu"))
    processor = transformers.AutoProcessor.from_pretrained(checkpoint)
    own = transformers.AutoModel.from_pretrained(checkpoint).eval()
    for budget in (1, 60, 10_000):
        found = answers(model, requests(), budget)
        for n in range(3):
            inputs = processor(images=pillow.open(io.BytesIO(picture(n))), return_tensors="pt")
            expected = own.get_image_features(**inputs).pooler_output[0].detach()
            torch.testing.assert_close(torch.tensor(unpack(found[f"i{n}"].output)), expected, rtol=1e-4, atol=1e-5)
        for n, text in enumerate(TEXTS):
            inputs = processor(text=[text], padding="max_length", truncation=True, max_length=24, return_tensors="pt")
            if own.config.model_type == "siglip":  # the public tokenizers give no mask: padding is read too
                del inputs["attention_mask"]
            expected = own.get_text_features(**inputs).pooler_output[0].detach()
            torch.testing.assert_close(torch.tensor(unpack(found[f"t{n}"].output)), expected, rtol=1e-4, atol=1e-5)


def test_a_long_text_is_cut_at_the_tokenizers_limit_and_says_so(checkpoint):
    found = answers(family.load("tiny", str(checkpoint), Placement("cpu")), requests(), 500)
    assert [found[f"t{n}"].truncated for n in range(4)] == [False, False, True, False]
    assert found["t2"].prompt_tokens == 24
    assert "is not an image" in found["broken"].failure
    assert found["i0"].failure is None


def test_what_is_no_picture_or_text_alone_is_refused(checkpoint):
    model = family.load("tiny", str(checkpoint), Placement("cpu"))
    for request in (Generate("a", ("text",), 5), Embed("b", ("two", "texts"))):
        with pytest.raises(package.EvalsError, match="not a single image or text"):
            model.prepare(request)


def test_a_folder_is_told_by_its_configuration(checkpoint, tmp_path):
    assert resolve(str(checkpoint), scale="mini").family.name == "dual_encoder"
    with pytest.raises(InputError, match="usable processor"):
        family.load("empty", str(tmp_path), Placement("cpu"))


def test_a_vision_language_model_embeds_at_the_end_of_its_prompt(tmp_path):
    folder = deepseek_vl(tmp_path)
    model = vision_language.load("tiny", str(folder), Placement("cpu"))
    processor = transformers.AutoProcessor.from_pretrained(folder)
    own = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()
    for budget in (1, 10_000):
        found = answers(model, requests(), budget)
        for n in range(3):
            text = "User: <image>\nIn one word:\nAssistant:"
            inputs = processor(text=text, images=pillow.open(io.BytesIO(picture(n))), return_tensors="pt")
            expected = own(**inputs, output_hidden_states=True).hidden_states[-1][0, -1].detach()
            torch.testing.assert_close(torch.tensor(unpack(found[f"i{n}"].output)), expected, rtol=1e-3, atol=1e-4)
        inputs = processor(text=f"User: {TEXTS[0]}\nIn one word:\nAssistant:", return_tensors="pt")
        expected = own(**inputs, output_hidden_states=True).hidden_states[-1][0, -1].detach()
        torch.testing.assert_close(torch.tensor(unpack(found["t0"].output)), expected, rtol=1e-3, atol=1e-4)
        assert "is not an image" in found["broken"].failure


@pytest.mark.slow
def test_a_model_that_shares_nothing_embeds_the_same(tmp_path, monkeypatch):
    folder = deepseek_vl(tmp_path)
    shared = answers(vision_language.load("tiny", str(folder), Placement("cpu")), requests(), 500)
    monkeypatch.setattr(vision_language, "SHARING", frozenset())
    plain = answers(vision_language.load("tiny", str(folder), Placement("cpu")), requests(), 500)
    assert plain["broken"].failure == shared["broken"].failure
    for id in (*(f"i{n}" for n in range(3)), *(f"t{n}" for n in range(len(TEXTS)))):
        assert np.allclose(unpack(plain[id].output), unpack(shared[id].output), rtol=1e-3, atol=1e-4)


def vectors_of(model, data, samples: list[Sample]):
    """Embeddings by the library alone, a picture and a text at a time."""
    processor = transformers.AutoProcessor.from_pretrained(model)
    own = transformers.AutoModel.from_pretrained(model).eval()
    found = {}
    with torch.inference_mode():
        for sample in samples:
            shown = processor(images=pillow.open(sample.requests[0].parts[0].path).convert("RGB"), return_tensors="pt")
            found[sample.id] = own.get_image_features(**shown).pooler_output[0].numpy()
            told = processor(text=sample.target, padding=True, truncation=True, max_length=24, return_tensors="pt")
            for n, row in enumerate(own.get_text_features(**told).pooler_output):
                found[f"{sample.id}#{n}"] = row.numpy()
    return found.__getitem__


@pytest.mark.slow
def test_a_random_clip_on_all_of_real_flickr8k_equals_brute_force(shared_data, tmp_path):
    data = shared_data / "flickr8k"
    folder = dual_encoder(tmp_path / "clip", seed=3)
    record = package.run(str(folder), "retrieval", data=data, out=tmp_path / "run", device="cpu")
    samples = list(retrieval.samples(Options(data=data)))
    expected = brute_force(samples, vectors_of(folder, data, samples))
    metrics = record.result["metrics"]
    assert {name: metrics[name]["value"] for name in expected if "recall" in name} == pytest.approx(
        {name: value for name, value in expected.items() if "recall" in name}, abs=2e-3
    )
    assert [metrics["image-to-text/recall@1"]["n"], metrics["text-to-image/recall@1"]["n"]] == [1000, 5000]
    truncated = metrics["truncated-captions"]
    assert truncated["value"] > record.result["truncated"] > 0  # captions, and the pictures that have such
    assert truncated["n"] == 5000
    assert package.score(tmp_path / "run").result["metrics"] == metrics


@pytest.mark.slow
def test_a_random_clip_on_real_coco_runs_as_custom(shared_data, tmp_path):
    folder = dual_encoder(tmp_path / "clip")
    record = package.run(str(folder), "retrieval", data=shared_data / "coco", out=tmp_path / "run", device="cpu")
    assert record.manifest["data"]["protocol"] == "custom"
    assert [record.result["n"], record.result["failed"]] == [159, 0]  # one of the pictures is grey
