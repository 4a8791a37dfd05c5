"""How the amounts of a page are written: which mark stands before their decimals, and how many decimals they have.

All amounts of a page share one notation. The rows are restated in the house's own, 1,234.56 with one hundred minor
units to the whole, so that every later step counts minor units alike: 1.234,56 becomes 1,234.56; ¥1,234 of a Japanese
page, which are 1,234 minor units, become 12.34, and KWD 12.345 become 123.45. What has two meanings is restated in
neither, and is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

from babel import Locale, UnknownLocaleError

from vision.documents.text.layout import Row, row_of
from vision.documents.text.signs import SIGN, decimals
from vision.documents.text.sum_words import words

Mark = Literal[".", ",", ""]
_TOKEN: Final = re.compile(
    r"(?<![\d/:])(?<!\d[.,'-])\d+(?:\s?[.,'’´`]\s?\d+| (?=\d{3}(?:[ .,]\d|(?!\d)))\d{3})*(?![\d/:]|[.,-]\d)"
)
_APOSTROPHES: Final = str.maketrans("’´`", "'''")
_GROUPED: Final[Mapping[str, str]] = {
    ",": r"\d{1,3}(?:,\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}",
    ".": r"\d{1,3}(?:\.\d{3})+",
    "'": r"\d{1,3}(?:['\s]\d{3})+",
}
_FORMS: Final[Mapping[Mark, re.Pattern[str]]] = {
    ".": re.compile(rf"(?P<whole>\d+|{_GROUPED[',']}|{_GROUPED[chr(39)]})(?:\.(?P<part>\d+))?"),
    ",": re.compile(rf"(?P<whole>\d+|{_GROUPED['.']}|{_GROUPED[chr(39)]})(?:,(?P<part>\d+))?"),
}
_EITHER: Final = re.compile(r"\d{1,3}[.,]\d{3}")
_MAJORITY_RATIO: Final = 3  # a mark that fewer amounts print was misread
_SIGN_BEFORE: Final = re.compile(rf"(?:{SIGN})\s{{0,3}}-?$")
_SIGN_BEHIND: Final = re.compile(rf"\s?(?:{SIGN}|[円원元圆]|đ)(?!\w)")
_SUM_BEFORE: Final = re.compile(
    rf"(?:total|amount|due|price|{words('due', 'total', 'sub', 'tendered', 'change', 'tax')})\W*$",
    re.IGNORECASE,
)
_SPLIT: Final = re.compile(r"\s\d\d(?![\d.,])")  # 29 01, which was 29.01 or two numbers
_GLYPHS: Final = re.compile(r"[^\W\d_]")
_DIGITS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Notation:
    """decimal: the mark before the decimals, "" if the page does not tell. places: decimals of the currency. whole: no
    amount of the page has decimals."""

    decimal: Mark
    places: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Restated:
    """Rows in the house's notation. ambiguous: of amounts, in minor units, the print that may mean something else;
    unlikely: of amounts, the print that does not fit the page's other amounts."""

    rows: tuple[Row, ...]
    ambiguous: Mapping[int, str]
    unlikely: Mapping[int, str]


def notation_of(rows: Sequence[Row], currency: str, country: str) -> Notation:
    """Return the notation that most amounts of the page have; if none tells, that of the currency's country (CLDR, by
    babel). currency: ISO 4217, "" if unknown. country: of the merchant, ISO 3166, "" if unknown."""
    tokens = [_bare(match[0]) for row in rows for cell in row.cells for match in _TOKEN.finditer(cell.text)]
    places = decimals(currency) if currency else 2
    votes = {mark: sum(_votes(token, mark, places) for token in tokens) for mark in (".", ",")}
    shown = max(1, places)
    whole = not any(re.search(rf"[.,]\d{{{shown}}}$", token) and not _EITHER.fullmatch(token) for token in tokens)
    return Notation(_decided(votes["."], votes[","]) or customary(currency, country), places, whole)


def _votes(token: str, mark: str, places: int) -> bool:
    """True if a number is written with that mark before its decimals and could not be with the other one."""
    other = "." if mark == "," else ","
    if re.fullmatch(rf"(?:{_GROUPED[other]}|{_GROUPED[chr(39)]}|\d+)\{mark}\d\d", token):
        return True
    if places == 3 and re.fullmatch(rf"(?:{_GROUPED[other]}|0|\d{{4,}})\{mark}\d{{3}}", token):
        return True
    return (
        re.fullmatch(rf"\d{{1,3}}(?:\{other}\d{{3}}){{2,}}|\d{{1,2}}(?:\{other}\d{{2}})+\{other}\d{{3}}", token)
        is not None
    )


def _decided(points: int, commas: int) -> Mark:
    if points >= _MAJORITY_RATIO * commas and points:
        return "."
    return "," if commas >= _MAJORITY_RATIO * points and commas else ""


@cache
def customary(currency: str, country: str) -> Mark:
    """Return the mark before decimals where the currency is used: in the country, or in the one that its code begins
    with; "" for a currency of many countries."""
    territory = country or ("" if currency[:2] in ("EU", "XA", "XO", "") else currency[:2])
    try:
        symbols = Locale.parse(f"und_{territory}").number_symbols if territory else {}
    except (UnknownLocaleError, ValueError):
        return ""
    mark = symbols.get("latn", symbols).get("decimal", "")
    return "." if mark == "." else "," if mark == "," else ""


def restated(rows: Sequence[Row], notation: Notation) -> Restated:
    """Return the rows in the house's notation. What is in it already is left as it stands, character by character."""
    ambiguous: dict[int, str] = {}
    unlikely: dict[int, str] = {}
    after = tuple(
        with_texts(row, [_cell(cell.text, at, row, notation, ambiguous, unlikely) for at, cell in enumerate(row.cells)])
        for row in rows
    )
    return Restated(after, ambiguous, unlikely)


