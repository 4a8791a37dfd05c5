"""Detects two papers in one picture. Their fields could be mixed up, so neither is read.

Told by the layout, in any language: two blocks of print, each with what a paper has only once: a head, a day, a number,
a total, a form, and different ones. A form in two columns has its total in one of them and its title across both;
sections of one paper have sums of their own, but no heads. Signs that are too few to tell, but more than a paper has
that is alone, make a doubt: a person looks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from vision.documents.block_signs import LineSigns, PrintBlock, Sign, copies, signs, totals_apart
from vision.documents.blocks import LIMITS as CUT_LIMITS
from vision.documents.blocks import Cut, Mask, cuts, part
from vision.documents.kinds.catalogue import Catalogue
from vision.documents.parse import parse
from vision.documents.text.compiled import compiled
from vision.documents.text.page import UNKNOWN, PageText, PaperReading, RefusedField, TextLine

#: The beginning of the reason why no field of a page is relied on.
DOUBT: Final = "another paper may be in the picture: "


@dataclass(frozen=True, slots=True)
class TwoPapersLimits:
    """Weights of signs (`vision.documents.block_signs`) at one cut from which there are two papers, and from which a
    person looks. headless: what they weigh less if no sign is one of a paper as a whole. layout_min: of the signs of
    the layout, from which the blocks are read as papers. cuts_max, readings_max: at so many cuts blocks are compared
    and read, those first that could show most; a reading costs 40 ms. Measured by `benchmarks.two_papers`.
    """

    told_min: int = 6
    doubted_min: int = 4
    headless: int = 1
    layout_min: int = 1
    cuts_max: int = 24
    readings_max: int = 5


LIMITS: Final = TwoPapersLimits()


@dataclass(frozen=True, slots=True)
class SecondPaper:
    """The evidence of a second paper in the picture. kinds: those of the two papers, "" unless they are certain. doubt:
    the signs of one that is not, "" for none."""

    kinds: str = ""
    doubt: str = ""

    def doubts(self, reading: PaperReading) -> tuple[RefusedField, ...]:
        """Return the fields of the reading that may be the other paper's: all that it relies on."""
        if not self.doubt:
            return ()
        return tuple(RefusedField(name, DOUBT + self.doubt) for name in reading.relied_on if reading.value(name))


def second_paper(
    page: PageText,
    today: date,
    catalogue: Catalogue,
    regions: Sequence[npt.NDArray[np.float32]] = (),
    limits: TwoPapersLimits = LIMITS,
) -> SecondPaper:
    """Return what tells of a second paper.

    The page is cut wherever no line of text lies (`vision.documents.blocks`), and in `regions` (four corners each,
    pixels of the page), where outlines were found.
    """
    titles = compiled("|".join(f"(?:{kind.title})" for kind in catalogue.values()), re.IGNORECASE)
    lines = LineSigns(page, titles)
    marked = lines.numbered | lines.foot | lines.dated

    def both(flags: Mask, cut: Cut) -> bool:
        return bool(flags[cut.first].any() and flags[cut.second].any())

    promising: list[tuple[dict[Sign, int], Cut, PrintBlock, PrintBlock]] = []
    outlined = tuple(_in_regions(page, regions))
    every = [*outlined, *cuts(page)]
    turned = next((cut for cut in every if cut.direction == "turned"), None)
    if turned is not None:
        return SecondPaper(_kinds(page, turned, today, catalogue))
    for could, cut in _first_those_that_could_show_most(every, outlined, lines)[: limits.cuts_max]:
        bills, papers = both(lines.summed, cut) and both(marked, cut), both(lines.titled, cut)
        if not bills and not papers and could < limits.layout_min:
            continue
        first, second = PrintBlock(part(page, cut.first), titles), PrintBlock(part(page, cut.second), titles)
        if copies(first, second):
            continue
        if bills and _two_bills(cut, first, second):
            return SecondPaper(_kinds(page, cut, today, catalogue))
        weighed = dict(signs(first, second))
        if cut in outlined:
            weighed["edges"] = _EDGES
        if papers or sum(weighed.values()) >= limits.layout_min:
            promising.append((weighed, cut, first, second))
    most: Mapping[Sign, int] = {}
    promising.sort(key=lambda each: -sum(each[0].values()))
    for weighed, cut, first, second in promising[: limits.readings_max]:
        readings = [parse(block.page, today, catalogue) for block in (first, second)]
        if both(lines.titled, cut) and all(_whole(reading, catalogue) for reading in readings) and _differ(*readings):
            return SecondPaper(f"{readings[0].kind} and {readings[1].kind}")
        weighed |= _by_reading(readings[0], readings[1], catalogue)
        if _weight(weighed, limits) >= limits.told_min:
            return SecondPaper(_kinds(page, cut, today, catalogue))
        most = max(most, weighed, key=lambda each: _weight(each, limits))
    return SecondPaper(doubt=", ".join(most)) if _weight(most, limits) >= limits.doubted_min else SecondPaper()


