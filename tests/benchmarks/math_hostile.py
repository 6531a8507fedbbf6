r"""How long 2,000 hostile answers take to grade, and how many of them are given up.

    python tests/benchmarks/math_hostile.py

The answers are towers of powers, factorials of factorials, binomial coefficients, sums, products, integrals and powers
of polynomials that no computer finishes, nested fractions and brackets, long texts and attempts to run code. Each is
the output of a model to one problem of MATH, and is read and scored like any other. None may be credited.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from evals import Prediction, Sample, registry

GOLDS = ("18", "x^2+1", "\\frac{\\pi}{3}", "(1,2)")
KINDS = {
    "tower": "9^{(9^{(9^{@})})}",
    "tower-of-roots": "\\sqrt{7^{(8^{(9^{@})})}}",
    "plain-tower": "9^{9^{9^{@}}}",
    "factorials": "((@!)!)!",
    "ratio-of-factorials": "\\frac{(((@+5)!)!)}{(((@+4)!)!)}",
    "binomial": "\\binom{1000000000+@}{500000000}",
    "polynomial": "(x+y+z+@)^{900}",
    "sum": "\\sum_{k=1}^{100000000} \\frac{1}{k^{@}+\\sin k}",
    "product": "\\prod_{k=1}^{100000000} (1+\\frac{1}{k^{@}})",
    "integral": "\\int_0^{@} e^{\\sin(x^x)} \\cos(x^{x^x}) dx",
    "limit": "\\lim_{x \\to \\infty} \\frac{x^{x^x}-@}{\\Gamma(x)^{x}}",
    "equation": "x^{@9}+x^{7}-\\sin(x)=\\cos(x^{@})",
    "matrix": "\\operatorname{eye}(9@0) \\cdot \\operatorname{eye}(9@0)",
    "nested-roots": "\\sqrt{1+" * 9 + "@" + "}" * 9,
    "nested-powers": "(" * 9 + "2" + "^{@})" * 9,
    "code": "__import__('os').system('sleep @')",
}
NESTED = {"fraction-bomb": ("\\frac{1}{1+", "}"), "brackets": ("(", ")"), "braces": ("{", "}")}
LONG = {"long-sum": "1+", "long-product": "(x+1)", "long-braces": "\\boxed{", "long-digits": "9"}


def hostile_answers(count: int) -> dict[str, str]:
    """Return so many different hostile answers by a name that begins with their kind."""
    answers = dict[str, str]()
    size = 2
    while len(answers) < count:
        answers |= {f"{kind} {size}": text.replace("@", str(size)) for kind, text in KINDS.items()}
        answers |= {f"{kind} {size}": begin * size + "2" + end * size for kind, (begin, end) in NESTED.items()}
        answers |= {f"{kind} {size}": text * (size * 97) for kind, text in LONG.items()}
        size += 1
    return dict(list(answers.items())[:count])


def main() -> None:
    """Score the hostile answers and print the time and what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000, help="number of answers")
    arguments = parser.parse_args()
    registry.discover()
    task = registry.TASKS.get("math/math")
    answers = hostile_answers(arguments.count)
    samples = [Sample(name, (), GOLDS[n % len(GOLDS)]) for n, name in enumerate(answers)]
    predictions = {name: [Prediction(name, f"So the answer is $\\boxed{{{text}}}$.")] for name, text in answers.items()}
    start = time.monotonic()
    scores = task.score(samples, predictions)
    seconds = time.monotonic() - start
    metrics = task.summarise(scores)
    credited = [score.id for score in scores if score.values["accuracy"]]
    print(f"{len(scores):,} hostile answers: {seconds:.0f} s, credited {len(credited)} {credited}")
    print(f"given-up: {metrics['given-up'].note or 'none'}")
    given_up = Counter(score.id.split()[0] for score in scores if score.values["given-up"])
    print("given up by kind: " + ", ".join(f"{kind} {number}" for kind, number in sorted(given_up.items())))


if __name__ == "__main__":
    main()
