"""The causal family on small random checkpoints: sharing and batching never change an answer or a log-likelihood."""

from __future__ import annotations

import itertools

import checkpoints
import pytest

from evals import Choose, Generate, Image, InputError, SampleError
from evals.execution.batching import padding, plan
from evals.models.families import causal
from evals.schema import Placement

CPU = Placement(device="cpu")
SHOTS = "Question: How many squares are there?\nAnswer: 3\n\n"
QUESTIONS = [
    f"Question: What color is the {size} circle number {n}?\nAnswer:" for n in range(6) for size in ("large", "small")
]
ENDINGS = (" red", " left and right", " yes")


@pytest.fixture(scope="module", params=["llama", "qwen2", "deepseek_v2", "deepseek_v3", "t5", "mistral"])
def folder(request, tmp_path_factory):
    return checkpoints.language_model(tmp_path_factory.mktemp(request.param), request.param)


def weighed(shots=SHOTS):
    return [Choose(str(n), (shots, text) if shots else (text,), ENDINGS) for n, text in enumerate(QUESTIONS)]


def told(**changes):
    return [Generate(str(n), (SHOTS, text), 3 + n, stop=("\n\n",), **changes) for n, text in enumerate(QUESTIONS)]


def answers(model, asked, budget, share=True):
    prompts = [model.prepare(request) for request in asked]
    found = {}
    for batch in plan(prompts, budget, share=share):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = prediction
    return [found[request.id] for request in asked]


