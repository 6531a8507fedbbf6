"""The mixture family on a small random checkpoint: what it reads, what it refuses, and how many experts work.

pytest tests/models/families/test_mixture.py
"""

from __future__ import annotations

import io
import wave

import checkpoints
import numpy as np
import pytest
from PIL import Image as Picture

from evals import Choose, Embed, Generate, Image, InputError, SampleError, registry
from evals.execution.batching import plan
from evals.execution.resolve import resolve
from evals.models.backend import size
from evals.models.families import causal, mixture
from evals.records.embeddings import unpack
from evals.registry import VARIANTS
from evals.schema import Audio, ExpertSchedule, Placement
from evals.timing.load_replay import LoadReplay, replay

CPU = Placement(device="cpu")
ASKED = "Answer shortly.\n"

registry.discover()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints.mixture(tmp_path_factory.mktemp("mixture"))


@pytest.fixture(scope="module")
def model(folder):
    return mixture.load("tiny", str(folder), CPU)


def picture(number):
    file = io.BytesIO()
    Picture.linear_gradient("L").rotate(40 * number).convert("RGB").resize((20, 16)).save(file, "PNG")
    return Image(f"picture {number}", data=file.getvalue())


def sound(number, *, seconds=0.3, rate=8000, blind=False):
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        samples = 9000 * np.sin(np.arange(round(seconds * rate)) * (300 + 200 * number) * 2 * np.pi / rate)
        written.writeframes(samples.astype("<i2").tobytes())
    return Audio(f"sound {number}", data=file.getvalue(), blind=blind)


def generates():
    shown = [(picture(0),), (sound(0),), (picture(1), sound(1)), (sound(2), picture(2)), ()]
    return [
        Generate(f"{place}-{n}", (*parts, ASKED, question), max_new_tokens=3 + n, stop=("\n",))
        for place, parts in enumerate(shown)
        for n, question in enumerate(["What color is the circle?", "yes or no"])
    ]


def answers(model, asked, budget, share=True):
    prompts = [model.prepare(request) for request in asked]
    found = {}
    for batch in plan(prompts, budget, share=share):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = prediction
    return found


