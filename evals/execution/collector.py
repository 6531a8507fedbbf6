"""Turn answered requests into sample records, or into the predictions from which a task fits a probe.

Answers arrive in any order, from one process or from several; a sample is scored when its last request is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.errors import InputError
from evals.execution import inputs
from evals.execution.executor import Executor, SelectSamples
from evals.execution.loop import AnsweredRequest
from evals.execution.windows import BatchId
from evals.records.types import PlanEntry, SampleRecord
from evals.schema import Classify, Embed, Prediction, Predictions, Probe, Sample, Samples, Score, Task
from evals.schema.contracts import checked_scores


@dataclass(frozen=True)
class TrainingPredictions:
    """The predictions from which a probe is fitted."""

    predictions: Predictions
    """By sample id; without the samples that are left out."""
    left_out: int
    """Number of samples with a text that was refused as too long."""
    shortened: int
    """Number of samples with a text that was shortened."""


def collect_predictions(
    executor: Executor,
    select: SelectSamples,
    samples: Samples,
    *,
    plan: PlanEntry,
    advance: Callable[[float], object],
    kept: Path | None = None,
) -> TrainingPredictions:
    """Answer every request of some samples and keep the predictions in memory, as for fitting a probe.

    A sample with a text that is longer than the model reads, and must not be shortened (`--long-prompts`), is left out.

    Args:
        executor: answers the requests.
        select: the samples among those of the run, as the executor finds them.
        samples: the same samples; all of them are answered.
        plan: how requests become batches.
        advance: called after each batch with the number of samples of which it answered the first request.
        kept: as in `Executor.compute`.

    Raises:
        InputError: if a request failed for another reason; the message gives its id and the reason.
    """
    predictions: dict[str, Prediction] = {}
    left_out: set[int] = set()
    shortened: set[int] = set()
    begun: set[int] = set()

    def on_batch(batch_ids: Sequence[BatchId], answers: list[AnsweredRequest]) -> None:
        for answer in answers:
            if answer.prediction.long_prompt:
                (shortened if answer.prediction.failure is None else left_out).add(answer.sample_index)
            elif answer.prediction.failure is not None:
                raise InputError(
                    f"sample {answer.prediction.id} cannot be used to fit the probe: {answer.prediction.failure}"
                )
            predictions[answer.prediction.id] = answer.prediction
        fresh = {answer.sample_index for answer in answers} - begun
        begun.update(fresh)
        advance(len(fresh))

    executor.compute(select, plan=plan, finished_ids=set(), on_batch=on_batch, kept=kept)
    kept_samples = (sample for index, sample in enumerate(samples) if index not in left_out)
    return TrainingPredictions(
        {sample.id: [predictions[request.id] for request in sample.requests] for sample in kept_samples},
        left_out=len(left_out),
        shortened=len(shortened - left_out),
    )


class Collector:
    """Collects answered requests, and makes a sample's record when its last request is answered."""

    def __init__(self, task: Task, samples: Samples, probe: Probe | None = None) -> None:
        """Collect for a task.

        Args:
            task: scores the samples.
            samples: the run's samples.
            probe: turns the predictions of a sample into one, or None to score them directly.
        """
        self._task = task
        self._samples = samples
        self._probe = probe
        self._waiting: dict[int, tuple[Sample, dict[str, AnsweredRequest]]] = {}

    def add(self, answers: Iterable[AnsweredRequest]) -> list[SampleRecord]:
        """Take answers in any order; return the records of the samples that they complete."""
        complete: list[tuple[int, Sample, Sequence[AnsweredRequest]]] = []
        for answer in answers:
            if answer.sample_index not in self._waiting:
                sample = self._samples[answer.sample_index]
                if len(sample.requests) == 1:
                    complete.append((answer.sample_index, sample, (answer,)))
                    continue
                self._waiting[answer.sample_index] = sample, {}
            sample, by_id = self._waiting[answer.sample_index]
            by_id[answer.prediction.id] = answer
            if len(by_id) == len(sample.requests):
                del self._waiting[answer.sample_index]
                complete.append((answer.sample_index, sample, [by_id[request.id] for request in sample.requests]))
        scored = {sample.id: self._scored_predictions(sample, answers) for _, sample, answers in complete}
        scores = self._scores([sample for _, sample, _ in complete], scored)
        return [
            sample_record(index, sample, answers, scored[sample.id], scores.get(sample.id))
            for index, sample, answers in complete
        ]

    def _scored_predictions(self, sample: Sample, answers: Sequence[AnsweredRequest]) -> list[Prediction]:
        predictions = [answer.prediction for answer in answers]
        return predictions if self._probe is None else [self._probe(sample, predictions)]

    def _scores(self, samples: Sequence[Sample], predictions: Predictions) -> dict[str, Score]:
        """Score samples; none yet if the task scores all samples together."""
        if not self._task.per_sample or not samples:
            return {}
        gradable = {id: [answer.gradable() for answer in answers] for id, answers in predictions.items()}
        return checked_scores(self._task, samples, self._task.score(samples, gradable))