def plain_loglikelihoods(folder, asked):
    """The unshared computation: one sequence an ending, no cache, no batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    seq2seq = "t5" in folder.name
    model = (AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM).from_pretrained(folder)
    found = []
    for request, choice in itertools.product(asked, ENDINGS):
        context = "".join(request.parts)
        start, whole = (tokenizer(text, return_tensors="pt")["input_ids"] for text in (context, context + choice))
        ending = whole[0, start.shape[1] :]
        with torch.no_grad():
            if seq2seq:
                given = torch.cat([torch.tensor([[model.config.decoder_start_token_id]]), ending[None, :-1]], dim=1)
                logits = model(input_ids=start, decoder_input_ids=given).logits[0]
            else:
                logits = model(input_ids=whole).logits[0, start.shape[1] - 1 : -1]
        found.append(float(logits.log_softmax(-1)[range(len(ending)), ending].sum()))
    return [found[n : n + len(ENDINGS)] for n in range(0, len(found), len(ENDINGS))]


@pytest.mark.slow
@pytest.mark.parametrize("shots", [SHOTS, ""])
def test_loglikelihoods_are_those_of_the_plain_computation(folder, shots):
    model = causal.load("tiny", str(folder), CPU)
    asked = weighed(shots)
    plain = plain_loglikelihoods(folder, asked[:3])
    for share, budget in itertools.product((True, False), (1, 300, 100_000)):
        found = answers(model, asked, budget, share)
        for prediction, expected in zip(found[:3], plain, strict=True):
            assert prediction.scores == pytest.approx(expected, abs=1e-4)
            best = max(range(len(ENDINGS)), key=lambda n: prediction.scores[n])
            assert prediction.output == ENDINGS[best]


@pytest.mark.slow
def test_choices_are_the_same_at_every_budget(folder):
    model = causal.load("tiny", str(folder), CPU)
    alone = [prediction.output for prediction in answers(model, weighed(), 1)]
    for share, budget in itertools.product((True, False), (200, 1000, 100_000)):
        assert [prediction.output for prediction in answers(model, weighed(), budget, share)] == alone


@pytest.mark.slow
def test_generation_is_the_same_at_every_budget_and_the_librarys_own(folder):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    model = causal.load("tiny", str(folder), CPU)
    alone = [(prediction.output, prediction.truncated) for prediction in answers(model, told(), 1)]
    for share, budget in itertools.product((True, False), (300, 100_000)):
        found = answers(model, told(), budget, share)
        assert [(prediction.output, prediction.truncated) for prediction in found] == alone
    tokenizer = AutoTokenizer.from_pretrained(folder)
    kind = AutoModelForSeq2SeqLM if "t5" in folder.name else AutoModelForCausalLM
    plain = kind.from_pretrained(folder)
    for request, (output, _) in list(zip(told(), alone, strict=True))[::5]:
        encoded = tokenizer("".join(request.parts), return_tensors="pt")
        encoded.pop("token_type_ids", None)
        generated = plain.generate(**encoded, max_new_tokens=request.max_new_tokens, do_sample=False)[0]
        new = generated[1:] if "t5" in folder.name else generated[encoded["input_ids"].shape[1] :]
        assert output == tokenizer.decode(new, skip_special_tokens=True).split("\n\n")[0]


def test_more_rows_than_slots_are_refilled_without_changing_an_answer(tmp_path, monkeypatch):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    whole = [prediction.output for prediction in answers(model, told(), 100_000)]
    monkeypatch.setattr(model.decoder, "_slots", 3)
    monkeypatch.setattr(model.decoder, "_prefill", 40)
    assert [prediction.output for prediction in answers(model, told(), 100_000)] == whole


def test_a_draw_depends_on_the_request_alone(tmp_path):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    asked = told(temperature=1.0, top_p=0.9)
    whole = [prediction.output for prediction in answers(model, asked, 100_000)]
    assert [prediction.output for prediction in answers(model, asked, 1)] == whole
    assert [prediction.output for prediction in answers(model, told(temperature=1.0, seed=1), 1)] != whole
    assert [prediction.output for prediction in answers(model, told(), 1)] != whole


def test_few_shot_examples_are_computed_once(tmp_path, monkeypatch):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    seen = []
    forward = type(model.model).forward
    monkeypatch.setattr(
        type(model.model), "forward", lambda *a, **k: seen.append(k["input_ids"].numel()) or forward(*a, **k)
    )
    answers(model, weighed(), 100)
    prompts = [model.prepare(request) for request in weighed()]
    shared = plan(prompts, 100_000)[0].groups[0].shared
    assert shared > 10
    assert sum(seen) < shared + sum(len(prompt.tokens) - shared + prompt.reserve for prompt in prompts) * 1.5


def test_normalising_divides_by_length_and_says_so(tmp_path):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    for normalise, length in (("tokens", None), ("characters", lambda text: len(text.removeprefix(" ")))):
        asked = [Choose(str(n), (text,), ENDINGS, normalise) for n, text in enumerate(QUESTIONS)]
        for prediction, request in zip(answers(model, asked, 1000), asked, strict=True):
            lengths = [length(c) for c in ENDINGS] if length else [len(e) for e in model.prepare(request).continuations]
            best = max(range(3), key=lambda n: prediction.scores[n] / lengths[n])
            assert prediction.output == ENDINGS[best]


def test_what_it_cannot_read_fails_the_sample(tmp_path):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    with pytest.raises(SampleError, match="has image"):
        model.prepare(Generate("x", (Image("a", data=b""), "What?"), 3))
    with pytest.raises(SampleError, match="adds no token"):
        model.prepare(Choose("x", ("What?",), (" a", "")))


def test_a_checkpoint_without_a_tokenizer_is_named(tmp_path):
    checkpoints.language_model(tmp_path, "llama")
    for file in ("tokenizer.json", "tokenizer_config.json"):  # without the first alone the library makes one up
        (tmp_path / file).unlink()
        with pytest.raises(InputError, match="no usable tokenizer"):
            causal.load("tiny", str(tmp_path), CPU)


@pytest.mark.parametrize("seed", range(4))
def test_prompts_of_all_lengths_fit_their_batch(tmp_path_factory, seed):
    import random

    folder = tmp_path_factory.getbasetemp() / "lengths"
    if not folder.exists():
        folder.mkdir()
        checkpoints.language_model(folder, "llama")
    model = causal.load("tiny", str(folder), CPU)
    draw = random.Random(seed)
    leading = ["shared " * draw.randint(0, 12) for _ in range(4)]
    asked = [
        Generate(str(n), (draw.choice(leading), "own " * draw.randint(0, 20) + "x"), draw.randint(1, 9))
        for n in range(20)
    ]
    alone = [prediction.output for prediction in answers(model, asked, 1)]
    assert [prediction.output for prediction in answers(model, asked, draw.choice([200, 2000]))] == alone


def test_a_template_writes_its_own_special_tokens(tmp_path):
    from transformers import AutoTokenizer

    checkpoints.language_model(tmp_path, "llama")
    words = AutoTokenizer.from_pretrained(tmp_path)
    words.chat_template = "{% for m in messages %}User: {{ m['content'] }}{% endfor %} Assistant:"
    adding_specials(words).save_pretrained(tmp_path)
    model = causal.load("tiny", str(tmp_path), CPU)
    message = [{"role": "user", "content": "What color?"}]
    expected = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(message, add_generation_prompt=True)[
        "input_ids"
    ]
    assert list(model.prepare(Generate("x", ("What ", "color?"), 3)).tokens) == list(expected)


def test_a_tokenizer_that_closes_texts_does_not_close_a_prompt(tmp_path):
    from transformers import AutoTokenizer

    checkpoints.language_model(tmp_path, "llama")
    adding_specials(AutoTokenizer.from_pretrained(tmp_path)).save_pretrained(tmp_path)
    model = causal.load("tiny", str(tmp_path), CPU)
    prompt = model.prepare(Choose("x", ("What color?",), (" red", " left")))
    assert prompt.tokens[0] == 0, "a beginning-of-text token, once"
    assert 1 not in prompt.tokens
    assert not any(1 in tokens for tokens in prompt.continuations)


def adding_specials(words):
    """Make a tokenizer begin every text with <s> and end it with </s>."""
    from tokenizers.processors import TemplateProcessing

    words.backend_tokenizer.post_processor = TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    return words


@pytest.mark.parametrize("kind", ["llama", "mistral", "t5"])
def test_numbers_that_are_none_are_failures(tmp_path, kind):
    import torch

    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, kind)), CPU)
    with torch.no_grad():
        model.model.lm_head.weight.fill_(float("nan"))
    for asked in (weighed(), told()):
        for prediction in answers(model, asked, 1000):
            assert prediction.output is None
            assert "not finite" in prediction.failure


def test_prompts_of_one_token_run(tmp_path):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    found = answers(model, [Generate(text, (text,), 3) for text in "abc"], 1000)
    assert all(prediction.failure is None for prediction in found)
    with pytest.raises(SampleError, match="empty"):
        model.prepare(Generate("x", ("",), 3))


def test_padding_is_counted_where_it_happens(tmp_path, monkeypatch):
    """Prompts go through in pieces of similar lengths, so a batch of short and long ones pads little."""
    model = causal.load("x", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    monkeypatch.setattr(model.decoder, "_prefill", 40)
    asked = [Choose(str(n), ("yes " * words + str(n),), (" red",)) for n, words in enumerate((18, 18, 2, 2, 2))]
    prompts = [model.prepare(request) for request in asked]
    (batch,) = plan(prompts, 10_000)
    given = model.run(prompts, batch, model.stage(prompts, batch))
    useful = sum(len(prompt.tokens) for prompt in prompts)
    assert sum(each.useful_tokens for each in given) == pytest.approx(useful)
    assert useful <= sum(each.computed_tokens for each in given) < 1.2 * useful
    assert padding(prompts, batch)[0] > 1.5 * useful
