"""Choose the samples that are executed again, so that nobody can know them before."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from evals.errors import InputError

_SALT_BYTES = 16


def fresh_salt() -> str:
    """Draw a salt of 128 random bits from the operating system: 32 hexadecimal digits."""
    return secrets.token_hex(_SALT_BYTES)


def choose(ids: Sequence[str], count: int, salt: str) -> list[str]:
    """Choose some of a run's samples: those with the smallest SHA-256 of the salt and their id.

    With a salt that was drawn after the run was made, this is a simple random sample without replacement: who made the
    run could not know which samples it would be. A larger count contains a smaller one.

    Args:
        ids: the samples of the run.
        count: how many are chosen; all of them if there are fewer.
        salt: the salt.

    Returns:
        The ids of the chosen samples, in the order of `ids`.

    Raises:
        InputError: no sample is asked for, or the salt is empty.

    Example:
        >>> choose(["a", "b", "c", "d"], 2, "0"), choose(["a", "b", "c", "d"], 2, "1")
        (['c', 'd'], ['a', 'b'])
    """
    if count < 1:
        raise InputError(f"--sample {count} verifies nothing: give 1 or more")
    if not salt:
        raise InputError("--seed '' is no seed: give the text of an earlier verification, or leave it out")

    def order_key(index: int) -> tuple[bytes, int]:
        return hashlib.sha256(f"{salt}\0{ids[index]}".encode(errors="surrogatepass")).digest(), index

    return [ids[index] for index in sorted(sorted(range(len(ids)), key=order_key)[:count])]
