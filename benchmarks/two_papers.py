"""Measures how two papers in one picture are told, and single papers that look like two, on print read perfectly but
for stray slips: `python -m benchmarks.two_papers [PAIRS] [--sroie FOLDER]`.

Pairs of papers in the layouts to build with lie beside or above each other, with a gap or one over the edge of the
other, askew, turned, or cut off by the border of the picture; of one layout with other values, of one kind, or of two
kinds. No picture is read: nothing but the rules of `vision.documents.several` can stop a pair, so `accepted` is more
than a reader of pictures would accept. Honest single papers: the same layouts, receipts with the slip of the card or
an advert below, two copies of one bill, papers on a newspaper. Synthetic, but for the receipts of `--sroie`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Final

from fixtures.papers.flat import flat_paper
from fixtures.papers.render import KINDS, layouts_of
from vision.documents.gate import unfit_because
from vision.documents.kinds.catalogue import Catalogue, load_catalogue
from vision.documents.parse import parse
from vision.documents.several import second_paper
from vision.documents.text.page import PageText, PaperReading, TextLine

TODAY: Final = date(2027, 1, 1)
WAYS: Final = ("beside", "above", "over", "askew", "turned", "cut")
_PROSE: Final = "昨日记者从有关部门获悉今年全市绿化面积继续增加市民可在公园免费领取地图活动持续到月底欢迎前来参加"
_DROPPED: Final = 0.02  # lines that the reader of print overlooks
_MISREAD: Final = 0.004  # characters
_RUN_TOGETHER: Final = 0.5  # lines of two papers with less than a character between them

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PrintedSheet:
    """A paper's print as boxes on its own sheet: strings with left, top, right, bottom in pixels."""

    name: str
    width: float
    height: float
    strings: tuple[tuple[str, tuple[float, float, float, float]], ...]


def sheet(kind: str, at: int, seed: int, margin: float) -> PrintedSheet:
    """Returns the paper of that kind's layout, its sheet trimmed to the print and a margin."""
    choices = layouts_of(kind, "build")
    paper = flat_paper(kind, choices[at % len(choices)], seed)
    left, top = (min(box[axis] for _, box in paper.strings) - margin for axis in (0, 1))
    right, bottom = (max(box[axis] for _, box in paper.strings) + margin for axis in (2, 3))
    moved = tuple((text, (x0 - left, y0 - top, x1 - left, y1 - top)) for text, (x0, y0, x1, y1) in paper.strings)
    return PrintedSheet(f"{kind}/{paper.layout}", right - left, bottom - top, moved)


def laid(paper: PrintedSheet, at: Point = (0.0, 0.0), degrees: float = 0.0, scale: float = 1.0) -> list[TextLine]:
    """Returns its print turned about the middle of the sheet, whose upper left corner lies at `at` before the turn."""
    cosine, sine = math.cos(math.radians(degrees)) * scale, math.sin(math.radians(degrees)) * scale
    middle = paper.width / 2, paper.height / 2

    def place(x: float, y: float) -> Point:
        across, down = x - middle[0], y - middle[1]
        return (
            at[0] + middle[0] * scale + across * cosine - down * sine,
            at[1] + middle[1] * scale + across * sine + down * cosine,
        )

    return [
        TextLine(text, 0.999, (place(x0, y0), place(x1, y0), place(x1, y1), place(x0, y1)))
        for text, (x0, y0, x1, y1) in paper.strings
    ]


def pair(first: PrintedSheet, second: PrintedSheet, way: str, random: Random) -> list[TextLine]:
    """Returns the print of two papers that lie in one of `WAYS`."""
    scale = random.choice((1.0, 1.0, random.uniform(0.75, 1.3)))
    beside = way == "beside" or (way != "above" and random.random() < 0.5)
    gap = random.uniform(0, 90)
    off = random.uniform(-0.2, 0.4)
    degrees = {"askew": random.choice((-1, 1)) * random.uniform(3, 9), "turned": random.choice((90.0, -90.0))}.get(
        way, 0
    )
    over = way == "over"
    if over:
        gap = -random.uniform(0.02, 0.12) * (first.width if beside else first.height)
    if way == "turned":  # about its middle, so the sheet reaches elsewhere
        gap += (second.height - second.width) * scale / 2 * (1 if beside else -1)
    at = (first.width + gap, off * first.height) if beside else (off * first.width * 0.5, first.height + gap)
    lower = laid(first)
    upper = laid(second, at, degrees, scale)
    if over:
        reach = (second.width * scale, second.height * scale)
        lower = [line for line in lower if not all(at[i] < _middle(line)[i] < at[i] + reach[i] for i in (0, 1))]
    if way == "cut":
        kept, axis = random.uniform(0.6, 0.9), 0 if beside else 1
        border = at[axis] + kept * (second.width if beside else second.height) * scale
        upper = [line for line in upper if max(corner[axis] for corner in line.corners) < border]
    return [*lower, *upper]


