"""Days of a hospital stay, as the bills show them: from admission to the day before discharge, at least one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from claims import hospitals
from claims.evidence import CoverFact, PaperFact, Unmeasured
from claims.paper_meaning import traits_of
from claims.product import Product

DAYS_READ_MAX = 400  # a longer stay was misread, or goes before a person


def days(product: Product, cover: CoverFact, papers: Sequence[PaperFact]) -> int | Unmeasured:
    """Days that count, at most what is left of the cover's; a day on two bills once, one at an excluded hospital not.
    0 where the product has no terms by the day."""
    if product.stay is None:
        return 0
    found: set[date] = set()
    for paper in papers:
        stayed = of_paper(paper)
        if isinstance(stayed, Unmeasured):
            return stayed
        if hospitals.standing(product, paper) != "excluded":
            found |= stayed
    return min(len(found), max(0, product.stay.days_max - max(0, cover.days_paid)))


def of_paper(paper: PaperFact) -> frozenset[date] | Unmeasured:
    """The days of one bill's stay."""
    try:
        first, last = (date.fromisoformat(paper.value(name)) for name in traits_of(paper).stay)
    except ValueError:  # also of a kind that shows no stay
        return Unmeasured(f"{paper.name}: the dates of the stay were not read")
    if not 0 <= (last - first).days <= DAYS_READ_MAX:
        return Unmeasured(f"{paper.name}: a stay from {first} to {last}")
    return frozenset(first + timedelta(days=place) for place in range(max(1, (last - first).days)))
