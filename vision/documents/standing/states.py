"""Reads the state on an app's page, and asks for one that means paid.

The state stands in the page's head, above goods and sums, or beside a label of its own (订单状态). Whatever else an
order's page shows may be true of an order that was cancelled or refunded as well: what was paid, when, and that the
parcel arrived. So a page whose state was not read, or is not known to mean paid, is in doubt (`unstated`), such as one
that was cut off below its head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vision.documents.kinds.catalogue import PaperKind
from vision.documents.standing import state_words as words
from vision.documents.standing.places import joined, places
from vision.documents.text.layout import Row
from vision.documents.text.normalise import amounts
from vision.documents.text.page import PageBox, Standing

#: Standings that an order's page shows, in its head for the whole order, further down for one of its goods.
OF_STATES: Final = frozenset({"void", "refund", "unpaid"})
_STATES_OF_TABS_MIN = 3
_SCREEN_TITLE_ROWS = 4
_SCREEN_BUTTONS_MIN = 2
_HEAD_STATE_CHARACTERS_MAX = 30
_PROMINENT_MIN = 1.25  # heights of the page's middle line from which a line below the head is a headline
_SEVERAL_GOODS_MIN = 2


@dataclass(frozen=True, slots=True)
class StateText:
    """A text on an app's page that tells what state the order is in, and that it is no paid one."""

    standing: Standing
    shown: str
    box: PageBox


@dataclass(frozen=True, slots=True)
class ScreenState:
    """The state that an app's page tells. head_end: index of the first row below its head. paid: index of the first
    row with a state that means paid, in the head, beside a label or in large print; None without any. split: a refund
    further down may be that of a part: the page has several goods, or states a smaller sum for it."""

    head_end: int
    paid: int | None
    split: bool

    def of_goods(self, standing: Standing, row: int) -> bool:
        """Return True for a state below that of the paid order, which is that of one of its goods."""
        if self.paid is None or row <= self.paid or row < self.head_end:
            return False
        return standing == "void" or (standing == "refund" and self.split)


def is_screen(rows: Sequence[Row], kind: PaperKind | None) -> bool:
    """Return True for the page of an app: every page of a kind that shows a state, and of a kind that is printed or
    shown on a screen one with a screen's title, clock or buttons."""
    if kind is None or not (kind.shows_state or kind.state_on_screen):
        return False
    if kind.shows_state:
        return True
    if rows and words.STATUS_BAR.fullmatch(rows[0].text.strip()):
        return True
    titled = any(words.SCREEN_TITLE.fullmatch(joined(row.text).strip()) for row in rows[:_SCREEN_TITLE_ROWS])
    cells = [joined(cell.text) for row in rows for cell in row.cells]
    buttons = {text for text in cells if words.SCREEN_BUTTONS.fullmatch(text)}
    return titled or len(buttons) >= _SCREEN_BUTTONS_MIN


def screen_state(rows: Sequence[Row], kind: PaperKind, total_minor: int) -> ScreenState:
    """Return what the page of an app tells of its state. total_minor: what was paid, 0 if unknown."""
    head_end = _head_end(rows)
    middle = _middle_height(rows)
    at = [
        place.row
        for index in range(len(rows))
        for place in places(rows, index)
        if _paid_words(kind).fullmatch(place.text)
        and not tabs(rows[place.row])
        and (place.row < head_end or rows[place.row].cells[place.cell].height >= _PROMINENT_MIN * middle)
    ]
    at += [index for index, label, value, _ in _labelled_states(rows) if label["whole"] and _settled(value, kind)]
    return ScreenState(head_end, min(at, default=None), refund_is_of_a_part(rows, total_minor))


def refund_is_of_a_part(rows: Sequence[Row], total_minor: int) -> bool:
    """Return True if a refund on the page may be that of a part: of several goods, or it states a smaller sum."""
    pieces = sum(words.PIECES.search(row.text) is not None for row in rows)
    return pieces >= _SEVERAL_GOODS_MIN or any(
        0 < minor < total_minor
        for row in rows
        if re.search("退款|退货|已退|退回", joined(row.text))
        for _, _, minor in amounts(row.text, decimals_required=True)
    )


