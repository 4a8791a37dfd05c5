"""Turning, flattening and levelling a page, and the way back; outlines; crops."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.documents.ocr.outlines import outlines, skew
from vision.documents.ocr.views import fall_degrees, flattened, levelled, turned, whole
from vision.documents.text.page import TextLine

WIDTH, HEIGHT = 900, 700
CORNERS = np.array([[210, 120], [720, 190], [650, 590], [150, 520]], dtype=np.float32)


def marked(x: int, y: int) -> np.ndarray:
    """Returns a grey picture with one bright spot."""
    pixels = np.full((HEIGHT, WIDTH, 3), 60, dtype=np.uint8)
    cv2.circle(pixels, (x, y), 6, (255, 255, 255), -1)
    return pixels


def brightest(pixels: np.ndarray) -> tuple[float, float]:
    ys, xs = np.nonzero(pixels[..., 0] > 200)
    return float(xs.mean()), float(ys.mean())


@settings(max_examples=30)  # of four views each
@given(st.integers(300, 560), st.integers(250, 480), st.integers(0, 3), st.floats(-40, 40))
def test_a_spot_found_on_a_view_maps_back_to_where_it_is(x: int, y: int, turns: int, degrees: float) -> None:
    picture = whole(marked(x, y))
    for view in (
        turned(picture, turns),
        levelled(picture, degrees),
        flattened(picture, CORNERS),
        levelled(turned(flattened(picture, CORNERS), turns), degrees),
    ):
        ((back_x, back_y),) = view.back([brightest(view.pixels)])
        assert abs(back_x - x) < 2
        assert abs(back_y - y) < 2


def page_on_table(corners: np.ndarray, table: int = 90, paper: int = 235) -> np.ndarray:
    pixels = np.full((HEIGHT, WIDTH, 3), table, dtype=np.uint8)
    cv2.fillConvexPoly(pixels, corners.astype(np.int32), (paper,) * 3)
    rng = np.random.default_rng(1)
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def test_the_outline_of_a_paper_on_a_table_is_found() -> None:
    pixels = page_on_table(CORNERS)
    (outline,) = outlines(pixels)
    assert np.abs(outline - CORNERS).max() < 6
    assert skew(outline) > 0.12
    assert 0.2 < cv2.contourArea(outline) / (WIDTH * HEIGHT) < 0.5


def test_print_and_a_dark_band_do_not_break_the_outline() -> None:
    pixels = page_on_table(CORNERS)
    for row in range(9):
        cv2.putText(pixels, "total 123.45 due", (250, 230 + 32 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 20), 2)
    (outline,) = outlines(pixels)
    assert np.abs(outline - CORNERS).max() < 8


def test_two_papers_have_two_outlines() -> None:
    pixels = page_on_table(np.array([[60, 80], [400, 90], [390, 600], [70, 610]]))
    cv2.fillConvexPoly(pixels, np.array([[480, 100], [840, 90], [850, 600], [470, 580]]), (235,) * 3)
    assert len(outlines(pixels)) == 2


@pytest.mark.parametrize(
    "corners",
    [
        [[-50, -50], [950, -50], [950, 750], [-50, 750]],  # the paper fills the picture
        [[-40, 100], [500, 120], [500, 500], [-40, 480]],  # cut off on the left
        [[400, 300], [480, 300], [480, 360], [400, 360]],  # too small to be the paper
        [[100, 100], [800, 120], [450, 620], [440, 610]],  # a triangle
    ],
)
def test_what_is_not_surely_a_whole_paper_has_no_outline(corners: list[list[int]]) -> None:
    assert outlines(page_on_table(np.array(corners))) == []


def test_a_paper_that_hardly_differs_from_the_table_has_no_outline() -> None:
    assert outlines(page_on_table(CORNERS, table=225)) == []


def test_noise_has_no_outline() -> None:
    assert outlines(np.random.default_rng(2).integers(0, 256, (600, 800, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("degrees", [-20.0, 3.0, 15.0])
def test_the_fall_of_lines_is_measured(degrees: float) -> None:
    angle = np.radians(degrees)
    across, down = np.array([np.cos(angle), np.sin(angle)]) * 300, np.array([-np.sin(angle), np.cos(angle)]) * 24

    def line(start: tuple[float, float]) -> TextLine:
        at = np.array(start)
        corners: Any = tuple(map(tuple, (at, at + across, at + across + down, at + down)))
        return TextLine("total due today", 0.9, corners)

    assert fall_degrees([line((100, 100)), line((120, 200)), line((90, 300))]) == pytest.approx(degrees)
    assert fall_degrees([]) == 0.0
