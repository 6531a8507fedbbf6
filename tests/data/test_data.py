"""Reading rows and images from files: contents, and error messages."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from evals import InputError, data


class Choice(msgspec.Struct):
    text: str


class Row(msgspec.Struct):
    row_id: int
    name: str
    choices: Annotated[list[Choice], msgspec.Meta(min_length=1)]


class File(msgspec.Struct):
    rows: list[Row]


GOOD = {"row_id": 7, "name": "a", "choices": [{"text": "x", "rank": 1}], "more": None}


@pytest.fixture
def write(tmp_path):
    def write(content, name="rows.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


# Files


def test_json_gives_the_declared_fields_and_skips_the_rest(write):
    assert data.read_json(write({"rows": [GOOD], "info": {"year": 2017}}), File) == File([Row(7, "a", [Choice("x")])])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"row_id": "7"}, "Expected `int`, got `str` - at `$.rows[1].row_id` (row_id '7')"),
        ({"row_id": True}, "Expected `int`, got `bool` - at `$.rows[1].row_id` (row_id True)"),
        ({"row_id": 7.0}, "Expected `int`, got `float` - at `$.rows[1].row_id` (row_id 7.0)"),
        ({"name": None}, "Expected `str`, got `null` - at `$.rows[1].name` (row_id 7)"),
        ({"choices": []}, "Expected `array` of length >= 1 - at `$.rows[1].choices` (row_id 7)"),
        ({"choices": [{}]}, "Object missing required field `text` - at `$.rows[1].choices[0]` (row_id 7)"),
    ],
)
def test_a_wrong_row_is_named_with_its_ids(write, changed, problem):
    path = write({"rows": [GOOD, {**GOOD, **changed}]})
    with pytest.raises(InputError) as caught:
        data.read_json(path, File)
    assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"rows": [\n  {"row_id": 1,}]}', "malformed JSON at line 2, column 16: trailing comma in object"),
        (b'{"rows": [', "malformed JSON at line 1, column 11: Input data was truncated"),
        (b'{"rows": [NaN]}', "malformed JSON at line 1, column 11: invalid character"),
        (b"", "malformed JSON at line 1, column 1: Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"rows": 3}', "Expected `array`, got `int` - at `$.rows`"),
        (b'{"rows": [3]}', "Expected `object`, got `int` - at `$.rows[0]`"),
        (b'{"questions": []}', "Object missing required field `rows`"),
        (b'{"rows": [{"row_id": 1, "name": "\xff"}]}', "malformed JSON at line 1, column 34: not UTF-8"),
        (
            b"\xef\xbb\xbf{}",
            "malformed JSON at line 1, column 1: it begins with a byte order mark, which JSON does not allow",
        ),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named_with_the_place(write, content, problem):
    path = write(content)
    with pytest.raises(InputError, match=re.escape(f"{path}: {problem}")):
        data.read_json(path, File)


def test_json_too_deep_for_the_parser_is_an_input_error(write):
    with pytest.raises(InputError, match="malformed JSON"):
        data.read_json(write(b"[" * 100_000), list)


@pytest.mark.parametrize("read", [data.read_json, data.read_jsonl, data.read_parquet])
def test_a_file_that_cannot_be_read_is_named(read, tmp_path):
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        read(tmp_path / "none.json", Row)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path, Row)


def test_jsonl_gives_a_value_a_line_and_names_the_wrong_line(write):
    line = json.dumps(GOOD).encode()
    assert data.read_jsonl(write(line + b"\r\n\n" + line), Row) == [Row(7, "a", [Choice("x")])] * 2
    with pytest.raises(InputError, match=r"rows\.json: malformed JSON at line 3, column 2"):
        data.read_jsonl(write(line + b"\n\n{]"), Row)
    with pytest.raises(InputError, match=r"rows\.json: line 1: Expected `str`, got `int` - at `\$\.name` \(row_id 7\)"):
        data.read_jsonl(write({**GOOD, "name": 1}), Row)


@given(
    st.lists(
        st.builds(Row, st.integers(-(2**63), 2**63 - 1), st.text(), st.lists(st.builds(Choice, st.text()), min_size=1))
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(write, rows):
    assert data.read_json(write(msgspec.json.encode(File(rows))), File) == File(rows)
    assert data.read_jsonl(write(b"\n".join(map(msgspec.json.encode, rows))), Row) == rows


def test_parquet_gives_rows(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist([GOOD, {**GOOD, "row_id": 8}]), path)
    assert data.read_parquet(path, Row) == [Row(7, "a", [Choice("x")]), Row(8, "a", [Choice("x")])]


def test_parquet_that_is_wrong_is_named(tmp_path, write):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"row_id": ["7"], "name": ["a"]}), path)
    with pytest.raises(InputError, match=r"rows\.parquet has no column choices; it has row_id, name"):
        data.read_parquet(path, Row)
    parquet.write_table(pa.Table.from_pylist([{**GOOD, "row_id": "7"}]), path)
    with pytest.raises(InputError, match=r"Expected `int`, got `str` - at `\$\[0\]\.row_id` \(row_id '7'\)"):
        data.read_parquet(path, Row)
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        data.read_parquet(write(b"PAR1 but no more", "rows.parquet"), Row)


def test_digest_is_sha256(write, tmp_path):
    assert data.digest(write(b"abc")) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(InputError, match=r"nothing cannot be read"):
        data.digest(tmp_path / "nothing")


# Folders and rows


def test_find_lists_what_is_missing_and_where_to_get_it(tmp_path):
    for name in ("b_questions.json", "a_questions.json", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c_questions.json").mkdir()
    assert [[path.name for path in paths] for paths in data.find(tmp_path, ["*questions.json"], "get them")] == [
        ["a_questions.json", "b_questions.json"]
    ]
    with pytest.raises(InputError, match=r"has no \*annotations\.json and no \*\.tsv; get them at x"):
        data.find(tmp_path, ["*questions.json", "*annotations.json", "*.tsv"], "get them at x")
    with pytest.raises(InputError, match=r"none is not a folder; get them at x"):
        data.find(tmp_path / "none", ["*"], "get them at x")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "..", "C:\\x", "C:x", "\\x", "..\\x", "a\\..\\x", "", "//host/x"]
)
def test_a_name_that_leaves_its_folder_is_refused(name):
    with pytest.raises(InputError, match="leaves its folder"):
        data.inside(Path("images"), name)


@given(st.text())
def test_a_name_stays_in_its_folder_or_is_refused(name):
    folder = Path("/data/images")
    try:
        path = data.inside(folder, name)
    except InputError:
        return
    assert ".." not in path.parts
    assert path.is_relative_to(folder)


def test_a_repeated_id_is_named():
    data.unique([1, 2, 3], "q.json")
    data.unique([], "q.json")
    with pytest.raises(InputError, match=r"q\.json: question_id 2 comes twice"):
        data.unique([1, 2, 3, 2, 1], "q.json", "question_id")


def test_a_text_of_a_table_that_is_not_utf8_is_one_line(tmp_path):
    import pyarrow
    from pyarrow import parquet

    class Row(msgspec.Struct):
        text: str

    buffers = [None, pyarrow.array([0, 2], pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"a\x80")]
    broken = pyarrow.Array.from_buffers(pyarrow.string(), 1, buffers)
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"text": broken}), path)
    with pytest.raises(InputError, match=r"rows\.parquet is not a readable Parquet file: 'utf-8' codec"):
        data.read_parquet(path, Row)
