"""Terms by the day of a hospital stay, and its days as the bills show them: from admission to the day before discharge,
at least one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from claims import hospitals
from claims.evidence import CoverFact, PaperFact, UnmeasuredFact
from claims.hospitals import HospitalTerms
from claims.paper_meaning import traits_of
from claims.product import MinorUnits, Terms

DAYS_READ_MAX = 400  # a longer stay was misread, or goes before a person


class Stay(Terms):
    """Terms of a hospital stay, by its days: those from admission to the day before discharge, at least one.

    day_limit_minor: the most that is paid of the bill for each day. allowance_day_minor: paid for each day beside the
    bill. days_max: of the whole cover; days beyond it neither raise the limit nor have an allowance.
    """

    day_limit_minor: MinorUnits | None = None
    allowance_day_minor: MinorUnits = 0
    days_max: Annotated[int, Field(ge=1, le=366)]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.day_limit_minor is None and not self.allowance_day_minor:
            raise ValueError("a stay needs a day_limit_minor or an allowance_day_minor")
        return self


def days(stay: Stay, named: HospitalTerms, cover: CoverFact, papers: Sequence[PaperFact]) -> int | UnmeasuredFact:
    """Return the days that count, at most what is left of the cover's. A day on two bills counts once, a day at a
    hospital that `named` excludes not at all."""
    dates: set[date] = set()
    for paper in papers:
        stayed = of_paper(paper)
        if isinstance(stayed, UnmeasuredFact):
            return stayed
        if hospitals.listing(named, paper) != "excluded":
            dates |= stayed
    return min(len(dates), max(0, stay.days_max - max(0, cover.days_paid)))


def of_paper(paper: PaperFact) -> frozenset[date] | UnmeasuredFact:
    """Return the days of one bill's stay."""
    try:
        first, last = (date.fromisoformat(paper.value(name)) for name in traits_of(paper).stay)
    except ValueError:  # also of a kind that shows no stay
        return UnmeasuredFact(f"{paper.name}: the dates of the stay were not read")
    if not 0 <= (last - first).days <= DAYS_READ_MAX:
        return UnmeasuredFact(f"{paper.name}: a stay from {first} to {last}")
    return frozenset(first + timedelta(days=place) for place in range(max(1, (last - first).days)))
