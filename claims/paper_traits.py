"""The meaning of a kind of paper to an insurer, as each paper's fact carries it: which fields state another insurer's
payment, which dates must lie where, what it is compared with.

A kind declares its traits in `claims/paper_kinds` (`claims.paper_kind` reads them). They travel in the fact, so a
decision depends on nothing but its inputs: a kind that is described otherwise next year changes no replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How two papers' values are compared: names may hide letters, institutions and words may be spaced or punctuated
#: otherwise, numbers are the same letters and digits.
SameAs = Literal["name", "text", "number"]


@dataclass(frozen=True, slots=True)
class SameField:
    """A field that two papers both show, and how its values are compared."""

    field: str
    same_as: SameAs


@dataclass(frozen=True, slots=True)
class Comparison:
    """Fields that must be the same on this paper and on one that counts as `role`."""

    role: str
    fields: tuple[SameField, ...]


@dataclass(frozen=True, slots=True)
class NotBefore:
    """The paper's `date` is not before the date `its` of a paper that counts as `role`."""

    date: str
    role: str
    its: str


@dataclass(frozen=True, slots=True)
class PaperTraits:
    """The traits of one kind; names are those of its fields, "" and () where it has no such field.

    roles: what the kind counts as for other kinds' comparisons. state_paid, cash_paid: what the state insurance and
    what the patient paid of the total; with state_paid the own cost is what is left, and a part that nobody read is
    asked for. price: what was paid for the goods, which caps a stated loss. stay: days of admission and discharge.
    within_cover: dates that must lie in the cover. before_event: dates that must not follow the event. in_order: dates
    in the order in which they happen. listed_by: the number by which papers of the kind are listed in a decision.
    declared: False in facts recorded before papers carried traits (`claims.paper_meaning`).
    """

    roles: tuple[str, ...] = ()
    state_paid: str = ""
    cash_paid: str = ""
    price: str = ""
    stay: tuple[str, ...] = ()
    within_cover: tuple[str, ...] = ()
    before_event: tuple[str, ...] = ()
    in_order: tuple[str, ...] = ()
    not_before: tuple[NotBefore, ...] = ()
    compared: tuple[Comparison, ...] = ()
    listed_by: str = ""
    declared: bool = True


UNDECLARED = PaperTraits(declared=False)
