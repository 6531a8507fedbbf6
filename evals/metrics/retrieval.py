"""Rank every gallery item for each query, and return the ranks of the relevant ones.

Similarities are cosines. They are computed block by block and only counted, never stored or sorted, so memory does not
grow with queries x gallery. On a GPU the blocks are computed and counted there.

Ties go against the model: a wrong item that is as similar as a relevant one ranks before it. Equal vectors tie exactly.
Cosines that are equal mathematically (of integers, binary or quantised vectors, or scaled copies) tie within the
rounding error of float64, about 1e-13, after the rounding of the vectors themselves has been undone
(`evals.metrics.rounded_vectors`). On a CPU, blocks are computed in float32, and the cosines that its rounding error
(`tie_tolerance`) does not separate from that of a relevant item are computed again in float64.

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
from evals.metrics.rounded_vectors import Indices, Matrix, unrounded_unit_rows

if TYPE_CHECKING:
    import torch

    from evals.records.embeddings import Vector

BLOCK = 1 << 21
"""Number of similarities per block on a CPU: 16 MiB."""
GPU_BLOCK = 1 << 26
"""Number of similarities per block on a GPU: 512 MiB."""
MAX_SHARE = 0.05
"""Share of the gallery above which a float64 product of the whole block is faster than one of selected items."""
GPU_MIN_COMPARISONS = 1 << 24
"""Minimum number of comparisons for which an available GPU is used."""


def tie_tolerance(width: int, rounding: float = 2.0**-53) -> float:
    """Return the difference of two computed cosines up to which they may be equal.

    The error of a product of unit vectors grows with the square root of the width: that of random vectors is at most
    (sqrt(width) + 3) roundings. Where the numbers are all alike (dense binary vectors), roundings have one direction;
    the largest error that was measured, at widths from 2 to 16,384, is 3.3 times that. The bound is 5 times that for
    each of the two similarities.

    Args:
        width: the number of dimensions, at least 1.
        rounding: the largest relative error of one operation: 2^-53 in float64, 2^-24 in float32.

    Source: Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41 (2019).

    Example:
        >>> f"{tie_tolerance(512):.1e}", f"{tie_tolerance(512, 2.0**-24):.1e}"
        ('2.8e-14', '1.5e-05')
    """
    return 10 * (math.sqrt(width) + 3) * rounding


class QueryRanks(NamedTuple):
    """The result of one query."""

    ranks: Indices
    """(R,) ascending ranks, from 1, of the relevant items in the gallery ordered by similarity."""
    nearest: int
    """Index of the most similar gallery item; the first one if several are equal."""


def unit_rows(vectors: Sequence[Vector], names: Sequence[str]) -> Matrix:
    """Stack vectors and normalise them to length one; a zero vector stays zero, with similarity 0 to everything.

    Vectors that were scaled and rounded (vectors of short numbers, or copies of each other) are restored first, as far
    as they can be recognised (`evals.metrics.rounded_vectors`).

    Args:
        vectors: N vectors with the same number of dimensions.
        names: the names of the vectors, for error messages.

    Raises:
        InputError: a number is not finite, or a vector and the first one differ in length; the message names it.

    Example:
        >>> unit_rows([np.float32([3, 4]), np.float32([0, 0])], ["a", "b"]).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
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
    return unrounded_unit_rows(rows_ND)


def rank(
    queries_QD: Matrix, gallery_GD: Matrix, relevant: Sequence[Indices], *, device: str | None = None
) -> Iterator[QueryRanks]:
    """Rank the relevant gallery items of each query.

    Args:
        queries_QD: query vectors of length one, best from `unit_rows`.
        gallery_GD: gallery vectors of length one.
        relevant: for each query, the indices of its relevant items in the gallery, at least one.
        device: where the blocks are computed. By default a CUDA device if torch is already loaded, a device is
            available and there are at least `GPU_MIN_COMPARISONS` comparisons; otherwise the CPU. The choice changes
            at most the last bits of a float64 similarity, which tie.

    Yields:
        One result per query, in order. The rank of a relevant item counts the wrong items that are at least as
        similar, the relevant items before it, and itself.

    Example:
        >>> queries, gallery = np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> [result.ranks.tolist() for result in rank(queries, gallery, [np.array([0]), np.array([2])])]
        [[1], [2]]
    """
    device = device or _device(len(queries_QD) * len(gallery_GD))
    queries_QD, gallery_GD = np.asarray(queries_QD, dtype=np.float64), np.asarray(gallery_GD, dtype=np.float64)
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

    def digest(row: NDArray[np.float64]) -> bytes:  # the rows themselves would double the memory
        return hashlib.blake2b((row + 0.0).tobytes(), digest_size=16).digest()  # adding 0 turns -0.0 into 0.0

    indices = (first_index.setdefault(digest(row), index) for index, row in enumerate(rows_GD))
    return np.fromiter(indices, dtype=np.intp, count=len(rows_GD))


