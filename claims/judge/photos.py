"""Was each photo really taken for this claim, or used before, or downloaded?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from claims.claim import Claim, Status
from claims.copies import COPIES, is_copy, to_compare
from claims.decision import Reason
from claims.evidence import MatchOwner, MatchRuling, PhotoFact, PhotoMatch, PhotoVerdict, UnmeasuredPhoto
from claims.judge import signs
from claims.judge.cover import local_date
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules

_CODE_BY_OWNER = {
    MatchOwner.OTHER_CLAIMANT: "photo_of_another_claim",
    MatchOwner.OWN_EARLIER_CLAIM: "photo_of_own_earlier_claim",
    MatchOwner.WEB: "photo_from_web",
    MatchOwner.STOCK: "photo_from_stock",
}


def measured_count(photos: Sequence[PhotoFact | UnmeasuredPhoto]) -> int:
    """Distinct photos that could be examined: one file sent twice is one photo, and a picture that everybody has is
    none."""
    return len({photo.sha256 for photo in photos if isinstance(photo, PhotoFact) and not photo.common})


def judge(
    claim: Claim, product: Product, photos: Sequence[PhotoFact | UnmeasuredPhoto], rules: Rules, *, needed: int
) -> list[Reason]:
    """`needed`: how many photos this claim must bring. What could not be examined counts only while photos are
    missing."""
    found: list[Reason] = []
    measured = measured_count(photos)
    for photo in photos:
        if isinstance(photo, UnmeasuredPhoto):
            found.append(_unmeasured(photo, enough=measured >= needed))
        else:
            found += _provenance(claim, product, photo, rules)
            found += signs.judge(photo)
    if measured < needed and not any(isinstance(photo, UnmeasuredPhoto) for photo in photos):
        found.append(reason("photos_missing", str(measured), f">= {needed}"))
    return found


def _unmeasured(photo: UnmeasuredPhoto, *, enough: bool) -> Reason:
    code = "photo_set_aside" if enough else "photo_unreadable" if photo.retryable else "photo_unmeasured"
    return reason(code, photo.reason, evidence_id=photo.evidence_id, detail=photo.name)


def _provenance(claim: Claim, product: Product, photo: PhotoFact, rules: Rules) -> list[Reason]:
    others = [match for match in photo.matches if match.owner is not MatchOwner.SAME_CLAIM]
    copies = [match for match in others if to_compare(match, rules)]
    again = sum(match.owner is MatchOwner.SAME_EVENT for match in copies)
    found = [_copy(photo, match, rules, may_repeat=again <= rules.same_event_withdrawn_max) for match in copies]
    if photo.common:
        found.append(reason("photo_is_common", photo.common, evidence_id=photo.evidence_id))
    if photo.verdict in COPIES and not any(is_copy(match) for match in copies):
        # The examination says copy but not of what: not a clean photo, and nobody to name.
        found.append(
            reason("photo_copy_unattributed", photo.verdict, "similar or unseen", evidence_id=photo.evidence_id)
        )
    if isinstance(photo.taken_at, datetime):
        days = (local_date(claim.occurred_at, product) - photo.taken_at.date()).days
        if days > rules.photo_days_before_event_max:
            found.append(
                reason(
                    "photo_older_than_event",
                    f"{days} days",
                    f"<= {rules.photo_days_before_event_max} days",
                    evidence_id=photo.evidence_id,
                    detail=photo.taken_at.isoformat(),
                )
            )
    if not copies and photo.verdict is PhotoVerdict.SIMILAR:
        # Alike, without geometric proof that one comes from the other: two boxes of cherries do look alike.
        found.append(reason("photo_similar", photo.verdict, "no proven copy", evidence_id=photo.evidence_id))
    if not found:
        found.append(reason("photo_unseen", photo.verdict, "no proven copy", evidence_id=photo.evidence_id))
    return found


def _copy(photo: PhotoFact, match: PhotoMatch, rules: Rules, *, may_repeat: bool) -> Reason:
    """What follows from one copy, proven or maybe. A person's word on the pair goes first, then what the two share,
    then whose the other picture is. What is only maybe a copy is no suspicion: a doubt that a person settles."""
    value, detail, proven = _value(match), _of(match), is_copy(match)
    if match.ruling == MatchRuling.REJECT:
        return reason("photo_copy_rejected", value, evidence_id=photo.evidence_id, detail=detail)
    confirmed = match.ruling == MatchRuling.CONFIRM
    if match.common and not confirmed:
        return reason("photo_shows_common", f"{value}, {match.common}", evidence_id=photo.evidence_id, detail=detail)
    if confirmed:
        detail += ", confirmed by a person"
    # Withdrawn is for good; whatever else became of it, or was paid for it, the damage must not be paid twice.
    closed = may_repeat and match.claim_status == Status.WITHDRAWN and not match.claim_paid
    if match.owner is MatchOwner.SAME_EVENT and (proven or closed):
        code = "photo_of_withdrawn_claim" if closed else "same_event_claimed_before"
        standing = f"claim {match.claim_id} is {match.claim_status or 'of unknown status'}"
        if match.claim_paid and match.claim_status != Status.PAID:
            standing += ", paid"
        return reason(code, standing, str(Status.WITHDRAWN), evidence_id=photo.evidence_id, detail=detail)
    if not proven:
        wanted = f"probability < {rules.photo_maybe_copied_min:g}"
        return reason("photo_maybe_copied", value, wanted, evidence_id=photo.evidence_id, detail=detail)
    if match.flood and not confirmed:
        return reason("photo_in_flood", match.flood, "ruled on", evidence_id=photo.evidence_id, detail=detail)
    code = _CODE_BY_OWNER[match.owner]
    return reason(code, value, "similar or unseen", evidence_id=photo.evidence_id, detail=detail)


def _value(match: PhotoMatch) -> str:
    return f"{match.verdict}, probability {match.probability:.4f}, {match.inliers} points agree"


def _of(match: PhotoMatch) -> str:
    where = f"claim {match.claim_id}" if match.claim_id else match.owner
    return f"{where}: {match.transform}" if match.transform else str(where)
