"""Reads the currency of a paper: from signs, codes and words beside its amounts, else from the merchant's country, else
from the script. A sign that several currencies share ($, ¥) counts only with other evidence; without any the currency
is unknown, never assumed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vision.documents.fields.countries import CURRENCY_OF, CountryClue, countries, told_country
from vision.documents.text.layout import Row, piece
from vision.documents.text.normalise import amounts
from vision.documents.text.page import CurrencyReading, CurrencySource
from vision.documents.text.script import in_simplified
from vision.documents.text.signs import CODES, SIGN, WORDS, currencies_of, decimals

_SIGNED: Final = re.compile(rf"({SIGN})\s{{0,3}}\(?-?\s?(?=\.?\d)|(?<=\d)\s?({SIGN})(?!\w)|[(\[/]\s?({SIGN})\s?[)\]]")
_DECLARED: Final = re.compile(
    rf"(?:currency|币\s?[种别]|货币|貨幣)\W{{0,3}}({SIGN})|(?:total|amount|amt|price|金额|合计)\s{{1,3}}({SIGN})(?!\w)",
    re.IGNORECASE,
)
_WORDED: Final = tuple((re.compile(pattern, re.IGNORECASE), codes) for pattern, codes in WORDS)
# Codes that are no word or abbreviation of addresses and firms: an amount without decimals beside them will do.
_PLAIN_CODES: Final = frozenset(CODES) - {"BHD", "CAD", "COP", "LAK", "MAD", "MOP", "OMR", "RON", "SAR", "SEK", "TND"}
_DECIMAL_BEHIND: Final = re.compile(r"\s{0,3}\(?-?\s?\d[\d.,' ]*[.,]\d{2,3}(?!\d)")
_DECIMAL_BEFORE: Final = re.compile(r"\d[.,]\d{2,3}\s?$")
_SIGNED_AMOUNT: Final = re.compile(r"\s{0,3}\(?-?\s?\d[\d,' ]*(?:\.(\d{2}))?(?![\d.])")
#: Amounts with two decimals on a page before they rule out a currency that has none.
_DECIMALS_MIN: Final = 2
_ANY_WORD: Final = re.compile(
    r"dollar|ringgit|baht|won|yen|euro|pound|rupiah|dong|VN[DĐ]|đ|yuan|renminbi|[元圆圓円币幣镑鎊吉特铢銖盾圜金원]|บาท",
    re.IGNORECASE,
)
_KANA: Final = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_HANGUL: Final = re.compile(r"[\uac00-\ud7a3]")
_THAI: Final = re.compile(r"[\u0e01-\u0e4e]")
_HAN: Final = re.compile(r"[\u4e00-\u9fff]")
_SCRIPT_MIN: Final = 4  # characters
#: Share of a page's Chinese characters and kana that are kana on Japanese papers (about half); goods with a の in their
#: name make no Japanese paper.
_KANA_RATIO_MIN: Final = 0.15
#: Chinese papers name goods of other countries, and tests whose letters are a tax elsewhere: a merchant abroad prints
#: its kind of company or tax and its address.
_ABROAD_WEIGHT_MIN: Final = 5


@dataclass(frozen=True, slots=True)
class _Mark:
    """A sign, code or word at a place of a row, and the currencies that it may mean."""

    codes: tuple[str, ...]
    source: CurrencySource
    row: int
    start: int
    end: int


def read_currency(rows: Sequence[Row]) -> CurrencyReading:
    """Return the currency of the paper that these rows are on, with what told it."""
    texts = [row.text for row in rows]
    marks = _marks(texts)
    script = _script(texts)
    country = told_country(countries(texts))
    if script == "CN" and country is not None and country.weight < _ABROAD_WEIGHT_MIN:
        country = None
    where = country.country if country is not None else "" if script == "TRADITIONAL" else script
    sure = {mark.codes[0] for mark in marks if len(mark.codes) == 1}
    if sure:
        chosen = _by_marks(rows, marks, sure)
    elif marks:
        chosen = _by_country(rows, marks, country, script)
    else:
        chosen = _unsigned(rows, country, script)
    return replace(chosen, country=where)


def _by_marks(rows: Sequence[Row], marks: Sequence[_Mark], sure: Collection[str]) -> CurrencyReading:
    """Return the one currency that the marks name; if they name several, the amounts may be in either."""
    if len(sure) == 1:
        (code,) = sure
        against = next((mark for mark in marks if code not in mark.codes), None)
        best = next(mark for mark in marks if mark.codes == (code,))
        return _reading(rows, code, best) if against is None else _reading(rows, "", against)
    others = [mark for mark in marks if len(mark.codes) == 1]
    return _reading(rows, "", others[-1])


def _by_country(
    rows: Sequence[Row], marks: Sequence[_Mark], country: CountryClue | None, script: str
) -> CurrencyReading:
    """Return what marks of several currencies mean in the merchant's country, or in the paper's script."""
    possible = frozenset.intersection(*(frozenset(mark.codes) for mark in marks))
    if _in_hundredths([row.text for row in rows], marks):
        possible = frozenset(code for code in possible if decimals(code) == 2)
        if len(possible) == 1 and country is None and script in ("", "CN"):
            return _reading(rows, next(iter(possible)), marks[0])
    if country is not None:
        code = CURRENCY_OF[country.country]
        return _reading(rows, code if code in possible else "", marks[0])
    if script in CURRENCY_OF and CURRENCY_OF[script] in possible:
        return _reading(rows, CURRENCY_OF[script], marks[0])
    return _reading(rows, "", marks[0])


def _in_hundredths(texts: Sequence[str], marks: Sequence[_Mark]) -> bool:
    """True if every amount behind a sign has two decimals, some have other ones than 00, and the page has several such
    amounts, signed or not: nobody prints half a yen. A till that knows one format prints 00 behind yen, too."""
    behind = [_SIGNED_AMOUNT.match(texts[mark.row], mark.end) for mark in marks if mark.source == "sign"]
    parts = [match[1] for match in behind if match is not None]
    everywhere = sum(len(amounts(text, decimals_required=True)) for text in texts)
    return everywhere >= _DECIMALS_MIN and None not in parts and any(part != "00" for part in parts)


def _unsigned(rows: Sequence[Row], country: CountryClue | None, script: str) -> CurrencyReading:
    """Return the currency of a paper without any sign: its country's, or that of its script."""
    if country is not None:
        shown = piece(rows, country.row, country.start, country.end)
        return CurrencyReading(CURRENCY_OF[country.country], "country", shown.text, shown.box)
    return CurrencyReading(CURRENCY_OF.get(script, ""), "script" if script in CURRENCY_OF else "")


