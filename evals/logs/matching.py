"""Match the samples of two runs by their questions, where their ids are of different kinds.

Harnesses name samples by row, by a number from 1, or by a hash. The question itself is the same: letters and digits of
the last text of the prompt, without the words that mark it (`Question:`, `Answer:`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import SampleRecord, SampleValues

_MARKS = re.compile(r"^\W*(?:question|problem|q)\s*:|(?:answer|a|solution)\s*:\W*$", re.IGNORECASE)


def question_key(text: str) -> str:
    r"""Hash a question: 16 hexadecimal digits; empty for a text without letters and digits.

    Example:
        >>> question_key("Question: How much is 9 * 2?\nAnswer:") == question_key("how much is 9*2")
        True
    """
    plain = "".join(filter(str.isalnum, _MARKS.sub("", text.strip()).casefold()))
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:16] if plain else ""


def by_question(rows: Iterable[SampleRecord]) -> dict[str, str]:
    """Return the id of each sample by the hash of its question, without questions that several samples have."""
    ids: dict[str, str | None] = {}
    for row in rows:
        key = question_key(row.prompt)
        ids[key] = row.id if key not in ids else None
    return {key: id for key, id in ids.items() if key and id is not None}


def matched(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, str]:
    """Return the id in a for the id in b of each question that both have.

    Example:
        >>> matched({"7f": "0", "a1": "1"}, {"a1": "gsm8k_x"})
        {'gsm8k_x': '1'}
    """
    return {id: a[key] for key, id in b.items() if key in a}


def is_imported(record: Record) -> bool:
    """Whether a run was made from the log of another harness."""
    return isinstance(record.manifest.imported, ImportEntry)


def common_samples(
    a: Record, b: Record, a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
) -> tuple[dict[str, SampleValues], dict[str, SampleValues], str]:
    """Return the samples that both runs have: by their ids, or by their questions where that finds more.

    Raises:
        InputError: they have none in common.
    """
    pairs = {id: id for id in b_rows if id in a_rows}
    how = "ids"
    smaller = min(len(a_rows), len(b_rows))
    if len(pairs) < smaller:
        by_text = matched(by_question(a.samples()), by_question(b.samples()))
        if len(by_text) > len(pairs):
            pairs, how = by_text, "questions"
    if not pairs:
        raise InputError(
            f"{a.folder} and {b.folder} have no sample in common, neither by id nor by question: "
            f"they cannot be compared"
        )
    note = f"{len(pairs):,} samples are in both runs, matched by their {how}"
    if len(pairs) < max(len(a_rows), len(b_rows)):
        note += f" ({len(a_rows):,} and {len(b_rows):,} in all)"
    return {a_id: a_rows[a_id] for a_id in pairs.values()}, {a_id: b_rows[b_id] for b_id, a_id in pairs.items()}, note
