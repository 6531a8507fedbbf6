"""Ranks of the right items among all: who finds whom when everything is compared with everything.

Similarities are cosines in float32. They are made block by block and only ever counted, never kept or sorted, so the
memory needed does not grow with the product of the two sides. On a GPU the blocks are made and counted there.

Ties never help: every wrong item that is as similar as a right one stands before it. So that equal vectors tie exactly,
however a library adds up its products, a vector that comes again has the similarities of its first appearance.

Letters in the names of arrays: Q queries, G gallery, D width, R right items of a query.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.errors import InputError

if TYPE_CHECKING:
    import torch

    from evals.records.embeddings import Vector

Matrix = NDArray[np.float32]
Indices = NDArray[np.intp]

BLOCK = 1 << 22
"""Similarities that are in memory at once on a CPU: 16 MiB."""
GPU_BLOCK = 1 << 27
"""The same on a GPU: 512 MiB."""
WORTH_A_GPU = 1 << 24
"""Comparisons from which on a GPU that is there is used."""


class QueryRanks(NamedTuple):
    """What became of one query."""

    ranks: Indices
    """(R,) from 1, rising: the places of its right items in the gallery ordered by similarity."""
    nearest: int
    """The gallery's most similar item; of equals the first."""


def unit_rows(vectors: Sequence[Vector], names: Sequence[str]) -> Matrix:
    """Stack vectors and bring them to length one; a vector of zeros stays, and is similar to nothing.

    Args:
        vectors: N vectors of one width.
        names: what each is called in an error.

    Raises:
        InputError: a number is not finite, or a vector is of another width than the first; names the vector.

    Example:
        >>> unit_rows([np.float32([3, 4]), np.float32([0, 0])], ["a", "b"]).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
        >>> unit_rows([np.float32([1, float("nan")])], ["42"])
        Traceback (most recent call last):
            ...
        evals.errors.InputError: the embedding of 42 holds a number that is not finite
    """
    width = len(vectors[0])
    rows_ND = np.empty((len(vectors), width), dtype=np.float32)
    for row, vector, name in zip(rows_ND, vectors, names, strict=True):
        if len(vector) != width:
            raise InputError(f"the embedding of {name} has {len(vector)} numbers, that of {names[0]} has {width}")
        row[:] = vector
        if not np.isfinite(row).all():
            raise InputError(f"the embedding of {name} holds a number that is not finite")
        # In two steps, or the square of a large number would be infinite, and that of a small one nothing.
        row /= np.abs(row).max() or 1
        row /= np.linalg.norm(row) or 1
    return rows_ND


def rank(
    queries_QD: Matrix, gallery_GD: Matrix, right: Sequence[Indices], *, device: str | None = None
) -> Iterator[QueryRanks]:
    """Rank each query's right items in the gallery.

    Args:
        queries_QD: rows of length one.
        gallery_GD: rows of length one.
        right: for each query the places of its right items in the gallery, at least one.
        device: where the blocks are made; by default a CUDA device when a model has already loaded torch and found
            one, and the comparisons are many, else the CPU. It changes at most the last bit of a similarity.

    Yields:
        What became of each query, in order. A right item's rank counts the wrong items that are at least as similar
        and the right ones before it.

    Example:
        >>> queries, gallery = np.eye(2, dtype=np.float32), np.float32([[1, 0], [0, 1], [0, 1]])
        >>> [found.ranks.tolist() for found in rank(queries, gallery, [np.array([0]), np.array([2])])]
        [[1], [2]]
    """
    device = device or _device(len(queries_QD) * len(gallery_GD))
    first_G = _first_appearances(gallery_GD)
    if device == "cpu":
        yield from _on_cpu(queries_QD, gallery_GD, right, first_G)
    else:
        yield from _on_device(queries_QD, gallery_GD, right, first_G, device)


