r"""How many gold answers of MATH-500 are recognised in each way of stating them, and how many wrong ones are credited.

    python tests/benchmarks/math_answers.py ../shared/data/math/math500.jsonl

For each form, the first number counts the outputs that state the gold answer and are graded right; the second counts
the outputs that state the answer of another problem, which is not equal to the gold answer, and are graded right all
the same. Two golds are unequal if they differ as normalised strings and algebra finds them different.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random

from evals import Prediction, Sample, registry
from evals.metrics.math_grader import Grader
from evals.tasks.scoring.math_reading.normal import normalise

FORMS = {
    "box": "So the answer is $\\boxed{@}$.",
    "thus-inline": "We simplify both sides. Thus, $@$.",
    "is-round": "The value that we look for is \\( @ \\).",
    "square": "Adding up, we get\n\\[ @ \\]",
    "square-full-stop": "Hence the result is\n\\[@.\\]",
    "display": "Therefore we obtain\n\n$$@$$",
    "we-find-x": "Solving, we find $x = @$.",
    "chinese-is": "所以答案是 $@$。",
    "chinese-colon": "最终答案：$@$",
    "chinese-bold": "因此，答案为 **$@$**。",
    "final-answer-heading": "**Final Answer**\n\n$@$",
    "markdown-heading": "## Final answer\n\n**$@$**",
    "bare-last-line": "We add the parts.\n\n@",
    "dollar-last-line": "We add the parts.\n$@$",
    "answer-is-bare": "The answer is @.",
    "answer-is-inline": "The final answer is $@$. I hope it is correct.",
    "answer-colon-bare": "Answer: @",
    "answer-colon-inline": "**Answer:** $@$",
    "hash": "Adding gives the total.\n#### @",
    "hash-inline": "Adding gives the total.\n#### $@$",
    "remark": "The answer is $@$, since there are 3 ways and 4 of 7 are gone.",
    "remark-sentence": "So the answer should be $@$. There were 16 to begin with.",
    "therefore": "The correct answer is therefore $@$, not $1000001$.",
    "bold-dollar": "Adding up the parts, we get **$@$**.",
    "bold-bare": "**@**",
    "spanish": "La respuesta es $@$.",
    "french": "La réponse finale est : $@$",
    "german": "Die Antwort lautet $@$.",
    "portuguese": "A resposta é $@$.",
    "russian": "Ответ: $@$.",
    "japanese": "答えは $@$ です。",
    "steps-before": "First, $2 + 2 = 4$ and $n = 12$.\nThen the quantity equals $@$.",
}


def outputs(form: str, golds: list[str]) -> list[str]:
    """State each answer in a form; an answer with dollar signs of its own keeps them escaped."""
    return [FORMS[form].replace("@", gold) for gold in golds]


def unequal_partners(golds: list[str], seed: int) -> list[str]:
    """Return for each gold answer another problem's, which is not equal to it."""
    partners = golds[:]
    Random(seed).shuffle(partners)
    with Grader() as grader:
        for attempt in range(20):
            grades = grader.grade([*zip(golds, partners, strict=True)])
            same = [n for n, grade in enumerate(grades) if grade.equal or normalise(golds[n]) == normalise(partners[n])]
            if not same:
                break
            for n in same:
                other = Random(f"{seed} {n} {attempt}").randrange(len(golds))
                partners[n] = golds[other]
    return partners


def count_right(golds: list[str], texts: list[str]) -> list[int]:
    """Return the places of the outputs that are graded right."""
    task = registry.TASKS.get("math/math500")
    samples = [Sample(str(n), (), gold) for n, gold in enumerate(golds)]
    scores = task.score(samples, {str(n): [Prediction(str(n), text)] for n, text in enumerate(texts)})
    return [n for n, score in enumerate(scores) if score.values["accuracy"] == 1.0]


def main() -> None:
    """Print the table, and with --misses what is not recognised or wrongly credited."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="math500.jsonl")
    parser.add_argument("--misses", action="store_true", help="print the gold answers that are missed or wrongly right")
    parser.add_argument("--seed", type=int, default=0, help="draws the other problem's answer")
    arguments = parser.parse_args()
    registry.discover()
    golds = [json.loads(line)["answer"] for line in arguments.file.read_text(encoding="utf-8").splitlines()]
    partners = unequal_partners(golds, arguments.seed)
    print(f"{'form':22} {'recognised':>10} {'wrong':>6}   of {len(golds)}")
    wrong_total = 0
    for form in FORMS:
        right = set(count_right(golds, outputs(form, golds)))
        wrong = count_right(golds, outputs(form, partners))
        wrong_total += len(wrong)
        print(f"{form:22} {len(right):10} {len(wrong):6}", flush=True)
        if arguments.misses:
            for n in sorted(set(range(len(golds))) - right):
                print(f"    missed  {golds[n]}")
            for n in wrong:
                print(f"    wrong   {golds[n]} credited for {partners[n]}")
    print(f"wrong credit: {wrong_total} of {len(golds) * len(FORMS)} ({wrong_total / len(golds) / len(FORMS):.3%})")


if __name__ == "__main__":
    main()