def screen_signs(rows: Sequence[Row], kind: PaperKind, state: ScreenState) -> Iterator[StateText]:
    """Yield what the page of an app tells by the words of its head, its labelled states, and its sentences."""
    yield from _of_head(rows[: state.head_end], kind)
    for row in rows:
        for cell in row.cells:
            text = joined(cell.text)
            if kind.shows_state and words.STILL_TO_PAY.search(text):
                yield StateText("unpaid", cell.text, cell.box)
        if kind.shows_state and _to_pay(row):
            yield StateText("unpaid", row.text, row.cells[0].box)
    if kind.shows_state:
        yield from _money_back(rows, state)
        yield from _paid_later(rows, state)


def unstated(rows: Sequence[Row], state: ScreenState) -> StateText | None:
    """Return the doubt about a page on which no state was read that means paid, None where there is one."""
    if state.paid is not None or not rows:
        return None
    head = rows[: max(state.head_end, 1)]
    tallest = max((cell for row in head for cell in row.cells), key=lambda cell: cell.height)
    return StateText("unstated", tallest.text, tallest.box)


def labelled_signs(rows: Sequence[Row], kind: PaperKind | None, total_minor: int) -> Iterator[StateText]:
    """Yield the values beside labels of states (订单状态, PAYMENT STATUS) that do not mean paid, on any paper."""
    split = refund_is_of_a_part(rows, total_minor)
    for _, label, value, box in _labelled_states(rows):
        if _settled(value, kind) or (kind is not None and "refund" in kind.honest_standings):
            continue
        told = next((standing for standing, pattern in words.HEAD_STATES if pattern.search(value)), None)
        if label["goods"]:
            if not words.NOTHING_BACK.fullmatch(value) and not split:
                yield StateText("refund", f"{label[0]}: {value}", box)
        else:
            yield StateText(told or "unstated", f"{label[0]}: {value}", box)


def parcel_signs(rows: Sequence[Row], kind: PaperKind) -> Iterator[StateText]:
    """Yield the words by which a parcel was not sent, or came back, wherever they stand alone."""
    for index, row in enumerate(rows):
        if tabs(row):
            continue
        for place in places(rows, index):
            undone = words.PARCEL_UNDONE.fullmatch(place.text) and not words.PARCEL_BUTTONS.fullmatch(place.text)
            came_back = "refund" not in kind.honest_standings and words.PARCEL_RETURNED.fullmatch(place.text)
            if undone or (came_back and not _in_a_list(row) and not words.CONDITIONAL.search(place.shown)):
                yield StateText("void", place.shown, place.box)


def tabs(row: Row) -> bool:
    """Return True for a row of an app's tabs or steps: several states side by side."""
    told = [part for cell in row.cells for part in re.split(r"[\s|>›/·-]+", joined(cell.text))]
    return sum(_TAB.fullmatch(part) is not None for part in told) >= _STATES_OF_TABS_MIN


_TAB: Final = re.compile(
    f"{words.PAID_STATES.pattern}|(?:全部|待付款|待支付|退款/?售后|退换/?售后|已取消|评价|我的|售后|已退款|待揽收|提交订单|付款|发货|收货|下单)",
    re.IGNORECASE,
)


def _paid_words(kind: PaperKind) -> re.Pattern[str]:
    if kind.shows_state:
        return words.PAID_STATES
    return words.RETURNED_STATES if "refund" in kind.honest_standings else words.CARRIED_STATES


def _settled(value: str, kind: PaperKind | None) -> bool:
    known = [words.SETTLED_VALUES, words.PAID_STATES, words.CARRIED_STATES]
    if kind is not None and (kind.shows_state or kind.state_on_screen):
        known.append(_paid_words(kind))
    return any(pattern.fullmatch(value) for pattern in known)


