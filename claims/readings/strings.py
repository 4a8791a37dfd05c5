"""Readings of recorded strings, which say them again in a reader's language.

A reason keeps its value, threshold and detail as short English strings that never change, so that old decisions replay
byte for byte. A Reading takes such a string apart ("<= 3 days") and says it in words ("3 天", "3 days"). For a string
that it does not recognise it returns None, and the sentence around it leaves the string out. The words are in the
catalogues (`claims.texts`), by key. `claims.readings.reasons` says which reading belongs to which reason; this module
has the kinds of readings, and the parts that they are made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

from claims import currencies
from claims.errors import AmountUnreadable, InvalidMoney
from claims.paper_kind import PaperKinds, load_paper_kinds
from claims.product import Product
from claims.texts import DEFAULT, Language, Texts, texts


@dataclass(frozen=True, slots=True)
class TextReader:
    """The reader: the language, the terms that name perils and tell currency and time zone, where they are known, and
    the kinds of paper, which have titles: the product's own, unless an installation has more."""

    lang: Language
    product: Product | None = None
    kinds: PaperKinds = field(default_factory=load_paper_kinds)

    @property
    def texts(self) -> Texts:
        return texts(self.lang)


Reading = Callable[[str, TextReader], str | None]


# ---- parts


def quote(text: str, _: TextReader) -> str | None:
    """Return words of a person or of a paper, ids and numbers of papers, unchanged."""
    return text.strip() or None


def printed(text: str, _: TextReader) -> str | None:
    """Return words that a paper prints, in quotation marks."""
    return f"“{text.strip()}”" if text.strip() else None


def number(text: str, _: TextReader) -> str | None:
    return text if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", text) else None


def percent(text: str, reader: TextReader) -> str | None:
    """Read a ratio from 0 to 1: "0.9973" is 99.73%."""
    if number(text, reader) is None:
        return None
    # "z" would do for the sign of zero; normalize() alone would write 1E+2.
    shown = f"{(Decimal(text) * 100).normalize():f}"
    return f"{shown}%"


def money(text: str, _: TextReader) -> str | None:
    """Read an amount in minor units: "123450 CNY" is ¥1,234.50."""
    match = re.fullmatch(r"(-?[0-9]{1,18}) ([A-Z]{3})", text)
    try:
        return currencies.written(int(match[1]), match[2]) if match else None
    except InvalidMoney:
        return None


def paper_minor(text: str, reader: TextReader) -> str | None:
    """Read minor units as a paper states them, in the currency of the terms."""
    return money(f"{text} {reader.product.currency if reader.product is not None else 'CNY'}", reader)


def paper_amount(text: str, _: TextReader) -> str | None:
    """Read an amount as the reader of papers writes it: "600.00" on papers in yuan, "600.00 USD" and "600 JPY" on
    others."""
    match = re.fullmatch(r"([0-9]{1,13}(?:\.[0-9]{1,4})?)(?: ([A-Z]{3}))?", text)
    code = match[2] or "CNY" if match is not None else ""
    try:
        return currencies.written(currencies.read(match[1], code), code) if match is not None else None
    except (AmountUnreadable, InvalidMoney):
        return None


def day(text: str, reader: TextReader) -> str | None:
    """Read a day: "2026-11-20" is 2026年11月20日 or 20 Nov 2026."""
    try:
        read = date.fromisoformat(text)
    except ValueError:
        return None
    return reader.texts.day(read) if len(text) == 10 else None


def moment(text: str, reader: TextReader) -> str | None:
    """Read an ISO time with its offset, into local time where the product is sold; without a product, UTC."""
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            return None
        offset = reader.product.utc_offset_minutes if reader.product is not None else 0
        local = read.astimezone(UTC) + timedelta(minutes=offset)
    except (ValueError, OverflowError):
        return None
    shown = day(local.date().isoformat(), reader)
    zone = "" if reader.product is not None else " UTC"
    return f"{shown} {local:%H:%M}{zone}"


def peril(text: str, reader: TextReader) -> str | None:
    """Return the peril's name in the terms."""
    named = reader.product.perils.get(text) if reader.product is not None else None
    return named.in_language(reader.lang) if named is not None else None


def own_name(text: str, _: TextReader) -> str | None:
    """Return a name that an insurer gave, unchanged if there are no words for it."""
    return text.replace("_", " ") if re.fullmatch(r"[a-z][a-z0-9_]{0,99}", text) else None


def counted(unit: str) -> Reading:
    """Return a reading of a whole number with its unit, one of the catalogues' `counts`: "8" is 8 天, 8 days."""

    def read(text: str, reader: TextReader) -> str | None:
        return reader.texts.count(unit, int(text)) if re.fullmatch(r"-?[0-9]{1,9}", text) else None

    return read


