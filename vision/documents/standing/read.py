"""Tells from the rows of a page that the paper is no paid bill, and by which words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vision.documents.kinds.catalogue import PaperKind
from vision.documents.standing import words
from vision.documents.standing.signs import printed_below_zero, signed_amounts
from vision.documents.standing.words import StandingPhrase
from vision.documents.text.layout import Row
from vision.documents.text.normalise import NEGATIVE, amounts
from vision.documents.text.page import FieldReading, PageBox, RefusedField, Standing, StandingSign, ToldBy

#: The gravest first.
GRAVITY: Final[Sequence[Standing]] = (
    "void",
    "refund",
    "negative",
    "reimbursed",
    "training",
    "sample",
    "estimate",
    "deposit",
    "unpaid",
    "copy",
    "statement",
    "no_voucher",
    "unshown",
)
_WORDS_MAX = 60
_HEADING_CELLS_MIN = 3  # words side by side without a figure
_STATES_OF_TABS_MIN = 3
_NEGATIVE_MIN = 3  # amounts below zero from which, if they are most, a page counts as one of red letters
_NEGATIVE_SHARE_MIN = 0.6
_STAMP_ROWS_MAX = 8  # of one ink; with more a form is printed in it
_STAMPED_ON_FORMS: Final = frozenset({"void", "sample"})
_TITLE_PREFIX = r"(?:[\u4e00-\u9fff()·A-Z\d\s]{0,30}?)"
_AMOUNT_FIELD = "total_minor"
# States that the page of an order shows, in its head for the whole order, further down for one of its goods.
_OF_STATES: Final = frozenset({"void", "refund", "unpaid"})
_BARE: Final = re.compile(r"^[\W_]+|[\W_]+$")
_BREAK: Final = re.compile(r"\s*(:)\s*|\s*(?:[|/·,;。、()\[\]*~=<>《》#!?“”\"…+]+|\s-\s|-{2,}|\s{2,})\s*")
_SPACED_LETTERS: Final = re.compile(r"(?<![^\W\d_])(?:[A-Z]\s){2,}[A-Z](?![^\W\d_])")
_BETWEEN_CHARACTERS: Final = re.compile(r"(?<=[\u3400-\u9fff])\s+(?=[\u3400-\u9fff])")


@dataclass(frozen=True, slots=True)
class _Place:
    """A text in its place: the text to compare, its row, its box, and what it is part of."""

    text: str
    row: int
    cell: int
    box: PageBox
    whole: bool  # all of its cell
    shown: str  # the words as they stand on the paper


def standing_of(
    rows: Sequence[Row],
    fields: Sequence[FieldReading],
    kind: PaperKind | None,
    refused: Sequence[RefusedField] = (),
) -> tuple[StandingSign, ...]:
    """Return the signs that the page is no paid bill, the gravest first; () for a paid bill.

    fields: those read from the rows; a label counts only if its amount is the total. kind: None for an unknown one.
    refused: those that were not taken, such as an amount for its sign.
    """
    total = next((field for field in fields if field.name == _AMOUNT_FIELD), None)
    total_minor = int(total.value) if total is not None and total.value.isdigit() else 0
    places = [place for index in range(len(rows)) for place in _places(rows, index)]
    first_paid = _first_paid(rows, places) if kind is not None and kind.shows_state else None
    signs = [
        _sign(phrase.standing, place.shown, "words", place.box)
        for place in places
        for phrase in words.PHRASES
        if phrase.scope != "within"
        and _says(phrase, place, kind)
        and _counts(rows, place, phrase, total_minor)
        and not (first_paid is not None and phrase.standing in _OF_STATES and place.row > first_paid)
    ]
    signs += _sentences(rows)
    signs += _labelled(rows, total_minor)
    below_zero = any(field.name == _AMOUNT_FIELD and field.reason == NEGATIVE for field in refused)
    signs += _signs_of_amounts(rows, total, kind, below_zero=below_zero)
    honest = frozenset(kind.honest_standings) if kind is not None else frozenset()
    told = [sign for sign in signs if sign.standing not in honest]
    if not told and kind is not None and kind.shows_state and first_paid is None:
        told = _unshown(rows, total)
    return gravest_first(told)


def stamps_of(rows: Sequence[Row], kind: PaperKind | None) -> tuple[StandingSign, ...]:
    """Return the signs in the rows of one ink alone, the gravest first, one of a standing. A stamp says them amid the
    print of its seal; in a form that is printed in that ink, a label without its value looks like a stamp."""
    form = len(rows) > _STAMP_ROWS_MAX
    signs = [
        _sign(phrase.standing, place.shown, "stamp", place.box)
        for index in range(len(rows))
        for place in _places(rows, index)
        for phrase in words.PHRASES
        if phrase.scope != "within"
        and not (form and phrase.scope == "line")
        and _says(phrase, place, kind)
        and _counts(rows, place, phrase, 0)
    ]
    for row in rows if kind is None or not kind.shows_state else ():
        text = _BETWEEN_CHARACTERS.sub("", _simple(row.text))
        signs += [
            _sign(phrase.standing, match[0], "stamp", row.cells[0].box)
            for phrase in words.STAMPED
            for match in phrase.pattern.finditer(text)
            if not (form and phrase.standing not in _STAMPED_ON_FORMS)
            and not words.LEGEND.search(text[: match.start()])
        ]
    honest = frozenset(kind.honest_standings) if kind is not None else frozenset()
    first = {sign.standing: sign for sign in reversed(signs) if sign.standing not in honest}
    return gravest_first(first.values())


def paid_state(rows: Sequence[Row], kind: PaperKind | None) -> PageBox | None:
    """Return the place of the first state of a paid order on the page of an app; None without any, and on papers."""
    if kind is None or not kind.shows_state:
        return None
    places = [place for index in range(len(rows)) for place in _places(rows, index)]
    first = _first_paid(rows, places)
    return next((place.box for place in places if place.row == first), None)


def of_the_whole(signs: Iterable[StandingSign], paid: Sequence[PageBox]) -> list[StandingSign]:
    """Return the signs without states below the first state of a paid order, which are those of one of its goods.
    paid: its places in all readings, on the same picture as the signs; none on a paper."""
    first = min((box.top for box in paid), default=None)
    return [sign for sign in signs if first is None or sign.standing not in _OF_STATES or sign.box.top <= first]


def united(readings: Sequence[Sequence[StandingSign]]) -> list[StandingSign]:
    """Return the signs that any reading of one page has: what one model misses of a faint VOID, another reads. That
    nothing shows a payment takes all of them."""
    unshown = all(any(sign.standing == "unshown" for sign in signs) for signs in readings)
    return [sign for signs in readings for sign in signs if sign.standing != "unshown" or unshown]


def gravest_first(signs: Iterable[StandingSign]) -> tuple[StandingSign, ...]:
    """Return the signs without those that repeat a standing in the same words, the gravest first, else in order."""
    kept: dict[tuple[Standing, str], StandingSign] = {}
    for sign in signs:
        kept.setdefault((sign.standing, sign.words.casefold()), sign)
    return tuple(sorted(kept.values(), key=lambda sign: GRAVITY.index(sign.standing)))


def _sign(standing: Standing, shown: str, told_by: ToldBy, box: PageBox) -> StandingSign:
    return StandingSign(standing, shown[:_WORDS_MAX], told_by, box)


def _simple(text: str) -> str:
    """Return the text as the phrases are written: simplified characters, letters set wide joined."""
    return _SPACED_LETTERS.sub(lambda run: re.sub(r"\s", "", run[0]), text.translate(words.SIMPLIFIED))


def _places(rows: Sequence[Row], index: int) -> Iterator[_Place]:
    """Yield each cell of the row and each part of one, without labels (状态: of 状态: 已取消)."""
    for number, cell in enumerate(rows[index].cells):
        text = _simple(cell.text)
        bare = _BARE.sub("", text)
        if bare and not re.search(r":\W*$", text):
            for variant in dict.fromkeys((bare, _BETWEEN_CHARACTERS.sub("", bare))):
                yield _Place(variant, index, number, cell.box, True, cell.text)
        for part in _parts(text):
            if part != bare:
                yield _Place(part, index, number, cell.box, False, cell.text)


def _parts(text: str) -> Iterator[str]:
    start = 0
    breaks = [*_BREAK.finditer(text), None]
    for mark in breaks:
        end = mark.start() if mark is not None else len(text)
        part = _BARE.sub("", text[start:end])
        label = mark is not None and mark[1] is not None
        if part and not label:
            yield part
            if _BETWEEN_CHARACTERS.search(part):
                yield from part.split()
        start = mark.end() if mark is not None else end


def _says(phrase: StandingPhrase, place: _Place, kind: PaperKind | None) -> bool:
    if phrase.scope == "line" and (not place.whole or (kind is not None and kind.shows_state and _character(place))):
        return False  # a word alone on the page of an app is a button
    if phrase.scope == "title":
        return re.fullmatch(f"{_TITLE_PREFIX}(?:{phrase.pattern.pattern})", place.text, re.IGNORECASE) is not None
    return phrase.pattern.fullmatch(place.text) is not None


def _character(place: _Place) -> bool:
    return re.search(r"[\u3400-\u9fff]", place.text) is not None


def _counts(rows: Sequence[Row], place: _Place, phrase: StandingPhrase, total_minor: int) -> bool:
    """Return True if the words stand for the paper: they head no table, label no amount, are no tab of an app, no line
    of a longer sentence, and not beside a line of the bill that they undo."""
    row = rows[place.row]
    if _tabs(row) or _heads_a_table(row, phrase):
        return False
    behind = row.cells[place.cell + 1 :]
    if any(amounts(cell.text, decimals_required=True) for cell in (behind if phrase.scope != "line" else row.cells)):
        return False  # `_labelled` says of which amount
    if place.row and words.GOES_ON.search(rows[place.row - 1].text):
        return False
    return not (phrase.standing in ("void", "refund", "negative") and _undoes_a_line(rows, place.row, total_minor))


def _heads_a_table(row: Row, phrase: StandingPhrase) -> bool:
    cells = [cell for cell in row.cells if not re.search(r"\d", cell.text) and len(cell.text) <= 12]
    return len(cells) >= _HEADING_CELLS_MIN + (phrase.scope != "line")


def _tabs(row: Row) -> bool:
    """Return True for a row of an app's tabs or steps: several states side by side."""
    told = [part for cell in row.cells for part in re.split(r"[\s|>›/·-]+", _simple(cell.text))]
    return sum(words.STATES.fullmatch(part) is not None for part in told) >= _STATES_OF_TABS_MIN


