"""Tells from the rows of a page that the paper is no paid bill, and by which words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from vision.documents.kinds.catalogue import PaperKind
from vision.documents.standing import words
from vision.documents.standing.payment import payment_is_shown, payment_signs
from vision.documents.standing.places import PhrasePlace, joined, places, simple
from vision.documents.standing.signs import printed_below_zero, signed_amounts
from vision.documents.standing.states import (
    OF_STATES,
    ScreenState,
    is_screen,
    labelled_signs,
    parcel_signs,
    screen_signs,
    screen_state,
    tabs,
    unstated,
)
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
    "unstated",
    "unshown",
)
#: Standings by what the page lacks, which another reading of it may have.
_SILENT: Final = frozenset({"unstated", "unshown"})
_WORDS_MAX = 60
_HEADING_CELLS_MIN = 3  # words side by side without a figure
_NEGATIVE_MIN = 3  # amounts below zero from which, if they are most, a page counts as one of red letters
_NEGATIVE_SHARE_MIN = 0.6
_STAMP_ROWS_MAX = 8  # of one ink; with more a form is printed in it
_STAMPED_ON_FORMS: Final = frozenset({"void", "sample"})
_TITLE_PREFIX = r"(?:[\u4e00-\u9fff()·A-Z\d\s]{0,30}?)"
_AMOUNT_FIELD = "total_minor"


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
    screen = screen_state(rows, kind, total_minor) if kind is not None and is_screen(rows, kind) else None
    signs = [
        _sign(phrase.standing, place.shown, "words", place.box)
        for place in _all_places(rows)
        for phrase in words.PHRASES
        if phrase.scope != "within"
        and _says(phrase, place, kind)
        and _counts(rows, place, phrase, total_minor)
        and not (screen is not None and screen.of_goods(phrase.standing, place.row))
    ]
    signs += _sentences(rows)
    signs += _labelled(rows, total_minor)
    signs += [_sign(standing, shown, "words", box) for standing, shown, box in payment_signs(rows, kind, total_minor)]
    signs += [_sign(told.standing, told.shown, "words", told.box) for told in labelled_signs(rows, kind, total_minor)]
    if kind is not None and kind.state_on_screen:
        signs += [_sign(told.standing, told.shown, "words", told.box) for told in parcel_signs(rows, kind)]
    below_zero = any(field.name == _AMOUNT_FIELD and field.reason == NEGATIVE for field in refused)
    signs += _signs_of_amounts(rows, total, kind, below_zero=below_zero)
    if kind is not None and screen is not None:
        signs += [_sign(told.standing, told.shown, "words", told.box) for told in screen_signs(rows, kind, screen)]
    honest = frozenset(kind.honest_standings) if kind is not None else frozenset()
    told = [sign for sign in signs if sign.standing not in honest]
    if kind is not None and not told:
        told = _silent(rows, total, kind, screen)
    return gravest_first(told)


def _all_places(rows: Sequence[Row]) -> Iterator[PhrasePlace]:
    for index in range(len(rows)):
        yield from places(rows, index)


def _silent(
    rows: Sequence[Row], total: FieldReading | None, kind: PaperKind, screen: ScreenState | None
) -> list[StandingSign]:
    """Return the sign that nothing on the page shows that it was paid, or that no state was read that says so."""
    if total is not None and not (screen is not None and screen.paid is not None) and not payment_is_shown(rows, kind):
        line = next((row.text for row in rows for cell in row.cells if _same_line(cell.box, total.box)), "")
        return [_sign("unshown", line, "words", total.box)]
    doubt = unstated(rows, screen) if screen is not None else None
    return [_sign(doubt.standing, doubt.shown, "words", doubt.box)] if doubt is not None else []


def stamps_of(rows: Sequence[Row], kind: PaperKind | None) -> tuple[StandingSign, ...]:
    """Return the signs in the rows of one ink alone, the gravest first, one of a standing. A stamp says them amid the
    print of its seal; in a form that is printed in that ink, a label without its value looks like a stamp."""
    form = len(rows) > _STAMP_ROWS_MAX
    signs = [
        _sign(phrase.standing, place.shown, "stamp", place.box)
        for place in _all_places(rows)
        for phrase in words.PHRASES
        if phrase.scope != "within"
        and not (form and phrase.scope == "line")
        and _says(phrase, place, kind)
        and _counts(rows, place, phrase, 0)
    ]
    for row in rows if kind is None or not kind.shows_state else ():
        text = joined(row.text)
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
    paid = screen_state(rows, kind, 0).paid
    return None if paid is None else rows[paid].cells[0].box


def of_the_whole(signs: Iterable[StandingSign], paid: Sequence[PageBox], *, split: bool = True) -> list[StandingSign]:
    """Return the signs without states below the first state of a paid order, which are those of one of its goods.
    paid: its places in all readings, on the same picture as the signs; none on a paper. split: a refund may be that of
    a part."""
    first = min((box.top for box in paid), default=None)
    of_goods = OF_STATES if split else OF_STATES - {"refund"}
    return [sign for sign in signs if first is None or sign.standing not in of_goods or sign.box.top <= first]


def united(readings: Sequence[Sequence[StandingSign]]) -> list[StandingSign]:
    """Return the signs that any reading of one page has: what one model misses of a faint VOID, another reads. That
    nothing shows a payment, or a state, takes all of them."""
    silent = all(any(sign.standing in _SILENT for sign in signs) for signs in readings)
    return [sign for signs in readings for sign in signs if sign.standing not in _SILENT or silent]


def gravest_first(signs: Iterable[StandingSign]) -> tuple[StandingSign, ...]:
    """Return the signs without those that repeat a standing in the same words, the gravest first, else in order."""
    kept: dict[tuple[Standing, str], StandingSign] = {}
    for sign in signs:
        kept.setdefault((sign.standing, sign.words.casefold()), sign)
    return tuple(sorted(kept.values(), key=lambda sign: GRAVITY.index(sign.standing)))


def _sign(standing: Standing, shown: str, told_by: ToldBy, box: PageBox) -> StandingSign:
    return StandingSign(standing, shown[:_WORDS_MAX], told_by, box)


def _says(phrase: StandingPhrase, place: PhrasePlace, kind: PaperKind | None) -> bool:
    if phrase.scope == "line" and (not place.whole or (kind is not None and kind.shows_state and _character(place))):
        return False  # a word alone on the page of an app is a button
    if phrase.scope == "title":
        return re.fullmatch(f"{_TITLE_PREFIX}(?:{phrase.pattern.pattern})", place.text, re.IGNORECASE) is not None
    return phrase.pattern.fullmatch(place.text) is not None


def _character(place: PhrasePlace) -> bool:
    return re.search(r"[\u3400-\u9fff]", place.text) is not None


def _counts(rows: Sequence[Row], place: PhrasePlace, phrase: StandingPhrase, total_minor: int) -> bool:
    """Return True if the words stand for the paper: they head no table, label no amount, are no tab of an app, no line
    of a longer sentence, and not beside a line of the bill that they undo."""
    row = rows[place.row]
    if tabs(row) or _heads_a_table(row, phrase):
        return False
    behind = row.cells[place.cell + 1 :]
    if any(amounts(cell.text, decimals_required=True) for cell in (behind if phrase.scope != "line" else row.cells)):
        return False  # `_labelled` says of which amount
    if place.row and words.GOES_ON.search(rows[place.row - 1].text):
        return False
    return not (phrase.standing in ("void", "refund", "negative") and _undoes_a_line(rows, place.row, total_minor))


def _heads_a_table(row: Row, phrase: StandingPhrase) -> bool:
    cells = [cell for cell in row.cells if not re.search(r"\d", cell.text) and 1 < len(cell.text) <= 12]
    return len(cells) >= _HEADING_CELLS_MIN + (phrase.scope != "line")


def _undoes_a_line(rows: Sequence[Row], index: int, total_minor: int) -> bool:
    """Return True if the row below has an amount under zero that is not the total: one line of a bill was undone."""
    below = rows[index + 1 : index + 2]
    return total_minor > 0 and any(
        negative and minor != total_minor for row in below for _, minor, negative, _ in signed_amounts(row)
    )


def _sentences(rows: Sequence[Row]) -> Iterator[StandingSign]:
    for row in rows:
        for cell in row.cells:
            text = joined(cell.text)
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
        text = simple(row.text)
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


def _same_line(cell: PageBox, box: PageBox) -> bool:
    return cell.top <= (box.top + box.bottom) / 2 <= cell.bottom and cell.left <= box.left <= cell.right
