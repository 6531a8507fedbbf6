"""Reading rows and pictures: what is read, and what is said of what cannot be."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pyarrow import parquet

from evals import Generate, Image, InputError, Sample, SampleError, data


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
        (b"\xef\xbb\xbf{}", "malformed JSON at line 1, column 1: it begins with a byte order mark, which JSON has not"),
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


# Pictures


def encoded(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decoded(content):
    return data.decode(Image("k", data=content))


RED = Pillow.new("RGB", (4, 3), (250, 10, 20))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "TIFF", "JPEG"])
def test_every_format_gives_rgb(kind, tmp_path):
    path = tmp_path / f"red.{kind.lower()}"
    path.write_bytes(encoded(RED, kind))
    picture = data.decode(Image("k", path=path))
    assert (picture.mode, picture.size) == ("RGB", (4, 3))
    assert all(abs(a - b) < 8 for a, b in zip(picture.getpixel((1, 1)), (250, 10, 20), strict=True))


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 0), (77, 77, 77)),
        ("RGBA", (9, 8, 7, 0), (9, 8, 7)),
        ("P", 0, None),
    ],
)
def test_other_pixels_become_rgb_and_transparency_is_dropped(mode, color, expected):
    picture = decoded(encoded(Pillow.new(mode, (2, 2), color)))
    assert picture.mode == "RGB"
    assert expected is None or picture.getpixel((0, 0)) == expected


def test_a_transparent_palette_colour_keeps_its_colour():
    picture = RED.convert("P", palette=Pillow.Palette.ADAPTIVE)
    for transparency in (0, bytes([0, 128])):
        assert decoded(encoded(picture, transparency=transparency)).getpixel((0, 0)) == (250, 10, 20)


def test_cmyk_becomes_rgb():
    picture = decoded(encoded(RED.convert("CMYK"), "JPEG", quality=95))
    assert picture.getpixel((1, 1))[0] > 200 > 60 > picture.getpixel((1, 1))[2]


def test_exif_orientation_is_not_applied():
    exif = Pillow.Exif()
    exif[0x0112] = 6
    assert decoded(encoded(RED, "JPEG", exif=exif)).size == (4, 3)


@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_pixels_that_would_be_changed_silently_are_refused(mode):
    kind = "TIFF" if mode == "F" else "PNG"
    with pytest.raises(SampleError, match=f"image k has pixels of kind '{mode}', expected 8 bits a channel"):
        decoded(encoded(Pillow.new(mode, (2, 2)), kind))


def test_a_blind_picture_is_flat_and_of_the_same_size_but_must_be_a_picture(tmp_path):
    picture = data.decode(Image("k", data=encoded(RED), blind=True))
    assert picture.size == (4, 3)
    assert picture.getcolors() == [(12, (128, 128, 128))]
    with pytest.raises(SampleError, match="does not exist"):
        data.decode(Image("k", path=tmp_path / "none.png", blind=True))


def bomb(width, height):
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(10_000, 5_001), (10_000, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)]
)
@pytest.mark.parametrize("blind", [False, True])
def test_a_decompression_bomb_is_found_before_it_is_decoded(width, height, blind):
    with pytest.raises(SampleError, match=r"pixels, at most 50,000,000 are decoded|cannot be decoded"):
        data.decode(Image("k", data=bomb(width, height), blind=blind))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a picture (JPEG, PNG, WEBP, BMP, GIF, TIFF)"),
        (b"GIF89a but no more", "is not a picture"),
        (b"<html>404</html>", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
        (encoded(RED.resize((64, 64)), "JPEG")[:-200], "cannot be decoded: "),
        (encoded(RED.resize((64, 64)), "PNG")[:60], "cannot be decoded: "),
    ],
)
def test_what_is_no_whole_picture_fails_its_sample_by_name(content, problem, tmp_path):
    path = tmp_path / "COCO_val2014_000000000042.jpg"
    path.write_bytes(content)
    with pytest.raises(SampleError, match=re.escape(f"{path} {problem}")) as caught:
        data.decode(Image("42", path=path))
    assert "\n" not in str(caught.value)


def test_a_missing_picture_fails_its_sample_by_name(tmp_path):
    with pytest.raises(SampleError, match=r"none\.jpg does not exist"):
        data.decode(Image("k", path=tmp_path / "none.jpg"))
    with pytest.raises(SampleError, match="cannot be decoded"):
        data.decode(Image("k", path=tmp_path))
    with pytest.raises(SampleError, match="image k has neither a file nor bytes"):
        data.decode(Image("k"))


@given(kind=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]), damage=st.data())
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_picture_is_decoded_or_fails_its_sample_and_nothing_else(kind, damage):
    content = bytearray(encoded(RED.resize((16, 16)), kind))
    for _ in range(damage.draw(st.integers(1, 6))):
        content[damage.draw(st.integers(0, len(content) - 1))] = damage.draw(st.integers(0, 255))
    with contextlib.suppress(SampleError):
        assert decoded(bytes(content)).mode == "RGB"


def sample_of(*parts):
    return Sample("1", (Generate("1", parts, 16),), target=None)


def test_a_thumbnail_is_a_small_png_of_the_first_picture():
    large, small = encoded(Pillow.new("RGB", (1000, 500))), encoded(RED)
    made = Pillow.open(io.BytesIO(data.thumbnail(sample_of(Image("a", data=large), "what?"))))
    assert (made.format, made.size) == ("PNG", (320, 160))
    assert Pillow.open(io.BytesIO(data.thumbnail(sample_of(Image("b", data=small), "what?")))).size == (4, 3)
    assert data.thumbnail(sample_of("what?")) is None
    assert data.thumbnail(sample_of(Image("c", data=b"no picture"), "what?")) is None
