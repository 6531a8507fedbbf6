"""Rank every gallery item for each query, and return the ranks of the relevant ones.

Similarities are cosines in float32. They are computed block by block and only counted, never stored or sorted, so
memory does not grow with queries x gallery. On a GPU the blocks are computed and counted there.

Ties go against the model: a wrong item that is as similar as a relevant one ranks before it. Similarities tie within
twice the rounding error of the product (`tie_tolerance`): cosines that are equal mathematically (of integers, binary or
quantised vectors, or scaled copies) differ in the last bits of float32, and noise must not decide the ranks. Equal
vectors tie exactly, whatever the order of a library's sums; a repeated vector gets the similarities of its first
occurrence.

Letters in array names: Q queries, G gallery items, D dimensions, R relevant items of a query.
"""

from __future__ import annotations

import hashlib
import math
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
"""Number of similarities per block on a CPU: 16 MiB."""
GPU_BLOCK = 1 << 27
"""Number of similarities per block on a GPU: 512 MiB."""
GPU_MIN_COMPARISONS = 1 << 24
"""Minimum number of comparisons for which an available GPU is used."""


def tie_tolerance(width: int) -> float:
    """Return the difference of two computed cosines up to which they may be equal.

    The error of a float32 product of unit vectors grows with the square root of the width: that of random vectors is at
    most (sqrt(width) + 3) roundings of 2^-24. Where the numbers are all alike (dense binary vectors), roundings have
    one direction; the largest error that was measured, at widths from 2 to 16,384, is 3.3 times that. The bound is 5
    times that for each of the two similarities.

    Args:
        width: the number of dimensions, at least 1.

    Source: Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41 (2019).

    Example:
        >>> round(tie_tolerance(512) * 1e6, 1)
        15.3
    """
    return 10 * (math.sqrt(width) + 3) * 2.0**-24


class QueryRanks(NamedTuple):
    """The result of one query."""

    ranks: Indices
    """(R,) ascending ranks, from 1, of the relevant items in the gallery ordered by similarity."""
    nearest: int
    """Index of the most similar gallery item; the first one if several are equal."""


