"""The parts of a paper of its own that a block of print has, and the signs by which two blocks are two papers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import Final, Literal

import numpy as np

from vision.documents.blocks import Mask
from vision.documents.fields import receipt
from vision.documents.text.layout import Row, rows_of
from vision.documents.text.normalise import amounts, dates, plain
from vision.documents.text.page import PageText
from vision.documents.text.sum_words import words

# Their amounts stand in the same row.
TOTAL: Final = re.compile(
    rf"小\s?写|实[付收]|总费用|(?<!SUB)(?<!SUB[ -])\bT[O0]TA[LI]|\bAMOUNT\sPAID\b|{words('due')}"
    rf"|(?<![\u4e00-\u9fff])(?:金额|费用)?(?:{words('total')})",
    re.IGNORECASE,
)
_NO_TOTAL: Final = re.compile(
    rf"{words('sub')}|(?:QTY|ITEMS?|GST|TAX)\s?TOTAL|TOTAL\s*(?:QTY|QUANTITY|ITEM|PCS|SAVING|DISC|GST|TAX|POINT)",
    re.IGNORECASE,
)
_BIRTH: Final = re.compile(r"出生|生日|有效期|BIRTH|EXPIR", re.IGNORECASE)
NUMBER: Final = re.compile(
    r"(?:票据|发票|收据|小票|流水|单据|交易|订单|结算|收费|运单|快递|处方|凭证|账单|退货|寄件)单?(?:编?号码?|代?码)"
    r"|(?:^|(?<=\s))(?:单号|编号|票号|N[Oo0]\s?[.:°º])"
    r"|(?:INVOICE|RECEIPT|BILL|CHECK|DOC(?:UMENT)?|SLIP|TICKET|ORDER|TRANS(?:ACTION)?|TXN|INV|RCPT)\s?(?:NO|NUM(?:BER)?|#)",
    re.IGNORECASE,
)
_HOUSE: Final = re.compile(
    r"(?:医院|诊所|诊疗中心|卫生院|服务中心|门诊部|保健院|公司|超市|商[店场行]|[便零]\S{0,3}店|药[房店]|餐[厅馆])(?:\W|$)"
)
_DIGITS: Final = re.compile(r"[A-Z]{0,4}[-/]?\d[\dA-Z/-]{3,}", re.IGNORECASE)
FOOT: Final = re.compile(
    r"\bCHANGE\b|找[零回赎]|THANK|谢谢|欢迎.{0,4}(?:光临|再来)|惠顾|收款人|收费员|开票人|经办|签[字章名]", re.IGNORECASE
)
_HEAD_ROWS_MAX: Final = 8
_LETTERS_MIN: Final = 4
_WORD_MAX: Final = 14
_FIGURES: Final = re.compile(r"\d(?:[\d.,:/-]*\d){2,}")
_LABELLED: Final = re.compile(r"[^\W\d]\s?:\s?\w")
_LINES_KEPT: Final = 2048  # of a page, whose lines are in many blocks
_ALONE_MAX: Final = 24  # characters of a row that only names a sum


#: A sign that two blocks are two papers: by what differs, or by what both have though a paper has it once.
Sign = Literal["totals", "days", "numbers", "payees", "heads", "feet", "form", "fields", "kinds", "print", "edges"]


@dataclass(frozen=True, slots=True)
class PaperSignLimits:
    """Limits of the signs, all measured on pairs and single papers of `benchmarks.two_papers`.

    form_words_min, form_values_min: words of a form that both blocks print, and figures that fill each. form_ratio_min:
    share of the smaller block's words that the other prints too; half_form_ratio_min: for half as strong a sign, as a
    form for two parties names both alike. same_values_min, same_values_ratio_max: figures that both print, and their
    share; with more of them they are copies of one bill, or a bill and its stub. lines_ratio_min: share of the lines
    that the smaller block has; with less it is the head or foot of the other. size_ratio_min, fall_degrees_min: by how
    much the print of two papers differs in size and in fall.
    """

    form_words_min: int = 4
    form_values_min: int = 3
    form_ratio_min: float = 0.5
    half_form_ratio_min: float = 0.3
    same_values_min: int = 2
    same_values_ratio_max: float = 0.4
    lines_ratio_min: float = 0.2
    size_ratio_min: float = 1.25
    fall_degrees_min: float = 1.5


SIGN_LIMITS: Final = PaperSignLimits()


@dataclass(frozen=True)
class PrintBlock:
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
            mark = TOTAL.search(row.text)
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
    def minors(self) -> frozenset[int]:
        """Every amount with decimals."""
        return frozenset(span[2] for row in self.rows for span in amounts(row.text, decimals_required=True))

    @cached_property
    def dates(self) -> frozenset[date]:
        return frozenset(
            day for row in self.rows if not _BIRTH.search(row.text) for _start, _end, day in dates(row.text)
        )

    @cached_property
    def numbers(self) -> frozenset[str]:
        told = set()
        for row in self.rows:
            mark = NUMBER.search(row.text)
            number = _DIGITS.search(row.text, mark.end()) if mark is not None else None
            if number is not None:
                told.add(number[0].upper())
        return frozenset(told)

    @cached_property
    def foot(self) -> bool:
        return any(FOOT.search(row.text) for row in self.rows)

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

    @cached_property
    def words(self) -> frozenset[str]:
        """Words that the form itself prints: labels before their colon, headings, titles, without figures."""
        return frozenset(word for line in self.page.lines if (word := form_word(line.text)))

    @cached_property
    def values(self) -> frozenset[str]:
        """Figures of at least three digits, and whole lines that give a label its value."""
        told = {figure for line in self.page.lines for figure in figures(line.text)}
        return frozenset(told | {line.text for line in self.page.lines if _LABELLED.search(plain(line.text))})

    @cached_property
    def payees(self) -> frozenset[str]:
        """Names of firms and hospitals at its head."""
        return frozenset(
            re.sub(r"\W", "", cell.text)
            for row in self.rows[:_HEAD_ROWS_MAX]
            for cell in row.cells
            if _HOUSE.search(cell.text)
        )

    @cached_property
    def size_px(self) -> float:
        """Median height of its lines."""
        heights = [float(np.hypot(*np.subtract(line.corners[3], line.corners[0]))) for line in self.page.lines]
        return float(np.median(heights))

    @cached_property
    def fall_degrees(self) -> float:
        """Median fall of its longer lines."""
        falls = []
        for line in self.page.lines:
            across = np.subtract(line.corners[1], line.corners[0])
            if float(np.hypot(*across)) > 4 * self.size_px:
                falls.append(float(np.degrees(np.arctan2(across[1], across[0]))))
        return float(np.median(falls)) if len(falls) >= 3 else float("nan")

    @cached_property
    def titled(self) -> bool:
        """True if a title of a kind or the name of a house stands at its head. Words beside an amount (实收 90.00) tell
        the kind of a receipt, and are no title."""
        return any(
            self.titles.search(row.text) or _HOUSE.search(row.text)
            for row in self.rows[:_HEAD_ROWS_MAX]
            if not amounts(row.text, decimals_required=True)
        )

    @property
    def marks(self) -> int:
        """How much it has of a paper, its total aside: 0 to 4."""
        return (self.head >= 0) + bool(self.dates) + bool(self.numbers) + self.foot


@lru_cache(maxsize=_LINES_KEPT)
def form_word(text: str) -> str:
    """Return the word that a form prints in a line: its label before a colon, a heading or title without figures; "" if
    it is none."""
    label = re.split(r"[:;|]", re.sub(r"\s+", "", plain(text)), maxsplit=1)[0]
    fits = 2 <= len(label) <= _WORD_MAX and not re.search(r"\d", label) and _letters(label) >= 2
    return label.upper() if fits else ""


@lru_cache(maxsize=_LINES_KEPT)
def figures(text: str) -> tuple[str, ...]:
    """Return the digits of every figure of at least three in a line, years aside."""
    every = (re.sub(r"\D", "", match[0]) for match in _FIGURES.finditer(plain(text)))
    return tuple(digits for digits in every if not re.fullmatch(r"(?:19|20)\d\d", digits))


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _amounts(row: Row) -> list[tuple[int, int, int]]:
    return amounts(row.text, decimals_required=True) or amounts(row.text)


def signs(first: PrintBlock, second: PrintBlock, limits: PaperSignLimits = SIGN_LIMITS) -> Mapping[Sign, int]:
    """Return the signs that two blocks are two papers, each with its weight; none if they are copies of one."""
    if copies(first, second, limits):
        return {}
    words, share = first.words & second.words, _share(first.words, second.words)
    counts = sorted(len(block.page.lines) for block in (first, second))
    large = counts[0] >= limits.lines_ratio_min * sum(counts)
    filled = large and min(len(first.values), len(second.values)) >= limits.form_values_min
    twice = filled and len(words) >= limits.form_words_min
    sizes = sorted((first.size_px, second.size_px))
    weighed: Mapping[Sign, int] = {
        "totals": 2 * totals_apart(first, second),
        "days": int(_apart(first.dates, second.dates)),
        "numbers": int(large and _apart(first.numbers, second.numbers)),
        "payees": int(_apart(first.payees, second.payees)),
        "heads": int(first.titled and second.titled),
        "feet": int(first.foot and second.foot),
        "form": _form(share if twice else 0.0, limits),
        "print": int(
            sizes[1] > limits.size_ratio_min * sizes[0]
            or abs(first.fall_degrees - second.fall_degrees) > limits.fall_degrees_min
        ),
    }
    if any(str(total) in second.values for total in first.totals) or any(
        str(total) in first.values for total in second.totals
    ):
        weighed = {**weighed, "heads": 0, "feet": 0, "numbers": 0}  # the slip of the card has its own
    return {sign: weight for sign, weight in weighed.items() if weight}


class LineSigns:
    """The parts of a paper of its own that each line of a page has: they tell which cuts are worth a closer look."""

    def __init__(self, page: PageText, titles: re.Pattern[str]) -> None:
        texts = [plain(line.text) for line in page.lines]

        def flags(*patterns: re.Pattern[str]) -> Mask:
            return np.array([any(pattern.search(text) for pattern in patterns) for text in texts], dtype=bool)

        self.titled, self.summed, self.numbered, self.foot = flags(titles), flags(TOTAL), flags(NUMBER), flags(FOOT)
        self._heads = self.titled | flags(_HOUSE)
        self._words = [form_word(text) for text in texts]
        self._days = [
            {day for _start, _end, day in dates(text)} if not _BIRTH.search(text) else set[date]() for text in texts
        ]
        self.dated = np.array([bool(days) for days in self._days], dtype=bool)

    def most(self, first: Mask, second: Mask, limits: PaperSignLimits = SIGN_LIMITS) -> int:
        """Return what the signs of two blocks can weigh at most, their print and readings aside."""

        def both(flags: Mask) -> bool:
            return bool(flags[first].any() and flags[second].any())

        words = [{self._words[at] for at in np.flatnonzero(side)} - {""} for side in (first, second)]
        share = _share(*words) if len(words[0] & words[1]) >= limits.form_words_min else 0.0
        days = [set().union(*(self._days[at] for at in np.flatnonzero(side))) for side in (first, second)]
        return (
            2 * both(self.summed)
            + _apart(*days)
            + both(self.numbered)
            + 2 * both(self._heads)
            + both(self.foot)
            + _form(share, limits)
        )


def _form(share: float, limits: PaperSignLimits) -> int:
    return 3 * (share >= limits.form_ratio_min) or int(share >= limits.half_form_ratio_min)


def copies(first: PrintBlock, second: PrintBlock, limits: PaperSignLimits = SIGN_LIMITS) -> bool:
    """True if the blocks state the same figures: copies of one bill, a bill and its stub or the slip of the card."""
    same = len(first.values & second.values) >= limits.same_values_min
    return same and _share(first.values, second.values) > limits.same_values_ratio_max


def totals_apart(first: PrintBlock, second: PrintBlock) -> bool:
    """True if both blocks state a total, and not the same: what was handed over less the change is the other's."""
    if not _apart(first.totals, second.totals):
        return False
    return not any(
        paid - change in block.totals
        for block, other in ((first, second), (second, first))
        for paid in other.totals
        for change in other.minors
    )


def _apart(first: Collection[object], second: Collection[object]) -> bool:
    """True if both have some, and none in common."""
    return bool(first and second) and set(first).isdisjoint(second)


def _share(first: Set[str], second: Set[str]) -> float:
    """Return the share of the smaller set that the other has, too; 0 if either is empty."""
    return len(first & second) / max(1, min(len(first), len(second)))
