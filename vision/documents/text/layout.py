"""Arranges loose lines into rows: levels a tilted page, groups lines side by side, and finds values by their labels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from vision.documents.text.compiled import compiled
from vision.documents.text.normalise import plain, unspaced
from vision.documents.text.page import PageBox, PageText, Points, TextLine

# Between two lines of one row: wide enough that no label pattern runs from one into the other.
GAP = "  "
# Translation of a Chinese label: in its cell, before a colon, the end of the cell or a value in Chinese (主人 Owner: ,
# 收件人/TO , 宠物名 Name 豆豆).
GLOSS = (
    r"(?>(?<=[\u4e00-\u9fff)]) ?(?:[/|(] ?)?[A-Za-z](?:[A-Za-z.'&/-]| (?! )){0,28}[A-Za-z.]\)?"
    r"(?=\s?:|\s{2}|$|\s?[\u4e00-\u9fff]))?+"
)
# Unit of a label's amounts: 运费(元), 重量/kg.
_UNIT = r"(?:\s?[(\[/]\s?(?:人民币|RMB|CNY|¥|元|公斤|千克|克|kg|g)\s?[)\]]?(?![^\W\d_]))?+"
# End of a label that stands in brackets or before a vertical line ([收件人] 李雷, 收件人 | 李雷).
_CLOSED = r"\s?[\])]?\s*[:;|]?"
_MARKS = "()[]:;,"  # full width if they were printed so; `plain` made them narrow
_SHORT_LABEL = re.compile(r"[\u3400-\u9fff]{2,8}\s?:?")
_TRANSLATION = re.compile(r"[A-Za-z][A-Za-z .'&/-]{1,29}\s?:?")
_CHARACTER = re.compile(r"[\u3400-\u9fff]")
#: Words of an address: its first line may stand where a name does.
PLACE: Final = re.compile(r"[\u4e00-\u9fff]{2,}(?:省|市|区|县)")
_LINE_MAX = 2.5  # heights from one line of a block to the next
_NEARER = 0.8
_ROW_OVERLAP_MIN = 0.5  # of the smaller height
_BELOW_MAX = 2.5  # heights from a heading down to its values
_ROWS_BETWEEN_MAX = 3
_FALL_MIN = 0.05  # of its length: about three degrees


@dataclass(frozen=True, slots=True)
class Cell:
    """A line on the levelled page: lengths in pixels, `text` normalised, `box` on the picture as it was read; also its
    corners, in fractions, if it falls so much that the box is much larger."""

    text: str
    confidence: float
    left: float
    right: float
    middle: float
    height: float
    box: PageBox
    corners: Points = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Cells side by side, left to right. `text` joins them with GAP."""

    cells: tuple[Cell, ...]
    text: str

    @property
    def middle(self) -> float:
        return sum(cell.middle for cell in self.cells) / len(self.cells)

    def spans(self) -> Iterable[tuple[int, int, Cell]]:
        """Yield (start, end, cell) of every cell in `text`."""
        start = 0
        for cell in self.cells:
            yield start, start + len(cell.text), cell
            start += len(cell.text) + len(GAP)


def row_of(cells: tuple[Cell, ...]) -> Row:
    """Return the row of these cells, which stand from left to right."""
    return Row(cells, GAP.join(cell.text for cell in cells))


@dataclass(frozen=True, slots=True)
class FoundText:
    """A piece of a row's text with its least confidence and where it stands on the page."""

    text: str
    confidence: float
    box: PageBox
    row: int  # index of its row
    behind: str  # the text that follows it in the row
    corners: Points = ()  # of a line that falls, as of Cell


def rows_of(page: PageText) -> tuple[Row, ...]:
    """Return rows from top to bottom. Lines that stand upright (a turned page, a bar code's edge) count like
    any other."""
    lines = [part for line in page.lines if plain(line.text) for part in _unstacked(line)]
    if not lines:
        return ()
    slope = _slopes(lines, page.height_px)
    cells = _with_translations(sorted((_cell(line, page, slope) for line in lines), key=lambda cell: cell.middle))
    groups: list[list[Cell]] = []
    for cell in cells:
        home = next((group for group in reversed(groups[-4:]) if _same_row(group, cell)), None)
        if home is None:
            groups.append([cell])
        else:
            home.append(cell)
    rows = []
    for group in groups:
        rows.append(row_of(tuple(sorted(group, key=lambda cell: cell.left))))
    return tuple(sorted(rows, key=lambda row: row.middle))


