"""BLIP: the library's own answers and embeddings, whatever is in a batch, from checkpoints of one class or of both.

python -m pytest tests/models/families/test_two_streams.py
"""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
import transformers
from checkpoints import two_streams
from model_requests import answers, picture
from PIL import Image as pillow
from safetensors.torch import load_file, save_file

import evals as package
from evals.errors import InputError, LongPromptError, SampleError
from evals.execution.resolve import resolve
from evals.models.families import two_streams as family
from evals.records.embeddings import unpack
from evals.schema import Audio, Choose, Embed, Generate, Image, Placement

QUESTIONS = ["What color is the large circle?", "How many squares are there? 3", "red", "left right yes no there?"]
TEXTS = ["What color is it?\nAnswer:", "red", "How many squares are there?"]
CHOICES = (" yes", " no", " left right")
INSTRUCTION = "Answer the question using a single word or phrase.\n"
KINDS = {
    "answering": [family.ANSWERING],
    "matching": [family.MATCHING],
    "both": [family.ANSWERING, family.MATCHING],
}


def shown(n):
    return Image(f"i{n}", data=picture(n))


def opened(n):
    return pillow.open(io.BytesIO(picture(n)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: two_streams(tmp_path_factory.mktemp(name), *kinds) for name, kinds in KINDS.items()}


@pytest.fixture(scope="module")
def models(folders):
    return {name: family.load(name, str(folder), Placement("cpu")) for name, folder in folders.items()}


def own(folder, kind):
    model = getattr(transformers, kind).from_pretrained(folder).eval()
    return transformers.AutoProcessor.from_pretrained(folder), model


@pytest.mark.parametrize("budget", [1, 120, 10_000])
def test_answers_are_the_librarys_whatever_shares_the_batch(folders, models, budget):
    processor, model = own(folders["answering"], family.ANSWERING)
    asked = [
        Generate(f"{n} {q}", (shown(n), INSTRUCTION, question), 6)
        for n in range(3)
        for q, question in enumerate(QUESTIONS)
    ]
    broken = Generate("broken", (Image("broken", data=b"not a picture"), "red"), 6)
    found = {name: answers(models[name], [*asked, broken], budget) for name in ("answering", "both")}
    said = set()
    for n in range(3):
        for q, question in enumerate(QUESTIONS):
            # One by one: beside others the library lets the decoder look at the padding of the shorter questions.
            encoded = processor(images=opened(n), text=question, return_tensors="pt")
            output = model.generate(**encoded, max_new_tokens=6, do_sample=False)[0, 1:].tolist()
            expected = processor.decode(output[: output.index(1)] if 1 in output else output, skip_special_tokens=True)
            for each in found.values():
                assert each[f"{n} {q}"].output == expected
                assert each[f"{n} {q}"].truncated == (1 not in output)
            said.add(expected)
    assert len(said) > 3
    assert "is not an image" in found["both"]["broken"].failure


@pytest.mark.parametrize("budget", [1, 10_000])
def test_endings_are_weighed_by_the_text_streams_alone(folders, models, budget):
    processor, model = own(folders["answering"], family.ANSWERING)
    asked = [Choose(str(n), ("Say yes.\n", text), CHOICES) for n, text in enumerate(TEXTS)]
    asked.append(Choose("seen", (shown(1), INSTRUCTION, TEXTS[0]), CHOICES))
    found = answers(models["both"], asked, budget)
    pixels = processor(images=opened(1), return_tensors="pt")["pixel_values"]
    for n in ("0", "1", "2", "seen"):
        read = TEXTS[0] if n == "seen" else f"Say yes.\n{TEXTS[int(n)]}"
        ids = processor(text=read, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            looked = model.vision_model(pixels).last_hidden_state if n == "seen" else None
            states = model.text_encoder(ids, encoder_hidden_states=looked).last_hidden_state
            for choice, score in zip(CHOICES, found[n].scores, strict=True):
                ending = processor.tokenizer(choice, add_special_tokens=False)["input_ids"]
                logits = model.text_decoder(torch.tensor([[3, *ending]]), encoder_hidden_states=states).logits[0]
                likely = logits.log_softmax(-1)[range(len(ending)), ending].sum()
                assert score == pytest.approx(float(likely), rel=1e-4)
        assert found[n].output == CHOICES[max(range(3), key=found[n].scores.__getitem__)]


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_embeddings_are_as_near_as_the_library_says(folders, models, budget):
    asked = [Embed(f"i{n}", (shown(n),)) for n in range(3)] + [Embed(f"t{n}", (t,)) for n, t in enumerate(TEXTS)]
    for name in ("matching", "both"):
        processor, model = own(folders[name], family.MATCHING)
        found = answers(models[name], asked, budget)
        rows = {key: torch.tensor(unpack(one.output)) for key, one in found.items()}
        for n in range(3):
            for t, text in enumerate(TEXTS):
                encoded = processor(images=opened(n), text=text, return_tensors="pt")
                with torch.no_grad():
                    expected = float(model(**encoded, use_itm_head=False).itm_score)
                near = torch.nn.functional.cosine_similarity(rows[f"i{n}"], rows[f"t{t}"], dim=0)
                assert float(near) == pytest.approx(expected, abs=1e-4)


def test_both_classes_have_the_same_streams(models):
    answering, matching = (models["both"].models[kind] for kind in (family.ANSWERING, family.MATCHING))
    assert answering.text_encoder is matching.text_encoder
    assert answering.vision_model is matching.vision_model
    beside = sum(
        one.numel() for name in ("vision_proj", "text_proj", "itm_head") for one in getattr(matching, name).parameters()
    )
    assert models["both"].facts["parameters"] == models["answering"].facts["parameters"] + beside
    assert models["both"].abilities == {"generate", "choose", "embed"}
    assert models["matching"].abilities == {"embed"}


def test_a_checkpoint_of_one_class_refuses_what_the_other_does(folders, tmp_path):
    with pytest.raises(InputError, match=r"needs a model that can generate; .* can: embed"):
        package.run(str(folders["matching"]), "vqa", limit=2, device="cpu", out=tmp_path / "run")
    with pytest.raises(InputError, match=r"needs a model that can embed; .* can: choose, generate"):
        package.run(str(folders["answering"]), "retrieval", limit=2, device="cpu", out=tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_weights_that_are_missing_are_named(folders, tmp_path):
    for path in folders["both"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = load_file(tmp_path / "model.safetensors")
    for lost, message in (("vision_proj.bias", "lacks 1 weights, the first being vision_proj.bias"),
                       ("text_encoder.encoder.layer.0.crossattention.self.key.bias", "lacks 1 weights")):  # fmt: skip
        save_file({name: w for name, w in whole.items() if name != lost}, tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=message):
            family.load("tiny", str(tmp_path), Placement("cpu"))
    streams = {name: w for name, w in whole.items() if name.startswith("vision_model.")}
    save_file(streams, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="holds no text_decoder"):
        family.load("tiny", str(tmp_path), Placement("cpu"))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="is no readable safetensors file"):
        family.load("tiny", str(tmp_path), Placement("cpu"))


def test_a_long_text_is_cut_and_says_so(models):
    long = "How many squares are there? " * 12
    asked = [
        Generate("a", (shown(0), long), 2),
        Choose("b", (long,), CHOICES),
        Embed("c", (long,)),
        Embed("d", ("red",)),
    ]
    found = answers(models["both"], asked, 1)
    assert [found[id].truncated for id in "bcd"] == [True, True, False]
    assert [found[id].prompt_tokens for id in "abc"] == [17 + 40, 40, 40]
    shorter = replace(asked[2], parts=("How many squares are there? " * 6,))
    assert answers(models["both"], [shorter], 1)["c"].output == found["c"].output


def test_what_the_family_does_not_read_fails_alone(models):
    model = models["both"]
    for parts, message in (
        ((shown(0), shown(1), "red"), "2 images"),
        ((Audio("a", data=b""), "red"), "has audio"),
        ((shown(0),), "no text"),
    ):
        with pytest.raises(SampleError, match=message):
            model.prepare(Generate("x", parts, 2))
    with pytest.raises(SampleError, match="not a single image or text"):
        model.prepare(Embed("x", ("two", "texts")))


def test_draws_depend_on_the_request_alone(models):
    asked = [Generate(str(n), (shown(n % 2), "red"), 6, temperature=3.0, seed=1) for n in range(4)]
    assert answers(models["both"], asked, 100) == answers(models["both"], asked, 10_000)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_folder_is_told_by_its_configuration(folders, name):
    assert resolve(str(folders[name]), scale="mini").family.name == "two_streams"


def test_an_answer_that_may_be_longer_than_the_decoder_is_a_failure_that_says_so(folders):
    model = family.load("tiny", str(folders["answering"]), Placement("cpu"))
    positions = model.models[family.ANSWERING].config.text_config.max_position_embeddings
    model.prepare(Generate("7", ("What color?",), positions))
    with pytest.raises(LongPromptError, match=f"needs {positions + 1} new tokens; the model has {positions} positions"):
        model.prepare(Generate("7", ("What color?",), positions + 1))
