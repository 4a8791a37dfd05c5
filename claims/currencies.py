"""Currencies by their ISO 4217 codes: decimals, how an amount is written, and how a typed amount is read. The only
place that turns minor units into digits with a point, or back.

Source of the decimals: ISO 4217 list one (SIX, the maintenance agency), column "minor unit", as of 2026-01-01. CLDR,
and babel with it, has other numbers for fifteen of them (HUF, IDR, IQD, COP: 0), so it is no source here
(docs/decisions/0022-currencies-and-typed-words.md). Codes without a minor unit (gold, funds of account, testing) are no
currency of a claim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from claims.errors import AmountUnreadable, InvalidMoney

_TWO: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU
CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
_NONE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR: Final = "CLF UYW"
# Withdrawn since 2014 (list three). Nothing new is written in them, and what was recorded in them can still be read.
_WITHDRAWN: Final = "ANG BGN BYR CUC HRK LTL MRO SLL STD VEF ZMK ZWL"
_WITHDRAWN_NONE: Final = frozenset({"BYR"})

DECIMALS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(_TWO.split(), 2)
    | dict.fromkeys(_NONE.split(), 0)
    | dict.fromkeys(_THREE.split(), 3)
    | dict.fromkeys(_FOUR.split(), 4)
)
_KNOWN: Final[Mapping[str, int]] = MappingProxyType(
    {**{code: 0 if code in _WITHDRAWN_NONE else 2 for code in _WITHDRAWN.split()}, **DECIMALS}
)

# As a Chinese reader knows them; the yen is never the bare sign, which is the yuan's. Any other: its code.
SYMBOLS: Mapping[str, str] = MappingProxyType(
    {
        "AUD": "A$",
        "CAD": "CA$",
        "CNY": "¥",
        "EUR": "€",
        "GBP": "£",
        "HKD": "HK$",
        "INR": "₹",
        "JPY": "JP¥",
        "KRW": "₩",
        "NZD": "NZ$",
        "SGD": "S$",
        "TWD": "NT$",
        "USD": "US$",
        "VND": "₫",
    }
)
# Words accepted before or behind a typed amount, beside symbol and code.
_ALSO_TYPED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"CNY": ("元", "RMB", "人民币"), "JPY": ("¥", "日元", "円"), "USD": ("$", "美元"), "HKD": ("港元", "港币")}
)
MINOR_MAX: Final = 10**12  # as the API's own amounts
_TYPED_MAX: Final = 40
# Full-width forms of an input method, one by one: Unicode's compatibility forms would read 47² as 472.
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xFFE5: 0xA5}
_PLAIN: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_GROUPED: Final = re.compile(r"([1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.([0-9]+))?")
_TWO_WAYS: Final = re.compile(r"[0-9]+(?:[.,' ’][0-9]+)+")
_NEGATIVE: Final = re.compile(r"[-−–].*|.*[-−–]|\(.*\)")


def is_current(code: str) -> bool:
    """Return True for a code that new records may use: ISO 4217 list one, with a minor unit."""
    return code in DECIMALS


def is_known(code: str) -> bool:
    """Return True for a current code, and for those withdrawn since 2014."""
    return code in _KNOWN


def decimals(code: str) -> int:
    """Return the number of digits behind the point: 2 for CNY, 0 for JPY, 3 for KWD. Raises InvalidMoney for a code
    that ISO 4217 does not have."""
    try:
        return _KNOWN[code]
    except KeyError:
        raise InvalidMoney(f"no currency of ISO 4217: {code!r}") from None


def digits(minor: int, code: str, *, grouped: bool = True) -> str:
    """Return minor units as people write them in both languages, without a currency sign: 123450 CNY is "1,234.50",
    1000 JPY is "1,000"."""
    places = decimals(code)
    whole, part = divmod(abs(minor), 10**places)
    text = f"{whole:,}" if grouped else str(whole)
    return ("-" if minor < 0 else "") + text + (f".{part:0{places}d}" if places else "")


def written(minor: int, code: str) -> str:
    """Return minor units with their currency sign: "¥1,234.50", "-¥10.00", "JP¥1,000", "KWD 1.234"."""
    symbol = SYMBOLS.get(code, f"{code} ")
    return f"{'-' if minor < 0 else ''}{symbol}{digits(abs(minor), code)}"


def with_code(minor: int, code: str, *, grouped: bool = False) -> str:
    """Return minor units with the code behind them, for logs, reports and operators: "1234.50 CNY"."""
    return f"{digits(minor, code, grouped=grouped)} {code}"


def read(typed: str, code: str) -> int:
    """Read an amount that a person typed, into minor units. Chinese and English use one notation, 1,234.50.

    Full-width digits, and the currency's sign or code before or behind, are taken. Raises AmountUnreadable with the
    code of what is wrong: `amount_missing`, `amount_ambiguous` (a comma or a space that may stand for a point, as in
    47,50), `amount_too_precise`, `amount_negative`, `amount_too_large`, `amount_unreadable`. Raises InvalidMoney for an
    unknown currency. Nothing is rounded and nothing is guessed.
    """
    places = decimals(code)
    text = _bare(typed.translate(_FULL_WIDTH).strip(), code)
    if not text:
        raise AmountUnreadable("amount_missing")
    if len(text) > _TYPED_MAX:
        raise AmountUnreadable("amount_too_large" if _PLAIN.fullmatch(text) else "amount_unreadable")
    if len(text) > 1 and _NEGATIVE.fullmatch(text):
        raise AmountUnreadable("amount_negative")
    match = _PLAIN.fullmatch(text) or _GROUPED.fullmatch(text)
    if match is None:
        raise AmountUnreadable("amount_ambiguous" if _TWO_WAYS.fullmatch(text) else "amount_unreadable")
    whole, part = match[1], match[2] or ""
    if whole.count(",") == 1 and not part and places == 3:
        raise AmountUnreadable("amount_ambiguous")  # 1,234 of a currency with three decimals may be 1.234
    if len(part) > places:
        raise AmountUnreadable("amount_too_precise")
    minor = int(whole.replace(",", "") + part.ljust(places, "0"))
    if minor > MINOR_MAX:
        raise AmountUnreadable("amount_too_large")
    return minor


def _bare(text: str, code: str) -> str:
    """Remove the currency's own sign or code, once."""
    signs = (SYMBOLS.get(code, code), code, *_ALSO_TYPED.get(code, ()))
    for sign in sorted(signs, key=len, reverse=True):
        if text.upper().startswith(sign.upper()):
            return text[len(sign) :].strip()
        if text.upper().endswith(sign.upper()):
            return text[: -len(sign)].strip()
    return text
