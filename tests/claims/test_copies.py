"""The name of a likeness (copy, maybe a copy, none) by the rules' own cut-offs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims import copies
from claims.copies import Likeness, called
from claims.evidence import MatchOwner, MatchRuling, PhotoVerdict
from claims.rules import RULES
from fixtures.cases import match

COPIED, MAYBE = RULES.photo_copied_min, RULES.photo_maybe_copied_min


@pytest.mark.parametrize(
    ("likeness", "expected"),
    [
        (Likeness("bytes", 1.0, looks_alike=True), PhotoVerdict.SAME_BYTES),
        (Likeness("pixels", 1.0, looks_alike=False), PhotoVerdict.SAME_PICTURE),
        (Likeness("", COPIED, looks_alike=False), PhotoVerdict.EDITED_COPY),
        (Likeness("", math.nextafter(COPIED, 0), looks_alike=False), PhotoVerdict.SIMILAR),
        (Likeness("", MAYBE, looks_alike=False), PhotoVerdict.SIMILAR),
        (Likeness("", math.nextafter(MAYBE, 0), looks_alike=False), PhotoVerdict.UNSEEN),
        (Likeness("", 0.0, looks_alike=True), PhotoVerdict.SIMILAR),
    ],
)
def test_a_likeness_is_called_what_the_rules_say(likeness: Likeness, expected: PhotoVerdict) -> None:
    assert called(likeness, RULES) is expected


def test_another_cut_off_calls_the_same_measurement_something_else() -> None:
    measured = Likeness("", 0.97, looks_alike=False)
    assert called(measured, RULES) is PhotoVerdict.SIMILAR
    assert called(measured, replace(RULES, photo_copied_min=0.9)) is PhotoVerdict.EDITED_COPY
    stricter = replace(RULES, photo_copied_min=0.995, photo_maybe_copied_min=0.98)
    assert called(measured, stricter) is PhotoVerdict.UNSEEN


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_who_is_likelier_a_copy_is_never_called_less(first: float, second: float, alike: bool) -> None:
    order = list(PhotoVerdict)
    low, high = sorted((first, second))
    place = [order.index(called(Likeness("", probability, looks_alike=alike), RULES)) for probability in (low, high)]
    assert place[1] <= place[0]


@given(st.floats(0, 1))
def test_what_is_called_unseen_weighs_nothing_and_what_weighs_is_never_unseen(probability: float) -> None:
    verdict = called(Likeness("", probability, looks_alike=False), RULES)
    assert copies.weighs(verdict, probability, RULES) is (verdict is not PhotoVerdict.UNSEEN)


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
    beside = replace(match(MatchOwner.WEB, PhotoVerdict.SIMILAR), probability=math.nextafter(MAYBE, 0))
    assert not copies.rests_on_points(beside, RULES)
