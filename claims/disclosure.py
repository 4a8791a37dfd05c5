"""Removes other people's claims from reasons that outsiders see (docs/decisions/0009-privacy-of-matches.md).

A reason's value and detail name the claim that a photo or paper was found in, for the platform's own people. A partner
insurer is never given that name, in whatever it is told or sent; a claimant sees neither.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from claims.decision import Reason

# "claim C20261122-9f3ac01b7e: mirrored", "claim C-1 is paid". Ids are made by the API and hold no spaces.
_NAMED: Final = re.compile(r"\bclaim [^\s:;,]+")
# These list bare ids.
_LISTING: Final = frozenset(
    {"paper_claimed_before", "order_claimed_before", "order_of_another_claimant", "claimant_under_two_ids"}
)


def without_claims(text: str) -> str:
    """Return a reason's value or detail with the names of other claims removed."""
    return _NAMED.sub("another claim", text)


def for_outsiders(reason: Reason) -> Reason:
    """Return the reason as a partner insurer may see it."""
    detail = "" if reason.code in _LISTING else without_claims(reason.detail)
    return replace(reason, value=without_claims(reason.value), detail=detail)
