"""The templates of `--prompts`: the first N that come with a task, or those of a file.

A YAML file is a list of templates. Any other file holds blocks of text, separated by lines of three hyphens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evals import plain_numbers, regular_files, yaml_files
from evals.errors import InputError, shorten
from evals.schema import Task

SEPARATOR = "---"


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """A template, and where it stands."""

    text: str
    place: str
    """`wordings.txt:7`, for messages."""


def choose(task: Task, argument: str) -> list[str]:
    """Return the templates that the user chose for a task.

    Args:
        task: the task.
        argument: the value of `--prompts`: a number, or `@FILE`.

    Raises:
        InputError: the task has no templates or fewer, the file cannot be read, or a template lacks a field; the
            message names the line.
    """
    if task.prompts is None:
        hint = "name its parts, as glue/rte,glue/cola" if task.name == "glue" else "its prompts are fixed"
        raise InputError(f"task {task.name!r} has no prompt templates: {hint}")
    if argument.startswith("@"):
        return _of_file(task, Path(argument[1:]).expanduser())
    try:
        count = plain_numbers.whole(argument)
    except ValueError:
        raise InputError(f"--prompts {shorten(argument)}: give a number of templates, or @FILE") from None
    shipped = list(task.prompts.shipped())
    if count < 2:
        raise InputError(f"--prompts {count}: a spread needs 2 prompts or more")
    if count > len(shipped):
        raise InputError(
            f"--prompts {count}: task {task.name!r} comes with {len(shipped)}; give at most so many, or @FILE"
        )
    return shipped[:count]


def _of_file(task: Task, path: Path) -> list[str]:
    assert task.prompts is not None
    templates = list(_yaml(path) if path.suffix in {".yaml", ".yml"} else _blocks(path))
    for number, template in enumerate(templates):
        try:
            task.prompts.check(template.text)
        except InputError as error:
            raise InputError(f"{template.place}: the template is not for {task.name}: {error}") from None
        for other in templates[:number]:
            if template.text == other.text:
                raise InputError(f"{template.place}: the template is there twice")
            if template.text.split() == other.text.split():
                raise InputError(
                    f"{template.place}: the template differs from that of {other.place} in white space only, which is "
                    f"no other wording: the spread would be too small; remove one of them"
                )
    if len(templates) < 2:
        raise InputError(f"{path}: it holds {len(templates)} template; a spread needs 2 or more, separated by ---")
    return [template.text for template in templates]


def _yaml(path: Path) -> Iterator[ChosenTemplate]:
    values, lines = yaml_files.load_with_lines(path)
    if not isinstance(values, list):
        raise InputError(f"{path}:1: expected a list of templates")
    for number, value in enumerate(values):
        place = f"{path}:{lines.get((number,), 1)}"
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{place}: expected a text, not {shorten(value)}")
        yield ChosenTemplate(value.rstrip("\n"), place)


def _blocks(path: Path) -> Iterator[ChosenTemplate]:
    try:
        text = regular_files.read(path, pipe=True).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"--prompts: cannot read {path}: {why}") from None
    lines, first = [], 1
    for number, line in enumerate([*text.splitlines(), SEPARATOR], start=1):
        if line.rstrip() != SEPARATOR:
            lines.append(line)
            continue
        block = "\n".join(lines).strip("\n")
        if block.strip():
            empty = next(count for count, entry in enumerate(lines) if entry.strip())
            yield ChosenTemplate(block, f"{path}:{first + empty}")
        lines, first = [], number + 1