def _reading(rows: Sequence[Row], code: str, mark: _Mark) -> CurrencyReading:
    shown = piece(rows, mark.row, mark.start, mark.end)
    return CurrencyReading(code, mark.source, shown.text, shown.box)


def _marks(texts: Sequence[str]) -> list[_Mark]:
    return [mark for row, text in enumerate(texts) for mark in (*_signs(row, text), *_words(row, text))]


def _signs(row: int, text: str) -> Iterator[_Mark]:
    for pattern in (_SIGNED, _DECLARED):
        for match in pattern.finditer(text):
            group = match.lastindex or 1
            sign = match[group]
            if sign == "Y" or _is_other_word(sign, text, *match.span(group)):
                continue  # an Y may be a ¥, or the letter of a number
            if codes := currencies_of(sign):
                source: CurrencySource = "code" if sign.strip().upper() in CODES else "sign"
                yield _Mark(codes, source, row, *match.span(group))


def _is_other_word(sign: str, text: str, start: int, end: int) -> bool:
    """True for a code that is a word elsewhere (SDN BHD (123456-X), SEK 7, Rp. 1 of a prescription) unless an amount
    with decimals or groups stands beside it."""
    if sign.rstrip(".") not in ("Rp", "Rs") and (sign not in CODES or sign in _PLAIN_CODES):
        return False
    return not (_DECIMAL_BEHIND.match(text, end) or _DECIMAL_BEFORE.search(text[:start]) or _enclosed(text, start, end))


def _enclosed(text: str, start: int, end: int) -> bool:
    return text[:start].rstrip()[-1:] in ("(", "[", ":") and text[end:].lstrip()[:1] in (")", "]", "")


def _words(row: int, text: str) -> Iterator[_Mark]:
    if not _ANY_WORD.search(text):
        return
    taken: list[tuple[int, int]] = []
    for pattern, codes in _WORDED:
        for match in pattern.finditer(text):
            if not any(start < match.end() and match.start() < end for start, end in taken):
                taken.append(match.span())
                yield _Mark(codes, "word", row, *match.span())


def _script(texts: Sequence[str]) -> str:
    """Return the country whose script the paper is in, "TRADITIONAL" for traditional Chinese characters, which several
    countries write, "" for Latin letters."""
    text = "".join(texts)
    kana, han = len(_KANA.findall(text)), len(_HAN.findall(text))
    if kana >= _SCRIPT_MIN and kana >= _KANA_RATIO_MIN * (kana + han):
        return "JP"
    for country, letters in (("KR", _HANGUL), ("TH", _THAI)):
        if len(letters.findall(text)) >= max(_SCRIPT_MIN, han):
            return country
    if han < _SCRIPT_MIN:
        return ""
    return "CN" if in_simplified(texts) else "TRADITIONAL"
