"""Judges if each photo was taken for this claim, or was used before or downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from claims.claim import Claim, Status
from claims.copies import COPIES, is_copy, is_scene_of_the_event, only_the_scene, to_compare
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
    MatchOwner.OWN_ENROLMENT: "photo_of_an_enrolment",
    MatchOwner.OTHER_ENROLMENT: "photo_of_an_enrolment",
}


def measured_count(photos: Sequence[PhotoFact | UnmeasuredPhoto]) -> int:
    """Return the number of distinct photos that could be examined. One file sent twice is one photo, and a known
    picture is none."""
    return len({photo.sha256 for photo in photos if isinstance(photo, PhotoFact) and not photo.common})


def judge(
    claim: Claim, product: Product, photos: Sequence[PhotoFact | UnmeasuredPhoto], rules: Rules, *, needed: int
) -> list[Reason]:
    """Return the reasons of all photos. `needed`: how many photos this claim must bring. A photo that could not be
    examined counts only while photos are missing."""
    reasons: list[Reason] = []
    measured = measured_count(photos)
    for photo in photos:
        if isinstance(photo, UnmeasuredPhoto):
            reasons.append(_unmeasured(photo, enough=measured >= needed))
        else:
            reasons += _provenance(claim, product, photo, rules)
            reasons += signs.judge(photo, rules)
    if measured < needed and not any(isinstance(photo, UnmeasuredPhoto) for photo in photos):
        reasons.append(reason("photos_missing", str(measured), f">= {needed}"))
    return reasons


def _unmeasured(photo: UnmeasuredPhoto, *, enough: bool) -> Reason:
    code = "photo_set_aside" if enough else "photo_unreadable" if photo.retryable else "photo_unmeasured"
    return reason(code, photo.reason, evidence_id=photo.evidence_id, detail=photo.name)


def _provenance(claim: Claim, product: Product, photo: PhotoFact, rules: Rules) -> list[Reason]:
    others = [match for match in photo.matches if match.owner is not MatchOwner.SAME_CLAIM]
    copies = [match for match in others if to_compare(match, rules)]
    reasons = [_copy(photo, match, rules, closed=is_second_try(match, copies, rules)) for match in copies]
    if photo.common:
        reasons.append(reason("photo_is_common", photo.common, evidence_id=photo.evidence_id))
    if photo.verdict in COPIES and not any(is_copy(match) for match in copies):
        # The examination says copy but not of what: not a clean photo, and nobody to name.
        reasons.append(
            reason("photo_copy_unattributed", photo.verdict, "similar or unseen", evidence_id=photo.evidence_id)
        )
    reasons += judge_age(claim, product, photo, rules)
    reasons += _scenes(photo, others, product)
    if not copies and photo.verdict is PhotoVerdict.SIMILAR:
        # Alike, without geometric proof that one comes from the other: two boxes of cherries do look alike.
        reasons.append(reason("photo_similar", photo.verdict, "no proven copy", evidence_id=photo.evidence_id))
    if not reasons:
        reasons.append(reason("photo_unseen", photo.verdict, "no proven copy", evidence_id=photo.evidence_id))
    return reasons


def judge_age(claim: Claim, product: Product, photo: PhotoFact, rules: Rules) -> list[Reason]:
    """Return a reason for a photo that, by its camera's clock, was taken before the event."""
    if not isinstance(photo.taken_at, datetime):
        return []
    days = (local_date(claim.occurred_at, product) - photo.taken_at.date()).days
    if days <= rules.photo_days_before_event_max:
        return []
    return [
        reason(
            "photo_older_than_event",
            f"{days} days",
            f"<= {rules.photo_days_before_event_max} days",
            evidence_id=photo.evidence_id,
            detail=photo.taken_at.isoformat(),
        )
    ]


def is_second_try(match: PhotoMatch, copies: Sequence[PhotoMatch], rules: Rules) -> bool:
    """Return True for a copy of a photo of the claimant's own claim about the event, withdrawn for good and unpaid.
    copies: all of the photo's; with too many of the event among them it is no second try."""
    again = sum(other.owner is MatchOwner.SAME_EVENT for other in copies) <= rules.same_event_withdrawn_max
    # Whatever else became of it, or was paid for it, the damage must not be paid twice.
    closed = match.claim_status == Status.WITHDRAWN and not match.claim_paid
    return again and closed and match.owner is MatchOwner.SAME_EVENT


