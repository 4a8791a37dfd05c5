"""Detects two papers in one picture. Their fields could be mixed up, so neither is read.

Told by the layout, in any language: two blocks of print, each with what a paper has only once: a head, a day, a number,
a total, and different ones. A form in two columns has its total in one of them and its title across both; sections of
one paper have sums of their own, but no heads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import combinations
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.blocks import Cut, Mask, cuts, part
from vision.documents.fields import receipt
from vision.documents.kinds.catalogue import Catalogue
from vision.documents.parse import parse
from vision.documents.text.layout import Row, rows_of
from vision.documents.text.normalise import amounts, dates, plain
from vision.documents.text.page import UNKNOWN, PageText, PaperReading, TextLine

# Totals in the languages of papers that travellers bring; their amounts stand in the same row.
_TOTAL: Final = re.compile(
    r"小\s?写|价税合计|实[付收]|应[付收]"
    r"|(?<![\u4e00-\u9fff])(?:金额|费用)?(?:合\s{0,3}[计計]|[总總共]\s{0,3}[计計额額]|总[金费][额用])"
    r"|(?<!SUB)(?<!SUB[ -])\bT[O0]TA[LI]"
    r"|\b(?:TOTALE|SUMME|GESAMT\w*|MONTANT|IMPORTE|ИТОГО|TOPLAM|RAZEM|AMOUNT\s(?:DUE|PAID|PAYABLE)|BALANCE\sDUE)\b|합계|총액|รวม",
    re.IGNORECASE,
)
_NO_TOTAL: Final = re.compile(
    r"SUB\s?-?\s?TOTAL|小计|TOTAL\s*(?:QTY|QUANTITY|ITEM|PCS|SAVING|DISC|GST|TAX|POINT)|(?:QTY|ITEMS?|GST|TAX)\s?TOTAL",
    re.IGNORECASE,
)
_BIRTH: Final = re.compile(r"出生|生日|有效期|BIRTH|EXPIR", re.IGNORECASE)
_NUMBER: Final = re.compile(
    r"(?:票据|发票|收据|小票|流水|单据|交易|订单|结算|收费|运单|快递|处方|凭证|账单|退货|寄件)单?(?:编?号码?|代?码)"
    r"|(?:^|(?<=\s))(?:单号|编号|票号|N[Oo0]\s?[.:°º])"
    r"|(?:INVOICE|RECEIPT|BILL|CHECK|DOC(?:UMENT)?|SLIP|TICKET|ORDER|TRANS(?:ACTION)?|TXN|INV|RCPT)\s?(?:NO|NUM(?:BER)?|#)",
    re.IGNORECASE,
)
_HOUSE: Final = re.compile(
    r"(?:医院|诊所|诊疗中心|卫生院|服务中心|门诊部|保健院|公司|超市|商[店场行]|[便零]\S{0,3}店|药[房店]|餐[厅馆])(?:\W|$)"
)
_DIGITS: Final = re.compile(r"[A-Z]{0,4}[-/]?\d[\dA-Z/-]{3,}", re.IGNORECASE)
_FOOT: Final = re.compile(
    r"\bCHANGE\b|找[零回赎]|THANK|谢谢|欢迎.{0,4}(?:光临|再来)|惠顾|收款人|收费员|开票人|经办|签[字章名]", re.IGNORECASE
)
_HEAD_ROWS_MAX: Final = 8
_LETTERS_MIN: Final = 4
_ALONE_MAX: Final = 24  # characters of a row that only names a sum


@dataclass(frozen=True)
class _Block:
    """A block of print, and what it has of what a paper has only once."""

    page: PageText
    titles: re.Pattern[str]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return rows_of(self.page)

    @cached_property
    def totals(self) -> dict[int, int]:
        """Amounts right of a word for a total in its row, or in a row next to one that is alone, each with the row."""
        stated: dict[int, int] = {}
        for index, row in enumerate(self.rows):
            mark = _TOTAL.search(row.text)
            if mark is None or _NO_TOTAL.search(row.text):
                continue
            alone = len(row.cells) == 1 and len(row.text) <= _ALONE_MAX
            for at in (index, index + 1, index - 1) if alone else (index,):
                if not 0 <= at < len(self.rows) or (at != index and _letters(self.rows[at].text) > 0):
                    continue
                spans = [span for span in _amounts(self.rows[at]) if at != index or span[0] >= mark.end()]
                if spans:
                    stated[spans[-1][2]] = index
                    break
        return {minor: index for minor, index in stated.items() if minor > 0}

    @cached_property
    def dates(self) -> frozenset[date]:
        return frozenset(
            day for row in self.rows if not _BIRTH.search(row.text) for _start, _end, day in dates(row.text)
        )

    @cached_property
    def numbers(self) -> frozenset[str]:
        told = set()
        for row in self.rows:
            mark = _NUMBER.search(row.text)
            number = _DIGITS.search(row.text, mark.end()) if mark is not None else None
            if number is not None:
                told.add(number[0].upper())
        return frozenset(told)

    @cached_property
    def foot(self) -> bool:
        return any(_FOOT.search(row.text) for row in self.rows)

    @cached_property
    def head(self) -> int:
        """The row of its title, firm, address or telephone, -1 if none of its first rows has any."""
        return next((at for at, row in enumerate(self.rows[:_HEAD_ROWS_MAX]) if self._heads(row.text)), -1)

    def _heads(self, text: str) -> bool:
        return self.titles.search(text) is not None or _HOUSE.search(text) is not None or receipt.heads(text)

    @cached_property
    def opens(self) -> bool:
        """True if it begins with words, at least two rows of them, before any amount."""
        opening = 0
        for row in self.rows:
            if amounts(row.text, decimals_required=True):
                break
            opening += _letters(row.text) >= _LETTERS_MIN
        return opening >= 2

    @property
    def marks(self) -> int:
        """How much it has of a paper, its total aside: 0 to 4."""
        return (self.head >= 0) + bool(self.dates) + bool(self.numbers) + self.foot


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _amounts(row: Row) -> list[tuple[int, int, int]]:
    return amounts(row.text, decimals_required=True) or amounts(row.text)


def several_papers(
    page: PageText, today: date, catalogue: Catalogue, regions: Sequence[npt.NDArray[np.float32]] = ()
) -> str:
    """Return the kinds of the two papers, "" if there is only one paper or none.

    The page is cut wherever no line of text lies (`vision.documents.blocks`), and in `regions` (four corners each,
    pixels of the page), where outlines were found.
    """
    titles = re.compile("|".join(f"(?:{kind.title})" for kind in catalogue.values()), re.IGNORECASE)
    texts = [plain(line.text) for line in page.lines]
    titled = np.array([titles.search(text) is not None for text in texts], dtype=bool)
    summed = np.array([_TOTAL.search(text) is not None for text in texts], dtype=bool)
    marked = np.array([bool(_NUMBER.search(text) or _FOOT.search(text) or dates(text)) for text in texts], dtype=bool)

    def both(flags: Mask, cut: Cut) -> bool:
        return bool(flags[cut.first].any() and flags[cut.second].any())

    for cut in (*_in_regions(page, regions), *cuts(page)):
        if cut.direction == "turned":
            return _kinds(page, cut, today, catalogue)
        bills, papers = both(summed, cut) and both(marked, cut), both(titled, cut)
        if not bills and not papers:
            continue
        first, second = part(page, cut.first), part(page, cut.second)
        if bills and _two_bills(cut, _Block(first, titles), _Block(second, titles)):
            return _kinds(page, cut, today, catalogue)
        if papers:
            readings = [parse(block, today, catalogue) for block in (first, second)]
            if all(_whole(reading, catalogue) for reading in readings) and _differ(*readings):
                return f"{readings[0].kind} and {readings[1].kind}"
    return ""


def _kinds(page: PageText, cut: Cut, today: date, catalogue: Catalogue) -> str:
    return " and ".join(parse(part(page, lines), today, catalogue).kind for lines in (cut.first, cut.second))


def _two_bills(cut: Cut, first: _Block, second: _Block) -> bool:
    """True if both blocks have a total and enough else of a paper, and their totals or days differ."""
    if not first.totals or not second.totals:
        return False
    same_day = first.dates & second.dates or not first.dates or not second.dates
    if same_day and first.totals.keys() & second.totals.keys():
        return False  # the shop's and the customer's copy, or the slip of the card
    if cut.direction == "above":
        return _one_after_the_other(first, second)
    return all(block.opens and block.dates and block.marks >= 2 for block in (first, second))


def _one_after_the_other(upper: _Block, lower: _Block) -> bool:
    """True if both blocks begin with a head and have a total below it, a day or number each: sections of one paper
    share those."""
    return all(
        0 <= block.head < max(block.totals.values())
        and block.opens
        and (bool(block.dates) + bool(block.numbers) + block.foot) >= 2
        for block in (upper, lower)
    )


def _whole(reading: PaperReading, catalogue: Catalogue) -> bool:
    """True if the part has its kind's title and all that the kind requires, except at most one field, with nothing that
    speaks against any: half a receipt has another sum as its total."""
    if reading.kind == UNKNOWN or reading.doubtful or len(reading.missing_fields) > 1:
        return False
    kind = catalogue[reading.kind]
    titled = any(re.search(kind.title, line, re.IGNORECASE) for line in reading.lines)
    return titled and (not kind.keys or any(all(reading.value(name) for name in key) for key in kind.keys))


def _differ(first: PaperReading, second: PaperReading) -> bool:
    if first.kind != second.kind:
        return not first.missing_fields and not second.missing_fields
    names = first.keys[0] if first.keys else tuple(field.name for field in first.fields)
    return any(
        first.value(name) and second.value(name) and first.value(name) != second.value(name) for name in names
    ) and all(first.value(name) for name in names)


def _in_regions(page: PageText, regions: Sequence[npt.NDArray[np.float32]]) -> Iterator[Cut]:
    inside = [
        np.array([cv2.pointPolygonTest(region, _middle(line), False) >= 0 for line in page.lines], dtype=bool)
        for region in regions
    ]
    for first, second in combinations(inside, 2):
        yield Cut(first, second, "beside")


def _middle(line: TextLine) -> tuple[float, float]:
    return sum(x for x, _ in line.corners) / 4, sum(y for _, y in line.corners) / 4
