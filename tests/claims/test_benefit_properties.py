"""Properties of every calculation by class, hospital, day, cover and other insurer, checked against an oracle.

The oracle works on a heap of single minor units, each with its share as a fraction, and takes units off one after
another; the code works on sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.benefit import Benefit, Given
from claims.evidence import CoverFact, PaperFact, PaperItem, UnmeasuredFact
from claims.explain import explanation
from claims.formulas.paper_total import FORMULA, PaperTotalTerms
from claims.formulas.registry import calculate
from claims.product import Product
from fixtures.cases import NOW, Case, in_order, order, stay, yuan

LISTED, ELSEWHERE, EXCLUDED = "杭州市第一人民医院", "城北医院", "康养之家疗养院"
CLASSES = ["甲", "乙", "丙", "own", ""]
AMOUNT = st.integers(0, 60)  # small, so that the heap of units stays small and every edge is near
DAY = date(2026, 11, 1)


@dataclass(frozen=True, slots=True)
class Drawn:
    case: Case
    papers: tuple[PaperFact, ...]

    def benefit(self) -> Benefit:
        benefit = calculate(Given(self.case.insured, self.case.facts.cover, self.papers))
        assert isinstance(benefit, Benefit)
        return benefit

    @property
    def due(self) -> int:
        return self.benefit().due.minor


def terms_of(product: Product) -> PaperTotalTerms:
    return FORMULA.terms_of(product)


def with_terms(product: Product, **changes: object) -> Product:
    """Returns the product with some terms of its formula changed."""
    return product.model_copy(update={"terms": {**product.terms, **changes}})


@st.composite
def rates(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int]]:
    """Draws shares for listed hospitals, and shares that are never higher for others."""
    listed = {name: draw(st.integers(0, 10_000)) for name in CLASSES}
    return listed, {name: draw(st.integers(0, share)) for name, share in listed.items()}


@st.composite
def bills(draw: st.DrawFn) -> PaperFact:
    items = draw(st.lists(st.tuples(st.sampled_from(CLASSES), AMOUNT), max_size=4))
    total = draw(st.one_of(st.just(sum(amount for _, amount in items)), st.integers(0, 200)))
    first = DAY + timedelta(days=draw(st.integers(0, 6)))
    last = first + timedelta(days=draw(st.integers(0, 5)))
    return stay(
        total, draw(st.integers(0, total)), items, hospital=draw(st.sampled_from([LISTED, ELSEWHERE, EXCLUDED])),
        days=(first.isoformat(), last.isoformat()), number=str(draw(st.integers(10**9, 10**10 - 1))),
    )  # fmt: skip


@st.composite
def drawn(draw: st.DrawFn, *, allowance: bool = True) -> Drawn:
    listed, elsewhere = draw(rates())
    case = in_order("inpatient_medical", claimed_minor=draw(st.integers(1, 300)))
    terms = None
    if draw(st.booleans()):
        by_day = draw(AMOUNT) if allowance else 0
        terms = {
            "day_limit_minor": draw(st.one_of(st.none(), AMOUNT) if by_day else AMOUNT),
            "allowance_day_minor": by_day,
            "days_max": draw(st.integers(1, 12)),
        }
    changed = {
        "pays_basis_points": listed,
        "deductible_minor": draw(st.one_of(st.just(0), AMOUNT)),
        "deductible_cover_minor": draw(st.one_of(st.just(0), AMOUNT)),
        "per_claim_max_minor": draw(st.integers(1, 300)),
    }
    product = with_terms(case.product, undesignated_pays_basis_points=elsewhere, stay=terms)
    case = replace(case, product=product.model_copy(update=changed))
    case = case.with_claim(other_insurance_minor=draw(st.one_of(st.just(0), AMOUNT)))
    case = case.with_policy(sum_insured=yuan(draw(st.integers(1, 400))))
    cover = CoverFact(
        draw(AMOUNT), "CNY", 0, NOW.date(), deductible_borne_minor=draw(AMOUNT), days_paid=draw(st.integers(0, 10))
    )
    return Drawn(case.with_facts(cover=cover), tuple(draw(st.lists(bills(), min_size=1, max_size=3))))


# The oracle


def units(product: Product, bill: PaperFact) -> list[Fraction]:
    """Returns the shares of a bill's minor units that the patient bore; none at an excluded hospital."""
    if bill.value("hospital") == EXCLUDED:
        return []
    total = int(bill.value("total_minor"))
    shares = (
        product.pays_basis_points
        if bill.value("hospital") == LISTED
        else terms_of(product).undesignated_pays_basis_points
    )
    assert shares is not None
    heap = [Fraction(shares[item.item_class], 10_000) for item in bill.items for _ in range(item.amount_minor)]  # type: ignore[index]
    heap += [Fraction(shares[""], 10_000)] * (total - len(heap))
    heap.sort()
    return heap[:total][: total - int(bill.value("insurance_paid_minor"))]


