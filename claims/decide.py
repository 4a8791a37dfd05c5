"""Turns facts into a decision. Pure: the same inputs give the same bytes, today and in a replay years later.

Precedence (docs/decisions/0002-precedence.md): a plain contract ground declines; suspicion refers; what is missing is
asked for; other doubts refer; what is left is paid. All reasons are gathered, those that carried the outcome first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from claims.benefit import Benefit, Given, cover_deductible_left, line
from claims.benefit_lines import CLAIMED, LOSS, PAYOUT, SET_BY_PERSON
from claims.claim import Claim
from claims.decision import BenefitLine, Decision, Outcome, Reason
from claims.errors import InputsErased, InvalidDecision, OrderValuePaid, UnknownRules
from claims.evidence import Facts, UnmeasuredFact
from claims.formulas.registry import calculate, formula_of, with_terms
from claims.insured_claim import InsuredClaim
from claims.judge import cover, credit, nose, papers, pet, photos, repeats, subject, velocity
from claims.money import Money, smallest
from claims.orders import order_left
from claims.policy import Policy
from claims.product import Product
from claims.reasons import after_payment, asked_enough, in_order, reason
from claims.rules import RULES_CODE, Rules
from claims.wire import canonical, from_plain


@dataclass(frozen=True, slots=True)
class RulesInputs:
    """Everything that an automatic decision depends on."""

    claim: Claim
    policy: Policy
    product: Product
    facts: Facts
    rules: Rules
    now: datetime
    models: tuple[str, ...]
    by: Literal["rules"] = "rules"

    @property
    def insured(self) -> InsuredClaim:
        return InsuredClaim(self.claim, self.policy, self.product)


@dataclass(frozen=True, slots=True)
class PersonInputs:
    """Everything that a person's decision depends on.

    payout, note, subject: what the person said, and who it was. paid_to_date_minor: what the policy has paid already;
    order_paid_minor: what other claims were paid for the order.
    """

    claim: Claim
    policy: Policy
    product: Product
    outcome: Outcome
    payout: Money
    note: str
    subject: str
    rules: Rules
    now: datetime
    paid_to_date_minor: int
    by: Literal["person"] = "person"
    order_paid_minor: int = 0

    @property
    def insured(self) -> InsuredClaim:
        return InsuredClaim(self.claim, self.policy, self.product)


@dataclass(frozen=True, slots=True)
class UncheckedInputs:
    """Everything that the referral of a claim depends on when its checking failed."""

    claim: Claim
    policy: Policy
    product: Product
    stage: str
    error: str
    attempts: int
    rules: Rules
    now: datetime
    by: Literal["unchecked"] = "unchecked"


def decide(
    insured: InsuredClaim,
    facts: Facts,
    rules: Rules,
    now: datetime,
    models: tuple[str, ...] = (),
) -> Decision:
    """Return the automatic decision. `models` names every model whose measurement is among the facts."""
    claim, policy, product = insured.claim, insured.policy, insured.product
    mismatches = cover.mismatches(insured, facts.cover)
    if mismatches:
        return _decision(mismatches, (), product.money(0), rules, now, models)
    asked = facts.cover.rounds_asked
    photos_needed, papers_needed = _needed(product, facts, rules)
    reasons = [
        *cover.judge(insured, facts.cover, rules),
        *photos.judge(claim, product, facts.photos, rules, needed=photos_needed),
        *subject.judge(product, facts.photos, rules, needed=photos_needed),
        *papers.judge(insured, facts.papers, rules, needed=papers_needed, rounds_asked=asked),
        *nose.judge(insured, facts.noses, rules),
        *pet.judge(policy, product, facts.noses, rules),
        *velocity.judge_counts(claim, facts.fraud, rules),
        *credit.judge_credit(facts.credit, facts.fraud, rules),
        *repeats.judge(policy, product, facts.repeats),
    ]
    benefit = calculate(
        Given(
            insured,
            facts.cover,
            papers.to_pay_on(product, facts.papers, rules),
            prices=papers.prices(product, facts.papers, rules),
            repeats=facts.repeats,
        )
    )
    reasons += _judge_benefit(claim, product, facts, rules, benefit, reasons)
    reasons = list(asked_enough(reasons, asked, rules.rounds_asked_max))
    lines, due = (benefit.lines, benefit.due) if isinstance(benefit, Benefit) else ((), product.money(0))
    reasons = list(after_payment(reasons, due, facts.cover.held_on_claim_minor, facts.cover.stopped_by))
    return _decision(reasons, lines, due, rules, now, models)


def could_not_check(unchecked: UncheckedInputs) -> Decision:
    """Refer a claim whose checking failed again and again to a person: it is never paid, declined or lost through a
    fault of the platform.

    The inputs are `claims.wire.canonical(unchecked)`. stage: where it failed; error: its kind, no claimant's data.
    """
    why = reason("could_not_check", unchecked.stage, detail=f"{unchecked.error}, attempt {unchecked.attempts}")
    zero = unchecked.product.money(0)
    return Decision(Outcome.REFER, zero, (), (why,), unchecked.rules.version, (), unchecked.now, "rules")


def person_decision(person: PersonInputs) -> Decision:
    """Return an adjuster's decision: PAY up to what the contract can owe, DECLINE or ASK with words to the claimant.

    The inputs are `claims.wire.canonical(person)`. A person may weigh evidence, not widen the contract: never more than
    claimed, than the limits, than what is left of the sum insured after `paid_to_date_minor`, or of the order's value
    after `order_paid_minor`. Raises InvalidDecision, OrderValuePaid where the order alone forbids it, and
    CurrencyMismatch for a payout in another currency.
    """
    outcome, payout, note = person.outcome, person.payout, person.note
    if not person.subject.strip():
        raise InvalidDecision("a person's decision names the person")
    match outcome:
        case Outcome.PAY:
            limit = person_limit(person.insured, person.paid_to_date_minor, person.order_paid_minor)
            if payout > limit and payout <= person_limit(person.insured, person.paid_to_date_minor):
                raise OrderValuePaid(f"{person.order_paid_minor} were paid for the order; left are {limit.minor}")
            if not payout.minor > 0 or not payout <= limit:
                raise InvalidDecision(f"payout must be above 0 and at most {limit.minor}, got {payout.minor}")
            why = reason(
                "person_approved",
                f"{payout.minor} {payout.currency}",
                f"<= {limit.minor} {limit.currency}",
                detail=note,
            )
        case Outcome.DECLINE | Outcome.ASK:
            if payout.minor != 0:
                raise InvalidDecision(f"{outcome} pays nothing, got {payout.minor}")
            if not note.strip():
                raise InvalidDecision(f"{outcome} needs words to the claimant")
            why = reason("person_refused" if outcome is Outcome.DECLINE else "person_asked", detail=note)
        case Outcome.REFER:
            raise InvalidDecision("a person decides; there is nobody left to refer to")
        case _:
            assert_never(outcome)
    lines = (
        line(CLAIMED, person.claim.amount),
        line(SET_BY_PERSON, payout),
        line(PAYOUT, payout),
    )
    return Decision(outcome, payout, lines, (why,), person.rules.version, (), person.now, person.subject)


def person_limit(insured: InsuredClaim, paid_to_date_minor: int, order_paid_minor: int = 0) -> Money:
    """Return the most that a person may approve. order_paid_minor: what other claims were paid for the order."""
    claim, policy, product = insured.claim, insured.policy, insured.product
    left = product.money(max(0, policy.sum_insured.minor - max(0, paid_to_date_minor)))
    limit = smallest(claim.amount, product.per_claim_max, policy.sum_insured, left)
    of_order = order_left(policy, product, order_paid_minor)
    if order_paid_minor and of_order is not None:
        limit = smallest(limit, of_order)
    stated = formula_of(product).limited_to_insured_value and policy.insured_value.minor > 0
    return smallest(limit, policy.insured_value) if stated else limit


def inputs(
    insured: InsuredClaim,
    facts: Facts,
    rules: Rules,
    now: datetime,
    models: tuple[str, ...] = (),
) -> bytes:
    """Return everything `decide` takes as canonical JSON, which a replay needs."""
    return canonical(RulesInputs(insured.claim, insured.policy, insured.product, facts, rules, now, models))


def replay(recorded: bytes) -> bytes:
    """Decide again from recorded inputs; the result equals the recorded decision byte for byte.

    Raises UnknownRules when the inputs were judged by other code than this, InputsErased when the claim was erased, and
    pydantic.ValidationError when they are not inputs at all.
    """
    plain = json.loads(recorded)
    if isinstance(plain, dict) and plain.get("by") == "erased":
        raise InputsErased(f"the inputs were erased on {plain['erased_at']}: there is nothing left to decide again")
    if isinstance(plain, dict) and plain.get("by") == "person":
        person = from_plain(PersonInputs, plain)
        _check_code(person.rules)
        return canonical(person_decision(person))
    if isinstance(plain, dict) and plain.get("by") == "unchecked":
        unchecked = from_plain(UncheckedInputs, plain)
        _check_code(unchecked.rules)
        return canonical(could_not_check(unchecked))
    read = from_plain(RulesInputs, plain)
    _check_code(read.rules)
    return canonical(decide(read.insured, read.facts, read.rules, read.now, read.models))


def _check_code(rules: Rules) -> None:
    if rules.code != RULES_CODE:
        raise UnknownRules(f"decided by rules code {rules.code}, this is code {RULES_CODE}")


def _needed(product: Product, facts: Facts, rules: Rules) -> tuple[int, int]:
    """Return how many photos and how many papers the claim must bring; where either will do, the kind that it has
    decides."""
    evidence = product.evidence
    if not evidence.photo_or_paper:
        return evidence.photos_min, evidence.papers_min
    if photos.measured_count(facts.photos) >= evidence.photos_min:
        return evidence.photos_min, 0
    if len(papers.to_pay_on(product, facts.papers, rules)) >= evidence.papers_min:
        return 0, evidence.papers_min
    return (0, evidence.papers_min) if facts.papers and not facts.photos else (evidence.photos_min, 0)


def _judge_benefit(
    claim: Claim,
    product: Product,
    facts: Facts,
    rules: Rules,
    benefit: Benefit | UnmeasuredFact,
    so_far: list[Reason],
) -> list[Reason]:
    borne = product.deductible_minor + cover_deductible_left(product, facts.cover)
    nothing = f"> {borne} {product.currency}"
    clause = product.clauses["deductible"].number
    formula, terms = with_terms(product)
    if claim.amount.minor <= borne and not formula.pays_beside_loss(terms):
        # No more than this is due, whatever the papers show.
        return [reason("below_deductible", f"{claim.amount.minor} {product.currency}", nothing, clause=clause)]
    open_questions = any(earlier.pulls is not Outcome.PAY for earlier in so_far)
    if isinstance(benefit, UnmeasuredFact):
        return [] if open_questions else [reason("benefit_unknown", benefit.reason)]
    if benefit.due.minor == 0:
        # Only a bill that was read surely and in order may decline; with a question open the zero may be the
        # question's.
        return [] if open_questions else [_why_nothing(product, benefit, nothing)]
    return [credit.judge_amount(benefit.due, credit.auto_pay_ceiling(product, facts.credit, rules))]


def _why_nothing(product: Product, benefit: Benefit, nothing: str) -> Reason:
    """Return the plain contract ground on which nothing is due for a bill in order."""
    formula, terms = with_terms(product)
    ground = formula.ground_for_nothing(product, terms, benefit)
    if ground is not None:
        return ground
    loss = next(row.amount.minor for row in benefit.lines if row.label == LOSS.label)
    value = f"{loss} {product.currency}"
    return reason("below_deductible", value, nothing, clause=product.clauses["deductible"].number)


def _decision(
    reasons: list[Reason],
    lines: tuple[BenefitLine, ...],
    due: Money,
    rules: Rules,
    now: datetime,
    models: tuple[str, ...],
) -> Decision:
    ordered = in_order(reasons)
    outcome = ordered[0].pulls
    payout = due if outcome is Outcome.PAY else replace(due, minor=0)
    if lines:
        lines = (*lines, line(PAYOUT, payout))
    return Decision(outcome, payout, lines, ordered, rules.version, models, now, "rules")
