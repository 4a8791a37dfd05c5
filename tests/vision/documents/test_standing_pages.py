"""The real engine on drawn pages: stamps, faint print, signs; and honest pages with seals and legends."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fixtures.papers import RenderedPaper, render_invoice
from fixtures.papers.draw import Page
from fixtures.papers.overlays import INKS, Overlay, crossed_out, on_paper, patchy, punched, turned, word
from fixtures.papers.stamp import stamped
from models.ocr_build import default_target
from tests.vision.documents.test_standing import Rows, bill, order, till, vet
from vision.decode.image import DecodeLimits, Decoder
from vision.documents import PaperReading, Reader
from vision.documents.gate import accepted
from vision.documents.ocr.stamp_ink import StampInkLimits, red_layers
from vision.documents.ocr.views import whole

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(default_target(), today=lambda: TODAY) as running:
        running.warm()
        yield running


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(), processes=1) as running:
        yield running


@cache
def invoice() -> RenderedPaper:
    return render_invoice(9)


def opened(paper: RenderedPaper) -> Image.Image:
    return Image.open(io.BytesIO(paper.jpeg)).convert("RGB")


def drawn(rows: Rows) -> Image.Image:
    """Returns the rows as printed on a page."""
    page = Page(1400, 160 + 60 * len(rows))
    for index, row in enumerate(rows):
        x = 60.0
        for cell in row:
            at, text = (x, cell) if isinstance(cell, str) else cell
            x = page.text(at, 80 + 60 * index, text, 28) + 60
    return page.image


def read(reader: Reader, decoder: Decoder, picture: Image.Image) -> PaperReading:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=90)
    reading = reader.read(decoder.decode(data.getvalue(), long_edge_px_max=1600))
    assert isinstance(reading, PaperReading), reading
    return reading


@pytest.mark.parametrize(
    ("text", "degrees", "standing"),
    [("作废", 25, "void"), ("作废", 90, "void"), ("已退费", -15, "refund"), ("VOID", 180, "void")],
)
def test_a_red_stamp_across_a_bill_is_read_before_it_is_lifted(
    reader: Reader, decoder: Decoder, text: str, degrees: float, standing: str
) -> None:
    reading = read(reader, decoder, stamped(opened(invoice()), text, degrees))
    assert reading.kind == "outpatient_invoice"
    sign = reading.standing[0]
    assert sign.standing == standing
    # Across the middle of the picture, whichever way it was turned to be read.
    assert sign.box.left < 0.5 < sign.box.right
    assert sign.box.top < 0.5 < sign.box.bottom
    assert not accepted(reading)


@pytest.mark.parametrize("degrees", [22, 115])
def test_a_framed_stamp_over_the_seal_of_the_hospital_is_read(reader: Reader, decoder: Decoder, degrees: int) -> None:
    page = opened(invoice())
    seals = np.argwhere(np.asarray(page, dtype=int) @ (2, -1, -1) > 120)
    y, x = np.median(seals[seals[:, 0] > page.height * 0.3], axis=0).astype(int)
    side = page.width // 8
    page = stamped(page, "作废", degrees, size_px=side, margin_px=(side, side // 2), at=(int(x), int(y)))
    reading = read(reader, decoder, page)
    assert [sign.standing for sign in reading.standing] == ["void"]
    assert not accepted(reading)


def test_a_watermark_and_a_blue_stamp_through_the_print_are_read(reader: Reader, decoder: Decoder) -> None:
    grey, blue = (120, 120, 120), (50, 70, 190)
    page = stamped(opened(invoice()), "作废", 30, size_px=220, ink=grey, opacity=70, framed=False)
    assert [sign.standing for sign in read(reader, decoder, page).standing] == ["void"]
    page = stamped(opened(invoice()), "作废", 30, ink=blue)
    assert [sign.standing for sign in read(reader, decoder, page).standing] == ["void"]


@pytest.mark.parametrize("overlay", [punched, crossed_out])
def test_a_bill_with_holes_or_strokes_across_its_print_is_not_accepted(
    reader: Reader, decoder: Decoder, overlay: Overlay
) -> None:
    reading = read(reader, decoder, overlay(opened(invoice()), random.Random(3)))
    assert reading.standing or reading.marks_unread
    assert not accepted(reading)


@pytest.mark.parametrize(("text", "ink", "degrees"), [("作废", "green", 168), ("CANCELLED", "blue", -35)])
def test_a_bill_with_a_faint_turned_stamp_is_not_accepted(
    reader: Reader, decoder: Decoder, text: str, ink: str, degrees: float
) -> None:
    page = opened(invoice())
    alpha = patchy(turned(word(text, page.width // 9), degrees), random.Random(2), 0.4)
    reading = read(reader, decoder, on_paper(page, alpha, INKS[ink], (page.width // 2, page.height // 2), 0.4))
    assert reading.standing or reading.marks_unread
    assert not accepted(reading)


def test_a_bill_with_the_seal_of_its_hospital_stays_a_paid_bill(reader: Reader, decoder: Decoder) -> None:
    assert red_layers(whole(np.asarray(opened(invoice())))).all is not None
    reading = read(reader, decoder, opened(invoice()))
    assert reading.standing == ()
    assert accepted(reading)


NO_BILLS: dict[str, tuple[Rows, str]] = {
    "negative e-bill": (bill(sign="-", capitals="负"), "negative"),
    "void": (till([["VOID - TRANSACTION CANCELLED"]]), "void"),
    "refund": (till([["REFUND"]], sign="-"), "refund"),
    "estimate": (vet(title="安心宠物医院预估报价单", foot=[["仅供参考"], ["未付款"]]), "estimate"),
    "closed order": (order([["交易关闭"], ["退款成功"]]), "void"),
    "no voucher": (bill((), [["本单据不作报销凭证"]]), "no_voucher"),
    "training": (till([["*** TRAINING MODE ***"]]), "training"),
}


@pytest.mark.parametrize("name", NO_BILLS)
def test_a_printed_page_that_is_no_paid_bill_is_told(reader: Reader, decoder: Decoder, name: str) -> None:
    rows, standing = NO_BILLS[name]
    reading = read(reader, decoder, drawn(rows))
    assert [sign.standing for sign in reading.standing][:1] == [standing]
    assert not accepted(reading)
    if standing == "negative":
        assert reading.value("total_minor") == ""


HONEST: dict[str, Rows] = {
    "bill": bill((), [["遗失不补，过期作废"], ["退费、报销请凭此据办理"]]),
    "receipt": till((), [["STRICTLY NO CASH REFUND"], ["CUSTOMER COPY"]]),
    "order": order([["交易成功"]], [["申请退款", (400, "查看物流"), (800, "再次购买")]]),
}


@pytest.mark.parametrize("name", HONEST)
def test_a_printed_page_of_an_honest_paper_stays_a_paid_bill(reader: Reader, decoder: Decoder, name: str) -> None:
    reading = read(reader, decoder, drawn(HONEST[name]))
    assert reading.standing == ()
    assert accepted(reading), reading.lines


def test_the_red_layer_is_small_and_maps_back_onto_the_page() -> None:
    picture = stamped(Image.new("RGB", (1600, 1200), (250, 250, 248)), "作废", 0)
    layer: Any = red_layers(whole(np.asarray(picture)), StampInkLimits(edge_px_max=100)).all
    assert max(layer.pixels.shape) == 100
    height, width = layer.pixels.shape[:2]
    ((x, y),) = layer.back([(width / 2, height / 2)])
    assert (abs(x - 800), abs(y - 600)) < (12, 12)
    assert red_layers(whole(np.full((400, 300, 3), 250, dtype=np.uint8))).all is None
