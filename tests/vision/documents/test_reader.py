"""The real engine on rendered pages: read to the last field, and no page takes another with it when its process
breaks.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from fixtures.papers import FLAT, RenderedPaper, render_invoice, render_parcel_slip, render_receipt
from models.errors import ModelMissing
from models.ocr_build import build
from vision.documents import PaperReading, Reader, ReaderLimits
from vision.errors import ReaderUnavailable
from vision.image import DecodeLimits, Decoder, Picture
from vision.measurement import Unmeasured

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ocr")
    build(target)
    return target


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(), processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def reader(models_dir: Path) -> Iterator[Reader]:
    with Reader(models_dir, today=lambda: TODAY) as running:
        running.warm()
        yield running


def picture_of(paper: RenderedPaper, decoder: Decoder) -> Picture:
    return decoder.decode(paper.jpeg, long_edge_px_max=1600)


def reading_of(result: PaperReading | Unmeasured) -> PaperReading:
    assert isinstance(result, PaperReading), result
    return result


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_photographed_invoice_is_read_to_the_last_field_however_it_lies(
    reader: Reader, decoder: Decoder, turns: int
) -> None:
    paper = render_invoice(9)
    picture = picture_of(paper, decoder)
    turned = Picture(
        np.ascontiguousarray(np.rot90(picture.pixels, turns)),
        picture.source_width_px, picture.source_height_px, picture.media_type, picture.pixel_sha256, picture.exif,
    )  # fmt: skip
    reading = reading_of(reader.read(turned))
    assert reading.kind == "outpatient_invoice"
    assert {name: reading.value(name) for name in paper.truth} == dict(paper.truth)
    assert [(i.text, i.item_class, i.amount_minor) for i in reading.items] == [
        (i.text, i.item_class, i.amount_minor) for i in paper.items
    ]
    assert all(check.passed for check in reading.checks)
    assert len(reading.checks) == 4
    assert reading.read_confidence > 0.9


def test_items_that_do_not_sum_to_the_printed_total_are_seen(reader: Reader, decoder: Decoder) -> None:
    paper = render_invoice(31, total_minor=20000, printed_total_minor=80000)
    failed = [check.name for check in reading_of(reader.read(picture_of(paper, decoder))).checks if not check.passed]
    assert failed == ["items_sum_to_total"]


def test_slips_and_receipts_are_read(reader: Reader, decoder: Decoder) -> None:
    slip = render_parcel_slip(9)
    reading = reading_of(reader.read(picture_of(slip, decoder)))
    assert {name: reading.value(name) for name in slip.truth} == dict(slip.truth)
    receipt = render_receipt(9, language="en", total_minor=4321)
    reading = reading_of(reader.read(picture_of(receipt, decoder)))
    assert reading.value("total_minor") == "4321"
    assert reading.value("company") == receipt.truth["company"]


def test_an_unreadable_page_says_that_it_is_blurred(reader: Reader, decoder: Decoder) -> None:
    result = reader.read(picture_of(render_invoice(9, unreadable=True), decoder))
    assert isinstance(result, Unmeasured)
    assert result.reason.startswith("too blurred to read")


def test_a_thumbnail_and_an_empty_page_are_unmeasured_with_different_reasons(reader: Reader, decoder: Decoder) -> None:
    picture = picture_of(render_invoice(9, capture=FLAT), decoder)
    small = Picture(np.ascontiguousarray(picture.pixels[::12, ::12]), 1, 1, "", "", picture.exif)
    blank = Picture(np.full((800, 600, 3), 250, dtype=np.uint8), 600, 800, "", "", picture.exif)
    results = [reader.read(small), reader.read(blank)]
    assert all(isinstance(result, Unmeasured) for result in results)
    reasons = [result.reason for result in results if isinstance(result, Unmeasured)]
    assert reasons[0].startswith("too small to read")
    assert reasons[1].startswith("no readable print")


def test_pages_read_from_two_threads_do_not_mix(reader: Reader, decoder: Decoder) -> None:
    papers = [render_parcel_slip(seed, capture=FLAT) for seed in (41, 42, 43, 44)]
    pictures = [picture_of(paper, decoder) for paper in papers]
    numbers: dict[int, str] = {}

    def read(index: int) -> None:
        numbers[index] = reading_of(reader.read(pictures[index])).value("tracking_number")

    threads = [threading.Thread(target=read, args=(index,)) for index in range(len(papers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [numbers[index] for index in range(len(papers))] == [paper.truth["tracking_number"] for paper in papers]


def test_a_process_killed_on_a_page_costs_that_page_alone(reader: Reader, decoder: Decoder) -> None:
    paper = render_parcel_slip(45, capture=FLAT)
    picture = picture_of(paper, decoder)
    (pid,) = reader.pids
    # Stopped first, so that the page is certainly under way when its process dies.
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    lost = reader.read(picture)
    killer.join()
    assert isinstance(lost, Unmeasured)
    assert "died" in lost.reason
    assert reading_of(reader.read(picture)).value("tracking_number") == paper.truth["tracking_number"]
    assert reader.pids != (pid,)
    # And one that dies while nobody reads is replaced without costing any page.
    (idle,) = reader.pids
    os.kill(idle, signal.SIGKILL)
    os.waitid(os.P_PID, idle, os.WEXITED | os.WNOWAIT)  # until it is gone, leaving it to the reader to notice
    assert reading_of(reader.read(picture)).kind == "parcel_slip"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (ReaderLimits(page_seconds_max=0.01), "longer than allowed"),
        (ReaderLimits(memory_bytes_max=450 << 20, recycle_memory_bytes=440 << 20), "memory, more than allowed"),
    ],
)
def test_a_page_over_a_limit_is_unmeasured(
    models_dir: Path, decoder: Decoder, limits: ReaderLimits, words: str
) -> None:
    picture = picture_of(render_invoice(9), decoder)
    large = Picture(np.ascontiguousarray(np.tile(picture.pixels, (2, 3, 1))), 1, 1, "", "", picture.exif)
    with Reader(models_dir, limits=limits, today=lambda: TODAY) as reader:
        result = reader.read(large)
    assert isinstance(result, Unmeasured)
    assert words in result.reason


def test_a_process_is_replaced_after_its_pages(models_dir: Path, decoder: Decoder) -> None:
    picture = picture_of(render_parcel_slip(46, capture=FLAT), decoder)
    with Reader(models_dir, limits=ReaderLimits(recycle_pages=1), today=lambda: TODAY) as reader:
        reader.warm()
        before = reader.pids
        reading_of(reader.read(picture))
        assert len(reader.pids) == 1
        assert reader.pids != before
    assert reader.pids == ()
    with pytest.raises(ReaderUnavailable):
        reader.read(picture)


def test_missing_models_are_an_error_before_any_process_starts(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"models\.ocr_build"):
        Reader(tmp_path)


def test_the_ocr_process_cannot_reach_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket\nPORT = {port}\n" + (
            "from vision.documents.ocr_child import NetworkForbidden, forbid_network\n"
            "forbid_network()\n"
            "connect = lambda: socket.create_connection(('127.0.0.1', PORT), 2)\n"
            "for attempt in (connect, lambda: socket.getaddrinfo('localhost', 80)):\n"
            "    try:\n"
            "        attempt()\n"
            "    except NetworkForbidden:\n"
            "        continue\n"
            "    raise SystemExit('reached the network')\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