def page_of(lines: Sequence[TextLine], random: Random, *, slips: bool = True) -> PageText:
    """Returns the lines on one picture, turned a little as a whole, with the slips of a reader of print."""
    turn = math.radians(random.uniform(-3, 3))
    cosine, sine = math.cos(turn), math.sin(turn)
    read = [line for line in lines if not slips or random.random() >= _DROPPED]
    turned = [
        replace(line, corners=tuple((x * cosine - y * sine, x * sine + y * cosine) for x, y in line.corners))  # type: ignore[arg-type]
        for line in (_run_together(read, random) if slips else read)
    ]
    low = [min(corner[axis] for line in turned for corner in line.corners) - 20 for axis in (0, 1)]
    moved = tuple(
        TextLine(
            _misread(line.text, random) if slips else line.text,
            line.confidence,
            tuple((x - low[0], y - low[1]) for x, y in line.corners),  # type: ignore[arg-type]
        )
        for line in turned
    )
    width, height = (max(corner[axis] for line in moved for corner in line.corners) + 20 for axis in (0, 1))
    return PageText(math.ceil(width), math.ceil(height), moved, "print")


def _misread(text: str, random: Random) -> str:
    return "".join(random.choice("0817BO日口") if random.random() < _MISREAD else mark for mark in text) or text


def _run_together(lines: Sequence[TextLine], random: Random) -> list[TextLine]:
    """Join lines that follow each other at less than a character's width, as a detector of lines does."""
    done: list[TextLine] = []
    for line in sorted(lines, key=lambda line: line.corners[0][0]):
        height = line.corners[3][1] - line.corners[0][1]
        before = next(
            (
                other
                for other in done
                if 0 <= line.corners[0][0] - other.corners[1][0] < 0.6 * height
                and abs(line.corners[0][1] - other.corners[1][1]) < 0.3 * height
                and height > 0
            ),
            None,
        )
        if before is not None and random.random() < _RUN_TOGETHER:
            done.remove(before)
            corners = (before.corners[0], line.corners[1], line.corners[2], before.corners[3])
            line = TextLine(f"{before.text} {line.text}", line.confidence, corners)
        done.append(line)
    return done


def _middle(line: TextLine) -> Point:
    return sum(x for x, _ in line.corners) / 4, sum(y for _, y in line.corners) / 4


def judged(page: PageText, catalogue: Catalogue) -> tuple[str, str, PaperReading]:
    """Returns ("told", kinds), ("doubted", why), ("refused", why) or ("accepted", "") and the reading of the page."""
    reading = parse(page, TODAY, catalogue)
    reading = replace(reading, alike=reading.relied_on)
    other = second_paper(page, TODAY, catalogue)
    if other.kinds:
        return "told", other.kinds, reading
    without = unfit_because(reading)
    if without:
        return "refused", without, reading
    why = unfit_because(replace(reading, doubtful=(*reading.doubtful, *other.doubts(reading))))
    return ("doubted", why, reading) if why else ("accepted", "", reading)


def pairs(count: int, seed: int = 1) -> Iterator[tuple[str, str, PageText]]:
    """Yields (kinds, way, page) of `count` pairs for each kind and way."""
    for kind in KINDS:
        for way in WAYS:
            for at in range(count):
                random = Random(f"two:{seed}:{kind}:{way}:{at}")
                layout, margin = random.randrange(12), random.choice((8.0, 30.0, 60.0))
                likeness = random.choice(("layout", "layout", "kind", "other"))
                other = random.choice([name for name in KINDS if name != kind]) if likeness == "other" else kind
                first = sheet(kind, layout, 2 * at + 1000 * seed, margin)
                second = sheet(
                    other, layout if likeness == "layout" else random.randrange(12), 2 * at + 1 + 1000 * seed, margin
                )
                yield f"{first.name} {second.name}", way, page_of(pair(first, second, way, random), random)


