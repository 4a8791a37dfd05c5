"""Measures how well papers are read, and how far a reading can be trusted: `miaopei bench documents`.

Two sets, reported apart. `rendered`: synthetic papers of every kind (`fixtures.papers`), in layouts and fonts that
neither rules nor thresholds have seen; a field counts when its value is exactly the printed one. `sroie`: 60 scanned
receipts (ICDAR 2019 SROIE), real, on which the receipt rules were tuned, so an upper bound for rules, not for the gate:
its thresholds were calibrated on rendered papers alone. Total and date must be equal, company and address at least 0.9
alike (letters and digits only, case ignored).

The gate: of the papers it accepts, the share with no relied-on field read wrong (`gate_precision`; of a
scanned receipt total and date must both be there and right), and the share of all papers that it accepts
(`gate_coverage`). `cer`: every printed string against the nearest stretch of the text that was read (Sellers, 1980).
Peers read the same receipts in the same run by their own defaults; their lines go through our rules. Forgeries:
`benchmarks.forgeries`; labels that no kind knows: `benchmarks.unseen_labels`. Papers that must not be paid, and honest
ones that look like them: `benchmarks.documents_opposites`. Real papers of one's own: `benchmarks.paper_families`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import psutil
from scipy.stats import beta

from api.commands.benches import CannotMeasure
from benchmarks import documents_memory, documents_opposites, documents_peers, forgeries, paper_families, unseen_labels
from benchmarks.kept_rows import KeptRows, source_digest
from benchmarks.report import figures_table, machine
from fixtures.papers import KINDS
from fixtures.papers.marks import LONG_EDGE_PX, Marked, read_many
from fixtures.papers.opposites import GROUPS
from vision.decode.image import DecodeLimits, Decoder, Picture
from vision.documents import PaperReading, Reader
from vision.documents.gate import accepted
from vision.documents.text.normalise import amount_minor, dates, plain
from vision.measurement import Unmeasured

SROIE_TAR: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "receipts-sroie-dev.tar"
FIRST_SEED: Final = 5000
ALIKE_MIN: Final = 0.9
SROIE_FIELDS: Final = ("total", "date", "company", "address")

#: What can be measured alone: rendered pages and receipts, forged digits, the memory of a process, each group of made
#: papers, PDFs, a folder.
PARTS: Final = ("papers", "forgeries", "memory", *GROUPS, "pdf", "families")
MEMORY_PAGES_QUICK: Final = 20

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class DocumentsSize:
    """pages: rendered ones of each kind. receipts: scanned ones. peers: of those, how many the peers read.
    memory_pages: the number of pages after which memory is measured for the second time."""

    pages: int
    receipts: int
    peers: int
    memory_pages: int


FULL: Final = DocumentsSize(pages=20, receipts=60, peers=60, memory_pages=500)
QUICK: Final = DocumentsSize(pages=1, receipts=0, peers=0, memory_pages=12)


def run(
    *, quick: bool = False, folder: Path | None = None, parts: Sequence[str] = (), rows: Path | None = None
) -> dict[str, Any]:
    """Returns the figures of the parts, by default of all; names misread fields on standard error. Peers and receipts
    are null without the package or the archive.

    folder: real papers by family, as `benchmarks.paper_families` takes them. rows: a file that keeps what was read of
    made papers, PDFs and families, page by page; a run with the same file goes on where the last one ended. Raises
    CannotMeasure for an unknown part, for the families without a folder, and for rows of another version.
    """
    chosen = tuple(parts) or tuple(part for part in PARTS if part != "families" or folder is not None)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise CannotMeasure(f"no part {unknown[0]!r} of this benchmark; there are: {', '.join(PARTS)}")
    if "families" in chosen and folder is None:
        raise CannotMeasure("families are measured on a folder: --folder DIR")
    kept = KeptRows(rows, source_digest())
    result: dict[str, Any] = {"quick": quick}
    if "papers" in chosen:
        result |= measure(QUICK if quick else FULL, SROIE_TAR, _to_stderr)
    if "forgeries" in chosen:
        result |= _forgeries(quick=quick)
    if "memory" in chosen:
        pages = MEMORY_PAGES_QUICK if quick else documents_memory.PAGES
        measured = documents_memory.measure(pages, _to_stderr)
        result |= {key: measured[key] for key in ("memory_mib_at_start", f"memory_mib_after_{pages}")}
    result |= _opposites(chosen, folder, kept, quick=quick)
    return {**result, "machine": machine(), "load_average": round(os.getloadavg()[0], 1)}


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")


def _opposites(parts: Sequence[str], folder: Path | None, rows: KeptRows, *, quick: bool) -> dict[str, Any]:
    """Returns the figures of made papers, of PDFs without fonts and of real families, read by one set of processes."""
    groups = [group for group in GROUPS if group in parts]
    if not groups and "pdf" not in parts and "families" not in parts:
        return {}
    cores, result = os.cpu_count() or 1, dict[str, Any]()
    with Decoder(DecodeLimits(), processes=1) as decoder, Reader(processes=cores) as reader:
        reader.warm()
        if groups:
            result |= documents_opposites.measure(groups, reader, decoder, cores, rows, quick=quick)
        if "pdf" in parts:
            fontless = documents_opposites.without_fonts(reader, decoder, rows, quick=quick, told=_to_stderr)
            result["pdf_without_fonts"] = fontless
        if "families" in parts and folder is not None:
            read = paper_families.families(folder, reader, progress=_to_stderr, rows=rows)
            result["families"] = {name: family.as_json() for name, family in read.items()}
    return result


def _forgeries(*, quick: bool) -> dict[str, Any]:
    forged = forgeries.run(quick=quick)
    return {
        "forged_caught": {method: marks["all"] for method, marks in forged["forged_caught"].items()},
        "honest_accused": {where: figures["all"] for where, figures in forged["honest_accused"].items()},
    }


def measure(size: DocumentsSize, sroie_tar: Path, progress: Progress) -> dict[str, Any]:
    """Returns all figures except those of forgeries."""
    cores = os.cpu_count() or 1
    with Decoder(DecodeLimits(), processes=1) as decoder, Reader(processes=cores) as reader:
        reader.warm()
        wanted = [(kind, FIRST_SEED + number) for number in range(size.pages) for kind in KINDS]
        began = time.monotonic()
        marks = list(_told(read_many(wanted, "test", reader, decoder, cores), progress))
        seconds, rendered_cpu = time.monotonic() - began, reader.cpu_seconds
        result = {
            "rendered": {**_rendered(marks), "cpu_s_per_page": round(rendered_cpu / len(wanted), 3)},
            "pages_per_minute": round(len(wanted) / seconds * 60, 1),
        }
        scans = _scans(sroie_tar, decoder)[: size.receipts] if sroie_tar.is_file() else []
        result["sroie"] = _sroie(scans, reader, cores, progress) if scans else None
        result["cpu_s_per_page"] = round(reader.cpu_seconds / (len(wanted) + len(scans)), 3)
        result |= _memory(reader, decoder, len(wanted) + len(scans), size.memory_pages, cores)
    result["unseen_labels"] = unseen_labels.measure(max(1, size.pages // 3))
    result["baselines"] = documents_peers.measure(
        [(scan.picture, scan.keys) for scan in scans[: size.peers]], receipt_marks
    )
    return result


def _told(marks: Iterator[Marked], progress: Progress) -> Iterator[Marked]:
    for number, mark in enumerate(marks, start=1):
        wrong = [name for name, right in mark.fields.items() if not right]
        if wrong:
            reading = mark.reading
            read = (
                reading.reason
                if isinstance(reading, Unmeasured)
                else f"{reading.kind}: " + ", ".join(f"{n} {reading.value(n)!r}" for n in wrong)
            )
            printed = ", ".join(f"{name} {mark.paper.truth[name]!r}" for name in wrong)
            progress(f"page {number}, {mark.paper.kind} {mark.paper.layout} {mark.paper.look}: {printed}; read {read}")
        yield mark


def _rendered(marks: Sequence[Marked]) -> dict[str, Any]:
    by_kind: dict[str, list[Marked]] = defaultdict(list)
    for mark in marks:
        by_kind[mark.paper.kind].append(mark)
    return {"all": _figures(marks), **{kind: _figures(own) for kind, own in by_kind.items()}}


def _figures(marks: Sequence[Marked]) -> dict[str, Any]:
    fields: dict[str, list[bool]] = defaultdict(list)
    for mark in marks:
        for name, right in mark.fields.items():
            fields[name].append(right)
    passed = [mark for mark in marks if isinstance(mark.reading, PaperReading) and accepted(mark.reading)]
    rates = [character_error_rate(mark.paper.strings, _text(mark.reading)) for mark in marks]
    return {
        "pages": len(marks),
        "fields": {name: round(fmean(right), 4) for name, right in sorted(fields.items())},
        "fields_all": round(fmean(right for marks in fields.values() for right in marks), 4),
        "cer": round(fmean(rates), 4),
        "unmeasured": sum(isinstance(mark.reading, Unmeasured) for mark in marks),
        **_gate([mark.relied_on_right for mark in passed], len(marks)),
    }


def _gate(right: Sequence[bool], pages: int) -> dict[str, Any]:
    """Returns precision with its exact lower limit (95%, Clopper and Pearson); null where nothing was accepted."""
    hits, count = sum(right), len(right)
    lower = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    return {
        "gate_precision": round(hits / count, 4) if count else None,
        "gate_precision_lower_95": round(lower, 4),
        "gate_accepted": count,
        "gate_coverage": round(count / pages, 4),
    }


def _text(reading: PaperReading | Unmeasured) -> str:
    return "" if isinstance(reading, Unmeasured) else "\n".join(reading.lines)


def character_error_rate(printed: Sequence[str], read: str) -> float:
    """Returns the edits that turn each printed string into the nearest stretch of `read`, per printed character. Spaces
    and the width of characters do not count."""
    bare = ["".join(plain(text).split()) for text in printed]
    page = np.array([ord(character) for character in "".join(plain(read).split())], dtype=np.int64)
    edits = sum(_nearest_stretch(text, page) for text in bare)
    return edits / max(1, sum(len(text) for text in bare))


def _nearest_stretch(text: str, page: np.ndarray) -> int:
    """Returns the edit distance of `text` to the nearest stretch of `page`, which may begin anywhere at no cost."""
    places = np.arange(len(page) + 1)
    distance = np.zeros(len(page) + 1, dtype=np.int64)
    for count, character in enumerate(text, start=1):
        step = np.empty_like(distance)
        step[0] = count
        step[1:] = np.minimum(distance[:-1] + (page != ord(character)), distance[1:] + 1)
        distance = np.minimum.accumulate(step - places) + places  # characters of the page that are left out
    return int(distance.min())


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A scanned receipt, decoded, with its keys."""

    name: str
    picture: Picture
    keys: Mapping[str, str]