def _device(comparisons: int) -> str:
    """A GPU, if it is worth it and a model's run has torch at hand: scoring alone never loads it."""
    torch: Any = sys.modules.get("torch")
    return "cuda" if comparisons >= WORTH_A_GPU and torch is not None and torch.cuda.is_available() else "cpu"


def _first_appearances(rows_GD: Matrix) -> Indices:
    """For each row the place of the first row that equals it."""
    seen: dict[bytes, int] = {}

    def digest(row: Vector) -> bytes:  # the rows themselves would fill as much memory again
        return hashlib.blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()  # a negative zero equals zero

    places = (seen.setdefault(digest(row), place) for place, row in enumerate(rows_GD))
    return np.fromiter(places, dtype=np.intp, count=len(rows_GD))


def _on_cpu(queries_QD: Matrix, gallery_GD: Matrix, right: Sequence[Indices], first_G: Indices) -> Iterator[QueryRanks]:
    (again,) = np.nonzero(first_G != np.arange(len(first_G)))
    step = max(1, BLOCK // len(gallery_GD))
    for start in range(0, len(queries_QD), step):
        block = queries_QD[start : start + step] @ gallery_GD.T
        block[:, again] = block[:, first_G[again]]
        for similar_G, places in zip(block, right[start : start + step], strict=True):
            own_R = np.sort(similar_G[places])[::-1]
            # A count of a row of booleans runs at the speed of the memory; a sort or a sum does not.
            as_similar_R = np.array([np.count_nonzero(similar_G >= own) for own in own_R])
            yield QueryRanks(_ranks(own_R, as_similar_R), int(similar_G.argmax()))


def _on_device(
    queries_QD: Matrix, gallery_GD: Matrix, right: Sequence[Indices], first_G: Indices, device: str
) -> Iterator[QueryRanks]:
    import torch

    gallery = torch.from_numpy(gallery_GD).to(device)
    again = torch.from_numpy(np.nonzero(first_G != np.arange(len(first_G)))[0])
    first = torch.from_numpy(first_G)[again].to(device)
    again = again.to(device)
    step = max(1, GPU_BLOCK // len(gallery_GD))
    for start in range(0, len(queries_QD), step):
        queries = torch.from_numpy(queries_QD[start : start + step]).to(device)
        with _full_precision():
            block = queries @ gallery.T
        block[:, again] = block[:, first]
        places = right[start : start + step]
        yield from _counted(block, places)


def _counted(block: torch.Tensor, places: Sequence[Indices]) -> Iterator[QueryRanks]:
    """Count a block where it lies; queries with fewer right items than others repeat their last."""
    import torch

    most = max(map(len, places))
    padded = np.stack([np.concatenate([p, np.repeat(p[-1:], most - len(p))]) for p in places])
    own = block.gather(1, torch.from_numpy(padded).to(block.device))
    as_similar = torch.stack([(block >= own[:, column, None]).sum(1) for column in range(most)], dim=1)
    nearest, own_QR, as_similar_QR = block.argmax(1).tolist(), own.cpu().numpy(), as_similar.cpu().numpy()
    for query, p in enumerate(places):
        order = np.argsort(-own_QR[query, : len(p)], kind="stable")
        yield QueryRanks(_ranks(own_QR[query, order], as_similar_QR[query, order]), nearest[query])


def _ranks(own_R: Matrix, as_similar_R: NDArray[np.integer]) -> Indices:
    """Ranks from how many items are as similar as each right one; `own_R` falls.

    Among those are right items: itself, those before it, and others that tie with it. The first of them come first.
    """
    right_R = np.count_nonzero(own_R[None, :] >= own_R[:, None], axis=1)
    ranks_R: Indices = (as_similar_R - right_R + np.arange(1, len(own_R) + 1)).astype(np.intp)
    return ranks_R


class _full_precision:
    """Multiply float32 as float32: some users let torch round to TF32, ten bits of a number."""

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_float32_matmul_precision(self._before)
