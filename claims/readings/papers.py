"""Titles of kinds of papers in the reader's language."""

from __future__ import annotations

from claims.paper_words import KINDS
from claims.readings.strings import Reader


def kind_title(kind: str, reader: Reader) -> str | None:
    """The kind's title; None where it has none."""
    titles = KINDS.get(kind)
    if titles is None:
        return None
    chinese, english = titles
    return {"zh": chinese}.get(reader.lang, english)
