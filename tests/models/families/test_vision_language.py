"""The vision-language family on small random checkpoints: sharing and batching never change an answer."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import checkpoints
import pytest
import vision_checkpoints
import vision_reference
from commands import ROOT
from PIL import Image as Picture

from evals import Generate, Image, InputError, SampleError
from evals.execution.batching import plan
from evals.models.backend.pytorch import split_when_full
from evals.models.families import vision_language
from evals.schema import Batch, Group, Placement, Prediction, Prompt

CPU = Placement(device="cpu")
QUESTIONS = ["What color is the circle?", "How many squares are there in the picture?", "yes or no", "left"]


def picture(number: int) -> Image:
    data = io.BytesIO()
    Picture.linear_gradient("L").rotate(40 * number).convert("RGB").resize((40 + number, 30)).save(data, "PNG")
    return Image(key=str(number), data=data.getvalue())


def requests(count: int = 5) -> list[Generate]:
    return [
        Generate(f"{image}-{n}", (picture(image), "Answer shortly.\n", question), max_new_tokens=3 + n, stop=("\n",))
        for image in range(count)
        for n, question in enumerate(QUESTIONS)
    ]


@pytest.fixture(scope="module", params=["deepseek_vl", "deepseek_vl_hybrid", "no template"])
def folder(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    if request.param == "deepseek_vl_hybrid":
        return checkpoints.deepseek_vl_hybrid(folder)
    return checkpoints.deepseek_vl(folder, template=request.param == "deepseek_vl")


def answers(model, asked, budget, share=True):
    prompts = [model.prepare(request) for request in asked]
    found = {}
    for batch in plan(prompts, budget, share=share):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = (prediction.output, prediction.truncated, prediction.failure, prediction.new_tokens)
    return found


def by_the_library(folder, request):
    """The library's own `generate`, one prompt at a time: the independent reference."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    image, *texts = request.parts
    text = "<image>" + "".join(texts)
    if processor.chat_template is not None:
        text = f"User: {text}\n\nAssistant:"
    opened = Picture.open(io.BytesIO(image.data))
    encoded = processor(text=text, images=[opened], return_tensors="pt")
    output = model.generate(**encoded, max_new_tokens=request.max_new_tokens, do_sample=False)
    new = output[0, encoded["input_ids"].shape[1] :]
    return processor.tokenizer.decode(new, skip_special_tokens=True).split("\n")[0]


@pytest.mark.slow
def test_answers_are_the_librarys_at_every_budget_shared_or_not(folder):
    model = vision_language.load("tiny", str(folder), CPU)
    asked = requests()
    alone = answers(model, asked, budget=1)
    for budget in (100, 400, 100_000):
        assert answers(model, asked, budget) == alone
        assert answers(model, asked, budget, share=False) == alone
    for request in asked[::7]:
        assert alone[request.id][0] == by_the_library(folder, request)
    assert len({output for output, *_ in alone.values()}) > 5, "the checkpoint answers everything alike: no test"


def test_a_picture_is_computed_once_for_its_questions(folder, monkeypatch):
    model = vision_language.load("tiny", str(folder), CPU)
    prompts = [model.prepare(request) for request in requests()]
    (batch,) = plan(prompts, 100_000)
    assert [len(group.members) for group in batch.groups] == [len(QUESTIONS)] * 5
    assert all(group.shared > 16 for group in batch.groups), "the picture and the instruction are shared"
    staged = model.stage(prompts, batch)
    assert [tuple(inputs["pixel_values"].shape[:2]) for inputs in staged] == [(1, 3)] * 5


def test_an_unreadable_picture_fails_its_questions_alone(tmp_path):
    model = vision_language.load("tiny", str(checkpoints.deepseek_vl(tmp_path)), CPU)
    broken = Image("broken", data=b"no picture at all")
    asked = [*requests(2), Generate("x", (broken, "What?"), 4), Generate("y", (broken, "Why?"), 4)]
    found = answers(model, asked, 100_000)
    good = answers(model, requests(2), 100_000)
    assert {id: found[id] for id in good} == good
    assert found["x"][0] is None
    assert "broken" in found["x"][2]
    assert "broken" in found["y"][2]


