"""What tells a paper from every other in the house: keys made of its number, the same for a photo and a PDF of it.

A key is `family:VALUE|VALUE`. Kinds of one family share their numbers: a bill that one picture shows as an outpatient
invoice and another as an inpatient one is one paper. A number alone is a key only where it is unique in the country;
a clinic's running number is one only together with something else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

# Fields that make a key, by family. A paper has every key of which it shows all fields.
_BILL: Final = ("bill", (("number",),))
_PARCEL: Final = ("parcel", (("tracking_number",),))
KEYS: Final[Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]]] = MappingProxyType(
    {
        "outpatient_invoice": _BILL,
        "inpatient_invoice": _BILL,
        # Old VAT invoices number from 00000001 within each code; the new ones have 20 digits and no code.
        "vat_invoice": ("vat", (("code", "number"), ("number", "date", "total_minor"))),
        "vet_invoice": ("vet", (("hospital", "number"), ("number", "date", "total_minor"))),
        "parcel_slip": _PARCEL,
        "return_slip": _PARCEL,
        "order_screenshot": ("order", (("order_number",),)),
        # A receipt has no number of its own, but the same shop, day and total are one receipt.
        "receipt": ("receipt", (("company", "date", "total_minor"),)),
        # These prove who somebody is or what ails them, and may come along with many claims.
        "diagnosis_page": ("", ()),
        "pet_card": ("", ()),
        "unknown": ("", ()),
    }
)
DIGITAL_VAT_DIGITS: Final = 20
# Of a kind that is not among `KEYS`: a key of this one field is of that family, where the kind can also show the other.
_FAMILIES: Final = (
    ("number", "insurance_paid_minor", "bill"),
    ("tracking_number", "carrier", "parcel"),
    ("order_number", "total_minor", "order"),
)


def identities(
    kind: str,
    value_of: Callable[[str], str],
    keys: tuple[tuple[str, ...], ...] = (),
    may_show: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The keys of a paper. value_of: a field's value, "" where it is not shown. keys, may_show: what the reader says of
    a kind that is not among `KEYS`: what makes it one paper, and which fields it can show.

    An insurer's own kind of medical bill, slip or order shares its numbers with ours: a picture of it may be taken for
    either.
    """
    family, known = KEYS.get(kind, (kind, keys))
    wanted = [*known, ("number",)] if kind == "vat_invoice" and _is_digital(value_of("number")) else known
    made = []
    for names in wanted:
        values = [normalised(value_of(name)) for name in names]
        if values and all(values):
            families = (family,) if kind in KEYS else (kind, *_shared(names, may_show))
            made += [f"{name}:{'|'.join(values)}" for name in families]
    return tuple(dict.fromkeys(made))


def _shared(names: tuple[str, ...], may_show: tuple[str, ...]) -> tuple[str, ...]:
    """The family of ours that a key of an insurer's own kind belongs to as well, if any."""
    return tuple(family for field, beside, family in _FAMILIES if names == (field,) and beside in may_show)


def normalised(value: str) -> str:
    """Letters and digits alone, half width, upper case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", value)).upper()


def _is_digital(number: str) -> bool:
    return len(normalised(number)) == DIGITAL_VAT_DIGITS
