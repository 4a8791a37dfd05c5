from __future__ import annotations

from dataclasses import replace

import pytest

from claims.catalogue import product_of
from claims.decision import Outcome, Reason
from claims.evidence import PhotoFact, PhotoVerdict, UnmeasuredFact
from claims.judge.subject import another_thing, judge
from claims.rules import RULES
from claims.subject import ClassShare, Subject, SubjectFact, SubjectShare
from claims.wire import from_plain, to_plain

FRESH = product_of("fresh_food_rot")
EXPECTED = frozenset(FRESH.evidence.expected_subjects)


def shows(**shares: float) -> SubjectFact:
    named = {subject: shares.get(subject.value, 0.0) for subject in Subject}
    ranked = sorted(named.items(), key=lambda item: -item[1])
    return SubjectFact(
        tuple(SubjectShare(*item) for item in ranked), (ClassShare("lipstick", 0.93),), "lite0_classes@0"
    )


def photo(name: str, subject: SubjectFact | UnmeasuredFact) -> PhotoFact:
    nothing = UnmeasuredFact("the file carries no EXIF", retryable=False)
    return PhotoFact(
        name, name, f"sha-{name}", 800, 600, PhotoVerdict.UNSEEN, (), nothing, nothing, nothing, subject=subject
    )


def reasons_of(*photos: PhotoFact, product: str = "fresh_food_rot", needed: int = 1) -> list[Reason]:
    return judge(product_of(product), photos, RULES, needed=needed)


def test_a_cosmetics_photo_for_a_rotten_fruit_claim_is_asked_for_again() -> None:
    (reason,) = reasons_of(photo("a", shows(cosmetics=0.96, food=0.001)))
    assert (reason.code, reason.pulls, reason.value) == ("photo_of_another_thing", Outcome.ASK, "cosmetics 0.96")
    assert reason.evidence_id == "a"
    assert "lipstick" in reason.detail


def test_beside_a_photo_that_may_show_the_goods_it_is_only_noted() -> None:
    reasons = reasons_of(photo("a", shows(cosmetics=0.96)), photo("b", shows(food=0.5)))
    assert [(reason.code, reason.pulls, reason.evidence_id) for reason in reasons] == [
        ("photo_beside_the_claim", Outcome.PAY, "a")
    ]


@pytest.mark.parametrize(
    "fact",
    [
        shows(),  # rot, which no network has learnt
        shows(cosmetics=0.89),  # not sure enough
        shows(cosmetics=0.95, food=0.03),  # and something of what is insured
        shows(cosmetics=0.95, parcel=0.015, tableware=0.015),  # which counts together
        UnmeasuredFact("too small to tell what it shows: 20 x 20 px", retryable=False),
    ],
)
def test_without_clear_evidence_for_another_thing_nothing_is_said(fact: SubjectFact | UnmeasuredFact) -> None:
    assert reasons_of(photo("a", fact)) == []


def test_a_product_that_names_no_subjects_takes_every_photo() -> None:
    assert reasons_of(photo("a", shows(dog=0.99)), product="cosmetics_allergy") == []
    assert reasons_of(photo("a", shows(dog=0.99)), product="parcel_damage") != []


def test_one_file_sent_twice_is_one_reason() -> None:
    shown = photo("a", shows(vehicle=0.95))
    assert len(reasons_of(shown, replace(shown, evidence_id="b"))) == 1


def test_both_thresholds_are_reached_at_their_own_value() -> None:
    at = shows(vehicle=RULES.subject_other_min, food=RULES.subject_expected_max)
    assert another_thing(at, EXPECTED, RULES) is not None


def test_a_stored_photo_of_before_this_measurement_reads_back_as_not_looked_at() -> None:
    plain = to_plain(photo("a", shows(food=0.9)))
    assert from_plain(PhotoFact, plain) == photo("a", shows(food=0.9))
    del plain["subject"]
    assert from_plain(PhotoFact, plain).subject == UnmeasuredFact("not looked", retryable=False)
