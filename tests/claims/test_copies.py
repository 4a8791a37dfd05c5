"""The name of a likeness (copy, maybe a copy, none) by the rules' own cut-offs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims import copies
from claims.copies import Likeness, called
from claims.evidence import MatchOwner, MatchRuling, PhotoVerdict, UnmeasuredFact
from claims.rules import RULES, Rules
from claims.wire import from_plain, to_plain
from fixtures.cases import match

COPIED, MAYBE = RULES.photo_copied_min, RULES.photo_maybe_copied_min
POINTS, TIGHT = RULES.photo_scene_inliers_min, RULES.photo_copied_tight_ratio_min
CONTAINED, EXACTLY = RULES.photo_copied_contained_min, RULES.photo_maybe_copied_inliers_min
RIGID, SAME_SCENE = RULES.photo_copied_rigid_ratio_min, PhotoVerdict.SAME_SCENE
UNKNOWN = UnmeasuredFact("not recorded", retryable=False)
BEFORE_3_4 = {
    "photo_scene_inliers_min",
    "photo_copied_tight_ratio_min",
    "photo_copied_rigid_ratio_min",
    "photo_copied_contained_min",
    "photo_maybe_copied_inliers_min",
    "photo_points_agree_min",
    "photo_pixels_agree_min",
    "photo_pdq_near_max_bits",
}
BEFORE_3_5 = {
    "photo_copied_fine_rigid_ratio_min",
    "photo_copied_fine_ratio_min",
    "photo_copied_agreement_floor_min",
    "photo_scene_contained_max",
}
FINE_RIGID, FINE = RULES.photo_copied_fine_rigid_ratio_min, RULES.photo_copied_fine_ratio_min
FLOOR, HELD = RULES.photo_copied_agreement_floor_min, RULES.photo_scene_contained_max


def likeness(
    probability: float,
    same: Literal["", "pixels", "bytes"] = "",
    *,
    alike: bool = False,
    inliers: int = 0,
    tight: tuple[int, float] = (0, 0.0),
    rigid: float = 0.0,
    contained: float = 0.0,
    pdq_bits: int | UnmeasuredFact = 10,
    fit: float = 0.0,
    fine: tuple[float, float] = (1.0, 1.0),
) -> Likeness:
    """Returns a likeness without points, whose PDQ is near unless it is said to be far. fine: of a homography and of a
    similarity transform."""
    points = (inliers, *tight, rigid, contained)
    return Likeness(same, probability, alike, *points, pdq_bits, fit, *fine, 0.0)


def two_views(probability: float = 0.995, **changes: Any) -> Likeness:
    """Returns the likeness of two photos of one scene from two places."""
    measured = likeness(probability, inliers=57, tight=(31, 0.54), rigid=0.31, contained=0.93, pdq_bits=120)
    return replace(measured, **changes)


def lying_still(**changes: Any) -> Likeness:
    """Returns the likeness of two photos of a package that nobody moved."""
    measured = likeness(0.999, inliers=99, tight=(121, 1.0), rigid=1.0, contained=0.98, pdq_bits=74, fine=(0.7, 0.7))
    return replace(measured, **changes)


likenesses = st.builds(
    Likeness,
    st.sampled_from(["", "pixels", "bytes"]),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 200),
    st.integers(0, 200),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 256) | st.just(UNKNOWN),
    st.floats(-1, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(-1, 1),
)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (likeness(1.0, "bytes", alike=True), PhotoVerdict.SAME_BYTES),
        (likeness(1.0, "pixels"), PhotoVerdict.SAME_PICTURE),
        (likeness(COPIED), PhotoVerdict.EDITED_COPY),
        (likeness(math.nextafter(COPIED, 0)), PhotoVerdict.SIMILAR),
        (likeness(MAYBE), PhotoVerdict.SIMILAR),
        (likeness(math.nextafter(MAYBE, 0)), PhotoVerdict.UNSEEN),
        (likeness(0.0, alike=True), PhotoVerdict.SIMILAR),
        # The camera moved: points that fit roughly do not fit exactly.
        (two_views(), SAME_SCENE),
        (two_views(0.0), SAME_SCENE),
        (two_views(inliers=POINTS), SAME_SCENE),
        (two_views(inliers=POINTS - 1), PhotoVerdict.EDITED_COPY),
        (two_views(tight_ratio=TIGHT), PhotoVerdict.EDITED_COPY),
        (two_views(tight_ratio=math.nextafter(TIGHT, 0)), SAME_SCENE),
        # It turned: they do, but neither picture holds the other.
        (two_views(tight_ratio=1.0, contained_ratio=0.39), SAME_SCENE),
        (two_views(tight_ratio=1.0, contained_ratio=CONTAINED), PhotoVerdict.EDITED_COPY),
        # Two crops of one picture, or one pasted into a collage: no camera turns so.
        (two_views(tight_ratio=1.0, contained_ratio=0.39, rigid_ratio=RIGID), PhotoVerdict.EDITED_COPY),
        (two_views(tight_ratio=1.0, contained_ratio=0.39, rigid_ratio=math.nextafter(RIGID, 0)), SAME_SCENE),
        (two_views(rigid_ratio=1.0), SAME_SCENE),
        # No homography was fitted: nothing says that the camera did either.
        (two_views(tight_inliers=0, tight_ratio=0.0, contained_ratio=0.0), PhotoVerdict.EDITED_COPY),
        # One file is one file, and one picture one picture, however their points were measured.
        (two_views(same="bytes"), PhotoVerdict.SAME_BYTES),
        (two_views(same="pixels"), PhotoVerdict.SAME_PICTURE),
        # Proof by points alone: a sticker, another ground.
        (
            likeness(0.005, inliers=67, tight=(EXACTLY, 0.95), rigid=RIGID, contained=1.0, pdq_bits=120),
            PhotoVerdict.SIMILAR,
        ),
        # Flat things photographed twice keep a homography, no similarity transform; but if all of one is in the other,
        # as of what was photographed off a screen, a person looks.
        (likeness(0.005, inliers=67, tight=(60, 1.0), rigid=0.5, contained=0.9, pdq_bits=120), SAME_SCENE),
        (likeness(0.005, inliers=67, tight=(60, 1.0), rigid=0.5, contained=HELD, pdq_bits=120), PhotoVerdict.SIMILAR),
        # Two photos of a thing that lay still fit to a pixel, not to half of one.
        (lying_still(), PhotoVerdict.SIMILAR),
        (lying_still(fine_rigid_ratio=FINE_RIGID), PhotoVerdict.EDITED_COPY),
        (lying_still(pdq_bits=40), PhotoVerdict.EDITED_COPY),
        (lying_still(pdq_bits=41), PhotoVerdict.SIMILAR),
        # Off a screen everything agrees, to the edges.
        (lying_still(fine_ratio=FINE, agreement_floor=FLOOR), PhotoVerdict.EDITED_COPY),
        (lying_still(fine_ratio=FINE, agreement_floor=math.nextafter(FLOOR, 0)), PhotoVerdict.SIMILAR),
        (lying_still(fine_ratio=math.nextafter(FINE, 0), agreement_floor=1.0), PhotoVerdict.SIMILAR),
        (likeness(0.005, inliers=67, tight=(EXACTLY - 1, 0.95), rigid=RIGID, contained=1.0), PhotoVerdict.UNSEEN),
        # Likeness alone: two bananas on white.
        (likeness(1.0, inliers=5, pdq_bits=41, fit=0.74), PhotoVerdict.SIMILAR),
        (likeness(1.0, inliers=6, pdq_bits=41, fit=0.74), PhotoVerdict.EDITED_COPY),
        (likeness(1.0, inliers=5, pdq_bits=40, fit=0.74), PhotoVerdict.EDITED_COPY),
        (likeness(1.0, inliers=5, pdq_bits=41, fit=0.75), PhotoVerdict.EDITED_COPY),
    ],
)
def test_a_likeness_is_called_what_the_rules_say(measured: Likeness, expected: PhotoVerdict) -> None:
    assert called(measured, RULES) is expected


def test_another_cut_off_calls_the_same_measurement_something_else() -> None:
    measured = likeness(0.97)
    assert called(measured, RULES) is PhotoVerdict.SIMILAR
    assert called(measured, replace(RULES, photo_copied_min=0.9)) is PhotoVerdict.EDITED_COPY
    stricter = replace(RULES, photo_copied_min=0.995, photo_maybe_copied_min=0.98)
    assert called(measured, stricter) is PhotoVerdict.UNSEEN


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_who_is_likelier_a_copy_is_never_called_less(first: float, second: float, alike: bool) -> None:
    order = list(PhotoVerdict)
    low, high = sorted((first, second))
    place = [order.index(called(likeness(probability, alike=alike), RULES)) for probability in (low, high)]
    assert place[1] <= place[0]


@given(st.floats(0, 1))
def test_what_is_called_unseen_weighs_nothing_and_what_weighs_is_never_unseen(probability: float) -> None:
    verdict = called(likeness(probability), RULES)
    assert copies.weighs(verdict, likeness(probability), RULES) is (verdict is not PhotoVerdict.UNSEEN)


@given(likenesses)
def test_a_photo_of_the_same_scene_never_weighs_and_equal_pixels_always_do(measured: Likeness) -> None:
    verdict = called(measured, RULES)
    weighing = copies.weighs(verdict, measured, RULES)
    if measured.same:
        assert (verdict in copies.EXACT, weighing) == (True, True)
    if verdict in (PhotoVerdict.SAME_SCENE, PhotoVerdict.UNSEEN):
        assert not weighing


@given(likenesses)
def test_likeness_without_points_or_a_near_pdq_never_weighs(measured: Likeness) -> None:
    far = RULES.photo_pdq_near_max_bits + 1
    alone = replace(measured, same="", inliers=5, tight_inliers=0, pdq_bits=far, fit_agreement=0.7)
    verdict = called(alone, RULES)
    assert verdict in (PhotoVerdict.SIMILAR, PhotoVerdict.UNSEEN)
    assert not copies.weighs(verdict, alone, RULES)


@given(likenesses, likenesses)
def test_under_rules_before_3_5_nobody_looked_how_points_fit_to_half_a_pixel(first: Likeness, second: Likeness) -> None:
    plain = to_plain(RULES)
    before = from_plain(Rules, {name: value for name, value in plain.items() if name not in BEFORE_3_5})
    finer = replace(
        first,
        fine_ratio=second.fine_ratio,
        fine_rigid_ratio=second.fine_rigid_ratio,
        agreement_floor=second.agreement_floor,
    )
    assert called(first, before) is called(finer, before)


@given(likenesses)
def test_under_rules_before_3_4_only_the_probability_counted(measured: Likeness) -> None:
    plain = to_plain(RULES)
    before = from_plain(Rules, {name: value for name, value in plain.items() if name not in BEFORE_3_4 | BEFORE_3_5})
    expected = (
        {"bytes": PhotoVerdict.SAME_BYTES, "pixels": PhotoVerdict.SAME_PICTURE}[measured.same]
        if measured.same
        else PhotoVerdict.EDITED_COPY
        if measured.probability >= COPIED
        else PhotoVerdict.SIMILAR
        if measured.looks_alike or measured.probability >= MAYBE
        else PhotoVerdict.UNSEEN
    )
    assert called(measured, before) is expected
    weighed = expected in copies.COPIES or measured.probability >= MAYBE
    assert copies.weighs(expected, measured, before) is weighed


def test_a_match_recorded_before_3_4_weighs_as_it_did() -> None:
    """Its photo was examined before the upgrade, its claim is decided after it."""
    old = replace(match(MatchOwner.OTHER_CLAIMANT, PhotoVerdict.SIMILAR), probability=MAYBE, inliers=0)
    assert copies.to_compare(old, RULES)
    assert not copies.to_compare(replace(old, pdq_bits=RULES.photo_pdq_near_max_bits + 1), RULES)


def test_copies_come_before_maybe_copies_these_before_scenes_and_look_alikes_come_last() -> None:
    order = [
        (PhotoVerdict.SAME_BYTES, True),
        (PhotoVerdict.SAME_PICTURE, True),
        (PhotoVerdict.EDITED_COPY, True),
        (PhotoVerdict.SIMILAR, True),
        (PhotoVerdict.SAME_SCENE, False),
        (PhotoVerdict.SIMILAR, False),
    ]
    assert [copies.strength(verdict, weighing=weighing) for verdict, weighing in order] == list(range(6))


def test_a_rejected_a_common_and_an_own_match_are_excused_and_no_other() -> None:
    copied = match(MatchOwner.OTHER_CLAIMANT)
    assert not copies.is_excused(copied)
    assert not copies.is_excused(replace(copied, ruling=MatchRuling.CONFIRM))
    assert copies.is_excused(replace(copied, ruling=MatchRuling.REJECT))
    assert copies.is_excused(replace(copied, common="a label"))
    assert copies.is_excused(match(MatchOwner.SAME_EVENT))


def test_equal_pixels_need_no_points_to_prove_them() -> None:
    for verdict, by_points in (
        (PhotoVerdict.SAME_BYTES, False),
        (PhotoVerdict.SAME_PICTURE, False),
        (PhotoVerdict.EDITED_COPY, True),
        (PhotoVerdict.SIMILAR, True),
    ):
        compared = replace(match(MatchOwner.WEB, verdict), probability=1.0)
        assert copies.rests_on_points(compared, RULES) is by_points
    scene = replace(match(MatchOwner.WEB, SAME_SCENE), probability=1.0, tight_inliers=EXACTLY)
    assert not copies.rests_on_points(scene, RULES)
    assert copies.rests_on_points(replace(scene, ruling=MatchRuling.CONFIRM), RULES)
    beside = replace(match(MatchOwner.WEB, PhotoVerdict.SIMILAR), probability=math.nextafter(MAYBE, 0))
    assert not copies.rests_on_points(beside, RULES)