def oracle(sample: Drawn) -> int:
    product, claim, cover = sample.case.product, sample.case.claim, sample.case.facts.cover
    heap = sorted(share for bill in sample.papers for share in units(product, bill))
    heap = heap[claim.other_insurance_minor :]
    heap = heap[max(0, len(heap) - claim.amount.minor) :]
    heap = heap[product.deductible_minor :]
    heap = heap[max(0, product.deductible_cover_minor - cover.deductible_borne_minor) :]
    due = floor(sum(heap, Fraction(0)))
    terms = terms_of(product)
    if terms.stay is not None:
        days = set()
        for bill in sample.papers:
            first, last = (date.fromisoformat(bill.value(name)) for name in ("admitted_date", "discharged_date"))
            if bill.value("hospital") != EXCLUDED:
                days |= {first} | {first + timedelta(days=n) for n in range((last - first).days)}
        counted = min(len(days), max(0, terms.stay.days_max - cover.days_paid))
        if terms.stay.day_limit_minor is not None:
            due = min(due, counted * terms.stay.day_limit_minor)
        due = min(due + counted * terms.stay.allowance_day_minor, claim.amount.minor)
    left = max(0, sample.case.policy.sum_insured.minor - cover.paid_to_date_minor)
    return min(due, product.per_claim_max_minor, left)


@given(drawn())
@settings(max_examples=250, deadline=None)
def test_every_calculation_agrees_with_the_oracle(sample: Drawn) -> None:
    assert sample.due == oracle(sample)


# Properties


@given(drawn())
@settings(max_examples=100, deadline=None)
def test_the_lines_add_up_and_only_an_allowance_adds(sample: Drawn) -> None:
    lines = sample.benefit().lines
    labels = [line.label for line in lines]
    at = labels.index("loss")
    assert sum(line.amount.minor for line in lines[at:-1]) == lines[-1].amount.minor == sample.due >= 0
    assert all(line.amount.minor < 0 or line.label == "allowance" for line in lines[at + 1 : -1])
    before = [line.amount.minor for line in lines[1:at]]
    assert lines[at].amount.minor == min(sum(before), sample.case.claim.amount.minor)


@given(drawn())
@settings(max_examples=100, deadline=None)
def test_never_more_than_any_limit(sample: Drawn) -> None:
    product, cover = sample.case.product, sample.case.facts.cover
    left = max(0, sample.case.policy.sum_insured.minor - cover.paid_to_date_minor)
    assert 0 <= sample.due <= min(sample.case.claim.amount.minor, product.per_claim_max_minor, left)
    by_day = terms_of(product).stay
    if by_day is not None and by_day.day_limit_minor is not None:
        days = max(0, by_day.days_max - cover.days_paid)
        assert sample.due <= days * (by_day.day_limit_minor + by_day.allowance_day_minor)


@given(drawn(allowance=False))
@settings(max_examples=100, deadline=None)
def test_all_insurers_together_never_pay_more_than_the_cost(sample: Drawn) -> None:
    """Leaves allowances out, which are no part of the cost."""
    total = sum(int(bill.value("total_minor")) for bill in sample.papers)
    state = sum(int(bill.value("insurance_paid_minor")) for bill in sample.papers)
    other = sample.case.claim.other_insurance_minor
    assert sample.due <= max(0, total - state - other)


