"""Receipts in the languages that travellers bring are read: merchant, day, total, currency. They are never the
product's money, but the adjuster sees the values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cache

import pytest
import yaml

from models.ocr_build import default_target
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PageText, TextLine
from vision.documents.text.sum_words import _WORDS, LANGUAGES, words

Rows = Sequence[tuple[str, ...]]

GERMAN = [
    ("Bäckerei Sommer GmbH",), ("Lindenallee 4",), ("10115 Berlin",), ("09.10.2026 08:12",),
    ("Roggenbrot", "4,90 A"), ("Brezel", "1,10 A"), ("Zwischensumme", "6,00"), ("SUMME EUR", "6,00"),
    ("Bar EUR", "10,00"), ("Rückgeld EUR", "4,00"), ("MwSt 7%", "0,39"),
]  # fmt: skip
FRENCH = [
    ("BOULANGERIE DUPONT SARL",), ("12 rue de Rivoli, 75001 Paris",), ("09/10/2026 08:12",),
    ("Baguette", "1,20"), ("Tarte", "14,80"), ("TOTAL HT", "15,17"), ("TVA 5,5%", "0,83"),
    ("NET A PAYER", "16,00 €"), ("ESPECES", "20,00"), ("RENDU", "4,00"),
]  # fmt: skip
SPANISH = [
    ("Librería Cervantes S.L.",), ("Calle Mayor 4",), ("28013 Madrid",), ("09/10/2026 08:12",),
    ("Cuaderno", "3,50"), ("Libro", "12,50"), ("Base imponible", "13,22"), ("IVA 21%", "2,78"),
    ("IMPORTE TOTAL €", "16,00"), ("Efectivo", "20,00"), ("Cambio", "4,00"),
]  # fmt: skip
ITALIAN = [
    ("BAR ROMA S.R.L.",), ("Via Nazionale 10",), ("00184 Roma",), ("09/10/2026 08:12",), ("Caffè", "1,20"),
    ("Cornetto", "1,80"), ("Subtotale", "3,00"), ("TOTALE COMPLESSIVO €", "3,00"), ("di cui IVA", "0,27"),
    ("Contanti", "5,00"), ("Resto", "2,00"),
]  # fmt: skip
JAPANESE = [
    ("渋谷文具店",), ("東京都渋谷区道玄坂1-2-3",), ("2026年10月09日 08:12",), ("ノート", "¥150"), ("鉛筆", "¥130"),
    ("小計", "¥280"), ("(内消費税等", "¥20)"), ("合計", "¥280"), ("お預り", "¥500"), ("お釣り", "¥220"),
]  # fmt: skip
MALAY = [
    ("KEDAI RUNCIT ALI",), ("NO 4, JALAN AMPANG, 50450 KUALA LUMPUR",), ("09/10/2026 08:12",), ("Beras", "12.00"),
    ("Gula", "3.00"), ("JUMLAH RM", "15.00"), ("TUNAI", "20.00"), ("BAKI", "5.00"),
]  # fmt: skip
TRADITIONAL = [
    ("香港佳佳百貨公司",), ("九龍彌敦道100號",), ("2026-10-09 08:12",), ("毛巾", "HK$30.00"), ("香皂", "HK$12.00"),
    ("總計", "HK$42.00"), ("現金", "HK$50.00"), ("找續", "HK$8.00"),
]  # fmt: skip


def page(rows: Rows) -> PageText:
    lines = []
    for index, row in enumerate(rows):
        for text, x in zip(row, (40, 360), strict=False):
            right, top = x + sum(24 if ord(mark) > 0x2E80 else 12 for mark in text), 40 + index * 46
            lines.append(TextLine(text, 0.98, ((x, top), (right, top), (right, top + 28), (x, top + 28))))
    return PageText(600, 1200, tuple(lines), "test@0")


@pytest.mark.parametrize(
    ("rows", "company", "total", "currency"),
    [
        (GERMAN, "Bäckerei Sommer GmbH", "600", "EUR"),
        (FRENCH, "BOULANGERIE DUPONT SARL", "1600", "EUR"),
        (SPANISH, "Librería Cervantes S.L.", "1600", "EUR"),
        (ITALIAN, "BAR ROMA S.R.L.", "300", "EUR"),
        (JAPANESE, "渋谷文具店", "280", "JPY"),
        (MALAY, "KEDAI RUNCIT ALI", "1500", "MYR"),
        (TRADITIONAL, "香港佳佳百貨公司", "4200", "HKD"),
    ],
)
def test_a_receipt_in_another_language_is_read(rows: Rows, company: str, total: str, currency: str) -> None:
    reading = parse(page(rows), date(2026, 11, 22), load_catalogue())
    assert reading.kind == "receipt"
    assert reading.value("company").startswith(company)
    assert (reading.value("date"), reading.value("total_minor")) == ("2026-10-09", total)
    assert reading.currency is not None
    assert reading.currency.code == currency


def test_words_stand_alone() -> None:
    pattern = re.compile(words("due", "total", "sub", "tendered", "change", "tax"), re.IGNORECASE)
    for text in (
        "BARLEY",
        "CHOCOLATE BAR 12.00",
        "RESTORAN",
        "SUMMER",
        "NETTOYAGE",
        "TAXI",
        "EXCHANGE",
        "BAKINGPOWDER",
    ):
        assert pattern.search(text) is None, text


@cache
def characters() -> frozenset[str]:
    text = (default_target() / "PP-OCRv6_small_rec" / "inference.yml").read_text(encoding="utf-8")
    described = yaml.load(text, Loader=yaml.CSafeLoader)
    return frozenset(described["PostProcess"]["character_dict"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reader_knows_the_characters_of_every_word(language: str) -> None:
    """A word that no model can print need not be searched for."""
    known = characters()
    for sense, by_language in _WORDS.items():
        letters = {mark for mark in by_language[language] if mark.isalpha()}
        assert letters <= known, (sense, letters - known)
