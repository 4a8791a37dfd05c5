"""The kinds of line in a calculation of the amount due, as data: the label, and what its detail holds for the texts.

Every formula declares those of its own (`Formula.lines`), with the constants that it makes them by; those that all
formulas share are here. The words of a label are `benefits.LABEL` and `benefit_sentences.LABEL` in `claims/texts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a part of the detail is told: a name as it is, a number of days, an amount in minor units of the line's
#: currency, a share in basis points as percent, a code by its name in a group of texts, or a word that has a text.
Form = Literal["name", "days", "minor", "share", "code", "word"]


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of a line's texts, filled from one part of the detail. texts: for a code the group of its names, for a
    word the key of its text, else ""."""

    name: str
    form: Form
    texts: str = ""


@dataclass(frozen=True, slots=True)
class LineKind:
    """A kind of line.

    slots: in the order in which the detail holds their parts, which spaces divide; a single name may have spaces.
    beside: what stands in brackets beside the label: a slot as "{slot}", or the key of a text with slots; "" for
    nothing.
    """

    label: str
    slots: tuple[Slot, ...] = ()
    beside: str = ""


_CEILING = (Slot("ceiling", "minor"),)

CLAIMED = LineKind("claimed")
OTHER_INSURANCE = LineKind("other_insurance")
LOSS = LineKind("loss")
DEDUCTIBLE = LineKind("deductible")
DEDUCTIBLE_COVER = LineKind("deductible_cover")
CO_PAY = LineKind(
    "co_pay",
    (
        Slot("item_class", "code", "item_classes"),
        Slot("percent", "share"),
        Slot("where", "word", "benefit.undesignated"),
    ),
    beside="benefit.co_pay",
)
PER_CLAIM_LIMIT = LineKind("per_claim_limit", _CEILING)
LIMIT_LEFT = LineKind("limit_left", _CEILING)
CLAIMED_LIMIT = LineKind("claimed_limit", _CEILING)
DUE = LineKind("due")
SET_BY_PERSON = LineKind("set_by_person")
PAYOUT = LineKind("payout")

SHARED = (
    CLAIMED, OTHER_INSURANCE, LOSS, DEDUCTIBLE, DEDUCTIBLE_COVER, CO_PAY, PER_CLAIM_LIMIT, LIMIT_LEFT, CLAIMED_LIMIT,
    DUE, SET_BY_PERSON, PAYOUT,
)  # fmt: skip