def by_the_model(folder, request):
    """The library's own `generate` on tensors that are put together here: the independent reference."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    pieces = [
        "<image>" * 4 if isinstance(part, Image) else "<pad>" * 5 if isinstance(part, Audio) else part
        for part in request.parts
    ]
    inputs = {
        "input_ids": processor.tokenizer(f"User: {''.join(pieces)}\nAssistant:", return_tensors="pt")["input_ids"]
    }
    for part in request.parts:
        if isinstance(part, Image):
            opened = Picture.open(io.BytesIO(part.data))
            inputs["pixel_values"] = processor.image_processor(images=[opened], return_tensors="pt")["pixel_values"]
        if isinstance(part, Audio):
            with wave.open(io.BytesIO(part.data)) as file:
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
            inputs["input_features"] = processor.feature_extractor([samples])["input_features"]
    tokens = inputs.pop("input_ids")
    for _ in range(request.max_new_tokens):
        with torch.no_grad():
            new = model(tokens, use_cache=False, **inputs).logits[0, -1].argmax()
        if int(new) == processor.tokenizer.eos_token_id:
            break
        tokens = torch.cat([tokens, new.view(1, 1)], 1)
    start = len(processor.tokenizer(f"User: {''.join(pieces)}\nAssistant:")["input_ids"])
    return processor.tokenizer.decode(tokens[0, start:], skip_special_tokens=True).split("\n")[0]


@pytest.mark.slow
def test_answers_are_the_models_at_every_budget_shared_or_not(model, folder):
    asked = generates()
    alone = {id: found.output for id, found in answers(model, asked, budget=1).items()}
    for share in (True, False):
        assert {id: found.output for id, found in answers(model, asked, 100_000, share).items()} == alone
    for request in asked:
        assert alone[request.id] == by_the_model(folder, request), request.id
    assert len(set(alone.values())) > 4, "the checkpoint answers everything alike: no test"


def test_endings_are_weighed_as_the_model_weighs_them(model, folder):
    import torch
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    asked = [Choose(str(n), (f"How many {n} squares", " are there?"), (" yes", " no", " left right")) for n in range(3)]
    found = answers(model, asked, budget=10_000)
    words, library = AutoTokenizer.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)
    for request in asked:
        weighed = []
        for choice in request.choices:
            tokens = words("".join(request.parts) + choice, return_tensors="pt")["input_ids"]
            start = len(words("".join(request.parts))["input_ids"])
            with torch.no_grad():
                likely = library(tokens, use_cache=False).logits[0].log_softmax(-1)
            weighed.append(sum(float(likely[at - 1, tokens[0, at]]) for at in range(start, tokens.shape[1])))
        assert found[request.id].scores == pytest.approx(weighed, abs=1e-4)
        assert found[request.id].output == request.choices[int(np.argmax(weighed))]


def test_pictures_recordings_and_texts_have_vectors_of_one_width(model):
    asked = [Embed("a", (picture(0),)), Embed("b", (sound(0),)), Embed("c", ("a red circle",)), Embed("d", (sound(1),))]
    vectors = [unpack(answers(model, asked, budget=10_000)[id].output) for id in "abcd"]
    assert {vector.shape for vector in vectors} == {(48,)}
    assert not np.allclose(vectors[1], vectors[3])


def test_silence_is_heard_as_silence(model):
    asked = [Embed("a", (sound(0),)), Embed("b", (sound(0, blind=True),)), Embed("c", (sound(1, blind=True),))]
    heard, *silent = (unpack(answers(model, [one], budget=10_000)[one.id].output) for one in asked)
    assert np.allclose(*silent)
    assert not np.allclose(heard, silent[0])


def test_a_recording_at_another_rate_is_heard_alike(model):
    asked = [Embed(str(rate), (sound(0, rate=rate),)) for rate in (8000, 16_000)]
    low, high = (unpack(answers(model, [one], budget=10_000)[one.id].output) for one in asked)
    assert np.corrcoef(low, high)[0, 1] > 0.99


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Choose("7", (picture(0), "or"), (" yes", " no")), "7 has image"),
        (Generate("7", ("what is <pad>?",), 3), "audio placeholder <pad>"),
        (Generate("7", ("what is <image>?",), 3), "image placeholder <image>"),
    ],
)
def test_what_it_cannot_read_is_named(model, request_, words):
    with pytest.raises(SampleError, match=words):
        model.prepare(request_)


def test_a_recording_that_is_too_long_fails_alone(model):
    asked = [Generate("long", (sound(0, seconds=0.5), ASKED), 3), Generate("short", (sound(1), ASKED), 3)]
    found = answers(model, asked, budget=10_000)
    assert "0.50 seconds long" in found["long"].failure
    assert found["short"].failure is None


# How many experts work


@pytest.mark.parametrize("experts", [None, 1, 2, 4, 8])
def test_as_many_experts_run_as_are_asked_for(folder, experts, monkeypatch):
    """Counted where they run: in the rows of the layers' own matrix products."""
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Experts

    model = mixture.load("tiny", str(folder), Placement(device="cpu", experts=experts))
    wanted = 2 if experts is None else experts
    assert model.facts["experts_per_token"] == wanted
    ran = []
    forward = DeepseekV3Experts.forward

    def counting(self, states, chosen, weights):
        ran.append((chosen.shape, len({tuple(sorted(set(row))) for row in chosen.tolist()})))
        assert all(len(set(row)) == wanted for row in chosen.tolist())
        return forward(self, states, chosen, weights)

    monkeypatch.setattr(DeepseekV3Experts, "forward", counting)
    answers(model, generates()[:1], budget=10_000)
    assert ran
    assert all(shape[1] == wanted for shape, _ in ran)


@pytest.mark.slow
def test_more_experts_change_what_is_computed(folder):
    vectors = []
    for experts in (1, 8):
        model = mixture.load("tiny", str(folder), Placement(device="cpu", experts=experts))
        vectors.append(unpack(answers(model, [Embed("a", ("yes",))], budget=100)["a"].output))
    assert not np.allclose(*vectors)


def test_experts_that_are_not_there_are_refused(folder, tmp_path):
    from evals.models.families import causal

    for experts in (0, 9):
        with pytest.raises(InputError, match=f"layers of 8 experts: it cannot use {experts}"):
            mixture.load("tiny", str(folder), Placement(device="cpu", experts=experts))
    dense = checkpoints.language_model(tmp_path, "llama")
    with pytest.raises(InputError, match="is not a mixture of experts"):
        causal.load("dense", str(dense), Placement(device="cpu", experts=2))


def test_rows_of_the_table_choose_experts(folder):
    assert resolve("r1-moe", scale="mini", checkpoint=str(folder)).experts is None
    for experts in (2, 4, 16, 64):
        assert VARIANTS.get(f"r1-moe@{experts}").details["experts"] == experts
    model = resolve("r1-moe@4", scale="mini", checkpoint=str(folder)).load(CPU)
    assert model.facts["experts_per_token"] == 4


def test_experts_follow_the_queue(folder):
    from evals.models.architectures import experts

    assert resolve("r1-moe@queue", scale="mini").experts.numbers == (64, 8, 4, 2)
    with pytest.raises(InputError, match="layers of 8 experts: it cannot use 64"):
        resolve("r1-moe@queue", scale="mini", checkpoint=str(folder)).load(CPU)
    schedule = ExpertSchedule(((0, 8), (1, 4), (3, 2)))
    model = mixture.load("tiny", str(folder), Placement(device="cpu", experts=8, schedule=schedule))
    assert model.facts["experts_by_queue"] == {"0": 8, "1": 4, "3": 2}
    for waiting, number in ((0, 8), (1, 4), (2, 4), (3, 2), (99, 2), (0, 8)):
        assert model.adapt(waiting) == number
        assert {router.top_k for router in experts.routers(model.model)} == {number}


