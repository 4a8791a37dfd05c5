"""A benefit formula: how the amount due is calculated, the terms that this takes, and what the other modules need to
know about it.

A formula is one file beside this one and one line in `claims.formulas.registry`; a product names it in `benefit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from claims.benefit import Benefit, Given
from claims.benefit_lines import LineKind
from claims.decision import Reason
from claims.evidence import PaperFact, UnmeasuredFact
from claims.product import Product, Terms

TermsT = TypeVar("TermsT", bound=Terms)


class NoTerms(Terms):
    """Terms of a formula that needs none of its own."""


def _nothing_to_check(_product: Product, _terms: Any) -> None: ...


def _no_fields(_terms: Any, _paper: PaperFact) -> frozenset[str]:
    return frozenset()


def _no_notes(_terms: Any, _papers: Sequence[PaperFact]) -> list[Reason]:
    return []


def _no_ground(_product: Product, _terms: Any, _benefit: Benefit) -> Reason | None:
    return None


def _never(_terms: Any) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Formula(Generic[TermsT]):
    """A way to calculate what is due.

    calculate: Unmeasured when a paper that it pays on does not show what it takes.
    pays_on_papers: it works on what bills show, so bills must be present and read surely.
    limited_to_insured_value: never more than the value that the policy insures, which must be stated.
    check: raises ValueError for a product and terms that contradict each other.
    fields_read: fields of those papers, beside the amounts, on which money depends: they must be read surely.
    notes: reasons that say how the terms take the papers; they pull to no other outcome than payment.
    ground_for_nothing: the plain contract ground on which nothing is due, None for that of the deductible.
    pays_beside_loss: something may be due even where no loss is left.
    counts_days: the papers must show the days of a stay.
    lines: the kinds of line that it adds to those that all formulas share.
    """

    name: str
    terms: type[TermsT]
    calculate: Callable[[Given, TermsT], Benefit | UnmeasuredFact]
    pays_on_papers: bool
    limited_to_insured_value: bool
    check: Callable[[Product, TermsT], None] = _nothing_to_check
    fields_read: Callable[[TermsT, PaperFact], frozenset[str]] = _no_fields
    notes: Callable[[TermsT, Sequence[PaperFact]], list[Reason]] = _no_notes
    ground_for_nothing: Callable[[Product, TermsT, Benefit], Reason | None] = _no_ground
    pays_beside_loss: Callable[[TermsT], bool] = _never
    counts_days: Callable[[TermsT], bool] = _never
    lines: tuple[LineKind, ...] = ()

    def terms_of(self, product: Product) -> TermsT:
        """Return the product's terms as this formula reads them. Raises pydantic.ValidationError, a ValueError."""
        return self.terms.model_validate(product.terms)
