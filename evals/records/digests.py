"""What identifies a run: the digest of its sample ids, the signature of its manifest, the digest of its result.

`differences` names what makes two signatures differ, `PROTOCOL` what no two runs that are compared may differ in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson

from evals.records.types import Manifest
from evals.schema import Json

_IDS_AT_ONCE = 1 << 14
PROTOCOL = (
    "task.name", "task.version", "task.split", "task.limit", "task.first", "task.shots", "task.same_shots",
    "task.method", "task.temperature", "task.top_p", "task.samples", "data.protocol",
)  # fmt: skip
"""Manifest fields that must be equal for two runs to be comparable, besides the ids of their samples."""


def digest_of_ids(ids: Sequence[str]) -> str:
    """Return the digest of a run's sample ids, as the manifest has it: 16 hexadecimal digits.

    Example:
        >>> digest_of_ids(["1", "2"])
        'b598b3a62a3f7ced'
    """
    digest = hashlib.sha256()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        text = "\n".join(ids[start : start + _IDS_AT_ONCE])
        digest.update(f"{chr(10) if start else ''}{text}".encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


_DETERMINING = ("task", "data", "model", "plan", "code", "packages")
LOCATIONS = frozenset({"folder", "checkpoint"})
"""Facts that are not signed, because they say where files are; digests of the contents are signed."""
_EXPLAINING = {"code": frozenset({"commit"}), "plan": frozenset({"token_budget"})}
"""Facts that explain small differences, but an interrupted run may be continued with other values of them."""


def signature_of(manifest: Mapping[str, Json]) -> str:
    """Hash what determines the result of a run, from its manifest as plain dicts: 12 hexadecimal digits."""
    determining = {
        field: {
            key: value
            for key, value in manifest.get(field, {}).items()
            if key not in LOCATIONS and key not in _EXPLAINING.get(field, ())
        }
        for field in _DETERMINING
        if field in manifest
    }
    return hashlib.sha256(orjson.dumps(determining, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


EXTENDED = "extended"
"""The entry of a manifest's `task.generation` with the token limit up to which a finished run was continued."""


def base_signature(manifest: Mapping[str, Json]) -> str:
    """Return the signature that a run had before it was extended, from its manifest as plain dicts."""
    task: Mapping[str, Json] = manifest["task"]
    generation: Mapping[str, Json] = task.get("generation") or {}
    if EXTENDED not in generation:
        signature: str = manifest["signature"]
        return signature
    kept = {name: value for name, value in generation.items() if name != EXTENDED}
    others = {name: value for name, value in task.items() if name != "generation"}
    return signature_of({**manifest, "task": {**others, "generation": kept} if kept else others})


_UNSIGNED = ("digest", "efficiency")


def digest_of_result(result: Mapping[str, Json]) -> str:
    """Hash what a result says, from its fields as plain dicts, but not what it cost: 16 hexadecimal digits.

    Two runs with the same result have the same digest. A result that was changed by hand has another than it states.
    """
    stated = {name: value for name, value in result.items() if name not in _UNSIGNED}
    return hashlib.sha256(orjson.dumps(stated, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def differences(a: Mapping[str, Json], b: Mapping[str, Json], path: str = "") -> list[str]:
    """Name the fields in which two manifests differ, as dotted paths, except for those that are not signed.

    Example:
        >>> differences({"model": {"dtype": "float32"}, "n": 1}, {"model": {"dtype": "bfloat16"}, "n": 1})
        ['model.dtype']
    """
    paths = []
    for key in sorted({*a, *b}):
        if not path and key in {"signature", "started", "command", "probe", "tracking"}:
            continue
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            paths += differences(left, right, f"{path}{key}.")
        elif left != right:
            paths.append(path + key)
    return paths


def protocol_value(manifest: Manifest, field: str) -> Json:
    """Return the value of a field of `PROTOCOL`; None if the manifest has none.

    `task.shots` is the number of examples that were shown: without `--shots` a run of this suite has the task's own
    number, or none. A log that does not state it has None.
    """
    if field != "task.shots" or manifest.task.shots is not None:
        return value_at(manifest.to_dict(), field)
    shown: Json = manifest.data.get("shots")
    return 0 if shown is None and not manifest.imported else shown


def value_at(manifest: Mapping[str, Json], field: str) -> Json:
    """Return the value at a dotted path, or None if there is none. Keys may contain dots.

    Example:
        >>> value_at({"data": {"files": {"q.csv": "5c2e"}}}, "data.files.q.csv")
        '5c2e'
    """
    value: Json = manifest
    while field and isinstance(value, Mapping):
        key = next((key for key in sorted(value, key=len, reverse=True) if f"{field}.".startswith(f"{key}.")), None)
        if key is None:
            return None
        value, field = value[key], field[len(key) + 1 :]
    return None if field else value
