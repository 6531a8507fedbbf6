r"""Prompt templates of math problems: an instruction, which stands once before the examples, a blank line, a problem.

Solve each problem step by step. End with #### and the answer as a number.

Question: {{ question }}
Answer:
"""

from __future__ import annotations

from evals.tasks.formats import plain_templates

_FORMS = {"####": "#### and the answer as a number", "boxed": "the answer in \\boxed{}"}


def templates(instruction: str, form: str) -> tuple[str, ...]:
    """Return five templates, the suite's own first; the others ask the same in other words.

    Nobody chose them by their scores.

    Args:
        instruction: the suite's own, with the blank line after it.
        form: the form of the answer, `####` or `boxed`.
    """
    end = _FORMS[form]
    return (
        own_template(instruction),
        f"Work through each problem in steps. Finish with {end}.\n\nProblem: {{{{ question }}}}\nSolution:",
        f"Answer each question. Show your steps, and write {end} at the end.\n\nQ: {{{{ question }}}}\nA:",
        f"Please solve these exercises; think step by step, and end with {end}.\n\n"
        "Exercise: {{ question }}\nSolution:",
        f"Each solution below has its steps first and ends with {end}.\n\nQuestion: {{{{ question }}}}\nSteps:",
    )


def own_template(instruction: str) -> str:
    """Return the suite's own template."""
    return instruction + "Question: {{ question }}\nAnswer:"


def template(instruction: str, chosen: str | None) -> tuple[str, str]:
    """Return the instruction of the chosen template, or of the suite's own, and the template of a problem after it."""
    return plain_templates.split(own_template(instruction) if chosen is None else chosen, "question")


def stop(own_stop: tuple[str, ...], asked: str) -> tuple[str, ...]:
    r"""Return the strings at which a next problem begins: the task's own, and the words before a problem.

    Example:
        >>> stop(("\n\nQuestion:",), "Problem: {{ question }}\nSolution:")
        ('\n\nQuestion:', '\n\nProblem:')
    """
    before = asked.partition("{{")[0].strip()
    return tuple(dict.fromkeys((*own_stop, f"\n\n{before}"))) if before and "\n" not in before else own_stop
