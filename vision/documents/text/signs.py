"""Signs and codes of currencies beside printed amounts, and the decimals that each currency's minor unit has."""

from __future__ import annotations

import re
from typing import Final

# Tills in Malaysia print a $ for the ringgit, once a dollar: 2 of 60 scanned receipts do.
_DOLLARS: Final = (
    "MYR",
    "USD",
    "SGD",
    "HKD",
    "AUD",
    "CAD",
    "NZD",
    "TWD",
    "MXN",
    "BND",
    "FJD",
    "JMD",
    "ARS",
    "CLP",
    "COP",
)
# Patterns of signs, the longer first, with the currencies that print them. After its letters a dollar is sometimes read
# as S.
_SIGNS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (r"USD?\s?[$]|USS(?=\s?\d)", ("USD",)),
    (r"HKD?\s?[$]|HKS(?=\s?\d)", ("HKD",)),
    (r"SGD\s?[$]|(?<![A-Z])S\$", ("SGD",)),
    (r"NTD?\s?[$]|NTS(?=\s?\d)", ("TWD",)),
    (r"AUD?\s?[$]|(?<![A-Z])A\$", ("AUD",)),
    (r"NZD?\s?[$]", ("NZD",)),
    (r"CAD?\s?[$]|(?<![A-Z])C\$", ("CAD",)),
    (r"MOP\s?[$]", ("MOP",)),
    (r"(?<![A-Z])R\$", ("BRL",)),
    (r"[$]", _DOLLARS),
    (r"JP\s?¥", ("JPY",)),
    (r"CN\s?¥|RMB|人民币", ("CNY",)),
    (r"¥|(?<![A-Z])Y(?=\s?\d)", ("CNY", "JPY")),
    (r"(?<![A-Z])RM(?![A-Z])", ("MYR",)),
    (r"€", ("EUR",)),
    (r"£", ("GBP",)),
    (r"₩", ("KRW",)),
    (r"฿", ("THB",)),
    (r"₹", ("INR",)),
    (r"₫", ("VND",)),
    (r"₱", ("PHP",)),
    (r"₽", ("RUB",)),
    (r"₺", ("TRY",)),
    (r"(?<![A-Z])Rp\.?(?![A-Z])", ("IDR",)),
    (r"(?<![A-Z])Rs\.?(?![A-Z])", ("INR", "PKR", "LKR", "NPR", "MUR")),
)
# Codes that pages print beside amounts; ISO 4217 has more, whose letters are words in some language (ALL, TOP,
# TRY).
_CODES: Final = """
AED AUD BDT BHD BND BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JOD JPY KES KHR KRW KWD KZT LAK
LKR MAD MMK MNT MOP MUR MXN MYR NGN NOK NPR NZD OMR PHP PKR PLN QAR RON RUB SAR SEK SGD THB TND TWD TZS UAH UGX USD UYU
VND ZAR
"""
CODES: Final = tuple(_CODES.split())
_NO_DECIMALS: Final = frozenset({"CLP", "ISK", "JPY", "KRW", "UGX", "VND"})
_THREE_DECIMALS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# Chinese words stand behind a figure or a numeral, not within other words (附加元素, 生日元宵).
_BEHIND: Final = "(?:(?<![\u4e00-\u9fff])|(?<=[拾佰仟万萬零壹贰叁肆伍陆柒捌玖]))"
#: Behind an amount, or in words before it. Names of shops and people have euro, won and yuan in them, too.
WORDS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (rf"\bU\.?S\.? dollars?|{_BEHIND}美[元金]", ("USD",)),
    (rf"\bHong Kong dollars?|{_BEHIND}港[元币幣]", ("HKD",)),
    (rf"\bSingapore dollars?|{_BEHIND}(?:新加坡元|新币|坡币)", ("SGD",)),
    (rf"\bAustralian dollars?|{_BEHIND}澳[元币]", ("AUD",)),
    (rf"\bCanadian dollars?|{_BEHIND}加[元币]", ("CAD",)),
    (rf"\bNew Zealand dollars?|{_BEHIND}(?:新西兰元|纽币)", ("NZD",)),
    (rf"\bNew Taiwan dollars?|{_BEHIND}新?[台臺][币幣]", ("TWD",)),
    (r"(?<=\d)\s?dollars?\b", _DOLLARS),
    (rf"\bringgit\b|{_BEHIND}(?:令吉|林吉特|马币|馬幣)", ("MYR",)),
    (rf"\bbaht\b|บาท|{_BEHIND}泰[铢銖]", ("THB",)),
    (rf"(?<=\d)\s?won\b|(?<=\d)\s?원|{_BEHIND}(?:韩[元币]|韓[元圜])", ("KRW",)),
    (rf"(?<=\d)\s?円|(?<=\d)\s?yen\b|{_BEHIND}日[元圆圓币]", ("JPY",)),
    (rf"(?<=\d)\s?euros?\b|{_BEHIND}[欧歐]元", ("EUR",)),
    (rf"\bpounds? sterling\b|{_BEHIND}英[镑鎊]", ("GBP",)),
    (rf"\brupiah\b|{_BEHIND}印尼盾", ("IDR",)),
    (rf"(?<=\d)\s?(?:dong|VN[DĐ]|đ)\b|{_BEHIND}越南盾", ("VND",)),
    (r"(?<=\d)\s?yuan\b|\brenminbi\b|人民币", ("CNY",)),
    (r"(?<=[\d整])\s?[元圆]|[(\[/]\s?元\s?[)\]]", ("CNY", "HKD", "TWD", "MOP")),
)
_CODE: Final = "(?<![A-Z])(?:" + "|".join(CODES) + ")(?![A-Z])"
#: What may stand before an amount, without groups of its own.
SIGN: Final = "(?:" + "|".join(pattern for pattern, _ in _SIGNS) + f"|{_CODE})"
_EACH: Final = re.compile(
    "|".join(f"(?P<s{place}>{pattern})" for place, (pattern, _) in enumerate(_SIGNS)) + f"|(?P<code>{_CODE})"
)


def decimals(code: str) -> int:
    """Return the digits of a currency's minor unit by ISO 4217 (SIX, list one, 2026-01-01): 2 unless it has none, as
    the yen, or three, as the Kuwaiti dinar; 2 for a currency that is not known."""
    return 0 if code in _NO_DECIMALS else 3 if code in _THREE_DECIMALS else 2


def currencies_of(sign: str) -> tuple[str, ...]:
    """Return the currencies that a sign or code (a match of `SIGN`) may stand for: one for most, several for $, ¥ and
    Rs; none for any other text."""
    match = _EACH.fullmatch(sign.strip()) or _EACH.match(sign.strip() + " 1")
    if match is None or match.lastgroup is None:
        return ()
    return (match[0],) if match.lastgroup == "code" else _SIGNS[int(match.lastgroup[1:])][1]
