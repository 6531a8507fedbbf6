"""Read the requests and the responses of a line of lm-eval's samples.

A sample that scores choices has one request for each (`construct_requests` of lm_eval/api/task.py, 0.4.13):

    multiple choice     one prompt, and a continuation for each choice
    multiple input      a prompt for each choice, and one continuation (Winogrande)
    acc_mutual_info     after those of the choices as many again, with an empty prompt: `log P(choice)`, which
                        `process_results` subtracts for this metric only; `acc` is of the first half
    log-likelihood      one continuation, the target (LAMBADA): whether it is the greedy text is all that is known
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.errors import InputError, shorten
from evals.logs import json_text
from evals.schema import Json

MUTUAL_INFORMATION = "acc_mutual_info"
_UNTOLD = "(the log does not say which texts were scored)"
"""Stands for the output where lmms-eval leaves the requests out."""
_NO_NUMBERS = frozenset({"nan", "inf", "NaN", "Infinity"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked for a sample, and what it answered."""

    prompt: str
    further: Json
    """The further argument of the first request: a continuation, or generation settings."""
    outputs: tuple[str, ...] = ()
    """The texts that were written."""
    choices: tuple[str, ...] = ()
    """The texts after the prompt that were scored."""
    log_likelihoods: tuple[float, ...] = ()
    """Their log-likelihoods in nats."""
    taken: int | None = None
    """The choice that counts as the output, where it is not the likeliest; -1 if it is none of them."""
    is_complete: bool = False
    """Whether there are outputs, or log-likelihoods that are numbers."""


def read(line: Mapping[str, Json], where: str, metrics: Sequence[str]) -> Asked:
    """Read the requests and responses of a sample.

    Args:
        line: a line of a file of samples.
        where: the place, for messages.
        metrics: the names of the sample's metrics.

    Raises:
        InputError: they are malformed.

    Example:
        >>> line = {"arguments": [["1 + 1 =", " 2"], ["1 + 1 =", " 3"]], "resps": [[[-0.5, True]], [[-3.0, False]]]}
        >>> asked = read(line, "samples.jsonl, line 1", ["acc"])
        >>> asked.prompt, asked.choices, asked.log_likelihoods
        ('1 + 1 =', (' 2', ' 3'), (-0.5, -3.0))
    """
    requests = _requests(line, where)
    texts, scores, is_greedy = _responses(line, where, is_scored=not requests or isinstance(requests[0][1], str))
    prompt, further = requests[0] if requests else (json_text.text(line.get("input")) or "", None)
    if scores and not requests and all(map(math.isfinite, scores)):
        return Asked(prompt, further, (_UNTOLD,), is_complete=True)
    if not scores or len(scores) != len(requests):
        outputs = () if scores else texts
        return Asked(prompt, further, outputs, is_complete=bool(outputs or scores) and all(map(math.isfinite, scores)))
    count = len(requests) // 2 if _has_unconditional(requests, metrics) else len(requests)
    scores = scores[:count]
    if max(scores) == -math.inf or not all(score < math.inf for score in scores):  # not a number is not below it
        return Asked(prompt, further)
    prompt, choices = _choices(requests[:count])
    if not all(map(math.isfinite, scores)):  # a choice of probability 0 has no number, and is not the likeliest
        likeliest = max(range(count), key=scores.__getitem__)
        return Asked(prompt, further, (), choices, (), likeliest, is_complete=True)
    taken = -1 if count == 1 and not is_greedy[0] else None
    return Asked(prompt, further, (), choices, scores, taken, is_complete=True)


def _has_unconditional(requests: Sequence[tuple[str, Json]], metrics: Sequence[str]) -> bool:
    """Return whether the second half of the requests scores the choices without a prompt."""
    half = len(requests) // 2
    if MUTUAL_INFORMATION not in {name.partition(",")[0] for name in metrics} or len(requests) % 2:
        return False
    return all(not prompt for prompt, _ in requests[half:])


def _choices(requests: Sequence[tuple[str, Json]]) -> tuple[str, tuple[str, ...]]:
    """Return the prompt and what follows it in each request, also where the prompts differ.

    Example:
        >>> _choices([("Ann beat Sue, so Ann", " won."), ("Ann beat Sue, so Sue", " won.")])
        ('Ann beat Sue, so', (' Ann won.', ' Sue won.'))
    """
    prompts = [prompt for prompt, _ in requests]
    shared = os.path.commonprefix(prompts)  # noqa: RUF071  (of texts, not of paths)
    if any(prompt != shared for prompt in prompts):
        shared = shared[: max(0, shared.rfind(" "))]  # whole words differ
    return shared, tuple(prompt[len(shared) :] + str(ending) for prompt, ending in requests)


def _requests(line: Mapping[str, Json], where: str) -> list[tuple[str, Json]]:
    """Return the prompt and the further argument of each request; older logs have lists in place of objects."""
    stated = line.get("arguments")
    entries = list(stated.values()) if isinstance(stated, dict) else stated or []
    requests = []
    for entry in entries:
        parts = list(entry.values()) if isinstance(entry, dict) else entry
        if not isinstance(parts, list) or not parts:
            raise InputError(f"{where}: arguments are {shorten(stated)}, expected prompt and continuation, or settings")
        requests.append(
            (parts[0] if isinstance(parts[0], str) else str(parts[0]), parts[1] if len(parts) > 1 else None)
        )
    return requests


def _responses(
    line: Mapping[str, Json], where: str, *, is_scored: bool
) -> tuple[tuple[str, ...], tuple[float, ...], tuple[bool, ...]]:
    """Return the texts, or the log-likelihoods and whether each is of the greedy text; `is_scored` if these may be."""
    stated = line.get("resps", line.get("filtered_resps"))
    stated = [stated] if isinstance(stated, str) else stated  # lmms-eval writes a single answer without a list
    texts: list[str] = []
    scores: list[float] = []
    greedy: list[bool] = []
    for response in stated if isinstance(stated, list) else []:
        repeats = response if isinstance(response, list) else [response]
        if is_scored and _is_pair(repeats):
            repeats = [repeats]
        for repeat in repeats:
            if isinstance(repeat, str | int | float):  # a number: the log-likelihood of a whole text
                texts.append(str(repeat))
            elif is_scored and isinstance(repeat, list) and _is_pair(repeat):
                score = json_text.number(repeat[0])
                impossible = str(repeat[0]) in {"-inf", "-Infinity"}  # lm-eval writes it of a probability of 0
                scores.append(-math.inf if impossible else math.nan if score is None else score)
                greedy.append(str(repeat[1]) == "True")
            else:
                raise InputError(f"{where}: a response is {shorten(repeat)}, expected a text, or a log-likelihood")
    if texts and scores:
        raise InputError(f"{where}: it has both texts and log-likelihoods")
    return tuple(texts), tuple(scores), tuple(greedy)


def _is_pair(entry: Sequence[Json]) -> bool:
    """Return whether an entry is a log-likelihood and whether it is the greedy one, as texts or as they are."""
    if len(entry) != 2 or str(entry[1]) not in {"True", "False"}:
        return False
    return json_text.number(entry[0]) is not None or str(entry[0]).strip("+-") in _NO_NUMBERS
