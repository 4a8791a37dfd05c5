"""The bead pattern of a nose, and how well two patterns correlate once one is registered to the other.

A pattern is the frame's brightness, without slow shading and normalised for local contrast, at 144 px. Comparing goes
from coarse to fine: blocks of one pattern are searched near their place in the other, a smooth (quadratic) displacement
is fitted to their shifts and undone, twice; then small blocks are correlated with hardly any freedom left. Two photos
of one nose end near 0.6, two noses near 0.33: with so little freedom, chance likeness stays low. The idea is block
matching as for palm and finger prints (band-limited correlation; Ito et al., 2004), without a trained part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.align import FRAME_PX

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

PATTERN_PX = 144
INLIERS_TRUSTED = 4  # with so many inliers, the keypoints' transform is a second start of the registration
COARSE_PX, COARSE_REACH = 28, 7
FINE_PX, FINE_REACH = 20, 2
BLOCKS_MIN = 6
_QUANTUM = 50.0  # contrast 2.5 becomes 125


@dataclass(frozen=True, slots=True)
class Pattern:
    """A bead pattern. values: int8 (144, 144), local contrast times 50, 0 outside the nose. inside: bool (144, 144)."""

    values: npt.NDArray[np.int8]
    inside: npt.NDArray[np.bool_]


def extract(grey: Bytes, inside: npt.NDArray[np.bool_]) -> Pattern:
    """Extract the pattern from a frame: grey uint8 (320, 320), inside bool (320, 320)."""
    light = grey.astype(np.float32)
    detail = cv2.GaussianBlur(light, (0, 0), 1.0) - cv2.GaussianBlur(light, (0, 0), 7)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 9)) + 3  # 3 grey levels keep noise from being amplified
    contrast = np.clip(detail / spread, -2.5, 2.5) * inside
    small = cv2.resize(np.asarray(contrast, np.float32), (PATTERN_PX, PATTERN_PX), interpolation=cv2.INTER_AREA)
    cover = cv2.resize(inside.astype(np.float32), (PATTERN_PX, PATTERN_PX), interpolation=cv2.INTER_AREA) > 0.5
    return Pattern(np.round(small * cover * _QUANTUM).astype(np.int8), cover)


def correlate(first: Pattern, second: Pattern, matrix: npt.NDArray[np.float64]) -> Floats | None:
    """Return the normalised correlation of every small block that is visible in both, (n,), -1..1; None for fewer than
    6.

    matrix: (2, 3), first frame to second frame in frame pixels, the start of the registration.
    """
    scale = PATTERN_PX / FRAME_PX
    fixed, fixed_inside = first.values.astype(np.float32), first.inside.astype(np.float32)
    moving, moving_inside = second.values.astype(np.float32), second.inside.astype(np.float32)
    ys, xs = np.mgrid[0:PATTERN_PX, 0:PATTERN_PX].astype(np.float32)
    map_x = np.asarray(matrix[0, 0] * xs + matrix[0, 1] * ys + matrix[0, 2] * scale, np.float32)
    map_y = np.asarray(matrix[1, 0] * xs + matrix[1, 1] * ys + matrix[1, 2] * scale, np.float32)
    for reach in (COARSE_REACH, COARSE_REACH // 2):
        blocks = _blocks(
            fixed, fixed_inside, _warp(moving, map_x, map_y), _warp(moving_inside, map_x, map_y), COARSE_PX, reach
        )
        if len(blocks) < BLOCKS_MIN:
            return None
        shift = _smooth_shift(blocks, xs, ys)
        at_x, at_y = np.asarray(xs + shift[..., 0], np.float32), np.asarray(ys + shift[..., 1], np.float32)
        map_x, map_y = _warp(map_x, at_x, at_y), _warp(map_y, at_x, at_y)
    blocks = _blocks(
        fixed, fixed_inside, _warp(moving, map_x, map_y), _warp(moving_inside, map_x, map_y), FINE_PX, FINE_REACH
    )
    if len(blocks) < BLOCKS_MIN:
        return None
    return np.asarray(blocks[:, 4], np.float32)


def _warp(field: Floats, map_x: Floats, map_y: Floats) -> Floats:
    return np.asarray(cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _blocks(fixed: Floats, fixed_inside: Floats, moved: Floats, moved_inside: Floats, size: int, reach: int) -> Floats:
    """Return the best shift of every visible block, (n, 5): rows of centre x, centre y, shift x, shift y,
    correlation."""
    corners = np.arange(reach, PATTERN_PX - size - reach + 1, size // 2)
    visible = (_means(fixed_inside, corners, size) >= 0.75) & (_means(moved_inside, corners, size) >= 0.6)
    rows = []
    for top, left in corners[np.argwhere(visible)].tolist():
        window = moved[top - reach : top + size + reach, left - reach : left + size + reach]
        surface = cv2.matchTemplate(window, fixed[top : top + size, left : left + size], cv2.TM_CCOEFF_NORMED)
        dy, dx = divmod(int(surface.argmax()), 2 * reach + 1)
        rows.append((left + size / 2, top + size / 2, dx - reach, dy - reach, float(surface[dy, dx])))
    return np.asarray(rows, np.float32).reshape(-1, 5)


def _means(inside: Floats, corners: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float64]:
    """Return the mean of every square of `size` pixels whose top and left edge are both in `corners`, (n, n)."""
    total = cv2.integral(inside, sdepth=cv2.CV_64F)
    ends = corners + size
    sums = total[np.ix_(ends, ends)] - total[np.ix_(corners, ends)] - total[np.ix_(ends, corners)]
    return np.asarray((sums + total[np.ix_(corners, corners)]) / size**2, np.float64)


def _smooth_shift(blocks: Floats, xs: Floats, ys: Floats) -> Floats:
    """Return the quadratic displacement field (h, w, 2) fitted to the blocks' shifts; blocks that disagree lose weight
    (Cauchy, 1.5 px)."""
    basis = _basis(blocks[:, 0], blocks[:, 1])
    trust = np.clip(blocks[:, 4], 0.05, 1).astype(np.float64) ** 2
    weight = trust
    ridge = 0.3 * np.eye(basis.shape[1])
    ridge[0, 0] *= 0.01  # a common shift is hardly penalised, bending is
    for _ in range(6):
        root = np.sqrt(weight)[:, None]
        left = np.vstack([basis * root, ridge])
        right = np.vstack([blocks[:, 2:4] * root, np.zeros((basis.shape[1], 2))])
        terms = np.linalg.lstsq(left, right, rcond=None)[0]
        error = np.linalg.norm(basis @ terms - blocks[:, 2:4], axis=1)
        weight = trust / (1 + (error / 1.5) ** 2)
    return np.asarray(_basis(xs, ys) @ terms, np.float32)


def _basis(x: Floats, y: Floats) -> npt.NDArray[np.float64]:
    half = PATTERN_PX / 2
    a, b = (x.astype(np.float64) - half) / half, (y.astype(np.float64) - half) / half
    return np.stack([np.ones_like(a), a, b, a * a, a * b, b * b], axis=-1)
