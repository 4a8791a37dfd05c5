"""How well papers are read: `miaopei bench documents`.

Two sets, reported apart. `rendered`: synthetic pages of `fixtures.papers`, on seeds that nothing was tuned on; a
field counts when its value is exactly the printed one. `sroie`: 60 scanned receipts (ICDAR 2019 SROIE) on which the
receipt rules were tuned, so an upper bound; total and date must be equal, company and address at least 0.9 alike
(letters and digits only, case ignored).
"""

from __future__ import annotations

import difflib
import json
import re
import sys
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import figures_table, machine
from fixtures.papers import RenderedPaper, render_invoice, render_parcel_slip, render_receipt
from vision.documents import PaperReading, Reader
from vision.documents.normalise import amount_minor, dates, plain
from vision.image import DecodeLimits, Decoder
from vision.measurement import Unmeasured

SROIE_TAR = Path(__file__).resolve().parents[2] / "shared" / "data" / "receipts-sroie-dev.tar"
FIRST_SEED = 5000
PAGES, PAGES_QUICK = 60, 8
LONG_EDGE_PX = 1600
ALIKE_MIN = 0.9

Progress = Callable[[str], object]


def run(*, quick: bool = False) -> dict[str, Any]:
    """Misread fields are named on standard error as they come."""
    pages, receipts_tar = (PAGES_QUICK, None) if quick else (PAGES, SROIE_TAR)
    return {**measure(pages, receipts_tar, lambda line: sys.stderr.write(line + "\n")), "machine": machine()}


def measure(pages: int, sroie_tar: Path | None, progress: Progress | None = None) -> dict[str, Any]:
    """Accuracies 0..1 by field, `unmeasured` pages, `cpu_s_per_page` of OCR alone.

    pages: rendered ones, half invoices, a quarter each slips and receipts. sroie is null where the archive is not
    there.
    """
    progress = progress if progress is not None else _silent
    with Decoder(DecodeLimits(), processes=1) as decoder, Reader() as reader:
        reader.warm()
        rendered = _rendered(pages, decoder, reader, progress)
        rendered_cpu = reader.cpu_seconds
        sroie = None
        if sroie_tar is not None and sroie_tar.is_file():
            sroie = _sroie(sroie_tar, decoder, reader, progress)
            sroie["cpu_s_per_page"] = round((reader.cpu_seconds - rendered_cpu) / sroie["pages"], 3)
        rendered["cpu_s_per_page"] = round(rendered_cpu / rendered["pages"], 3)
        total = rendered["pages"] + (sroie["pages"] if sroie else 0)
        return {"rendered": rendered, "sroie": sroie, "cpu_s_per_page": round(reader.cpu_seconds / total, 3)}


def _papers(pages: int) -> Iterator[RenderedPaper]:
    for index in range(pages):
        seed = FIRST_SEED + index
        if index % 2 == 0:
            yield render_invoice(seed, pet=index % 10 == 0)
        else:
            yield (render_parcel_slip if index % 4 == 1 else render_receipt)(seed)


def _rendered(pages: int, decoder: Decoder, reader: Reader, progress: Progress) -> dict[str, Any]:
    marks: dict[str, list[bool]] = defaultdict(list)
    unmeasured = 0
    for index, paper in enumerate(_papers(pages)):
        reading = reader.read(decoder.decode(paper.jpeg, long_edge_px_max=LONG_EDGE_PX))
        unmeasured += isinstance(reading, Unmeasured)
        for name, right in _marks(paper, reading):
            marks[f"{paper.kind}.{name}"].append(right)
            if not right:
                progress(f"rendered {FIRST_SEED + index} {paper.kind}.{name}: {paper.truth.get(name, '')!r}")
    fields = {name: round(sum(right) / len(right), 4) for name, right in sorted(marks.items())}
    return {"pages": pages, "unmeasured": unmeasured, "fields": fields}


def _marks(paper: RenderedPaper, reading: PaperReading | Unmeasured) -> Iterator[tuple[str, bool]]:
    if isinstance(reading, Unmeasured):
        yield from ((name, False) for name in ("kind", *paper.truth))
        return
    yield "kind", reading.kind == paper.kind
    for name, value in paper.truth.items():
        read = reading.value(name)
        yield name, alike(read, value) == 1.0 if name == "address" else read == value
    if paper.kind == "outpatient_invoice":
        yield (
            "items",
            [(i.text, i.item_class, i.amount_minor) for i in reading.items]
            == [(i.text, i.item_class, i.amount_minor) for i in paper.items],
        )
        yield "checks_agree", all(check.passed for check in reading.checks)


def alike(one: str, other: str) -> float:
    """Likeness 0..1 of two texts by their letters and digits."""
    bare = [re.sub(r"[^0-9a-z\u4e00-\u9fff]", "", text.lower()) for text in (one, other)]
    return difflib.SequenceMatcher(None, bare[0], bare[1], autojunk=False).ratio()


def _sroie(tar: Path, decoder: Decoder, reader: Reader, progress: Progress) -> dict[str, Any]:
    right: dict[str, int] = dict.fromkeys(("kind", "total", "date", "company", "address"), 0)
    pages = unmeasured = 0
    for name, jpeg, keys in receipts(tar):
        pages += 1
        reading = reader.read(decoder.decode(jpeg, long_edge_px_max=LONG_EDGE_PX))
        if isinstance(reading, Unmeasured):
            unmeasured += 1
            progress(f"sroie {name}: {reading.reason}")
            continue
        total = amount_minor(plain(keys["total"]))
        days = dates(plain(keys["date"]))
        good = {
            "kind": reading.kind == "receipt",
            "total": reading.value("total_minor") == str(total),
            "date": bool(days) and reading.value("date") == days[0][2].isoformat(),
            "company": alike(reading.value("company"), keys["company"]) >= ALIKE_MIN,
            "address": alike(reading.value("address"), keys["address"]) >= ALIKE_MIN,
        }
        for key, hit in good.items():
            right[key] += hit
            if not hit:
                progress(f"sroie {name} {key}: {keys.get(key, '')!r}")
    return {"pages": pages, "unmeasured": unmeasured} | {key: round(hits / pages, 4) for key, hits in right.items()}


def receipts(tar: Path) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """(name, JPEG bytes, keys) of every receipt in the archive, by name."""
    with tarfile.open(tar) as archive:
        members = {member.name: member for member in archive.getmembers() if member.isfile()}
        for path in sorted(name for name in members if name.endswith(".jpg")):
            picture = archive.extractfile(members[path])
            keys = archive.extractfile(members[path.removesuffix(".jpg") + ".json"])
            if picture is None or keys is None:
                raise ValueError(f"{path} in {tar} is not a plain file")
            yield Path(path).stem, picture.read(), json.loads(keys.read())


def _silent(_line: str) -> None:
    """For nobody."""


def show(result: dict[str, Any]) -> None:
    """The same as a table."""
    figures_table("papers: share of fields read right", result)
