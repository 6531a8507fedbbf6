"""The functions behind the command `draft`, and behind `check` of an article.

`evals.reports.claims.drafting` reads an article and drafts its claims; this module reads and writes the files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import EvalsError, InputError, counted

if TYPE_CHECKING:
    from evals.reports.claims.drafting.drafter import ArticleDraft
    from evals.reports.claims.language.sources.articles import Article

_LARGEST = 20 * 2**20
"""The largest article that is read, in bytes."""
_MOST_NEW_TOKENS = 4_096
"""Limit on the output of a model for one part of an article."""
_YAML = frozenset((".yaml", ".yml"))


def outputs(articles: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Return for each article the claims file to write.

    Args:
        articles: the articles.
        out: the claims file, or the folder of several; None: beside each article.

    Raises:
        InputError: several articles would be written to one file.

    Example:
        >>> [str(out) for _, out in outputs([Path("card.md"), Path("post.html")], None)]
        ['card.md.yaml', 'post.html.yaml']
    """
    is_folder = out is not None and (out.is_dir() or len(articles) > 1 or out.suffix not in _YAML)
    if out is None:
        return [(article, article.with_name(f"{article.name}.yaml")) for article in articles]
    if len(articles) > 1 and out.suffix in _YAML and not out.is_dir():
        raise InputError(f"--out {out}: {len(articles)} articles need a folder, not one file")
    pairs = [(article, out / f"{article.name}.yaml" if is_folder else out) for article in articles]
    names = [path for _, path in pairs]
    if twice := next((path for path in names if names.count(path) > 1), None):
        raise InputError(f"two articles are named {twice.stem}; draft them one by one")
    return pairs


def write(article: Path, out: Path, *, llm: str | None = None, ask: Callable[[str], str] | None = None) -> str:
    """Draft the claims of an article and write them to a claims file.

    Args:
        article: the article.
        out: the claims file.
        llm: a model that proposes further claims (`endpoint:URL#NAME`), or its recorded proposals (`replay:FILE`).
        ask: shows a claim and returns the reader's answer; None: the claims are not reviewed. Answers of an earlier
            review in `out` are kept, and their claims are not asked about again.

    Returns:
        What was written, for the terminal.

    Raises:
        InputError: the article cannot be read, or has no claim.
        KeyboardInterrupt: the review was interrupted; the file was written, with the answers until then.
    """
    from evals.reports.claims.drafting.assistance import propose
    from evals.reports.claims.drafting.review import restore, review
    from evals.reports.claims.drafting.settling import settled_yaml
    from evals.temporaries import write_atomically

    out = out.expanduser()
    drafted = _draft(article.expanduser())
    if llm is not None:
        propose(drafted, _answers(llm, out.with_name(f"{out.stem}.proposals.jsonl")))
    id, source = _slug(article.stem), _relative(article.expanduser(), out.parent)
    text = settled_yaml(drafted, id=id, source=source)
    answered = restore(drafted, out, source)
    text = settled_yaml(drafted, id=id, source=source) if answered else text
    interrupted = False
    if ask is not None:
        try:
            review(drafted, ask)
        except KeyboardInterrupt:
            interrupted = True
        text = settled_yaml(drafted, id=id, source=source)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    if interrupted:
        raise KeyboardInterrupt(
            f"interrupted; {out} holds the claims with the answers so far; the same command goes on"
        )
    return (f"kept from {out.name}: {counted(answered, 'answer')} of a review\n" if answered else "") + _summary(
        drafted, out
    )


def _answers(llm: str, record: Path) -> Callable[[str, str], str]:
    """Return what answers the questions: a model whose outputs are recorded, or those of `replay:FILE`."""
    if llm.startswith("replay:"):
        outputs = _recorded(Path(llm.removeprefix("replay:")).expanduser())

        def replay(id: str, question: str) -> str:
            if id not in outputs:
                raise InputError(f"{llm}: has no output {id!r}; it was recorded for another article")
            return outputs[id]

        return replay
    from evals.execution.batching import plan
    from evals.execution.resolve import resolve
    from evals.schema import Generate, Placement

    model = resolve(llm, scale="full").load(Placement(None))
    lines: list[str] = []

    def ask(id: str, question: str) -> str:
        prompts = [model.prepare(Generate(id, (question,), max_new_tokens=_MOST_NEW_TOKENS))]
        (batch,) = plan(prompts, max(model.token_budget, 1))
        (prediction,) = model.run(prompts, batch, model.stage(prompts, batch))
        if prediction.failure is not None:
            raise EvalsError(f"{llm}: {prediction.failure}")
        lines.append(json.dumps({"id": id, "output": str(prediction.output)}, ensure_ascii=False))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(prediction.output)

    return ask