def _rank_on_cpu(
    queries_QD: Matrix, gallery_GD: Matrix, relevant: Sequence[Indices], first_G: Indices
) -> Iterator[QueryRanks]:
    (repeated,) = np.nonzero(first_G != np.arange(len(first_G)))
    float32_GD = gallery_GD.astype(np.float32)
    step = max(1, BLOCK // len(gallery_GD))
    for start in range(0, len(queries_QD), step):
        queries = queries_QD[start : start + step]
        block = queries.astype(np.float32) @ float32_GD.T
        block[:, repeated] = block[:, first_G[repeated]]
        exact = _ExactSimilarities(queries, gallery_GD)
        for query, (similarity_G, indices) in enumerate(zip(block, relevant[start : start + step], strict=True)):
            yield _rank_query(similarity_G, indices, exact, query)


class _ExactSimilarities:
    """Similarities in float64 of a block of queries, computed where they are needed."""

    def __init__(self, queries_QD: Matrix, gallery_GD: Matrix) -> None:
        width = gallery_GD.shape[1]
        self.tolerance = tie_tolerance(width)
        self.float32_tolerance = np.float32(tie_tolerance(width, 2.0**-24))
        self._queries_QD, self._gallery_GD = queries_QD, gallery_GD
        self._block_QG: Matrix | None = None

    def of(self, query: int, items: Indices) -> NDArray[np.float64]:
        """Return the similarities of a query with these gallery items."""
        if self._block_QG is None and len(items) > MAX_SHARE * len(self._gallery_GD):
            self._block_QG = self._queries_QD @ self._gallery_GD.T
        similarities: NDArray[np.float64]
        if self._block_QG is None:
            similarities = self._gallery_GD[items] @ self._queries_QD[query]
        else:
            similarities = self._block_QG[query, items]
        return similarities


def _rank_query(
    similarity_G: NDArray[np.float32], indices: Indices, exact: _ExactSimilarities, query: int
) -> QueryRanks:
    """Rank the relevant items of a query.

    Args:
        similarity_G: the similarities of the query with the gallery in float32.
        indices: the indices of the relevant items.
        exact: computes the similarities again that differ by no more than the rounding error of float32.
        query: the index of the query in its block.
    """
    tolerance = exact.float32_tolerance
    nearest = int(similarity_G.argmax())
    near = (similarity_G >= similarity_G[nearest] - tolerance).nonzero()[0]
    if len(near) > 1:
        near_similarity = exact.of(query, near)
        nearest = int(near[(near_similarity >= near_similarity.max() - exact.tolerance).argmax()])
    above_R = np.empty(len(indices), dtype=np.intp)
    near_R: dict[int, Indices] = {}
    for item, similarity in enumerate(similarity_G[indices]):
        # Counting a row of booleans runs at memory speed; sorting or summing is slower.
        at_least_G, above_G = similarity_G >= similarity - tolerance, similarity_G > similarity + tolerance
        above_R[item] = np.count_nonzero(above_G)
        if np.count_nonzero(at_least_G) > above_R[item] + 1:
            near_R[item] = (at_least_G ^ above_G).nonzero()[0]
    if not near_R:  # no wrong item and no other relevant item is near a relevant one
        return QueryRanks(np.sort(above_R) + 1, nearest)
    relevant_R = exact.of(query, indices)
    at_least_R = above_R + 1
    for item, near in near_R.items():
        least = relevant_R[item] - exact.tolerance
        at_least_R[item] = above_R[item] + np.count_nonzero(exact.of(query, near) >= least)
    order = np.argsort(-relevant_R, kind="stable")
    return QueryRanks(_ranks(relevant_R[order], at_least_R[order], exact.tolerance), nearest)


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
        block = queries @ gallery.T
        block[:, repeated] = block[:, first]
        yield from _count_block(block, relevant[start : start + step], tie_tolerance(gallery_GD.shape[1]))


def _count_block(block: torch.Tensor, relevant: Sequence[Indices], tolerance: float) -> Iterator[QueryRanks]:
    """Count a block on its device; queries with fewer relevant items are padded with their last one."""
    import torch

    most = max(map(len, relevant))
    padded = np.stack([np.concatenate([row, np.repeat(row[-1:], most - len(row))]) for row in relevant])
    similarity = block.gather(1, torch.from_numpy(padded).to(block.device))
    least = similarity - tolerance
    at_least = torch.stack([(block >= least[:, column, None]).sum(1) for column in range(most)], dim=1)
    nearest = (block >= block.amax(1, keepdim=True) - tolerance).int().argmax(1).tolist()
    similarity_QR, at_least_QR = similarity.cpu().numpy(), at_least.cpu().numpy()
    for query, indices in enumerate(relevant):
        order = np.argsort(-similarity_QR[query, : len(indices)], kind="stable")
        yield QueryRanks(_ranks(similarity_QR[query, order], at_least_QR[query, order], tolerance), nearest[query])


def _ranks(relevant_R: Matrix, at_least_R: NDArray[np.integer], tolerance: float) -> Indices:
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
