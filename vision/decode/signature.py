"""Reads the signature inside a file, as far as it can be checked against the file. Who signed is not checked, so
nothing here says that a file is genuine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

WORDS_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class FileSignature:
    """The digests that a signature lists, compared with the file's parts.

    compared: how many parts were. differing: the first part that is another than the signed one, or that is shown
    without being signed; "" if there is none. Both of an absent signature, or of one whose digests cannot be computed,
    are empty.
    """

    present: bool = False
    compared: int = 0
    differing: str = ""


NO_SIGNATURE: Final = FileSignature()


def read_signature(plain: Mapping[str, Any] | None) -> FileSignature:
    """Validate and return what the decoding child wrote. Raises ValueError, TypeError or KeyError."""
    if plain is None:
        return NO_SIGNATURE
    return FileSignature(bool(plain["present"]), int(plain["compared"]), str(plain["differing"])[:WORDS_CHARACTERS_MAX])
