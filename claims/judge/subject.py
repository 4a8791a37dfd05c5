"""Judges if a photo shows the insured goods. A photo that clearly shows something else is asked for again; it never
declines.

Lack of evidence for the insured goods is no evidence against them: a network does not recognise rotten fruit or crushed
cartons. Only a photo counts that surely shows another known thing, and next to nothing of what the product expects.
"""

from __future__ import annotations

from collections.abc import Sequence

from claims.decision import Reason
from claims.evidence import PhotoFact, UnmeasuredPhoto
from claims.product import Product
from claims.reasons import reason
from claims.rules import Rules
from claims.subject import Subject, SubjectFact, SubjectShare


def another_thing(fact: SubjectFact, expected: frozenset[Subject], rules: Rules) -> SubjectShare | None:
    """Return what else the photo surely shows; None where it may show what is expected, or cannot be told."""
    others = [share for share in fact.subjects if share.subject not in expected]
    fitting = sum(share.probability for share in fact.subjects if share.subject in expected)
    most = max(others, key=lambda share: share.probability, default=None)
    if most is None or most.probability < rules.subject_other_min or fitting > rules.subject_expected_max:
        return None
    return most


def judge(
    product: Product, photos: Sequence[PhotoFact | UnmeasuredPhoto], rules: Rules, *, needed: int
) -> list[Reason]:
    """Return a reason for each photo of another thing. `needed`: how many photos this claim must bring; one beside as
    many that may show the goods asks for nothing."""
    expected = frozenset(product.evidence.expected_subjects)
    if not expected:
        return []
    measured = [photo for photo in photos if isinstance(photo, PhotoFact)]
    odd = {
        photo.sha256: (photo, photo.subject, other)
        for photo in measured
        if isinstance(photo.subject, SubjectFact) and (other := another_thing(photo.subject, expected, rules))
    }
    enough = len({photo.sha256 for photo in measured} - odd.keys()) >= needed
    code = "photo_beside_the_claim" if enough else "photo_of_another_thing"
    return [
        reason(
            code,
            f"{other.subject} {other.probability:.2f}",
            f"< {rules.subject_other_min:.2f}, or > {rules.subject_expected_max:.2f} of {', '.join(sorted(expected))}",
            evidence_id=photo.evidence_id,
            detail=", ".join(f"{class_share.name} {class_share.probability:.2f}" for class_share in fact.classes),
        )
        for photo, fact, other in odd.values()
    ]
