"""Every reason that the judges record reads in the reader's language: no English in Chinese, no Chinese in English, no
raw code or sign in either. Quotations (names and numbers from papers, ids, people's own words) are recognised by marks
that the facts here carry.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings

from claims import explain
from claims.catalogue import load_catalogue
from claims.decide import PersonInputs, UncheckedInputs, could_not_check, person_decision
from claims.decision import Decision, Outcome, Reason
from claims.evidence import (
    Box,
    CreditFact,
    CreditReason,
    FieldDoubt,
    FraudFact,
    MatchOwner,
    NoseSpecies,
    OtherIdentity,
    PaperCheck,
    PaperCurrency,
    PaperStanding,
    PhotoVerdict,
    ProvenanceSign,
    RepeatFact,
    SharingClaim,
    SignKind,
    StandingKind,
    UnmeasuredFact,
    UnmeasuredNose,
    UnmeasuredPaper,
    UnmeasuredPhoto,
)
from claims.formulas.paper_total import FORMULA
from claims.fraud.signals.registry import SIGNALS
from claims.judge import papers
from claims.policy import InsuredPet
from claims.product import Product
from claims.readings import reasons as reason_values
from claims.readings.measured import COMPARED, DOUBT, NOT_VOUCHED, unusable
from claims.readings.strings import TextReader, fill
from claims.reasons import CODES, reason
from claims.rules import RULES
from claims.subject import ClassShare, Subject, SubjectFact, SubjectShare
from claims.texts import DEFAULT, languages, slots, texts
from fixtures.cases import (
    INSURED,
    NOW,
    Case,
    counts,
    diagnosis,
    in_order,
    invoice,
    match,
    nose,
    order,
    paper,
    photo,
    receipt,
    slip,
    stay,
    vet_bill,
    yuan,
)
from flows.stages import STAGES as RUN
from tests.claims.test_decide_properties import cases
from vision.documents.checks import digits as digit_check
from vision.errors import REFUSAL_CODES

LANGUAGES = languages()
OWN = texts(DEFAULT)
CHECKS, CREDIT, STAGES, REFUSALS = (OWN.names(group) for group in ("checks", "credit", "stages", "refusals"))
CLAIMANT = OWN.names("claimant_reasons")
TABLE = sorted([f"reasons.{code}" for code in CODES] + [f"claimant_reasons.{code}" for code in CLAIMANT])
# Quoted in both languages: ids, papers' numbers and file names, names of people, models and people's own words.
QUOTED = re.compile(
    r"“[^”]*”|claim-\d|pet-\d|[\w-]+\.(?:jpg|pdf)|flood-\w+|SF\d+|order-\w+|(?<![A-Z])[A-Z]{3}(?![A-Za-z])"
    r"|ComfyUI|Photo Lab|林\*英"
)
RAW = re.compile(r"[<>=_{}\[\]|]|\d{4}-\d{2}-\d{2}|\bNone\b|\bTrue\b|  |（）|\(\)|，，|：$|: $|“”")


def english_in(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]{2,}", re.sub(r"JPEG|HEIC|PNG|WebP|AVIF|PDF|JP¥|US\$", "", QUOTED.sub("#", text)))


def chinese_in(text: str) -> list[str]:
    return re.findall(r"[一-鿿，。；：、（）]+", QUOTED.sub("#", text))


def problems(why: Reason, product: Product) -> list[str]:
    """Returns the faulty texts of a reason."""
    wrong = []
    for lang in LANGUAGES:
        for text in (
            explain.reason_text(why, lang, product),
            explain.claimant_text(why, lang, product),
            explain.detail_text(why, lang, product),
        ):
            quoted = why.ground == "person" or why.code in ("paper_claimed_before", "photo_in_flood")
            foreign = [] if quoted else english_in(text) if lang == "zh" else chinese_in(text)
            if foreign or RAW.search(QUOTED.sub("#", text)):
                wrong.append(f"{why.code} {lang}: {text}")
    return wrong


def unread(why: Reason, product: Product) -> list[str]:
    """Returns the values that the text would show and that no parser recognised."""
    wanted = slots(OWN[f"reasons.{why.code}"]) | slots(OWN.get("claimant_reasons", why.code) or "")
    recognised = reason_values.said(why, TextReader("zh", product)).keys()
    return [f"{why.code} {name}: {getattr(why, name)!r}" for name in wanted - recognised if getattr(why, name)]


def test_every_code_has_readings_for_what_its_words_say() -> None:
    untyped = [code for code in CODES if code not in reason_values.VALUES]
    assert untyped == [], "codes whose values nobody typed: add them to claims.readings.reasons.VALUES"
    assert set(reason_values.VALUES) <= set(CODES)
    missing = [
        f"{code}: {name}"
        for key in TABLE
        for code in (key.partition(".")[2],)
        for name in slots(OWN[key])
        if getattr(reason_values.VALUES[code], name) is None
    ]
    assert missing == [], "slots that nothing can fill"


def without_brackets(template: str) -> str:
    """Returns the template without its parts in [brackets], nested ones included."""
    while (shorter := re.sub(r"\[[^\[\]]*\]", "", template)) != template:
        template = shorter
    return template


@pytest.mark.parametrize("key", TABLE)
def test_words_hold_without_their_values(key: str) -> None:
    """An erased claim has no values left, and those of a later version may be unreadable."""
    for lang in LANGUAGES:
        template = texts(lang)[key]
        assert slots(template) <= {"value", "threshold", "detail"}
        assert slots(without_brackets(template)) == frozenset(), "a slot outside of [brackets] leaves a hole"
        bare = fill(template, {})
        assert bare
        assert not RAW.search(bare)
        assert (english_in(bare) if lang == "zh" else chinese_in(bare)) == []
        # With any of them missing the marks still pair.
        for names in itertools.chain.from_iterable(itertools.combinations(sorted(slots(template)), n) for n in (1, 2)):
            text = fill(template, dict.fromkeys(names, "7"))
            for left, right in ("（）", "()", "“”"):
                assert text.count(left) == text.count(right), text


@cache
def made() -> tuple[tuple[Product, Reason], ...]:
    """Returns reasons of every code, from judged claims."""
    return tuple((case.product, why) for case, decision in decided() for why in decision.reasons)


def decided() -> Iterator[tuple[Case, Decision]]:
    for case in judged():
        yield case, case.decision()
    # As a low similarity was judged before rules 3.6.
    unlike = in_order("pet_medical").with_facts(noses=(nose(0.1, 3),))
    yield unlike, unlike.decision(replace(RULES, nose_low_asks=False))
    food = in_order("fresh_food_rot")
    for stage in (*RUN, "load", "lease", "decide"):
        failed = UncheckedInputs(food.claim, food.policy, food.product, stage, "MemoryError", 5, RULES, NOW)
        yield food, could_not_check(failed)
    for outcome, minor in ((Outcome.PAY, 5_000), (Outcome.DECLINE, 0), (Outcome.ASK, 0)):
        yield (
            food,
            person_decision(
                PersonInputs(
                    food.claim,
                    food.policy,
                    food.product,
                    outcome,
                    yuan(minor),
                    "照片与订单相符",
                    "adjuster:li",
                    RULES,
                    NOW,
                    0,
                )
            ),
        )


def judged() -> Iterator[Case]:
    food, medical, wards = in_order("fresh_food_rot"), in_order("outpatient_medical"), in_order("inpatient_medical")
    pet, parcel, freight = in_order("pet_medical"), in_order("parcel_damage"), in_order("return_freight")
    yield from (in_order(key) for key in load_catalogue())
    # contract
    yield food.with_claim(peril="taste")
    yield food.with_policy(starts_at=NOW + timedelta(days=1), ends_at=NOW + timedelta(days=9))
    yield food.with_policy(ends_at=NOW - timedelta(days=2))
    yield medical.with_policy(starts_at=NOW - timedelta(days=5))
    yield food.with_claim(occurred_at=NOW - timedelta(days=8))
    yield food.with_cover(paid_to_date_minor=9_000_000)
    yield medical.with_facts(papers=(invoice(9_000),))
    yield wards.with_cover(days_paid=999)
    excluded = FORMULA.terms_of(medical.product).excluded_hospitals[0].name
    bill = {"hospital": excluded, "patient": INSURED, "date": "2026-11-19", "number": "012345"}
    bill |= {"total_minor": "60000", "insurance_paid_minor": "0"}
    yield medical.with_facts(papers=(paper("outpatient_invoice", **bill),))
    yield food.with_claim(occurred_at=NOW + timedelta(days=1))
    yield food.with_policy(insured_value=yuan(0))
    yield food.with_claim(policy_id="policy-2")
    yield food.with_claim(amount=replace(yuan(5), currency="USD"))
    yield food.with_policy(recorded_at=NOW + timedelta(days=1), terms_changed_at=NOW + timedelta(days=1))
    # orders, events and claimants that the house knows already, and what was paid before
    for mine, paid_minor in itertools.product((True, False), (0, 5_000)):
        other = SharingClaim("claim-3", True, mine, "paid" if paid_minor else "referred", paid_minor, True, mine)
        yield food.with_facts(repeats=RepeatFact((other,), order_paid_minor=paid_minor and 9_000_000))
    yield food.with_facts(repeats=RepeatFact(identities=(OtherIdentity("claimant-9", ("payee", "device"), 3),)))
    yield food.with_cover(held_on_claim_minor=9_000_000)
    yield food.with_cover(held_on_claim_minor=9_000_000, stopped_by="paid_after_all")
    # photos
    for owner, verdict in itertools.product(MatchOwner, PhotoVerdict):
        for changed in (
            {}, {"ruling": "confirm"}, {"ruling": "reject"}, {"common": "commons:7"}, {"flood": "flood-1"},
            {"claim_status": "withdrawn", "claim_id": "claim-3"}, {"claim_status": "paid", "claim_id": "claim-3"},
            {"transform": "mirrored, same scale, rotated -12 degrees, cropped to 40% of the original, it fills 30% of"
             " this picture"},
            {"transform": "the whole picture, recognised by its appearance"}, {"transform": "the same file"},
            {"transform": ""},
        ):  # fmt: skip
            yield food.with_facts(photos=(photo("photo-0", verdict, [replace(match(owner, verdict), **changed)]),))
    yield food.with_facts(photos=(photo("photo-0", PhotoVerdict.EDITED_COPY),))
    yield food.with_facts(photos=(replace(photo(), common="commons:7"),))
    yield food.with_facts(photos=(photo(taken_at=NOW.replace(month=10)),))
    for share in (0.99, 0.91):
        subject = SubjectFact((SubjectShare(Subject.VEHICLE, share),), (ClassShare("sports car", share),), "lite0")
        yield food.with_facts(photos=(replace(photo(), subject=subject),))
        yield food.with_facts(photos=(replace(photo(), subject=subject), photo("photo-1"), photo("photo-2")))
    for words in refusals():
        for retryable in (True, False):
            bad = UnmeasuredPhoto("photo-9", "photo-9.jpg", "2" * 64, words, retryable)
            yield food.with_facts(photos=(bad,))
            yield food.with_facts(photos=(bad, photo("photo-1"), photo("photo-2")))
            yield medical.with_facts(papers=(UnmeasuredPaper("p", "p.jpg", "2" * 64, words, retryable),))
            yield pet.with_facts(noses=(UnmeasuredNose("n", "pet-1", words, retryable),))
            yield pet.with_facts(noses=(UnmeasuredNose("n", "pet-1", words, retryable), nose()))
    yield food.with_facts(photos=())
    screen = ProvenanceSign(SignKind.SCREENSHOT, "found", "app_screen", "pattern", 6.0, (("app_screen",),))
    prompt = ProvenanceSign(SignKind.GENERATOR, "found", "generated", "prompt", None, (("prompt_of", "ComfyUI"),))
    died = ProvenanceSign(SignKind.C2PA, "unmeasured", "crashed", "the check died", None, (("no_credentials",),))
    for signs in ((screen,), (screen, prompt), (died,), (replace(screen, said=()), replace(prompt, said=()))):
        yield food.with_facts(photos=(replace(photo(), signs=signs),))
    # papers
    for case, sound_paper in ((medical, invoice()), (wards, stay()), (pet, vet_bill())):
        for check, details in COMPARED_BY_CHECK.items():
            for detail in details:
                failed = replace(sound_paper, checks=(PaperCheck(check, False, detail),))
                yield case.with_facts(papers=(failed, diagnosis()))
        yield case.with_facts(papers=(replace(sound_paper, number_claimed_before=("claim-3", "claim-4")),))
        yield case.with_facts(papers=())
        yield case.with_facts(papers=(replace(sound_paper, kind="unknown"),))
        yield case.with_facts(papers=(replace(sound_paper, kind="receipt"), paper("pet_card")))
        for why in (*not_vouched(), *(f"number: {doubt}" for doubt in DOUBTS)):
            doubted = replace(sound_paper, accepted=False, not_accepted_because=why)
            yield case.with_facts(papers=(doubted,))
            low = tuple(replace(field, confidence=0.85) for field in sound_paper.fields)
            yield case.with_facts(papers=(replace(doubted, fields=low, doubts=(FieldDoubt("total_minor", "x"),)),))
        for standing in StandingKind:
            sign = PaperStanding(standing, "VOID 作废", "words", Box(0.1, 0.1, 0.2, 0.2))
            yield case.with_facts(papers=(replace(sound_paper, standing=(sign,)), diagnosis()))
        yield case.with_facts(papers=(replace(sound_paper, missing_fields=("total_minor", "patient")),))
        yield case.with_facts(papers=(replace(sound_paper, read_confidence=0.55),))
    for currency in (PaperCurrency("JPY"), PaperCurrency("", "sign", "$"), UnmeasuredFact("not recorded")):
        yield medical.with_facts(papers=(replace(invoice(), currency=currency),))
    yield medical.with_facts(papers=(invoice(number="1"), invoice(80_000, number="1", evidence_id="b")))
    for patient in ("王建国", "林*英"):
        yield medical.with_facts(papers=(invoice(patient=patient),))
        yield pet.with_facts(papers=(vet_bill(owner=patient),))
    yield medical.with_facts(papers=(invoice(date="2026-01-02"),))
    yield wards.with_facts(papers=(stay(days=("2026-01-12", "2026-11-19")), diagnosis(patient="王建国")))
    yield wards.with_facts(papers=(stay(days=("2026-11-19", "2026-11-12")), diagnosis()))
    yield wards.with_facts(papers=(stay(hospital="无名医院"), diagnosis(hospital="别的医院", date="2026-11-01")))
    yield wards.with_facts(papers=(stay(),))
    yield wards.with_facts(papers=(stay(days=("2020-01-01", "2026-11-19")), diagnosis()))
    for case in (food, parcel, freight):
        yield case.with_facts(papers=(order(order_number="order-9", date="2026-11-20"), slip(date="2026-11-01")))
    yield parcel.with_facts(papers=(receipt(),))
    asked = pet.product.evidence.model_copy(update={"insured_is": ("owner", "buyer", "recipient", "sender")})
    named = replace(pet, product=pet.product.model_copy(update={"evidence": asked}))
    yield named.with_facts(papers=(vet_bill(owner="王建国", buyer="王建国", recipient="王建国", sender="王建国"),))
    # Bills whose days cannot be told, and nothing else against them.
    for first, last in (("", "2026-11-19"), ("2025-01-01", "2026-11-19")):
        old = wards.with_policy(starts_at=NOW - timedelta(days=900))
        yield old.with_facts(papers=(stay(days=(first, last)), diagnosis()))
    # noses and standing
    for similarity, points, other in ((0.1, 3, "pet-1"), (0.4, 1, "pet-1"), (0.41, 60, "pet-2"), (0.97, 60, "pet-1")):
        yield pet.with_facts(noses=(nose(similarity, points, pet_id=other),))
    yield pet.with_facts(noses=(nose(), nose(0.1, 3, evidence_id="nose-1")))
    moire = ProvenanceSign(SignKind.RECAPTURE, "found", "moire", "pattern", 1.4, (("fine_pattern", "1.40"),))
    yield pet.with_facts(noses=(replace(nose(), photo=replace(photo("nose-0"), signs=(moire,))),))
    yield pet.with_facts(noses=(replace(nose(0.55), alike_ratio=0.42, unlike_ratio=0.37),))
    for owner in MatchOwner:
        yield pet.with_facts(noses=(nose(matches=[match(owner)]),))
        yield pet.with_facts(noses=(nose(matches=[replace(match(owner), claim_status="withdrawn")]),))
    for species in ("cat", "other"):
        told = replace(nose(), species=NoseSpecies(species, 0.97))
        yield pet.with_policy(pet=InsuredPet("dog")).with_facts(noses=(told,))
    yield pet.with_policy(pet=InsuredPet("dog", (NOW - timedelta(days=140)).date()))
    yield pet.with_policy(pet=InsuredPet("dog", (NOW - timedelta(days=4_600)).date()))
    dogs_only = pet.product.model_copy(update={"pet": pet.product.pet.model_copy(update={"species": ("dog",)})})
    yield replace(pet, product=dogs_only).with_policy(pet=InsuredPet("cat"))
    yield pet.with_facts(noses=())
    yield pet.with_policy(pet_id="")
    yield pet.with_facts(noses=(replace(nose(), templates=0),))
    for key in SIGNALS:
        yield food.with_facts(fraud=FraudFact(counts(**{key: (99, 80)})))
    yield food.with_facts(fraud=FraudFact(()))
    yield food.with_facts(fraud=UnmeasuredFact("not counted", retryable=False))
    lost = tuple(CreditReason(name, bin_, 35.0) for name in CREDIT for bin_ in ("<= 0.5", "0.5 to 2", "> 2", "any"))
    yield food.with_facts(credit=CreditFact(360, lost, "card"), fraud=FraudFact(counts(claimant=(5, 1))))
    for words in (
        "the platform supplied no credit attributes", "credit attribute months_late_now is missing or no number",
        "credit attribute months_late_now is 99, not within 0 to 24",
    ):  # fmt: skip
        yield food.with_facts(credit=UnmeasuredFact(words, retryable=False))
    yield food.with_cover(rounds_asked=2).with_facts(photos=())
    yield in_order("fresh_food_rot", claimed_minor=90_000).with_policy(insured_value=yuan(99_000))


def refusals() -> list[str]:
    return [f"{code}: whatever the decoder said (<x>=1)" for code in REFUSALS] + [
        "too small to read: 90 x 80 px; take the photo closer, with the whole page in it",
        "too blurred to read: edges are 9 px wide, no text; hold still and let the camera focus",
        "too dark to read: the brightest parts are at 30 of 255, 7 characters at a mean confidence of 0.31; take the"
        " photo in more light",
        "no readable print was found: no text; send a photo of the whole paper, upright and in focus",
        "there are two papers in the picture (receipt and vet_invoice); photograph one at a time",
        "the page could not be read to its end: the OCR process died",
        "nothing to compare by: 3 keypoints, PDQ quality 0 of 100",
        "no enrolment: this pet's nose was never recorded",
    ]


COMPARED_BY_CHECK = {
    "items_sum_to_total": ("3 items sum to 12.00, the total says 13.00", "1 items sum to 1234.50, price says 13.00",
                           "2 items sum to 1000 JPY, the total says 1500 JPY"),
    "capital_amount_equals_total": ("in capitals 12.00, in digits 13.00",),
    "insurance_and_cash_equal_total": ("insurance 1.00 + account 2.00 + cash 3.00, the total says 7.00",),
    "net_and_tax_equal_total": ("net 1.00 + tax 2.00, the total says 7.00",),
    "price_less_discount_equals_total": ("price 9.00 - discount 1.00 + freight 0.00, paid 7.00",),
    "stay_days_match_dates": (
        "from 2026-11-12 to 2026-11-10: discharged before admitted",
        "from 2026-11-12 to 2026-11-19, the paper says 9 days",
    ),
    "date_is_plausible": ("dated 2029-01-01, read on 2026-11-20", "admitted 1999-01-01, discharged 2030-01-02, read on"
                          " 2026-11-20"),
    "code_matches_text": (
        "number: the code says 123, the print 124; total_minor: the code says 60000, the print 50000;"
        " date: the code says 2026-11-19, the print 2026-11-18",
        "tracking_number: the bar code says 123, the print 124",
    ),
    "signature_covers_file": ("not as it was signed: Doc_0/Pages/Page_0/Content.xml",),
    "text_layer_matches_picture": (
        "the text layer is longer than any paper",
        "patient: the text layer says 王建国, the picture 林秀英; total_minor: the text layer says 1, the picture 2",
    ),
    "digits_look_untouched": tuple(
        f"total_minor: the digit at 40% from the left, 30% from the top differs in {sign} (0.93)"
        for sign in digit_check._SIGN_WORDS.values()
    ),
    "a_check_of_tomorrow": ("a < b",),
}  # fmt: skip
DOUBTS = (
    "2026-03-04 is the day of printing",
    "another paper may be in the picture: totals, days, numbers, payees, heads, feet",
    "another paper may be in the picture: form, fields, kinds, print, edges",
    "the change tells that it was handed over, not owed",
    "杭州市第人民医院 is nearly 杭州市第二人民医院, which the terms name",
    "林秀英 is told from its like by its place alone",
    "the paper says 市第一人民医院 and 市人民医院",
    "林秀英 is read as owner, too",
    "3 dates stand on the paper and none beside its label",
    "2 long numbers stand on the paper and none beside a label of it",
    "the receipt states it nowhere else",
    "not the last sum of the receipt: 找零 5.00",
    "Patient is one word in Latin letters, as labels are",
    "乐乐 does not begin with a usual surname",
    "乐乐 is no usual name",
    "two of them on one paper: 123 and 124",
    "9999999999 is more than any paper here is for (under 1,000,000)",
    "-12.00 is below zero",
    "2026-02-30 is no day of the calendar",
    "no amount at the start of '壹'",
    "no weight with a unit in 'x'",
    "negative amount",
    "1.234 may be two amounts",
    "12,50 is written unlike the other amounts",
    "07/04/2026 may be two days",
)


def not_vouched() -> list[str]:
    return [
        "the kind of paper is not known",
        *(f"no paid bill: {standing}: VOID 作废" for standing in StandingKind),
        "the words point to receipt besides vet_invoice",
        "a mark across the print was not read: dots",
        "the currency is not known",
        "the currency is not known: $",
        "not found: total_minor, patient",
        "read in one way only: number",
        "total_minor was read at a confidence of 0.812, below 0.934",
        *(
            f"{check}: {detail}"
            for check, details in COMPARED_BY_CHECK.items()
            for detail in details
            if check in CHECKS
        ),
    ]


def test_the_cases_here_make_every_code() -> None:
    codes = {why.code for _, why in made()}
    assert set(CODES) - codes == set(), "codes that no case above leads to: add one"


def test_every_reason_is_said_in_the_readers_language_alone() -> None:
    wrong = {problem for product, why in made() for problem in problems(why, product)}
    assert sorted(wrong) == []


def test_every_value_that_words_say_is_recognised() -> None:
    """Excepts texts that other versions wrote and a check that this version does not know."""
    blanks = (
        "a_check_of_tomorrow",
        "a < b",
        "not counted",
        "peril_not_covered value",  # the terms have no name for it
        "'2026-12-15 - 2026-11-20'",  # a cover that begins after the claim
        "photo_sign_noted detail: 'p",  # of before there were phrases
        "photo_signs_combined detail: 'p",
        "claim  is of unknown status",
    )
    unreadable = {text for product, why in made() for text in unread(why, product)}
    assert sorted(text for text in unreadable if not any(blank in text for blank in blanks)) == []


@given(cases())
@settings(max_examples=150, deadline=None)
def test_reasons_of_claims_that_hypothesis_makes_up_are_said_in_one_language(case: Case) -> None:
    for why in case.decision().reasons:
        assert problems(why, case.product) == []
        erased = replace(why, value="", threshold="", detail="", evidence_id="")
        assert problems(erased, case.product) == []


def test_recorded_decisions_of_earlier_rules_are_said_in_one_language() -> None:
    rows = json.loads((Path(__file__).parent / "decisions_of_rules_2.json").read_text(encoding="utf-8"))["rows"]
    for row in rows:
        product = load_catalogue()[row["product"]]
        for plain in row["decision"]["reasons"]:
            why = reason(plain["code"], plain["value"], plain["threshold"], detail=plain["detail"])
            assert problems(why, product) == []


def test_a_decline_reads_as_an_insurer_prints_it() -> None:
    late = in_order("fresh_food_rot").with_claim(occurred_at=NOW - timedelta(days=8))
    (zh,), (en,) = (explain.claimant_texts(late.decision(), lang, late.product) for lang in LANGUAGES)
    assert zh == "事故发生 8 天后才申请理赔，超过申请期限（3 天以内）（条款 3.1）"
    assert en == "the claim was made 8 days after the event, too late (at most 3 days) (clause 3.1)"
    small = in_order("outpatient_medical").with_facts(papers=(invoice(9_000),))
    (zh,), (en,) = (explain.claimant_texts(small.decision(), lang, small.product) for lang in LANGUAGES)
    assert zh == "可赔损失 ¥90.00 未超过免赔额 ¥100.00，应赔金额为零（条款 4.2）"
    assert en == "the covered loss, ¥90.00, does not exceed the deductible of ¥100.00: nothing is due (clause 4.2)"
    waiting = in_order("outpatient_medical").with_policy(starts_at=NOW - timedelta(days=5))
    assert explain.claimant_texts(waiting.decision(), "zh", waiting.product)[0] == (
        "事故发生于 2026年11月19日，仍在等待期内（等待期 30 天，自 2026年12月15日起承担保险责任）（条款 1.3）"
    )


def test_a_copy_is_described_to_an_adjuster_in_words() -> None:
    copied = in_order("fresh_food_rot").with_facts(
        photos=(photo("photo-0", PhotoVerdict.EDITED_COPY, [match(MatchOwner.OTHER_CLAIMANT)]),)
    )
    first = copied.decision().reasons[0]
    assert explain.reason_text(first, "zh", copied.product) == (
        "照片与他人理赔案件的照片相同或系其编辑件（编辑过的复制件，复制概率 99.87%，143 处特征点一致）"
    )
    assert explain.detail_text(first, "zh") == "理赔案件 claim-0：左右镜像，缩放至 62%"
    assert explain.detail_text(first, "en") == "claim claim-0: mirrored, scaled to 62%"


def test_what_cannot_be_read_is_left_out_and_never_shown_raw() -> None:
    odd = reason("claimed_too_late", "a fortnight", "<= 3 d")
    assert explain.reason_text(odd, "zh") == "申请理赔，超过申请期限"
    assert explain.reason_text(odd, "en") == "the claim was made too late"


def test_every_refusal_check_sign_stage_and_doubt_that_measuring_knows_has_words() -> None:
    assert set(REFUSALS) == set(REFUSAL_CODES)
    assert set(papers.CODE_BY_CHECK) == set(CHECKS)
    assert {*RUN, "load", "lease", "decide"} <= set(STAGES)
    for lang in LANGUAGES:
        reader = TextReader(lang)
        assert [text for text in refusals() if unusable(text, reader) is None] == []
        assert [text for text in DOUBTS if DOUBT(text, reader) is None] == []
        assert [text for text in not_vouched() if NOT_VOUCHED(text, reader) is None] == []
        known = [text for check in CHECKS for text in COMPARED_BY_CHECK[check]]
        assert [text for text in known if COMPARED(text, reader) is None] == []


def test_days_read_as_a_calendar_and_percent_as_a_share() -> None:
    product = load_catalogue()["fresh_food_rot"]
    covered = reason("cover_in_force", "2026-11-20", "2026-11-01 - 2027-01-02")
    shown = [reason_values.said(covered, TextReader(lang, product)) for lang in LANGUAGES]
    assert shown == [
        {"value": "2026年11月20日", "threshold": "2026年11月1日至2027年1月2日"},
        {"value": "20 Nov 2026", "threshold": "1 Nov 2026 to 2 Jan 2027"},
    ]
