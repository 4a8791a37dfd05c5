"""Amounts in the decimals of their currency: printed, typed, parsed; no other code turns minor units into digits."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import claims
from claims import currencies
from claims.errors import AmountUnreadable, InvalidMoney
from claims.explain import money_text
from claims.money import Money

ROOT = Path(claims.__file__).parent.parent
codes = st.sampled_from(sorted(currencies.DECIMALS))
minors = st.integers(0, currencies.MINOR_MAX)


@pytest.mark.parametrize(
    ("minor", "code", "text"),
    [
        (123_450, "CNY", "¥1,234.50"),
        (-1_000, "CNY", "-¥10.00"),
        (5, "CNY", "¥0.05"),
        (1_000, "JPY", "JP¥1,000"),
        (-7, "JPY", "-JP¥7"),
        (1_234, "KWD", "KWD 1.234"),
        (1_234_567, "KWD", "KWD 1,234.567"),
        (12_345, "CLF", "CLF 1.2345"),
        (250, "USD", "US$2.50"),
        (250, "HUF", "HUF 2.50"),
        (0, "KRW", "₩0"),
    ],
)
def test_an_amount_is_written_in_the_decimals_of_its_currency(minor: int, code: str, text: str) -> None:
    assert money_text(Money(minor, code)) == text


def test_the_table_holds_every_currency_once_with_its_minor_unit() -> None:
    """Compares counts with ISO 4217 list one as of 2026-01-01: 165 codes with a minor unit; 17, 7 and 2 differ from
    2.
    """
    by_decimals = {
        places: sum(decimals == places for decimals in currencies.DECIMALS.values()) for places in (0, 2, 3, 4)
    }
    assert by_decimals == {0: 17, 2: 139, 3: 7, 4: 2}
    # CLDR has 0 for these; ISO 4217, and every bank, has not.
    assert {code: currencies.decimals(code) for code in ("HUF", "IDR", "IQD", "COP", "ISK")} == {
        "HUF": 2, "IDR": 2, "IQD": 3, "COP": 2, "ISK": 0,
    }  # fmt: skip


@pytest.mark.parametrize("code", ["XYZ", "cny", "", "CN", "CNYY", "XAU", "XXX", "人民币"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    with pytest.raises(InvalidMoney):
        Money(100, code)
    with pytest.raises(InvalidMoney):
        currencies.decimals(code)
    assert not currencies.is_current(code)


def test_a_withdrawn_currency_can_be_read_and_nothing_new_is_written_in_it() -> None:
    assert money_text(Money(1_050, "HRK")) == "HRK 10.50"
    assert not currencies.is_current("HRK")
    assert set(currencies.SYMBOLS) <= set(currencies.DECIMALS)


@given(minors, codes, st.booleans())
def test_an_amount_that_was_written_reads_back(minor: int, code: str, grouped: bool) -> None:
    written = currencies.digits(minor, code, grouped=grouped)
    assert currencies.read(written, code) == minor
    assert currencies.read(currencies.written(minor, code), code) == minor
    assert currencies.read(currencies.with_code(minor, code, grouped=grouped), code) == minor
    wide = "".join(chr(ord(letter) + 0xFEE0) if letter.isascii() else letter for letter in written)
    assert currencies.read(wide, code) == minor


@given(st.text(alphabet="0123456789.,' ¥-e０５．，元$²½", max_size=14), codes)
def test_a_typed_amount_is_refused_or_reads_as_it_looks(typed: str, code: str) -> None:
    try:
        minor = currencies.read(typed, code)
    except AmountUnreadable:
        return
    kept = "".join(chr(ord(character) - 0xFEE0) if "！" <= character <= "～" else character for character in typed)
    bare = re.sub(r"[ ¥元$]", "", kept)
    assert re.fullmatch(r"\d+(\.\d+)?|\d{1,3}(,\d{3})+(\.\d+)?", bare)
    assert Decimal(bare.replace(",", "")).scaleb(currencies.decimals(code)) == minor


@pytest.mark.parametrize(
    ("typed", "minor"),
    [
        ("47", 4_700),
        ("47.5", 4_750),
        ("1,234.50", 123_450),
        ("1,234", 123_400),
        ("１２３．５０", 12_350),
        ("￥１，２３４．５", 123_450),
        ("¥47.5", 4_750),
        (" ¥ 0.01 ", 1),
        ("47.50元", 4_750),
        ("CNY 47.50", 4_750),
        ("47.50 cny", 4_750),
        ("0", 0),
    ],
)
def test_amounts_as_people_write_them_are_read(typed: str, minor: int) -> None:
    assert currencies.read(typed, "CNY") == minor


@pytest.mark.parametrize(
    ("typed", "code", "wrong"),
    [
        ("47,50", "CNY", "amount_ambiguous"),
        ("1.234,50", "CNY", "amount_ambiguous"),
        ("1 234", "CNY", "amount_ambiguous"),
        ("1'234.50", "CNY", "amount_ambiguous"),
        ("1，234，5", "CNY", "amount_ambiguous"),
        ("12,34.50", "CNY", "amount_ambiguous"),
        ("1,2345", "CNY", "amount_ambiguous"),
        ("0,500", "CNY", "amount_ambiguous"),
        ("1,234", "KWD", "amount_ambiguous"),
        ("47.505", "CNY", "amount_too_precise"),
        ("1.234", "CNY", "amount_too_precise"),
        ("1000.0", "JPY", "amount_too_precise"),
        ("1.2345", "KWD", "amount_too_precise"),
        ("-5", "CNY", "amount_negative"),
        ("（5）", "CNY", "amount_negative"),
        ("¥-5", "CNY", "amount_negative"),
        ("", "CNY", "amount_missing"),
        (" ¥ ", "CNY", "amount_missing"),
        ("1e3", "CNY", "amount_unreadable"),
        ("47²", "CNY", "amount_unreadable"),
        ("½", "CNY", "amount_unreadable"),
        ("۴۷", "CNY", "amount_unreadable"),
        ("+5", "CNY", "amount_unreadable"),
        ("5.", "CNY", "amount_unreadable"),
        ("47。50", "CNY", "amount_unreadable"),
        ("US$47", "CNY", "amount_unreadable"),
        ("$47", "HKD", "amount_unreadable"),
        ("47.50元", "JPY", "amount_unreadable"),
        ("10000000000.01", "CNY", "amount_too_large"),
        ("9" * 60, "CNY", "amount_too_large"),
    ],
)
def test_what_could_be_read_in_two_ways_or_in_none_is_refused_by_a_code(typed: str, code: str, wrong: str) -> None:
    with pytest.raises(AmountUnreadable) as refused:
        currencies.read(typed, code)
    assert refused.value.code == wrong


def test_nobody_else_turns_minor_units_into_digits() -> None:
    """Looks for the number 100 beside minor units wherever claims are decided, paid, shown or drawn (not in
    `vision`).
    """
    by_hand = re.compile(
        r"(minor|amount)\w*\)? *(//?|\*|%) *100\b|(minor|amount)\w*, 100\)|minor[^\n]*:,?\.2f|\* 100 \+ Number"
    )
    yuan_only = {"claims/currencies.py", "fixtures/papers/capital.py"}
    files = [
        path
        for folder in ("api", "claims", "flows", "fixtures")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".js", ".html") and "vendor" not in path.parts and "blind" not in path.name
    ]
    mistakes = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        if str(path.relative_to(ROOT)) not in yuan_only
        for line in path.read_text(encoding="utf-8").splitlines()
        if by_hand.search(line) and "total_minor" not in line
    ]
    assert len(files) > 150
    assert mistakes == []