def sample_record(
    index: int,
    sample: Sample,
    answers: Sequence[AnsweredRequest],
    scored: Sequence[Prediction],
    score: Score | None,
) -> SampleRecord:
    """Make the record of one sample.

    Args:
        index: the sample's index in the split.
        sample: the sample.
        answers: one answered request per request, with its costs.
        scored: the predictions that were scored: those of `answers`, or the one that a probe computed from them.
        score: the sample's score, or None if the task scores all samples together.
    """
    if len(answers) == len(scored) == 1:
        return _record_of_one(index, sample, answers[0], scored[0], score)
    return _record_of_several(index, sample, answers, scored, score)


def _record_of_several(
    index: int,
    sample: Sample,
    answers: Sequence[AnsweredRequest],
    scored: Sequence[Prediction],
    score: Score | None,
) -> SampleRecord:
    """Make the record of a sample with any number of requests."""
    predictions = [answer.prediction for answer in answers]
    truncated = [prediction.truncated for prediction in predictions]
    outputs = [prediction.output for prediction in scored]
    thoughts = [prediction.thought for prediction in predictions]
    open_thoughts = [prediction.truncated_thinking for prediction in predictions]
    tokens = [list(prediction.tokens) for prediction in predictions]
    failures = [prediction.failure for prediction in scored if prediction.failure is not None]
    return SampleRecord(
        id=sample.id,
        index=index,
        prompt=question(sample),
        output=outputs[0] if len(outputs) == 1 else outputs,
        answer=score.answer if score else None,
        target=sample.target,
        values=dict(score.values) if score else {},
        failed=bool(failures),
        failure=failures[0] if failures else None,
        truncated=any(truncated),
        long_prompt=any(prediction.long_prompt for prediction in predictions),
        truncations=truncated if len(scored) > 1 and any(truncated) else None,
        scores=[prediction.scores for prediction in scored],
        cluster=sample.cluster,
        labels=dict(sample.labels),
        thought=(thoughts[0] if len(thoughts) == 1 else thoughts) if any(thoughts) else None,
        truncated_thinking=any(open_thoughts),
        truncated_thoughts=open_thoughts if len(scored) > 1 and any(open_thoughts) else None,
        tokens=tokens if any(tokens) else None,
        inputs=inputs.of_sample([answer.model_input for answer in answers]),
        answered_by=_answered_by(predictions),
        cost=_cost(answers),
    )


def _answered_by(predictions: Sequence[Prediction]) -> str | list[str | None] | None:
    """Return the part of a composed model that answered, or one per request if they differ."""
    parts = [prediction.answered_by for prediction in predictions]
    return parts[0] if len(set(parts)) == 1 else parts


def _record_of_one(
    index: int, sample: Sample, answer: AnsweredRequest, scored: Prediction, score: Score | None
) -> SampleRecord:
    """Make the record of a sample with one request: what `sample_record` would make, in a third of the time."""
    prediction, model_input = answer.prediction, answer.model_input
    return SampleRecord(
        id=sample.id,
        index=index,
        prompt=question(sample),
        output=scored.output,
        answer=score.answer if score else None,
        target=sample.target,
        values=dict(score.values) if score else {},
        failed=scored.failure is not None,
        failure=scored.failure,
        truncated=prediction.truncated,
        long_prompt=prediction.long_prompt,
        scores=[scored.scores],
        cluster=sample.cluster,
        labels=dict(sample.labels),
        thought=prediction.thought or None,
        truncated_thinking=prediction.truncated_thinking,
        tokens=[list(prediction.tokens)] if prediction.tokens else None,
        inputs=None if model_input is None else [model_input.recorded],
        answered_by=prediction.answered_by,
        cost={
            "prompt_tokens": prediction.prompt_tokens,
            "new_tokens": prediction.new_tokens,
            "computed_tokens": prediction.computed_tokens,
            "useful_tokens": prediction.useful_tokens,
            "seconds": answer.seconds,
            "model_seconds": answer.model_seconds,
            **prediction.charges,
        },
    )


def _cost(answers: Sequence[AnsweredRequest]) -> dict[str, int | float]:
    """Add up what a sample cost: tokens, seconds, and charges by their names."""
    predictions = [answer.prediction for answer in answers]
    charges = dict.fromkeys(name for prediction in predictions for name in prediction.charges)
    return {
        "prompt_tokens": sum(prediction.prompt_tokens for prediction in predictions),
        "new_tokens": sum(prediction.new_tokens for prediction in predictions),
        "computed_tokens": sum(prediction.computed_tokens for prediction in predictions),
        "useful_tokens": sum(prediction.useful_tokens for prediction in predictions),
        "seconds": sum(answer.seconds for answer in answers),
        "model_seconds": sum(answer.model_seconds for answer in answers),
        **{name: sum(prediction.charges.get(name, 0) for prediction in predictions) for name in charges},
    }


def question(sample: Sample) -> str:
    """Return the question of a sample: the last text of the prompt, or all texts that are classified or embedded."""
    text_requests = [request for request in sample.requests if isinstance(request, (Classify, Embed))]
    if text_requests:
        return "\n".join(part for request in text_requests for part in request.parts if isinstance(part, str))
    for part in reversed(sample.requests[0].parts) if sample.requests else ():
        if isinstance(part, str):
            return part
    return ""
