"""The base of the types of a run folder's files: JSON objects whose fields are declared once."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from evals.schema import Json

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number of 64 bits: what JSON is written with."""
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Real = Int64 | float


class Stored(msgspec.Struct, kw_only=True):
    """A JSON object of a run folder; its fields are the keys of the file, in their order."""

    def __getitem__(self, key: str) -> Any:
        """Return a field by its key in the file."""
        if key not in self.__struct_fields__:
            raise KeyError(key)
        return getattr(self, key)

    def to_dict(self) -> dict[str, Json]:
        """Return the object as plain dicts and lists, without the fields that the file leaves out."""
        plain: dict[str, Json] = msgspec.to_builtins(self)
        return plain
