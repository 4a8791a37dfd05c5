"""Keys that identify a paper across claims, made of its number: the same for a photo and a PDF of it.

A key is `family:VALUE|VALUE`. Kinds of one family share their numbers: a bill that one picture shows as an outpatient
invoice and another as an inpatient one is one paper. A number alone is a key only where it is unique in the country;
a clinic's running number is one only together with something else. Which fields make a key of which family is declared
in the insurer's half of the kind (`claims.paper_kind`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from claims.evidence import UNKNOWN_KIND
from claims.paper_kind import PaperKinds


def identities(kinds: PaperKinds, kind: str, value_of: Callable[[str], str]) -> tuple[str, ...]:
    """Return the keys of a paper of that kind: every key of which it shows all fields, () for a kind that could not be
    told.

    value_of: a field's value, "" where it is not shown. Raises KeyError for a kind that is not among `kinds`.
    """
    if kind == UNKNOWN_KIND:
        return ()
    made = []
    for key in kinds[kind].keys:
        values = [normalised(value_of(name)) for name in key.fields]
        if all(values) and key.characters in (0, len(values[0])):
            made.append(f"{kinds[kind].family}:{'|'.join(values)}")
    return tuple(dict.fromkeys(made))


def normalised(value: str) -> str:
    """Return letters and digits alone, half width, upper case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", value)).upper()
