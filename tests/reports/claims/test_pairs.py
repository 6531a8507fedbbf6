"""Pairs of statements: above the limit every statement in conflict is still found, in linear time."""

from __future__ import annotations

import random

from evals.reports.claims.assessment import assess
from evals.reports.claims.evidence import pairs
from evals.reports.claims.language.files import load, load_record, load_vocabulary


def in_conflict(path, monkeypatch, limit):
    monkeypatch.setattr(pairs, "MOST_EXACT", limit)
    checked = assess([load(path)], load_record(), load_vocabulary())
    return {side.by for pair in checked.internal_conflicts for side in (pair.first, pair.second)}


def test_the_statements_in_conflict_are_those_of_all_pairs(tmp_path, monkeypatch):
    draw = random.Random(7)
    bounds = ("exactly", "at-least", "at-most", "above")
    for number in range(4):
        claims = [
            f"- {{id: C-{n}, says: x, quote: q, subject: s, quantity: rate, unit: seconds, "
            f'bound: {draw.choice(bounds)}, printed: "{draw.randint(10, 13 if number < 2 else 60)}"}}'
            for n in range(30)
        ]
        path = tmp_path / f"{number}.yaml"
        head = "document: {id: t, title: T, subjects: {s: {name: S}}, quantities: {rate: {says: r, unit: seconds}}}"
        path.write_text("\n".join([head, "claims:", *claims]))
        assert in_conflict(path, monkeypatch, 5) == in_conflict(path, monkeypatch, 1000) != set()
