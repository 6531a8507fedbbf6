"""A key that an object gives twice is refused with its place: in data, recorded outputs, run folders and answers.

pytest tests/test_repeated_keys.py
"""

from __future__ import annotations

import json

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import data, repeated_keys
from evals.errors import InputError
from evals.models.endpoint.responses import MalformedError, decoded
from evals.models.families import replay
from evals.schema import Placement

KEYS = st.sampled_from(["id", "output", 'a"b', "id}", "é", "\\", "x\ny", "\u0000"])
TEXTS = st.sampled_from(["id", '"id": 1', "}", "{", '\\"', "é", ""])
DOCUMENTS = st.recursive(
    st.one_of(TEXTS, st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.lists(st.tuples(KEYS, inner), max_size=3).map(tuple)),
    max_leaves=8,
)
"""JSON values; a tuple is an object, as its members in their order."""


def written(value, ascii):
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=ascii)}: {written(v, ascii)}" for key, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",\n".join(written(item, ascii) for item in value) + "]"
    return json.dumps(value, ensure_ascii=ascii)


def repeats(value, declared=None):
    """Whether an object gives a key twice, of those that are declared."""
    if isinstance(value, tuple):
        keys = [key for key, _ in value if declared is None or key in declared]
        return len(set(keys)) < len(keys) or any(repeats(inner, declared) for _, inner in value)
    return isinstance(value, list) and any(repeats(item, declared) for item in value)


@settings(max_examples=60)
@given(DOCUMENTS, st.booleans())
def test_a_text_is_refused_if_and_only_if_an_object_repeats_a_key(document, ascii):
    text = written(document, ascii).encode()
    if repeats(document):
        with pytest.raises(orjson.JSONDecodeError, match="is given twice") as caught:
            repeated_keys.loads(text)
        assert text.decode()[caught.value.pos] in '"}'
    else:
        assert repeated_keys.loads(text) == orjson.loads(text)


class Inner(msgspec.Struct):
    id: int
    output: list[int] = []


class Row(msgspec.Struct):
    id: int
    inner: Inner | None = None
    free: dict[str, int] = {}


class Flat(msgspec.Struct):
    id: int
    output: str = ""


WORDS = st.sampled_from(["", "x", "id", "output"])


class Inners(msgspec.Struct):
    inner: list[Flat] | None


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["id", "output", "other"]), st.integers(0, 9)), max_size=5), st.booleans())
def test_a_declared_type_is_checked_in_its_own_keys(members, escaped):
    members = [("id", 1), *((key, str(value) if key == "output" else value) for key, value in members)]
    text = written(tuple(members), True).encode()
    if escaped:
        text = text.replace(b'"id"', b'"\\u0069d"')
    check = repeated_keys.RepeatedKeys(Flat).check
    if repeats(tuple(members), ("id", "output")):
        with pytest.raises(orjson.JSONDecodeError, match="is given twice"):
            check(text, msgspec.json.decode(text, type=Flat))
    elif not escaped:
        check(text, msgspec.json.decode(text, type=Flat))


def test_inner_objects_and_free_keys_are_checked_too():
    check = repeated_keys.RepeatedKeys(Row).check
    for text in (b'{"id": 1, "inner": {"id": 2, "id": 3}}', b'{"id": 1, "free": {"a": 1, "a": 2}}'):
        with pytest.raises(orjson.JSONDecodeError, match="is given twice"):
            check(text, msgspec.json.decode(text, type=Row))
    text = b'{"id": 1, "inner": {"id": 2, "output": [1, 2]}, "free": {"id": 1}}'
    check(text, msgspec.json.decode(text, type=Row))


@settings(max_examples=60)
@given(st.lists(st.lists(st.tuples(st.sampled_from(["output", "other"]), WORDS), max_size=3), min_size=1, max_size=4))
def test_objects_without_a_field_hide_no_repetition_in_others(objects):
    members = [(("id", 1), *texts) for texts in objects]
    text = b'{"inner": ' + written(members, True).encode() + b"}"
    check = repeated_keys.RepeatedKeys(Inners).check
    if repeats(members, ("id", "output")):
        with pytest.raises(orjson.JSONDecodeError, match="is given twice"):
            check(text, msgspec.json.decode(text, type=Inners))
    else:
        check(text, msgspec.json.decode(text, type=Inners))


def test_data_and_recorded_outputs_name_the_place(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "output": "x",\t"id": 3}\n')
    with pytest.raises(
        InputError, match=r"rows\.jsonl: malformed JSON at line 2, column 26: the key 'id' is given twice"
    ):
        data.read_jsonl(path, Flat)
    (tmp_path / "rows.json").write_text('[{"id": 1},\n {"id": 2, "id": 3}]')
    with pytest.raises(
        InputError, match=r"rows\.json: malformed JSON at line 2, column 12: the key 'id' is given twice"
    ):
        data.read_json(tmp_path / "rows.json", list[Flat])
    outputs = tmp_path / "outputs"
    outputs.write_text('{"id": "1", "output": "x"}\n{"id": "2", "output": "y", "output": "z"}\n')
    with pytest.raises(InputError, match="line 2, column 28: the key 'output' is given twice"):
        replay.load("replay", str(outputs), Placement(None))
    outputs.write_text('[{"question_id": 1, "answer": "x", "answer": "y"}]')
    with pytest.raises(InputError, match="line 1, column 36: the key 'answer' is given twice"):
        replay.load("replay", str(outputs), Placement(None))


def test_an_answer_of_a_server_is_invalid():
    with pytest.raises(MalformedError, match="the key 'text' is given twice"):
        decoded(b'{"choices": [{"text": "yes", "text": "no"}]}')
