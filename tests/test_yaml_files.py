"""YAML of strangers: every file is read or refused in one line that names the place, in bounded time and memory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import InputError
from evals.yaml_files import MAX_DEPTH, load, load_with_lines

HOSTILE = {
    "60 KB of brackets": "[" * 60_000,
    "mappings without end": "{a: " * 3_000,
    "lists in lists": "- " * 20_000,
    "keys in keys": "? " * 500,
    "an alias of itself": "a: &a [*a]",
    "aliases of aliases": "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9)).replace(
        "*x0", "a"
    ),
    "a long number": "9" * 6_000,
    "a long hexadecimal number": "0x" + "f" * 6_000,
    "a word as a truth value": "a: !!bool foo",
    "nothing as a number": 'a: !!int ""',
    "a word as a date": "a: !!timestamp foo",
    "a date that is none": "a: 2001-13-45",
    "an object": "a: !!python/object:os.system x",
    "a key that is a list": "[a]: b",
    "a key twice": "a: 1\na: 2",
    "a tab": "a:\n\t- b",
    "a control character": "a: \x07",
    "two documents": "a: 1\n---\nb: 2",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_cannot_be_read_is_one_line_with_its_place(tmp_path, kind):
    path = tmp_path / "a.yaml"
    path.write_text(HOSTILE[kind], encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert len(message) < len(str(path)) + 300
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \xe9"])
def test_a_file_in_another_encoding_is_one_line(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1", encoding="utf-8-sig")
    assert load(path) == {"a": 1}


def test_lines_are_those_of_keys_and_items(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  - 1\n  - b: yes\nc: 78.30\n")
    values, lines = load_with_lines(path, verbatim={"c"})
    assert values == {"a": [1, {"b": True}], "c": "78.30"}
    assert {location: lines[location] for location in [("a",), ("a", 0), ("a", 1, "b"), ("c",)]} == {
        ("a",): 1, ("a", 0): 2, ("a", 1, "b"): 3, ("c",): 4,
    }  # fmt: skip


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", min_size=1), st.lists, max_leaves=9)
)
@settings(max_examples=50, deadline=None)
def test_plain_values_come_back(tmp_path_factory, values):
    import yaml

    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    path.write_text(yaml.safe_dump({"a": values}))
    assert load(path) == {"a": values}


def test_the_depth_that_is_allowed_is_read(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert str(load(path)) == path.read_text()