def singles(count: int, seed: int = 1) -> Iterator[tuple[str, PageText]]:
    """Yields (name, page) of honest papers: `count` of each layout, and the lookalikes."""
    for kind in KINDS:
        for at in range(len(layouts_of(kind, "build"))):
            for number in range(count):
                random = Random(f"one:{seed}:{kind}:{at}:{number}")
                paper = sheet(kind, at, 500 + number + 1000 * seed, 40)
                yield paper.name, page_of(laid(paper), random)
                for name, look in LOOKALIKES.items():
                    if random.random() < 0.34 and (lines := look(paper, random)):
                        yield f"{name} {paper.name}", page_of(lines, random)


def _strings(rows: Sequence[Sequence[tuple[float, str]]], size: float = 28) -> PrintedSheet:
    width = 0.0
    strings = []
    for at, row in enumerate(rows):
        for x, text in row:
            right = x + sum(size if ord(mark) > 0x2E80 else size / 2 for mark in text)
            width = max(width, right + 20)
            strings.append((text, (x, at * size * 1.6 + 10, right, at * size * 1.6 + 10 + size)))
    return PrintedSheet("", width, len(rows) * size * 1.6 + 20, tuple(strings))


def _total(paper: PrintedSheet) -> tuple[str, str, str] | None:
    """Returns (first line, a day, the total) of a receipt as it prints them."""
    reading = parse(page_of(laid(paper), Random(0), slips=False), TODAY, load_catalogue())
    if reading.kind != "receipt" or reading.missing_fields:
        return None
    minor = int(reading.value("total_minor"))
    return reading.value("company"), reading.value("date"), f"{minor // 100}.{minor % 100:02d}"


def _with_card_slip(paper: PrintedSheet, random: Random) -> list[TextLine]:
    stated = _total(paper)
    if stated is None:
        return []
    company, day, total = stated
    chinese = any(ord(mark) > 0x2E80 for mark in company)
    rows: list[list[tuple[float, str]]] = (
        [[(60, "银联商务 POS签购单")], [(0, f"商户名称：{company}")], [(0, "终端号：22031907")],
         [(0, f"日期时间：{day} 12:31:08")], [(0, "交易类型：消费")], [(0, "凭证号：004512")],
         [(0, "参考号：102938475610")], [(0, f"金额：RMB {total}")], [(0, "持卡人签名：")]]
        if chinese
        else [[(60, company)], [(60, "CARD SALE")], [(0, "TERMINAL 22031907")], [(0, f"DATE {day} 12:31")],
              [(0, "TRANS NO: 004512")], [(0, "APPR CODE 118822")], [(0, "TOTAL"), (300, total)], [(0, "SIGNATURE")]]
    )  # fmt: skip
    at = (paper.width + 40, 30.0) if random.random() < 0.3 else (10.0, paper.height + random.uniform(0, 60))
    return [*laid(paper), *laid(_strings(rows), at)]


def _with_advert(paper: PrintedSheet, random: Random) -> list[TextLine]:
    if not paper.name.startswith(("receipt", "vet_invoice", "order")):
        return []
    rows: list[list[tuple[float, str]]] = [
        [(40, random.choice(("会员日 全场8.8折", "NEXT VISIT 10% OFF", "扫码关注公众号")))],
        [(0, random.choice(("活动时间 2026-12-01 至 2026-12-31", "VALID UNTIL 31/12/2026")))],
        [(0, random.choice(("满100.00减20.00", "SPEND 50.00 SAVE 5.00")))],
        [(0, random.choice(("客服热线 400-820-8820", "HOTLINE 1300-88-2525")))],
        [(0, random.choice(("最终解释权归本店所有", "TERMS AND CONDITIONS APPLY")))],
    ]  # fmt: skip
    return [*laid(paper), *laid(_strings(rows), (30.0, paper.height + random.uniform(0, 80)))]