def test_out_of_memory_halves_the_batch_down_to_the_culprit():
    import torch

    seen = []

    def act(batch, staged):
        seen.append(batch.members)
        if 3 in batch.members:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [f"{member} with {own}" for member, own in zip(batch.members, "".join(staged), strict=False)]

    batch = Batch((Group(0, (0, 1)), Group(0, (2, 3)), Group(0, (4,))))
    prompts = [Prompt(Generate(str(n), ("text",), 1), n, (0,), 1) for n in range(5)]
    found = split_when_full(prompts, batch, ["aa", "bb", "c"], act)
    assert found[3] == Prediction("3", failure="out of memory, alone in its batch")
    assert len(found) == 5
    assert seen[0] == (0, 1, 2, 3, 4)


def test_other_errors_are_not_taken_for_memory():
    def act(batch, staged):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        split_when_full([], Batch((Group(0, (0,)),)), [""], act)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("model.safetensors", "no .safetensors file"),
        ("tokenizer.json", "no usable processor"),
        ("processor_config.json", "processor"),
    ],
)
def test_a_checkpoint_that_lacks_a_file_is_named(tmp_path, remove, message):
    checkpoints.deepseek_vl(tmp_path)
    (tmp_path / remove).unlink()
    with pytest.raises(InputError, match=message) as caught:
        vision_language.load("tiny", str(tmp_path), CPU)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("placement", [Placement(device="abacus"), Placement(device="cpu", dtype="int3")])
def test_a_place_that_is_not_there_is_refused(tmp_path, placement):
    with pytest.raises(InputError, match="--d"):
        vision_language.load("tiny", str(checkpoints.deepseek_vl(tmp_path)), placement)


def test_a_request_of_another_kind_is_a_failure_of_its_sample(tmp_path):
    from evals import Choose

    model = vision_language.load("tiny", str(checkpoints.deepseek_vl(tmp_path)), CPU)
    with pytest.raises(SampleError, match="choose"):
        model.prepare(Choose("x", ("text",), ("a", "b")))


@pytest.mark.gpu
def test_a_gpu_gives_the_cpus_answers(tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    folder = checkpoints.deepseek_vl(tmp_path)
    on_cpu = answers(vision_language.load("tiny", str(folder), CPU), requests(), 400)
    on_gpu = answers(vision_language.load("tiny", str(folder), Placement("cuda", "float32")), requests(), 400)
    same = sum(on_cpu[id] == on_gpu[id] for id in on_cpu)
    assert same >= 0.95 * len(on_cpu), "float32 kernels differ in the last digits, so a near tie may flip"


@pytest.mark.slow
def test_architectures_without_sharing_go_through_the_librarys_loop_and_answer_alike(tmp_path, monkeypatch):
    folder = checkpoints.deepseek_vl(tmp_path)
    shared = answers(vision_language.load("tiny", str(folder), CPU), requests(2), 400)
    monkeypatch.setattr(vision_language, "SHARING", frozenset())
    plain = vision_language.load("tiny", str(folder), CPU)
    assert not plain.facts["shares_prefixes"]
    assert answers(plain, requests(2), 400) == shared


def test_a_question_that_holds_the_placeholder_fails_alone(tmp_path):
    model = vision_language.load("tiny", str(checkpoints.deepseek_vl(tmp_path)), CPU)
    with pytest.raises(SampleError, match="placeholder"):
        model.prepare(Generate("x", (picture(1), "What is <image>?"), 4))


def test_one_long_question_beside_two_of_another_picture(tmp_path):
    model = vision_language.load("tiny", str(checkpoints.deepseek_vl(tmp_path)), CPU)
    long = "What " + "very " * 40 + "long question is this?"
    asked = [Generate("a", (picture(1), "Answer.\n", long), 16)]
    asked += [Generate(name, (picture(2), "Answer.\n", name + long), 16) for name in "bc"]
    assert answers(model, asked, 100_000) == answers(model, asked, 1)


@pytest.mark.slow
def test_drawn_answers_differ_by_seed_and_not_by_decoder(tmp_path, monkeypatch):
    folder = checkpoints.deepseek_vl(tmp_path)
    asked = [[replace(request, temperature=2.0, seed=seed) for request in requests(1)] for seed in (1, 2)]
    model = vision_language.load("tiny", str(folder), CPU)
    assert answers(model, asked[0], 400) != answers(model, asked[1], 400)
    assert answers(model, asked[0], 400) == answers(model, asked[0], 1)
    monkeypatch.setattr(vision_language, "SHARING", frozenset())
    alone = answers(vision_language.load("tiny", str(folder), CPU), asked[0], 400)
    assert alone == answers(model, asked[0], 400)


@pytest.mark.parametrize("kind", ["blip", "blip2"])
def test_a_processor_without_a_placeholder_is_refused_in_one_line(shared_data, kind):
    folder = shared_data.parent / "cases" / "checkpoints" / "09-families" / kind
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    with pytest.raises(InputError, match="marks images in a prompt in a way of its own"):
        vision_language.load("tiny", str(folder), Placement(device="cpu"))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # PaliGemma's processor
@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(vision_checkpoints.BUILDERS))
def test_an_architecture_answers_as_the_library_alone_in_every_batch(tmp_path, kind):
    with vision_checkpoints.images_only():
        folder = vision_checkpoints.BUILDERS[kind](tmp_path)
        model = vision_language.load(kind, str(folder), CPU)
        asked = vision_reference.requests(without_images=kind not in vision_checkpoints.NEEDS_AN_IMAGE)
        alone = vision_reference.library_outputs(folder, asked)
        assert len(set(alone.values())) > len(alone) / 2, "the checkpoint answers everything alike: no test"
        for budget in (1, 300, 100_000):
            assert vision_reference.outputs(model, asked, budget) == alone
        if model.shares_prefixes:
            assert vision_reference.outputs(model, asked, 300, share=False) == alone