def _undoes_a_line(rows: Sequence[Row], index: int, total_minor: int) -> bool:
    """Return True if the row below has an amount under zero that is not the total: one line of a bill was undone."""
    below = rows[index + 1 : index + 2]
    return total_minor > 0 and any(
        negative and minor != total_minor for row in below for _, minor, negative, _ in signed_amounts(row)
    )


def _first_paid(rows: Sequence[Row], places: Sequence[_Place]) -> int | None:
    """Return the first row with a state of a paid order, None without any."""
    return min(
        (place.row for place in places if words.PAID_STATES.fullmatch(place.text) and not _tabs(rows[place.row])),
        default=None,
    )


def _sentences(rows: Sequence[Row]) -> Iterator[StandingSign]:
    for row in rows:
        for cell in row.cells:
            text = _BETWEEN_CHARACTERS.sub("", _simple(cell.text))
            for phrase in words.PHRASES:
                match = phrase.pattern.search(text) if phrase.scope == "within" else None
                if match is not None and not words.CONDITION.search(text[max(0, match.start() - 14) : match.start()]):
                    yield _sign(phrase.standing, cell.text, "words", cell.box)
            capitals = words.NEGATIVE_CAPITALS.search(text)
            if capitals is not None:
                yield _sign("negative", capitals[0], "capitals", cell.box)


