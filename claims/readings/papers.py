"""Titles of kinds of papers in the reader's language."""

from __future__ import annotations

from claims.evidence import UNKNOWN_KIND
from claims.readings.strings import TextReader


def kind_title(kind: str, reader: TextReader) -> str | None:
    """Return the kind's title; None for a kind that the reader's installation does not have."""
    if kind == UNKNOWN_KIND:
        return reader.texts["papers.unknown"]
    terms = reader.kinds.get(kind)
    return terms.title.in_language(reader.lang) if terms is not None else None
