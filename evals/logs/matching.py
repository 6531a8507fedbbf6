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
from dataclasses import dataclass

from evals.errors import InputError
from evals.logs import json_text
from evals.records.folder import Record
from evals.records.imported import ImportEntry
from evals.records.types import SampleValues
from evals.schema import Json

_NAMED = 5
"""Number of samples that a note names."""
_MARKS = re.compile(r"^\W*(?:question|problem|q)\s*:|(?:answer|a|solution)\s*:\W*$", re.IGNORECASE)


def question_key(text: str) -> str:
    r"""Hash a question: 16 hexadecimal digits; empty for a text without characters.

    Example:
        >>> question_key("Question: How much is 9 * 2?\nAnswer:") == question_key("how much is 9*2?")
        True
    """
    plain = "".join(_MARKS.sub("", unicodedata.normalize("NFKC", text).strip()).casefold().split())
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:16] if plain else ""


def target_key(target: Json) -> tuple[str, str]:
    """Return the form of a right answer (`number`, `letter`, `text`; empty for none), and its plain text.

    Example:
        >>> target_key("B"), target_key([" 18.0"]) == target_key(18), target_key(["an ox", "Cow"])
        (('letter', 'b'), True, ('text', 'an ox | cow'))
    """
    listed = target if isinstance(target, list) else [target]
    plain = sorted(" ".join(str(entry).casefold().split()) for entry in listed if entry not in (None, ""))
    if len(plain) == 1 and (number := json_text.number(plain[0])) is not None:
        return "number", repr(number)
    form = "letter" if len(plain) == 1 and len(plain[0]) == 1 else "text"
    return form if plain else "", " | ".join(plain)


def other_targets(
    a: Mapping[str, tuple[str, str]], b: Mapping[str, tuple[str, str]], pairs: Mapping[str, str], *, is_one_form: bool
) -> list[str]:
    """Return the ids in b of the pairs whose right answers differ, as far as that can be told.

    Args:
        a: `target_key` of each sample by its id.
        b: the same of the other run.
        pairs: for each id of b its id in a.
        is_one_form: whether both runs write right answers alike. Where that is not known, they do if most are equal.

    Example:
        >>> a, b = {"1": ("text", "ox"), "2": ("text", "cow")}, {"1": ("text", "ox"), "2": ("text", "calf")}
        >>> other_targets(a, b, {"1": "1", "2": "2"}, is_one_form=True)
        ['2']
    """
    alike = {id: other for id, other in pairs.items() if b[id][0] and b[id][0] == a[other][0]}
    differing = [id for id, other in alike.items() if b[id] != a[other]]
    return differing if is_one_form or 2 * len(differing) < len(alike) else []


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


@dataclass(frozen=True, slots=True)
class SampleKeys:
    """What the samples of a run are matched by."""

    questions: Mapping[str, str]
    """`question_key` of each sample by its id."""
    targets: Mapping[str, tuple[str, str]]
    """`target_key` of each sample by its id."""

    def are_those_of(self, other: SampleKeys) -> bool:
        """Whether two runs of one harness have the same questions with the same right answers."""
        if not are_the_same(self.questions, other.questions):
            return False
        pairs = pairs_of(self.questions, other.questions)[0]
        return not other_targets(self.targets, other.targets, pairs, is_one_form=True)


def sample_keys(record: Record) -> SampleKeys:
    """Return what the samples of a run are matched by."""
    rows = [(row.id, question_key(row.prompt), target_key(row.target)) for row in record.samples()]
    return SampleKeys({id: question for id, question, _ in rows}, {id: target for id, _, target in rows})


def is_imported(record: Record) -> bool:
    """Whether a run was made from the log of another harness."""
    return isinstance(record.manifest.imported, ImportEntry)


def _harness(record: Record) -> str | None:
    imported = record.manifest.imported
    return imported.harness if isinstance(imported, ImportEntry) else None


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
    """Return whether the runs read two tables of the user: the split of a file is called as the file is."""
    data = [record.manifest.data for record in (a, b)]
    are_tables = all(facts.get("source") == "own file" for facts in data)
    return are_tables and (
        a.manifest.task.split != b.manifest.task.split or data[0].get("files") != data[1].get("files")
    )


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
        which = "two runs of one harness need not be" if _harness(a) == _harness(b) else "two harnesses are not"
        yield f"prompts of {which} the same text: a difference may be that of the prompts"
    elif is_across(a, b):
        yield "two tasks ask and read answers in their own ways: a difference may be theirs"


