"""Thinking is turned on and off by the variable that a chat template reads."""

from __future__ import annotations

import pytest

from evals import InputError
from evals.models.backend.prompts.thinking import thinking_variables


@pytest.mark.parametrize(
    ("template", "on", "off"),
    [
        ("{% if enable_thinking is false %}</think>{% endif %}", {"enable_thinking": True}, {"enable_thinking": False}),
        ("{% if thinking is defined %}{% set mode = thinking %}{% endif %}", {"thinking": True}, {"thinking": False}),
        ("{% if reasoning %}<think>{% endif %}", {"reasoning": True}, {"reasoning": False}),
        ("{% if thinking_budget == 0 %}</think>{% endif %}", {}, {"thinking_budget": 0}),
        (
            "{{ '}}' }}{% if enable_thinking or thinking %}{% endif %}",
            {"enable_thinking": True, "thinking": True}, {"enable_thinking": False, "thinking": False},
        ),
    ],
)  # fmt: skip
def test_a_template_gets_the_variables_that_it_reads(template, on, off):
    assert thinking_variables(template, True, "a folder") == on
    assert thinking_variables(template, False, "a folder") == off


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}",
        "{% if message.thinking %}{{ message['enable_thinking'] }}{% endif %}",
        "{# enable_thinking #}{{ 'thinking' }}",
        "{% set thinking = 1 %}",
    ],
)
def test_a_template_that_reads_none_is_refused(template):
    with pytest.raises(InputError, match=r"--thinking has no effect: the chat template of a folder reads none of"):
        thinking_variables(template, True, "a folder")
