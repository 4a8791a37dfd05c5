"""Another photo of the same scene: a fact that counts by whose it is, and a suspicion against nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims import decide, explain
from claims.claim import Status
from claims.decision import Decision, Ground, Outcome
from claims.disclosure import for_claimant, for_outsiders
from claims.evidence import (
    CreditFact,
    FraudFact,
    MatchOwner,
    MatchRuling,
    PhotoMatch,
    PhotoVerdict,
    ProvenanceSign,
    RepeatFact,
    SharingClaim,
    SignKind,
)
from claims.floods import counts as counts_in_a_flood
from claims.fraud.signals.registry import SIGNALS
from claims.rules import RULES
from claims.texts import languages
from claims.wire import canonical
from fixtures.cases import Case, counts, in_order, match, photo

FOOD = in_order("fresh_food_rot")
OTHERS = [MatchOwner.OTHER_CLAIMANT, MatchOwner.WEB, MatchOwner.STOCK]


def scene(owner: MatchOwner, **changes: object) -> PhotoMatch:
    """Returns a match with another photo of the scene, which by its probability would be a copy."""
    other = replace(
        match(owner, PhotoVerdict.SAME_SCENE),
        claim_id="" if owner in (MatchOwner.WEB, MatchOwner.STOCK) else "claim-0",
        claim_status="" if owner in (MatchOwner.WEB, MatchOwner.STOCK) else "paid",
        transform="",
        tight_inliers=77,
        tight_ratio=0.54,
        rigid_ratio=0.31,
        contained_ratio=0.93,
        pdq_bits=120,
    )
    return replace(other, **changes)  # type: ignore[arg-type]


def with_scenes(*matches: PhotoMatch, case: Case = FOOD) -> Case:
    return case.with_facts(photos=(photo("photo-0", matches[0].verdict, matches), *case.facts.photos[1:]))


def codes(decision: Decision) -> list[str]:
    return [why.code for why in decision.reasons]


@pytest.mark.parametrize("owner", [*OTHERS, MatchOwner.OWN_EARLIER_CLAIM])
def test_the_same_parcel_station_in_two_peoples_photos_is_paid_with_a_note(owner: MatchOwner) -> None:
    decision = with_scenes(scene(owner)).decision()
    assert (decision.outcome, decision.payout) == (Outcome.PAY, FOOD.decision().payout)
    (noted,) = [why for why in decision.reasons if why.code == "photo_of_same_scene"]
    assert (noted.ground, noted.value) == (Ground.CLEAR, f"{owner.value}, 143 points agree")
    assert {why.ground for why in decision.reasons} == {Ground.CLEAR}


@given(
    st.sampled_from([*OTHERS, MatchOwner.OWN_EARLIER_CLAIM]),
    st.integers(350, 950),
    st.sampled_from(list(SIGNALS)),
    st.integers(0, 100),
    st.integers(0, 60),
    st.integers(500, 60_000),
    st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_what_somebody_else_photographed_changes_neither_fraud_nor_credit_nor_money(
    owner: MatchOwner, score: int, key: str, claims: int, claimants: int, minor: int, probability: float
) -> None:
    case = in_order("fresh_food_rot", claimed_minor=minor).with_facts(
        credit=CreditFact(score, (), "card"), fraud=FraudFact(counts(**{key: (claims, claimants)}))
    )
    alone, beside = case.decision(), with_scenes(scene(owner, probability=probability), case=case).decision()
    assert (beside.outcome, beside.payout, beside.benefit) == (alone.outcome, alone.payout, alone.benefit)
    photos = {"photo_unseen", "photo_of_same_scene"}
    assert [why for why in beside.reasons if why.code not in photos] == [
        why for why in alone.reasons if why.code not in photos
    ]


def test_a_roll_of_one_claimant_is_one_note() -> None:
    """Twelve photos of one kitchen table, in this claim and in the one of last month."""
    roll = [scene(MatchOwner.OWN_EARLIER_CLAIM, photo_id=f"roll-{n}", inliers=20 + n) for n in range(5)]
    decision = with_scenes(*roll).decision()
    assert decision.outcome is Outcome.PAY
    assert [(why.value, why.detail) for why in decision.reasons if why.code == "photo_of_same_scene"] == [
        ("own_earlier_claim, 24 points agree", "claim claim-0")
    ]


def test_own_and_others_scenes_are_noted_apart_in_any_order() -> None:
    both = (scene(MatchOwner.OWN_EARLIER_CLAIM), scene(MatchOwner.OTHER_CLAIMANT, photo_id="library-2"))
    decision = with_scenes(*both).decision()
    assert codes(decision).count("photo_of_same_scene") == 2
    assert canonical(with_scenes(*reversed(both)).decision()) == canonical(decision)


@pytest.mark.parametrize("status", ["submitted", "referred", "approved", "paid", "declined", ""])
def test_one_scene_in_two_claims_about_one_event_is_a_doubt_that_a_person_settles(status: str) -> None:
    """One rotten box, photographed for two orders of the same days."""
    decision = with_scenes(scene(MatchOwner.SAME_EVENT, claim_id="claim-0", claim_status=status)).decision()
    assert (decision.outcome, codes(decision)[0], decision.payout.minor) == (
        Outcome.REFER, "same_scene_claimed_before", 0
    )  # fmt: skip
    assert decision.reasons[0].ground is Ground.EVIDENCE
    assert not any(why.ground is Ground.SUSPICION for why in decision.reasons)
    assert decision.reasons[0].value == f"claim claim-0 is {status or 'of unknown status'}"


def test_a_withdrawn_claim_about_the_event_is_closed_unless_it_was_paid() -> None:
    closed = scene(MatchOwner.SAME_EVENT, claim_status=str(Status.WITHDRAWN))
    assert with_scenes(closed).decision().outcome is Outcome.PAY
    paid = with_scenes(replace(closed, claim_paid=True)).decision()
    assert (paid.outcome, paid.reasons[0].value) == (Outcome.REFER, "claim claim-0 is withdrawn, paid")


def test_where_the_terms_pay_an_event_more_than_once_its_scene_may_come_again() -> None:
    """Several bills of one illness, each photographed on the same desk."""
    medical = in_order("outpatient_medical")
    assert medical.product.claims_per_event_max is None
    beside = medical.with_facts(photos=(photo("p", PhotoVerdict.SAME_SCENE, [scene(MatchOwner.SAME_EVENT)]),))
    assert (beside.decision().outcome, "photo_of_same_scene" in codes(beside.decision())) == (Outcome.PAY, True)


def test_the_same_goods_of_one_order_are_referred_by_the_order_and_shown_as_one_scene() -> None:
    sharing = SharingClaim("claim-0", order=True, event=False, status="paid", paid_minor=8_000, earlier=True,
                      same_claimant=True)  # fmt: skip
    again = with_scenes(scene(MatchOwner.OWN_EARLIER_CLAIM)).with_facts(repeats=RepeatFact((sharing,)))
    decision = again.decision()
    assert (decision.outcome, codes(decision)[0]) == (Outcome.REFER, "order_claimed_before")
    assert "photo_of_same_scene" in codes(decision)


def test_a_copy_beside_a_scene_carries_the_decision() -> None:
    for first, second in ((0, 1), (1, 0)):
        both = (scene(MatchOwner.OWN_EARLIER_CLAIM), match(MatchOwner.OTHER_CLAIMANT))
        decision = with_scenes(both[first], both[second]).decision()
        assert (decision.outcome, codes(decision)[0]) == (Outcome.REFER, "photo_of_another_claim")


def test_a_person_who_sees_a_copy_in_a_scene_is_believed_and_one_who_sees_none_settles_the_doubt() -> None:
    sure = with_scenes(scene(MatchOwner.OTHER_CLAIMANT, ruling=MatchRuling.CONFIRM)).decision()
    assert (sure.outcome, codes(sure)[0]) == (Outcome.REFER, "photo_of_another_claim")
    assert sure.reasons[0].detail.endswith("confirmed by a person")
    assert "photo_of_same_scene" not in codes(sure)
    settled = with_scenes(scene(MatchOwner.SAME_EVENT, ruling=MatchRuling.REJECT)).decision()
    assert settled.outcome is Outcome.PAY


@pytest.mark.parametrize("owner", list(MatchOwner))
def test_scenes_make_no_flood(owner: MatchOwner) -> None:
    assert not counts_in_a_flood(scene(owner))


def test_points_that_fit_exactly_bring_the_pair_before_a_person_however_improbable_a_copy() -> None:
    """67 of 80 points agree under a sticker."""
    similar = replace(
        match(MatchOwner.OTHER_CLAIMANT, PhotoVerdict.SIMILAR),
        probability=0.005,
        inliers=67,
        tight_inliers=RULES.photo_maybe_copied_inliers_min,
        tight_ratio=0.95,
        contained_ratio=1.0,
        pdq_bits=120,
    )
    decision = with_scenes(similar).decision()
    assert (decision.outcome, codes(decision)[0]) == (Outcome.REFER, "photo_maybe_copied")
    assert (decision.reasons[0].value, decision.reasons[0].threshold) == (
        "similar, probability 0.0050, 67 points agree, 15 exactly",
        "< 15 points exactly",
    )
    fewer = replace(similar, tight_inliers=RULES.photo_maybe_copied_inliers_min - 1)
    assert with_scenes(fewer).decision().outcome is Outcome.PAY


def test_likeness_alone_is_paid_with_a_note() -> None:
    """Bananas on white: three points, and a PDQ far off."""
    alike = replace(match(MatchOwner.OTHER_CLAIMANT, PhotoVerdict.SIMILAR), probability=0.98, inliers=3, pdq_bits=74)
    decision = with_scenes(alike).decision()
    assert (decision.outcome, "photo_similar" in codes(decision)) == (Outcome.PAY, True)
    assert with_scenes(replace(alike, pdq_bits=20)).decision().outcome is Outcome.REFER


def test_decisions_on_scenes_replay() -> None:
    for owner in MatchOwner:
        case = with_scenes(scene(owner))
        recorded = decide.inputs(case.insured, case.facts, RULES, case.now)
        assert decide.replay(recorded) == canonical(case.decision())


def test_an_adjuster_reads_whose_the_other_photo_is_and_a_claimant_nothing_of_it() -> None:
    decision = with_scenes(scene(MatchOwner.OTHER_CLAIMANT)).decision()
    (noted,) = [why for why in decision.reasons if why.code == "photo_of_same_scene"]
    assert explain.reason_text(noted, "en") == (
        "the same scene was photographed another time, and neither photo is a copy of the other: "
        "another claimant's photo, 143 points agree"
    )
    assert explain.reason_text(noted, "zh") == ("同一场景另有照片，两者互不为复制件：他人的照片，143 处特征点一致")
    assert explain.detail_text(noted, "en") == "claim claim-0"
    assert "claim-0" not in canonical(for_outsiders(noted)).decode()
    for lang in languages():
        assert explain.claimant_text(noted, lang) == explain.claimant_text(
            FOOD.decision().reasons[codes(FOOD.decision()).index("photo_unseen")], lang
        )


@pytest.mark.parametrize("owner", OTHERS)
def test_to_a_claimant_a_photo_of_the_same_scene_is_like_any_photo_in_order(owner: MatchOwner) -> None:
    told = for_claimant(with_scenes(scene(owner), scene(MatchOwner.OWN_EARLIER_CLAIM)).decision().reasons)
    assert told == for_claimant(FOOD.decision().reasons) == FOOD.decision().reasons


def test_what_else_is_judged_of_a_photo_does_not_betray_that_it_shows_somebody_elses_scene() -> None:
    old = photo("photo-0", taken_at=datetime(2026, 11, 10, 12, 0))
    resembling = replace(old, verdict=PhotoVerdict.SAME_SCENE, matches=(scene(MatchOwner.OTHER_CLAIMANT),))
    told, alone = (for_claimant(FOOD.with_facts(photos=(sent,)).decision().reasons) for sent in (resembling, old))
    assert told == alone
    moire = ProvenanceSign(SignKind.RECAPTURE, "found", "moire", "pattern", 1.2, (("fine_pattern", "1.20"),))
    plain = replace(photo("photo-0"), signs=(moire,))
    resembling = replace(resembling, taken_at=plain.taken_at, signs=(moire,))
    told, alone = (for_claimant(FOOD.with_facts(photos=(sent,)).decision().reasons) for sent in (resembling, plain))
    assert told == alone


def test_a_claimant_is_not_told_how_near_a_photo_is_to_one_of_somebody_else() -> None:
    maybe = replace(match(MatchOwner.OTHER_CLAIMANT, PhotoVerdict.SIMILAR), probability=0.7)
    (told,) = [why for why in for_claimant(with_scenes(maybe).decision().reasons) if why.code == "photo_maybe_copied"]
    assert (told.value, told.threshold, told.detail) == ("", "", "")
