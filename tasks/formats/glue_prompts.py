"""Five prompt templates for each of the nine tasks of GLUE: the suite's own, and four that ask the same in other words.

They keep the texts, the words of the answers and the meaning, and change the names of the texts, the wording of the
question, and where it stands. Nobody chose them by their scores.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from evals.schema import PromptTemplates
from evals.tasks.formats import plain_templates
from evals.tasks.glue_tasks import TABLE, Subtask, prompt


def prompt_templates(name: str) -> PromptTemplates:
    """Return the templates of a task, and the check of others, for its `Task`."""
    check = functools.partial(plain_templates.check, fields=tuple(TABLE[name].columns))
    return PromptTemplates(functools.partial(templates, name), check)


def of_row(task: Subtask, fields: Mapping[str, str], template: str | None) -> str:
    """Return the prompt of a row by the task's own template, or by the one that the user chose."""
    if template is None:
        return prompt(task.name, fields)
    return plain_templates.fill(template, {name: " ".join(fields[name].split()) for name in task.columns})


def own_template(task: Subtask) -> str:
    """Return the suite's own prompt of a task as a template.

    Example:
        >>> print(own_template(TABLE["rte"]))
        Premise: {{ sentence1 }}
        Hypothesis: {{ sentence2 }}
        Does the premise imply the hypothesis?
        Answer:
    """
    lines = [f"{name}: {{{{ {column} }}}}" for name, column in zip(task.text_names, task.columns, strict=True)]
    return "\n".join([*lines, task.question, "Answer:"])


def templates(name: str) -> tuple[str, ...]:
    """Return the templates of a task, its own first."""
    return (own_template(TABLE[name]), *_OTHERS[name])


_IMPLIED = (
    "Text: {{ sentence1 }}\nStatement: {{ sentence2 }}\nDoes the statement follow from the text, yes or no?\nAnswer:",
    "Does the premise imply the hypothesis?\nPremise: {{ sentence1 }}\nHypothesis: {{ sentence2 }}\nAnswer:",
    "{{ sentence1 }}\nQuestion: Is it then true that: {{ sentence2 }}\nAnswer:",
    "Read this: {{ sentence1 }}\nCan one conclude from it that the following holds: {{ sentence2 }}\nAnswer yes or no:",
)
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "cola": (
        "Is this sentence grammatical?\nSentence: {{ sentence }}\nAnswer:",
        "{{ sentence }}\nQuestion: Is the sentence above correct English grammar?\nAnswer:",
        "Text: {{ sentence }}\nIs this an acceptable English sentence, yes or no?\nAnswer:",
        "Judge the grammar of this sentence: {{ sentence }}\nIs it well formed?\nAnswer yes or no:",
    ),
    "sst2": (
        "Is the opinion in this sentence positive or negative?\nSentence: {{ sentence }}\nAnswer:",
        "Review: {{ sentence }}\nSentiment, positive or negative:",
        "{{ sentence }}\nQuestion: Does the writer like the film? Answer positive or negative.\nAnswer:",
        "Text: {{ sentence }}\nIs the tone of this text positive or negative?\nAnswer:",
    ),
    "mrpc": (
        "Do the two sentences say the same?\nSentence 1: {{ sentence1 }}\nSentence 2: {{ sentence2 }}\nAnswer:",
        "First: {{ sentence1 }}\nSecond: {{ sentence2 }}\nDo both sentences mean the same, yes or no?\nAnswer:",
        "{{ sentence1 }}\n{{ sentence2 }}\nQuestion: Is the second sentence a paraphrase of the first?\nAnswer:",
        "Sentence A: {{ sentence1 }}\nSentence B: {{ sentence2 }}\nIs A equivalent to B?\nAnswer yes or no:",
    ),
    "stsb": (
        "From 0 to 5, how similar are the two sentences?\nSentence 1: {{ sentence1 }}\nSentence 2: {{ sentence2 }}\n"
        "Answer:",
        "First: {{ sentence1 }}\nSecond: {{ sentence2 }}\nSimilarity of meaning on a scale from 0 to 5:",
        "{{ sentence1 }}\n{{ sentence2 }}\nQuestion: How alike are both in meaning, 0 (not at all) to 5 (the same)?\n"
        "Answer:",
        "Sentence A: {{ sentence1 }}\nSentence B: {{ sentence2 }}\nRate from 0 to 5 how close A is to B in meaning.\n"
        "Rating:",
    ),
    "qqp": (
        "Do the two questions ask the same?\nQuestion 1: {{ question1 }}\nQuestion 2: {{ question2 }}\nAnswer:",
        "First: {{ question1 }}\nSecond: {{ question2 }}\nAre both the same question, yes or no?\nAnswer:",
        "{{ question1 }}\n{{ question2 }}\nIs the second question a duplicate of the first?\nAnswer:",
        "Question A: {{ question1 }}\nQuestion B: {{ question2 }}\nWould one answer serve both?\nAnswer yes or no:",
    ),
    "mnli": (
        "Is this entailment, neutral or contradiction?\nPremise: {{ premise }}\nHypothesis: {{ hypothesis }}\nAnswer:",
        "Text: {{ premise }}\nStatement: {{ hypothesis }}\nRelation, entailment, neutral or contradiction:",
        "{{ premise }}\nQuestion: What is the relation of this text to: {{ hypothesis }}\n"
        "Answer entailment, neutral or contradiction:",
        "Sentence A: {{ premise }}\nSentence B: {{ hypothesis }}\n"
        "What is B, given A: entailment, neutral or contradiction?\nAnswer:",
    ),
    "qnli": (
        "Does the sentence answer the question?\nQuestion: {{ question }}\nSentence: {{ sentence }}\nAnswer:",
        "Question: {{ question }}\nText: {{ sentence }}\nDoes the text hold the answer, yes or no?\nAnswer:",
        "{{ question }}\n{{ sentence }}\nIs the question answered by the sentence after it?\nAnswer:",
        "Sentence: {{ sentence }}\nQuestion: {{ question }}\nCan the question be answered from the sentence?\n"
        "Answer yes or no:",
    ),
    "rte": _IMPLIED,
    "wnli": _IMPLIED,
}  # fmt: skip
