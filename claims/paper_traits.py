"""What a paper is for the purposes of money, by what its kind can show: an insurer's own kind counts like ours.

Facts of before papers said what their kind can show are told by the names of the kinds there were.
"""

from __future__ import annotations

from claims.evidence import PaperFact

_MEDICAL = frozenset({"outpatient_invoice", "inpatient_invoice"})


def is_medical_bill(paper: PaperFact) -> bool:
    """A bill on which the state insurance may have paid a part."""
    return paper.kind in _MEDICAL or "insurance_paid_minor" in paper.may_show


def is_stay(paper: PaperFact) -> bool:
    """A bill of a hospital stay."""
    return paper.kind == "inpatient_invoice" or _shows(paper, "admitted_date", "discharged_date", "total_minor")


def is_order(paper: PaperFact) -> bool:
    """A page that shows an order and what was paid for it; a return slip shows the order's number alone."""
    return paper.kind == "order_screenshot" or _shows(paper, "order_number", "total_minor")


def _shows(paper: PaperFact, *names: str) -> bool:
    return all(name in paper.may_show for name in names)