def _copies(paper: PrintedSheet, _random: Random) -> list[TextLine]:
    """Both copies of one bill on a sheet, with the same values."""
    if paper.name.startswith("order"):
        return []
    return [*laid(paper), *laid(paper, (0.0, paper.height + 40))]


def _with_stub(paper: PrintedSheet, random: Random) -> list[TextLine]:
    """Some of its own lines once more, torn off along a dashed line."""
    if paper.name.startswith("order"):
        return []
    lines = [*paper.strings[:2], *random.sample(paper.strings[2:], min(5, len(paper.strings) - 2))]
    stub = _strings([[(0.0, "存根联")], *([(0.0, text)] for text, _ in lines)])
    at = (0.0, -stub.height) if random.random() < 0.5 else (paper.width + 20, 0.0)
    return [*laid(stub, at), *laid(paper)]


def _on_newspaper(paper: PrintedSheet, random: Random) -> list[TextLine]:
    def column(rows: int) -> PrintedSheet:
        return _strings([[(0.0, "".join(random.choices(_PROSE, k=14)))] for _ in range(rows)], 22)

    beside = column(max(6, int(paper.height / 36)))
    return [*laid(paper), *laid(beside, (paper.width + 10, 0.0)), *laid(column(6), (0.0, paper.height + 10))]


Look = Callable[[PrintedSheet, Random], list[TextLine]]
LOOKALIKES: Final[Mapping[str, Look]] = {
    "card slip": _with_card_slip,
    "advert": _with_advert,
    "copies": _copies,
    "stub": _with_stub,
    "newspaper": _on_newspaper,
}


def sroie(folder: Path) -> Iterator[tuple[str, PageText]]:
    """Yields the receipts of a folder with `NAME.csv`: eight coordinates and the text in each row."""
    for path in sorted(folder.glob("*.csv")):
        lines = []
        for row in csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines(), quoting=csv.QUOTE_NONE):
            if len(row) >= 9:
                x = [float(number) for number in row[:8]]
                corners = ((x[0], x[1]), (x[2], x[3]), (x[4], x[5]), (x[6], x[7]))
                lines.append(TextLine(",".join(row[8:]).rstrip(","), 0.999, corners))
        width, height = (max(corner[axis] for line in lines for corner in line.corners) + 20 for axis in (0, 1))
        yield f"sroie {path.stem}", PageText(math.ceil(width), math.ceil(height), tuple(lines), "print")


def measure(two: Iterable[tuple[str, str, PageText]], one: Iterable[tuple[str, PageText]]) -> dict[str, Any]:
    """Returns counts of told, doubted, refused and accepted: of pairs by kind of the first paper and by way, of honest
    singles by what they are; the pairs that were accepted and the singles that were not for a second paper."""
    catalogue = load_catalogue()
    of_pairs: Counter[tuple[str, str]] = Counter()
    of_singles: Counter[tuple[str, str]] = Counter()
    missed, stopped = [], []
    for names, way, page in two:
        result, why, _ = judged(page, catalogue)
        of_pairs.update({("all", result): 1, (names.split("/")[0], result): 1, (way, result): 1})
        if result == "accepted":
            missed.append(f"{way}: {names}")
    for name, page in one:
        result, why, _ = judged(page, catalogue)
        sort = name.rpartition(" ")[0].split(" ")[0] or "plain"
        of_singles.update({("all", result): 1, (sort, result): 1})
        if result in ("told", "doubted"):
            stopped.append(f"{name}: {result}: {why}")
    return {
        "pairs": _table(of_pairs),
        "singles": _table(of_singles),
        "pairs_accepted": missed,
        "singles_stopped": stopped,
    }


def _table(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    rows = dict.fromkeys(name for name, _ in counts)
    return {row: {result: n for (name, result), n in sorted(counts.items()) if name == row} for row in rows}


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("pairs", type=int, nargs="?", default=6, help="pairs for each kind and way")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--sroie", type=Path, help="a folder of real receipts, each NAME.csv")
    given = asked.parse_args()
    honest = chain(singles(max(1, given.pairs // 2), given.seed), sroie(given.sroie) if given.sroie else ())
    figures = measure(pairs(given.pairs, given.seed), honest)
    sys.stdout.write(json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
