"""Texts of signs of origin on Chinese and on English pages: no English sentence on a Chinese page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.decision import Decision, Outcome
from claims.evidence import ProvenanceSign, SignKind
from claims.explain import claimant_texts, detail_text, reason_text
from claims.judge.signs import detail
from claims.readings.signs import detail_text as words_of
from claims.readings.signs import kind_text, sign_text
from claims.texts import Language, languages, texts
from fixtures.cases import in_order, photo
from vision.origin.sign import OriginSignKind as SeenKind
from vision.origin.sign import Sign
from vision.origin.words import ENGLISH

LANGUAGES = languages()
PHRASES = texts("en").names("sign_phrases")
MOIRE = ProvenanceSign(SignKind.RECAPTURE, "found", "moire", "pattern", 1.2, (("fine_pattern", "1.20"),))
SCREEN = ProvenanceSign(SignKind.SCREENSHOT, "found", "app_screen", "screen", 6.0, (("app_screen",),))
PROMPT = ProvenanceSign(SignKind.GENERATOR, "found", "generated", "prompt", None, (("prompt_of", "ComfyUI"),))
SIGNED = ProvenanceSign(
    SignKind.C2PA, "found", "untrusted", "signed", None, (("signed_untrusted",), ("written_by", "Photo Lab {0} 3"))
)
DIED = ProvenanceSign(SignKind.C2PA, "unmeasured", "crashed", "died", None, (("credentials_died", "too_slow: 3 s"),))


def has_chinese(text: str) -> bool:
    return any("一" <= letter <= "鿿" for letter in text)


def decided(*signs: ProvenanceSign) -> Decision:
    return in_order("fresh_food_rot").with_facts(photos=(replace(photo(), signs=signs),)).decision()


def words(decision: Decision, code: str) -> dict[Language, str]:
    (reason,) = (reason for reason in decision.reasons if reason.code == code)
    return {lang: reason_text(reason, lang) for lang in LANGUAGES}


def test_every_phrase_that_a_look_can_say_has_words_in_both_languages_and_none_is_left_over() -> None:
    assert {code: texts("en")[f"sign_phrases.{code}"] for code in PHRASES} == dict(ENGLISH)
    for code in PHRASES:
        assert has_chinese(texts("zh")[f"sign_phrases.{code}"])
        assert not has_chinese(texts("en")[f"sign_phrases.{code}"])
    assert set(texts("en").names("sign_kinds")) == set(SignKind)


def test_every_kind_has_words_in_both_languages() -> None:
    for kind in SignKind:
        assert has_chinese(kind_text(kind, "zh"))
        assert not has_chinese(kind_text(kind, "en"))


def test_a_noted_sign_reads_in_the_language_of_the_page() -> None:
    assert words(decided(MOIRE), "photo_sign_noted") == {
        "zh": "照片来源提示“翻拍屏幕或印刷品”（通幅细密纹路，如翻拍屏幕或印刷品（1.20，界限 1）），单独不作为审核依据",
        "en": "noted of the photo's origin: taken from a screen or print (a fine pattern all over, as of a screen or a"
        " print photographed (1.20 of 1)); by itself this decides nothing",
    }


def test_signs_that_refer_together_read_in_the_language_of_the_page() -> None:
    decision = decided(SCREEN, PROMPT)
    assert decision.outcome is Outcome.REFER
    sentences = words(decision, "photo_signs_combined")
    assert sentences["zh"].endswith("生成式图片、应用截图（文件带有 ComfyUI 的提示词；应用界面）")
    assert sentences["en"].endswith(
        "generated picture, app screen (the file carries a prompt of ComfyUI; an app's screen)"
    )


def test_a_check_that_died_reads_in_the_language_of_the_page() -> None:
    assert words(decided(DIED), "photo_sign_unmeasured") == {
        "zh": "照片来源核查“内容凭证”未能完成：内容凭证检查中断（too_slow: 3 s）",
        "en": "the check of the photo's origin “content credentials” could not be finished:"
        " the check of the content credentials died (too_slow: 3 s)",
    }


def test_what_a_file_says_stands_in_the_words_as_it_is() -> None:
    assert sign_text(SIGNED, "zh") == "签名后未改动，签名者不在信任名单内，由 Photo Lab {0} 3 写入"
    assert words(decided(SIGNED), "photo_sign_noted")["en"].count("Photo Lab {0} 3") == 1


def test_a_sign_recorded_before_there_were_phrases_keeps_its_sentence_and_its_decision() -> None:
    old = replace(MOIRE, said=())
    assert sign_text(old, "zh") == "pattern"
    (reason,) = (reason for reason in decided(old).reasons if reason.code == "photo_sign_noted")
    assert reason.detail == "pattern"
    assert detail_text(reason, "en") == "pattern"
    assert detail_text(reason, "zh") == ""  # an English sentence on no Chinese page
    assert detail([PROMPT, old]) == "prompt; pattern"


@pytest.mark.parametrize("written", ["", "[", "1", '["prompt_of","x"]', "[[[]]]", "[[[1]]]", '{"a": 1}', "words; more"])
def test_what_is_no_list_of_phrases_stays_as_it_is(written: str) -> None:
    assert words_of(written, "zh") == written


def test_a_phrase_of_a_newer_version_is_shown_by_its_code_and_values() -> None:
    assert words_of('[[["seen_from_space","7"],["written_by","Lab"]]]', "zh") == "seen_from_space 7，由 Lab 写入"
    assert words_of('[[["prompt_of"]]]', "en") == "prompt_of"


@given(values=st.lists(st.text(), min_size=2, max_size=2), code=st.sampled_from(sorted(PHRASES)))
def test_whatever_stands_in_a_file_comes_through_and_breaks_nothing(values: list[str], code: str) -> None:
    sign = ProvenanceSign(SignKind.GENERATOR, "found", "generated", "", None, ((code, *values),))
    shown = values[: len(set(re.findall(r"\{\d\}", texts("en")[f"sign_phrases.{code}"])))]
    for lang in LANGUAGES:
        text = words_of(detail([sign]), lang)
        assert text == sign_text(sign, lang)
        assert all(value in text for value in shown)


def test_english_pages_say_what_the_look_said() -> None:
    sign = Sign(SeenKind.C2PA, "found", "untrusted", SIGNED.said)
    assert sign_text(SIGNED, "en") == sign.detail


def test_the_claimant_reads_nothing_of_what_was_found() -> None:
    for lang in LANGUAGES:
        told = " ".join(claimant_texts(decided(MOIRE, PROMPT), lang))
        assert "ComfyUI" not in told
        assert kind_text(SignKind.RECAPTURE, lang) not in told