def are_of_one_benchmark(a: Record, b: Record) -> bool:
    """Return whether two runs may have samples in common, as far as their tasks say."""
    return a.manifest.task.name == b.manifest.task.name or is_across_tasks(a, b)


def sample_pairs(a: Record, b: Record, keys_of: Callable[[Record], SampleKeys] = sample_keys) -> dict[str, str] | None:
    """Pair the samples of two runs as `compare` does.

    Args:
        a: a run.
        b: another one.
        keys_of: returns `sample_keys` of a run, which a caller may have already.

    Returns:
        For each id of b its id in a; None for two runs whose samples are matched by ids alone (`is_matched`).
    """
    if not is_matched(a, b):
        return None
    a_keys, b_keys = keys_of(a), keys_of(b)
    pairs = pairs_of(a_keys.questions, b_keys.questions)[0]
    differing = frozenset(_other_targets(a, b, a_keys, b_keys, pairs))
    return {id: other for id, other in pairs.items() if id not in differing}


def _other_targets(a: Record, b: Record, a_keys: SampleKeys, b_keys: SampleKeys, pairs: Mapping[str, str]) -> list[str]:
    is_one_form = _harness(a) == _harness(b) and not is_across_tasks(a, b)
    return other_targets(a_keys.targets, b_keys.targets, pairs, is_one_form=is_one_form)


@dataclass(frozen=True, slots=True)
class CommonSamples:
    """The samples that two runs share."""

    pairs: Mapping[str, str]
    """For each id of b its id in a."""
    other_targets: frozenset[str]
    """The ids in b of those whose right answers differ."""
    note: str
    """How they were matched, and how many there are."""
    target_note: str
    """How many have other right answers; empty for none."""

    def of_one_target(
        self, a_rows: Mapping[str, SampleValues], b_rows: Mapping[str, SampleValues]
    ) -> tuple[dict[str, SampleValues], dict[str, SampleValues], tuple[str, ...]]:
        """Return the rows of the samples whose right answers are not known to differ, by the ids in a; and notes.

        Args:
            a_rows: the rows of a run by their ids.
            b_rows: the same of the other run.

        Raises:
            InputError: there are none.
        """
        pairs = {b_id: a_id for b_id, a_id in self.pairs.items() if b_id not in self.other_targets}
        if not pairs:
            raise InputError(f"the runs cannot be compared: {self.target_note}")
        notes = (self.note, *([f"{self.target_note}; they are left out"] if self.other_targets else []))
        return {id: a_rows[id] for id in pairs.values()}, {a_id: b_rows[b_id] for b_id, a_id in pairs.items()}, notes


def common_samples(a: Record, b: Record) -> CommonSamples:
    """Match the samples that both runs have: by ids whose questions agree, else by their questions.

    Raises:
        InputError: they have none in common.
    """
    a_keys, b_keys = sample_keys(a), sample_keys(b)
    pairs, how = pairs_of(a_keys.questions, b_keys.questions)
    if not pairs:
        shared = sum(id in a_keys.questions for id in b_keys.questions)
        why = f"their {shared:,} common ids have other questions" if shared else "they have no sample in common"
        raise InputError(f"{a.folder} and {b.folder} cannot be compared: {why}, and no question is in both")
    note = f"{len(pairs):,} samples are in both runs, matched by their {how}"
    counts = len(a_keys.questions), len(b_keys.questions)
    if len(pairs) < max(counts):
        note += f" ({counts[0]:,} and {counts[1]:,} in all)"
    differing = _other_targets(a, b, a_keys, b_keys, pairs)
    named = ", ".join(differing[:_NAMED]) + (f" and {len(differing) - _NAMED:,} more" if differing[_NAMED:] else "")
    text = f"{len(differing):,} of {len(pairs):,} common questions have other right answers in the two runs: {named}"
    return CommonSamples(pairs, frozenset(differing), note, text if differing else "")
