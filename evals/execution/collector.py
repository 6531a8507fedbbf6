"""What becomes of answers: sample records, or what a task learns from.

Answers come in any order, from one process or from several; a sample is scored when its last request is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from evals.errors import InputError
from evals.execution.loop import AnsweredRequest, BatchId, Row, work
from evals.schema import Classify, Embed, Model, Prediction, Predictions, Probe, Sample, Samples, Score, Task


def answers_of(
    samples: Samples, model: Model, *, token_budget: int, share: bool, advance: Callable[[float], object]
) -> Predictions:
    """AnsweredRequest all requests of some samples and keep the answers, as for what a task learns from.

    Args:
        samples: all of them are answered.
        model: answers.
        token_budget: token positions a batch may hold.
        share: compute shared prefixes once.
        advance: told after each batch how many samples were begun.

    Raises:
        InputError: a request could not be answered; says which and why.
    """
    found: dict[str, Prediction] = {}

    def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
        for answer in answers:
            if answer.prediction.failure is not None:
                raise InputError(f"sample {answer.prediction.id} cannot be learned from: {answer.prediction.failure}")
            found[answer.prediction.id] = answer.prediction
        fresh = {answer.sample_index for answer in answers} - begun
        begun.update(fresh)
        advance(len(fresh))

    begun: set[int] = set()
    work(
        samples,
        model,
        token_budget=token_budget,
        share=share,
        done=set(),
        try_acquire=lambda *_: True,
        on_batch=on_batch,
    )
    return {sample.id: [found[request.id] for request in sample.requests] for sample in samples}


class Collector:
    """Turns answers into sample records, each when the last of its sample's requests is answered."""

    def __init__(self, task: Task, samples: Samples, read: Probe | None = None) -> None:
        """Collect for a task, out of these samples; answers are read as they are, or by what the task has learned."""
        self._task = task
        self._samples = samples
        self._read = read
        self._waiting: dict[int, tuple[Sample, dict[str, AnsweredRequest]]] = {}

    def add(self, answers: Iterable[AnsweredRequest]) -> list[Row]:
        """Take answers in any order; return the records of the samples that they complete."""
        complete: list[tuple[int, Sample, list[AnsweredRequest]]] = []
        for answer in answers:
            if answer.sample_index not in self._waiting:
                self._waiting[answer.sample_index] = self._samples[answer.sample_index], {}
            sample, known = self._waiting[answer.sample_index]
            known[answer.prediction.id] = answer
            if len(known) == len(sample.requests):
                del self._waiting[answer.sample_index]
                complete.append((answer.sample_index, sample, [known[request.id] for request in sample.requests]))
        readings = {sample.id: self._readings(sample, answers) for _, sample, answers in complete}
        scores = self._scores([sample for _, sample, _ in complete], readings)
        return [
            record(index, sample, answers, readings[sample.id], score)
            for (index, sample, answers), score in zip(complete, scores, strict=True)
        ]

    def _readings(self, sample: Sample, answers: Sequence[AnsweredRequest]) -> list[Prediction]:
        predictions = [answer.prediction for answer in answers]
        return predictions if self._read is None else [self._read(sample, predictions)]

    def _scores(self, samples: Sequence[Sample], readings: Predictions) -> Sequence[Score | None]:
        return self._task.score(samples, readings) if self._task.per_sample and samples else [None] * len(samples)


def record(
    index: int, sample: Sample, answers: Sequence[AnsweredRequest], readings: Sequence[Prediction], score: Score | None
) -> Row:
    """Make the record of one sample, as the docstring of `evals.records.folder` shows it.

    Args:
        index: the sample's place in the split.
        sample: what was asked.
        answers: what it cost, a request each.
        readings: what was made of the answers: the same predictions, or one of them all.
        score: what it was worth, where that can be said of the sample alone.
    """
    predictions = [answer.prediction for answer in answers]
    cut = [prediction.truncated for prediction in predictions]
    outputs = [reading.output for reading in readings]
    reasoning = [prediction.reasoning for prediction in predictions]
    failures = [reading.failure for reading in readings if reading.failure is not None]
    return {
        "id": sample.id,
        "index": index,
        "prompt": question(sample),
        "output": outputs[0] if len(outputs) == 1 else outputs,
        "answer": score.answer if score else None,
        "target": sample.target,
        "values": dict(score.values) if score else {},
        "failed": bool(failures),
        "failure": failures[0] if failures else None,
        "truncated": any(cut),
        **({"truncations": cut} if len(readings) > 1 and any(cut) else {}),
        "scores": [reading.scores for reading in readings],
        "cluster": sample.cluster,
        "labels": dict(sample.labels),
        **({"reasoning": reasoning} if any(reasoning) else {}),
        "cost": {
            "prompt_tokens": sum(prediction.prompt_tokens for prediction in predictions),
            "new_tokens": sum(prediction.new_tokens for prediction in predictions),
            "computed_tokens": sum(prediction.computed_tokens for prediction in predictions),
            "useful_tokens": sum(prediction.useful_tokens for prediction in predictions),
            "seconds": sum(answer.seconds for answer in answers),
            "model_seconds": sum(answer.model_seconds for answer in answers),
            **_charges(predictions),
        },
    }


def _charges(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Add up what was charged for a sample, name by name."""
    names = dict.fromkeys(name for prediction in predictions for name in prediction.charges)
    return {name: sum(prediction.charges.get(name, 0) for prediction in predictions) for name in names}


def question(sample: Sample) -> str:
    """What a sample asks, without what many have in common: the prompt's last text, or all that is classified."""
    asked = [request for request in sample.requests if isinstance(request, Classify | Embed)]
    if asked:
        return "\n".join(part for request in asked for part in request.parts if isinstance(part, str))
    parts = sample.requests[0].parts if sample.requests else ()
    return next((part for part in reversed(parts) if isinstance(part, str)), "")