def _weight(weighed: Mapping[Sign, int], limits: TwoPapersLimits) -> int:
    """Return what signs weigh together, less if none is one of a paper as a whole: sections of one paper have sums,
    days and feet of their own."""
    headless = not weighed.keys() & {"heads", "payees", "form", "kinds", "edges"}
    return sum(weighed.values()) - limits.headless * headless


def _first_those_that_could_show_most(
    every: Sequence[Cut], outlined: Sequence[Cut], lines: LineSigns
) -> list[tuple[int, Cut]]:
    """Return the cuts with what their signs can weigh, the most first; of equal ones the widest of either direction."""
    ranks: Counter[str] = Counter()
    ranked: list[tuple[int, int, int, Cut]] = []
    for cut in every:
        could = lines.most(cut.first, cut.second) + _EDGES * (cut in outlined)
        ranked.append((-could, ranks[cut.direction], len(ranked), cut))
        ranks[cut.direction] += 1
    return [(-less, cut) for less, _, _, cut in sorted(ranked)]


_EDGES: Final = 2  # weight of two outlines that stand out from their background: the cards of an app do, too
_BY_READING_MAX: Final = 3  # what a reading of the two blocks adds at most


def _by_reading(first: PaperReading, second: PaperReading, catalogue: Catalogue) -> dict[Sign, int]:
    """Return the signs that the readings of two blocks add: fields of one kind that differ and that such a paper has
    once, or two kinds of which each is all but complete."""
    if UNKNOWN in (first.kind, second.kind):
        return {}
    if first.kind != second.kind:
        lacking = len(first.missing_fields) + len(second.missing_fields)
        anything = _anything(first, catalogue) or _anything(second, catalogue)
        return {"kinds": 1 if anything else 3 - lacking} if lacking <= 1 else {}
    kind = catalogue[first.kind]
    names = {*kind.required, *(name for key in kind.keys for name in key)}
    differ = sum(
        bool(first.value(name) and second.value(name)) and first.value(name) != second.value(name)
        for name in names
        if kind.fields[name].format not in ("date", "amount")  # days and totals are signs of their own
    )
    most = 1 if _anything(first, catalogue) else _BY_READING_MAX
    return {"fields": min(differ, most)} if differ else {}


def _anything(reading: PaperReading, catalogue: Catalogue) -> bool:
    """True for a kind whose fields are told by their place: an advert, too, has a first line and a day."""
    return catalogue[reading.kind].extractor == "till_receipt"


def _kinds(page: PageText, cut: Cut, today: date, catalogue: Catalogue) -> str:
    return " and ".join(parse(part(page, lines), today, catalogue).kind for lines in (cut.first, cut.second))


def _two_bills(cut: Cut, first: PrintBlock, second: PrintBlock) -> bool:
    """True if both blocks have a total and enough else of a paper, and their totals or days differ."""
    if not first.totals or not second.totals:
        return False
    if first.totals.keys().isdisjoint(second.totals) and not totals_apart(first, second):
        return False  # the foot of one receipt: cash and change
    same_day = first.dates & second.dates or not first.dates or not second.dates
    if same_day and first.totals.keys() & second.totals.keys():
        return False  # the shop's and the customer's copy, or the slip of the card
    if cut.direction == "above":
        return _one_after_the_other(first, second)
    return all(block.opens and block.dates and block.marks >= 2 for block in (first, second))


def _one_after_the_other(upper: PrintBlock, lower: PrintBlock) -> bool:
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
    titled = any(compiled(kind.title, re.IGNORECASE).search(line) for line in reading.lines)
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
        if min(int(first.sum()), int(second.sum())) >= CUT_LIMITS.lines_min:
            yield Cut(first, second, "beside")


def _middle(line: TextLine) -> tuple[float, float]:
    return sum(x for x, _ in line.corners) / 4, sum(y for _, y in line.corners) / 4
