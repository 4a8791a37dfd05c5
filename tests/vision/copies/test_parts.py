"""Parts of a picture: screens and papers seen at an angle, the cells of grids, and where a match in them lies."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from fixtures.edits import through_jpeg
from vision.copies import geometry, views
from vision.copies.fingerprint import fit
from vision.copies.geometry import Geometry
from vision.copies.keypoints import Keypoints
from vision.copies.parts import Corners, PartBox, PartQuad, cut, from_frame, scaled
from vision.copies.placement import MeasuredPlacement, place

Pixels = NDArray[np.uint8]

# Photo, table: screens and sheets lie at these corners of a 900 x 675 picture.
ANGLES: tuple[Corners, ...] = (
    ((250, 110), (690, 160), (640, 570), (205, 480)),
    ((180, 200), (640, 90), (760, 470), (270, 600)),
    ((200, 150), (700, 110), (740, 520), (160, 470)),
)


def grey(pixels: Pixels, edge_px: int = 512) -> Pixels:
    return np.asarray(cv2.cvtColor(fit(pixels, edge_px), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def on_a_table(shown: Pixels, corners: Corners) -> Pixels:
    """Returns the picture lying on a table of gravel, 900 x 675."""
    table = cv2.cvtColor(cv2.resize(data.gravel(), (900, 675)), cv2.COLOR_GRAY2RGB)
    table = np.asarray(cv2.GaussianBlur(table, (0, 0), 3) * 0.6 + 20, dtype=np.uint8)
    height, width = shown.shape[:2]
    warp = from_frame(corners, width, height)
    laid = cv2.warpPerspective(shown, warp, (900, 675), flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((height, width), 255, np.uint8), warp, (900, 675)) > 127
    return through_jpeg(np.where(mask[:, :, None], laid, table).astype(np.uint8), 85)


def screen(photo: Pixels) -> Pixels:
    return np.asarray(cv2.copyMakeBorder(photo, 60, 60, 24, 24, cv2.BORDER_CONSTANT, value=(14, 14, 16)))


def paper(photo: Pixels) -> Pixels:
    return np.asarray(cv2.copyMakeBorder(photo, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(244, 242, 238)))


def outline_error(measured: MeasuredPlacement, expected: NDArray[np.float64]) -> float:
    """Returns the greatest distance of a corner of the outline from its place, as a share of the picture's edges."""
    return float(np.abs(np.array(measured.outline) - expected).max())


