"""A line written by hand is told from print: hands of several kinds, and what honest papers have that looks alike."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from random import Random

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from fixtures.papers import FLAT, Capture, RenderedPaper, render_invoice
from fixtures.papers.draw import Box, Ink, Page, Place, font
from fixtures.papers.photo import photograph
from fixtures.papers.strokes import BLACK_PEN, BLUE_PEN, VIOLET_NEEDLE, by_needles, by_pen, inked
from vision.documents.checks.handwriting import HandLimits, HandLook, PageShapes, fields_by_hand
from vision.documents.gate import not_accepted_because
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.text.page import FieldReading, PageBox, PaperReading
from vision.measurement import Unmeasured

PHONE = Capture(tilt=0.012, light=0.25, noise=4, blur_px=0.7, turn_degrees=1.5, margin=0.03, jpeg_quality=75)
SMALL = Capture(noise=3, blur_px=0.5, jpeg_quality=70, long_edge_px=950)
CAPTURES = pytest.mark.parametrize("capture", [FLAT, PHONE], ids=["flat", "phone"])
MONEY = ("total_minor", "insurance_paid_minor", "cash_paid_minor", "date", "number")


@cache
def invoice(seed: int) -> RenderedPaper:
    return render_invoice(seed, capture=FLAT)


def places(paper: RenderedPaper, *names: str) -> list[Place]:
    return [place for place in paper.places if place.field in names]


def looks(image: Image.Image, lines: Sequence[tuple[Box, int]], capture: Capture) -> list[HandLook | Unmeasured]:
    """Returns how the lines in those boxes of the page, of so many digits each, look on a photo of it."""
    jpeg, projection = photograph(image, capture, Random("taken"))
    shapes = PageShapes(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")), HandLimits())
    results = []
    for (left, top, right, bottom), digits in lines:
        corners = [projection.point(x, y) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
        results.append(shapes.look_at(corners, digits))
    return results


def digits_of(place: Place) -> int:
    return sum(character.isdigit() for character in place.text)


def page_of(paper: RenderedPaper) -> Image.Image:
    assert paper.page is not None
    return paper.page.image


def by_hand(result: HandLook | Unmeasured) -> bool:
    return isinstance(result, HandLook) and result.by_hand


@CAPTURES
@pytest.mark.parametrize("ink", [BLUE_PEN, BLACK_PEN], ids=["blue", "black"])
def test_amounts_and_dates_in_handwriting_are_told(capture: Capture, ink: Ink) -> None:
    told = []
    for seed in (9, 31, 14):
        image, lines = page_of(invoice(seed)), []
        for place in places(invoice(seed), "total_minor", "date"):
            text = "".join(character for character in place.text if character in "0123456789.-/")
            strokes = by_pen(text, 1.2 * (place.box[3] - place.box[1]), Random(f"{seed} {place.field}"))
            image, box = inked(image, strokes, place.box, ink)
            lines.append((box, digits_of(place)))
        told += [by_hand(result) for result in looks(image, lines, capture)]
    assert sum(told) >= len(told) - 1, told


@pytest.mark.parametrize("capture", [FLAT, PHONE, SMALL], ids=["flat", "phone", "small"])
def test_print_is_not_told_as_a_hand(capture: Capture) -> None:
    for seed in (9, 31, 14):
        lines = [(place.box, digits_of(place)) for place in places(invoice(seed), *MONEY)]
        results = looks(page_of(invoice(seed)), lines, capture)
        assert not any(map(by_hand, results)), (seed, results)


@CAPTURES
def test_violet_needle_print_beside_its_line_on_a_printed_form_is_print(capture: Capture) -> None:
    image, lines = page_of(invoice(9)), []
    for place in places(invoice(9), "total_minor", "insurance_paid_minor", "cash_paid_minor", "number"):
        left, top, right, bottom = place.box
        strokes = by_needles(place.text.replace("¥", ""), 0.9 * (bottom - top), Random(place.text))
        image, _ = inked(image, np.ones((2, 2), dtype=np.float32), place.box, page_of(invoice(9)).getpixel((3, 3)))
        image, box = inked(image, strokes, (left + 6, top + 9, right + 6, bottom + 9), VIOLET_NEEDLE)
        lines.append((box, digits_of(place)))
    results = looks(image, lines, capture)
    assert not any(map(by_hand, results)), results
    assert any(isinstance(result, HandLook) for result in results), results


def sheared(strip: Image.Image) -> Image.Image:
    return strip.transform(strip.size, Image.Transform.AFFINE, (1, 0.22, -4, 0, 1, 0), Image.Resampling.BICUBIC)


def condensed(strip: Image.Image) -> Image.Image:
    narrow = strip.resize((round(strip.width * 0.66), strip.height), Image.Resampling.LANCZOS)
    wide = Image.new("RGB", strip.size, (253, 253, 250))
    wide.paste(narrow, (0, 0))
    return wide


def struck(strip: Image.Image) -> Image.Image:
    """Draws a pen's line under the figures and a tick through them."""
    pixels = np.array(strip)
    high, wide = pixels.shape[:2]
    cv2.line(pixels, (2, high - 5), (wide - 3, high - 9), BLUE_PEN, 2, cv2.LINE_AA)
    for start, end in (((wide - 30, high // 2), (wide - 22, high - 6)), ((wide - 22, high - 6), (wide - 2, 2))):
        cv2.line(pixels, start, end, BLUE_PEN, 2, cv2.LINE_AA)
    return Image.fromarray(pixels)


def signed(strip: Image.Image) -> Image.Image:
    """Draws the end of a scrawl that reaches over the figures."""
    pixels = np.array(strip)
    high, wide = pixels.shape[:2]
    steps = np.linspace(0, 14, 120)
    points = np.c_[wide * 0.55 + steps * wide / 30, high * (0.55 + 0.45 * np.sin(steps * 2.1))].astype(np.int32)
    cv2.polylines(pixels, [points], False, BLUE_PEN, 2, cv2.LINE_AA)
    return Image.fromarray(pixels)


@CAPTURES
@pytest.mark.parametrize("change", [sheared, condensed, struck, signed])
def test_slanted_or_narrow_print_and_a_pens_marks_across_print_are_no_handwriting(
    capture: Capture, change: Callable[[Image.Image], Image.Image]
) -> None:
    for seed in (9, 31):
        paper = invoice(seed)
        for place in places(paper, "total_minor"):
            left, top, right, bottom = (round(side) for side in place.box)
            strip = (left - 8, top - 8, right + 8, bottom + 8)
            image = page_of(paper).copy()
            image.paste(change(image.crop(strip)), strip[:2])
            results = looks(image, [(place.box, digits_of(place))], capture)
            assert not any(map(by_hand, results)), (place, results)


@CAPTURES
def test_a_rubber_stamps_date_and_a_seal_across_print_are_no_handwriting(capture: Capture) -> None:
    paper = invoice(31)
    (place, *_) = places(paper, "date")
    page = Page(*page_of(paper).size)
    page.image = page_of(paper).copy()
    _, top, right, _ = place.box
    page.stamp(right - 10, top, "江城市医院", angle_degrees=7, opacity=170, width_px=220, round_seal=True)
    assert not any(map(by_hand, looks(page.image, [(place.box, digits_of(place))], capture)))
    stamp = Image.new("L", (260, 70), 0)
    ImageDraw.Draw(stamp).text((130, 35), "2026-07-27", font=font(34, bold=True), fill=225, anchor="mm")
    turned = np.asarray(stamp.rotate(4, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    image, box = inked(page_of(paper), turned, place.box, (120, 40, 140))
    assert not any(map(by_hand, looks(image, [(box, 8)], capture)))


def test_what_has_no_shape_left_is_unmeasured() -> None:
    paper = invoice(9)
    (place, *_) = places(paper, "total_minor")
    (tiny,) = looks(page_of(paper), [(place.box, digits_of(place))], replace(FLAT, long_edge_px=420))
    assert isinstance(tiny, Unmeasured)
    pixels = np.full((300, 400, 3), 250, dtype=np.uint8)
    shapes = PageShapes(pixels, HandLimits())
    blank = [(50.0, 50.0), (200.0, 50.0), (200.0, 80.0), (50.0, 80.0)]
    assert isinstance(shapes.look_at(blank, 4), Unmeasured)
    assert isinstance(shapes.look_at(blank, 0), Unmeasured)
    thread = [(0.0, 50.0), (399.0, 50.0), (399.0, 59.0), (0.0, 59.0)]
    assert isinstance(shapes.look_at(thread, 4), Unmeasured)


def test_a_total_by_hand_is_doubtful_and_not_accepted_even_if_the_sums_agree() -> None:
    paper = invoice(9)
    (place, *_) = places(paper, "total_minor")
    strokes = by_pen(place.text.strip("¥"), 1.2 * (place.box[3] - place.box[1]), Random(3))
    image, (left, top, right, bottom) = inked(page_of(paper), strokes, place.box, BLUE_PEN)
    box = PageBox(left / image.width, top / image.height, right / image.width, bottom / image.height)
    reading = PaperReading(
        kind="outpatient_invoice",
        fields=(FieldReading("total_minor", paper.truth["total_minor"], 0.99, box),),
        items=(),
        checks=(),
        lines=(),
        read_confidence=0.99,
        missing_fields=(),
        model="test@0",
        relied_on=("total_minor",),
        alike=("total_minor",),
    )
    kind = load_catalogue()["outpatient_invoice"]
    assert fields_by_hand(np.asarray(page_of(paper)), reading, kind) == ()
    (doubt,) = fields_by_hand(np.asarray(image), reading, kind)
    assert doubt.name == "total_minor"
    rule = kind.fields["total_minor"].model_copy(update={"signed": True})
    signed_by_hand = kind.model_copy(update={"fields": {**kind.fields, "total_minor": rule}})
    assert fields_by_hand(np.asarray(image), reading, signed_by_hand) == ()
    assert load_catalogue()["diagnosis_page"].fields["doctor"].signed
    assert not_accepted_because(reading) == ""
    doubted = replace(reading, doubtful=(doubt,), handwritten=("total_minor",))
    assert not_accepted_because(doubted) == f"total_minor: {doubt.reason}"
