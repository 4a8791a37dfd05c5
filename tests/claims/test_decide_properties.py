"""Properties of every decision, on facts that Hypothesis generates."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from claims import decide as decisions
from claims.catalogue import load_catalogue
from claims.decision import Decision, Ground, Outcome
from claims.errors import UnknownRules
from claims.evidence import (
    CoverFact,
    CreditFact,
    CreditReason,
    Facts,
    FraudFact,
    MatchOwner,
    NoseFact,
    PaperFact,
    PhotoFact,
    PhotoVerdict,
    UnmeasuredFact,
    UnmeasuredNose,
    UnmeasuredPaper,
    UnmeasuredPhoto,
    WindowCount,
)
from claims.reasons import CODES, rank
from claims.rules import RULES
from claims.wire import canonical, from_plain
from fixtures.cases import CHECKS, INSURED, NOW, Case, in_order, invoice, match, photo, receipt, slip, yuan

amounts = st.integers(0, 3_000_000)
ids = st.sampled_from(["a", "b", "c", "d"])
unmeasured = st.builds(UnmeasuredFact, st.text(max_size=8), st.booleans())
instants = st.integers(-500_000, 500_000).map(lambda minutes: NOW + timedelta(minutes=minutes))
numbers = st.floats(-1, 1, allow_nan=False)

photos: st.SearchStrategy[PhotoFact | UnmeasuredPhoto] = st.one_of(
    st.builds(
        photo,
        ids,
        st.sampled_from(PhotoVerdict),
        st.lists(st.builds(match, st.sampled_from(MatchOwner), st.sampled_from(PhotoVerdict)), max_size=2),
        taken_at=st.one_of(st.just(UnmeasuredFact("none")), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1))),
    ),
    st.builds(UnmeasuredPhoto, ids, st.just("n"), st.just("5" * 64), st.text(max_size=8), st.booleans()),
)
dates = st.dates(datetime(2026, 8, 1).date(), datetime(2027, 3, 1).date()).map(str) | st.just("2026-02-30")
invoices = st.builds(
    invoice,
    amounts,
    amounts,
    st.lists(st.tuples(st.sampled_from(["甲", "乙", "丙", "own", ""]), amounts), max_size=4),
    evidence_id=ids,
    number=st.sampled_from(["1", "2", ""]),
    patient=st.sampled_from([INSURED, "王建国", "林*英", ""]),
    date=dates,
    confidence=st.floats(0, 1),
    missing=st.lists(st.sampled_from(["total_minor", "date", "insurance_paid_minor", "cash_paid_minor"]), max_size=2),
    claimed_before=st.lists(st.just("claim-0"), max_size=1),
    failed=st.lists(st.sampled_from(CHECKS), max_size=2),
)
papers: st.SearchStrategy[PaperFact | UnmeasuredPaper] = st.one_of(
    invoices,
    st.builds(slip, ids, number=ids, date=dates),
    st.builds(receipt, amounts, ids, date=dates),
    st.builds(UnmeasuredPaper, ids, st.just("n"), st.just("6" * 64), st.text(max_size=8), st.booleans()),
)
noses = st.one_of(
    st.builds(
        NoseFact, ids, st.sampled_from(["pet-1", "pet-2"]), numbers, st.integers(0, 90), st.integers(0, 5), st.just("m")
    ),
    st.builds(UnmeasuredNose, ids, st.just("pet-1"), st.text(max_size=8), st.booleans()),
)
window_counts = st.builds(
    WindowCount,
    st.sampled_from(["device", "payee", "address", "merchant", "claimant"]),
    st.sampled_from([1, 7, 30, 90]),
    st.integers(0, 100),
    st.integers(0, 60),
)
facts = st.builds(
    Facts,
    cover=st.builds(
        CoverFact, amounts, st.just("CNY"), st.integers(0, 9), st.just(NOW.date()), rounds_asked=st.integers(0, 3)
    ),
    photos=st.lists(photos, max_size=3).map(tuple),
    papers=st.lists(papers, max_size=3).map(tuple),
    noses=st.lists(noses, max_size=2).map(tuple),
    credit=st.one_of(
        unmeasured,
        st.builds(
            CreditFact,
            st.integers(350, 950),
            st.lists(st.builds(CreditReason, ids, ids, st.floats(0, 200)), max_size=2).map(tuple),
            st.just("card"),
        ),
    ),
    fraud=st.one_of(unmeasured, st.builds(FraudFact, st.lists(window_counts, max_size=6).map(tuple))),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draws a case of any product, from a claim in good order to nonsense."""
    case = in_order(draw(st.sampled_from(sorted(load_catalogue()))))
    if draw(st.booleans()):
        case = replace(case, facts=draw(facts))
    else:  # near a claim in order: one kind of fact made up
        changed = draw(st.sampled_from(["cover", "photos", "papers", "noses", "credit", "fraud"]))
        case = case.with_facts(**{changed: getattr(draw(facts), changed)})
    return case.with_claim(
        amount=yuan(draw(st.integers(1, 3_000_000))),
        peril=draw(st.sampled_from([case.claim.peril, "other"])),
        occurred_at=draw(st.one_of(st.just(case.claim.occurred_at), instants)),
    ).with_policy(insured_value=yuan(draw(amounts)), sum_insured=yuan(draw(st.integers(1, 3_000_000))))


def inputs(case: Case) -> bytes:
    return decisions.inputs(case.insured, case.facts, RULES, case.now, ("photo@1", "nose@2"))


