"""Read the documents of a check: claims files, articles whose claims are drafted, and the sources of claims files.

The source of a claims file is shown with its claims in place. It is an article that is given beside the claims file and
has the name of its `source`, or else the file of that name in the claims file's folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from evals.app import draft
from evals.errors import InputError
from evals.records import check_place

if TYPE_CHECKING:
    from evals.reports.claims.language.schema import Document
    from evals.reports.claims.language.sources.placement import PlacedArticle
    from evals.reports.claims.verdicts import CheckResult

_YAML = frozenset((".yaml", ".yml"))


@dataclass(frozen=True)
class CheckedDocuments:
    """The documents of a check, with the articles that they are about."""

    documents: tuple[Document, ...]
    articles: Mapping[str, PlacedArticle]
    """By document ID: the source document, as far as there is one, with the places of its claims."""
    unread: Mapping[str, str]
    """By document ID: why the source document beside a claims file could not be read."""

    def shown_by(self, checked: CheckResult) -> CheckResult:
        """Add the articles to a result, and say in its first line which claims were drafted."""
        checked = replace(checked, articles=self.articles, unread=self.unread)
        drafted = [document.document.id for document in self.documents if document.document.drafted]
        if not drafted:
            return checked
        texts = "its text" if len(drafted) == 1 else "their texts"
        says = f"The claims of {', '.join(drafted)} were drafted from {texts} by rules; read each before relying on it."
        return replace(checked, about=f"{checked.about} {says}")


def read(files: Sequence[Path | str], out: Path | str | None) -> CheckedDocuments:
    """Read claims files, by default those of the two articles on DeepSeek, and draft the claims of articles.

    Args:
        files: claims files and articles.
        out: the folder of the check, where drafted files are kept as `drafted-NAME.yaml`; None: they are not kept.

    Raises:
        InputError: a file cannot be read or has a mistake, an article has no claim, or two documents have one ID.
    """
    from evals.reports.claims.language import files as claim_files

    check_place(out)
    paths = [Path(file).expanduser() for file in files] or claim_files.default()
    loaded = {number: _load(path) for number, path in enumerate(paths) if _is_claims_file(path)}
    names = {name: number for number, document in loaded.items() if (name := _source_name(document)) is not None}
    articles = {names[path.name]: path for path in paths if not _is_claims_file(path) and path.name in names}
    with ExitStack() as stack:
        folder = Path(out).expanduser() if out is not None else Path(stack.enter_context(TemporaryDirectory()))
        for number, path in enumerate(paths):
            if number not in loaded and path.name not in names:
                claims_file = folder / f"drafted-{path.name}.yaml"
                draft.write(path, claims_file)
                loaded[number], articles[number] = _load(claims_file), path
    numbers = sorted(loaded)
    documents = [loaded[number] for number in numbers]
    _check_distinct([document.document.id for document in documents], [paths[number] for number in numbers])
    return _with_articles(documents, [articles.get(number) for number in numbers], [paths[n] for n in numbers])


def _load(path: Path) -> Document:
    from evals import registry
    from evals.reports.claims.language import files as claim_files

    names, tasks = [variant.name for variant in registry.VARIANTS], [task.name for task in registry.TASKS]
    return claim_files.load(path, subjects=names, tasks=tasks)


def _is_claims_file(path: Path) -> bool:
    """Whether a file is a claims file by its name; a name without an ending of articles is read as one, as before."""
    from evals.reports.claims.drafting.readers.select import SUFFIXES

    return path.suffix.lower() in _YAML or path.suffix.lower() not in SUFFIXES - {""} or not path.suffix


def _source_name(document: Document) -> str | None:
    """The file name of a document's source; None if it has none, or if it is an address."""
    source = document.document.source
    return Path(source).name if source and "://" not in source else None


def _check_distinct(ids: Sequence[str], paths: Sequence[Path]) -> None:
    for number, id in enumerate(ids):
        if id in ids[:number]:
            raise InputError(f"{paths[number]}: document {id!r} was given already, as {paths[ids.index(id)]}")


def _with_articles(
    documents: Sequence[Document], articles: Sequence[Path | None], paths: Sequence[Path]
) -> CheckedDocuments:
    """Place the claims of each document in its article: the one that is given, else its source beside the claims."""
    from evals.reports.claims.language.sources.placement import place

    placed: dict[str, PlacedArticle] = {}
    unread: dict[str, str] = {}
    for document, article, path in zip(documents, articles, paths, strict=True):
        id, beside = document.document.id, _source_beside(document, path)
        if article is not None:
            placed[id] = place(document, draft.read_article(article))
        elif beside is not None:
            try:
                placed[id] = place(document, draft.read_article(beside))
            except InputError as error:
                unread[id] = str(error)
    return CheckedDocuments(tuple(documents), placed, unread)


def _source_beside(document: Document, path: Path) -> Path | None:
    """The source of a claims file, if it is a readable kind of file in the claims file's folder or below it.

    A claims file may come from somebody else, and a page must not show what lies elsewhere on this machine.
    """
    from evals.reports.claims.drafting.readers.select import SUFFIXES

    source = document.document.source
    if _source_name(document) is None or source is None:
        return None
    beside = path.parent / source
    try:
        is_inside = beside.resolve().is_relative_to(path.parent.resolve())
        is_article = is_inside and beside.suffix.lower() in SUFFIXES - {""} and beside.is_file()
    except (OSError, ValueError):  # too long a name, or one with a null character
        return None
    return beside if is_article else None