def test_a_busy_server_computes_with_fewer_experts(folder):
    """Six requests arrive at once: while five wait, two experts are active; the last ones get more."""
    schedule = ExpertSchedule(((0, 8), (1, 4), (3, 2)))
    model = mixture.load("tiny", str(folder), Placement(device="cpu", experts=8, schedule=schedule))
    requests = tuple(Generate(str(number), (f"{number}: Say yes.",), 2, min_new_tokens=2) for number in range(6))
    outputs = [p.output for p in replay(model, LoadReplay(requests, (0.0,) * 6, rate=1.0, batch=1))]
    assert [(output["waiting"], output["experts"]) for output in outputs] == [
        (5, 2),
        (4, 2),
        (3, 2),
        (2, 4),
        (1, 4),
        (0, 8),
    ]
    assert all(output["failure"] is None and output["new tokens"] == 2 for output in outputs)
    assert [output["start"] for output in outputs] == sorted(output["start"] for output in outputs)
    together = [p.output for p in replay(model, LoadReplay(requests, (0.0,) * 6, rate=1.0, batch=4))]
    assert [(output["waiting"], output["together"]) for output in together] == [(2, 4)] * 4 + [(0, 2)] * 2


def test_images_and_texts_that_wait_are_answered_together(model):
    asked = [request for request in generates() if not any(isinstance(part, Audio) for part in request.parts)]
    outputs = replay(model, LoadReplay(tuple(asked), (0.0,) * len(asked), rate=1.0, batch=len(asked)))
    alone = answers(model, asked, budget=1)
    assert {p.id: p.output["text"] for p in outputs} == {id: answer.output for id, answer in alone.items()}


def test_a_mixture_of_the_library_follows_the_queue_too(tmp_path):
    """Its outputs are those of a model that is loaded with the number of experts that the replay names."""
    folder = checkpoints.language_model(tmp_path, "deepseek_v3")
    schedule = ExpertSchedule(((0, 4), (1, 2), (3, 1)))
    model = causal.load("tiny", str(folder), Placement(device="cpu", experts=4, schedule=schedule))
    requests = tuple(Generate(str(number), (f"{number}: Say yes.",), 6, min_new_tokens=6) for number in range(5))
    replayed = [p.output for p in replay(model, LoadReplay(requests, (0.0,) * 5, rate=1.0, batch=1))]
    assert [output["experts"] for output in replayed] == [1, 1, 2, 2, 4]
    texts = set()
    for number in (1, 2, 4):
        fixed = causal.load("tiny", str(folder), Placement(device="cpu", experts=number))
        alone = answers(fixed, requests, budget=1)
        for request, output in zip(requests, replayed, strict=True):
            texts.add((request.id, alone[request.id].output))
            assert output["experts"] != number or output["text"] == alone[request.id].output
    assert len(texts) > len(requests), "every number of experts answers alike: no test"


@pytest.mark.parametrize(
    "row",
    [{"by": "load", 8: 0}, {8: 0}, {"by": "queue"}, {"by": "queue", 8: 1}, {"by": "queue", 8: 0, 4: 0},
     {"by": "queue", "x": 0}, {"by": "queue", 0: 0}, {"by": "queue", 8: 0, 4: -1}, {"by": "queue", 8: 0, 4: 1.5},
     {"by": "queue", 4: 0, 8: 2}, {"by": "queue", 8: 0, "08": 3}, {"by": "queue", 8: 0, 4: True},
     {"by": ["queue"], 8: 0}, {"by": "queue", -4: 0}, {"by": "queue", 8: 0, 4: "2"}],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(row, monkeypatch):
    from dataclasses import replace

    variant = replace(VARIANTS.get("r1-moe@queue"), details={"experts": row})
    monkeypatch.setattr(VARIANTS, "get", lambda name: variant)
    with pytest.raises(InputError, match="'r1-moe@queue': experts is"):
        resolve("r1-moe@queue", scale="mini")


@pytest.mark.parametrize("experts", ["two", 2.5, True])
def test_a_row_whose_experts_are_no_whole_number_is_refused(experts, monkeypatch):
    from dataclasses import replace

    row = replace(VARIANTS.get("r1-moe@2"), details={"experts": experts})
    monkeypatch.setattr(VARIANTS, "get", lambda name: row)
    with pytest.raises(InputError, match="'r1-moe@2': experts is"):
        resolve("r1-moe@2", scale="mini")


def test_parameters_at_work_follow_the_experts(folder):
    few, many = size.count_folder(folder, 1), size.count_folder(folder, 8)
    assert few.parameters == many.parameters == many.active
    assert few.experts == 8
    # Two layers of eight experts, each of three matrices of 48 by 32; of seven none works.
    assert few.parameters - few.active == 2 * 7 * 3 * 48 * 32
