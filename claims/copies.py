"""Copies: the one place that turns a measured comparison into a verdict, and that says what a person must compare
before anything is paid and what is excused.

The cut-offs are rules (`claims.rules`), not properties of a model: docs/decisions/0029-cut-offs-are-rules.md. Why two
photos of one scene are no copies: docs/decisions/0033-same-scene.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from claims.claim import Status
from claims.evidence import MatchOwner, MatchRuling, PhotoMatch, PhotoVerdict, UnmeasuredFact
from claims.rules import Rules

SamePart = Literal["", "pixels", "bytes"]

EXACT: Final = frozenset({PhotoVerdict.SAME_BYTES, PhotoVerdict.SAME_PICTURE})
COPIES: Final = EXACT | {PhotoVerdict.EDITED_COPY}
# Rulings on the two pictures alone, without a known picture.
ABOUT_THE_PAIR: Final = frozenset({MatchRuling.CONFIRM, MatchRuling.REJECT})

_EXACT_BY_PART: Final = {"bytes": PhotoVerdict.SAME_BYTES, "pixels": PhotoVerdict.SAME_PICTURE}


@dataclass(frozen=True, slots=True)
class Likeness:
    """A photo compared with one other picture, as measured.

    same: "bytes" for one file, "pixels" for one picture in two files, "" where neither holds. probability: 0..1,
    calibrated, that one is a copy of the other. looks_alike: the descriptors are closer than those of unrelated photos;
    it is only ever a note, and proves nothing. inliers: keypoints that agree on one transform. The others are as in
    `claims.evidence.PhotoMatch`.
    """

    same: SamePart
    probability: float
    looks_alike: bool
    inliers: int
    tight_inliers: int
    tight_ratio: float
    rigid_ratio: float
    contained_ratio: float
    pdq_bits: int | UnmeasuredFact
    fit_agreement: float
    fine_ratio: float
    fine_rigid_ratio: float
    agreement_floor: float


def called(likeness: Likeness, rules: Rules) -> PhotoVerdict:
    """Return the verdict that the rules give this likeness, shown to the adjuster and kept on record."""
    if likeness.same:
        return _EXACT_BY_PART[likeness.same]
    if shows_one_scene(likeness, rules):
        return PhotoVerdict.SAME_SCENE
    sure = likeness.probability >= rules.photo_copied_min
    if sure and is_more_than_alike(likeness, rules) and is_exact(likeness, rules):
        return PhotoVerdict.EDITED_COPY
    maybe = likeness.probability >= rules.photo_maybe_copied_min or _is_doubtful(likeness, rules)
    return PhotoVerdict.SIMILAR if maybe or likeness.looks_alike else PhotoVerdict.UNSEEN


def shows_one_scene(likeness: Likeness, rules: Rules) -> bool:
    """Return True if the two show one scene and neither is a copy of the other.

    A copy fits one homography exactly, wherever it was taken again from. If the camera moved, near things shift against
    far ones, and points that fit roughly do not fit exactly. If it only turned they do, but neither frame holds the
    other, and the picture is bent as no crop of it is. If something flat in it was photographed twice, a package or a
    poster, they do as well, but what is around it does not agree, and so a copy is improbable; unless all of one is in
    the other's frame to its edges, as a camera seldom aims twice and every photo of a screen is: then a person may have
    to look. Without a homography nothing says that the camera did anything.
    """
    moved = likeness.tight_ratio < rules.photo_copied_tight_ratio_min
    bent = likeness.rigid_ratio < rules.photo_copied_rigid_ratio_min
    turned = likeness.contained_ratio < rules.photo_copied_contained_min
    improbable = likeness.probability < rules.photo_maybe_copied_min
    improbable = improbable and likeness.contained_ratio < rules.photo_scene_contained_max
    shares_points = likeness.tight_inliers > 0 and likeness.inliers >= rules.photo_scene_inliers_min
    return shares_points and (moved or (bent and (turned or improbable)))


def is_more_than_alike(likeness: Likeness, rules: Rules) -> bool:
    """Return True if points agree, or pixels do, or the PDQ hashes are near: two bananas on white are alike, and no
    copies.

    A PDQ that was not recorded counts as near, as it did then.
    """
    points = likeness.inliers >= rules.photo_points_agree_min
    return _pdq_is_near(likeness, rules) or points or likeness.fit_agreement >= rules.photo_pixels_agree_min


def is_exact(likeness: Likeness, rules: Rules) -> bool:
    """Return True if the two fit as exactly as only a copy does, where points can tell.

    Two photos of a thing that lies still, one right after the other, fit to a pixel, hardly to half of one. What a
    camera copied off a screen does not either; then all of it agrees, down to the tenth that agrees least. Small,
    blurred or grainy copies are too coarse to tell by points, and their PDQ hashes are near.
    """
    rigid = likeness.fine_rigid_ratio >= rules.photo_copied_fine_rigid_ratio_min
    whole = (
        likeness.fine_ratio >= rules.photo_copied_fine_ratio_min
        and likeness.agreement_floor >= rules.photo_copied_agreement_floor_min
    )
    return likeness.tight_inliers == 0 or _pdq_is_near(likeness, rules) or rigid or whole


def _pdq_is_near(likeness: Likeness, rules: Rules) -> bool:
    bits = likeness.pdq_bits
    return isinstance(bits, UnmeasuredFact) or bits <= rules.photo_pdq_near_max_bits


def _is_doubtful(likeness: Likeness, rules: Rules) -> bool:
    """Return True for a likeness that may be that of a copy, by its probability or by its points alone."""
    probable = likeness.probability >= rules.photo_maybe_copied_min and is_more_than_alike(likeness, rules)
    return probable or likeness.tight_inliers >= rules.photo_maybe_copied_inliers_min


def weighs(verdict: PhotoVerdict, likeness: Likeness, rules: Rules) -> bool:
    """Return True for a proven copy, and for a match that may so well be one that a person compares the two. Another
    photo of the same scene never is."""
    return verdict in COPIES or (verdict is not PhotoVerdict.SAME_SCENE and _is_doubtful(likeness, rules))


def strength(verdict: PhotoVerdict, *, weighing: bool) -> int:
    """Return the place of a match among a photo's matches, 0 for the strongest: equal files, equal pixels, copies,
    maybe copies, photos of one scene, look-alikes."""
    if verdict in COPIES:
        return list(PhotoVerdict).index(verdict)
    return len(COPIES) + (0 if weighing else 1 if verdict is PhotoVerdict.SAME_SCENE else 2)


def counts_as_copy(verdict: str, ruling: str) -> bool:
    """Return True for a copy that is proven, or left open by measurement and confirmed by a person."""
    return verdict in COPIES or ruling == MatchRuling.CONFIRM


def is_copy(match: PhotoMatch) -> bool:
    """Return `counts_as_copy` of a recorded match."""
    return counts_as_copy(match.verdict, match.ruling)


def to_compare(match: PhotoMatch, rules: Rules) -> bool:
    """Return True for a copy, and for a match so probably a copy that a person must compare the two before payment."""
    return is_copy(match) or weighs(match.verdict, _likeness(match), rules)


def shares_capture(match: PhotoMatch, rules: Rules) -> bool:
    """Return True for a nose photo's match that comes from the same capture: a proven copy, or points that fit as
    exactly as they do on no two photos of living skin.

    That it is probably a copy, or has many points, is not enough as it is for a photo of damage: two photos of one nose
    share points by right. Shots within seconds, sent with two claims about one event, are not held against anybody.
    """
    points = match.tight_inliers >= rules.nose_copied_inliers_min
    rigid = match.rigid_ratio >= rules.nose_copied_rigid_ratio_min
    return is_copy(match) or (points and rigid and match.owner is not MatchOwner.SAME_EVENT)


def only_the_scene(match: PhotoMatch) -> bool:
    """Return True for another photo of the same scene, unless a person confirmed it as a copy."""
    return match.verdict is PhotoVerdict.SAME_SCENE and not is_copy(match)


def is_scene_of_the_event(match: PhotoMatch) -> bool:
    """Return True for a scene that is in another claim of the claimant about the event, too, paid or still to be."""
    closed = match.claim_status == Status.WITHDRAWN and not match.claim_paid
    about_the_event = only_the_scene(match) and match.owner is MatchOwner.SAME_EVENT
    return about_the_event and not closed and match.ruling != MatchRuling.REJECT


def rests_on_points(match: PhotoMatch, rules: Rules) -> bool:
    """Return True for a match to compare that rests on agreeing points, not on equal pixels. A known picture may
    explain it, and an overlay shows it to a person."""
    return to_compare(match, rules) and match.verdict not in EXACT


def is_excused(match: PhotoMatch) -> bool:
    """Return True for a match that leads to nothing by itself: rejected by a person, explained by a common picture, or
    the claimant's own earlier try at the same event."""
    return match.ruling == MatchRuling.REJECT or bool(match.common) or match.owner is MatchOwner.SAME_EVENT


def _likeness(match: PhotoMatch) -> Likeness:
    """Return the likeness of a recorded match whose verdict was given then."""
    return Likeness(
        same="",
        probability=match.probability,
        looks_alike=False,
        inliers=match.inliers,
        tight_inliers=match.tight_inliers,
        tight_ratio=match.tight_ratio,
        rigid_ratio=match.rigid_ratio,
        contained_ratio=match.contained_ratio,
        pdq_bits=match.pdq_bits,
        fit_agreement=match.fit_agreement,
        fine_ratio=match.fine_ratio,
        fine_rigid_ratio=match.fine_rigid_ratio,
        agreement_floor=match.agreement_floor,
    )
