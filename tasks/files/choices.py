"""The choices of a row: their texts and labels, which of them is right, and what an output is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.data.row_tables.cells import answers_of, text_of
from evals.errors import InputError, counted, shorten
from evals.schema import Json
from evals.tasks.files.reading import a_number
from evals.tasks.files.spec import CLASS_METRICS, LETTERS, TaskSpec
from evals.tasks.scoring.answer_texts import normalised

_YES, _NO = frozenset({"yes", "true"}), frozenset({"no", "false"})


@dataclass(frozen=True)
class RowChoices:
    """The choices of a row, in the order in which they are shown."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    right: int | None = None
    """Index of the right choice; None without choices."""


def listed(value: Json, name: str, place: str) -> tuple[str, ...]:
    """Return a list of texts. Raises `InputError` for another value."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, (str, int, float)) for entry in value):
        hint = ""
        if isinstance(value, str) and value.lstrip().startswith(("[", "(")):
            hint = f": write {name}: COLUMN | literal for a list that is stored as a text"
        elif isinstance(value, dict):
            lists = [key for key, part in value.items() if isinstance(part, list)]
            part = f".{lists[0]}" if lists else ".values() | list"
            hint = f": write {name}: COLUMN{part} for a mapping"
        raise InputError(f"{place}: {name} is {shorten(value, 60)}, expected a list of texts{hint}")
    return tuple(text_of(entry) or "" for entry in value)


def choices_of(spec: TaskSpec, texts: Json, labels: Json, target: Json, *, read: str, place: str) -> RowChoices:
    """Return the choices of a row.

    Args:
        spec: the task file.
        texts: what its `choices` give for the row.
        labels: what its `labels` give.
        target: what its `target` gives.
        read: the reader of the row's answer.
        place: the row, for messages.

    Raises:
        InputError: the choices or labels are no lists of texts or differ in number, there are too few choices or too
            many, or the target is none of them, or could be several.
    """
    choices = listed(texts, "choices", place)
    names = listed(labels, "labels", place) or tuple(LETTERS[: len(choices)])
    named = ", ".join(map(shorten, names[:6]))
    is_chosen_from = spec.ask == "choose" or read in {"letter", "label"}
    if is_chosen_from and len(choices) < 2:
        raise InputError(f"{place}: {counted(len(choices), 'choice')}, expected two or more")
    if choices and len(names) != len(choices):
        raise InputError(f"{place}: {counted(len(choices), 'choice')} and {counted(len(names), 'label')}")
    if len({*names}) < len(names) or "" in names:
        raise InputError(f"{place}: the labels are {named}; expected another one for each choice")
    if spec.ask == "generate" and read == "letter" and not all(name in LETTERS for name in names):
        raise InputError(f"{place}: the labels are {named}; read: letter reads A to Z")
    if not choices:
        return RowChoices()
    return RowChoices(choices, names, _right(spec.target_is, target, texts, names, place))


def _right(target_is: str, target: Json, raw_choices: Json, labels: Sequence[str], place: str) -> int:
    """Return the index of the right choice.

    The target may be an index, a label or a choice. If it could be two of these that differ, such as the target A of
    the choices O, A, B and AB, nothing is guessed.
    """
    assert isinstance(raw_choices, list)
    texts = [text_of(entry) or "" for entry in raw_choices]
    if isinstance(target, bool):
        return _of_truth(target, texts, place)
    readings = _readings(target_is, target, raw_choices, labels)
    if len(set(readings.values())) == 1:
        return next(iter(readings.values()))
    if readings:
        meanings = [f"the {name} of {labels[index]}: {shorten(texts[index], 30)}" for name, index in readings.items()]
        raise InputError(
            f"{place}: target {shorten(target, 40)} is {' and '.join(meanings)}: say which with the key target_is, "
            f"{' or '.join(readings)}"
        )
    allowed = {
        "index": f"an index from 0 to {len(texts) - 1}",
        "label": f"a label ({', '.join(labels[:12])})",
        "choice": f"a choice ({', '.join(map(shorten, texts[:12]))})",
    }
    expected = ", ".join(text for name, text in allowed.items() if target_is in {"any", name})
    hint = ""
    if isinstance(target, int):
        hint = "; for numbers from 1, subtract 1" if target == len(texts) else ""
    elif target_is == "any" and _stated(target).isdecimal():
        hint = f"; is {shorten(target, 20)} an index? then say target_is: index"
    raise InputError(f"{place}: target is {shorten(target, 40)}, expected {expected}{hint}")


def _stated(target: Json) -> str:
    """Return a target as text, "" if it is no text or number."""
    return ((text_of(target) if isinstance(target, (str, int, float)) else None) or "").strip()


def _readings(target_is: str, target: Json, raw_choices: Sequence[Json], labels: Sequence[str]) -> dict[str, int]:
    """Return the index that a target means as an index, a label and a choice, where it can be one."""
    stated = _stated(target)
    readings: dict[str, int] = {}
    if isinstance(target, int) or (target_is == "index" and stated.isdecimal()):
        readings["index"] = int(stated)
    # The number 2 is the choice 2 and not the choice "2", unless the file says that it is a choice.
    texts = [
        text_of(entry) or "" if target_is == "choice" or isinstance(entry, str) == isinstance(target, str) else None
        for entry in raw_choices
    ]
    for name, entries in (("label", list(labels)), ("choice", texts)):
        if entries.count(stated) == 1:
            readings[name] = entries.index(stated)
    return {
        name: index for name, index in readings.items() if index in range(len(texts)) and target_is in {"any", name}
    }


def _of_truth(target: bool, texts: Sequence[str], place: str) -> int:
    """Return the choice that says yes or true, or no or false."""
    words = _YES if target else _NO
    indices = [index for index, text in enumerate(texts) if normalised(text) in words]
    if len(indices) == 1:
        return indices[0]
    raise InputError(
        f"{place}: target is {str(target).lower()}, and of the choices {', '.join(map(shorten, texts[:12]))} not one "
        f"is {' or '.join(sorted(words))}: for an index, write target: … | int"
    )


# Targets


def class_numbers(spec: TaskSpec) -> dict[str, int]:
    """Return the number of each listed choice by its normalised text and label, for metrics of classes."""
    assert isinstance(spec.choices, list)
    labels = spec.labels if isinstance(spec.labels, list) else list(LETTERS[: len(spec.choices)])
    by_label = {normalised(label): number for number, label in enumerate(labels)}
    return by_label | {normalised(choice): number for number, choice in enumerate(spec.choices)}


def target_of(spec: TaskSpec, choices: RowChoices, target: Json, *, read: str, continuation: str, place: str) -> Json:
    """Return the reference of a sample, with all that its answer's reader needs.

    Args:
        spec: the task file.
        choices: the choices of the row.
        target: what the `target` of the file gives.
        read: the reader of the row's answer.
        continuation: that of the right choice, for a task that chooses.
        place: the row, for messages.

    Returns:
        The right continuation, label or choice, or the right answers: a text or a list. Where the reader needs the
        row's own choices, `{"right": …, "choices": …}`, in which choices are the labels for `letter`.

    Raises:
        InputError: there is no answer that an output could equal.
    """
    if spec.ask == "choose":
        if CLASS_METRICS & {*spec.metrics} and normalised(continuation) not in class_numbers(spec):
            raise InputError(
                f"{place}: the continuation {shorten(continuation)} is none of the choices, which f1 and matthews need"
            )
        return continuation
    if read in {"letter", "label"} or (read == "mmmu" and choices.texts):
        assert choices.right is not None, "such rows have choices"
        shown = choices.labels if read == "letter" else choices.texts
        right = choices.texts[choices.right] if read == "label" else choices.labels[choices.right]
        is_in_file = read == "label" and isinstance(spec.choices, list)
        is_stated = read == "letter" and (spec.answer.letters or spec.answer.pattern is not None)
        return right if is_in_file or is_stated else {"right": right, "choices": list(shown)}
    return _answers(choices, target, read, place)


def _answers(choices: RowChoices, target: Json, read: str, place: str) -> Json:
    """Return the right answers: the choice, and unless answers are found within an output, its label."""
    if choices.right is not None:
        text, label = choices.texts[choices.right], choices.labels[choices.right]
        is_a_choice = normalised(label) in map(normalised, choices.texts)
        answers = [text, label] if read in {"exact", "regex"} and not is_a_choice else [text]
    else:
        try:
            answers = answers_of(target)
        except InputError as error:
            raise InputError(f"{place}: target is {error}") from error
    if not answers or not all(normalised(answer) for answer in answers):
        raise InputError(f"{place}: target {shorten(target, 40)} is empty: no answer could be right")
    if read not in {"number", "math"}:
        return answers
    if read == "number":
        for answer in answers:
            if a_number(answer) is None:
                raise InputError(
                    f"{place}: target {shorten(answer, 40)} is not one number, which read: number needs; an expression "
                    f"takes it out of a text: target: answer.split('####')[-1]"
                )
    if isinstance(target, float):  # 2 and 2.0, which are one number
        answers = answers[:1]
    return answers if len(answers) > 1 else answers[0]
