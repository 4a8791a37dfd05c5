"""Every kind of paper that a product asks for must be one that the reader knows, or its claims could never be paid; a
medical bill must be able to show what the state insurance paid, or that would be paid again."""

from __future__ import annotations

from collections.abc import Mapping

from claims.product import Product
from flows.errors import UnknownPaperKind
from vision.documents.kinds.catalogue import PaperKind


def check_kinds(products: Mapping[str, Product], catalogue: Mapping[str, PaperKind]) -> None:
    """Raises UnknownPaperKind that names each product with the kinds it asks for in vain, and those there are, or with
    the bills of patients that cannot show `insurance_paid_minor`."""
    known = frozenset(catalogue)
    lacking = {key: sorted(product.kinds - set(known)) for key, product in products.items()}
    wrong = [f"{key} asks for {', '.join(kinds)}" for key, kinds in sorted(lacking.items()) if kinds]
    if wrong:
        raise UnknownPaperKind(
            f"{'; '.join(wrong)}: the reader knows {', '.join(sorted(known))}. A kind is a YAML file in the folder "
            "that MIAOPEI_PAPER_KINDS names (docs/papers.md)"
        )
    blind = [
        f"{key} pays on {kind}"
        for key, product in sorted(products.items())
        if product.evidence.patient_is_insured and product.benefit == "paper_total"
        for kind in product.evidence.papers
        if "insurance_paid_minor" not in catalogue[kind].fields
    ]
    if blind:
        raise UnknownPaperKind(
            f"{'; '.join(blind)}, which cannot show insurance_paid_minor: what the state insurance paid would be paid"
            " again. Describe the field in the kind's file (docs/papers.md)"
        )
