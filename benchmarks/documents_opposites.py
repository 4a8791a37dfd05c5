"""Measures whether anything is accepted that is no paid bill: part of `miaopei bench documents`.

Made pages (`fixtures.papers.opposites`, synthetic), drawn without knowing what the reader looks for: not payable (void,
refunded, estimated, unpaid, ...), in other currencies, two papers in one picture, and of each sort the honest bills
that look like them, without which refusing everything would look perfect. And PDFs whose visible Chinese has no font in
the file. A page counts as accepted if the worker would take it as a paid bill (`taken_as_paid`).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.kept_rows import KeptRows
from fixtures.papers.marks import LONG_EDGE_PX, relied_on_right
from fixtures.papers.opposites.fontless import fontless_pdf
from fixtures.papers.opposites.pages import FULL, QUICK, Group, MadePage, WantedPage, make, wanted
from vision.decode.image import Decoder
from vision.documents import PaperReading, Reader
from vision.documents.gate import accepted
from vision.measurement import Unmeasured

PRODUCT_CURRENCY: Final = "CNY"
FONTLESS, FONTLESS_QUICK = 14, 2

Told = Callable[[str], object]
Read = PaperReading | Unmeasured
T = TypeVar("T")


def currency_of(reading: PaperReading) -> str:
    """Returns the ISO code of the amounts, "" where the paper leaves it open."""
    return "" if reading.currency is None else reading.currency.code


def vouched(reading: Read) -> bool:
    """Returns True for a paper that the gate accepts, in whatever currency: one with a standing it does not accept."""
    return isinstance(reading, PaperReading) and accepted(reading)


def taken_as_paid(reading: Read) -> bool:
    """Returns True if the worker would take the page as a paid bill: accepted by the gate, and in the product's
    currency if any amount of it counts."""
    if not isinstance(reading, PaperReading) or not vouched(reading):
        return False
    return currency_of(reading) == PRODUCT_CURRENCY or not reading.amounts_required


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """The outcome of one made page. right: every relied-on value read is what the paper shows. currency_read: "" for a
    page that was not read."""

    wanted: WantedPage
    currency: str
    taken: bool
    vouched: bool
    right: bool
    currency_read: str


def judged(page: MadePage, reading: Read) -> PageOutcome:
    """Returns what became of the page."""
    if isinstance(reading, Unmeasured):
        return PageOutcome(page.wanted, page.currency, taken=False, vouched=False, right=False, currency_read="")
    return PageOutcome(
        page.wanted,
        page.currency,
        taken_as_paid(reading),
        vouched(reading),
        reading.kind == page.paper_kind and relied_on_right(reading, page.truth),
        currency_of(reading),
    )


def measure(
    groups: Sequence[Group], reader: Reader, decoder: Decoder, threads: int, rows: KeptRows, *, quick: bool
) -> dict[str, Any]:
    """Reads the pages of the groups that have no row yet, on so many threads, and returns the keys of those groups.
    Names what was taken as paid and is not, by page and never by value, on standard error as it comes."""
    pages = wanted(groups, QUICK if quick else FULL)

    def read(page: WantedPage) -> PageOutcome:
        kept = rows.get(page.name)
        if kept is not None:
            return PageOutcome(page, **kept)
        made = make(page)
        outcome = judged(made, reader.read(decoder.decode(made.jpeg, long_edge_px_max=LONG_EDGE_PX)))
        row = asdict(outcome)
        del row["wanted"]
        rows.add(page.name, row)
        if outcome.taken and page.group != "honest":
            sys.stderr.write(f"accepted: {page.name}\n")
        return outcome

    with ThreadPoolExecutor(threads) as pool:
        return tables(list(shown("made papers", pool.map(read, pages), len(pages))), groups)


def tables(outcomes: Sequence[PageOutcome], groups: Sequence[Group]) -> dict[str, Any]:
    """Returns the figures of the groups by kind, [accepted, of] each."""
    result: dict[str, Any] = {}
    for group in groups:
        own = [outcome for outcome in outcomes if outcome.wanted.group == group]
        if group == "not_payable":
            result["not_payable_accepted"] = _by_kind(own)
        elif group == "two_in_one":
            result["two_in_one_accepted"] = _by_kind(own)
        elif group == "foreign":
            wrong = [outcome.vouched and outcome.currency_read != outcome.currency for outcome in own]
            result["currency_wrong_accepted"] = [sum(wrong), len(own)]
            result["currency_read"] = _by_kind(own, lambda outcome: outcome.currency_read == outcome.currency)
        else:
            taken = [outcome for outcome in own if outcome.taken]
            result["honest_counterparts"] = _by_kind(own)
            result["honest_accepted_right"] = [sum(outcome.right for outcome in taken), len(taken)]
    return result


def _taken(outcome: PageOutcome) -> bool:
    return outcome.taken


def _by_kind(outcomes: Sequence[PageOutcome], counts: Callable[[PageOutcome], bool] = _taken) -> dict[str, list[int]]:
    """Returns [those that count, of], all together under "all" and by kind."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for outcome in outcomes:
        for name in ("all", outcome.wanted.kind):
            table[name][0] += counts(outcome)
            table[name][1] += 1
    return dict(table)


def without_fonts(reader: Reader, decoder: Decoder, rows: KeptRows, *, quick: bool, told: Told) -> list[int]:
    """Returns [pages read right, of]: kind and every value that money rests on, of PDFs whose visible Chinese has no
    font in the file."""
    count, right = FONTLESS_QUICK if quick else FONTLESS, 0
    for index in shown("PDFs without fonts", iter(range(count)), count):
        kept = rows.get(f"pdf/{index}")
        if kept is not None:
            right += kept["right"]
            continue
        data, kind, truth = fontless_pdf(index)
        (picture,) = decoder.render_pdf(data)
        reading = reader.read(picture)
        good = isinstance(reading, PaperReading) and reading.kind == kind
        wrong = [name for name in relied_on(reading) if not good or reading_value(reading, name) != truth.get(name, "")]
        rows.add(f"pdf/{index}", {"right": good and not wrong})
        if good and not wrong:
            right += 1
        else:
            told(f"PDF without fonts {index}, {kind}: {', '.join(wrong) or 'not read'}")
    return [right, count]


def relied_on(reading: Read) -> tuple[str, ...]:
    """Returns the names of the fields that money rests on, none of a page that was not read."""
    return reading.relied_on if isinstance(reading, PaperReading) else ()


def reading_value(reading: Read, name: str) -> str:
    return reading.value(name) if isinstance(reading, PaperReading) else ""


def shown(title: str, things: Iterator[T], count: int) -> Iterator[T]:
    """Yields the things under a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(things, total=count, description=title)
