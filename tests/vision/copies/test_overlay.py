"""The overlay that proves a match: both photos, the points, the outline, the text, and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fixtures import caltech, edits
from vision.copies.fingerprint import Fingerprinter
from vision.copies.geometry import relate
from vision.copies.overlay import OverlayLimits, draw, pixels_of
from vision.copies.placement import MeasuredPlacement, place
from vision.measurement import Unmeasured


def opened(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    picture.load()
    return picture


@pytest.fixture(scope="module")
def mirrored() -> tuple[np.ndarray, np.ndarray, MeasuredPlacement, tuple[tuple[float, float, float, float], ...]]:
    """Returns a cat, mirrored and cut to its right half, the cat, their placement and the matched points."""
    cat = data.chelsea()
    part = np.ascontiguousarray(cat[:, 150:][:, ::-1])
    see = Fingerprinter().fingerprint
    a, b = see(caltech.as_picture(part), "a" * 64), see(caltech.as_picture(cat), "b" * 64)
    geometry = relate(a.keypoints, b.keypoints)
    placed = place(geometry, a.keypoints, b.keypoints)
    assert isinstance(placed, MeasuredPlacement)
    return part, cat, placed, geometry.pairs


def test_the_numbers_say_what_was_done_to_the_picture(mirrored: tuple) -> None:  # type: ignore[type-arg]
    placed = mirrored[2]
    assert placed.mirrored
    assert placed.scale == pytest.approx(1.0, abs=0.03)
    assert placed.degrees == pytest.approx(0.0, abs=2.0)
    assert placed.shown_ratio == pytest.approx(301 / 451, abs=0.03)
    assert placed.covers_ratio == pytest.approx(1.0, abs=0.03)
    # The left edge of the original lies to the right of the mirrored photo, outside of it.
    lefts, rights = (placed.outline[0][0], placed.outline[3][0]), (placed.outline[1][0], placed.outline[2][0])
    assert lefts == pytest.approx((451 / 301, 451 / 301), abs=0.04)
    assert rights == pytest.approx((0.0, 0.0), abs=0.04)


def test_both_photos_stand_side_by_side_over_the_words(mirrored: tuple) -> None:  # type: ignore[type-arg]
    part, cat, placed, pairs = mirrored
    limits = OverlayLimits(edge_px=300)
    picture = opened(draw(part, cat, pairs, placed.outline, ["mirrored", "42 points"], limits))
    assert picture.width == 300 + 300 + 3 * limits.margin_px
    assert picture.height > 300 * 300 / 301
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    plain = opened(draw(part, cat, [], [], ["mirrored", "42 points"], limits))
    drawn = np.abs(np.asarray(picture, np.int16) - np.asarray(plain, np.int16)).max(axis=2) > 60
    assert drawn[:250, :300].sum() > 200  # circles and lines in the photo
    assert drawn[:250, 330:].sum() > 200  # and in the match


def test_the_file_carries_no_metadata(mirrored: tuple) -> None:  # type: ignore[type-arg]
    part, cat, placed, pairs = mirrored
    picture = opened(draw(part, cat, pairs, placed.outline, ["x"]))
    assert not picture.getexif()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 2000, 3), (2000, 20, 3)])
def test_any_shape_of_photo_can_be_drawn_and_long_words_are_cut(shape: tuple[int, int, int]) -> None:
    odd = np.full(shape, 200, np.uint8)
    pair = (0.0, 0.0, 1.0, 1.0)
    jpeg = draw(odd, data.chelsea(), [pair] * 100, [(-5, -5), (9, -5), (9, 9), (-5, 9)], ["word " * 300, "镜像"])
    assert opened(jpeg).width < 2000


def test_a_preview_reads_back_as_its_pixels() -> None:
    preview = edits.jpeg_bytes(data.chelsea(), 95)
    assert pixels_of(preview).shape == data.chelsea().shape
    with pytest.raises(OSError, match="identify"):
        pixels_of(b"not a picture")


def test_without_agreeing_points_there_is_no_placement() -> None:
    see = Fingerprinter().fingerprint
    a, b = (see(caltech.as_picture(pixels), "a" * 64) for pixels in (data.chelsea(), data.coffee()))
    geometry = relate(a.keypoints, b.keypoints)
    placed = place(geometry, a.keypoints, b.keypoints)
    assert isinstance(placed, Unmeasured) == (geometry.inliers == 0)
