"""Views of real and rendered noses to train and to choose the nose finder by.

Positives are the marked photos of `fixtures.pet_faces` and rendered noses; negatives are photos-caltech101.tar and
photos-varied.tar (photographs without a dog's or cat's nose). Every view is a square of `VIEW_PX`, turned, scaled,
cut, lit, blurred and compressed by its random generator alone.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fixtures.noses import render_nose
from fixtures.pet_faces import CALTECH_DOGS, CALTECH_OTHER_ANIMALS, MarkedPhoto, Pixels, Point

VIEW_PX: Final = 160
REFINED_PX: Final = 72  # width of the nose in the second pass's crop
NEGATIVE_EDGE_PX: Final = 360
SPECIES: Final = ("dog", "cat", "other")
POSES: Final = ("frontal", "three-quarter", "profile")
# Sources of photos-varied that train; the others (clothes, gb82, commons, parcels, toys, wallpapers) test.
VARIED_TRAIN: Final = ("food-", "waste-", "pots-", "grocery", "apple-", "banana-", "orange-", "fruits-", "pack-")

Floats = npt.NDArray[np.float32]


def rendered(count: int, seed: int) -> list[MarkedPhoto]:
    """Return rendered noses of pets that neither calibration nor test use (benchmarks.noses.SPLITS), as dogs."""
    rng = np.random.default_rng(seed)
    photos = []
    for pet in range(count):
        view = render_nose(
            pet, pet // 3, 1_500_000 + pet, size_px=320, nose_share=rng.uniform(0.3, 0.8), roll_deg=rng.normal(0, 10)
        )
        rows, columns = np.nonzero(view.mask)
        box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
        photos.append(
            MarkedPhoto(
                file=f"rendered-{pet}",
                pixels=view.pixels,
                species="dog",
                pose="frontal",
                colour="",
                group="rendered",
                sure=True,
                box=box,
                left=view.left_nostril,
                right=view.right_nostril,
                mask=view.mask,
            )
        )
    return photos


def caltech(archive: Path, parts: tuple[int, ...], *, animals: bool) -> list[tuple[str, Pixels]]:
    """Return names and pixels of the photographs of some hash parts (first byte of the SHA-256 modulo 4: 0 trains, 1
    chooses, 2 and 3 test): of other animals, or of no animal's nose."""
    photos = []
    with tarfile.open(archive) as tar:
        for name, content in _files(tar):
            kind = Path(name).parent.name
            if kind in CALTECH_DOGS or (kind in CALTECH_OTHER_ANIMALS) != animals:
                continue
            if hashlib.sha256(content).digest()[0] % 4 in parts:
                photos.append((name, _reduced(_decode(content))))
    return photos


def varied(archive: Path, *, train: bool) -> list[tuple[str, Pixels]]:
    """Return photographs without an animal of the training or of the test sources, at most four a folder."""
    photos, taken = [], dict[str, int]()
    with tarfile.open(archive) as tar:
        for name, content in _files(tar):
            folder = str(Path(name).parent)
            if any(folder.split("/")[-1].startswith(prefix) for prefix in VARIED_TRAIN) != train:
                continue
            taken[folder] = taken.get(folder, 0) + 1
            if taken[folder] <= (4 if "/views/" in f"/{name}" else 250):
                photos.append((name, _reduced(_decode(content))))
    return photos


