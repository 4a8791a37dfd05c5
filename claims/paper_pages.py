"""Says which pages of a file count as papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from claims.evidence import UNKNOWN_KIND

P = TypeVar("P")


def counting(pages: Sequence[tuple[P, str]]) -> tuple[P, ...]:
    """Return the pages that are papers, or the first page where none is: the back of a bill, or its cover letter, is no
    second bill.

    pages: each page of one file with its kind, "" for a page that could not be read.
    """
    known = tuple(page for page, kind in pages if kind not in ("", UNKNOWN_KIND))
    return known or tuple(page for page, _ in pages[:1])
