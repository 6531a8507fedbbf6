"""Several batches share one engine: each gets its own answers, and none waits for ever. The engine here is a toy."""

from __future__ import annotations

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import GenerationRow, RowProgress, SamplingSettings
from evals.models.engines.vllm_decoder import VllmDecoder
from evals.models.engines.vllm_queue import EngineQueue, EngineRequest

END = 0


class ToyEngine:
    """Repeats a prompt's tokens, one per step for every request in it, and refuses prompts that contain 13."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.requests: dict[str, list[int]] = {}
        self.aborted: list[str] = []
        self.steps = 0
        self.fails_after = fails_after
        self.stepping = threading.Lock()

    def add_request(self, id, prompt, params, lora_request=None):
        if 13 in prompt:
            raise ValueError("13 is\nnot read")
        self.requests[id] = list(prompt)

    def abort_request(self, ids):
        self.aborted += ids
        for id in ids:
            del self.requests[id]

    def step(self):
        assert self.stepping.acquire(blocking=False), "two threads step the engine at once"
        self.steps += 1
        if self.fails_after is not None and self.steps > self.fails_after:
            self.stepping.release()
            raise RuntimeError("the engine died")
        outputs = []
        for id in list(self.requests):
            token = self.requests[id].pop(0)
            finished = not self.requests[id]
            if finished:
                del self.requests[id]
            outputs.append(
                SimpleNamespace(request_id=id, finished=finished, outputs=[SimpleNamespace(token_ids=[token])])
            )
        self.stepping.release()
        return outputs


def letters():
    """Token n is the n-th letter."""
    decode = lambda tokens, **_: "".join(chr(96 + token) for token in tokens if token)  # noqa: E731
    return TextReader(SimpleNamespace(decode=decode))


def row(limit=100, stop=()):
    return RowProgress(GenerationRow(0, [1], limit, stop=stop), {END}, letters())


@given(
    batches=st.lists(st.lists(st.lists(st.integers(1, 26), min_size=1, max_size=8), max_size=5), max_size=8),
    seed=st.integers(0, 9),
)
def test_every_batch_gets_its_own_answers_in_order(batches, seed):
    engine = ToyEngine()
    queue = EngineQueue(engine)
    shuffled = random.Random(seed).sample(range(len(batches)), len(batches))

    def answer(number):
        states = [row() for _ in batches[number]]
        outputs = queue.answer([EngineRequest(p, None, s) for p, s in zip(batches[number], states, strict=True)])
        return number, states, outputs

    with ThreadPoolExecutor(8) as threads:
        for number, states, outputs in threads.map(answer, shuffled):
            for prompt, state, output in zip(batches[number], states, outputs, strict=True):
                if 13 in prompt:
                    assert output == "13 is not read"
                else:
                    assert state.completion().tokens == prompt
    assert engine.requests == {}


def test_a_row_that_stops_is_taken_out_of_the_engine():
    engine = ToyEngine()
    states = [row(stop=("cd",)), row(limit=2), row()]
    EngineQueue(engine).answer([EngineRequest([1, 3, 4, 5, 6, 7], None, state) for state in states])
    assert [state.completion().tokens for state in states] == [[1, 3, 4], [1, 3], [1, 3, 4, 5, 6, 7]]
    assert [state.completion().truncated for state in states] == [False, True, False]
    assert engine.aborted == ["1", "0"]


def test_a_failing_engine_fails_every_open_batch():
    queue = EngineQueue(ToyEngine(fails_after=3))
    barrier = threading.Barrier(6)

    def answer(_):
        barrier.wait()
        with pytest.raises(RuntimeError, match="the engine died"):
            queue.answer([EngineRequest(list(range(1, 12)), None, row())])
        return True

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(answer, range(6)))


class Drawing:
    """An engine that draws the next letters of the alphabet from a beginning that its seed gives, or the prompt's."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.prompts = []

    def answer(self, requests):
        for request in requests:
            self.prompts.append((request.prompt["prompt_token_ids"], request.params.seed))
            after = request.prompt["prompt_token_ids"][-1] if request.progress.row.begun else self.first - 1
            request.progress.read(range(after + 1, after + 9))
        return [SimpleNamespace(**request.prompt, num_cached_tokens=0) for request in requests]


def test_a_sampled_row_is_drawn_again_and_continued_only_if_its_beginning_is_another(monkeypatch):
    settings = SimpleNamespace(RequestOutputKind=SimpleNamespace(DELTA=0))
    vllm = SimpleNamespace(SamplingParams=lambda **given: SimpleNamespace(**given), TokensPrompt=dict)
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", settings)
    sampled = GenerationRow(0, [20], 6, settings=SamplingSettings(temperature=1.0), draw_seed=7, begun=(3, 4))
    greedy = GenerationRow(0, [20], 6, begun=(3, 4))
    for engine, prompts in (
        (Drawing(3), [([20], 7), ([20, 3, 4], None)]),
        (Drawing(2), [([20], 7), ([20, 3, 4], None), ([20, 3, 4], 9)]),
    ):
        completions = VllmDecoder(engine, ends=[END], reader=letters()).generate([()], [sampled, greedy], {})
        assert [completion.tokens for completion in completions] == [[3, 4, 5, 6, 7, 8]] * 2
        assert engine.prompts == prompts


@given(tokens=st.lists(st.integers(0, 4), max_size=12), limit=st.integers(1, 8), parts=st.integers(1, 5))
def test_tokens_that_are_read_end_a_row_as_tokens_that_are_chosen(tokens, limit, parts):
    import torch

    chosen, read = row(limit, ("bc",)), row(limit, ("bc",))
    for token in tokens:
        if not chosen.finished:
            chosen.advance(torch.zeros(5), token, finite=True)
    for start in range(0, len(tokens), parts):
        read.read(tokens[start : start + parts])
    assert (chosen.completion(), chosen.finished) == (read.completion(), read.finished)
