"""A nose photo that was not taken for the claim is seen by a person; a low similarity is never called another pet; the
insured animal is one that the terms insure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from claims.claim import Status
from claims.decision import Decision, Outcome
from claims.disclosure import for_claimant
from claims.evidence import (
    MatchOwner,
    NoseSpecies,
    PhotoVerdict,
    ProvenanceSign,
    SignKind,
    UnmeasuredNose,
    UnmeasuredPhoto,
)
from claims.explain import claimant_texts
from claims.judge.pet import months_between
from claims.policy import InsuredPet
from claims.rules import RULES
from fixtures.cases import NOW, Case, in_order, match, nose, photo

PET = in_order("pet_medical")
ENROLLED = match(MatchOwner.OWN_ENROLMENT, PhotoVerdict.SIMILAR)


def carried(decision: Decision) -> list[str]:
    return [why.code for why in decision.reasons if why.pulls is decision.outcome]


def with_noses(*noses: object) -> Case:
    return PET.with_facts(noses=noses)


@pytest.mark.parametrize("owner", [owner for owner in MatchOwner if owner is not MatchOwner.SAME_CLAIM])
def test_a_copy_of_any_earlier_picture_is_seen_by_a_person(owner: MatchOwner) -> None:
    decision = with_noses(nose(matches=[match(owner)])).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["nose_replayed"])
    assert "nose_recognised" not in {why.code for why in decision.reasons}


def test_one_file_sent_twice_with_one_claim_is_no_replay() -> None:
    twin = match(MatchOwner.SAME_CLAIM, PhotoVerdict.SAME_BYTES)
    assert with_noses(nose(matches=[twin])).decision().outcome is Outcome.PAY


@pytest.mark.parametrize(
    ("points", "rigid", "outcome"),
    [
        (RULES.nose_copied_inliers_min, RULES.nose_copied_rigid_ratio_min, Outcome.REFER),
        (RULES.nose_copied_inliers_min - 1, 1.0, Outcome.PAY),
        # Two photos of one living nose share points by right, and no transform holds for all of them.
        (80, RULES.nose_copied_rigid_ratio_min - 0.01, Outcome.PAY),
    ],
)
def test_points_tell_a_copy_only_where_the_skin_kept_its_shape(points: int, rigid: float, outcome: Outcome) -> None:
    shared = replace(ENROLLED, probability=0.6, tight_inliers=points, rigid_ratio=rigid)
    assert with_noses(nose(0.5, matches=[shared])).decision().outcome is outcome


def test_shots_of_one_minute_may_be_sent_with_two_claims_about_one_event() -> None:
    shot = replace(match(MatchOwner.SAME_EVENT, PhotoVerdict.SIMILAR), tight_inliers=150, rigid_ratio=0.97)
    assert with_noses(nose(matches=[replace(shot, probability=0.3)])).decision().outcome is Outcome.PAY
    same = match(MatchOwner.SAME_EVENT, PhotoVerdict.SAME_BYTES)
    assert with_noses(nose(matches=[same])).decision().outcome is Outcome.REFER


def test_half_of_a_nose_pasted_into_another_one_is_seen_whatever_the_similarity() -> None:
    half = replace(ENROLLED, probability=0.9, tight_inliers=57, rigid_ratio=0.98)
    for similarity in (0.1, 0.42, 0.56):
        decision = with_noses(nose(similarity, matches=[half])).decision()
        assert (decision.outcome, carried(decision)[0]) == (Outcome.REFER, "nose_replayed")


def test_a_nose_of_which_a_part_is_copied_and_the_rest_a_strangers_is_pieced_together() -> None:
    limits = (RULES.nose_pieced_alike_ratio_min, RULES.nose_pieced_unlike_ratio_min)
    pieced = replace(nose(0.55), alike_ratio=limits[0], unlike_ratio=limits[1])
    assert carried(with_noses(pieced).decision()) == ["nose_replayed"]
    for part in (replace(pieced, alike_ratio=limits[0] - 0.01), replace(pieced, unlike_ratio=limits[1] - 0.01)):
        assert with_noses(part).decision().outcome is Outcome.PAY


def test_a_copy_counts_though_no_nose_can_be_read_in_it() -> None:
    looks = photo("nose-0", PhotoVerdict.SAME_BYTES, [match(MatchOwner.OTHER_ENROLMENT, PhotoVerdict.SAME_BYTES)])
    blurred = UnmeasuredNose("nose-0", "pet-1", "too blurred", retryable=True, photo=looks)
    decision = with_noses(blurred).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["nose_replayed"])


def test_a_pair_that_a_person_ruled_on_is_not_raised_again() -> None:
    ruled = replace(match(MatchOwner.OWN_EARLIER_CLAIM), ruling="reject")
    assert with_noses(nose(matches=[ruled])).decision().outcome is Outcome.PAY
    confirmed = replace(ENROLLED, ruling="confirm")
    assert with_noses(nose(matches=[confirmed])).decision().outcome is Outcome.REFER


def test_the_photo_of_a_withdrawn_claim_may_be_sent_once_more_unless_that_was_paid() -> None:
    before = replace(match(MatchOwner.SAME_EVENT), claim_id="claim-0", claim_status=Status.WITHDRAWN)
    assert with_noses(nose(matches=[before])).decision().outcome is Outcome.PAY
    assert with_noses(nose(matches=[replace(before, claim_paid=True)])).decision().outcome is Outcome.REFER


def test_an_old_photo_and_signs_of_its_origin_count_as_they_do_for_damage() -> None:
    old = nose()
    old = replace(old, photo=replace(old.photo, taken_at=NOW - timedelta(days=40)))
    assert carried(with_noses(old).decision()) == ["photo_older_than_event"]


def test_the_sign_of_a_photographed_screen_counts_on_a_nose_by_itself() -> None:
    moire = ProvenanceSign(SignKind.RECAPTURE, "found", "moire", "pattern", 1.4, (("fine_pattern", "1.40"),))
    shown = replace(nose(), photo=replace(photo("nose-0"), signs=(moire,)))
    assert carried(with_noses(shown).decision()) == ["nose_replayed"]
    unseen = replace(moire, state="not_found", value="")
    honest = replace(shown, photo=replace(photo("nose-0"), signs=(unseen,)))
    assert with_noses(honest).decision().outcome is Outcome.PAY


def test_a_nose_in_a_picture_that_cannot_be_compared_is_not_paid() -> None:
    flat = UnmeasuredPhoto("nose-0", "nose-0.jpg", "2" * 64, "the picture has too little detail to compare", True)
    assert carried(with_noses(replace(nose(), photo=flat)).decision()) == ["photo_unmeasured"]


def test_the_claimant_is_asked_for_a_new_photo_and_not_told_what_gave_it_away() -> None:
    decision = with_noses(nose(0.97, matches=[match(MatchOwner.OWN_ENROLMENT)])).decision()
    (english,) = claimant_texts(decision, "en")
    assert "take a new photo" in english
    (chinese,) = claimant_texts(decision, "zh")
    assert "重新拍摄" in chinese
    shown = [why for why in for_claimant(decision.reasons) if why.code == "nose_replayed"]
    assert [(why.value, why.threshold, why.detail) for why in shown] == [("", "", "")] * len(shown)
    assert shown


def test_a_low_similarity_asks_for_photos_then_a_person_looks_and_nobody_says_another_pet() -> None:
    case = with_noses(nose(0.1, 2))
    assert (case.decision().outcome, carried(case.decision())) == (Outcome.ASK, ["nose_unlike"])
    asked = case.with_cover(rounds_asked=RULES.rounds_asked_max).decision()
    assert asked.outcome is Outcome.REFER
    assert "nose_unlike" in carried(asked)
    for lang in ("en", "zh"):
        words = " ".join(claimant_texts(case.decision(), lang))
        assert "another pet" not in words
        assert "不符" not in words
    # Who sends the insured animal's nose once asked for more is seen by a person as well.
    both = with_noses(nose(0.1, 2), nose(0.72, evidence_id="nose-1")).decision()
    assert (both.outcome, carried(both)) == (Outcome.REFER, ["nose_unsure"])


def test_a_nose_of_another_species_is_seen_by_a_person_if_the_finder_is_sure() -> None:
    dog = PET.with_policy(pet=InsuredPet("dog"))
    sure, unsure = (replace(nose(), species=NoseSpecies("cat", share)) for share in (0.97, 0.7))
    assert carried(dog.with_facts(noses=(sure,)).decision()) == ["nose_species_differs"]
    assert dog.with_facts(noses=(unsure,)).decision().outcome is Outcome.PAY
    assert PET.with_policy(pet=InsuredPet("cat")).with_facts(noses=(sure,)).decision().outcome is Outcome.PAY
    assert PET.with_facts(noses=(sure,)).decision().outcome is Outcome.PAY  # no pet is recorded with the policy


@pytest.mark.parametrize(
    ("months", "outcome"), [(2, Outcome.REFER), (3, Outcome.PAY), (120, Outcome.PAY), (121, Outcome.REFER)]
)
def test_the_age_on_the_first_day_of_the_cover_is_checked(months: int, outcome: Outcome) -> None:
    first = (PET.policy.starts_at + timedelta(hours=8)).date()
    years, month = divmod(12 * first.year + first.month - 1 - months, 12)
    born_on = date(years, month + 1, min(first.day, 28))
    assert PET.with_policy(pet=InsuredPet("dog", born_on)).decision().outcome is outcome


def test_a_cat_is_insured_like_a_dog_and_what_nobody_said_is_not_checked() -> None:
    for species in ("dog", "cat"):
        assert PET.with_policy(pet=InsuredPet(species)).decision().outcome is Outcome.PAY
    assert PET.product.pet is not None
    dogs = PET.product.model_copy(update={"pet": PET.product.pet.model_copy(update={"species": ("dog",)})})
    cat = replace(PET, product=dogs).with_policy(pet=InsuredPet("cat"))
    assert carried(cat.decision()) == ["pet_species_not_covered"]


@pytest.mark.parametrize(
    ("born_on", "day", "months"),
    [
        (date(2026, 1, 31), date(2026, 4, 30), 2),
        (date(2026, 1, 31), date(2026, 5, 1), 3),
        (date(2020, 2, 29), date(2021, 2, 28), 11),
        (date(2026, 5, 2), date(2026, 5, 1), -1),
    ],
)
def test_months_are_full_months(born_on: date, day: date, months: int) -> None:
    assert months_between(born_on, day) == months
