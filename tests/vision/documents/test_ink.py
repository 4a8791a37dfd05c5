"""Red ink: seals are told from print in colour, and what is read shows the print alone."""

from __future__ import annotations

import io
from functools import cache
from random import Random

import cv2
import numpy as np
import pytest
from PIL import Image

from fixtures.papers import FLAT, Capture, RenderedPaper, render_invoice, render_paper
from fixtures.papers.draw import Ink, Page
from fixtures.papers.photo import take
from vision.documents.ocr.ink import print_alone, print_is_pale, red_ink
from vision.documents.ocr.views import Pixels, whole, without_red

WHITE: Ink = (253, 253, 250)
PHONE = Capture(tilt=0.01, light=0.2, noise=3, blur_px=0.6, turn_degrees=1, margin=0.02, jpeg_quality=80)
BLACK: Ink = (30, 30, 34)


@cache
def invoice() -> RenderedPaper:
    return render_invoice(9, capture=FLAT)


def flat(paper: RenderedPaper) -> Image.Image:
    assert paper.page is not None
    return paper.page.image


def inked(image: Image.Image, ink: Ink, paper: Ink) -> Image.Image:
    """Returns the page printed in another ink on other paper; seals become print."""
    depth = (1 - np.asarray(image.convert("L"), dtype=np.float32) / 252).clip(0, 1)[..., None]
    mixed = np.array(paper, dtype=np.float32) * (1 - depth) + np.array(ink, dtype=np.float32) * depth
    return Image.fromarray(mixed.astype(np.uint8))


def sealed(image: Image.Image, x: float, y: float, width_px: int, opacity: int = 170) -> Image.Image:
    page = Page(*image.size)
    page.image = image.copy()
    page.stamp(x, y, "江城市第一人民医院", angle_degrees=9, opacity=opacity, width_px=width_px, round_seal=True)
    return page.image


def photo(image: Image.Image) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(take(image, PHONE, Random(4)))).convert("RGB"))


def lines_of(count: int = 14) -> Image.Image:
    """Returns a page of print without any seal or colour."""
    page = Page(1000, 900)
    for row in range(count):
        page.text(60, 60 + 50 * row, f"第{row + 1}项 住院病人费用结算 {row * 73 + 12}.50", 28, ink=BLACK)
    return page.image


def dark(pixels: Pixels, box: tuple[int, int, int, int]) -> float:
    """Returns the share of dark pixels in a box."""
    left, top, right, bottom = box
    return float((pixels[top:bottom, left:right].min(axis=2) < 110).mean())


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        (BLACK, WHITE),
        (BLACK, (250, 205, 215)),
        (BLACK, (235, 190, 150)),
        ((30, 60, 160), WHITE),
        ((20, 120, 60), WHITE),
    ],
    ids=["black on white", "black on pink", "black on kraft", "blue on white", "green on white"],
)
def test_a_page_without_red_ink_has_none_whatever_its_paper(ink: Ink, paper: Ink) -> None:
    assert red_ink(photo(inked(lines_of(), ink, paper))) is None


@pytest.mark.parametrize("opacity", [110, 170, 230])
def test_a_seal_on_black_print_is_a_seal_and_no_print_is_lost_with_it(opacity: int) -> None:
    red = red_ink(photo(sealed(lines_of(), 640, 480, 300, opacity)))
    assert red is not None
    assert not red.print_lost
    ((left, top, right, bottom),) = red.seals
    assert abs((right - left) - (bottom - top)) < 0.25 * (right - left)


@pytest.mark.parametrize("kept", [0.9, 0.7, 0.5])
def test_a_worn_seal_is_a_seal_all_the_same(kept: float) -> None:
    clean = np.asarray(lines_of(), dtype=np.float32)
    stamped = np.asarray(sealed(lines_of(), 640, 480, 300), dtype=np.float32)
    grain = cv2.GaussianBlur(np.random.default_rng(1).normal(size=clean.shape[:2]).astype(np.float32), (0, 0), 5)
    there = (grain > np.quantile(grain, 1 - kept))[..., None]
    red = red_ink(np.where(there, stamped, clean).astype(np.uint8))
    assert red is not None
    assert not red.print_lost


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ((205, 40, 50), WHITE),
        ((240, 130, 30), WHITE),
        ((225, 170, 170), (250, 240, 238)),
        ((190, 120, 200), (255, 200, 210)),
        ((165, 110, 190), (255, 214, 220)),
    ],
    ids=["red", "orange", "faded red", "lilac on pink", "violet on pink"],
)
def test_print_in_colour_is_no_seal_and_shows_dark(ink: Ink, paper: Ink) -> None:
    pixels = photo(inked(lines_of(), ink, paper))
    red = red_ink(pixels)
    assert red is not None
    assert red.print_lost
    assert red.seals == ()
    height, width = pixels.shape[:2]
    box = (0, 0, width, height)
    black = dark(print_alone(whole(photo(lines_of())), None).pixels, box)
    assert dark(print_alone(whole(pixels), red).pixels, box) > 0.6 * black
    assert dark(without_red(whole(pixels)).pixels, box) < 0.6 * black


def test_orange_print_under_a_red_seal_stays_and_the_seal_goes() -> None:
    orange = inked(lines_of(), (240, 130, 30), WHITE)
    pixels = photo(sealed(orange, 300, 300, 280))
    red = red_ink(pixels)
    assert red is not None
    assert len(red.seals) == 1
    left, top, right, bottom = red.seals[0]
    shown, bare = print_alone(whole(pixels), red).pixels, print_alone(whole(photo(orange)), None).pixels
    # As much ink in the seal's box as without the seal, give or take: neither lost nor added.
    assert dark(shown, (left, top, right, bottom)) == pytest.approx(dark(bare, (left, top, right, bottom)), rel=0.4)


def test_a_red_frame_round_the_page_is_no_seal() -> None:
    page = Page(1000, 900)
    page.box(30, 30, 960, 860, ink=(205, 40, 50))
    page.box(60, 400, 900, 600, ink=(205, 40, 50))
    page.text(80, 80, "门诊收费票据 合计 123.45", 30)
    red = red_ink(photo(page.image))
    assert red is not None
    assert red.seals == ()


def test_pale_print_is_told_and_darkened() -> None:
    pale = photo(inked(lines_of(), (205, 202, 198), (235, 232, 226)))
    assert print_is_pale(whole(pale))
    assert not print_is_pale(whole(photo(lines_of())))
    assert not print_is_pale(whole(np.full((400, 300, 3), 250, dtype=np.uint8)))
    height, width = pale.shape[:2]
    box = (width // 10, height // 10, width - width // 10, height - height // 10)  # without the table
    assert dark(pale, box) < 0.01 < dark(print_alone(whole(pale), None).pixels, box)


def test_sealed_inpatient_pages_of_the_renderer_lose_no_print() -> None:
    for seed in (5006, 5016):
        paper = render_paper("inpatient_invoice", seed, capture=FLAT)
        red = red_ink(np.asarray(flat(paper)))
        assert red is None or not red.print_lost or red.lost_ratio < 0.2
