"""The benefit formulas, by the name that a product's `benefit` gives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from claims.benefit import Benefit, Given
from claims.benefit_lines import SHARED, LineKind
from claims.errors import InvalidLineKind, UnknownFormula
from claims.evidence import UnmeasuredFact
from claims.formulas import paper_total, stated_amount
from claims.formulas.formula import Formula
from claims.product import Product, Terms

FORMULAS: Mapping[str, Formula[Any]] = MappingProxyType(
    {
        formula.name: formula
        for formula in (
            stated_amount.FORMULA,
            paper_total.FORMULA,
        )
    }
)


def _lines() -> Mapping[str, LineKind]:
    kinds: dict[str, LineKind] = {kind.label: kind for kind in SHARED}
    for formula in FORMULAS.values():
        for kind in formula.lines:
            if kinds.setdefault(kind.label, kind) != kind:
                raise InvalidLineKind(
                    f"benefit formula {formula.name}: line {kind.label!r} is declared otherwise elsewhere"
                )
    return MappingProxyType(kinds)


# Every kind of line that a calculation may have, by its label.
LINES = _lines()


def formula_of(product: Product) -> Formula[Any]:
    """Return the product's formula. Raises UnknownFormula that names those there are."""
    try:
        return FORMULAS[product.benefit]
    except KeyError:
        known = ", ".join(sorted(FORMULAS))
        raise UnknownFormula(
            f"no benefit formula {product.benefit!r}; known: {known} (claims/formulas/registry.py)"
        ) from None


def with_terms(product: Product) -> tuple[Formula[Any], Terms]:
    """Return the product's formula, and the product's terms as that formula reads them."""
    formula = formula_of(product)
    return formula, formula.terms_of(product)


def calculate(given: Given) -> Benefit | UnmeasuredFact:
    """Return what is due by the product's formula. Unmeasured when it pays on papers and none shows what it takes.

    Raises InvalidLineKind for a line that the formula does not declare.
    """
    formula, terms = with_terms(given.product)
    benefit: Benefit | UnmeasuredFact = formula.calculate(given, terms)
    if isinstance(benefit, Benefit):
        _check_declared(formula, benefit)
    return benefit


def _check_declared(formula: Formula[Any], benefit: Benefit) -> None:
    own = {kind.label for kind in (*SHARED, *formula.lines)}
    if undeclared := [line.label for line in benefit.lines if line.label not in own]:
        raise InvalidLineKind(
            f"benefit formula {formula.name}: line {', '.join(map(repr, undeclared))} is not among its `lines`, so"
            " nobody could be told what it means"
        )


def checked(product: Product) -> Product:
    """Return the product with its formula's terms in full, defaults included, so that a record of it is complete.

    Raises UnknownFormula, and ValueError when the formula cannot make sense of the product.
    """
    formula, terms = with_terms(product)
    if formula.pays_on_papers and not product.evidence.papers_min:
        raise ValueError(f"benefit {formula.name} pays on papers and needs papers_min >= 1")
    if product.order_covers and not formula.limited_to_insured_value:
        raise ValueError(f"order_covers needs a benefit that is limited to the insured value, not {formula.name}")
    formula.check(product, terms)
    return product.model_copy(update={"terms": terms.model_dump(mode="json")})
