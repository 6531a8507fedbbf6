"""Precision and recall of drafted claims, by document and by kind, against annotations by hand.

    python tests/benchmarks/draft.py [--held-out] [--show] [--documents DIR]

The two bundled articles are compared with their inventory, if the folder of the shared data is given; the texts in
`tests/reports/claims/drafting/` with the annotations in them. A number is found if a drafted claim stands at it;
right if value and unit are the annotated ones. Precision is the share of drafted claims that are right.
"""

from __future__ import annotations

import argparse
import json
import sys
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import annotated_texts  # noqa: E402
from annotated_texts import Annotation, Score  # noqa: E402

from evals.reports.claims.drafting.language.numbers import find_numbers  # noqa: E402

_UNITS = {
    **{"params": "parameters", "s": "seconds", "ms": "milliseconds", "%": "percent", "x": "times", "GB": "gigabytes"},
    **{"bit": "bits", "pp": "points", "dimensions": "items", "(unit unstated; %?)": "percent", "(%?)": "percent"},
    "% (pp or relative unstated)": "percent",
}
_HEADER = (
    "numbers | found | value and unit right | subject right too | drafted | precision |\n|---|--:|--:|--:|--:|--:|--:|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--held-out", action="store_true", help="the texts that were not looked at while building")
    parser.add_argument("--show", action="store_true", help="list what was missed, wrong and extra")
    parser.add_argument("--only", help="one text")
    parser.add_argument("--documents", type=Path, help="the folder of the shared data, for the two articles")
    arguments = parser.parse_args()
    total: dict[str, Score] = {}
    print(f"| text | {_HEADER}")
    with TemporaryDirectory() as folder:
        for name, text, annotations in _texts(arguments):
            if arguments.only and arguments.only != name:
                continue
            scores = annotated_texts.score(annotations, annotated_texts.drafted(text, name, Path(folder)))
            print(_row(name, sum(scores.values(), Score())))
            if arguments.show:
                _show(text, scores)
            for kind, score in scores.items():
                total[kind] = total.get(kind, Score()) + score
    print(_row("all", sum(total.values(), Score())))
    print(f"\n| kind | {_HEADER}")
    for kind in sorted(total):
        print(_row(kind, total[kind]))


def _texts(arguments: argparse.Namespace):
    if arguments.documents and not arguments.held_out:
        yield from inventories(arguments.documents)
    for path in sorted((annotated_texts.FOLDER / ("held_out" if arguments.held_out else "texts")).iterdir()):
        text, annotations = annotated_texts.annotated(path)
        yield path.name, text, annotations


def inventories(folder: Path):
    """Yield the two articles with the printed numbers of their inventory."""
    entries = json.loads((folder / "claims" / "inventory.json").read_text(encoding="utf-8"))
    for letter in "AB":
        name = f"{letter.lower()}.txt"
        text = (folder / "documents" / name).read_bytes().decode("utf-8")
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        yield (
            name,
            text,
            [
                annotation
                for entry in entries
                if entry["doc"] == letter
                for annotation in _annotations(entry, text, starts)
            ],
        )


def _annotations(entry, text, starts):
    """The number of an inventory's claim, if the article prints it: its place is in the quote, or in its line."""
    first, last = starts[entry["line"] - 1], starts[entry["line"]]
    try:
        value = (
            Fraction(str(entry["value"]).split("-")[0])
            if str(entry["value"])[:1] != "-"
            else Fraction(str(entry["value"])[1:])
        )
    except ValueError:
        return
    if entry["implicit"] or entry["kind"] == "API existence":
        return
    unit = _UNITS.get(entry["unit"], entry["unit"])
    numbers = [n for n in find_numbers(text[first:last]) if Fraction(n.value) == value]
    quote = text.find(entry["quote_zh"], first, last)
    inside = [n for n in numbers if quote >= 0 and quote <= first + n.start <= quote + len(entry["quote_zh"])]
    place = (inside or (numbers if quote < 0 else []))[:1]
    for number in place:
        yield Annotation(first + number.start, first + number.end, value, unit, tuple(entry["subjects"]))


def _row(name: str, score: Score) -> str:
    def share(part: int, whole: int) -> str:
        return f"{100 * part / whole:.0f} %" if whole else "-"

    parts = (score.located, score.right, score.with_subject)
    shares = " | ".join(share(part, score.annotated) for part in parts)
    return f"| {name} | {score.annotated} | {shares} | {score.drafted} | {share(score.right, score.drafted)} |"


def _show(text: str, scores: dict[str, Score]) -> None:
    for score in scores.values():
        for annotation in score.missed:
            print(
                "   missed",
                repr(text[max(0, annotation.start - 40) : annotation.end + 20]),
                float(annotation.value),
                annotation.unit,
            )
        for annotation, claim in score.wrong:
            print(
                "   wrong ",
                repr(text[max(0, annotation.start - 40) : annotation.end + 20]),
                float(annotation.value),
                annotation.unit,
                annotation.subjects,
                "drafted",
                float(claim.value),
                claim.unit,
                claim.subjects,
            )
        for claim in score.extra:
            print(
                "   extra ",
                repr(text[max(0, claim.start - 40) : claim.end + 20]),
                float(claim.value),
                claim.unit,
                claim.subjects,
            )


if __name__ == "__main__":
    main()
