"""Judges if the photographed nose is the insured pet's, and if it was photographed for this claim
(docs/decisions/0046-noses-sent-again.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from claims.copies import shares_capture
from claims.decision import Reason
from claims.evidence import MatchOwner, MatchRuling, NoseFact, PhotoFact, UnmeasuredNose, UnmeasuredPhoto
from claims.insured_claim import InsuredClaim
from claims.judge import photos, signs
from claims.reasons import reason
from claims.rules import Rules

REPLAYED: Final = "nose_replayed"


def judge(insured: InsuredClaim, noses: Sequence[NoseFact | UnmeasuredNose], rules: Rules) -> list[Reason]:
    """Return the reasons of the nose photos. One recognised nose is enough, unless another photo is unlike the pet: who
    photographs a second animal first and the insured one when asked is seen by a person."""
    policy, product = insured.policy, insured.product
    if not product.evidence.nose:
        return []
    if not policy.pet_id:
        return [reason("nose_enrolment_missing", "no pet", "an enrolled pet")]
    measured = [nose for nose in noses if isinstance(nose, NoseFact)]
    recognised = any(_is_recognised(insured, nose, rules) for nose in measured)
    reasons: list[Reason] = []
    for nose in noses:
        origin = _origin(insured, nose, rules)
        if isinstance(nose, NoseFact):
            judged = _measured(insured, nose, rules, recognised=recognised)
            # That a photo sent again shows the enrolled nose says nothing about today's animal.
            again = any(why.code == REPLAYED for why in origin)
            reasons += [] if again and judged.code == "nose_recognised" else [judged]
        reasons += origin
    reasons += [_unmeasured(nose, enough=recognised) for nose in noses if isinstance(nose, UnmeasuredNose)]
    if not noses:
        reasons.append(reason("nose_missing", "0", ">= 1"))
    return reasons


def _is_recognised(insured: InsuredClaim, nose: NoseFact, rules: Rules) -> bool:
    ours = nose.pet_id == insured.policy.pet_id and nose.templates >= 1
    return ours and verdict(nose.similarity, nose.inliers, rules) == "accept"


def _measured(insured: InsuredClaim, nose: NoseFact, rules: Rules, *, recognised: bool) -> Reason:
    """Return the reason of the comparison with the enrolment. recognised: some nose of the claim was."""
    value = f"similarity {nose.similarity:.3f}, {nose.inliers} points agree"
    accept = f">= {rules.nose_accept_similarity_min:.3f}, >= {rules.nose_accept_inliers_min} points"
    where = nose.evidence_id
    if nose.pet_id != insured.policy.pet_id:
        return reason("pet_not_insured", nose.pet_id, insured.policy.pet_id, evidence_id=where)
    if nose.templates < 1:
        return reason("nose_enrolment_missing", str(nose.templates), ">= 1 template", evidence_id=where)
    if nose.similarity >= rules.nose_replay_similarity_min:
        least = f"< {rules.nose_replay_similarity_min:.3f}"
        return reason(REPLAYED, value, least, evidence_id=where)
    if _is_pieced(nose, rules):
        pieces = f"alike {nose.alike_ratio:.2f}, unlike {nose.unlike_ratio:.2f}"
        return reason(REPLAYED, pieces, evidence_id=where)
    match verdict(nose.similarity, nose.inliers, rules):
        case "reject" if rules.nose_low_asks and recognised:
            return reason("nose_unsure", value, accept, evidence_id=where, detail=nose.model)
        case "reject":
            code = "nose_unlike" if rules.nose_low_asks else "nose_of_another_pet"
            review = f">= {rules.nose_review_similarity_min:.3f}"
            return reason(code, value, review, evidence_id=where, detail=nose.model)
        case "accept":
            return reason("nose_recognised", value, accept, evidence_id=where, detail=nose.model)
        case "review":
            return reason("nose_unsure", value, accept, evidence_id=where, detail=nose.model)


def _is_pieced(nose: NoseFact, rules: Rules) -> bool:
    """Return True for a nose of which a part agrees with an enrolled photo as a copy does, and a part not at all."""
    alike = nose.alike_ratio >= rules.nose_pieced_alike_ratio_min
    return alike and nose.unlike_ratio >= rules.nose_pieced_unlike_ratio_min


def verdict(similarity: float, inliers: int, rules: Rules) -> Literal["accept", "review", "reject"]:
    """Return the verdict on one comparison. Accept needs both the similarity and agreeing points; reject lies below the
    review threshold, and says that the photo does not do, not that it shows another animal."""
    if similarity < rules.nose_review_similarity_min:
        return "reject"
    if similarity >= rules.nose_accept_similarity_min and inliers >= rules.nose_accept_inliers_min:
        return "accept"
    return "review"


def _origin(insured: InsuredClaim, nose: NoseFact | UnmeasuredNose, rules: Rules) -> list[Reason]:
    """Return the reasons of the photo itself; none for facts from before it was checked."""
    photo = nose.photo
    if isinstance(photo, UnmeasuredPhoto) and isinstance(nose, NoseFact):
        # A nose that is read in a picture that cannot be compared with any other: nothing says that it is new.
        return [reason("photo_unmeasured", photo.reason, evidence_id=photo.evidence_id, detail=photo.name)]
    if not isinstance(photo, PhotoFact):
        return []
    screen = rules.nose_recapture_counts and signs.shows_a_screen(photo.signs)
    return [
        *([reason(REPLAYED, "photographed off a screen", evidence_id=photo.evidence_id)] if screen else ()),
        *_copies(photo, rules),
        *photos.judge_age(insured.claim, insured.product, photo, rules),
        *signs.judge(photo, rules),
    ]


def _copies(photo: PhotoFact, rules: Rules) -> list[Reason]:
    """Return a reason for every picture from whose capture the photo comes. That two photos merely look alike, or show
    one scene, means nothing here: a pet has one nose."""
    shared = [
        match for match in photo.matches if match.owner is not MatchOwner.SAME_CLAIM and shares_capture(match, rules)
    ]
    reasons = []
    for match in shared:
        if match.ruling == MatchRuling.REJECT:
            code = "photo_copy_rejected"
        elif photos.is_second_try(match, shared, rules):
            code = "photo_of_withdrawn_claim"
        else:
            code = REPLAYED
        reasons.append(photos.about_match(code, photo, match))
    return reasons


def _unmeasured(nose: UnmeasuredNose, *, enough: bool) -> Reason:
    code = "nose_set_aside" if enough else "nose_unreadable" if nose.retryable else "nose_unmeasured"
    return reason(code, nose.reason, evidence_id=nose.evidence_id)