def _files(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in tar:
        if member.isfile() and member.name.endswith(".jpg"):
            file = tar.extractfile(member)
            if file is not None:
                yield member.name, file.read()


def _decode(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _reduced(pixels: Pixels) -> Pixels:
    scale = NEGATIVE_EDGE_PX / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class NoseTarget:
    """A view's marks in its own pixels; `species` -1 means that no nose is in it. `ignore`: the nose is cut by the
    border or too small to ask for."""

    species: int
    pose: int
    centre: Point
    size: Point
    left: Point | None
    right: Point | None
    mask: Floats | None  # (VIEW_PX, VIEW_PX): 1 rhinarium, 0 none, 0.5 not known
    ignore: bool = False


NOTHING: Final = NoseTarget(-1, -1, (0, 0), (0, 0), None, None, None)


def view_of(photo: MarkedPhoto, rng: np.random.Generator, *, refined: bool) -> tuple[Pixels, NoseTarget]:
    """Return a random square of a marked photo with its nose inside: at any size, or as the second pass cuts it."""
    if photo.box is None:
        return background(photo.pixels, rng)
    x0, y0, x1, y1 = photo.box
    width, height = x1 - x0, y1 - y0
    if refined:
        wanted = REFINED_PX * float(np.exp(rng.normal(0, 0.22)))
        place = VIEW_PX / 2 + rng.normal(0, 0.14, 2) * REFINED_PX
    else:
        largest = min(115.0, 6 * width)
        wanted = float(np.exp(rng.uniform(np.log(min(11.0, largest)), np.log(largest))))
        edge = min(0.45 * VIEW_PX, 0.6 * wanted)
        place = rng.uniform(edge, VIEW_PX - edge, 2)
    if photo.mask is not None:
        wanted = max(wanted, 0.35 * width)  # a render ends close behind its nose
    scale = wanted / width
    angle = rng.normal(0, 14) if rng.random() < 0.8 else rng.uniform(-60, 60)
    mirror = rng.random() < 0.5
    matrix = _transform(((x0 + x1) / 2, (y0 + y1) / 2), place, scale, angle, mirror, rng.uniform(0.9, 1.1))
    border = 127 if rng.random() < 0.5 else None
    pixels = _warp(photo.pixels, matrix, scale, border if photo.mask is None else None)
    corners = _moved(((x0 + x1) / 2, (y0 + y1) / 2), matrix)
    # The rhinarium is nearly an ellipse in its box, so the turned box is that of the turned ellipse.
    half = np.abs(matrix[:, :2] * [width / 2, height / 2])
    size = 2 * np.hypot(half[:, 0], half[:, 1])
    left, right = (None if point is None else _moved(point, matrix) for point in (photo.left, photo.right))
    if mirror:
        left, right = right, left
    if rng.random() < 0.2:
        _cut(pixels, corners, (size[0], size[1]), rng)
    mask = _mask(photo, matrix)
    pose = POSES.index(photo.pose) if photo.pose in POSES else -1
    target = NoseTarget(SPECIES.index(photo.species), pose, corners, (size[0], size[1]), left, right, mask)
    return spoil(pixels, rng, target), target


def _cut(pixels: Pixels, centre: Point, size: Point, rng: np.random.Generator) -> None:
    """Let the picture end close to the nose on one or two sides, with grey beyond, as a close-up does."""
    for side in rng.permutation(4)[: int(rng.integers(1, 3))]:
        gap = rng.uniform(0.02, 0.5) * size[0]
        if side == 0:
            pixels[:, : max(0, int(centre[0] - size[0] / 2 - gap))] = 127
        elif side == 1:
            pixels[:, int(min(VIEW_PX, centre[0] + size[0] / 2 + gap)) :] = 127
        elif side == 2:
            pixels[: max(0, int(centre[1] - size[1] / 2 - gap))] = 127
        else:
            pixels[int(min(VIEW_PX, centre[1] + size[1] / 2 + gap)) :] = 127


def background(pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, NoseTarget]:
    """Return a random square of a photograph without a nose: the whole of it, or a part up to four times enlarged."""
    height, width = pixels.shape[:2]
    scale = VIEW_PX / max(height, width) * float(np.exp(rng.uniform(-0.2, np.log(4))))
    centre = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
    matrix = _transform(centre, np.full(2, VIEW_PX / 2), scale, rng.normal(0, 10), rng.random() < 0.5, 1.0)
    return spoil(_warp(pixels, matrix, scale, 127 if rng.random() < 0.5 else None), rng), NOTHING


def beside(photo: MarkedPhoto, rng: np.random.Generator) -> tuple[Pixels, NoseTarget]:
    """Return a random square of a pet beside its nose, as large as the second pass would cut it: eyes, ears, fur."""
    if photo.box is None:
        return background(photo.pixels, rng)
    x0, y0, x1, y1 = photo.box
    width = x1 - x0
    for _ in range(8):
        scale = float(np.exp(rng.uniform(np.log(25), np.log(110)))) / width
        reach = (VIEW_PX / 2 / scale) + width * rng.uniform(0.6, 2)
        angle = rng.uniform(0, 2 * np.pi)
        centre = ((x0 + x1) / 2 + reach * np.cos(angle), (y0 + y1) / 2 + reach * np.sin(angle))
        inside = 0 < centre[0] < photo.pixels.shape[1] and 0 < centre[1] < photo.pixels.shape[0]
        apart = max(abs(centre[0] - (x0 + x1) / 2), abs(centre[1] - (y0 + y1) / 2)) - width / 2 > VIEW_PX / 2 / scale
        if inside and apart:
            matrix = _transform(centre, np.full(2, VIEW_PX / 2), scale, 0.0, rng.random() < 0.5, 1.0)
            return spoil(_warp(photo.pixels, matrix, scale, None), rng), NOTHING
    return view_of(photo, rng, refined=False)


def at(pixels: Pixels, centre: Point, size: Point, species: int, rng: np.random.Generator) -> tuple[Pixels, NoseTarget]:
    """Return a square around a place that the finder took for a nose, with what it is: another animal's (2) or
    nothing (-1)."""
    scale = REFINED_PX / max(4.0, size[0]) * float(np.exp(rng.normal(-0.2, 0.4)))
    place = VIEW_PX / 2 + rng.normal(0, 0.14, 2) * REFINED_PX
    matrix = _transform(centre, place, scale, rng.normal(0, 12), rng.random() < 0.5, 1.0)
    view = _warp(pixels, matrix, scale, 127 if rng.random() < 0.5 else None)
    if species < 0:
        return spoil(view, rng), NOTHING
    moved = _moved(centre, matrix)
    target = NoseTarget(species, -1, moved, (size[0] * scale, size[1] * scale), None, None, None)
    return spoil(view, rng, target), target


def _transform(
    centre: Point, place: Floats | npt.NDArray[np.float64], scale: float, degrees: float, mirror: bool, stretch: float
) -> npt.NDArray[np.float64]:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1.0, stretch])
    turn = scale * turn @ np.diag([-1.0 if mirror else 1.0, 1.0])
    return np.column_stack([turn, place - turn @ np.asarray(centre)])