def _with_translations(cells: Sequence[Cell]) -> list[Cell]:
    """Merge a label with its translation on the line below it (姓名 above Name), if something stands right of the two:
    a label has a value."""
    translations = [cell for cell in cells if _TRANSLATION.fullmatch(cell.text)]
    merged, joined = [], set()
    for upper in cells:
        if translations and _SHORT_LABEL.fullmatch(upper.text):
            lower = next((below for below in translations if _is_under(upper, below)), None)
            if lower is not None and any(_is_right_of(upper, lower, value) for value in cells):
                joined.add(lower)
                upper = _joined(upper, lower)
        merged.append(upper)
    return sorted((cell for cell in merged if cell not in joined), key=lambda cell: cell.middle)


def _is_under(upper: Cell, lower: Cell) -> bool:
    apart = lower.middle - upper.middle
    beside = min(abs(lower.left - upper.left), abs(lower.left + lower.right - upper.left - upper.right) / 2)
    return (
        0.5 * upper.height < apart < 1.5 * upper.height and beside < upper.height and lower.height < 1.2 * upper.height
    )


def _is_right_of(upper: Cell, lower: Cell, value: Cell) -> bool:
    """True if the value is in the line of either label, or between them."""
    past = max(upper.right, lower.right) - 0.5 * upper.height
    return value.left > past and upper.middle - 0.5 * upper.height < value.middle < lower.middle + 0.5 * upper.height


def _joined(upper: Cell, lower: Cell) -> Cell:
    text = f"{upper.text.rstrip(': ')} {lower.text.rstrip(': ')}"
    middle, height = (upper.middle + lower.middle) / 2, upper.height + lower.middle - upper.middle
    left, right = min(upper.left, lower.left), max(upper.right, lower.right)
    return Cell(
        text, min(upper.confidence, lower.confidence), left, right, middle, height, union([upper.box, lower.box])
    )


def _same_row(group: Sequence[Cell], cell: Cell) -> bool:
    nearest = min(group, key=lambda other: max(other.left - cell.right, cell.left - other.right))
    overlap = min(nearest.middle + nearest.height / 2, cell.middle + cell.height / 2) - max(
        nearest.middle - nearest.height / 2, cell.middle - cell.height / 2
    )
    beside = nearest.right <= cell.left + 0.5 * cell.height or cell.right <= nearest.left + 0.5 * cell.height
    return beside and overlap >= _ROW_OVERLAP_MIN * min(nearest.height, cell.height)


