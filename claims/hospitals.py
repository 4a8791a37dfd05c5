"""Whether the insurer has designated, or excluded, the hospital that a bill names."""

from __future__ import annotations

from typing import Literal

from claims.evidence import PaperFact
from claims.names import institution
from claims.product import Hospital, Product

Standing = Literal["designated", "undesignated", "excluded"]


def standing(product: Product, paper: PaperFact) -> Standing:
    """Where the terms name no hospitals, all are designated. One that nobody named is undesignated, which is no doubt
    about it: it pays the lower rate."""
    shown = institution(paper.value("hospital"))
    if any(_names(one, shown) for one in product.excluded_hospitals):
        return "excluded"
    if not product.designated_hospitals or any(_names(one, shown) for one in product.designated_hospitals):
        return "designated"
    return "undesignated"


def matters(product: Product) -> bool:
    """Whether the terms depend on the hospital, so that it must be read surely."""
    return bool(product.designated_hospitals or product.excluded_hospitals)


def _names(hospital: Hospital, shown: str) -> bool:
    return bool(shown) and shown in {institution(name) for name in (hospital.name, *hospital.aliases)}
