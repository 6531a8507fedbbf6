"""Match the samples of two runs by their questions, where their ids are of different kinds.

Harnesses name samples by row, by a number from 1, or by a hash, and give one number to samples of different data. The
question itself decides: the last text of the prompt without white space, and without the words that mark it
(`Question:`, `Answer:`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from evals.errors import InputError
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import SampleValues

_MARKS = re.compile(r"^\W*(?:question|problem|q)\s*:|(?:answer|a|solution)\s*:\W*$", re.IGNORECASE)


def question_key(text: str) -> str:
    r"""Hash a question: 16 hexadecimal digits; empty for a text without characters.

    Example:
        >>> question_key("Question: How much is 9 * 2?\nAnswer:") == question_key("how much is 9*2?")
        True
    """
    plain = "".join(_MARKS.sub("", unicodedata.normalize("NFKC", text).strip()).casefold().split())
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:16] if plain else ""


def question_keys(record: Record) -> dict[str, str]:
    """Return the hash of the question of each sample of a run, by its id; empty where there is no text."""
    return {row.id: question_key(row.prompt) for row in record.samples()}


def pairs_of(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Pair the samples of two runs.

    Args:
        a: the hash of each question by the sample's id.
        b: the same of the other run.

    Returns:
        For each id of b its id in a, and whether they were matched by `ids` or by `questions`. Ids count where the
        questions under them are the same, or one is not known. A question that occurs twice in a run is left out.

    Example:
        >>> pairs_of({"0": "7f", "1": "a1"}, {"1": "7f", "2": "a1"})
        ({'1': '0', '2': '1'}, 'questions')
        >>> pairs_of({"0": "7f", "1": "a1"}, {"1": "a1"})
        ({'1': '1'}, 'ids')
    """
    shared = [id for id in b if id in a]
    if shared and all(a[id] == b[id] or not a[id] or not b[id] for id in shared):
        return {id: id for id in shared}, "ids"
    ids: dict[str, str | None] = {}
    for id, key in a.items():
        ids[key] = id if key not in ids else None
    counts = Counter(b.values())
    return {id: other for id, key in b.items() if key and counts[key] == 1 and (other := ids.get(key))}, "questions"


def are_the_same(a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    """Whether `pairs_of` pairs all samples of two runs, so that values of one are values of the other's samples.

    Args:
        a: the hash of each question by the sample's id.
        b: the same of the other run.

    Example:
        >>> are_the_same({"0": "7f", "1": "a1"}, {"3": "a1", "4": "7f"}), are_the_same({"0": "7f"}, {"0": "a1"})
        (True, False)
        >>> are_the_same({"0": "7f", "1": "7f"}, {"3": "7f", "4": "7f"})  # which one is which?
        False
    """
    return a == b or len(a) == len(b) == len(pairs_of(a, b)[0])


def is_imported(record: Record) -> bool:
    """Whether a run was made from the log of another harness."""
    return isinstance(record.manifest.imported, ImportEntry)


def _is_own_task(record: Record) -> bool:
    """Return whether the task of a run is one of the user: a file, or rows for `custom`."""
    return record.manifest.task.name == "custom" or "definition" in record.manifest.data


def is_across_tasks(a: Record, b: Record) -> bool:
    """Return whether the runs are of two tasks, of which one is the user's: only the questions say what they share."""
    return a.manifest.task.name != b.manifest.task.name and (_is_own_task(a) or _is_own_task(b))


def is_across(a: Record, b: Record) -> bool:
    """Return whether the runs are of two harnesses, or of a task of the user and another one."""
    return is_imported(a) or is_imported(b) or is_across_tasks(a, b)


def are_other_tables(a: Record, b: Record) -> bool:
    """Return whether the runs read tables of the user of other names: the split of a file is called as the file is."""
    are_tables = all(record.manifest.data.get("source") == "own file" for record in (a, b))
    return are_tables and a.manifest.task.split != b.manifest.task.split


def is_matched(a: Record, b: Record) -> bool:
    """Return whether the samples of two runs are matched by their questions, and not by ids alone."""
    return is_across(a, b) or are_other_tables(a, b)


def compared_fields(a: Record, b: Record, protocol: Sequence[str]) -> list[str]:
    """Return the fields of the protocol that must be equal: of runs across harnesses or tasks, the samples decide.

    Args:
        a: a run.
        b: another one.
        protocol: the fields that must be equal for two runs of one benchmark.
    """
    if is_across(a, b):
        return [] if is_across_tasks(a, b) else ["task.name"]
    return [field for field in protocol if field != "task.split" or not are_other_tables(a, b)]


def prompt_notes(a: Record, b: Record) -> Iterator[str]:
    """Say that a difference may be that of the prompts."""
    if is_imported(a) or is_imported(b):
        yield "prompts of two harnesses are not the same text: a difference may be that of the prompts"
    elif is_across(a, b):
        yield "two tasks ask and read answers in their own ways: a difference may be theirs"


def are_of_one_benchmark(a: Record, b: Record) -> bool:
    """Return whether two runs may have samples in common, as far as their tasks say."""
    return a.manifest.task.name == b.manifest.task.name or is_across_tasks(a, b)


def sample_pairs(
    a: Record, b: Record, keys_of: Callable[[Record], Mapping[str, str]] = question_keys
) -> dict[str, str] | None:
    """Pair the samples of two runs as `compare` does.

    Args:
        a: a run.
        b: another one.
        keys_of: returns `question_keys` of a run, which a caller may have already.

    Returns:
        For each id of b its id in a; None for two runs whose samples are matched by ids alone (`is_matched`).
    """
    return pairs_of(keys_of(a), keys_of(b))[0] if is_matched(a, b) else None


def common_samples(
    a: Record, b: Record, a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
) -> tuple[dict[str, SampleValues], dict[str, SampleValues], str]:
    """Return the samples that both runs have: by ids whose questions agree, else by their questions.

    Raises:
        InputError: they have none in common.
    """
    a_keys, b_keys = question_keys(a), question_keys(b)
    pairs, how = pairs_of(a_keys, b_keys)
    if not pairs:
        shared = sum(id in a_keys for id in b_keys)
        why = f"their {shared:,} common ids have other questions" if shared else "they have no sample in common"
        raise InputError(f"{a.folder} and {b.folder} cannot be compared: {why}, and no question is in both")
    note = f"{len(pairs):,} samples are in both runs, matched by their {how}"
    if len(pairs) < max(len(a_rows), len(b_rows)):
        note += f" ({len(a_rows):,} and {len(b_rows):,} in all)"
    return {a_id: a_rows[a_id] for a_id in pairs.values()}, {a_id: b_rows[b_id] for b_id, a_id in pairs.items()}, note
