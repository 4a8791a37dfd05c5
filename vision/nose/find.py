"""Finds the nose of a dog or cat from coarse to fine: places in the whole photo at several sizes, then a second look
at each place, cut so that the nose fills about half (card `nose_finder`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vision.nose.network import COARSE_PX, FINE_PX, STRIDE_PX

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
Species = Literal["dog", "cat", "other"]
Pose = Literal["frontal", "three-quarter", "profile"]

CROP_PX: Final = 160  # the second look
NOSE_IN_CROP_PX: Final = 72
EDGES_PX: Final = (112, 192, 320, 544)  # long edges at which the whole photo is looked at
PLACES_MAX: Final = 4  # looked at twice
PLACE_MIN: Final = 0.03  # likelihood at the first look below which no place is looked at again
ENLARGED_MAX: Final = 1.6  # a photo smaller than an edge is enlarged no further
_SPECIES: Final[tuple[Species, ...]] = ("dog", "cat", "other")
_POSES: Final[tuple[Pose, ...]] = ("frontal", "three-quarter", "profile")


class NoseMaps(Protocol):
    """A network that gives `vision.nose.network.FinderNetwork`'s two outputs."""

    def maps(self, squares: Pixels) -> tuple[Floats, Floats]:
        """Return coarse and fine maps of uint8 (n, h, w, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Placement of a picture in a square: `square = picture * scale + (left, top)`."""

    scale: float
    left: float
    top: float


@dataclass(frozen=True, slots=True)
class NoseFound:
    """A nose in a picture. Points are x, y in pixels of the picture; `left` is left in the picture.

    mask: float32 (40, 40), probability of rhinarium in each cell of the second look. width_px: width of `bounds`.
    confidence: 0..1, how surely it is a nose of `species`. nostril_confidence: 0..1, the weaker of the two nostrils'
    peaks.
    """

    left_nostril: Point
    right_nostril: Point
    width_px: float
    confidence: float
    area_ratio: float  # share of the picture
    mask: Floats
    box: Letterbox
    bounds: Box = (0.0, 0.0, 0.0, 0.0)
    species: Species = "dog"
    species_confidence: float = 1.0  # of dog, cat and other animal, how much of the likelihood is on `species`
    pose: Pose = "frontal"
    nostril_confidence: float = 1.0

    def mask_in(self, matrix: Floats, size_px: int) -> Floats:
        """Return the mask warped into a frame whose `matrix` (2, 3) maps picture pixels to frame pixels; float32
        (size_px, size_px), 0..1."""
        cell = FINE_PX / self.box.scale
        # Cell centres in picture pixels: ((i + 0.5) * 4 - left) / scale.
        to_picture = np.array(
            [
                [cell, 0, (FINE_PX / 2 - self.box.left) / self.box.scale],
                [0, cell, (FINE_PX / 2 - self.box.top) / self.box.scale],
                [0, 0, 1],
            ],
            np.float64,
        )
        chain = np.vstack([matrix, [0, 0, 1]]).astype(np.float64) @ to_picture
        return np.asarray(cv2.warpAffine(self.mask, chain[:2], (size_px, size_px), flags=cv2.INTER_LINEAR), np.float32)


@dataclass(frozen=True, slots=True)
class _Place:
    centre: Point
    size: Point
    likelihood: float
    level: int = 0
    maps: tuple[Floats, Floats, Letterbox, tuple[int, int]] | None = field(default=None, compare=False, repr=False)


