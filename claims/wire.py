"""Conversion of records to canonical JSON and back: sorted keys, no spaces, UTF-8.

Equal records give equal bytes, so a replay can be compared byte for byte.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_plain(record: object) -> Any:
    """Return the record as JSON-ready dicts, lists, strings and numbers."""
    return _adapter(type(record)).dump_python(record, mode="json")  # type: ignore[arg-type]


def from_plain(kind: type[T], plain: Any) -> T:
    """Read what `to_plain` gave. Raises pydantic.ValidationError when it does not fit `kind`."""
    record: T = _adapter(kind).validate_python(plain)  # type: ignore[arg-type]
    return record


def canonical(record: object) -> bytes:
    """Return the canonical JSON bytes of a record or of plain data."""
    plain = record if isinstance(record, dict | list | str | int | float | bool | None) else to_plain(record)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