def _labelled(rows: Sequence[Row], total_minor: int) -> Iterator[StandingSign]:
    """Yield the labels whose amount is the whole total (all of it was given back, undone, or is still owed), and those
    of a part that is still owed."""
    if total_minor <= 0:
        return
    for row in rows:
        text = _simple(row.text)
        stated = amounts(text, decimals_required=True)
        for phrase in words.AMOUNT_LABELS if stated else ():
            match = phrase.pattern.search(text)
            if match is None:
                continue
            behind = [minor for start, _, minor in stated if start >= match.end()]
            if behind and behind[0] == total_minor:
                yield _sign(phrase.standing, row.text, "words", row.cells[0].box)
        owed = words.OWED.search(text) if stated else None
        if owed is not None and any(minor > 0 for start, _, minor in stated if start == owed.end()):
            yield _sign("unpaid", row.text, "words", row.cells[0].box)


def _signs_of_amounts(
    rows: Sequence[Row], total: FieldReading | None, kind: PaperKind | None, *, below_zero: bool
) -> Iterator[StandingSign]:
    """Yield a total below zero, and most of a page's amounts below zero: a minus is thin, and not every one is read.

    below_zero: the total was refused for its sign; it is the largest of those amounts.
    """
    if total is not None and (printed := printed_below_zero(rows, total)):
        yield _sign("negative", printed, "sign", total.box)
    if below_zero:
        least = max(
            ((minor, cell, text) for row in rows for cell, minor, negative, text in signed_amounts(row) if negative),
            key=lambda amount: amount[0],
            default=None,
        )
        if least is not None:
            yield _sign("negative", least[2], "sign", least[1].box)
    signed = [(cell, negative, text) for row in rows for cell, minor, negative, text in signed_amounts(row) if minor]
    below = [(cell, text) for cell, negative, text in signed if negative]
    many = len(below) >= _NEGATIVE_MIN and len(below) >= _NEGATIVE_SHARE_MIN * len(signed)
    if many and not (kind is not None and kind.shows_state):
        yield _sign("negative", below[-1][1], "sign", below[-1][0].box)


def _unshown(rows: Sequence[Row], total: FieldReading | None) -> list[StandingSign]:
    """Return the sign of an order's page on which nothing shows that it was paid."""
    if total is None or any(words.PAID_SIGNS.search(_simple(row.text)) for row in rows):
        return []
    line = next((row.text for row in rows for cell in row.cells if _same_line(cell.box, total.box)), "")
    return [_sign("unshown", line, "words", total.box)]


def _same_line(cell: PageBox, box: PageBox) -> bool:
    return cell.top <= (box.top + box.bottom) / 2 <= cell.bottom and cell.left <= box.left <= cell.right