class NoseFinder:
    """Finds noses. Thread-safe."""

    def __init__(self, network: NoseMaps) -> None:
        self._network = network

    def find(self, pixels: Pixels) -> NoseFound | None:
        """Return the most likely nose in a picture, uint8 (h, w, 3) sRGB; None if no place looks like one. The caller
        judges its confidence."""
        return self._best(pixels, self._places(pixels))

    def find_in(self, pixels: Pixels, guide: Box) -> NoseFound | None:
        """Return the nose that fills about `guide` (x0, y0, x1, y1 in pixels): the frame on an app's screen, or what
        two taps span."""
        x0, y0, x1, y1 = guide
        width = max(8.0, x1 - x0)
        places = [_Place(((x0 + x1) / 2, (y0 + y1) / 2), (width * by, (y1 - y0) * by), 1.0) for by in (0.7, 1.0)]
        return self._best(pixels, places)

    def _places(self, pixels: Pixels) -> list[_Place]:
        """Return the likeliest places of the first look, best first."""
        height, width = pixels.shape[:2]
        places: list[_Place] = []
        for level, edge in enumerate(EDGES_PX):
            scale = edge / max(height, width)
            if level and scale > ENLARGED_MAX:
                break
            square, box = _square(pixels, scale)
            coarse, _ = self._network.maps(square[None])
            likely = _sigmoid(coarse[0, :3].max(axis=0))
            highest = cv2.dilate(likely, np.ones((3, 3), np.uint8))
            rows, columns = np.nonzero((likely >= highest) & (likely >= PLACE_MIN))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                places.append(_decoded(coarse[0], row, column, box, level))
        places.sort(key=lambda place: -place.likelihood)
        kept: list[_Place] = []
        for place in places:
            if all(_apart(place, other) for other in kept):
                kept.append(place)
        return kept[:PLACES_MAX]

    def _best(self, pixels: Pixels, places: list[_Place]) -> NoseFound | None:
        if not places:
            return None
        looked = self._again(pixels, places)
        best = max(range(len(looked)), key=lambda index: looked[index].likelihood * places[index].likelihood)
        second = self._again(pixels, [looked[best]], mirrored=True)[0]
        likelihood = float(np.cbrt(places[best].likelihood * looked[best].likelihood * second.likelihood))
        return _nose(second, likelihood, pixels.shape)

    def _again(self, pixels: Pixels, places: list[_Place], *, mirrored: bool = False) -> list[_Place]:
        """Return the places as the second look sees them; with `mirrored`, as it sees them both ways on average."""
        crops, boxes = [], []
        for place in places:
            scale = NOSE_IN_CROP_PX / float(np.clip(place.size[0], 6.0, 4 * max(pixels.shape[:2])))
            box = Letterbox(scale, CROP_PX / 2 - place.centre[0] * scale, CROP_PX / 2 - place.centre[1] * scale)
            crops.append(_crop(pixels, box))
            boxes.append(box)
        squares = np.asarray(crops)
        coarse, fine = self._network.maps(squares)
        if mirrored:
            turned_coarse, turned_fine = self._network.maps(np.ascontiguousarray(squares[:, :, ::-1]))
            turned_coarse, turned_fine = turned_coarse[..., ::-1].copy(), turned_fine[..., ::-1]
            turned_coarse[:, 3] *= -1  # the offset to the right is now one to the left, and so are the nostrils
            coarse = np.asarray((coarse + turned_coarse) / 2, np.float32)
            fine = np.asarray((fine + turned_fine[:, [0, 2, 1]]) / 2, np.float32)
        cells = CROP_PX // COARSE_PX
        ys, xs = np.mgrid[:cells, :cells] + 0.5 - cells / 2
        near = np.exp(-(xs**2 + ys**2) / (2 * 4.0**2))  # the nose asked for is the one in the middle
        looked = []
        for index, box in enumerate(boxes):
            likely = _sigmoid(coarse[index, :3].max(axis=0))
            row, column = divmod(int((likely * near).argmax()), cells)
            place = _decoded(coarse[index], row, column, box, 0)
            maps = (coarse[index], fine[index], box, (row, column))
            looked.append(_Place(place.centre, place.size, place.likelihood, 0, maps))
        return looked


