from __future__ import annotations

import pytest

from claims import explain
from claims.claim import Status
from claims.decision import BenefitLine, Ground, Outcome
from claims.evidence import MatchOwner, PhotoVerdict
from claims.reasons import CODES, reason
from claims.texts import languages, texts
from fixtures.cases import book, in_order, match, photo, yuan

LANGUAGES = languages()


def has_chinese(text: str) -> bool:
    return any("一" <= letter <= "鿿" for letter in text)


def test_every_code_has_words_in_both_languages_and_no_words_are_left_over() -> None:
    for language in LANGUAGES:
        assert set(texts(language).names("reasons")) == set(CODES)
    for code in CODES:
        assert has_chinese(texts("zh")[f"reasons.{code}"])
        assert not has_chinese(texts("en")[f"reasons.{code}"])


def test_every_status_outcome_and_benefit_label_has_words() -> None:
    for language in LANGUAGES:
        assert all(explain.status_text(status, language) for status in Status)
        assert all(explain.outcome_text(outcome, language) for outcome in Outcome)
    for group in ("statuses", "outcomes", "benefits"):
        for name in texts("en").names(group):
            assert has_chinese(texts("zh")[f"{group}.{name}"])
            assert not has_chinese(texts("en")[f"{group}.{name}"])


def test_everything_that_a_random_book_decides_can_be_explained() -> None:
    for case in book(seed=7, count=400):
        decision = case.decision()
        for language in LANGUAGES:
            assert all(explain.reason_text(why, language) for why in decision.reasons)
            assert all(explain.benefit_text(line, language) for line in decision.benefit)
            assert explain.claimant_texts(decision, language)


SUSPICIONS = {code for code, known in CODES.items() if known.ground is Ground.SUSPICION}
# What an honest claimant can settle is said to them, too: a new photo.
SAID = {"nose_replayed"}


def test_of_no_other_suspicion_a_claimant_reads_more() -> None:
    assert SUSPICIONS & set(texts("en").names("claimant_reasons")) == SAID


@pytest.mark.parametrize("code", sorted(SUSPICIONS - SAID))
def test_claimant_reads_of_a_suspicion_only_that_a_person_looks(code: str) -> None:
    told = reason(code, "claim-0, 143 points", "0", detail="claim claim-0")
    assert explain.claimant_text(told, "en") == (
        "your claim needs a closer look; a person is reviewing everything you sent"
    )


def test_words_name_the_numbers_and_the_clause() -> None:
    case = in_order("fresh_food_rot").with_claim(peril="taste")
    decision, terms = case.decision(), case.product
    assert explain.reason_text(decision.reasons[0], "en", terms) == (
        "the event is not covered (covered: live seafood dead on arrival, rotten or spoiled, thawed) (clause 2.1)"
    )
    assert explain.reason_text(decision.reasons[0], "zh", terms).endswith("（条款 2.1）")


def test_amounts_read_as_money() -> None:
    above = reason("above_auto_pay", "123456 CNY", "<= 30000 CNY")
    assert explain.reason_text(above, "en") == (
        "the amount due, ¥1,234.56, is above the automatic payment limit of ¥300.00"
    )
    assert explain.benefit_text(BenefitLine("deductible", yuan(-10_000), ""), "zh") == "免赔额：-¥100.00"
    assert explain.benefit_text(BenefitLine("co_pay", yuan(-5), "乙 8000"), "en") == (
        "your own share (class B (乙), paid at 80%): -¥0.05"
    )


def test_claimant_of_a_referred_copy_is_not_told_whose_it_is() -> None:
    copied = photo("photo-0", PhotoVerdict.EDITED_COPY, [match(MatchOwner.OTHER_CLAIMANT)])
    decision = in_order("fresh_food_rot").with_facts(photos=(copied,)).decision()
    told = " ".join(explain.claimant_texts(decision, "en"))
    assert "claim-0" not in told
    assert "copy" not in told
