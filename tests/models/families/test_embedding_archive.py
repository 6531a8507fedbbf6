"""Recorded embeddings of strangers: damaged and hostile `.npz` files are one line, in bounded memory."""

from __future__ import annotations

import io
import random
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evals.errors import InputError
from evals.models.families.embedding_archive import ARRAYS, MAX_NUMBERS, entries
from evals.records.embeddings import unpack

ROWS = {
    "image_ids": np.array(["a", "b"]), "image_embeddings": np.arange(16, dtype=np.float32).reshape(2, 8),
    "text_ids": np.array(["a#0", "a#1", "b#0"]), "text_embeddings": np.ones((3, 8), np.float32),
}  # fmt: skip


def saved(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **{**ROWS, **arrays})
    return file.getvalue()


def read(data):
    return list(entries(Path("e.npz"), data))


def npy(header, content=b""):
    encoded = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + content


def replaced(name, content):
    """The file with the bytes of one member replaced."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved())) as whole, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as changed:
        for member in ARRAYS:
            changed.writestr(f"{member}.npy", content if member == name else whole.read(f"{member}.npy"))
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "<f8", "i1", "?"])
def test_every_type_of_number_is_read(kind, compressed):
    numbers = np.arange(16).reshape(2, 8).astype(kind)
    by_id = {id: unpack(vector) for _, id, vector in read(saved(compressed, image_embeddings=numbers))}
    assert by_id["b"].tolist() == numbers[1].astype(np.float32).tolist()
    assert list(by_id) == ["a", "b", "a#0", "a#1", "b#0"]


def test_an_array_that_is_stored_by_columns_is_the_same():
    columns = np.asfortranarray(ROWS["image_embeddings"])
    assert read(saved(image_embeddings=columns)) == read(saved())


SHAPED = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"
HEADERS = {
    "more numbers than bytes": SHAPED % "2, 9",
    "fewer numbers than bytes": SHAPED % "2, 7",
    "a negative length": SHAPED % "-2, 8",
    "a large array": SHAPED % f"2, {MAX_NUMBERS * 4}",
    "a length of 400 digits": SHAPED % ("9" * 400 + ", 8"),
    "no numbers": SHAPED % "2, 0",
    "one axis": SHAPED % "16,",
    "objects": SHAPED.replace("<f4", "|O") % "2, 8",
    "dates": SHAPED.replace("<f4", "<M8[s]") % "2, 8",
    "digits": "{" + "9" * 5000 + "}",
    "no header": "",
    "brackets": "(" * 5000,
    "a call": "__import__('os').system('true')",
    "an order that is none": SHAPED.replace("False", "3") % "2, 8",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_that_is_wrong_is_one_line(kind):
    content = ROWS["image_embeddings"].tobytes()
    with pytest.raises(InputError, match=r"^e\.npz") as caught:
        read(replaced("image_embeddings", npy(HEADERS[kind], content)))
    assert len(str(caught.value)) < 200  # not the whole header
    assert not re.search("\n| at 0x", str(caught.value))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image_ids": np.array([1.5, 2.5])}, "expected text or whole numbers"),
        ({"image_ids": np.array(["a" * 5000, "b"])}, "of 20,000 bytes"),
        ({"image_ids": np.array(["a"])}, r"\(1,\).*expected \(N,\)"),
        ({"image_embeddings": np.full((2, 8), np.inf)}, "image a holds a number that is not finite"),
        ({"image_embeddings": np.full((2, 8), 1j)}, "complex"),
    ],
)
def test_arrays_that_are_no_embeddings_are_named(arrays, words):
    with pytest.raises(InputError, match=words):
        read(saved(**arrays))


def test_a_member_that_stands_twice_is_refused():
    file = io.BytesIO(saved())
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("text_ids.npy", b"")
    with pytest.raises(InputError, match="text_ids twice"):
        read(file.getvalue())


@pytest.mark.parametrize(
    "shape", [pytest.param("2, 8", id="announces little"), pytest.param("2, 50000000", id="announces all")]
)
def test_a_small_file_cannot_become_a_large_array(shape):
    bomb = replaced("image_embeddings", npy(SHAPED % shape, bytes(50_000_000)))
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(InputError, match=r"more bytes|announces"):
        read(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.slow
def test_damaged_bytes_are_one_line():
    whole = [saved(), saved(compressed=True)]
    for seed in range(400):
        draw = random.Random(seed)
        mutant = bytearray(draw.choice(whole))
        for _ in range(draw.choice([1, 3, 20])):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        try:
            ids = [id for _, id, _ in read(bytes(mutant[: draw.choice([len(mutant), draw.randrange(len(mutant))])]))]
        except InputError as error:
            ids, message = [], str(error)
            assert "\n" not in message
        assert len(ids) in {0, 5}, seed
