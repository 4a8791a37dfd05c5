"""The parsers of measurement texts recognise every text that `vision` writes (here by `vision` itself) into facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from claims.explain import compared_text, not_vouched_text, transform_text, unusable_text
from claims.readings.measured import unusable
from claims.readings.strings import TextReader
from claims.texts import Language, languages
from vision.copies.geometry import NO_GEOMETRY, describe
from vision.documents import gate
from vision.documents.checks import agreement as paper_checks
from vision.documents.checks.codes import code_check
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.text.page import FieldReading, ItemReading, PageBox, PaperCode, PaperReading, RefusedField
from vision.errors import REFUSAL_CODES, ImageRefused
from vision.nose import capture, read

LANGUAGES = languages()
BOX = PageBox(0.1, 0.1, 0.2, 0.2)
TODAY = date(2026, 11, 20)


def has_chinese(text: str) -> bool:
    return any("一" <= letter <= "鿿" for letter in text)


def said_in_both(words: dict[Language, str]) -> None:
    assert words["zh"]
    assert has_chinese(words["zh"])
    assert words["en"]
    assert "_" not in words["zh"] + words["en"]


def fields(**values: str) -> list[FieldReading]:
    return [FieldReading(name, value, 0.97, BOX) for name, value in values.items()]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("outpatient_invoice", {"total_minor": "5000", "capital_total_minor": "6000"}),
        ("outpatient_invoice", {"total_minor": "5000", "insurance_paid_minor": "1", "cash_paid_minor": "2"}),
        ("vat_invoice", {"total_minor": "5000", "net_minor": "4000", "tax_minor": "1"}),
        ("order_screenshot", {"total_minor": "5000", "price_minor": "4000", "discount_minor": "1"}),
        ("inpatient_invoice", {"admitted_date": "2026-11-10", "discharged_date": "2026-11-19", "stay_days": "3"}),
        ("inpatient_invoice", {"admitted_date": "2026-11-19", "discharged_date": "2026-11-10"}),
        ("inpatient_invoice", {"admitted_date": "1999-11-19", "discharged_date": "2027-11-10", "date": "2031-01-01"}),
        ("vet_invoice", {"total_minor": "5000"}),
    ],
)
def test_what_a_check_compared_is_said_in_both_languages(kind: str, values: dict[str, str]) -> None:
    made = paper_checks.checks(load_catalogue()[kind], fields(**values), [ItemReading("挂号", "甲", 700)], TODAY)
    failed = [check for check in made if not check.passed]
    assert failed
    for check in failed:
        said_in_both({lang: compared_text(check.detail, lang) for lang in LANGUAGES})


def test_what_a_code_states_is_said_in_both_languages() -> None:
    code = PaperCode("QRCode", "01,32,,26327000001234567890,50.00,20261119,,AB12,", BOX)
    values = {"number": "26327000001234567891", "total_minor": "6000", "date": "2026-11-18"}
    check = code_check(load_catalogue()["vat_invoice"], values, [code])
    assert check is not None
    words: dict[Language, str] = {lang: compared_text(check.detail, lang) for lang in LANGUAGES}
    said_in_both(words)
    assert "¥50.00" in words["en"]
    assert "2026年11月19日" in words["zh"]


def reading(**changed: object) -> PaperReading:
    plain = PaperReading(
        kind="vet_invoice",
        fields=tuple(fields(total_minor="5000", number="000417")),
        items=(),
        checks=(),
        lines=(),
        read_confidence=0.9,
        missing_fields=(),
        model="reader",
        relied_on=("total_minor", "number"),
        alike=("total_minor", "number"),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "unknown"},
        {"rival_kind": "receipt"},
        {"missing_fields": ("hospital", "date")},
        {"refused": (RefusedField("total_minor", "9999999999 is more than any paper here is for (under 1,000,000)"),)},
        {"doubtful": (RefusedField("number", "2 long numbers stand on the paper and none beside a label of it"),)},
        {
            "doubtful": (RefusedField("total_minor", "it looks written by hand (3.4)"),),
            "handwritten": ("total_minor",),
        },
        {"alike": ()},
        {"fields": tuple(replace(field, confidence=0.2) for field in fields(total_minor="5000", number="000417"))},
        {
            "checks": tuple(
                paper_checks.checks(
                    load_catalogue()["vet_invoice"],
                    fields(total_minor="5000"),
                    [ItemReading("诊疗", "", 700)],
                    TODAY,
                )
            )
        },
    ],
)
def test_why_nobody_vouches_for_a_paper_is_said_in_both_languages(changed: dict[str, object]) -> None:
    why = gate.not_accepted_because(reading(**changed))
    assert why
    said_in_both({lang: not_vouched_text(why, lang) for lang in LANGUAGES})


def test_why_a_nose_cannot_be_used_is_said_in_both_languages() -> None:
    limits = capture.CaptureLimits()
    good = capture.CaptureQuality(
        width_px=400,
        bright_luma=200,
        glare_ratio=0,
        coverage_ratio=1,
        turn_ratio=0,
        contrast_luma=99,
        sharpness=9,
    )
    assert capture.refusal(good, limits) == ""
    bad = [
        replace(good, width_px=10),
        replace(good, bright_luma=1),
        replace(good, glare_ratio=0.9),
        replace(good, coverage_ratio=0.1),
        replace(good, turn_ratio=0.9),
        replace(good, sharpness=0),
        replace(good, resolved_width_px=64),
    ]
    told = [capture.refusal(capture_facts, limits) for capture_facts in bad]
    for words in (*told, read._NO_NOSE, read._HIDDEN, read._FROM_THE_SIDE, read._OTHER_ANIMAL):
        said_in_both({lang: unusable_text(words, lang) for lang in LANGUAGES})


def test_why_a_file_is_refused_and_what_to_send_instead_is_said_in_both_languages() -> None:
    for code in REFUSAL_CODES:
        refused = ImageRefused(code, "9 x 9 is more than 4 pixels")  # type: ignore[arg-type]
        for lang in LANGUAGES:
            defect, full = unusable_text(str(refused), lang), unusable(str(refused), TextReader(lang))
            assert defect
            assert full is not None
            assert full.startswith(defect)
            assert "|" not in full


def test_how_a_copy_was_made_is_said_in_both_languages() -> None:
    base = replace(NO_GEOMETRY, inliers=9, matrix=np.eye(2, 3), scale=1.0, shown_ratio=1.0, covers_ratio=1.0)
    for transform in (
        base,
        replace(base, mirrored=True, scale=0.6, degrees=-12.2, shown_ratio=0.4, covers_ratio=0.3),
    ):
        said_in_both({lang: transform_text(describe(transform), lang) for lang in LANGUAGES})