def _unstacked(line: TextLine) -> list[TextLine]:
    """Return the line, or one line for each character if the cells of a narrow column were read as one upright line (乙
    above 丙)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = line.corners
    text = plain(line.text)
    across, down = math.hypot(x1 - x0, y1 - y0), math.hypot(x3 - x0, y3 - y0)
    if len(text) < 2 or len(text) > 12 or down < 0.8 * len(text) * across:
        return [line]

    def between(start: tuple[float, float], end: tuple[float, float], share: float) -> tuple[float, float]:
        return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share

    parts = []
    for index, character in enumerate(text):
        top, bottom = index / len(text), (index + 1) / len(text)
        corners = (
            between((x0, y0), (x3, y3), top),
            between((x1, y1), (x2, y2), top),
            between((x1, y1), (x2, y2), bottom),
            between((x0, y0), (x3, y3), bottom),
        )
        parts.append(TextLine(character, line.confidence, corners))
    return parts


def _slopes(lines: Sequence[TextLine], height_px: int) -> tuple[float, float]:
    """Fit the slope of the text as a + b * (y / height), where b takes up the perspective, to the wide lines, weighted
    by their width."""
    rows, slopes, weights = [], [], []
    for line in lines:
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = line.corners
        width = (x1 + x2 - x0 - x3) / 2
        height = max(1.0, math.hypot(x3 - x0, y3 - y0))
        if width < 3 * height:
            continue
        rows.append([1.0, (y0 + y2) / 2 / height_px])
        slopes.append((y1 + y2 - y0 - y3) / 2 / width)
        weights.append(width)
    if len(rows) < 3:
        middle = float(np.average(slopes, weights=weights)) if rows else 0.0
        return middle, 0.0
    design, target, weight = np.array(rows), np.array(slopes), np.sqrt(np.array(weights))
    keep = np.ones(len(target), dtype=bool)
    for _ in range(2):
        solution = np.linalg.lstsq(design[keep] * weight[keep, None], target[keep] * weight[keep], rcond=None)[0]
        off = np.abs(design @ solution - target)
        keep = off <= max(0.01, 2.5 * float(np.median(off)))
        if int(keep.sum()) < 3:
            break
    return float(solution[0]), float(solution[1])


def _cell(line: TextLine, page: PageText, slope: tuple[float, float]) -> Cell:
    xs = [x for x, _ in line.corners]
    ys = [y for _, y in line.corners]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = line.corners
    height = max(1.0, (math.hypot(x3 - x0, y3 - y0) + math.hypot(x2 - x1, y2 - y1)) / 2)
    centre_x, centre_y = sum(xs) / 4, sum(ys) / 4
    tilt = slope[0] + slope[1] * centre_y / page.height_px
    return Cell(
        text=unspaced(plain(line.text)),
        confidence=line.confidence,
        left=min(xs),
        right=max(xs),
        middle=centre_y - tilt * (centre_x - page.width_px / 2),
        height=height,
        box=_box(min(xs), min(ys), max(xs), max(ys), page),
        corners=_corners(line, page) if abs(y1 - y0) > _FALL_MIN * abs(x1 - x0) else (),
    )


def _corners(line: TextLine, page: PageText) -> Points:
    return tuple((round(x / page.width_px, 5), round(y / page.height_px, 5)) for x, y in line.corners)


def _box(left: float, top: float, right: float, bottom: float, page: PageText) -> PageBox:
    def fraction(value: float, whole: int) -> float:
        return round(min(1.0, max(0.0, value / whole)), 4)

    return PageBox(
        fraction(left, page.width_px),
        fraction(top, page.height_px),
        fraction(right, page.width_px),
        fraction(bottom, page.height_px),
    )


def piece(rows: Sequence[Row], row_index: int, start: int, end: int) -> FoundText:
    """Return the text from `start` to `end` of a row, with the part of the page that it stands on, by the widths of
    print."""
    row = rows[row_index]
    boxes: list[PageBox] = []
    corners: list[Points] = []
    confidences: list[float] = []
    for cell_start, cell_end, cell in row.spans():
        low, high = max(start, cell_start), min(end, cell_end)
        if low >= high:
            continue
        edges = print_edges(cell.text)
        begin, stop = edges[low - cell_start], edges[high - cell_start]
        across = cell.box.right - cell.box.left
        boxes.append(
            PageBox(
                round(cell.box.left + across * begin, 4),
                cell.box.top,
                round(cell.box.left + across * stop, 4),
                cell.box.bottom,
            )
        )
        confidences.append(cell.confidence)
        if cell.corners:
            corners.append(_stretch(cell.corners, begin, stop))
    if not boxes:
        raise ValueError(f"row {row_index} has no text from {start} to {end}")
    closer = corners[0] if len(corners) == len(boxes) == 1 else ()
    return FoundText(row.text[start:end].strip(), min(confidences), union(boxes), row_index, row.text[end:], closer)


def print_edges(text: str) -> list[float]:
    """Return where the characters begin and end as printed, as shares of the text's length: Chinese characters and the
    marks beside them are twice as wide as figures and letters."""
    widths = [
        1.0 if _CHARACTER.match(mark) or (mark in _MARKS and _CHARACTER.search(text[max(0, at - 1) : at + 2])) else 0.5
        for at, mark in enumerate(text)
    ]
    whole = sum(widths) or 1.0
    return [0.0, *(so_far / whole for so_far in accumulate(widths))]


def _stretch(corners: Points, low: float, high: float) -> Points:
    """Return the part of a line between two shares of its length."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners

    def top(share: float) -> tuple[float, float]:
        return round(x0 + (x1 - x0) * share, 5), round(y0 + (y1 - y0) * share, 5)

    def bottom(share: float) -> tuple[float, float]:
        return round(x3 + (x2 - x3) * share, 5), round(y3 + (y2 - y3) * share, 5)

    return top(low), top(high), bottom(high), bottom(low)