def _scans(tar: Path, decoder: Decoder) -> list[Scan]:
    return [Scan(name, decoder.decode(jpeg, long_edge_px_max=LONG_EDGE_PX), keys) for name, jpeg, keys in receipts(tar)]


def _sroie(scans: Sequence[Scan], reader: Reader, threads: int, progress: Progress) -> dict[str, Any]:
    before = reader.cpu_seconds
    with ThreadPoolExecutor(threads) as pool:
        readings = list(pool.map(lambda scan: reader.read(scan.picture), scans))
    right: dict[str, list[bool]] = defaultdict(list)
    exact: dict[str, list[bool]] = defaultdict(list)
    given, passed = 0, []
    for scan, reading in zip(scans, readings, strict=True):
        marks = receipt_marks(reading, scan.keys)
        for name in SROIE_FIELDS:
            right[name].append(marks[name])
            exact[name].append(isinstance(reading, PaperReading) and _exact(name, reading, scan.keys))
            if not marks[name]:
                progress(f"sroie {scan.name} {name}: {scan.keys.get(name, '')!r}")
        if isinstance(reading, PaperReading):
            given += sum(bool(reading.value("total_minor" if name == "total" else name)) for name in SROIE_FIELDS)
            if accepted(reading):
                passed.append(marks["total"] and marks["date"])
    hits = sum(sum(marks) for marks in right.values())
    precision, recall = hits / max(1, given), hits / (len(SROIE_FIELDS) * len(scans))
    return {
        "pages": len(scans),
        "unmeasured": sum(isinstance(reading, Unmeasured) for reading in readings),
        **{name: round(fmean(marks), 4) for name, marks in right.items()},
        "exact": {name: round(fmean(marks), 4) for name, marks in exact.items()},
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
        **_gate(passed, len(scans)),
        "cpu_s_per_page": round((reader.cpu_seconds - before) / len(scans), 3),
    }


