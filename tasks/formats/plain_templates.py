r"""Prompt templates with plain fields, `{{ question }}`: a field is replaced by a text of the row, and nothing else is.

check(template, fields)      every field occurs, and no other
fill(template, values)       the prompt of a row
split(template, field)       the instruction before a blank line, and the rest, which holds the field
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from evals.errors import InputError, shorten

_FIELD = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def check(template: str, fields: Collection[str]) -> None:
    """Raise `InputError` unless a template has exactly some fields, each at least once.

    Example:
        >>> check("Is it red? {{ text }}", ["text"])
        >>> check("Is it red?", ["text"])
        Traceback (most recent call last):
            ...
        evals.errors.InputError: it lacks {{ text }}
    """
    listed = ", ".join(f"{{{{ {name} }}}}" for name in fields)
    if "{%" in template or "{#" in template:
        raise InputError(f"it has a statement of Jinja, which only task files have; allowed are {listed}")
    used = _FIELD.findall(template)
    for name in used:
        if name not in fields:
            raise InputError(f"it has the field {shorten(name)}; allowed are {listed}")
    for name in fields:
        if name not in used:
            raise InputError(f"it lacks {{{{ {name} }}}}")
    if "{{" in _FIELD.sub("", template):
        raise InputError(f"it has {{{{ without }}}}; allowed are {listed}")


def fill(template: str, values: Mapping[str, str]) -> str:
    r"""Put the texts of a row into a template; what looks like a field in a text is left alone.

    Example:
        >>> fill("Question: {{ question }}\nAnswer:", {"question": "What is {{ x }}?"})
        'Question: What is {{ x }}?\nAnswer:'
    """
    return _FIELD.sub(lambda match: values[match[1]], template)


def split(template: str, field: str) -> tuple[str, str]:
    r"""Divide a template into the instruction, which ends with the last blank line before a field, and the rest.

    Example:
        >>> split("Solve it.\n\nQuestion: {{ question }}\nAnswer:", "question")
        ('Solve it.\n\n', 'Question: {{ question }}\nAnswer:')
        >>> split("{{ question }}", "question")
        ('', '{{ question }}')
    """
    match = re.search(r"\{\{\s*" + re.escape(field) + r"\s*\}\}", template)
    end = 0 if match is None else template.rfind("\n\n", 0, match.start()) + 2
    return (template[:end], template[end:]) if end >= 2 else ("", template)
