"""The variables by which chat templates turn the thinking of a model on or off."""

from __future__ import annotations

import re

from evals.errors import InputError
from evals.models.decoding.thoughts import SWITCHES
from evals.schema import Json

_BUDGET = "thinking_budget"
"""Maximum number of tokens of a thought (Seed-OSS); 0 is no thought."""


def thinking_variables(template: str, thinking: bool, source: str) -> dict[str, Json]:
    """Return the variables that tell a template whether the model shall think.

    Args:
        template: the template, in Jinja.
        thinking: whether the model shall think.
        source: where the template comes from, for the message.

    Raises:
        InputError: the template reads none of the known variables, so that the option would have no effect.

    Example:
        >>> thinking_variables("{% if thinking %}<think>{% endif %}", True, "my-model")
        {'thinking': True}
        >>> thinking_variables("{{ message.thinking }}", True, "my-model")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --thinking has no effect: the chat template of my-model reads none ...
    """
    variables = _variables(template)
    switches: dict[str, Json] = {name: thinking for name in SWITCHES if name in variables}
    if switches:
        return switches
    if _BUDGET in variables:
        return {} if thinking else {_BUDGET: 0}
    names = ", ".join((*SWITCHES, _BUDGET))
    raise InputError(f"--thinking has no effect: the chat template of {source} reads none of {names}; leave it out")


def _variables(template: str) -> frozenset[str]:
    """Return the names in the code of a template, without texts, attributes and named arguments."""
    blocks = re.findall(r"\{[%{](.*?)[%}]\}", re.sub(r"\{#.*?#\}", "", template, flags=re.S), re.S)
    code = (re.sub(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", "''", block) for block in blocks)
    return frozenset(name for block in code for name in re.findall(r"(?<![\w.])[A-Za-z_]\w*(?!\w|\s*=[^=])", block))
