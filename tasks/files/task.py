"""Put a task file together as a `Task`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from evals.data.templates.renderer import RowRenderer
from evals.errors import InputError
from evals.schema import Options, PromptTemplates, Samples, Task
from evals.tasks.files import samples, scoring, wordings
from evals.tasks.files.spec import TaskFile, read_task_file


def load(path: Path) -> Task:
    """Read a task file and return its task.

    Raises:
        InputError: the file is missing or malformed; the message names its line.
    """
    return task_of(read_task_file(path))


def task_of(file: TaskFile) -> Task:
    """Return the task of a file; its templates are compiled when they are first used."""
    spec = file.spec
    patterns = {} if spec.answer.pattern is None else {"answer.pattern": spec.answer.pattern}
    renderer = RowRenderer(str(file.path), file.templates, file.expressions, patterns)
    by_prompt = functools.partial(wordings.with_prompt, file, renderer)
    return Task(
        name=spec.name,
        summary=spec.summary or f"a task in the file {file.path.name}",
        version=spec.version,
        needs=spec.ask,
        splits=(spec.split,),
        headline="accuracy",
        definition=file.path,
        default_data=samples.default_data(file),
        supported_options=frozenset({"prompt"} | ({"shots", "same_shots"} if spec.examples else set())),
        prompts=PromptTemplates(lambda: (spec.prompt, *spec.prompts), functools.partial(wordings.check, spec.prompt)),
        samples=functools.partial(_samples, by_prompt),
        score=functools.partial(scoring.score, spec, renderer.matches),
        summarise=functools.partial(scoring.summarise, spec),
    )


def _samples(by_prompt: Callable[[str | None], tuple[TaskFile, RowRenderer]], options: Options) -> Samples:
    """Read the samples, asked by the file's own template or by the one that the user chose."""
    file, renderer = by_prompt(options.prompt)
    return samples.samples(file, renderer, options)


def from_text(text: str, name: str) -> Task:
    """Return the task of a finished run, whose manifest holds the file's text.

    Raises:
        InputError: the text is no task file.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{Path(name).name}.yaml")
        path.write_text(text, encoding="utf-8")
        try:
            return load(path)
        except InputError as error:
            raise InputError(
                f"the definition of task {name!r} in the run's manifest cannot be read: {error}"
            ) from error
