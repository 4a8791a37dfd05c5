"""Titles of kinds of papers in the reader's language."""

from __future__ import annotations

from claims.evidence import UNKNOWN_KIND
from claims.paper_kind import load_paper_kinds
from claims.readings.strings import TextReader


def kind_title(kind: str, reader: TextReader) -> str | None:
    """Return the kind's title; None where it is an insurer's own, whose files only the worker has."""
    if kind == UNKNOWN_KIND:
        return reader.texts["papers.unknown"]
    terms = load_paper_kinds().get(kind)
    return terms.title.in_language(reader.lang) if terms is not None else None
