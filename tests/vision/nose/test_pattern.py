"""Registration and keypoints against known transforms."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from vision.nose import keypoints, pattern
from vision.nose.align import FRAME_PX

INSIDE = np.zeros((FRAME_PX, FRAME_PX), bool)
INSIDE[30:290, 30:290] = True


def texture(name: str = "gravel") -> np.ndarray:
    """Returns a real photograph of stones: as regular and as individual as beads."""
    return cv2.resize(getattr(data, name)(), (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA)


def moved(picture: np.ndarray, degrees: float, scale: float, dx: float, dy: float) -> tuple[np.ndarray, np.ndarray]:
    matrix = cv2.getRotationMatrix2D((FRAME_PX / 2, FRAME_PX / 2), degrees, scale)
    matrix[:, 2] += (dx, dy)
    return cv2.warpAffine(picture, matrix, (FRAME_PX, FRAME_PX), borderMode=cv2.BORDER_REFLECT), matrix


@pytest.mark.parametrize(("degrees", "scale", "dx", "dy"), [(0, 1, 0, 0), (6, 1.05, 4, -3), (-8, 0.94, -6, 5)])
def test_keypoints_find_the_transform_that_was_applied(degrees: float, scale: float, dx: float, dy: float) -> None:
    first = texture()
    second, truth = moved(first, degrees, scale, dx, dy)
    agreement = keypoints.agree(keypoints.extract(first, INSIDE), keypoints.extract(second, INSIDE))
    assert agreement.inliers > 40
    corners = np.array([[60, 60], [260, 60], [260, 260], [60, 260]], np.float64)
    wanted = corners @ truth[:, :2].T + truth[:, 2]
    got = corners @ agreement.matrix[:, :2].T + agreement.matrix[:, 2]
    assert np.abs(got - wanted).max() < 2


def test_a_bent_and_relit_pattern_still_correlates_and_another_does_not() -> None:
    first = texture()
    ys, xs = np.mgrid[0:FRAME_PX, 0:FRAME_PX].astype(np.float32)
    bent_x = xs + 5 * np.sin(ys / 90) + 3
    bent_y = ys + 4 * np.cos(xs / 80) - 2
    bent = cv2.remap(first, bent_x, bent_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    relit = np.clip(bent * np.linspace(0.5, 1.1, FRAME_PX)[None, :], 0, 255).astype(np.uint8)
    same = pattern.correlate(pattern.extract(first, INSIDE), pattern.extract(relit, INSIDE), np.eye(2, 3))
    other = pattern.correlate(
        pattern.extract(first, INSIDE), pattern.extract(np.flipud(first).copy(), INSIDE), np.eye(2, 3)
    )
    assert same is not None
    assert other is not None
    assert same.mean() > 0.75
    assert other.mean() < 0.5


def test_too_little_common_skin_is_not_a_number() -> None:
    corner = np.zeros_like(INSIDE)
    corner[30:90, 30:90] = True
    first = pattern.extract(texture(), corner)
    assert pattern.correlate(first, pattern.extract(texture(), INSIDE), np.eye(2, 3)) is None


def test_a_plain_surface_has_no_inliers() -> None:
    flat = np.full((FRAME_PX, FRAME_PX), 90, np.uint8)
    agreement = keypoints.agree(keypoints.extract(flat, INSIDE), keypoints.extract(texture(), INSIDE))
    assert agreement.inliers == 0
    np.testing.assert_array_equal(agreement.matrix, np.eye(2, 3))
