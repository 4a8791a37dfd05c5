"""The real engine on rendered pages: every field is read, and a page that breaks its process harms no other page."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image

from fixtures import papers as drawn
from fixtures.papers import FLAT, Capture, RenderedPaper, render_paper, render_receipt
from fixtures.papers.draw import Page
from models.errors import ModelMissing
from models.ocr_build import default_target
from tests.vision.documents.paper_pdf import as_pdf, bill_page
from vision.decode.exif import exif_reading
from vision.decode.image import DecodeLimits, Decoder, Picture
from vision.documents import UNKNOWN, CheckReading, PaperReading, Reader, ReaderLimits
from vision.documents.gate import accepted, unfit_because
from vision.errors import ReaderUnavailable
from vision.measurement import Unmeasured

TODAY = date(2026, 11, 22)
NO_EXIF = exif_reading({})
render_invoice, render_parcel_slip = cache(drawn.render_invoice), cache(drawn.render_parcel_slip)


@pytest.fixture(scope="module")
def models_dir() -> Path:
    return default_target()


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
    assert len([check for check in reading.checks if check.name != "digits_look_untouched"]) == 4
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


def killed_while_reading(
    reader: Reader, picture: Picture, sent: signal.Signals, times: int
) -> PaperReading | Unmeasured:
    """Returns the reading of a page whose process gets this signal `times` times while it has the page."""
    done = threading.Event()

    def kill() -> None:
        killed: set[int] = set()
        while len(killed) < times and not done.wait(0.005):
            for pid in set(reader.pids) - killed:
                os.kill(pid, signal.SIGSTOP)  # so that the page is certainly under way when its process dies
                done.wait(0.5)
                os.kill(pid, sent)
                os.kill(pid, signal.SIGCONT)
                killed.add(pid)

    reader.warm()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        return reader.read(picture)
    finally:
        done.set()
        killer.join()


def test_a_page_whose_process_is_killed_from_outside_is_read_again(reader: Reader, decoder: Decoder) -> None:
    paper = render_parcel_slip(45, capture=FLAT)
    picture = picture_of(paper, decoder)
    (pid,) = reader.pids
    read = killed_while_reading(reader, picture, signal.SIGKILL, times=1)
    assert reading_of(read).value("tracking_number") == paper.truth["tracking_number"]
    assert reader.pids != (pid,)
    # And one that dies while nobody reads is replaced without costing any page.
    (idle,) = reader.pids
    os.kill(idle, signal.SIGKILL)
    os.waitid(os.P_PID, idle, os.WEXITED | os.WNOWAIT)  # until it is gone, leaving it to the reader to notice
    assert reading_of(reader.read(picture)).kind == "parcel_slip"


def test_a_page_whose_process_is_killed_twice_is_our_trouble_and_no_word_on_the_page(
    reader: Reader, decoder: Decoder
) -> None:
    picture = picture_of(render_parcel_slip(45, capture=FLAT), decoder)
    with pytest.raises(ReaderUnavailable):
        killed_while_reading(reader, picture, signal.SIGKILL, times=2)
    assert reading_of(reader.read(picture)).kind == "parcel_slip"


def test_a_process_that_crashes_on_a_page_costs_that_page_alone(reader: Reader, decoder: Decoder) -> None:
    picture = picture_of(render_parcel_slip(45, capture=FLAT), decoder)
    lost = killed_while_reading(reader, picture, signal.SIGSEGV, times=1)
    assert isinstance(lost, Unmeasured)
    assert "died" in lost.reason
    assert reading_of(reader.read(picture)).kind == "parcel_slip"


def test_a_process_that_stands_still_is_replaced_and_its_page_read(models_dir: Path, decoder: Decoder) -> None:
    paper = render_parcel_slip(45, capture=FLAT)
    with Reader(models_dir, limits=ReaderLimits(stall_seconds_max=2), today=lambda: TODAY) as reader:
        reader.warm()
        (pid,) = reader.pids
        os.kill(pid, signal.SIGSTOP)
        assert reading_of(reader.read(picture_of(paper, decoder))).kind == "parcel_slip"
        assert reader.pids != (pid,)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (ReaderLimits(page_cpu_seconds_max=0.01), "longer than allowed"),
        (ReaderLimits(memory_bytes_max=360 << 20, recycle_memory_bytes=350 << 20), "memory, more than allowed"),
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
            "from vision.documents.ocr.child import NetworkForbidden, forbid_network\n"
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


def test_a_page_photographed_askew_is_read_and_its_fields_have_corners(reader: Reader, decoder: Decoder) -> None:
    askew = Capture(tilt=0.3, turn_degrees=18.0, margin=0.12, light=0.3, noise=3.0, jpeg_quality=88, long_edge_px=2000)
    paper = render_invoice(9, capture=askew)
    picture = picture_of(paper, decoder)
    reading = reading_of(reader.read(picture))
    names = ("number", "date", "total_minor", "patient")
    assert {name: reading.value(name) for name in names} == {name: paper.truth[name] for name in names}
    number = reading.field("number")
    assert number is not None
    assert len(number.corners) == 4


def pasted(pages: list[np.ndarray], beside: bool) -> Picture:
    """Returns pages on a dark table, side by side or one above another."""
    edge = max(max(page.shape[:2]) for page in pages)
    width, height = (2 * edge + 180, edge + 120) if beside else (edge + 120, 2 * edge + 180)
    table = np.full((height, width, 3), 92, dtype=np.uint8)
    for index, page in enumerate(pages):
        left, top = (60 + index * (edge + 60), 60) if beside else (60, 60 + index * (edge + 60))
        table[top : top + page.shape[0], left : left + page.shape[1]] = page
    scale = 2400 / max(width, height)
    small = cv2.resize(table, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return Picture(np.asarray(small, dtype=np.uint8), width, height, "image/jpeg", "", NO_EXIF)


@pytest.mark.parametrize("beside", [True, False])
def test_two_bills_in_one_photo_are_never_mixed(reader: Reader, decoder: Decoder, beside: bool) -> None:
    pages = [picture_of(render_invoice(seed, capture=FLAT), decoder).pixels for seed in (3, 9)]
    result = reader.read(pasted(pages, beside))
    assert isinstance(result, Unmeasured), result
    assert "photograph one at a time" in result.reason


@pytest.mark.parametrize("layouts", [("mono_english", "cafe_bill_blind"), ("thermal_english", "till_english")])
def test_two_english_receipts_that_touch_are_never_mixed(
    reader: Reader, decoder: Decoder, layouts: tuple[str, str]
) -> None:
    """White on white: only the print tells where one ends."""
    papers = (render_paper("receipt", seed, layout=name, capture=FLAT) for seed, name in enumerate(layouts))
    pages = [picture_of(paper, decoder).pixels for paper in papers]
    height = max(page.shape[0] for page in pages)
    sheets = [np.pad(page, ((0, height - page.shape[0]), (0, 0), (0, 0)), constant_values=250) for page in pages]
    both = np.ascontiguousarray(np.hstack(sheets))
    result = reader.read(Picture(both, both.shape[1], both.shape[0], "image/jpeg", "", NO_EXIF))
    assert isinstance(result, Unmeasured), result
    assert "two papers" in result.reason


def test_a_bill_and_a_slip_in_one_photo_are_never_mixed(reader: Reader, decoder: Decoder) -> None:
    papers = (render_invoice(9, capture=FLAT), render_parcel_slip(9, capture=FLAT))
    result = reader.read(pasted([picture_of(paper, decoder).pixels for paper in papers], beside=True))
    assert isinstance(result, Unmeasured) or result.kind == UNKNOWN, result


@pytest.mark.parametrize("half", ["upper", "lower"])
def test_half_a_page_is_not_accepted(reader: Reader, decoder: Decoder, half: str) -> None:
    picture = picture_of(render_invoice(9), decoder)
    middle = picture.pixels.shape[0] // 2
    pixels = picture.pixels[:middle] if half == "upper" else picture.pixels[middle:]
    result = reader.read(replace(picture, pixels=np.ascontiguousarray(pixels)))
    assert isinstance(result, Unmeasured) or not accepted(result)


def test_a_cat_on_a_cushion_is_no_paper(reader: Reader) -> None:
    """Draws fur and eyes: much texture, no letter."""
    rng = np.random.default_rng(5)
    scene = np.full((1200, 1600, 3), (150, 120, 90), dtype=np.uint8)
    for x, y, lean, length, shade in rng.integers((200, 150, -25, 10, 80), (1400, 1100, 25, 40, 220), (6000, 5)):
        end = (int(x + lean), int(y + length))
        cv2.line(scene, (int(x), int(y)), end, (int(shade), int(shade) - 20, 60), 2)
    for x in (650, 950):
        cv2.circle(scene, (x, 480), 70, (40, 160, 60), -1)
        cv2.ellipse(scene, (x, 480), (18, 60), 0, 0, 360, (5, 5, 5), -1)
    result = reader.read(Picture(scene, 1600, 1200, "image/jpeg", "", NO_EXIF))
    assert isinstance(result, Unmeasured) or (result.kind == UNKNOWN and not accepted(result)), result


def test_the_code_of_a_slip_is_decoded_and_agrees_with_its_number(reader: Reader) -> None:
    page = Page(900, 1000)
    rows = ("顺丰速运", "", "", "", "运单号：SF1234567890123", "收件人：朱远", "寄件人：袁琪一", "寄件日期：2026-09-11")
    for index, text in enumerate(rows):
        page.text(60, 50 + 90 * index, text, 34)
    code = zxingcpp.create_barcode("SF1234567890123", zxingcpp.BarcodeFormat.Code128)
    page.image.paste(Image.fromarray(np.array(zxingcpp.write_barcode_to_image(code, scale=3))), (60, 160))
    reading = reading_of(reader.read(Picture(np.array(page.image), 900, 1000, "image/png", "", NO_EXIF)))
    assert [code.text for code in reading.codes] == ["SF1234567890123"]
    assert ("code_matches_text", True) in [(check.name, check.passed) for check in reading.checks]


def test_a_pdf_with_a_lying_text_layer_is_read_off_its_picture(reader: Reader, decoder: Decoder) -> None:
    honest, lying = (
        reading_of(reader.read(decoder.render_pdf(as_pdf(bill_page(), replaced))[0]))
        for replaced in ({}, {"（小写）60.00": "（小写）600.00"})
    )
    assert honest.value("total_minor") == lying.value("total_minor") == "6000"
    assert unfit_because(honest) == ""
    assert [check.name for check in lying.checks if not check.passed] == ["text_layer_matches_picture"]
    assert not accepted(lying)


def test_further_looks_at_a_page_add_their_checks(models_dir: Path, decoder: Decoder) -> None:
    kinds: list[str] = []

    def look(pixels: np.ndarray, reading: PaperReading) -> CheckReading:
        kinds.append(reading.kind)
        return CheckReading("digits_look_untouched", False, f"{pixels.shape[1]} px wide")

    with Reader(models_dir, today=lambda: TODAY, page_checks=[look]) as reader:
        reading = reading_of(reader.read(picture_of(render_parcel_slip(46, capture=FLAT), decoder)))
        blank = np.full((800, 600, 3), 250, dtype=np.uint8)
        assert isinstance(reader.read(Picture(blank, 600, 800, "", "", NO_EXIF)), Unmeasured)
    assert reading.checks[-1].name == "digits_look_untouched"
    assert kinds == ["parcel_slip"]
