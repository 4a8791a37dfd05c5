"""Removes other people's claims from reasons that outsiders see (docs/decisions/0009-privacy-of-matches.md).

A reason's value and detail name the claim that a photo or paper was found in, for the platform's own people. A partner
insurer is never given that name, in whatever it is told or sent; a claimant sees neither, nor that a photo of theirs
that is in order resembles somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from claims.decision import Reason
from claims.evidence import PhotoVerdict
from claims.reasons import in_order
from claims.reasons import reason as made

# "claim C20261122-9f3ac01b7e: mirrored", "claim C-1 is paid". Ids are made by the API and hold no spaces.
_NAMED: Final = re.compile(r"\bclaim [^\s:;,]+")
# In order, and about a picture that may be somebody else's: to the claimant a photo is a photo in order.
_RESEMBLING: Final = frozenset({"photo_of_same_scene", "photo_similar", "photo_shows_common", "photo_copy_rejected"})
# Other reasons of a photo that may stand beside that it is in order.
_BESIDE_ANY: Final = frozenset(
    {
        "photo_sign_noted",
        "photo_signs_combined",
        "photo_sign_unmeasured",
        "photo_beside_the_claim",
        "photo_of_another_thing",
    }
)
# Measured against a picture that may be somebody else's.
_MEASURED: Final = frozenset({"photo_maybe_copied", "nose_replayed"})
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


def for_claimant(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Return the reasons as the claimant may see them: of a photo in order they are not told what it resembles, of one
    that is compared not how much."""
    resembling = [reason for reason in reasons if reason.code in _RESEMBLING]
    shown = [_without_measures(reason) for reason in reasons if reason.code not in _RESEMBLING]
    judged = {reason.evidence_id for reason in shown if reason.code not in _BESIDE_ANY}
    in_stead = [
        made("photo_unseen", PhotoVerdict.UNSEEN, "no proven copy", evidence_id=reason.evidence_id)
        for reason in resembling
        if reason.evidence_id not in judged
    ]
    return in_order([*shown, *in_stead]) if resembling else tuple(shown)


def _without_measures(reason: Reason) -> Reason:
    if reason.code in _MEASURED:
        return replace(reason, value="", threshold="", detail="")
    return for_outsiders(reason)
