"""Terms by hospital: hospitals that the insurer designated or excluded, and on which list a bill's hospital is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from claims.evidence import PaperFact
from claims.names import institution
from claims.product import Terms

HospitalListing = Literal["designated", "undesignated", "excluded"]

# Only terms that name hospitals need it.
HOSPITALS_CLAUSE = "hospitals"


class Hospital(Terms):
    """A hospital by its full name; `aliases`: other names that its bills carry."""

    name: str = Field(min_length=2)
    aliases: tuple[Annotated[str, Field(min_length=2)], ...] = ()


class HospitalTerms(Terms):
    """The hospitals that the terms name, for the terms of every formula that asks where a bill comes from."""

    designated_hospitals: tuple[Hospital, ...] = ()
    excluded_hospitals: tuple[Hospital, ...] = ()  # their bills are not covered


def listing(terms: HospitalTerms, paper: PaperFact) -> HospitalListing:
    """Return on which of the terms' lists the bill's hospital is. Where the terms list none, all are designated. A
    hospital on neither list is undesignated, which is no doubt about it: it pays the lower rate."""
    shown = institution(paper.value("hospital"))
    if any(_names(hospital, shown) for hospital in terms.excluded_hospitals):
        return "excluded"
    if not terms.designated_hospitals or any(_names(hospital, shown) for hospital in terms.designated_hospitals):
        return "designated"
    return "undesignated"


def matters(terms: HospitalTerms) -> bool:
    """Return True if the terms depend on the hospital, so that it must be read surely."""
    return bool(terms.designated_hospitals or terms.excluded_hospitals)


def _names(hospital: Hospital, shown: str) -> bool:
    return bool(shown) and shown in {institution(name) for name in (hospital.name, *hospital.aliases)}
