"""Every kind of paper that a product asks for must be one that the reader knows, or its claims could never be paid."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from claims.product import Product
from flows.errors import UnknownPaperKind


def check_kinds(products: Mapping[str, Product], known: Collection[str]) -> None:
    """Raises UnknownPaperKind that names each product with the kinds it asks for in vain, and those there are."""
    lacking = {key: sorted(product.kinds - set(known)) for key, product in products.items()}
    wrong = [f"{key} asks for {', '.join(kinds)}" for key, kinds in sorted(lacking.items()) if kinds]
    if wrong:
        raise UnknownPaperKind(
            f"{'; '.join(wrong)}: the reader knows {', '.join(sorted(known))}. A kind is a YAML file in the folder "
            "that MIAOPEI_PAPER_KINDS names (docs/papers.md)"
        )
