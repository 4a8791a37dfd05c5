"""Judges if the photographed nose is the insured pet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from claims.decision import Reason
from claims.evidence import NoseFact, UnmeasuredNose
from claims.policy import Policy
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules


def judge(policy: Policy, product: Product, noses: Sequence[NoseFact | UnmeasuredNose], rules: Rules) -> list[Reason]:
    """Return the reasons of the nose photos. One recognised nose is enough, unless another photo shows another
    animal."""
    if not product.evidence.nose:
        return []
    if not policy.pet_id:
        return [reason("nose_enrolment_missing", "no pet", "an enrolled pet")]
    measured = [nose for nose in noses if isinstance(nose, NoseFact)]
    reasons = [_measured(policy, nose, rules) for nose in measured]
    recognised = any(judged.code == "nose_recognised" for judged in reasons)
    reasons += [_unmeasured(nose, enough=recognised) for nose in noses if isinstance(nose, UnmeasuredNose)]
    if not noses:
        reasons.append(reason("nose_missing", "0", ">= 1"))
    return reasons


def _measured(policy: Policy, nose: NoseFact, rules: Rules) -> Reason:
    value = f"similarity {nose.similarity:.3f}, {nose.inliers} points agree"
    accept = f">= {rules.nose_accept_similarity_min:.3f}, >= {rules.nose_accept_inliers_min} points"
    where = nose.evidence_id
    if nose.pet_id != policy.pet_id:
        return reason("pet_not_insured", nose.pet_id, policy.pet_id, evidence_id=where)
    if nose.templates < 1:
        return reason("nose_enrolment_missing", str(nose.templates), ">= 1 template", evidence_id=where)
    match verdict(nose.similarity, nose.inliers, rules):
        case "reject":
            review = f">= {rules.nose_review_similarity_min:.3f}"
            return reason("nose_of_another_pet", value, review, evidence_id=where, detail=nose.model)
        case "accept":
            return reason("nose_recognised", value, accept, evidence_id=where, detail=nose.model)
        case "review":
            return reason("nose_unsure", value, accept, evidence_id=where, detail=nose.model)


def verdict(similarity: float, inliers: int, rules: Rules) -> Literal["accept", "review", "reject"]:
    """Return the verdict on one comparison. Accept needs both the similarity and agreeing points; below the review
    threshold it is another animal."""
    if similarity < rules.nose_review_similarity_min:
        return "reject"
    if similarity >= rules.nose_accept_similarity_min and inliers >= rules.nose_accept_inliers_min:
        return "accept"
    return "review"


def _unmeasured(nose: UnmeasuredNose, *, enough: bool) -> Reason:
    code = "nose_set_aside" if enough else "nose_unreadable" if nose.retryable else "nose_unmeasured"
    return reason(code, nose.reason, evidence_id=nose.evidence_id)
