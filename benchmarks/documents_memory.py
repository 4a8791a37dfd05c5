"""Measures the memory of one OCR process over many pages: `python -m benchmarks.documents_memory [PAGES]`.

The pages differ in shape, as that is what makes the process grow: strips of one or two lines cut from rendered papers
at random places, and a whole page every WHOLE_EVERY, since the largest buffers are those of whole pages. Strips cost a
twentieth of a page's CPU, so 2,000 pages end in minutes. Nothing is replaced meanwhile: a replaced process would hide
what grows. Both models read every page, as the reader has them do.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.report import machine
from fixtures.papers import KINDS
from fixtures.papers.marks import LONG_EDGE_PX
from fixtures.papers.render import render_paper
from models.ocr_build import OCR_CARDS, default_target
from vision.decode.image import DecodeLimits, Decoder
from vision.documents.ocr.process import Worker
from vision.documents.reader import ReaderLimits, ocr_config, short_name

PAGES: Final = 2_000
WHOLE_EVERY: Final = 100
FIRST_SEED: Final = 8_000
MARKS: Final = (50, 100, 200, 500, 1_000, 1_500, 2_000)

Pixels = npt.NDArray[np.uint8]
Progress = Callable[[str], object]


def measure(pages: int = PAGES, progress: Progress = str) -> dict[str, float]:
    """Returns {memory_mib_after_N: MiB} for every N of MARKS up to `pages`, and for `pages`; memory_mib_at_start; and
    cpu_s_per_page, whole pages and strips together."""
    whole = _whole_pages()
    choose = random.Random(FIRST_SEED)
    limits = ReaderLimits()
    figures: dict[str, float] = {}
    cpu_seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="miaopei-memory-", ignore_cleanup_errors=True) as scratch:
        worker = Worker(ocr_config(default_target(), limits), limits.pool().worker, Path(scratch))
        try:
            worker.wait_ready()
            figures["memory_mib_at_start"] = _mib(worker)
            for number in range(1, pages + 1):
                page = choose.choice(whole) if number % WHOLE_EVERY == 0 else _strip(choose.choice(whole), choose)
                for model in OCR_CARDS:
                    cpu_seconds += worker.read(page, short_name(model))[1]
                if number in MARKS or number == pages:
                    figures[f"memory_mib_after_{number}"] = _mib(worker)
                    progress(f"{number} pages: {_mib(worker)} MiB, {cpu_seconds / number:.3f} s of CPU a page")
        finally:
            worker.kill()
    figures["cpu_s_per_page"] = round(cpu_seconds / pages, 3)
    return figures


def _whole_pages() -> Sequence[Pixels]:
    with Decoder(DecodeLimits(), processes=1) as decoder:
        papers = [render_paper(kind, FIRST_SEED + index, layouts="build") for index, kind in enumerate(KINDS)]
        return [decoder.decode(paper.jpeg, long_edge_px_max=LONG_EDGE_PX).pixels for paper in papers]


def _strip(page: Pixels, choose: random.Random) -> Pixels:
    height, width = page.shape[:2]
    high, wide = choose.randint(64, min(120, height)), choose.randint(200, min(700, width))
    top, left = choose.randint(0, height - high), choose.randint(0, width - wide)
    return np.ascontiguousarray(page[top : top + high, left : left + wide])


def _mib(worker: Worker) -> float:
    return round(worker.memory_bytes() / 2**20, 1)


def main() -> None:
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else PAGES
    result = measure(pages, lambda line: sys.stderr.write(line + "\n"))
    sys.stdout.write(json.dumps({**result, "machine": machine()}) + "\n")


if __name__ == "__main__":
    main()