def _recorded(path: Path) -> dict[str, str]:
    """Read recorded outputs: JSON lines of `id` and `output`."""
    outputs = {}
    for number, line in enumerate(_bytes(path).decode("utf-8", "replace").splitlines(), 1):
        try:
            entry = json.loads(line)
            outputs[str(entry["id"])] = str(entry["output"])
        except (json.JSONDecodeError, KeyError, TypeError, RecursionError):
            raise InputError(f"{path}:{number}: is no JSON object with 'id' and 'output'") from None
    return outputs


def _draft(article: Path) -> ArticleDraft:
    from evals.reports.claims.drafting.drafter import draft

    return draft(read_article(article))


def read_article(path: Path) -> Article:
    """Read an article: text, Markdown, HTML, LaTeX with the files beside it that it includes, or PDF.

    Raises:
        InputError: it cannot be read, is too large, or is of another kind.
    """
    from evals.reports.claims.drafting.readers.latex_includes import with_includes
    from evals.reports.claims.drafting.readers.select import LATEX, read
    from evals.reports.claims.language.sources.encodings import decoded

    content = _bytes(path)
    if path.suffix.lower() not in LATEX or (b"\\in" not in content and b"\\subfile" not in content):
        return read(content, path.name)
    source = decoded(content, path.name)
    text, lost = with_includes(source, lambda name: _included(path.parent, name))
    article = read(text.encode(), path.name)
    notes = (f"files that it includes and that are not read: {', '.join(lost[:8])}",) if lost else ()
    return replace(article, is_extracted=text != source, left_out=notes)


def _included(folder: Path, name: str) -> str | None:
    """The text of a file in the folder of an article or below it; None if there is none that can be read."""
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            return None
        return path.read_bytes()[:_LARGEST].decode("utf-8")
    except (OSError, ValueError):  # too long a name, a null character, not UTF-8
        return None


def _slug(stem: str) -> str:
    """An ID for a document: small letters, digits and hyphens."""
    from evals.reports.claims.drafting.language.lexicon import slug

    return slug(stem)[:40].strip("-") if any(letter.isascii() and letter.isalnum() for letter in stem) else "article"


def _bytes(article: Path) -> bytes:
    try:
        size = article.stat().st_size
        if size > _LARGEST:
            raise InputError(f"{article}: {size:,} bytes; articles of up to {_LARGEST:,} are read")
        return article.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{article}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{article}: is a folder; name its articles: {article}/*.md") from None
    except OSError as error:
        raise InputError(f"{article}: {error.strerror or error}") from error


def _relative(article: Path, folder: Path) -> str:
    """The path of the article from the folder of the claims file."""
    try:
        return Path(os.path.relpath(article.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return article.resolve().as_posix()


def _summary(drafted: ArticleDraft, out: Path) -> str:
    cells = sum(len([span for span in row["spans"] if span]) for table in drafted.tables for row in table.rows)
    derived = sum(claim.derive is not None or claim.compares is not None for claim in drafted.claims)
    numbers = f"{counted(len(drafted.claims), 'claim')} of the text and {counted(cells, 'cell')}"
    lines = [f"{numbers} of {counted(len(drafted.tables), 'table')}; {derived} computed from others"]
    lines += [f"left out: {reason}" for reason in drafted.left_out]
    unsure = [claim for claim in drafted.claims if claim.confidence < 0.6]
    if unsure:
        lines.append(f"in doubt: {', '.join(claim.id for claim in unsure)}")
    lines.append(f"{out} has the claims with their places; check it with: python -m evals check {out} --paper")
    return "\n".join(lines) + "\n"
