"""Every product by its key, from the YAML files of `claims/products`, one file a product. The file's name is the
product's key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from claims.errors import InvalidProduct, UnknownFormula, UnknownProduct
from claims.formulas.registry import checked
from claims.product import Product
from claims.texts import DEFAULT

CATALOGUE = Path(__file__).parent / "products"


def read_product(text: str, key: str) -> Product:
    """Read one product from YAML, its terms typed by the formula that it names. Raises InvalidProduct with the file's
    key and what is wrong, or, for an unknown formula, with those that there are."""
    try:
        product = checked(Product.model_validate(yaml.load(text, Loader=yaml.CSafeLoader)))
    except (yaml.YAMLError, ValueError, UnknownFormula) as error:
        raise InvalidProduct(f"product {key}: {error}") from error
    if product.key != key:
        raise InvalidProduct(f"product {key}: its file says key {product.key!r}")
    for words in (product.name, product.summary, *product.perils.values(), *product.clauses.values()):
        if absent := words.missing_languages:
            missing = f"no words in {', '.join(absent)} for {words.in_language(DEFAULT)!r}"
            raise InvalidProduct(f"product {key}: {missing}")
    return product


@cache
def load_catalogue(folder: Path = CATALOGUE) -> Mapping[str, Product]:
    """Return every product of the folder by key, in order of key. Raises InvalidProduct. Read once a process: a change
    of terms is a new release."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InvalidProduct(f"no product files in {folder}")
    return MappingProxyType({file.stem: read_product(file.read_text(encoding="utf-8"), file.stem) for file in files})


def product_of(key: str) -> Product:
    """Return the product with this key. Raises UnknownProduct."""
    try:
        return load_catalogue()[key]
    except KeyError:
        raise UnknownProduct(f"no product {key!r}; known: {', '.join(load_catalogue())}") from None


def paying_for_the_same(product: Product) -> frozenset[str]:
    """Return the keys of the products that pay for the same part of an order as this one, itself included; none where
    it pays bills."""
    if not product.order_covers:
        return frozenset()
    return frozenset(
        {product.key} | {key for key, other in load_catalogue().items() if other.order_covers == product.order_covers}
    )