def decided(case: Case) -> Decision:
    return decisions.decide(case.insured, case.facts, RULES, case.now, ("photo@1", "nose@2"))


@given(cases())
@settings(max_examples=120, deadline=None)
def test_replay_agrees_byte_for_byte(case: Case) -> None:
    recorded, decision = inputs(case), decided(case)
    assert decisions.replay(recorded) == canonical(decision)
    assert from_plain(Decision, json.loads(canonical(decision))) == decision


@given(cases())
@settings(max_examples=120, deadline=None)
def test_only_the_contract_declines_and_only_clear_claims_are_paid(case: Case) -> None:
    decision = case.decision()
    grounds = {reason.ground for reason in decision.reasons}
    if decision.outcome is Outcome.DECLINE:
        assert decision.reasons[0].ground is Ground.CONTRACT
        assert decision.reasons[0].clause
    if decision.outcome is Outcome.PAY:
        assert grounds == {Ground.CLEAR}
        assert decision.payout.minor > 0
    else:
        assert decision.payout.minor == 0
    assert (Ground.CONTRACT in grounds) == (decision.outcome is Outcome.DECLINE)


@given(cases())
@settings(max_examples=120, deadline=None)
def test_payout_is_never_above_the_claim_the_limits_or_what_is_left(case: Case) -> None:
    decision = case.decision()
    left = max(0, case.policy.sum_insured.minor - case.facts.cover.paid_to_date_minor)
    assert 0 <= decision.payout.minor <= min(case.claim.amount.minor, case.product.per_claim_max_minor, left)
    if case.product.benefit == "stated_amount":
        assert decision.payout.minor <= case.policy.insured_value.minor
    if decision.outcome is Outcome.PAY:
        assert decision.benefit[-1].amount == decision.payout


@given(cases())
@settings(max_examples=120, deadline=None)
def test_reasons_are_known_complete_and_the_deciding_ones_come_first(case: Case) -> None:
    reasons = case.decision().reasons
    assert reasons
    assert [rank(reason) for reason in reasons] == sorted(rank(reason) for reason in reasons)
    assert reasons[0].pulls is case.decision().outcome
    for reason in reasons:
        assert reason.ground is CODES[reason.code].ground
        assert type(reason.value) is str


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_order_of_the_evidence_changes_nothing(case: Case, draw: object) -> None:
    def shuffled(parts: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(draw.sample(parts, len(parts)))  # type: ignore[attr-defined]

    other = case.with_facts(
        photos=shuffled(case.facts.photos), papers=shuffled(case.facts.papers), noses=shuffled(case.facts.noses)
    )
    mine, theirs = case.decision(), other.decision()
    assert (mine.outcome, mine.payout, mine.benefit) == (theirs.outcome, theirs.payout, theirs.benefit)
    assert {reason.code for reason in mine.reasons} == {reason.code for reason in theirs.reasons}


@given(cases(), st.integers(350, 950))
@settings(max_examples=80, deadline=None)
def test_score_changes_neither_a_decline_nor_what_is_due(case: Case, score: int) -> None:
    other = case.with_facts(credit=CreditFact(score, (), "card"))
    mine, theirs = case.decision(), other.decision()
    assert (mine.outcome is Outcome.DECLINE) == (theirs.outcome is Outcome.DECLINE)
    assert [line for line in mine.benefit if line.label != "payout"] == [
        line for line in theirs.benefit if line.label != "payout"
    ]


@given(cases())
@example(in_order("fresh_food_rot"))
@settings(max_examples=50, deadline=None)
def test_photo_known_from_elsewhere_is_never_paid(case: Case) -> None:
    copied = photo("z", PhotoVerdict.SAME_BYTES, [match(MatchOwner.OTHER_CLAIMANT, PhotoVerdict.SAME_BYTES)])
    decision = case.with_facts(photos=(*case.facts.photos, copied)).decision()
    assert decision.outcome in (Outcome.REFER, Outcome.DECLINE)


def test_claim_that_could_not_be_checked_goes_to_a_person_and_replays() -> None:
    case = in_order("fresh_food_rot")
    failed = decisions.UncheckedInputs(case.claim, case.policy, case.product, "photos", "MemoryError", 5, RULES, NOW)
    decision = decisions.could_not_check(failed)
    assert (decision.outcome, decision.reasons[0].code) == (Outcome.REFER, "could_not_check")
    assert decisions.replay(canonical(failed)) == canonical(decision)


def test_inputs_judged_by_other_code_are_not_replayed() -> None:
    case = in_order("fresh_food_rot")
    other = replace(RULES, code=RULES.code + 1)
    recorded = decisions.inputs(case.insured, case.facts, other, NOW.astimezone(UTC))
    with pytest.raises(UnknownRules, match="code 2"):
        decisions.replay(recorded)


def test_decision_of_last_year_replays_with_its_own_thresholds() -> None:
    case = in_order("fresh_food_rot", claimed_minor=20_000)
    strict = replace(RULES, version="0.9", auto_pay_share_unscored=100)
    case = case.with_facts(credit=UnmeasuredFact("none", retryable=False))
    recorded = decisions.inputs(case.insured, case.facts, strict, NOW)
    assert json.loads(decisions.replay(recorded))["outcome"] == "refer"
    assert case.decision(replace(RULES, auto_pay_share_unscored=10_000)).outcome is Outcome.PAY
