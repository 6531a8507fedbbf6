"""Undo the rounding of scaled vectors, so that cosines that are equal mathematically can be computed as equal.

A file of embeddings often holds vectors of short numbers (binary, int8, float16) that were normalised and then rounded
to float32, or several scaled copies of one vector. Their exact cosines can be equal, but those of the rounded numbers
differ by about 1e-9, which is also the distance of cosines that are truly different. No tolerance can separate these
two, so the rounding itself is undone:

1. A row that is, up to rounding, a multiple of numbers with at most 11 significant bits is replaced by these
   numbers. This is done where it compresses the rows by at least 40 bits, which has a probability of less than 2^-40 if
   the numbers are arbitrary float32.
2. Rows that differ by a factor and by rounding, in each of their numbers, become equal.

All other rows stay as they are.

Letters in array names: N rows, D dimensions, C candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]

ROUNDING = 2.0**-21
"""Relative difference that four roundings to float32 of each of two numbers can explain."""
SHORT_BITS = (2, 4, 8, 11)
"""Significant bits of small integers (two steps), of int8, uint8 and bfloat16 numbers, and of float16 numbers."""
MIN_EVIDENCE = 40
"""Number of bits by which short numbers must compress the rows."""
CHUNK = 1 << 17
"""Number of values that are examined at once: 1 MiB."""
SMALLEST = 2.0**-149
"""The smallest positive float32: the rounding of numbers below 2^-126 is half of it."""


def unrounded_unit_rows(rows_ND: NDArray[np.float32]) -> Matrix:
    """Undo the rounding of scaled vectors where it can be recognised, and normalise all rows to length one.

    Args:
        rows_ND: N finite vectors.

    Returns:
        Vectors of length one in float64; a zero vector stays zero. Scaled copies of one vector are equal.

    Example:
        >>> rows = np.float32([[1, 2, 3], [0.1, 0.2, 0.3], [1, 2, 3.00001]])
        >>> first, second, third = unrounded_unit_rows(rows)
        >>> bool((first == second).all()), bool((first == third).all())
        (True, False)
    """
    exact_ND = rows_ND.astype(np.float64)
    _restore_short_numbers(exact_ND)
    length_N = np.sqrt(np.einsum("nd,nd->n", exact_ND, exact_ND))
    length_N[length_N == 0] = 1
    given_length_N = np.sqrt(np.einsum("nd,nd->n", rows_ND, rows_ND, dtype=np.float64))
    exact_ND /= length_N[:, None]
    smallest_N = np.divide(SMALLEST, given_length_N, out=np.zeros(len(rows_ND)), where=given_length_N > 0)
    _equate_scaled_copies(exact_ND, smallest_N)
    return exact_ND


# Short numbers


def _restore_short_numbers(rows_ND: Matrix) -> None:
    """Replace, in place, the rows that are multiples of short numbers, if chance does not explain them."""
    bits_N = np.zeros(len(rows_ND), dtype=int)
    significand_N = np.zeros(len(rows_ND))
    evidence = 0
    step = max(1, CHUNK // max(rows_ND.shape[1], 1 << SHORT_BITS[-1] - 1))
    for start in range(0, len(rows_ND), step):
        part = slice(start, start + step)
        bits_N[part], significand_N[part], evidence_of_part = _short_multiples(rows_ND[part])
        evidence += evidence_of_part
    if evidence < MIN_EVIDENCE:
        return
    for bits in SHORT_BITS:
        (of_bits,) = np.nonzero(bits_N == bits)
        for rows in np.array_split(of_bits, len(of_bits) // step + 1):
            scaled_ND = _relative(rows_ND[rows]) * significand_N[rows, None]
            rows_ND[rows] = _round_to_bits(scaled_ND, bits)


def _short_multiples(rows_ND: Matrix) -> tuple[Indices, NDArray[np.float64], int]:
    """Find the rows that are multiples of short numbers, up to rounding.

    Returns:
        For each row the significant bits of the short numbers and the significand of the largest, or zeros if the row
        is none of them or has short numbers already; and the number of bits by which short numbers compress the rows.
    """
    bits_N = np.zeros(len(rows_ND), dtype=np.intp)
    significand_N = np.zeros(len(rows_ND))
    nonzero_N = np.count_nonzero(rows_ND, axis=1)
    short_N = (rows_ND == _round_to_bits(rows_ND, SHORT_BITS[-1])).all(axis=1)
    (multiples,) = np.nonzero(~short_N & (nonzero_N > 1))
    relative_ND = _relative(rows_ND[multiples])
    for bits in SHORT_BITS:
        significand = _significands(relative_ND, bits)
        recognised = significand > 0
        bits_N[multiples[recognised]], significand_N[multiples[recognised]] = bits, significand[recognised]
        multiples, relative_ND = multiples[~recognised], relative_ND[~recognised]
    evidence_N = np.where(short_N, _evidence(nonzero_N, SHORT_BITS[-1]), _evidence(nonzero_N, bits_N))
    evidence_N[~short_N & (bits_N == 0)] = 0
    bits_N[evidence_N <= 0] = 0
    # One bit for each row says whether its numbers are short; a single number shows nothing.
    return bits_N, significand_N, int((np.maximum(evidence_N, 0) - 1)[nonzero_N > 1].sum())


def _evidence(nonzero_N: NDArray[np.integer], bits: NDArray[np.integer] | int) -> NDArray[np.integer]:
    """Return the number of bits by which short numbers compress rows with so many numbers other than zero.

    The largest number of a row is made short by one of 2^(bits - 1) factors. Each of the others is then within
    `ROUNDING` of a short number with a probability of at most 2^(bits - 20) by chance. Two bits tell which of the four
    numbers of bits is meant.
    """
    evidence_N: NDArray[np.integer] = (nonzero_N - 1) * (20 - bits) - (bits - 1) - 2
    return evidence_N


def _relative(rows_ND: Matrix) -> Matrix:
    """Divide rows by their largest number, without its sign; zero rows stay zero."""
    largest_N = np.abs(rows_ND).max(axis=1, initial=0)
    relative_ND: Matrix = rows_ND / np.where(largest_N > 0, largest_N, 1)[:, None]
    return relative_ND


def _round_to_bits(numbers: Matrix, bits: int) -> Matrix:
    """Round to so many significant bits (Veltkamp's splitting)."""
    shifted = numbers * (2.0 ** (53 - bits) + 1)
    rounded: Matrix = shifted - (shifted - numbers)
    return rounded


def _is_short(numbers: Matrix, bits: int) -> NDArray[np.bool_]:
    difference = np.abs(numbers - _round_to_bits(numbers, bits))
    short: NDArray[np.bool_] = difference <= ROUNDING * np.abs(numbers)
    return short


def _significands(relative_ND: Matrix, bits: int) -> NDArray[np.float64]:
    """Find, for each row, a short significand of its largest number that makes all its numbers short, or 0.

    Args:
        relative_ND: rows whose largest number is 1 or -1.
        bits: significant bits of a short number.
    """
    chosen_N = np.zeros(len(relative_ND))
    if not len(relative_ND):
        return chosen_N
    choices = np.arange(2.0 ** (bits - 1), 2.0**bits)
    columns = _large_columns(relative_ND)
    rows = np.arange(len(relative_ND))
    row_C, choice_C = np.nonzero(_is_short(relative_ND[rows, columns[:, 0]][:, None] * choices, bits))
    for column_N in columns.T[1:]:
        kept = _is_short(relative_ND[row_C, column_N[row_C]] * choices[choice_C], bits)
        row_C, choice_C = row_C[kept], choice_C[kept]
    while len(row_C):
        # Try the first candidate of each row; where it fails, drop all candidates that fail in the same column.
        tried, first = np.unique(row_C, return_index=True)
        significand = choices[choice_C[first]]
        scaled_ND = relative_ND[tried] * significand[:, None]
        fails_ND = ~_is_short(scaled_ND, bits)
        right = ~fails_ND.any(axis=1)
        chosen_N[tried[right]] = significand[right]
        column_N = np.zeros(len(relative_ND), dtype=np.intp)
        column_N[tried] = fails_ND.argmax(axis=1)
        kept = _is_short(relative_ND[row_C, column_N[row_C]] * choices[choice_C], bits) & (chosen_N[row_C] == 0)
        row_C, choice_C = row_C[kept], choice_C[kept]
    return chosen_N


def _large_columns(relative_ND: Matrix) -> Indices:
    """Return, for each row, up to four columns of large numbers, largest first; zeros show nothing."""
    size_ND = np.abs(relative_ND)
    width = size_ND.shape[1]
    part = -(-width // 5)
    columns = np.stack(
        [first + size_ND[:, first : first + part].argmax(axis=1) for first in range(0, width, part)], axis=1
    )
    order = np.argsort(-np.take_along_axis(size_ND, columns, axis=1), axis=1)
    large: Indices = np.take_along_axis(columns, order, axis=1)[:, 1:]
    return large


# Scaled copies


def _equate_scaled_copies(rows_ND: Matrix, smallest_N: NDArray[np.float64]) -> None:
    """Make equal, in place, rows of length one that differ only by rounding in each of their numbers.

    Args:
        rows_ND: rows of length one, or zero.
        smallest_N: for each row, the smallest positive float32, divided by the length that the row had.

    Copies have nearly equal projections on any vector. Rows are sorted by one projection, so that only rows near each
    other are compared; seven more spare most of these comparisons.
    """
    width = rows_ND.shape[1]
    directions = np.random.default_rng(0).choice([-1.0, 1.0], size=(width, 8))
    keys = rows_ND @ directions
    reach_N = ROUNDING * np.abs(rows_ND).sum(axis=1) + 2 * width * (smallest_N + 2.0**-53)
    remaining = np.argsort(keys[:, 0], kind="stable")
    original_N = np.arange(len(rows_ND))
    lag = 1
    while lag < len(remaining):
        before, after = remaining[:-lag], remaining[lag:]
        reach = np.maximum(reach_N[before], reach_N[after])
        near = keys[after, 0] - keys[before, 0] <= reach
        if not near.any():
            break
        before, after, reach = before[near], after[near], reach[near]
        near = (np.abs(keys[after] - keys[before]) <= reach[:, None]).all(axis=1)
        before, after = before[near], after[near]
        copies = _are_copies(rows_ND, smallest_N, before, after)
        chain_N = np.arange(len(rows_ND))
        chain_N[after[copies]] = before[copies]
        first = _roots(chain_N)[after[copies]]
        copies_of_first = _are_copies(rows_ND, smallest_N, first, after[copies])
        merged = after[copies][copies_of_first]
        original_N[merged] = first[copies_of_first]
        remaining = remaining[~np.isin(remaining, merged)]
        lag = 1 if len(merged) else lag + 1
    original_N = _roots(original_N)
    (changed,) = np.nonzero(original_N != np.arange(len(rows_ND)))
    rows_ND[changed] = rows_ND[original_N[changed]]


def _roots(root_N: Indices) -> Indices:
    """Follow each row's reference to another row until one refers to itself."""
    while not np.array_equal(root_N, root_N[root_N]):
        root_N = root_N[root_N]
    return root_N


def _are_copies(rows_ND: Matrix, smallest_N: NDArray[np.float64], first: Indices, second: Indices) -> NDArray[np.bool_]:
    """Return for each pair of rows whether rounding explains all differences of their numbers."""
    copies = np.empty(len(first), dtype=bool)
    step = max(1, CHUNK // rows_ND.shape[1])
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        one_ND, other_ND = rows_ND[first[part]], rows_ND[second[part]]
        allowed_ND = ROUNDING * np.maximum(np.abs(one_ND), np.abs(other_ND))
        allowed_ND += (smallest_N[first[part]] + smallest_N[second[part]])[:, None]
        copies[part] = (np.abs(one_ND - other_ND) <= allowed_ND).all(axis=1)
    return copies
