"""A tokenizer whose replacements write gigabytes is refused before it is loaded."""

from __future__ import annotations

import json

import pytest

from evals.errors import InputError
from evals.models.backend.tokenisation import check_growth
from evals.paths import PACKAGE


def replace(content, **pattern):
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Sequence", "normalizers": [replace("x" * 100, Regex=".")] * 5}},
        {"decoder": {"type": "Sequence", "decoders": [replace("x" * 1000, Regex=".")] * 3_000}},
        {"normalizer": replace("x" * 4004, String="ab")},
        {"normalizer": {"type": "Prepend", "prepend": "x" * 5000}},
    ],
)
def test_what_writes_without_end_is_refused(tmp_path, part):
    (tmp_path / "tokenizer.json").write_text(json.dumps(part))
    with pytest.raises(InputError, match=rf"tokenizer\.json: its {next(iter(part))} can make over 1,000 characters"):
        check_growth(tmp_path / "tokenizer.json")


def test_usual_tokenizers_pass(tmp_path):
    usual = {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, replace("\u2581", String=" ")]},
        "decoder": {"type": "Sequence", "decoders": [replace(" ", String="\u2581"), {"type": "ByteFallback"}]},
    }
    path = tmp_path / "tokenizer.json"
    for text in (json.dumps(usual), "[]", "{", '{"normalizer": 5, "decoder": [[]]}', '{"decoder": {"decoders": 7}}'):
        path.write_text(text)
        check_growth(path)
    path.write_text('{"decoder": ' + '{"decoders": [' * 900 + "]}" * 900 + "}")
    check_growth(path)
    bundled = sorted(PACKAGE.glob("models/replicas/checkpoints/**/tokenizer.json"))
    assert len(bundled) > 3
    for path in bundled:
        check_growth(path)
