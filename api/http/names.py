"""Checks and cleans names of evidence files. They never touch a file system; people read them, and they stand in
URLs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from api.http.problems import Problem
from claims.claim import EvidenceKind
from formats.sniff import EXTENSIONS

_UNUSABLE = re.compile(r"[^\w.\- ()（）]+")


def check(name: str, characters_max: int) -> str:
    """Returns `name` from a URL unchanged. Raises Problem `evidence_name_invalid` for separators, control characters,
    or dots alone."""
    if not name or len(name) > characters_max or _UNUSABLE.search(name) or not name.strip(". "):
        raise Problem(
            "evidence_name_invalid",
            f"A name has 1 to {characters_max} characters: letters, digits, space, dot, dash, underscore, brackets.",
        )
    return name


def clean(declared: str, kind: EvidenceKind, media_type: str, taken: Collection[str], characters_max: int) -> str:
    """Returns a usable name for an upload that its client called `declared`, different from every name in `taken`.

    Phones call every photo image.jpg, so a second one becomes image-2.jpg; a name with no usable character becomes
    photo-1.jpg.
    """
    last = re.split(r"[/\\\x00]", unicodedata.normalize("NFC", declared))[-1]
    name = _UNUSABLE.sub("_", last).strip(". _")
    stem, dot, extension = name.rpartition(".")
    if not dot or not 1 <= len(extension) <= 5:
        stem, extension = name, ""
    stem = stem[: characters_max - 10].strip(". _")
    extension = extension or EXTENSIONS[media_type]
    candidate, number = (f"{stem}.{extension}", 1) if stem else (f"{kind}-1.{extension}", 1)
    while candidate in taken:
        number += 1
        candidate = f"{stem or kind}-{number}.{extension}"
    return candidate
