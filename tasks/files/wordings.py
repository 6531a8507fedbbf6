"""Other wordings of a task file's question: templates that take the place of its `prompt` (`--prompts`)."""

from __future__ import annotations

import dataclasses
import warnings

from evals.data.templates.renderer import RowRenderer
from evals.errors import InputError, one_line
from evals.tasks.files.spec import TaskFile


def fields_of(template: str) -> set[str]:
    """Return the variables that a Jinja template reads; it is parsed, not rendered.

    Raises:
        InputError: it is malformed.

    Example:
        >>> sorted(fields_of("{{ passage }} {% for option in numbered %}{{ option.text }}{% endfor %}"))
        ['numbered', 'passage']
    """
    import jinja2
    from jinja2 import nodes

    try:
        with warnings.catch_warnings():  # a backslash in a text of the template, as in a regular expression
            warnings.simplefilter("ignore")
            tree = jinja2.Environment(autoescape=False).parse(template)  # nothing is computed, constants neither
    except jinja2.TemplateError as error:
        raise InputError(f"it is malformed: {one_line(error)}") from error
    except RecursionError:
        raise InputError("it is malformed: it is nested too deeply") from None
    names = list(tree.find_all(nodes.Name))
    bound = {name.name for name in names if name.ctx != "load"}
    return {name.name for name in names if name.ctx == "load"} - bound - {"loop", *jinja2.defaults.DEFAULT_NAMESPACE}


def check(own_prompt: str, template: str) -> None:
    """Raise `InputError` unless a template reads every variable that the file's own prompt reads.

    Example:
        >>> check("{{ passage }} {{ question }}?", "{{ question }}?")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: it lacks {{ passage }}
    """
    used = fields_of(template)
    for name in sorted(fields_of(own_prompt) - used):
        raise InputError(f"it lacks {{{{ {name} }}}}")


def with_prompt(file: TaskFile, renderer: RowRenderer, prompt: str | None) -> tuple[TaskFile, RowRenderer]:
    """Return a task file and its renderer with another prompt; the text of the file, and its digest, stay.

    Args:
        file: the task file.
        renderer: that of its own prompt.
        prompt: the template in place of the file's own; None for the file's own.
    """
    if prompt is None or prompt == file.spec.prompt:
        return file, renderer
    asked = dataclasses.replace(file, spec=dataclasses.replace(file.spec, prompt=prompt))
    where = f"{file.path}, with another prompt"
    return asked, RowRenderer(where, asked.templates, asked.expressions, {})
