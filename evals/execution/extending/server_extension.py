"""Continue outputs of a server that were cut at the token limit: it returns no tokens, but texts (`--extend`).

A server that completes plain texts is sent the prompt with what it wrote, and continues. In a chat, or after a thought,
that is not possible in general; and a text can be divided into other tokens than the server wrote. Then the request is
sent again with the new limit, and the server writes the whole output again. A greedy answer replaces the recorded one,
also if it begins otherwise (servers compute differently under another load), which is counted. A sampled one replaces
it only if it begins with it, as from a server that honours seeds: an output that was cut is long, and another draw in
its place would favour short ones.

An output that the server cannot continue stays as it was recorded, and is still a cut one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evals.execution.loop import AnsweredRequest
from evals.records.result import recorded_predictions
from evals.records.types import Manifest, SampleRecord
from evals.schema import Generate, Json, Prediction, RecordedBeginning, Request, Sample
from evals.schema.requests import OUTPUTS_REPEATED

OUTPUTS_CHANGED = "outputs_changed"
"""Entry of a sample's `cost`: outputs that were written again and begin otherwise."""


def applies(manifest: Manifest) -> bool:
    """Return whether a run's texts were written by a server."""
    return manifest.model.get("family") == "endpoint" and manifest.task.needs == "generate"


def is_partly_served(manifest: Manifest) -> bool:
    """Return whether a server is a part of a composed model: its outputs and those of weights are extended apart."""
    parts: Mapping[str, Mapping[str, Json]] = manifest.model.get("parts") or {}
    return any(part.get("family") == "endpoint" for part in parts.values())


def first_limit(manifest: Manifest, sample: Sample) -> int:
    """Return the token limit of a sample's texts before any extension; 0 if none is asked for."""
    of_address = manifest.model.get("max_tokens")
    limits = [request.max_new_tokens for request in sample.requests if isinstance(request, Generate)]
    return of_address if isinstance(of_address, int) and limits else max(limits, default=0)


def pending(rows: Sequence[SampleRecord], limit: int) -> list[int]:
    """Return the positions of the samples whose cut outputs were not continued up to a limit.

    A prompt that was shortened to fit would be shortened further for a higher limit, which is another question.
    """
    return [
        number
        for number, row in enumerate(rows)
        if row.truncated and not row.long_prompt and not row.failed and (row.extended_to or 0) < limit
    ]


def beginnings(manifest: Manifest, row: SampleRecord, sample: Sample) -> tuple[RecordedBeginning | None, ...]:
    """Return what the server wrote so far, by request; None for an output that was not cut."""
    tokens = row.extended_to or first_limit(manifest, sample)
    same_prompts = len({request.parts for request in sample.requests}) == 1
    read, several = divmod(int(row.cost.get("prompt_tokens", 0)), len(sample.requests))
    prompt_tokens = read if read and same_prompts and not several and row.extended_to is None else None
    pairs = zip(sample.requests, recorded_predictions(row), strict=True)
    return tuple(_beginning(request, written, tokens, prompt_tokens) for request, written in pairs)


def _beginning(
    request: Request, written: Prediction, tokens: int, prompt_tokens: int | None
) -> RecordedBeginning | None:
    if not written.truncated or not isinstance(request, Generate):
        return None
    text = written.text()
    has_thought = written.thought is not None or written.truncated_thinking
    is_exact = not has_thought and "\ufffd" not in text  # which stands for bytes that are no character
    return RecordedBeginning(text, tokens, prompt_tokens if is_exact else None)


def failures(answers: Sequence[AnsweredRequest | None]) -> list[str]:
    """Return why outputs of a sample were not continued; a prompt with the new limit may be too long for the model."""
    predictions = [answer.prediction for answer in answers if answer is not None]
    return [prediction.failure or "" for prediction in predictions if prediction.failure and not prediction.long_prompt]


def accepted(
    sample: Sample, earlier: Sequence[Prediction], answers: Sequence[AnsweredRequest | None]
) -> list[AnsweredRequest | None]:
    """Return the answers with the outputs that stand: the new ones, or the recorded ones with the new costs.

    Args:
        sample: the sample.
        earlier: its recorded predictions.
        answers: what the server answered now, by request; None for one that it was not asked.
    """
    triples = zip(sample.requests, earlier, answers, strict=True)
    return [
        None if answer is None else answer._replace(prediction=_standing(request, old, answer.prediction))
        for request, old, answer in triples
    ]


def _standing(request: Request, old: Prediction, new: Prediction) -> Prediction:
    """Return the prediction that stands, with the costs of the new one."""
    if new.failure is not None or new.long_prompt:
        return _with_costs(old, new)
    if not new.charges.get(OUTPUTS_REPEATED) or _begins_with(new, old):
        return new
    changed = replace(new, charges={**new.charges, OUTPUTS_CHANGED: 1})
    is_greedy = isinstance(request, Generate) and not request.temperature and request.sampling == "request"
    return changed if is_greedy else _with_costs(old, changed)


def _with_costs(old: Prediction, new: Prediction) -> Prediction:
    costs = {name: getattr(new, name) for name in ("prompt_tokens", "new_tokens", "computed_tokens", "useful_tokens")}
    return replace(old, id=new.id, charges=new.charges, **costs)


def _begins_with(new: Prediction, old: Prediction) -> bool:
    """Return whether a text goes on as a recorded one, thought and answer; white space at the cut may differ."""
    old_thought, new_thought = (old.thought or "").strip(), (new.thought or "").strip()
    old_text, new_text = old.text().strip(), new.text().strip()
    if old.truncated_thinking or not old_text:
        return new_thought.startswith(old_thought)
    return new_thought == old_thought and new_text.startswith(old_text)