@pytest.mark.parametrize("corners", ANGLES)
@pytest.mark.parametrize("around", [screen, paper])
def test_a_screen_or_paper_at_an_angle_is_set_right(around: object, corners: Corners) -> None:
    photo = data.chelsea()
    assert callable(around)
    picture = on_a_table(around(photo), corners)
    quads = [part for part in views.find(picture) if isinstance(part, PartQuad)]
    assert len(quads) == 1
    upright = geometry.extract(grey(cut(picture, quads[0]), 320), count=200)
    original = geometry.extract(grey(photo))
    itself, whole = geometry.relate(upright, original), geometry.relate(geometry.extract(grey(picture)), original)
    assert itself.inliers >= 30
    assert itself.inliers > whole.inliers
    # The aspect is told from the perspective: set right, nothing is stretched by more than a tenth.
    assert quads[0].width / quads[0].height == pytest.approx(around(photo).shape[1] / around(photo).shape[0], rel=0.3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_outline_of_a_match_in_a_tilted_part_lies_on_it(mirrored: bool) -> None:
    photo, corners = data.chelsea(), ANGLES[0]
    shown = np.ascontiguousarray(photo[:, ::-1]) if mirrored else photo
    framed = screen(shown)
    picture = on_a_table(framed, corners)
    part = next(part for part in views.find(picture) if isinstance(part, PartQuad))
    query, original = geometry.extract(grey(picture)), geometry.extract(grey(photo))
    upright = geometry.extract(grey(cut(picture, part), 320), count=200)
    relation = geometry.relate(upright, original)
    assert relation.mirrored is mirrored
    whole = geometry.placed(relation, scaled(part.corners, query.width_px / 900), upright, query)
    measured = place(whole, query, original)
    assert isinstance(measured, MeasuredPlacement)
    in_frame = np.array([[24, 60], [475, 60], [475, 360], [24, 360]], np.float64)
    if mirrored:
        in_frame = in_frame[[1, 0, 3, 2]]
    moved = np.column_stack([in_frame, np.ones(4)]) @ from_frame(corners, framed.shape[1], framed.shape[0]).T
    assert outline_error(measured, moved[:, :2] / moved[:, 2:] / (900, 675)) < 0.02
    # The points of the photo lie on it as well, and the nearest transform without an angle tells about the size.
    inside = np.array(measured.outline, np.float32)
    assert all(cv2.pointPolygonTest(inside, (x, y), True) > -0.02 for x, y, _, _ in whole.pairs)
    assert whole.covers_ratio == pytest.approx(cv2.contourArea(inside), abs=0.03)
    assert whole.scale == pytest.approx(np.sqrt(cv2.contourArea(inside) * 512 * 384 / (451 * 300)), rel=0.06)


def test_a_part_seen_upright_is_placed_as_a_warp_would_place_it() -> None:
    """An upright box, and the same box with one corner moved by nearly nothing."""
    part, whole = (Keypoints(*size, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8))
                   for size in ((200, 100), (512, 384)))  # fmt: skip
    for mirrored in (False, True):
        matrix = np.array([[0.5, -0.1, 12.0], [0.1, 0.5, 7.0]])
        pairs = ((0.25, 0.5, 0.1, 0.2), (0.75, 0.1, 0.9, 0.3))
        relation = Geometry(20, 30, mirrored, matrix, 0.51, 11.3, 1.0, 0.6, pairs)
        box: Corners = ((40.0, 60.0), (340.0, 60.0), (340.0, 210.0), (40.0, 210.0))
        bent: Corners = (box[0], box[1], box[2], (40.0, 210.001))
        plain, warped = (geometry.placed(relation, corners, part, whole) for corners in (box, bent))
        assert plain.warp is None
        assert warped.warp is not None
        np.testing.assert_allclose(warped.matrix, plain.matrix, atol=0.02)
        np.testing.assert_allclose(warped.warp[:2], plain.matrix, atol=0.02)
        np.testing.assert_allclose(np.array(warped.pairs), np.array(plain.pairs), atol=1e-4)
        assert warped.covers_ratio == pytest.approx(plain.covers_ratio, rel=1e-3)


def test_photographs_without_a_screen_or_paper_have_none() -> None:
    pictures = (data.chelsea(), data.astronaut(), data.rocket(), data.coffee(), data.cat())
    assert not [part for picture in pictures for part in views.find(picture) if isinstance(part, PartQuad)]


def test_an_upright_screen_is_a_box_and_the_frame_itself_is_nothing() -> None:
    framed = np.asarray(cv2.copyMakeBorder(data.chelsea(), 50, 50, 50, 50, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
    assert isinstance(views.find(framed)[0], PartBox)
    for level in (0, 255):
        assert views.find(np.full((400, 600, 3), level, np.uint8)) == ()
    for tiny in ((1, 1), (1, 300), (300, 2), (20, 20)):
        assert len(views.find(np.full((*tiny, 3), 90, np.uint8))) == 0


@pytest.mark.parametrize("gap", [0, 8])
@pytest.mark.parametrize("count", [2, 3])
def test_every_cell_of_a_collage_is_a_view_and_its_rows_are_not(count: int, gap: int) -> None:
    photos = [data.chelsea(), data.coffee(), data.rocket(), data.astronaut(), data.cat()]
    side = 960 // count
    sheet = np.full((count * side + (count + 1) * gap,) * 2 + (3,), 255, np.uint8)
    places = []
    for number in range(count * count):
        left, top = (gap + k * (side + gap) for k in (number % count, number // count))
        photo = photos[number % len(photos)]
        edge = min(photo.shape[:2])
        sheet[top : top + side, left : left + side] = cv2.resize(photo[:edge, :edge], (side, side))
        places.append(PartBox(left, top, left + side, top + side))
    parts = [part for part in views.find(through_jpeg(sheet, 40)) if isinstance(part, PartBox)]
    for place_of_cell in places:
        assert max(views.overlap_ratio(place_of_cell, part) for part in parts) >= 0.85
    across = [part for part in parts if part.width > 1.5 * side and part.height < 1.5 * side]
    assert len(across) <= 1  # a row cut in the middle of a photo may pass for a part of its own
    assert len(parts) <= views.ViewLimits().views_max