@pytest.mark.parametrize("kind", ["llava", "gemma3"])
@pytest.mark.slow
def test_an_image_is_preprocessed_once_and_never_by_the_device_loop(tmp_path, kind, monkeypatch):
    model = vision_language.load(kind, str(vision_checkpoints.BUILDERS[kind](tmp_path)), CPU)
    calls = []
    processor = type(model.processor.library.image_processor)
    preprocess = processor.preprocess
    monkeypatch.setattr(processor, "preprocess", lambda *args, **kwargs: calls.append(1) or preprocess(*args, **kwargs))
    prompts = [model.prepare(request) for request in vision_reference.requests(several=False, without_images=False)]
    batches = plan(prompts, 100_000)
    staged = [model.stage(prompts, batch) for batch in batches]
    assert len(calls) == len(prompts)
    for batch, inputs in zip(batches, staged, strict=True):
        model.run(prompts, batch, inputs)
    assert len(calls) == len(prompts)


@pytest.mark.parametrize("kind", ["qwen2_vl", "smolvlm"])
def test_a_processor_that_needs_a_package_names_the_extra_in_one_line(tmp_path, kind):
    if importlib.util.find_spec("torchvision") is not None:
        pytest.skip("torchvision is installed")
    with vision_checkpoints.images_only():
        vision_checkpoints.BUILDERS[kind](tmp_path)
    video = {"qwen2_vl": "Qwen2VLVideoProcessor", "smolvlm": "SmolVLMVideoProcessor"}[kind]
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"video_processor_type": video}))
    with pytest.raises(InputError) as refusal:
        vision_language.load(kind, str(tmp_path), CPU)
    assert re.search(r"it needs .*torchvision, which is not installed: pip install '.*\[vision\]'$", str(refusal.value))


@pytest.mark.parametrize("kind", ["llava", "gemma3"])
def test_a_text_with_a_placeholder_fails_alone_in_every_architecture(tmp_path, kind):
    model = vision_language.load(kind, str(vision_checkpoints.BUILDERS[kind](tmp_path)), CPU)
    with pytest.raises(SampleError, match="placeholder"):
        model.prepare(Generate("x", ("What is " + model.processor.library.image_token + "?",), 4))
    assert model.prepare(Generate("y", ("What is an image?",), 4)).tokens


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # PaliGemma's processor
def test_a_prompt_that_its_processor_rejects_is_a_failure_of_its_sample(tmp_path):
    model = vision_language.load("paligemma", str(vision_checkpoints.paligemma(tmp_path)), CPU)
    answers = vision_reference.outputs(model, vision_reference.requests(several=False), 100_000)
    assert answers["text"].startswith("failed: a prompt without images is rejected by the processor")
    assert not answers["one-0-0"].startswith("failed")


def test_the_documented_table_says_how_each_architecture_runs():
    documented = dict(re.findall(r"^\| ([\w.-]+) \| (shared|batched) \|", (ROOT / "docs/models.md").read_text(), re.M))
    batched = vision_language.BATCHED - vision_language.SHARING
    assert documented == dict.fromkeys(vision_language.SHARING, "shared") | dict.fromkeys(batched, "batched")
    assert set(documented) == set(vision_checkpoints.BUILDERS), "an architecture is trusted that no test compares"