def with_texts(row: Row, texts: Sequence[str]) -> Row:
    """Return the row with these texts in its cells, the row itself if they are the same."""
    if all(cell.text == text for cell, text in zip(row.cells, texts, strict=True)):
        return row
    return row_of(tuple(replace(cell, text=text) for cell, text in zip(row.cells, texts, strict=True)))


def _cell(text: str, at: int, row: Row, notation: Notation, ambiguous: dict[int, str], unlikely: dict[int, str]) -> str:
    pieces, end = [], 0
    for match in _TOKEN.finditer(text):
        token = _bare(match[0])
        signed = _SIGN_BEFORE.search(text[: match.start()]) or _SIGN_BEHIND.match(text, match.end())
        if token.isdigit() and _SPLIT.match(text, match.end()):
            continue
        priced = bool(signed or _SUM_BEFORE.search(text[: match.start()]) or _in_prices(at, row, match[0]))
        shown = _token(token, match[0], notation, bool(signed), priced, ambiguous, unlikely)
        pieces += [text[end : match.start()], shown]
        end = match.end()
    return "".join((*pieces, text[end:]))


def _in_prices(at: int, row: Row, token: str) -> bool:
    """True if a number is alone in the last cell of a row that begins with words: the column of prices."""
    last = at == len(row.cells) - 1 and at > 0 and row.cells[at].text.strip() == token
    return last and _GLYPHS.search(row.cells[0].text) is not None


def _token(
    token: str,
    printed: str,
    notation: Notation,
    signed: bool,
    priced: bool,
    ambiguous: dict[int, str],
    unlikely: dict[int, str],
) -> str:
    """Return a number in the house's notation, or as printed if it is no amount, is in it already, or has two
    meanings. signed: a currency stands beside it; priced: it stands where amounts do."""
    if sum(character.isdigit() for character in token) > _DIGITS_MAX:
        return printed
    if " " in token and not (signed if notation.decimal == "." else priced and notation.decimal):
        head, _, last = token.rpartition(" ")  # perhaps a count and an amount
        unlikely[_minor(last, notation.decimal, notation.places)] = printed
        return f"{head} {_token(last, last, notation, signed, priced, ambiguous, unlikely)}"
    if not notation.decimal:
        if _EITHER.fullmatch(token) and priced:
            ambiguous[_minor(token, "," if "." in token else ".", 2)] = printed
            return printed
        own: Mark = "," if re.fullmatch(r".*,\d\d", token) else "."
        return _plainly(token, printed, own, notation.places)
    if notation.places == 2:
        if token.isdigit() and notation.decimal == ".":
            return printed  # 2020 is 2,020.00 as it stands, unless it is a year
        if notation.whole and (signed or (priced and _EITHER.fullmatch(token))):
            return _whole(token, printed, notation.decimal)
        other: Mark = "," if notation.decimal == "." else "."
        if re.fullmatch(rf"\d+\{other}\d\d", token):
            unlikely[_minor(token, other, 2)] = printed
            return _plainly(token, printed, other, 2)
        return _plainly(token, printed, notation.decimal, 2)
    if not priced and notation.places == 0 and not _EITHER.fullmatch(token):
        return printed
    match = _FORMS[notation.decimal].fullmatch(token)
    if match is None or (notation.places == 0 and match["part"] and match["part"].strip("0")):
        if _EITHER.fullmatch(token) or priced:
            unlikely[_minor(token, notation.decimal, notation.places)] = printed
        return printed
    if notation.places == 0 and match["part"] is not None and len(match["part"]) == 3:
        ambiguous[int(_digits(match["whole"]))] = printed  # 12.000 won, of a country whose groups have commas
        return _hundredths(int(_digits(match["whole"])))
    if notation.places == 3 and match["part"] is None:
        return printed  # a count
    minor = _minor(token, notation.decimal, notation.places)
    if notation.places == 3 and len(match["part"] or "") != 3:
        unlikely[minor] = printed
    return _hundredths(minor)


def _plainly(token: str, printed: str, decimal: Mark, places: int) -> str:
    """Return a number with its marks changed to 1,234.56, as long as before; as printed if it is none of this notation
    or has other decimals."""
    match = _FORMS[decimal].fullmatch(token)
    if match is None:
        return printed
    whole, part = match["whole"], match["part"]
    if part is None:
        if decimal == "," and _EITHER.fullmatch(token):
            return whole.replace(".", ",")
        return printed
    if decimal == "." and not re.search(r"['\s]", whole):
        return printed
    if len(part) > max(1, places):
        return f"{_digits(whole)}.{part}"  # a weight or a rate
    return re.sub(r"[.'\s]", ",", whole) + f".{part}"


def _whole(token: str, printed: str, decimal: Mark) -> str:
    """Return an amount of a page that prints no decimals with two: Rp 12.000 is 12,000.00."""
    match = _FORMS[decimal].fullmatch(token)
    if match is None or match["part"] is not None:
        return _plainly(token, printed, decimal, 2)
    return f"{int(_digits(match['whole'])):,}.00"


def _minor(token: str, decimal: Mark, places: int) -> int:
    whole, _, part = token.rpartition(decimal) if decimal and decimal in token else (token, "", "")
    return int((_digits(whole) or "0") + (_digits(part) + "0" * places)[:places])


def _hundredths(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _bare(token: str) -> str:
    """Return a number without the spaces that the reader set around its marks."""
    return re.sub(r"\s?([.,'])\s?", r"\1", token.translate(_APOSTROPHES))
