"""Cases for every outcome, with the deciding reasons. General properties: test_decide_properties.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from claims.catalogue import load_catalogue
from claims.decision import Decision, Ground, Outcome
from claims.evidence import (
    CreditFact,
    FraudFact,
    MatchOwner,
    PhotoVerdict,
    UnmeasuredFact,
    UnmeasuredNose,
    UnmeasuredPaper,
    UnmeasuredPhoto,
)
from claims.rules import RULES
from fixtures.cases import INSURED, NOW, counts, in_order, invoice, match, nose, photo, receipt, slip, yuan

LOST_PHOTO = UnmeasuredPhoto("photo-9", "photo-9.jpg", "9" * 64, "truncated after 12 kB", retryable=True)
BLURRED = UnmeasuredPaper("paper-9", "paper-9.jpg", "9" * 64, "too blurred to read", retryable=True)


def carried(decision: Decision) -> list[str]:
    """Returns the codes of the reasons that carried the outcome."""
    first = decision.reasons[0]
    return [reason.code for reason in decision.reasons if (reason.pulls, reason.ground) == (first.pulls, first.ground)]


@pytest.mark.parametrize(
    ("key", "payout_minor"),
    [
        ("fresh_food_rot", 8_000),
        ("cosmetics_allergy", 8_000),
        ("parcel_damage", 7_000),  # 80.00 less the deductible of 10.00
        ("return_freight", 1_200),
        ("outpatient_medical", 40_000),  # (600.00 - 100.00) at 80%
        ("pet_medical", 2_100),  # (80.00 - 50.00) at 70%
    ],
)
def test_claim_in_order_is_paid(key: str, payout_minor: int) -> None:
    decision = in_order(key).decision()
    assert (decision.outcome, decision.payout) == (Outcome.PAY, yuan(payout_minor))
    assert {reason.ground for reason in decision.reasons} == {Ground.CLEAR}


# Contract


def test_peril_that_is_not_covered_is_declined_with_its_clause() -> None:
    decision = in_order("fresh_food_rot").with_claim(peril="taste").decision()
    assert (decision.outcome, decision.payout.minor) == (Outcome.DECLINE, 0)
    first = decision.reasons[0]
    assert (first.code, first.clause, first.value) == ("peril_not_covered", "2.1", "taste")


def test_event_in_the_waiting_period_is_declined_with_its_clause_and_the_first_covered_day() -> None:
    decision = in_order("outpatient_medical").with_policy(starts_at=NOW - timedelta(days=10)).decision()
    assert decision.outcome is Outcome.DECLINE
    first = decision.reasons[0]
    assert (first.code, first.clause) == ("waiting_period_not_over", "1.3")
    assert (first.value, first.threshold) == ("2026-11-19", ">= 2026-12-10")


def test_event_before_the_cover_is_declined() -> None:
    case = in_order("fresh_food_rot").with_policy(starts_at=NOW - timedelta(hours=2))
    assert carried(case.decision()) == ["cover_not_begun"]


def test_event_at_the_instant_the_cover_ends_is_declined() -> None:
    case = in_order("fresh_food_rot")
    assert carried(case.with_policy(ends_at=case.claim.occurred_at).decision()) == ["cover_ended"]
    just_in = case.with_policy(ends_at=case.claim.occurred_at + timedelta(microseconds=1))
    assert just_in.decision().outcome is Outcome.PAY


def test_claim_that_comes_too_late_is_declined() -> None:
    decision = in_order("fresh_food_rot").with_claim(occurred_at=NOW - timedelta(days=5)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.DECLINE, ["claimed_too_late"])


def test_used_up_sum_insured_is_declined() -> None:
    decision = in_order("outpatient_medical").with_cover(paid_to_date_minor=2_000_000).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.DECLINE, ["limit_exhausted"])


def test_loss_within_the_deductible_is_declined_on_the_contract() -> None:
    decision = in_order("parcel_damage", claimed_minor=1_000).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.DECLINE, ["below_deductible"])


def test_bill_paid_by_the_state_insurance_leaves_nothing_due() -> None:
    case = in_order("outpatient_medical").with_facts(papers=(invoice(60_000, 55_000),))
    assert carried(case.decision()) == ["below_deductible"]


def test_bill_that_seems_too_small_but_does_not_add_up_is_not_declined() -> None:
    doubtful = invoice(9_000, failed=["items_sum_to_total"])
    decision = in_order("outpatient_medical").with_facts(papers=(doubtful,)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["items_do_not_sum"])


def test_contract_ground_decides_although_the_photo_is_a_copy_and_both_are_on_record() -> None:
    case = in_order("fresh_food_rot").with_claim(peril="taste")
    copied = photo("photo-0", PhotoVerdict.SAME_BYTES, [match(MatchOwner.OTHER_CLAIMANT)])
    decision = case.with_facts(photos=(copied,)).decision()
    assert [reason.code for reason in decision.reasons[:2]] == ["peril_not_covered", "photo_of_another_claim"]
    assert decision.outcome is Outcome.DECLINE


# Photos


@pytest.mark.parametrize(
    ("owner", "code"),
    [
        (MatchOwner.OTHER_CLAIMANT, "photo_of_another_claim"),
        (MatchOwner.OWN_EARLIER_CLAIM, "photo_of_own_earlier_claim"),
        (MatchOwner.WEB, "photo_from_web"),
        (MatchOwner.STOCK, "photo_from_stock"),
    ],
)
@pytest.mark.parametrize("verdict", [PhotoVerdict.SAME_BYTES, PhotoVerdict.SAME_PICTURE, PhotoVerdict.EDITED_COPY])
def test_copy_of_a_known_photo_is_referred_not_paid(owner: MatchOwner, code: str, verdict: PhotoVerdict) -> None:
    case = in_order("fresh_food_rot").with_facts(photos=(photo("photo-0", verdict, [match(owner, verdict)]),))
    decision = case.decision()
    assert (decision.outcome, carried(decision), decision.payout.minor) == (Outcome.REFER, [code], 0)
    assert decision.reasons[0].value == f"{verdict.value}, probability 0.9987, 143 points agree"
    assert decision.reasons[0].evidence_id == "photo-0"


def test_photo_twice_in_one_claim_is_no_copy_but_counts_once() -> None:
    twice = photo("photo-0", PhotoVerdict.UNSEEN, [match(MatchOwner.SAME_CLAIM, PhotoVerdict.SAME_BYTES)])
    case = in_order("fresh_food_rot").with_facts(photos=(twice, replace(twice, evidence_id="photo-1")))
    assert case.decision().outcome is Outcome.PAY
    two_needed = case.product.evidence.model_copy(update={"photos_min": 2})
    stricter = replace(case, product=case.product.model_copy(update={"evidence": two_needed}))
    assert carried(stricter.decision()) == ["photos_missing"]


def test_copy_of_nothing_that_can_be_named_is_referred() -> None:
    case = in_order("fresh_food_rot").with_facts(photos=(photo("photo-0", PhotoVerdict.EDITED_COPY),))
    assert carried(case.decision()) == ["photo_copy_unattributed"]


def test_photo_that_only_looks_alike_is_paid() -> None:
    beside = replace(match(MatchOwner.WEB, PhotoVerdict.SIMILAR), probability=RULES.photo_maybe_copied_min - 0.001)
    alike = photo("photo-0", PhotoVerdict.SIMILAR, [beside])
    assert in_order("fresh_food_rot").with_facts(photos=(alike,)).decision().outcome is Outcome.PAY


def test_photo_taken_days_before_the_event_is_referred() -> None:
    old = photo("photo-0", taken_at=datetime(2026, 11, 10, 12, 0))
    decision = in_order("fresh_food_rot").with_facts(photos=(old,)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["photo_older_than_event"])
    day_before = photo("photo-0", taken_at=datetime(2026, 11, 18, 23, 0))  # a camera's clock in another time zone
    assert in_order("fresh_food_rot").with_facts(photos=(day_before,)).decision().outcome is Outcome.PAY


def test_missing_photo_is_asked_for() -> None:
    decision = in_order("fresh_food_rot").with_facts(photos=()).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.ASK, ["photos_missing"])


def test_unreadable_photo_is_asked_for_again_and_set_aside_once_another_came() -> None:
    case = in_order("fresh_food_rot").with_facts(photos=(LOST_PHOTO,))
    assert (case.decision().outcome, carried(case.decision())) == (Outcome.ASK, ["photo_unreadable"])
    both = case.with_facts(photos=(LOST_PHOTO, photo())).decision()
    assert both.outcome is Outcome.PAY
    assert "photo_set_aside" in [reason.code for reason in both.reasons]


def test_photo_that_no_better_photo_would_help_is_referred() -> None:
    broken = replace(LOST_PHOTO, reason="the decoder could not be started", retryable=False)
    decision = in_order("fresh_food_rot").with_facts(photos=(broken,)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["photo_unmeasured"])


def test_suspicion_goes_before_questions() -> None:
    copied = photo("photo-0", PhotoVerdict.EDITED_COPY, [match(MatchOwner.WEB)])
    decision = in_order("parcel_damage").with_facts(photos=(copied,), papers=()).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["photo_from_web"])
    assert "paper_missing" in [reason.code for reason in decision.reasons]


def test_questions_go_before_doubts() -> None:
    case = in_order("parcel_damage", claimed_minor=150_000).with_policy(insured_value=yuan(200_000))
    assert carried(case.decision()) == ["above_auto_pay"]
    decision = case.with_facts(papers=()).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.ASK, ["paper_missing"])


# Papers


def test_paper_number_claimed_before_is_referred_however_unsure_the_reading() -> None:
    known = invoice(confidence=0.4, claimed_before=["claim-0"])
    decision = in_order("outpatient_medical").with_facts(papers=(known,)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["paper_claimed_before"])


@pytest.mark.parametrize(
    ("check", "code"),
    [
        ("items_sum_to_total", "items_do_not_sum"),
        ("capital_amount_equals_total", "capital_amount_differs"),
        ("insurance_and_cash_equal_total", "insurance_and_cash_do_not_sum"),
        ("date_is_plausible", "paper_date_implausible"),
    ],
)
def test_paper_that_contradicts_itself_is_referred(check: str, code: str) -> None:
    decision = in_order("outpatient_medical").with_facts(papers=(invoice(failed=[check]),)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, [code])


def test_bill_of_another_patient_is_referred() -> None:
    decision = in_order("outpatient_medical").with_facts(papers=(invoice(patient="王建国"),)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["patient_is_not_insured"])


def test_masked_name_that_fits_is_the_insured() -> None:
    assert in_order("outpatient_medical").with_facts(papers=(invoice(patient="林*英"),)).decision().outcome == "pay"
    other = in_order("outpatient_medical").with_facts(papers=(invoice(patient="***"),))
    assert carried(other.decision()) == ["patient_is_not_insured"]


@pytest.mark.parametrize("date", ["2026-08-20", "2026-11-25", "2027-10-01"])  # waiting period, future, after the cover
def test_bill_dated_outside_the_cover_is_referred(date: str) -> None:
    decision = in_order("outpatient_medical").with_facts(papers=(invoice(date=date),)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["paper_date_outside_cover"])


def test_paper_read_below_the_confidence_is_asked_for_again() -> None:
    decision = in_order("outpatient_medical").with_facts(papers=(invoice(confidence=0.5),)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.ASK, ["paper_read_unsure"])
    assert (decision.reasons[0].value, decision.reasons[0].threshold) == ("0.50", ">= 0.80")


def test_slip_that_shows_no_money_is_judged_by_its_number_and_date() -> None:
    plain = replace(slip(), read_confidence=0.0)
    assert in_order("parcel_damage").with_facts(papers=(plain,)).decision().outcome is Outcome.PAY
    faint = replace(plain, fields=tuple(replace(field, confidence=0.6) for field in plain.fields))
    assert carried(in_order("parcel_damage").with_facts(papers=(faint,)).decision()) == ["paper_read_unsure"]


def test_paper_without_its_total_is_asked_for_again() -> None:
    decision = in_order("outpatient_medical").with_facts(papers=(invoice(missing=["total_minor"]),)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.ASK, ["paper_fields_missing"])


def test_part_of_the_state_insurance_that_nobody_read_is_not_zero() -> None:
    half = invoice(60_000, 30_000)
    unread = replace(half, fields=tuple(f for f in half.fields if not f.name.startswith(("insurance", "cash"))))
    decision = in_order("outpatient_medical").with_facts(papers=(unread,)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.ASK, ["paper_fields_missing"])
    assert decision.reasons[0].value == "insurance_paid_minor"


def test_paper_of_another_kind_is_asked_to_be_replaced() -> None:
    decision = in_order("parcel_damage").with_facts(papers=(receipt(),)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.ASK, ["paper_of_other_kind"])


def test_back_page_of_a_file_whose_bill_was_read_is_set_aside() -> None:
    back = replace(receipt(), kind="unknown")
    decision = in_order("outpatient_medical").with_facts(papers=(invoice(), back)).decision()
    assert decision.outcome is Outcome.PAY
    assert "paper_set_aside" in [reason.code for reason in decision.reasons]


def test_unreadable_bill_is_asked_for_once_then_the_readable_one_is_paid() -> None:
    first = in_order("outpatient_medical").with_facts(papers=(BLURRED,))
    assert (first.decision().outcome, carried(first.decision())) == (Outcome.ASK, ["paper_unreadable"])
    second = first.with_facts(papers=(BLURRED, invoice())).with_cover(rounds_asked=1).decision()
    assert (second.outcome, second.payout) == (Outcome.PAY, yuan(40_000))


def test_after_two_rounds_of_asking_a_person_decides() -> None:
    case = in_order("outpatient_medical").with_facts(papers=(BLURRED,)).with_cover(rounds_asked=2)
    decision = case.decision()
    assert decision.outcome is Outcome.REFER
    assert carried(decision) == ["paper_unreadable", "asked_enough"]


def test_one_bill_photographed_twice_is_paid_once() -> None:
    case = in_order("outpatient_medical", claimed_minor=120_000)
    twice = case.with_facts(papers=(invoice(), invoice(evidence_id="paper-1"))).decision()
    assert twice.payout == yuan(40_000)
    two = case.with_facts(papers=(invoice(), invoice(evidence_id="paper-1", number="9876543210"))).decision()
    assert two.payout == yuan(88_000)


def test_pages_of_one_file_come_out_alike_in_any_order() -> None:
    pages = (receipt(9_000), receipt(7_000))
    case = in_order("pet_medical", claimed_minor=20_000)
    assert case.with_facts(papers=pages).decision() == case.with_facts(papers=pages[::-1]).decision()


def test_two_pictures_of_one_bill_with_different_totals_are_referred() -> None:
    papers = (invoice(60_000), invoice(80_000, evidence_id="paper-1"))
    assert carried(in_order("outpatient_medical").with_facts(papers=papers).decision()) == ["papers_disagree"]


def test_return_is_paid_with_a_slip_or_a_photo_and_asks_when_there_is_neither() -> None:
    case = in_order("return_freight")
    sent = slip(sender=INSURED, recipient="鲜果小铺")
    assert case.with_facts(photos=(), papers=(sent,)).decision().outcome is Outcome.PAY
    assert case.with_facts(photos=(photo(),), papers=()).decision().outcome is Outcome.PAY
    assert carried(case.with_facts(photos=(), papers=()).decision()) == ["photos_missing"]
    assert carried(case.with_facts(photos=(), papers=(BLURRED,)).decision()) == ["paper_unreadable"]


# Noses


@pytest.mark.parametrize(
    ("similarity", "inliers", "outcome", "code"),
    [
        (0.72, 60, Outcome.PAY, "nose_recognised"),
        (RULES.nose_replay_similarity_min - 0.001, 60, Outcome.PAY, "nose_recognised"),
        (RULES.nose_replay_similarity_min, 60, Outcome.REFER, "nose_replayed"),
        (RULES.nose_accept_similarity_min, RULES.nose_accept_inliers_min, Outcome.PAY, "nose_recognised"),
        (0.72, RULES.nose_accept_inliers_min - 1, Outcome.REFER, "nose_unsure"),
        (RULES.nose_accept_similarity_min - 0.001, 60, Outcome.REFER, "nose_unsure"),
        (RULES.nose_review_similarity_min - 0.001, 60, Outcome.ASK, "nose_unlike"),
        (float("nan"), 60, Outcome.REFER, "nose_unsure"),
    ],
)
def test_nose_is_accepted_reviewed_or_rejected(similarity: float, inliers: int, outcome: Outcome, code: str) -> None:
    decision = in_order("pet_medical").with_facts(noses=(nose(similarity, inliers),)).decision()
    assert (decision.outcome, decision.reasons[0].code) == (outcome, code)


def test_one_recognised_nose_does_not_cover_another_pets_nose() -> None:
    noses = (nose(0.72), nose(0.1, 2, evidence_id="nose-1"))
    assert carried(in_order("pet_medical").with_facts(noses=noses).decision()) == ["nose_unsure"]


def test_blurred_nose_is_asked_for_again_and_set_aside_once_another_came() -> None:
    blurred = UnmeasuredNose("nose-9", "pet-1", "too blurred", retryable=True)
    case = in_order("pet_medical").with_facts(noses=(blurred,))
    assert (case.decision().outcome, carried(case.decision())) == (Outcome.ASK, ["nose_unreadable"])
    assert case.with_facts(noses=(blurred, nose())).decision().outcome is Outcome.PAY


def test_missing_nose_is_asked_for_and_missing_enrolment_is_referred() -> None:
    case = in_order("pet_medical")
    assert carried(case.with_facts(noses=()).decision()) == ["nose_missing"]
    unenrolled = UnmeasuredNose("nose-0", "pet-1", "no enrolment", retryable=False)
    assert carried(case.with_facts(noses=(unenrolled,)).decision()) == ["nose_unmeasured"]
    assert carried(case.with_policy(pet_id="").decision()) == ["nose_enrolment_missing"]
    assert carried(case.with_facts(noses=(nose(pet_id="pet-2"),)).decision()) == ["pet_not_insured"]


# Credit, counts, amount


def test_poor_score_alone_is_paid() -> None:
    poor = CreditFact(350, (), "card")
    decision = in_order("fresh_food_rot").with_facts(credit=poor).decision()
    assert decision.outcome is Outcome.PAY
    assert "credit_low" in [reason.code for reason in decision.reasons]


def test_poor_score_together_with_five_claims_this_week_is_referred() -> None:
    case = in_order("fresh_food_rot").with_facts(
        credit=CreditFact(380, (), "card"), fraud=FraudFact(counts(claimant=(5, 1)))
    )
    assert (case.decision().outcome, carried(case.decision())) == (Outcome.REFER, ["low_credit_many_claims"])
    good = case.with_facts(credit=CreditFact(640, (), "card"))
    assert good.decision().outcome is Outcome.PAY


@pytest.mark.parametrize(
    ("credit", "ceiling_minor"),
    [
        (CreditFact(600, (), "card"), 30_000),
        (UnmeasuredFact("no attributes", retryable=False), 18_000),
        (CreditFact(400, (), "card"), 9_000),
    ],
)
def test_amount_above_the_ceiling_of_ones_standing_is_referred(
    credit: CreditFact | UnmeasuredFact, ceiling_minor: int
) -> None:
    case = in_order("fresh_food_rot").with_policy(insured_value=yuan(50_000)).with_facts(credit=credit)
    assert case.with_claim(amount=yuan(ceiling_minor)).decision().outcome is Outcome.PAY
    above = case.with_claim(amount=yuan(ceiling_minor + 1)).decision()
    assert (above.outcome, carried(above)) == (Outcome.REFER, ["above_auto_pay"])
    assert above.reasons[0].threshold == f"<= {ceiling_minor} CNY"


@pytest.mark.parametrize(
    ("key", "count", "code"),
    [
        ("device", (3, 3), "device_shared"),
        ("payee", (3, 3), "payee_shared"),
        ("address", (31, 2), "address_shared"),
        ("merchant", (61, 10), "merchant_over_limit"),
        ("claimant", (11, 1), "claimant_over_limit"),
    ],
)
def test_crowd_around_a_claim_is_referred(key: str, count: tuple[int, int], code: str) -> None:
    decision = in_order("fresh_food_rot").with_facts(fraud=FraudFact(counts(**{key: count}))).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, [code])


def test_household_that_shares_device_and_account_is_paid() -> None:
    shared = FraudFact(counts(device=(4, 2), payee=(4, 2)))
    assert in_order("fresh_food_rot").with_facts(fraud=shared).decision().outcome is Outcome.PAY


def test_counts_that_nobody_made_are_referred_but_an_empty_device_needs_none() -> None:
    case = in_order("fresh_food_rot")
    assert carried(case.with_facts(fraud=UnmeasuredFact("the store did not answer")).decision()) == ["fraud_unmeasured"]
    no_device = FraudFact(tuple(count for count in counts() if count.key != "device"))
    assert carried(case.with_facts(fraud=no_device).decision()) == ["fraud_unmeasured"]
    assert case.with_facts(fraud=no_device).with_claim(device_id="").decision().outcome is Outcome.PAY


# Records that do not belong together


def test_claim_in_another_currency_is_referred_without_a_sum() -> None:
    case = in_order("fresh_food_rot").with_claim(amount=replace(yuan(8_000), currency="USD"))
    decision = case.decision()
    assert (decision.outcome, carried(decision), decision.benefit) == (Outcome.REFER, ["currency_differs"], ())


def test_policy_of_somebody_else_is_referred() -> None:
    decision = in_order("fresh_food_rot").with_policy(claimant_id="claimant-2").decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["policy_does_not_fit"])


def test_event_after_the_claim_is_referred() -> None:
    decision = in_order("fresh_food_rot").with_claim(occurred_at=NOW).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["event_after_claim"])


def test_policy_without_an_insured_value_is_referred_not_declined() -> None:
    decision = in_order("fresh_food_rot").with_policy(insured_value=yuan(0)).decision()
    assert (decision.outcome, carried(decision)) == (Outcome.REFER, ["insured_value_missing"])


def test_every_product_has_a_case_in_order() -> None:
    assert {key for key in load_catalogue() if in_order(key).decision().outcome is Outcome.PAY} == set(load_catalogue())