def receipt_marks(reading: PaperReading | Unmeasured, keys: Mapping[str, str]) -> dict[str, bool]:
    """Returns, for each of SROIE_FIELDS, True if it was read right."""
    if isinstance(reading, Unmeasured):
        return dict.fromkeys(SROIE_FIELDS, False)
    days = dates(plain(keys["date"]))
    return {
        "total": reading.value("total_minor") == str(amount_minor(plain(keys["total"]))),
        "date": bool(days) and reading.value("date") == days[0][2].isoformat(),
        "company": alike(reading.value("company"), keys["company"]) >= ALIKE_MIN,
        "address": alike(reading.value("address"), keys["address"]) >= ALIKE_MIN,
    }


def _exact(name: str, reading: PaperReading, keys: Mapping[str, str]) -> bool:
    if name in ("total", "date"):
        return receipt_marks(reading, keys)[name]
    return alike(reading.value(name), keys[name]) == 1.0


def alike(first: str, second: str) -> float:
    """Returns the likeness (0..1) of two texts by their letters and digits."""
    bare = [re.sub(r"[^0-9a-z\u4e00-\u9fff]", "", text.lower()) for text in (first, second)]
    return difflib.SequenceMatcher(None, bare[0], bare[1], autojunk=False).ratio()


def receipts(tar: Path) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Yields (name, JPEG bytes, keys) of every receipt in the archive, by name."""
    with tarfile.open(tar) as archive:
        members = {member.name: member for member in archive.getmembers() if member.isfile()}
        for path in sorted(name for name in members if name.endswith(".jpg")):
            picture = archive.extractfile(members[path])
            keys = archive.extractfile(members[path.removesuffix(".jpg") + ".json"])
            if picture is None or keys is None:
                raise ValueError(f"{path} in {tar} is not a plain file")
            yield Path(path).stem, picture.read(), json.loads(keys.read())


def _memory(reader: Reader, decoder: Decoder, done: int, pages: int, threads: int) -> dict[str, float]:
    """Returns the memory of all OCR processes in MiB after `done` pages and after `pages` pages in all."""
    before = _resident_mib(reader)
    more = [(KINDS[number % len(KINDS)], FIRST_SEED + 1000 + number) for number in range(max(0, pages - done))]
    for _ in read_many(more, "build", reader, decoder, threads):
        continue
    return {f"memory_mib_after_{done}": before, f"memory_mib_after_{pages}": _resident_mib(reader)}


def _resident_mib(reader: Reader) -> float:
    return round(sum(psutil.Process(pid).memory_info().rss for pid in reader.pids) / 2**20, 1)


def show(result: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    figures_table("papers", result)
