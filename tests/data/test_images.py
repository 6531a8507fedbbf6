"""Decoding images: pixels, and error messages."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from evals import Generate, Image, Sample, SampleError
from evals.data.images import MAX_BYTES, decode, thumbnail


def encoded(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decoded(content):
    return decode(Image("k", data=content))


RED = Pillow.new("RGB", (4, 3), (250, 10, 20))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "TIFF", "JPEG"])
def test_every_format_gives_rgb(kind, tmp_path):
    path = tmp_path / f"red.{kind.lower()}"
    path.write_bytes(encoded(RED, kind))
    picture = decode(Image("k", path=path))
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
    with pytest.raises(SampleError, match=f"image k has the pixel mode '{mode}', expected 8 bits per channel"):
        decoded(encoded(Pillow.new(mode, (2, 2)), kind))


def test_a_blind_picture_is_flat_and_of_the_same_size_but_must_be_a_picture(tmp_path):
    picture = decode(Image("k", data=encoded(RED), blind=True))
    assert picture.size == (4, 3)
    assert picture.getcolors() == [(12, (128, 128, 128))]
    with pytest.raises(SampleError, match="does not exist"):
        decode(Image("k", path=tmp_path / "none.png", blind=True))


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
        decode(Image("k", data=bomb(width, height), blind=blind))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)"),
        (b"GIF89a but no more", "is not an image"),
        (b"<html>404</html>", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),
        (encoded(RED.resize((64, 64)), "JPEG")[:-200], "cannot be decoded: "),
        (encoded(RED.resize((64, 64)), "PNG")[:60], "cannot be decoded: "),
    ],
)
def test_what_is_no_whole_picture_fails_its_sample_by_name(content, problem, tmp_path):
    path = tmp_path / "COCO_val2014_000000000042.jpg"
    path.write_bytes(content)
    with pytest.raises(SampleError, match=re.escape(f"{path} {problem}")) as caught:
        decode(Image("42", path=path))
    assert "\n" not in str(caught.value)


def test_a_jpeg_that_repeats_its_scans_fails_before_it_is_decoded():
    large = encoded(Pillow.new("L", (4000, 4000)), "JPEG", progressive=True)
    start = large.rindex(b"\xff\xda")
    repeated = large[:start] + large[start:-2] * 200 + large[-2:]
    assert decoded(large).size == (4000, 4000)
    with pytest.raises(SampleError, match=r"has 2\d\d scans of 4000 x 4000 pixels"):
        decoded(repeated)


def test_a_file_with_a_hole_is_not_read(tmp_path):
    with (tmp_path / "hole.png").open("wb") as file:
        file.write(encoded(RED))
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SampleError, match=r"hole\.png has 201,\d{3},\d{3} bytes, at most"):
        decode(Image("k", path=tmp_path / "hole.png"))


def test_a_missing_picture_fails_its_sample_by_name(tmp_path):
    with pytest.raises(SampleError, match=r"none\.jpg does not exist"):
        decode(Image("k", path=tmp_path / "none.jpg"))
    with pytest.raises(SampleError, match="is not a file"):
        decode(Image("k", path=tmp_path))
    with pytest.raises(SampleError, match="image k has neither a file nor bytes"):
        decode(Image("k"))


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
    made = Pillow.open(io.BytesIO(thumbnail(sample_of(Image("a", data=large), "what?"))))
    assert (made.format, made.size) == ("PNG", (320, 160))
    assert Pillow.open(io.BytesIO(thumbnail(sample_of(Image("b", data=small), "what?")))).size == (4, 3)
    assert thumbnail(sample_of("what?")) is None
    assert thumbnail(sample_of(Image("c", data=b"no picture"), "what?")) is None
