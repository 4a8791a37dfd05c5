"""Reads the lines of a bill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from vision.documents.kinds.catalogue import ItemTable, PaperKind
from vision.documents.text.compiled import compiled
from vision.documents.text.layout import Cell, Row, print_edges, row_of
from vision.documents.text.normalise import AMOUNT, CURRENCY, amounts, negative
from vision.documents.text.page import ItemReading
from vision.documents.text.parts import OTHER_PART

_UNITS = frozenset("次盒瓶支袋片项张个粒贴日天组套件人份剂付")
_CLASS_HEADING = r"类别|等级|类型|甲乙"
_SUM_OF_SOME = r"\W*[小合总共]\s{0,3}计\W*"
# Further columns of amounts, beside the amount itself: who pays which share of it, its tax, what was taken off.
_SHARE = re.compile(r"(?:自[付费理]|报销|统筹|医保|优惠|折扣|减免|记账|个人|税)\s{0,3}$")
_MORE_AMOUNTS = re.compile(r"其中|自[付费理]|报销|统筹|医保|优惠|折扣|减免|记账|个人|税\s{0,3}额|比例|金\s{0,3}额")

# Readings of a lone class character, with the printed one; used only below a class heading.
_CLASSES = {
    "甲": "甲",
    "申": "甲",
    "由": "甲",
    "田": "甲",
    "乙": "乙",
    "己": "乙",
    "Z": "乙",
    "z": "乙",
    "丙": "丙",
    "内": "丙",
    "两": "丙",
}


def items(rows: Sequence[Row], kind: PaperKind) -> list[ItemReading]:
    """Return the lines between the heading and the totals; empty if there is no such heading, or the kind has no items.

    A row that states one of the kind's amounts (a label alone in its cell or with its amount) belongs to the totals,
    whatever else ends the table.
    """
    table = kind.items
    if table is None:
        return []
    heading = next((index for index, row in enumerate(rows) if _is_heading(row.text, table)), None)
    if heading is None:
        return []
    head, *below = _without_part_beside(rows[heading:])
    blocks = _blocks(head, table)
    class_middles = [_middle(cell) for cell in head.cells if re.search(_CLASS_HEADING, cell.text)]
    columns = [_amount_column(head, table, *block) for block in blocks]
    sums = _sums(kind)
    lines = []
    for row in below:
        if compiled(table.end, re.IGNORECASE).search(row.text) or any(sums.fullmatch(cell.text) for cell in row.cells):
            break
        for (left, right), column in zip(blocks, columns, strict=True):
            cells = [cell for cell in row.cells if left <= _middle(cell) < right]
            item = _item(cells, class_middles if table.classes else (), column)
            if item is not None and not re.fullmatch(_SUM_OF_SOME, item.text):
                lines.append(item)
    return lines


def _without_part_beside(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a table, the first its heading, without another part of the paper that stands right of it
    (结算信息) and has its heading in the same row."""
    edge = next((last.right for last, cell in pairwise(rows[0].cells) if re.fullmatch(OTHER_PART, cell.text)), None)
    if edge is None:
        return list(rows)
    return [row_of(tuple(cell for cell in row.cells if cell.left < edge)) for row in rows]


def _sums(kind: PaperKind) -> re.Pattern[str]:
    labels = (
        label.label
        for rule in kind.fields.values()
        if rule.format in ("amount", "capital_amount")
        for label in rule.labels
    )
    either = "|".join(f"(?:{label})" for label in labels) or "(?!)"
    return compiled(rf"\W*(?:{either}){{1,2}}\W*(?:{CURRENCY}?\s?-?{AMOUNT}.*)?", re.IGNORECASE)


def _is_heading(text: str, table: ItemTable) -> bool:
    named = _amount_word(text, table) is not None and compiled(table.names).search(text) is not None
    return named and re.search(r"\d\.\d{2}", text) is None


def _middle(cell: Cell) -> float:
    return (cell.left + cell.right) / 2


def _blocks(heading: Row, table: ItemTable) -> list[tuple[float, float]]:
    """Return (left, right) of each column of items: a heading with two columns of amounts means two items a row."""
    everything = [(float("-inf"), float("inf"))]
    if table.amount_column:
        return everything
    ends = [cell.right for cell in heading.cells if _amount_word(cell.text, table)]
    starts = [cell.left for cell in heading.cells if compiled(table.names).search(cell.text)]
    if len(ends) < 2:
        return everything
    edges = [float("-inf")]
    for end in ends[:-1]:
        after = [start for start in starts if start > end]
        edges.append((end + min(after)) / 2 if after else end)
    edges.append(float("inf"))
    return list(pairwise(edges))


def _amount_word(text: str, table: ItemTable) -> re.Match[str] | None:
    """Return where a heading names the amount itself, not a share of it (自付金额, 报销金额)."""
    return next(
        (word for word in compiled(table.amount).finditer(text) if not _SHARE.search(text[: word.start()])), None
    )


def _amount_column(heading: Row, table: ItemTable, left: float, right: float) -> float | None:
    """Return the middle of the heading's word for the amount in this block, as printed; None if the amount is the last
    of its row anyway."""
    cells = [cell for cell in heading.cells if left <= _middle(cell) < right]
    for index, cell in enumerate(cells):
        word = _amount_word(cell.text, table)
        if word is None:
            continue
        behind = cell.text[word.end() :] + "".join(other.text for other in cells[index + 1 :])
        if not table.amount_column and not _MORE_AMOUNTS.search(behind):
            return None
        return _place(cell, *word.span())
    return None


def _place(cell: Cell, start: int, end: int) -> float:
    """Return the middle of a piece of a cell's text, in pixels."""
    edges = print_edges(cell.text)
    return cell.left + (cell.right - cell.left) * (edges[start] + edges[end]) / 2


def _item(cells: Sequence[Cell], class_middles: Sequence[float], column: float | None) -> ItemReading | None:
    priced = [(cell, span) for cell in cells for span in amounts(cell.text, decimals_required=True)]
    if not priced:
        return None
    cell_of_amount, (start, end, size_minor) = (
        priced[-1] if column is None else min(priced, key=lambda pair: abs(_place(pair[0], *pair[1][:2]) - column))
    )
    below_zero = negative(cell_of_amount.text, start, end)  # given back, or taken off
    item_class, text = "", ""
    for cell in cells:
        content = cell.text[:start].rstrip(" -(" if below_zero else None) if cell is cell_of_amount else cell.text
        prefix = re.match(r"[\[(]\s?([甲乙丙])\s?[\])]\s?", content)
        if prefix:
            item_class, content = prefix[1], content[prefix.end() :]
        below_heading = any(abs(_middle(cell) - middle) < 2 * cell.height for middle in class_middles)
        if content in _CLASSES and (content in "甲乙丙" or below_heading):
            item_class = item_class or _CLASSES[content]
        elif content in ("自费", "丙类", "乙类", "甲类"):
            item_class = item_class or content.removesuffix("类")
        elif not text and content not in _UNITS and re.search(r"[\u4e00-\u9fff]|[A-Za-z]{2}", content):
            text = re.sub(r"^\d{1,2}\s+", "", content)
    return ItemReading(text, item_class, -size_minor if below_zero else size_minor) if text else None
