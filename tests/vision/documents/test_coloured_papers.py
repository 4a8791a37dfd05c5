"""The real engine on papers printed in colour, pale, or filled in by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from random import Random

import numpy as np
import pytest
from PIL import Image

from fixtures.papers import FLAT, Capture, RenderedPaper, render_invoice, render_paper, render_receipt
from fixtures.papers.draw import Ink, Page
from fixtures.papers.photo import take
from fixtures.papers.strokes import BLUE_PEN, by_pen, inked
from vision.decode.image import DecodeLimits, Decoder
from vision.documents import PaperReading, Reader
from vision.documents.gate import accepted, not_accepted_because

WHITE: Ink = (253, 253, 250)
PHONE = Capture(tilt=0.012, light=0.2, noise=3, blur_px=0.6, turn_degrees=1, margin=0.03, jpeg_quality=80)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(), processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(today=lambda: date(2026, 11, 22)) as running:
        yield running


def flat(paper: RenderedPaper) -> Image.Image:
    assert paper.page is not None
    return paper.page.image


def in_ink(image: Image.Image, ink: Ink, paper: Ink) -> Image.Image:
    """Returns the page printed in another ink on other paper."""
    depth = (1 - np.asarray(image.convert("L"), dtype=np.float32) / 252).clip(0, 1)[..., None]
    mixed = np.array(paper, dtype=np.float32) * (1 - depth) + np.array(ink, dtype=np.float32) * depth
    return Image.fromarray(mixed.astype(np.uint8))


def read(image: Image.Image, reader: Reader, decoder: Decoder) -> PaperReading:
    reading = reader.read(decoder.decode(take(image, PHONE, Random(7)), long_edge_px_max=1600))
    assert isinstance(reading, PaperReading), reading
    return reading


def wrong(reading: PaperReading, paper: RenderedPaper) -> dict[str, tuple[str, str]]:
    return {n: (reading.value(n), value) for n, value in paper.truth.items() if reading.value(n) != value}


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((235, 120, 20), WHITE), ((190, 120, 200), (255, 200, 210))],
    ids=["orange on white", "lilac on pink"],
)
def test_an_invoice_in_colour_is_read_to_the_last_field(
    reader: Reader, decoder: Decoder, ink: Ink, colour: Ink
) -> None:
    paper = render_invoice(31, capture=FLAT)
    assert wrong(read(in_ink(flat(paper), ink, colour), reader, decoder), paper) == {}


def test_a_pale_red_receipt_is_read(reader: Reader, decoder: Decoder) -> None:
    paper = render_receipt(9, language="en", total_minor=4321, capture=FLAT)
    reading = read(in_ink(flat(paper), (225, 170, 170), (250, 240, 238)), reader, decoder)
    assert (reading.value("total_minor"), reading.value("date")) == ("4321", paper.truth["date"])


def test_orange_titles_under_a_red_seal_keep_the_stay_a_stay(reader: Reader, decoder: Decoder) -> None:
    paper = render_paper("inpatient_invoice", 5006, capture=FLAT)
    image = flat(paper).copy()
    image.paste(in_ink(image.crop((0, 0, image.width, 170)), (240, 130, 30), WHITE), (0, 0))
    page = Page(*image.size)
    page.image = image
    page.stamp(image.width / 2, 75, "江城市第一人民医院", angle_degrees=8, opacity=190, width_px=210, round_seal=True)
    reading = read(page.image, reader, decoder)
    assert reading.kind == "inpatient_invoice"
    assert wrong(reading, paper) == {}
    assert any("住院病人费用结算票据" in line for line in reading.lines)


@pytest.mark.parametrize("seed", [31, 22])
def test_a_total_in_blue_ink_is_not_accepted_and_the_same_in_print_is(
    reader: Reader, decoder: Decoder, seed: int
) -> None:
    paper = render_invoice(seed, capture=FLAT)
    printed = read(flat(paper), reader, decoder)
    assert accepted(printed), not_accepted_because(printed)
    assert printed.handwritten == ()
    (place,) = [place for place in paper.places if place.field == "total_minor"]
    strokes = by_pen(place.text, 1.15 * (place.box[3] - place.box[1]), Random(12 + seed))
    written = read(inked(flat(paper), strokes, place.box, BLUE_PEN)[0], reader, decoder)
    # Both models read the figures, and they agree with the items and the amount in words.
    assert written.value("total_minor") == paper.truth["total_minor"]
    assert written.handwritten == ("total_minor",)
    assert not_accepted_because(written).startswith("total_minor: it looks written by hand")
    assert not accepted(written)