@given(drawn(), st.integers(1, 80))
@settings(max_examples=100, deadline=None)
def test_what_another_insurer_paid_never_raises_the_payout(sample: Drawn, more: int) -> None:
    claim = sample.case.claim
    with_more = sample.case.with_claim(other_insurance_minor=claim.other_insurance_minor + more)
    assert Drawn(with_more, sample.papers).due <= sample.due


@given(drawn(), st.integers(1, 80))
@settings(max_examples=100, deadline=None)
def test_more_borne_before_never_pays_less_and_more_days_used_never_pays_more(sample: Drawn, more: int) -> None:
    cover = sample.case.facts.cover
    borne = sample.case.with_cover(deductible_borne_minor=cover.deductible_borne_minor + more)
    assert Drawn(borne, sample.papers).due >= sample.due
    used = sample.case.with_cover(days_paid=cover.days_paid + more)
    assert Drawn(used, sample.papers).due <= sample.due


@given(drawn(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_larger_item_never_pays_less(sample: Drawn, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(sample.papers) - 1))
    more = data.draw(st.integers(1, 40))
    kind = data.draw(st.sampled_from(CLASSES))
    bill = sample.papers[place]
    fields = tuple(
        replace(field, value=str(int(field.value) + more)) if field.name == "total_minor" else field
        for field in bill.fields
    )
    larger = replace(bill, fields=fields, items=(*bill.items, PaperItem("more of it", kind, more)))
    assert Drawn(sample.case, (*sample.papers[:place], larger, *sample.papers[place + 1 :])).due >= sample.due


@given(drawn(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_hospital_off_the_list_never_pays_more_and_an_excluded_one_never_more_than_that(
    sample: Drawn, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(sample.papers) - 1))

    def at(hospital: str) -> int:
        bill = sample.papers[place]
        fields = tuple(replace(field, value=hospital) if field.name == "hospital" else field for field in bill.fields)
        return Drawn(
            sample.case, (*sample.papers[:place], replace(bill, fields=fields), *sample.papers[place + 1 :])
        ).due

    assert at(LISTED) >= at(ELSEWHERE) >= at(EXCLUDED)


@given(drawn(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_papers_changes_nothing_that_is_due(sample: Drawn, draw: object) -> None:
    shuffled: Sequence[PaperFact] = draw.sample(sample.papers, len(sample.papers))  # type: ignore[attr-defined]
    assert Drawn(sample.case, tuple(shuffled)).due == sample.due


def halves(bill: PaperFact) -> tuple[PaperFact, PaperFact]:
    """Splits the bill in two: the first gets every second item, each has its own total, the state pays nothing."""

    def half(items: tuple[PaperItem, ...], number: str) -> PaperFact:
        total = str(sum(item.amount_minor for item in items))
        changed = {"total_minor": total, "insurance_paid_minor": "0", "number": number}
        fields = tuple(replace(field, value=changed.get(field.name, field.value)) for field in bill.fields)
        return replace(bill, fields=fields, items=items)

    return half(bill.items[::2], "1000000001"), half(bill.items[1::2], "1000000002")


def whole(first: PaperFact, second: PaperFact) -> PaperFact:
    total = str(int(first.value("total_minor")) + int(second.value("total_minor")))
    fields = tuple(replace(field, value=total) if field.name == "total_minor" else field for field in first.fields)
    return replace(first, fields=fields, items=(*first.items, *second.items))


@given(drawn())
@settings(max_examples=100, deadline=None)
def test_one_bill_in_two_papers_of_one_claim_pays_the_same(sample: Drawn) -> None:
    first, second = halves(sample.papers[0])
    assert Drawn(sample.case, (first, second)).due == Drawn(sample.case, (whole(first, second),)).due


@given(drawn(allowance=False))
@settings(max_examples=100, deadline=None)
def test_one_bill_in_two_claims_never_pays_more(sample: Drawn) -> None:
    """Two claims bear the deductible twice and round twice. The property holds where neither the limit of a claim
    nor the claimed amount cuts, as two claims have two such limits. The second claim lacks the cover that the first
    used.
    """
    wide = with_terms(sample.case.product, stay=None).model_copy(update={"per_claim_max_minor": 10**6})
    case = replace(sample.case, product=wide)
    case = case.with_claim(amount=yuan(10**6), other_insurance_minor=0)
    first, second = halves(sample.papers[0])
    together = Drawn(case, (whole(first, second),)).due
    begun = Drawn(case, (first,)).benefit()
    borne = -sum(line.amount.minor for line in begun.lines if line.label == "deductible_cover")
    cover = case.facts.cover
    after = case.with_cover(
        paid_to_date_minor=cover.paid_to_date_minor + begun.due.minor,
        deductible_borne_minor=cover.deductible_borne_minor + borne,
    )
    assert begun.due.minor + Drawn(after, (second,)).due <= together


@given(st.integers(1, 900), st.integers(0, 900), st.integers(0, 900), st.integers(0, 900))
@settings(max_examples=100, deadline=None)
def test_goods_are_paid_up_to_the_order_the_value_and_what_others_left(
    claimed: int, value: int, paid: int, other: int
) -> None:
    case = in_order("parcel_damage", claimed_minor=claimed).with_policy(insured_value=yuan(value))
    case = case.with_claim(other_insurance_minor=other)
    benefit = calculate(Given(case.insured, case.facts.cover, (), prices=(order(paid),)))
    assert isinstance(benefit, Benefit)
    assert benefit.due.minor == max(0, max(0, min(claimed, value, paid) - other) - case.product.deductible_minor)


# By hand


def test_a_stay_is_worked_out_line_by_line_and_explained() -> None:
    # 5,000.00 of which the state paid 1,000.00 (of 甲); another insurer 500.00 (of own and 丙); seven days.
    bill = stay(500_000, 100_000, [("甲", 300_000), ("乙", 100_000), ("丙", 60_000), ("own", 40_000)])
    case = in_order("inpatient_medical", claimed_minor=500_000).with_claim(other_insurance_minor=50_000)
    case = case.with_cover(deductible_borne_minor=70_000)
    decision = case.with_facts(papers=(bill, case.facts.papers[1])).decision()
    assert [(line.label, line.amount.minor, line.detail) for line in decision.benefit] == [
        ("claimed", 500_000, ""),
        ("paper_total", 500_000, "paper-0.jpg"),
        ("insurance_paid", -100_000, "paper-0.jpg"),
        ("other_insurance", -50_000, ""),
        ("days_counted", 0, "7"),
        ("loss", 350_000, ""),
        ("deductible", -20_000, ""),
        ("deductible_cover", -30_000, ""),
        ("co_pay", -10_000, "乙 9000"),
        ("allowance", 70_000, "7 10000"),
        ("due", 360_000, ""),
        ("payout", 360_000, ""),
    ]
    rows = {row.code: row.words for row in explanation(decision, "en")}
    assert rows["co_pay"] == "class B (乙) is paid at 90%; you bear the rest."
    assert rows["allowance"] == "¥100.00 a day for 7 days."
    assert rows["other_insurance"].startswith("Another insurer has paid this")


def test_the_same_stay_off_the_list_pays_less_and_says_why() -> None:
    bill = stay(500_000, 0, [("甲", 500_000)], hospital=ELSEWHERE)
    case = in_order("inpatient_medical")
    other = case.with_facts(papers=(bill, replace(case.facts.papers[1], fields=()))).decision()
    line = next(line for line in other.benefit if line.label == "co_pay")
    assert line.detail == "甲 8000 undesignated"
    assert line.amount.minor == -(500_000 - 20_000 - 100_000) * 2 // 10


@pytest.mark.parametrize("days", [("2026-11-19", "2026-11-12"), ("2026-11-12", ""), ("2020-01-01", "2026-11-19")])
def test_a_stay_whose_days_cannot_be_counted_has_no_benefit(days: tuple[str, str]) -> None:
    case = in_order("inpatient_medical")
    benefit = calculate(Given(case.insured, case.facts.cover, (stay(days=days),)))
    assert isinstance(benefit, UnmeasuredFact)