def _square(pixels: Pixels, scale: float) -> tuple[Pixels, Letterbox]:
    """Return the whole photo at a scale, filled up with grey to whole strides."""
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    sides = [-(-side // STRIDE_PX) * STRIDE_PX for side in size]
    square = np.full((sides[1], sides[0], 3), 127, np.uint8)
    square[: size[1], : size[0]] = small
    return square, Letterbox(scale, 0.0, 0.0)


def _crop(pixels: Pixels, box: Letterbox) -> Pixels:
    """Return the square that `box` cuts from a picture; what a reduction would alias is averaged first."""
    scale, left, top = box.scale, box.left, box.top
    if scale < 0.7:
        factor = scale / 0.9
        height, width = pixels.shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        scale = 0.9
    matrix = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    how = cv2.INTER_LINEAR if scale < 1.5 else cv2.INTER_CUBIC
    return np.asarray(
        cv2.warpAffine(pixels, matrix, (CROP_PX, CROP_PX), flags=how, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _decoded(coarse: Floats, row: int, column: int, box: Letterbox, level: int) -> _Place:
    x = (column + 0.5 + float(np.clip(coarse[3, row, column], -3, 3))) * COARSE_PX
    y = (row + 0.5 + float(np.clip(coarse[4, row, column], -3, 3))) * COARSE_PX
    width, height = (16 * float(np.exp(np.clip(coarse[at, row, column], -2, 3))) for at in (5, 6))
    return _Place(
        centre=((x - box.left) / box.scale, (y - box.top) / box.scale),
        size=(width / box.scale, height / box.scale),
        likelihood=float(_sigmoid(coarse[:3, row, column].max())),
        level=level,
    )


def _apart(place: _Place, other: _Place) -> bool:
    distance = np.hypot(place.centre[0] - other.centre[0], place.centre[1] - other.centre[1])
    larger = max(place.size[0], other.size[0])
    return bool(distance > 0.5 * larger or min(place.size[0], other.size[0]) < 0.35 * larger)


def _nose(place: _Place, likelihood: float, shape: tuple[int, ...]) -> NoseFound:
    assert place.maps is not None
    coarse, fine, box, (row, column) = place.maps
    kinds = _sigmoid(coarse[:3, row, column])
    kind = int(kinds.argmax())
    (x, y), (width, height) = place.centre, place.size
    bounds = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    cells = fine.shape[1]
    ys, xs = (np.mgrid[:cells, :cells] + 0.5) * FINE_PX
    across = np.abs((xs - box.left) / box.scale - x) / width
    down = np.abs((ys - box.top) / box.scale - y) / height
    heats = _sigmoid(fine[1:]) * ((across < 0.56) & (down < 0.6))
    (left, left_peak), (right, right_peak) = (_peak(np.asarray(heat, np.float32)) for heat in heats)
    crossed = right[0] <= left[0]
    points = [(((u + 0.5) * FINE_PX - box.left) / box.scale, ((v + 0.5) * FINE_PX - box.top) / box.scale)
              for u, v in (left, right)]  # fmt: skip
    if crossed or np.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]) < 0.1 * width:
        left_peak = 0.0
        points = [(x - 0.22 * width, y), (x + 0.22 * width, y)]
    mask = np.asarray(_sigmoid(fine[0]) * ((across < 0.62) & (down < 0.66)), np.float32)
    return NoseFound(
        left_nostril=points[0],
        right_nostril=points[1],
        width_px=width,
        confidence=likelihood,
        area_ratio=float(min(1.0, width * height / (shape[0] * shape[1]))),
        mask=mask,
        box=box,
        bounds=bounds,
        species=_SPECIES[kind],
        species_confidence=float(kinds[kind] / max(1e-6, kinds.sum())),
        pose=_POSES[int(coarse[7:10, row, column].argmax())],
        nostril_confidence=min(left_peak, right_peak),
    )


def _sigmoid(value: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -40, 40))), np.float32)


def _peak(heat: Floats) -> tuple[Point, float]:
    """Return sub-cell place (x, y, in cells) and height of the strongest peak: centre of mass of the 5 x 5 cells around
    it."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    top, left = max(0, row - 2), max(0, column - 2)
    window = heat[top : row + 3, left : column + 3].astype(np.float64)
    ys, xs = np.mgrid[0 : window.shape[0], 0 : window.shape[1]]
    total = window.sum()
    if total <= 0:
        return (float(column), float(row)), 0.0
    return (left + float((xs * window).sum() / total), top + float((ys * window).sum() / total)), float(
        heat[row, column]
    )