def _labelled_states(rows: Sequence[Row]) -> Iterator[tuple[int, re.Match[str], str, PageBox]]:
    """Yield each label of a state, with its row, its value, and the value's place: in the same cell, or the next."""
    for index, row in enumerate(rows):
        for number, cell in enumerate(row.cells):
            text = joined(cell.text)
            label = words.STATE_LABEL.match(text)
            if label is None or re.match(r"[\u4e00-\u9fff]", text[label.end() :]):
                continue
            value, box = text[label.end() :].strip(" :;,|-"), cell.box
            if not value and number + 1 < len(row.cells):
                value, box = joined(row.cells[number + 1].text).strip(" :;,|-"), row.cells[number + 1].box
            if value:
                yield index, label, re.split(r"\s{2,}|[|(\[]", value)[0].strip(" >›.。!"), box


def _head_end(rows: Sequence[Row]) -> int:
    for index, row in enumerate(rows):
        text = joined(row.text)
        if words.STATUS_BAR.fullmatch(text.strip()):
            continue
        sums = amounts(text, decimals_required=True)
        alone = len(row.cells) == 1 and len(sums) == 1 and re.fullmatch(r"[-+¥￥$\s\d.,元]+", text)
        if words.BODY.search(text) or (sums and not alone):
            return index
    return len(rows)


def _middle_height(rows: Sequence[Row]) -> float:
    heights = sorted(cell.height for row in rows for cell in row.cells)
    return heights[len(heights) // 2] if heights else 1.0


def _of_head(head: Sequence[Row], kind: PaperKind) -> Iterator[StateText]:
    """Yield the states of the head: short texts with a character that makes a state of not being paid."""
    if not kind.shows_state:
        return
    for row in head:
        if tabs(row):
            continue
        for cell in row.cells:
            text = joined(cell.text).strip()
            if words.REFUND_TITLE.fullmatch(text.strip("<‹〈← ")):
                yield StateText("refund", cell.text, cell.box)
            for part in re.split(r"[\s,;|/·。、!]+", text) if not words.BUTTONS.fullmatch(text) else ():
                told = _told_by(part)
                if told is not None:
                    yield StateText(told, cell.text, cell.box)


def _told_by(part: str) -> Standing | None:
    if len(part) > _HEAD_STATE_CHARACTERS_MAX or words.BUTTONS.fullmatch(part) or words.PAID_STATES.fullmatch(part):
        return None
    for standing, pattern in words.HEAD_STATES:
        match = pattern.search(part)
        if match is not None and not words.CONDITIONAL.search(part):
            return standing
    return "unstated" if words.PENDING.search(part) and not words.CONDITIONAL.search(part) else None


def _to_pay(row: Row) -> bool:
    """Return True for a sum above zero beside a label that it is still to be paid."""
    label = words.TO_PAY_LABEL.search(row.text)
    return label is not None and any(
        minor > 0 and start >= label.end() for start, _, minor in amounts(row.text, decimals_required=True)
    )


def _money_back(rows: Sequence[Row], state: ScreenState) -> Iterator[StateText]:
    """Yield the sentences and buttons of a refund, unless it may be that of a part of the order."""
    if state.paid is not None and state.split:
        return
    for row in rows:
        for cell in row.cells:
            text = joined(cell.text)
            told = words.MONEY_BACK.search(text) and not words.CONDITIONAL.search(text)
            if told or words.REFUND_BUTTON.fullmatch(text.strip()):
                yield StateText("refund", cell.text, cell.box)


def _paid_later(rows: Sequence[Row], state: ScreenState) -> Iterator[StateText]:
    """Yield a way to pay that comes after the goods, while the state is one on the way."""
    if state.paid is None or words.COMPLETE_STATES.search(joined(rows[state.paid].text)):
        return
    for row in rows:
        for cell in row.cells:
            if words.PAID_LATER.search(joined(cell.text)) and not words.CONDITIONAL.search(joined(cell.text)):
                yield StateText("unpaid", cell.text, cell.box)


def _in_a_list(row: Row) -> bool:
    """Return True for a row of boxes to tick or of columns, such as 退回 beside other ways to handle a parcel."""
    return len(row.cells) >= _STATES_OF_TABS_MIN or re.search(r"[□■☐☑√]", row.text) is not None
