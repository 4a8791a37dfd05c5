"""Judges the currency of a paper: its amounts count only in the product's own. Nothing is converted, and nothing is
taken at par: a person sees what the loss is worth."""

from __future__ import annotations

from typing import Final

from claims.decision import Reason
from claims.evidence import PaperCurrency, PaperFact
from claims.formulas.registry import formula_of
from claims.paper_meaning import traits_of
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

#: Reasons that no other paper of the claim sets aside: the money on this one was not counted.
CODES: Final = frozenset({"paper_currency_differs", "paper_currency_unknown"})


def judge(product: Product, paper: PaperFact, rules: Rules) -> Reason | None:
    """Return why the amounts of a paper cannot be counted as the product's money; None if they can, or if the product
    counts no amount of it."""
    if not rules.paper_currency_required or not _counts(product, paper):
        return None
    where = paper.evidence_id
    if not isinstance(paper.currency, PaperCurrency):
        return reason("paper_currency_unknown", "", product.currency, evidence_id=where)
    if not paper.currency.code:
        return reason("paper_currency_unknown", paper.currency.text, product.currency, evidence_id=where)
    if paper.currency.code == product.currency:
        return None
    total = paper.value("total_minor")
    stated = f"{total} {paper.currency.code}" if total else ""
    return reason("paper_currency_differs", paper.currency.code, product.currency, evidence_id=where, detail=stated)


def _counts(product: Product, paper: PaperFact) -> bool:
    """True if an amount of the paper is paid on, or limits what is paid."""
    paid_on = formula_of(product).pays_on_papers and paper.kind in product.evidence.papers
    return paid_on or (bool(traits_of(paper).price) and paper.kind in product.kinds)