def union(boxes: Sequence[PageBox]) -> PageBox:
    """Return the smallest box around all of them."""
    return PageBox(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def labelled(rows: Sequence[Row], label: str, value: str, *, gap: bool = True) -> list[FoundText]:
    """Return every value that stands right of its label in one row, in reading order.

    label, value: regular expressions; between them a colon, space or opening quotation mark may stand, and with `gap`
    also the space between two cells; before those a translation of the label. The value is the part matched by `value`.
    A label returns nothing of itself to the value (名 of 名称).
    """
    between = rf"{_UNIT}{GLOSS}{_CLOSED}\s{{0,{2 + len(GAP) if gap else 1}}}[“\"《]?"
    pattern = compiled(rf"(?>{label}){between}(?P<value>{value})", re.IGNORECASE)
    values = []
    for index, row in enumerate(rows):
        for match in pattern.finditer(row.text):
            if match["value"].strip() and not _in_prose(row.text, match):
                values.append(piece(rows, index, *match.span("value")))
    return values


def _in_prose(text: str, labelled: re.Match[str]) -> bool:
    """True if a label is a word of a sentence (经收件人或其代理人签收): characters before and behind it, and nothing
    between."""
    before = text[max(0, labelled.start() - 1) : labelled.start()]
    return (
        all(_CHARACTER.match(around) for around in (before, labelled["value"]))
        and _CHARACTER.match(text[labelled.start("value") - 1]) is not None
    )


def ahead(rows: Sequence[Row], label: str, value: str) -> list[FoundText]:
    """Return every value that stands directly left of its label in one cell, in reading order (张三 收). With a gap
    between them, the label could be that of the next cell."""
    pattern = compiled(rf"(?<![^\W\d_])(?P<value>{value})\s?(?:{label})", re.IGNORECASE)
    return [
        piece(rows, index, *match.span("value"))
        for index, row in enumerate(rows)
        for match in pattern.finditer(row.text)
    ]


def beside(rows: Sequence[Row], label: str, value: str) -> list[FoundText]:
    """Return every value that begins a row right of a label which stands between the lines it belongs to, or before one
    of them: a mark beside a party's name and address. The nearer of the lines around it counts."""
    values = []
    alone = compiled(rf"\W*(?:{label})\W*", re.IGNORECASE)
    wanted = compiled(rf"\s*(?P<value>{value})", re.IGNORECASE)
    for index, row in enumerate(rows):
        if not row.cells or not alone.fullmatch(row.cells[0].text):
            continue
        for at in _lines_around(rows, index):
            hit = wanted.match(rows[at].text)
            if hit is not None and hit["value"].strip():
                values.append(piece(rows, at, *hit.span("value")))
                break
    return values


def _lines_around(rows: Sequence[Row], index: int) -> list[int]:
    """Return the rows above and below a mark whose text begins right of it, the nearer first. If the mark stands before
    an address they must be in line with that; if two are equally near, either may be another party's."""
    mark, *rest = rows[index].cells
    if rest and not PLACE.match(rest[0].text):
        return []
    line, reach = (rest[0], _LINE_MAX * rest[0].height) if rest else (mark, mark.height)
    near = []
    for at in (index - 1, index + 1):
        if 0 <= at < len(rows) and rows[at].cells:
            first = rows[at].cells[0]
            in_line = abs(first.left - line.left) < line.height if rest else first.left >= mark.right
            if in_line and abs(first.middle - line.middle) <= reach:
                near.append((abs(first.middle - line.middle), at))
    near.sort()
    if rest and len(near) == 2 and near[0][0] > _NEARER * near[1][0]:
        return []
    return [at for _, at in near]


def _followed(row: Row, end: int) -> bool:
    """True if more than a colon or brackets follows a label in its cell: then it heads nothing."""
    rest = next((row.text[end:stop] for start, stop, _ in row.spans() if start <= end <= stop), "")
    translation = compiled(GLOSS).match(row.text, end)
    rest = rest[len(translation[0]) :] if translation is not None else rest
    return re.fullmatch(r"\s*(?:\(.*\))?\W*", rest) is None


def under(rows: Sequence[Row], label: str, value: str) -> list[FoundText]:
    """Return every value that begins a cell of the row below its label: at least half of the narrower of the two lies
    under the other, as in a table with a heading, or each is alone in its row."""
    values = []
    wanted = compiled(rf"\s*(?P<value>{value})", re.IGNORECASE)
    for index, row in enumerate(rows[:-1]):
        for match in compiled(rf"(?>{label}){_UNIT}", re.IGNORECASE).finditer(row.text):
            if _followed(row, match.end()):
                continue
            head = piece(rows, index, *match.span()).box
            below = _first_below(rows, index, head)
            for start, end, cell in rows[below].spans():
                alone = len(row.cells) == 1 and len(rows[below].cells) == 1
                if not alone and not _in_column(head, cell.box):
                    continue
                hit = wanted.match(rows[below].text, start, end)
                if hit is not None and hit["value"].strip():
                    values.append(piece(rows, below, *hit.span("value")))
    return values


def _in_column(head: PageBox, box: PageBox) -> bool:
    shared = min(head.right, box.right) - max(head.left, box.left)
    return shared >= 0.5 * min(head.right - head.left, box.right - box.left)


def _first_below(rows: Sequence[Row], index: int, head: PageBox) -> int:
    """Return the row that a heading heads: the next, or one soon after it that has something in the heading's column,
    if the next has only what stands beside the table."""
    end = head.bottom + _BELOW_MAX * (head.bottom - head.top)
    for below in range(index + 1, min(len(rows), index + 1 + _ROWS_BETWEEN_MAX)):
        cells = rows[below].cells
        if min((cell.box.top for cell in cells), default=1.0) > end:
            break
        if any(min(head.right, cell.box.right) > max(head.left, cell.box.left) for cell in cells):
            return below
    return index + 1
