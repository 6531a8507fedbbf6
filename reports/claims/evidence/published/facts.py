"""Make facts of published scores, so that claims of the same model and benchmark are compared with them.

A score can contradict a claim only if both state the same model, benchmark, metric, split and shots. What a score does
not state is entered as "not stated", which no claim states; such a score can agree with a claim, or differ from it.
"""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from evals.reports.claims.evidence.public_record import SETTING
from evals.reports.claims.evidence.published.benchmark_names import named_benchmark
from evals.reports.claims.evidence.published.scores import PublishedScore
from evals.reports.claims.language.facts import Fact, FactSource, PublicRecord, Quantity, Vocabulary
from evals.reports.claims.language.schema import Document
from evals.reports.claims.language.statements import Statement

NOT_STATED = "not stated"
_EVIDENCE = "evidence-"
"""What the IDs of published scores begin with."""
_SPLITS = dict.fromkeys(("dev", "development", "validation", "val"), "dev")
_SAYS = re.compile(r"(?P<metric>\S+) on .*")


def with_scores(
    record: PublicRecord, scores: Sequence[PublishedScore], documents: Sequence[Document], vocabulary: Vocabulary
) -> PublicRecord:
    """Return the public record with the scores that are about a subject and a quantity of the documents.

    Args:
        record: the public record.
        scores: the published scores.
        documents: the documents whose claims will be compared.
        vocabulary: the quantities that every document has.
    """
    subjects, quantities = _subjects(documents, record), _quantities(documents, vocabulary)
    owners: dict[str, set[str]] = defaultdict(set)
    for score in scores:
        owners[_key(score.model.rpartition("/")[2])].add(score.model.lower())
    statements = _statements(documents)
    sources: dict[str, FactSource] = {}
    facts: list[Fact] = []
    today = datetime.date.today()
    for score in scores:
        name = _key(score.model.rpartition("/")[2])
        about = subjects.get(name) or subjects.get(_key(score.model))
        measured = quantities.get(_key(score.benchmark), {})
        if not about or not measured:
            continue
        source = f"{_EVIDENCE}{len(sources) + 1}"
        dated = f", {score.date}" if score.date else ""
        mark = f". {score.mark.removesuffix('.')}" if score.mark else ""
        sources[source] = FactSource(title=f"{score.origin}: {score.model}{dated}{mark}", read_again=today)
        for id, quantity in measured.items():
            topic = [claim for subject in about for claim in statements.get((subject, id), ())]
            stated = {key for claim in topic for key in claim.protocol} - {SETTING}
            is_release = len(owners[name]) > 1 or any(claim.release for claim in topic)
            facts.append(
                Fact(
                    id=f"{_EVIDENCE}{len(sources)}-{len(facts) + 1}",
                    subject=tuple(sorted(about)),
                    quantity=id,
                    release=score.model if is_release else None,
                    protocol={**dict.fromkeys(sorted(stated), NOT_STATED), **_protocol(score, quantity)},
                    printed=f"{score.percent:f}",
                    unit="percent",
                    source=(source,),
                )
            )
    return PublicRecord(sources={**record.sources, **sources}, subjects=record.subjects, facts=(*record.facts, *facts))


def count_compared(record: PublicRecord, documents: Sequence[Document]) -> int:
    """Count the published scores of a record with which a statement of the documents is compared.

    Args:
        record: the public record, as `with_scores` returns it.
        documents: the documents whose claims are compared.
    """
    topics = _statements(documents).keys()
    return len({
        source for fact in record.facts for source in fact.source
        if source.startswith(_EVIDENCE) and any((subject, fact.quantity) in topics for subject in fact.subject)
    })  # fmt: skip


def _statements(documents: Sequence[Document]) -> Mapping[tuple[str, str | None], list[Statement]]:
    """What the documents state, by subject and quantity."""
    statements: dict[tuple[str, str | None], list[Statement]] = defaultdict(list)
    for statement in (entry for document in documents for claim in document.claims for entry in claim.statements):
        for subject in statement.subject:
            statements[subject, statement.quantity].append(statement)
    return statements


def _protocol(score: PublishedScore, quantity: Quantity) -> dict[str, str]:
    """How a score was obtained; the metric is left out where the quantity itself says it."""
    split = (score.split or "").lower()
    protocol = {"split": _SPLITS.get(split, split) or NOT_STATED, "shots": score.shots or NOT_STATED}
    says = _SAYS.fullmatch(quantity.says)
    if says is None or says["metric"] != score.metric:
        protocol["metric"] = score.metric or NOT_STATED
    if not score.is_scaled:
        protocol["scale"] = NOT_STATED
    return protocol


def _subjects(documents: Sequence[Document], record: PublicRecord) -> Mapping[str, set[str]]:
    """The subjects of the claims by their names, without those of one ID that documents name differently."""
    names: dict[str, set[str]] = defaultdict(set)
    for document in documents:
        for id in {subject for claim in document.claims for subject in claim.subject}:
            declared = document.document.subjects.get(id) or record.subjects.get(id)
            names[id].add(_key(declared.name if declared else id))
    by_name: dict[str, set[str]] = defaultdict(set)
    for id, keys in names.items():
        if len(keys) == 1:
            by_name[next(iter(keys))].add(id)
    return by_name


def _quantities(documents: Sequence[Document], vocabulary: Vocabulary) -> Mapping[str, dict[str, Quantity]]:
    """The scores in percent by the name of their benchmark: the ID, or the header of a column."""
    by_name: dict[str, dict[str, Quantity]] = defaultdict(dict)
    for id, quantity in _every(documents, vocabulary):
        if quantity.unit == "percent" and quantity.is_score:
            column = re.fullmatch(r"column (.+) of its tables", quantity.says)
            by_name[_key(named_benchmark(column[1]).name if column else id)][id] = quantity
    return by_name


def _every(documents: Sequence[Document], vocabulary: Vocabulary) -> Iterator[tuple[str, Quantity]]:
    yield from vocabulary.quantities.items()
    for document in documents:
        yield from document.document.quantities.items()


def _key(name: str) -> str:
    """Return a name for comparison: without spaces, hyphens and case. HumanEval+ is not HumanEval.

    Example:
        >>> _key("Otter-2.5 Chat") == _key("otter 2.5-chat"), _key("Otter 2") == _key("Otter 2 Chat")
        (True, False)
    """
    return re.sub(r"[\s\-_–]", "", name.lower())