def about_match(code: str, photo: PhotoFact, match: PhotoMatch) -> Reason:
    """Return a reason that names the match and how sure it is."""
    if code == "photo_of_withdrawn_claim":
        return reason(code, _standing(match), str(Status.WITHDRAWN), evidence_id=photo.evidence_id, detail=_of(match))
    return reason(code, _value(match), evidence_id=photo.evidence_id, detail=_of(match))


def _copy(photo: PhotoFact, match: PhotoMatch, rules: Rules, *, closed: bool) -> Reason:
    """Return the reason of one copy, proven or probable. A person's ruling on the pair comes first, then what the two
    share, then whose the other picture is. A probable copy is no suspicion but a doubt that a person settles.

    closed: a copy of a withdrawn claim's photo that may be sent once more."""
    value, detail, proven = _value(match), _of(match), is_copy(match)
    if match.ruling == MatchRuling.REJECT:
        return reason("photo_copy_rejected", value, evidence_id=photo.evidence_id, detail=detail)
    confirmed = match.ruling == MatchRuling.CONFIRM
    if match.common and not confirmed:
        return reason("photo_shows_common", f"{value}, {match.common}", evidence_id=photo.evidence_id, detail=detail)
    if confirmed:
        detail += ", confirmed by a person"
    if match.owner is MatchOwner.SAME_EVENT and (proven or closed):
        code = "photo_of_withdrawn_claim" if closed else "same_event_claimed_before"
        return reason(code, _standing(match), str(Status.WITHDRAWN), evidence_id=photo.evidence_id, detail=detail)
    if not proven:
        wanted = f"probability < {rules.photo_maybe_copied_min:g}"
        if match.probability < rules.photo_maybe_copied_min:  # its points alone bring it here
            value = f"{value}, {match.tight_inliers} exactly"
            wanted = f"< {rules.photo_maybe_copied_inliers_min} points exactly"
        return reason("photo_maybe_copied", value, wanted, evidence_id=photo.evidence_id, detail=detail)
    if match.flood and not confirmed:
        return reason("photo_in_flood", match.flood, "ruled on", evidence_id=photo.evidence_id, detail=detail)
    code = _CODE_BY_OWNER[match.owner]
    return reason(code, value, "similar or unseen", evidence_id=photo.evidence_id, detail=detail)


def _scenes(photo: PhotoFact, matches: Sequence[PhotoMatch], product: Product) -> list[Reason]:
    """Return the reasons of other photos of the same scene, one for each kind of owner. None is a suspicion.

    Nobody is accused for photographing what somebody else photographed: a parcel station, a building, a banknote. The
    claimant's own kitchen table is in their next claim, too. Only where the terms pay an event once does a person look
    at two claims of one claimant about it that show one scene.
    """
    scenes = sorted(filter(only_the_scene, matches), key=lambda match: (-match.inliers, match.photo_id))
    paid_once = product.claims_per_event_max is not None
    again = [match for match in scenes if paid_once and is_scene_of_the_event(match)]
    reasons = [
        reason(
            "same_scene_claimed_before",
            _standing(match),
            str(Status.WITHDRAWN),
            evidence_id=photo.evidence_id,
            detail=_of(match),
        )
        for match in again[:1]
    ]
    strongest_by_owner = {match.owner: match for match in reversed(scenes) if match not in again}
    return reasons + [
        reason(
            "photo_of_same_scene",
            f"{owner}, {match.inliers} points agree",
            evidence_id=photo.evidence_id,
            detail=_of(match),
        )
        for owner, match in strongest_by_owner.items()
    ]


def _standing(match: PhotoMatch) -> str:
    standing = f"claim {match.claim_id} is {match.claim_status or 'of unknown status'}"
    return f"{standing}, paid" if match.claim_paid and match.claim_status != Status.PAID else standing


def _value(match: PhotoMatch) -> str:
    return f"{match.verdict}, probability {match.probability:.4f}, {match.inliers} points agree"


def _of(match: PhotoMatch) -> str:
    where = f"claim {match.claim_id}" if match.claim_id else match.owner
    return f"{where}: {match.transform}" if match.transform else str(where)
