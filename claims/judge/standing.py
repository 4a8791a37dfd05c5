"""Judges a paper's standing: nothing is paid on a paper that says itself that it is no paid bill.

What undoes a bill (void, refund, red letters, paid by somebody else) goes to a person, however many good papers came
with it: it may be the end of one of them. So does an app's page on which no state was read that means paid: its state
may be cancelled, or of a kind that nobody listed. For what stands in place of a bill the bill is asked for, once others
do not suffice.
"""

from __future__ import annotations

from claims.decision import Reason
from claims.evidence import PaperFact, PaperStanding, StandingKind
from claims.paper_meaning import traits_of
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

REVERSED = frozenset({StandingKind.VOID, StandingKind.REFUND, StandingKind.NEGATIVE, StandingKind.REIMBURSED})
PAID_BILL = "paid bill"


def judge(product: Product, paper: PaperFact, rules: Rules) -> Reason | None:
    """Return the reason for which nothing is paid on the paper, None for a paid bill."""
    sign = next((sign for sign in paper.standing if not _expected(product, paper, sign)), None)
    if sign is None or not rules.paper_standing_required:
        return None
    return reason(_code(sign), sign.standing, PAID_BILL, evidence_id=paper.evidence_id, detail=sign.words)


def stays(product: Product, paper: PaperFact, rules: Rules) -> bool:
    """Return True if the reason stays beside papers that are enough: the paper undoes a bill, or it shows the order
    itself."""
    judged = judge(product, paper, rules)
    return judged is not None and (judged.code == "paper_reversed" or traits_of(paper).price != "")


def _code(sign: PaperStanding) -> str:
    if sign.standing in REVERSED:
        return "paper_reversed"
    if sign.standing is StandingKind.UNSTATED:
        return "paper_state_unread"
    return "paper_is_a_copy" if sign.standing is StandingKind.COPY else "paper_no_paid_bill"


def _expected(product: Product, paper: PaperFact, sign: PaperStanding) -> bool:
    """Return True for the order of goods that were sent back, where the freight is insured: it was refunded."""
    returned = product.order_covers == "freight" and traits_of(paper).price != ""
    return returned and sign.standing in (StandingKind.REFUND, StandingKind.VOID)
