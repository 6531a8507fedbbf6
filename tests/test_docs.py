"""The documents: their commands run, their options exist, their links lead somewhere (CONTRIBUTING.md: Documents)."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

import documents
import pytest
import yaml
from commands import ROOT
from documents import Block

from evals.app.cli import main

every_document = pytest.mark.parametrize("path", documents.PATHS, ids=lambda path: path.relative_to(ROOT).as_posix())


class Parsed(Exception):
    """Raised where a command line was understood, in place of running it."""


@pytest.fixture
def understood(monkeypatch, capsys):
    """Say what is wrong with the arguments of a command, or None; nothing is run."""
    parse = argparse.ArgumentParser.parse_args

    def stop(parser, *values):
        parse(parser, *values)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)

    def wrong(arguments):
        try:
            main(arguments)
        except Parsed:
            return None
        except SystemExit:  # --help and --version
            return None
        return capsys.readouterr().err

    return wrong


def unreadable(block: Block, wrong) -> list[str]:
    """What is wrong with a block as it stands, without running it."""
    if block.language not in documents.LANGUAGES:
        return [f"the language is {block.language!r}, not one of {sorted(documents.LANGUAGES)}"]
    if block.language in {"python", "py"}:
        compile(block.text, "block", "exec")
    elif block.language == "json":
        # One document, or one a line.
        try:
            json.loads(block.text)
        except json.JSONDecodeError:
            [json.loads(line) for line in block.text.splitlines()]
    elif block.language == "yaml":
        list(yaml.safe_load_all(block.text))
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language in {"sh", "bash"}:
        lines = [(words, documents.arguments(words)) for words in documents.commands(block)]
        foreign = [" ".join(words) for words, arguments in lines if arguments is None and block.language == "sh"]
        mistakes = [message for _, arguments in lines if arguments is not None and (message := wrong(arguments))]
        return [f"sh blocks hold commands of evals only, not {command!r}" for command in foreign] + mistakes
    return []


@every_document
def test_each_block_can_be_read(path, understood):
    for block in documents.blocks(path.read_text(encoding="utf-8")):
        try:
            problems = unreadable(block, understood)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            problems = [str(error)]
        assert problems == [], f"{path.name}, line {block.line}"


def test_a_block_that_cannot_be_read_would_be_noticed(understood):
    assert unreadable(Block("", 1, ""), understood)
    assert unreadable(Block("sh", 1, "pip install x"), understood)
    assert unreadable(Block("sh", 1, "python -m evals run --model vl --tusk vqa"), understood)
    assert unreadable(Block("bash", 1, "pip install x && \\\n  tox\nevals report r --format pdf"), understood)
    with pytest.raises(SyntaxError):
        unreadable(Block("py", 1, "def f(:"), understood)
    assert not unreadable(Block("bash", 1, "evals run --model vl \\\n  --task vqa  # all of it"), understood)


@pytest.mark.slow
@every_document
def test_each_command_runs(path, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for block in documents.blocks(path.read_text(encoding="utf-8")):
        if block.language == "python":
            exec(compile(block.text, f"{path.name}, line {block.line}", "exec"), names)
        elif block.language == "sh":
            for words in documents.commands(block):
                done = command(*documents.expanded(documents.arguments(words), Path()))
                assert done.returncode == 0, f"{path.name}: {' '.join(words)}\n{done.stderr}"


@every_document
def test_each_link_leads_somewhere(path):
    for link in documents.links(path.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{path.name} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in documents.anchors(target.read_text(encoding="utf-8")), f"{path.name} links to {link}"


def test_each_document_can_be_reached_from_the_front_page():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        path = ahead.pop()
        if path in reached or path.suffix != ".md" or not path.is_file():
            continue
        reached.add(path)
        names = [link.partition("#")[0] for link in documents.links(path.read_text(encoding="utf-8"))]
        ahead += [(path.parent / name).resolve() for name in names if name and "://" not in name]
    assert set(documents.PATHS) <= reached