def unit_rows(vectors: Sequence[Vector], names: Sequence[str]) -> Matrix:
    """Stack vectors and normalise them to length one; a zero vector stays zero, with similarity 0 to everything.

    Args:
        vectors: N vectors with the same number of dimensions.
        names: the names of the vectors, for error messages.

    Raises:
        InputError: a number is not finite, or a vector and the first one differ in length; the message names it.

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
        # In float64, so that each number is rounded once and the square of no float32 overflows or underflows.
        exact = row.astype(np.float64)
        row[:] = exact / (np.linalg.norm(exact) or 1)
    return rows_ND


def rank(
    queries_QD: Matrix, gallery_GD: Matrix, relevant: Sequence[Indices], *, device: str | None = None
) -> Iterator[QueryRanks]:
    """Rank the relevant gallery items of each query.

    Args:
        queries_QD: query vectors of length one.
        gallery_GD: gallery vectors of length one.
        relevant: for each query, the indices of its relevant items in the gallery, at least one.
        device: where the blocks are computed. By default a CUDA device if torch is already loaded, a device is
            available and there are at least `GPU_MIN_COMPARISONS` comparisons; otherwise the CPU. The choice changes
            at most the last bits of a similarity, which tie.

    Yields:
        One result per query, in order. The rank of a relevant item counts the wrong items that are at least as
        similar, the relevant items before it, and itself.

    Example:
        >>> queries, gallery = np.eye(2, dtype=np.float32), np.float32([[1, 0], [0, 1], [0, 1]])
        >>> [result.ranks.tolist() for result in rank(queries, gallery, [np.array([0]), np.array([2])])]
        [[1], [2]]
    """
    device = device or _device(len(queries_QD) * len(gallery_GD))
    first_G = _first_appearances(gallery_GD)
    if device == "cpu":
        yield from _rank_on_cpu(queries_QD, gallery_GD, relevant, first_G)
    else:
        yield from _rank_with_torch(queries_QD, gallery_GD, relevant, first_G, device)


def _device(comparisons: int) -> str:
    """Choose the GPU for many comparisons if torch is already loaded; scoring alone never imports torch."""
    torch: Any = sys.modules.get("torch")
    return "cuda" if comparisons >= GPU_MIN_COMPARISONS and torch is not None and torch.cuda.is_available() else "cpu"


def _first_appearances(rows_GD: Matrix) -> Indices:
    """Return, for each row, the index of the first row that equals it."""
    first_index: dict[bytes, int] = {}

    def digest(row: Vector) -> bytes:  # the rows themselves would double the memory
        return hashlib.blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()  # adding 0 turns -0.0 into 0.0

    indices = (first_index.setdefault(digest(row), index) for index, row in enumerate(rows_GD))
    return np.fromiter(indices, dtype=np.intp, count=len(rows_GD))


def _rank_on_cpu(
    queries_QD: Matrix, gallery_GD: Matrix, relevant: Sequence[Indices], first_G: Indices
) -> Iterator[QueryRanks]:
    (repeated,) = np.nonzero(first_G != np.arange(len(first_G)))
    tolerance = np.float32(tie_tolerance(gallery_GD.shape[1]))
    step = max(1, BLOCK // len(gallery_GD))
    for start in range(0, len(queries_QD), step):
        block = queries_QD[start : start + step] @ gallery_GD.T
        block[:, repeated] = block[:, first_G[repeated]]
        for similarity_G, indices in zip(block, relevant[start : start + step], strict=True):
            relevant_R = np.sort(similarity_G[indices])[::-1]
            # Counting a row of booleans runs at memory speed; sorting or summing is slower.
            at_least_R = np.array([np.count_nonzero(similarity_G >= least) for least in relevant_R - tolerance])
            yield QueryRanks(_ranks(relevant_R, at_least_R, tolerance), int(similarity_G.argmax()))


def _rank_with_torch(
    queries_QD: Matrix, gallery_GD: Matrix, relevant: Sequence[Indices], first_G: Indices, device: str
) -> Iterator[QueryRanks]:
    import torch

    gallery = torch.from_numpy(gallery_GD).to(device)
    repeated = torch.from_numpy(np.nonzero(first_G != np.arange(len(first_G)))[0])
    first = torch.from_numpy(first_G)[repeated].to(device)
    repeated = repeated.to(device)
    step = max(1, GPU_BLOCK // len(gallery_GD))
    for start in range(0, len(queries_QD), step):
        queries = torch.from_numpy(queries_QD[start : start + step]).to(device)
        with _full_precision():
            block = queries @ gallery.T
        block[:, repeated] = block[:, first]
        yield from _count_block(block, relevant[start : start + step], np.float32(tie_tolerance(gallery_GD.shape[1])))


def _count_block(block: torch.Tensor, relevant: Sequence[Indices], tolerance: np.float32) -> Iterator[QueryRanks]:
    """Count a block on its device; queries with fewer relevant items are padded with their last one."""
    import torch

    most = max(map(len, relevant))
    padded = np.stack([np.concatenate([row, np.repeat(row[-1:], most - len(row))]) for row in relevant])
    similarity = block.gather(1, torch.from_numpy(padded).to(block.device))
    least = similarity - float(tolerance)
    at_least = torch.stack([(block >= least[:, column, None]).sum(1) for column in range(most)], dim=1)
    nearest, similarity_QR, at_least_QR = block.argmax(1).tolist(), similarity.cpu().numpy(), at_least.cpu().numpy()
    for query, indices in enumerate(relevant):
        order = np.argsort(-similarity_QR[query, : len(indices)], kind="stable")
        yield QueryRanks(_ranks(similarity_QR[query, order], at_least_QR[query, order], tolerance), nearest[query])


def _ranks(relevant_R: Matrix, at_least_R: NDArray[np.integer], tolerance: np.float32) -> Indices:
    """Compute the ranks of the relevant items of a query.

    Args:
        relevant_R: the similarities of the relevant items, descending.
        at_least_R: for each relevant item, the number of gallery items that are at least as similar, or tie.
        tolerance: the difference up to which similarities tie.

    These counts include relevant items: the item itself, those before it and those tied with it. Relevant items that
    tie are ranked in the order in which they are given.
    """
    relevant_at_least_R = np.count_nonzero(relevant_R[None, :] >= (relevant_R - tolerance)[:, None], axis=1)
    ranks_R: Indices = (at_least_R - relevant_at_least_R + np.arange(1, len(relevant_R) + 1)).astype(np.intp)
    return ranks_R


class _full_precision:
    """Multiply float32 matrices in full precision, regardless of the user's setting (TF32 keeps ten bits)."""

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_float32_matmul_precision(self._before)
