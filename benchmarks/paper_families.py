"""Measures how real papers are read, family by family, on a folder of one's own: `miaopei bench documents --folder`.

    FOLDER/FAMILY/PAGE.{jpg,png,webp,heic,pdf,ofd,...}   the files, as people send them
    FOLDER/FAMILY/truth.json                             {PAGE: {kind, fields, standing, currency, role, source, note}}

Kinds and fields are those of docs/papers.md, amounts in minor units as digits, dates ISO. A field's value is what the
page shows: null where it is illegible (not judged), "" where the page does not show it (then reading one is wrong), a
list where several are equally right. standing: "paid" unless given, null where it is open; anything else is no paid
bill, and its acceptance is counted. currency: ISO 4217, null where the page does not tell. role: "look" for pages that
those who write rules may see, "test" (the default) for the others. How such a folder is built: docs/paper-families.md.

Files go the worker's way: decoded in confined children, every page read, gated. A field is right as in
`benchmarks.documents`: exactly, and a text if its letters and digits are at least 0.9 alike.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from scipy.stats import beta

from api.commands.benches import CannotMeasure
from benchmarks.documents_opposites import PRODUCT_CURRENCY, currency_of
from benchmarks.kept_rows import KeptRows
from claims.currencies import DECIMALS
from fixtures.papers.marks import LONG_EDGE_PX
from vision.decode.image import HEAD_BYTES, DecodeLimits, Decoder, Picture, sniff
from vision.documents import UNKNOWN, PaperReading, Reader, load_catalogue
from vision.documents.gate import accepted
from vision.errors import ImageRefused
from vision.measurement import Unmeasured

TRUTH: Final = "truth.json"
DOCUMENT_PAGES_MAX: Final = 10  # as the worker reads (flows.config, pdf_pages_read_max)
ALIKE_MIN: Final = 0.9
PAID: Final = "paid"
STANDINGS: Final = (
    PAID,
    "void",
    "refund",
    "negative",
    "reimbursed",
    "copy",
    "estimate",
    "unpaid",
    "deposit",
    "sample",
    "training",
    "statement",
    "no_voucher",
    "other",  # no bill at all
)
ROLES: Final = ("look", "test")
_KEYS: Final = ("kind", "fields", "standing", "currency", "role", "source", "note")
_AMOUNT: Final = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_TEXTS: Final = ("name", "institution", "text", "choice")  # formats of fields that may be nearly right

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class FamilyPage:
    """A file of a family and what it shows. fields: the equally right values by name, None where illegible. standing:
    None where it is open. currency: "" where the page does not tell."""

    family: str
    path: Path
    kind: str
    fields: Mapping[str, tuple[str, ...] | None]
    standing: str | None
    currency: str
    role: str


@dataclass(frozen=True, slots=True)
class PageMarks:
    """The marks of one file. fields: right or not, by name. accepted: any of its pages was. right: all its accepted
    pages are of its kind and have no judged value wrong. currency_right: None where the file does not tell one."""

    page: FamilyPage
    fields: Mapping[str, bool]
    accepted: bool
    right: bool
    currency_right: bool | None
    unread: bool


@dataclass(frozen=True, slots=True)
class Family:
    """The figures of one family. fields, by_field: (right, judged). not_payable: (accepted, of) files that are no paid
    bill. currency_wrong: (accepted in another currency than the paper's, of) files with a known currency. unread: files
    that were refused or of which no page could be read."""

    n: int
    fields: tuple[int, int]
    by_field: Mapping[str, tuple[int, int]]
    accepted: int
    right: int
    not_payable: tuple[int, int]
    currency_wrong: tuple[int, int]
    unread: int

    def as_json(self) -> dict[str, Any]:
        """Returns the figures under the keys of `miaopei bench documents --json`; a share of nothing is null."""
        return {
            "n": self.n,
            "fields": _share(self.fields),
            "accepted": self.accepted,
            "right": self.right,
            "right_lower_95": round(lower_95(self.right, self.accepted), 4),
            "not_payable_accepted": list(self.not_payable),
            "currency_wrong_accepted": list(self.currency_wrong),
            "unread": self.unread,
            "by_field": {name: list(count) for name, count in sorted(self.by_field.items())},
        }


def families(
    folder: Path, reader: Reader, *, role: str = "", progress: Progress | None = None, rows: KeptRows | None = None
) -> dict[str, Family]:
    """Reads every file of the folder and returns the figures by family, in the order of their names.

    role: only files of this role, "" for all. rows: they keep the marks of each file; one that they have is not read.
    progress: told of each misread file by family, name and fields, never by value. Raises CannotMeasure for a folder
    that is not as the module's text says, ReaderUnavailable or DecoderUnavailable.
    """
    by_family: dict[str, list[PageMarks]] = defaultdict(list)
    for marks in read_all(family_pages(folder, role), reader, rows or KeptRows(None, "")):
        by_family[marks.page.family].append(marks)
        wrong = [name for name, right in marks.fields.items() if not right]
        if progress is not None and (wrong or (marks.accepted and not marks.right)):
            progress(f"{marks.page.family}/{marks.page.path.name}: {', '.join(wrong)}{' ACCEPTED' * marks.accepted}")
    return {name: figures(marks) for name, marks in by_family.items()}


def read_all(pages: Sequence[FamilyPage], reader: Reader, rows: KeptRows) -> Iterator[PageMarks]:
    """Yields the marks of the files in their order, those without a row read on as many threads as cores. Raises as
    `families`."""
    threads = os.cpu_count() or 1
    with Decoder(DecodeLimits(), processes=1) as decoder, ThreadPoolExecutor(threads) as pool:

        def marks_of(page: FamilyPage) -> PageMarks:
            name = f"families/{page.family}/{page.path.name}"
            kept = rows.get(name)
            if kept is not None:
                return PageMarks(page, **kept)
            marks = marked(page, read_file(page.path, decoder, reader))
            rows.add(name, {key: getattr(marks, key) for key in PageMarks.__slots__ if key != "page"})
            return marks

        yield from pool.map(marks_of, pages)


def read_file(path: Path, decoder: Decoder, reader: Reader) -> tuple[PaperReading | Unmeasured, ...]:
    """Returns the reading of each page, none for a file that the decoder refuses (flows.vision_pool, `paper`)."""
    data = path.read_bytes()
    try:
        pictures = _pictures(data, decoder)
    except ImageRefused:
        return ()
    return tuple(reader.read(picture) for picture in pictures)


def _pictures(data: bytes, decoder: Decoder) -> list[Picture]:
    if (sniff(data[:HEAD_BYTES]) or "").startswith("image/"):
        return [decoder.decode(data, LONG_EDGE_PX)]
    return decoder.render_document(data, page_count_max=DOCUMENT_PAGES_MAX)


def marked(page: FamilyPage, readings: Sequence[PaperReading | Unmeasured]) -> PageMarks:
    """Returns the marks of a file. Its fields are marked on its first page that was read as its kind; without one, none
    of them is right."""
    papers = [reading for reading in readings if isinstance(reading, PaperReading)]
    same = next((paper for paper in papers if paper.kind == page.kind), None)
    taken = [paper for paper in papers if accepted(paper)]
    judged = {name: values for name, values in page.fields.items() if values is not None}
    return PageMarks(
        page=page,
        fields={name: same is not None and _right(page.kind, name, same, values) for name, values in judged.items()},
        accepted=bool(taken),
        right=bool(taken) and all(_holds(page, paper, judged) for paper in taken),
        currency_right=all(_currency(paper) == page.currency for paper in taken) if page.currency else None,
        unread=not papers,
    )


def _holds(page: FamilyPage, paper: PaperReading, judged: Mapping[str, tuple[str, ...]]) -> bool:
    """True if no relied-on value of an accepted page is wrong; an unread one is asked for and misleads nobody."""
    return paper.kind == page.kind and all(
        _right(page.kind, name, paper, judged[name])
        for name in paper.relied_on
        if name in judged and paper.value(name) != ""
    )


def _right(kind: str, name: str, paper: PaperReading, values: Sequence[str]) -> bool:
    read = paper.value(name)
    if read in values:
        return True
    written = load_kinds()[kind][name]
    if written in _TEXTS:
        return any(value and alike(read, value) >= ALIKE_MIN for value in values)
    return written in ("number", "tracking_number") and bool(read) and _bare(read) in map(_bare, values)


def _currency(paper: PaperReading) -> str:
    """Returns the currency that the reading tells, that of the product where no amount of the paper counts."""
    return currency_of(paper) or ("" if paper.amounts_required else PRODUCT_CURRENCY)


def alike(first: str, second: str) -> float:
    """Returns the likeness (0..1) of two texts by their letters and digits, of any script, without case."""
    return difflib.SequenceMatcher(None, _bare(first), _bare(second), autojunk=False).ratio()


def _bare(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKC", text).casefold() if sign.isalnum())


def figures(marks: Sequence[PageMarks]) -> Family:
    """Returns the figures of one family's files."""
    by_field: dict[str, list[bool]] = defaultdict(list)
    for mark in marks:
        for name, right in mark.fields.items():
            by_field[name].append(right)
    unpayable = [mark for mark in marks if mark.page.standing not in (PAID, None)]
    told = [mark for mark in marks if mark.currency_right is not None]
    return Family(
        n=len(marks),
        fields=(sum(map(sum, by_field.values())), sum(map(len, by_field.values()))),
        by_field={name: (sum(right), len(right)) for name, right in by_field.items()},
        accepted=sum(mark.accepted for mark in marks),
        right=sum(mark.right for mark in marks),
        not_payable=(sum(mark.accepted for mark in unpayable), len(unpayable)),
        currency_wrong=(sum(mark.accepted and not mark.currency_right for mark in told), len(told)),
        unread=sum(mark.unread for mark in marks),
    )


def lower_95(hits: int, count: int) -> float:
    """Returns the exact lower limit of a share (95%, two-sided, Clopper and Pearson), 0 for no hits."""
    return float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0


def _share(count: tuple[int, int]) -> float | None:
    return round(count[0] / count[1], 4) if count[1] else None


def family_pages(folder: Path, role: str = "") -> list[FamilyPage]:
    """Returns the files of the folder with what they show, by family and name. Raises CannotMeasure, with the file and
    the entry, for a folder that is not as the module's text says."""
    if role not in ("", *ROLES):
        raise CannotMeasure(f"there is no role {role}; there are {', '.join(ROLES)}")
    if not folder.is_dir():
        raise CannotMeasure(f"there is no folder {folder}")
    own = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not own:
        raise CannotMeasure(f"{folder} has no sub-folder; each family of papers is one, with its pages and {TRUTH}")
    pages = [page for family in own for page in _of_family(family)]
    return [page for page in pages if page.role == role or not role]


def _of_family(folder: Path) -> Iterator[FamilyPage]:
    listed = _truth(folder / TRUTH)
    files = {path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")} - {TRUTH}
    if files - listed.keys():
        raise CannotMeasure(f"{folder / TRUTH} does not say what {min(files - listed.keys())} shows")
    for name in sorted(listed):
        if name not in files:
            raise CannotMeasure(f"{folder / TRUTH} names {name}, which is not beside it")
        try:
            yield _page(folder / name, listed[name])
        except ValueError as error:
            raise CannotMeasure(f"{folder / TRUTH}: {name}: {error}") from error


def _truth(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CannotMeasure(f"there is no {path}; it says what each page of the family shows")
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CannotMeasure(f"{path} is not JSON: {error}") from error
    if not isinstance(listed, dict) or not listed:
        raise CannotMeasure(f"{path} is not an object with an entry for each page")
    return listed


def _page(path: Path, entry: object) -> FamilyPage:
    if not isinstance(entry, dict):
        raise ValueError("its entry is not an object")
    unknown = entry.keys() - set(_KEYS)
    if unknown:
        raise ValueError(f"there is no key {min(unknown)}; there are {', '.join(_KEYS)}")
    kind = entry.get("kind")
    if kind != UNKNOWN and kind not in load_kinds():
        raise ValueError(f"there is no kind {kind}; there are {', '.join((*sorted(load_kinds()), UNKNOWN))}")
    fields = entry.get("fields", {})
    if not isinstance(fields, dict):
        raise ValueError("its fields are not an object")
    standing, currency, role = entry.get("standing", PAID), entry.get("currency"), entry.get("role", "test")
    if standing is not None and standing not in STANDINGS:
        raise ValueError(f"there is no standing {standing}; there are {', '.join(STANDINGS)}")
    if currency is not None and currency not in DECIMALS:
        raise ValueError(f"there is no currency {currency}")
    if role not in ROLES:
        raise ValueError(f"there is no role {role}; there are {', '.join(ROLES)}")
    shown = {str(name): _values(str(kind), str(name), value) for name, value in fields.items()}
    return FamilyPage(path.parent.name, path, str(kind), shown, standing, currency or "", role)


def _values(kind: str, name: str, value: object) -> tuple[str, ...] | None:
    if name not in load_kinds().get(kind, {}):
        raise ValueError(f"{kind} has no field {name}")
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    for item in values:
        if not isinstance(item, str) or (isinstance(value, list) and not item):
            raise ValueError(f"{name} is neither a text, null, nor a list of texts")
        if item and name.endswith("_minor") and not _AMOUNT.fullmatch(item):
            raise ValueError(f"{name} is not an amount in minor units: {item}")
        if item and name.endswith("date"):
            date.fromisoformat(item)
    if not values:
        raise ValueError(f"{name} is an empty list; null is illegible")
    return tuple(values)


@cache
def load_kinds() -> Mapping[str, Mapping[str, str]]:
    """Returns the format of every field, by our kinds' names and the fields' names."""
    return {
        name: {field_name: rule.format for field_name, rule in kind.fields.items()}
        for name, kind in load_catalogue().items()
    }