def named(group: str) -> Reading:
    """Return a reading of a code by its name in that group of the catalogues."""

    def read(text: str, reader: TextReader) -> str | None:
        return reader.texts.get(group, text)

    return read


# ---- what they make


@dataclass(frozen=True, slots=True)
class Phrase:
    """A reading of a string in the fixed form `pattern`, whose named groups are read by `parts` (a group without one is
    quoted); the words are the catalogues' text of that key, with the groups' names."""

    key: str
    pattern: re.Pattern[str]
    parts: Mapping[str, Reading]

    def __call__(self, text: str, reader: TextReader) -> str | None:
        match = self.pattern.fullmatch(text)
        if match is None:
            return None
        filled: dict[str, str] = {}
        for name, part in match.groupdict(default="").items():
            words = self.parts.get(name, quote)(part, reader)
            if words is None:
                return None
            filled[name] = words
        return reader.texts[self.key].format(**filled)


def phrase(key: str, pattern: str, /, **parts: Reading) -> Phrase:
    return Phrase(key, re.compile(pattern, re.DOTALL), parts)


def within(pattern: str, of: Reading) -> Reading:
    """Return a reading of a string in a fixed form, of which only one group, that with a name, is told."""
    compiled = re.compile(pattern, re.DOTALL)

    def read(text: str, reader: TextReader) -> str | None:
        match = compiled.fullmatch(text)
        return of(match[match.lastgroup or 0], reader) if match is not None else None

    return read


def bound(sign: str, of: Reading) -> Reading:
    """Return a reading of a limit, ">= 0.80" or "<= 3 days", that gives the limit alone. The sentence says which side
    of it is wanted, since that is the same for every reason of a code."""
    return within(f"{re.escape(sign)} (?P<limit>.+)", of)


def first_of(*readings: Reading) -> Reading:
    """Return a reading that tries several and takes the first that recognises the string."""

    def read(text: str, reader: TextReader) -> str | None:
        return next((words for reading in readings if (words := reading(text, reader)) is not None), None)

    return read


def listed(of: Reading, split: str = " ", join: str = "lists.words") -> Reading:
    """Return a reading of several parts, all of which must be recognised; between them stands the text of the key
    `join`."""

    def read(text: str, reader: TextReader) -> str | None:
        parts = [of(part, reader) for part in text.split(split) if part]
        if not parts or None in parts:
            return None
        return reader.texts[join].join(words for words in parts if words is not None)

    return read


def recorded(sentence: Reading) -> Reading:
    """Return a reading of what is recorded as a sentence in the default language: shown to its readers as it stands, to
    nobody else."""

    def read(text: str, reader: TextReader) -> str | None:
        return sentence(text, reader) if reader.lang == DEFAULT else None

    return read


# ---- sentences with places for such strings


@dataclass(frozen=True, slots=True)
class _Part:
    """Text, slots (their names) and parts that may be left out, in order."""

    pieces: tuple[str | _Slot | _Part, ...]

    def fill(self, values: Mapping[str, str]) -> str | None:
        """Fill the slots; None where a slot of its own has no words."""
        filled = []
        for piece in self.pieces:
            if isinstance(piece, _Part):
                filled.append(piece.fill(values) or "")
            elif isinstance(piece, str):
                filled.append(piece)
            elif words := values.get(piece.name):
                filled.append(words)
            else:
                return None
        return "".join(filled)


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str


def fill(template: str, values: Mapping[str, str]) -> str:
    """Fill the {slots} of a template. A part in [brackets] is left out where a slot in it has no words; brackets may be
    nested. A slot outside of all brackets that has no words is left empty."""
    filled = [
        (piece.fill(values) or "")
        if isinstance(piece, _Part)
        else values.get(piece.name, "")
        if isinstance(piece, _Slot)
        else piece
        for piece in _parsed(template).pieces
    ]
    return "".join(filled).strip()


@cache
def _parsed(template: str) -> _Part:
    """Parse a template. Raises ValueError where brackets do not match."""
    open_parts: list[list[str | _Slot | _Part]] = [[]]
    for token in re.findall(r"\[|\]|\{\w+\}|[^\[\]{}]+", template):
        if token == "[":
            open_parts.append([])
        elif token == "]":
            if len(open_parts) == 1:
                raise ValueError(f"a bracket too many: {template}")
            closed = open_parts.pop()
            open_parts[-1].append(_Part(tuple(closed)))
        elif token.startswith("{"):
            open_parts[-1].append(_Slot(token[1:-1]))
        else:
            open_parts[-1].append(token)
    if len(open_parts) != 1:
        raise ValueError(f"a bracket is not closed: {template}")
    return _Part(tuple(open_parts[0]))
