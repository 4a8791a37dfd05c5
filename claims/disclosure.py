"""What of other people's claims a reason may say to whom (docs/decisions/0009-privacy-of-matches.md).

A reason's value and detail name the claim that a photo or paper was found in: words for the platform's own people. To a
partner insurer, in whatever it is told or sent, that claim has no name; a claimant sees neither.
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
    """A reason's value or detail with no other claim named."""
    return _NAMED.sub("another claim", text)


def for_outsiders(reason: Reason) -> Reason:
    """The reason as a partner insurer may see it."""
    detail = "" if reason.code in _LISTING else without_claims(reason.detail)
    return replace(reason, value=without_claims(reason.value), detail=detail)
