"""Terms by hospital: hospitals that the insurer designated or excluded, and on which list a bill's hospital is."""

from __future__ import annotations

from typing import Annotated, Final, Literal

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


def near_miss(terms: HospitalTerms, paper: PaperFact, edits_max: int) -> str:
    """Return the listed name that the bill's hospital nearly is, "" if it is one of them or like none: a seal covers a
    character, or it is read as another. Two hospitals whose names differ by their number, direction or place alone
    (第一, 第二) are two hospitals."""
    shown = institution(paper.value("hospital"))
    names = [
        name
        for hospital in (*terms.designated_hospitals, *terms.excluded_hospitals)
        for name in (hospital.name, *hospital.aliases)
    ]
    if not shown or shown in {institution(name) for name in names}:
        return ""
    return next((name for name in names if _nearly(institution(name), shown, edits_max)), "")


# Characters that tell one hospital from another of the same town, or of its parts (市人民医院, 县人民医院).
_TELLING: Final = frozenset("一二三四五六七八九十百零〇0123456789东西南北中上下大小新老内外省市县区镇乡")


def _nearly(listed: str, shown: str, edits_max: int) -> bool:
    """True if `shown` lacks, or has too many, at most so many characters, or has others that tell no two hospitals
    apart."""
    lost = len(listed) - len(shown)
    if abs(lost) > edits_max:
        return False
    if lost:
        longer, shorter = (listed, shown) if lost > 0 else (shown, listed)
        return _is_within(shorter, longer)
    differing = [pair for pair in zip(listed, shown, strict=True) if pair[0] != pair[1]]
    return 0 < len(differing) <= edits_max and not any(_TELLING.issuperset(pair) for pair in differing)


def _is_within(shorter: str, longer: str) -> bool:
    rest = iter(longer)
    return all(character in rest for character in shorter)


def matters(terms: HospitalTerms) -> bool:
    """Return True if the terms depend on the hospital, so that it must be read surely."""
    return bool(terms.designated_hospitals or terms.excluded_hospitals)


def _names(hospital: Hospital, shown: str) -> bool:
    return bool(shown) and shown in {institution(name) for name in (hospital.name, *hospital.aliases)}