def _moved(point: Point, matrix: npt.NDArray[np.float64]) -> Point:
    x, y = matrix[:, :2] @ np.asarray(point) + matrix[:, 2]
    return float(x), float(y)


def _warp(pixels: Pixels, matrix: npt.NDArray[np.float64], scale: float, border: int | None) -> Pixels:
    """Warp into a square; what a reduction would alias is averaged first."""
    if scale < 0.7:
        height, width = pixels.shape[:2]
        factor = scale / 0.9
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = np.column_stack([matrix[:, :2] / [size[0] / width, size[1] / height], matrix[:, 2]])
    mode = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
    how = cv2.INTER_LINEAR if scale < 1.5 else cv2.INTER_CUBIC
    square = cv2.warpAffine(
        pixels, matrix, (VIEW_PX, VIEW_PX), flags=how, borderMode=mode, borderValue=(border or 0,) * 3
    )
    return np.asarray(square, np.uint8)


def _mask(photo: MarkedPhoto, matrix: npt.NDArray[np.float64]) -> Floats:
    """Return the rhinarium, exact for a render; for a real nose its inner ellipse is sure and what lies outside the
    box is none."""
    assert photo.box is not None
    if photo.mask is not None:
        return np.asarray(cv2.warpAffine(photo.mask.astype(np.float32), matrix, (VIEW_PX, VIEW_PX)), np.float32)
    x0, y0, x1, y1 = photo.box
    ys, xs = np.mgrid[:VIEW_PX, :VIEW_PX].astype(np.float64)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    px = (back[0, 0] * xs + back[0, 1] * ys + back[0, 2] - (x0 + x1) / 2) / ((x1 - x0) / 2)
    py = (back[1, 0] * xs + back[1, 1] * ys + back[1, 2] - (y0 + y1) / 2) / ((y1 - y0) / 2)
    mask = np.full((VIEW_PX, VIEW_PX), 0.5, np.float32)
    mask[px**2 + py**2 < 0.62**2] = 1
    mask[(np.abs(px) > 1.04) | (np.abs(py) > 1.06) | (px**2 + py**2 > 1.25**2)] = 0
    return mask


def spoil(view: Pixels, rng: np.random.Generator, target: NoseTarget = NOTHING) -> Pixels:
    """Return the view as another camera, light and hand would give it."""
    image: npt.NDArray[Any] = view.astype(np.float32)
    if target.species >= 0 and rng.random() < 0.12:  # grass, a toy, a hand before a part of the face
        x, y = np.asarray(target.centre) + rng.uniform(-0.9, 0.9, 2) * target.size[0]
        axes = (int(target.size[0] * rng.uniform(0.1, 0.3)) + 1, int(target.size[0] * rng.uniform(0.05, 0.25)) + 1)
        colour = tuple(float(value) for value in rng.uniform(20, 240, 3))
        cv2.ellipse(image, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.9)))
    if rng.random() < 0.12:
        length = int(rng.integers(3, 8))
        kernel: npt.NDArray[Any] = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), float(rng.uniform(0, 180)), 1)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        image = cv2.filter2D(image, -1, np.asarray(kernel / max(1e-3, float(kernel.sum())), np.float32))
    image = 255 * np.clip(image / 255, 0, 1) ** float(np.exp(rng.normal(0, 0.3)))
    image = image * np.exp(rng.normal(0, 0.12, 3)) * np.exp(rng.normal(0, 0.22)) + rng.normal(0, 8)
    if rng.random() < 0.1:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.3:  # light from one side
        ramp = np.linspace(-1, 1, VIEW_PX)
        slope = rng.uniform(-0.4, 0.4, 2)
        image = image * (1 + slope[0] * ramp[None, :, None] + slope[1] * ramp[:, None, None])
    if rng.random() < 0.4:
        image = image + rng.normal(0, rng.uniform(1, 9), image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(35, 95))
        encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return np.ascontiguousarray(image, np.uint8)
