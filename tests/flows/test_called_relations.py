"""Compared pictures with the rules' verdict: the strongest verdict first, and the measures kept for a replay."""

from __future__ import annotations

from dataclasses import replace

from claims.copies import to_compare
from claims.evidence import MatchOwner, PhotoVerdict
from claims.rules import RULES
from flows import evidence
from vision.copies.geometry import NO_EXACTNESS, NO_GEOMETRY
from vision.examine import PhotoRelation

EXACT = replace(
    NO_EXACTNESS, projected=80, tight=77, tight_ratio=0.96, rigid_ratio=0.95, fine_ratio=0.94, fine_rigid_ratio=0.93,
    shown_ratio=0.9,
)  # fmt: skip
LOOSE = replace(NO_EXACTNESS, projected=57, tight=31, tight_ratio=0.54, rigid_ratio=0.31, covers_ratio=0.93)
COPY = PhotoRelation(
    "copy", "claim", "claim-1", "bert", False, "", "", 0.995, True, 80, "mirrored", (), "", pdq_bits=120,
    geometry=replace(NO_GEOMETRY, inliers=80, exactness=EXACT),
)  # fmt: skip
SCENE = replace(
    COPY, photo_id="scene", probability=0.999, inliers=57, geometry=replace(NO_GEOMETRY, inliers=57, exactness=LOOSE)
)
MAYBE = replace(COPY, photo_id="maybe", probability=0.2)
ALIKE = replace(COPY, photo_id="alike", probability=0.98, inliers=3, transform="", geometry=NO_GEOMETRY)
NOTHING = replace(ALIKE, photo_id="nothing", probability=0.1, looks_alike=False)


def test_a_scene_that_a_score_takes_for_a_copy_stands_behind_copies_and_possible_copies() -> None:
    called = evidence.call([SCENE, COPY, ALIKE, MAYBE, NOTHING])
    assert [(match.relation.photo_id, match.verdict, match.weighs) for match in called] == [
        ("copy", PhotoVerdict.EDITED_COPY, True),
        ("maybe", PhotoVerdict.SIMILAR, True),
        ("scene", PhotoVerdict.SAME_SCENE, False),
        ("alike", PhotoVerdict.SIMILAR, False),
    ]
    assert evidence.strongest(called) is PhotoVerdict.EDITED_COPY
    assert evidence.strongest(evidence.call([SCENE, ALIKE])) is PhotoVerdict.SAME_SCENE
    assert [match.transform for match in called] == ["mirrored", "mirrored", "", ""]


def test_a_recorded_match_weighs_as_the_relation_that_it_was_made_of() -> None:
    for called in evidence.call([SCENE, COPY, ALIKE, MAYBE]):
        match = evidence.photo_match(
            called, owner=MatchOwner.OTHER_CLAIMANT, claim_status="paid", claim_paid=True, common="", ruling=""
        )
        assert to_compare(match, RULES) is called.weighs
        exact = called.relation.geometry.exactness
        assert (match.pdq_bits, match.fine_ratio, match.fine_rigid_ratio) == (
            120, exact.fine_ratio, exact.fine_rigid_ratio,
        )  # fmt: skip


def test_what_of_one_picture_is_in_the_other_is_told_by_the_similarity_where_the_homography_has_no_outline() -> None:
    bent = replace(NO_GEOMETRY, shown_ratio=0.4, covers_ratio=0.8, exactness=replace(EXACT, shown_ratio=0.0))
    assert bent.contained_ratio == 0.8
    assert replace(bent, exactness=EXACT).contained_ratio == 0.9
