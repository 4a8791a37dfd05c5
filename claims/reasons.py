"""Every reason code with its ground and the outcome it pulls to, and the precedence among them
(docs/decisions/0002-precedence.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from claims.decision import Ground, Outcome, Reason
from claims.fraud.signals.registry import SIGNALS
from claims.money import Money


@dataclass(frozen=True, slots=True)
class Code:
    ground: Ground
    pulls: Outcome


def _codes(ground: Ground, pulls: Outcome, names: str) -> dict[str, Code]:
    return {name: Code(ground, pulls) for name in names.split()}


# In order of weight: among reasons of one rank the earlier code is named first.
CODES: Mapping[str, Code] = MappingProxyType(
    _codes(
        Ground.CONTRACT,
        Outcome.DECLINE,
        "peril_not_covered cover_not_begun cover_ended waiting_period_not_over claimed_too_late limit_exhausted"
        " days_exhausted hospital_excluded below_deductible",
    )
    | _codes(
        Ground.SUSPICION,
        Outcome.REFER,
        "photo_of_another_claim photo_from_web photo_from_stock photo_of_own_earlier_claim photo_copy_unattributed"
        " photo_of_an_enrolment photo_in_flood photo_signs_combined order_of_another_claimant claimant_under_two_ids"
        " paper_claimed_before digits_look_edited nose_replayed nose_of_another_pet pet_not_insured"
        " patient_is_not_insured owner_is_not_insured buyer_is_not_insured recipient_is_not_insured"
        " sender_is_not_insured",
    )
    | {signal.reason: Code(Ground.SUSPICION, Outcome.REFER) for signal in SIGNALS.values()}
    | _codes(
        Ground.EVIDENCE,
        Outcome.ASK,
        "photos_missing paper_missing paper_kind_missing nose_missing photo_of_another_thing photo_unreadable"
        " paper_unreadable"
        " paper_no_paid_bill paper_of_other_kind paper_fields_missing paper_read_unsure paper_doubtful nose_unreadable"
        " nose_unlike",
    )
    | _codes(
        Ground.EVIDENCE,
        Outcome.REFER,
        "paper_reversed paper_is_a_copy paper_state_unread"
        " items_do_not_sum capital_amount_differs insurance_and_cash_do_not_sum papers_disagree paper_date_implausible"
        " net_and_tax_do_not_sum price_and_discount_do_not_fit stay_days_differ paper_code_differs"
        " paper_text_layer_differs paper_check_failed papers_contradict paper_dates_out_of_order order_number_differs"
        " paper_not_accepted paper_currency_differs paper_currency_unknown"
        " photo_maybe_copied paper_date_outside_cover photo_older_than_event event_after_claim nose_unsure"
        " nose_species_differs pet_species_not_covered pet_age_not_covered"
        " nose_enrolment_missing order_claimed_before order_value_paid same_event_claimed_before"
        " same_scene_claimed_before"
        " cover_recorded_after_event cover_changed_after_event could_not_check photo_unmeasured photo_sign_unmeasured"
        " paper_unmeasured nose_unmeasured fraud_unmeasured asked_enough"
        " benefit_unknown policy_does_not_fit currency_differs insured_value_missing",
    )
    | _codes(Ground.LIMIT, Outcome.REFER, "low_credit_many_claims above_auto_pay paid_more_already claim_stopped")
    | _codes(
        Ground.CLEAR,
        Outcome.PAY,
        "nose_recognised paper_in_order photo_beside_the_claim photo_unseen photo_similar cover_in_force"
        " within_auto_pay counts_in_order credit_in_order credit_low credit_unscored photo_of_withdrawn_claim"
        " photo_sign_noted photo_shows_common photo_of_same_scene photo_is_common photo_copy_rejected"
        " photo_set_aside paper_set_aside nose_set_aside"
        " name_shown_masked hospital_designated hospital_undesignated paper_of_excluded_hospital",
    )
    | {
        "person_approved": Code(Ground.PERSON, Outcome.PAY),
        "person_refused": Code(Ground.PERSON, Outcome.DECLINE),
        "person_asked": Code(Ground.PERSON, Outcome.ASK),
    }
)
_WEIGHT = {code: place for place, code in enumerate(CODES)}


def reason(
    code: str, value: str = "", threshold: str = "", *, evidence_id: str = "", clause: str = "", detail: str = ""
) -> Reason:
    """Return a reason with the ground and outcome of its code."""
    known = CODES[code]
    # str(): an enum's value, not the enum, so that a decision and its replay are equal as records, too.
    return Reason(code, known.ground, known.pulls, str(value), str(threshold), evidence_id, clause, str(detail))


def rank(judged: Reason) -> int:
    """Return the precedence, 0 first: contract, suspicion, questions, other doubts, clear.

    Suspicion goes before questions, so that whoever sends a known photo is not told what else to send.
    """
    if judged.pulls is Outcome.DECLINE:
        return 0
    if judged.pulls is Outcome.REFER:
        return 1 if judged.ground is Ground.SUSPICION else 3
    return 2 if judged.pulls is Outcome.ASK else 4


def in_order(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons without duplicates, those that carried the outcome first, in an order that does not depend on
    that of the facts."""
    return tuple(
        sorted(
            set(reasons),
            key=lambda judged: (rank(judged), _WEIGHT[judged.code], judged.evidence_id, judged.value, judged.detail),
        )
    )


def asked_enough(reasons: Iterable[Reason], rounds_asked: int, rounds_max: int) -> tuple[Reason, ...]:
    """Turn questions into referrals after `rounds_max` rounds of asking: what is still missing goes to a person."""
    gathered = tuple(reasons)
    if rounds_asked < rounds_max or not any(judged.pulls is Outcome.ASK for judged in gathered):
        return gathered
    turned = tuple(
        replace(judged, pulls=Outcome.REFER) if judged.pulls is Outcome.ASK else judged for judged in gathered
    )
    return (*turned, reason("asked_enough", str(rounds_asked), f"< {rounds_max}"))


def after_payment(reasons: Iterable[Reason], due: Money, held_minor: int, stopped_by: str) -> tuple[Reason, ...]:
    """Refer a claim that was paid before instead of declining, lowering or paying it again automatically: a person
    decides if money comes back. held_minor: what it was paid; stopped_by: what bank and books disagree about."""
    gathered = tuple(reasons)
    if stopped_by:
        gathered = (*gathered, reason("claim_stopped", stopped_by))
    declines = any(judged.pulls is Outcome.DECLINE for judged in gathered)
    pays = all(judged.pulls is Outcome.PAY for judged in gathered)
    if held_minor <= 0 or not (declines or (pays and due.minor < held_minor)):
        return gathered
    turned = tuple(
        replace(judged, pulls=Outcome.REFER) if judged.pulls is Outcome.DECLINE else judged for judged in gathered
    )
    now_due = 0 if declines else due.minor
    paid = reason("paid_more_already", f"{held_minor} {due.currency}", f"<= {now_due} {due.currency}")
    return (*turned, paid)
