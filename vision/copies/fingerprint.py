"""Computes all that photos are compared by from one picture: exact and perceptual hashes, PDQ, the learnt descriptor,
keypoints.

pHash, dHash and wHash after imagehash (Buchner); PDQ after Davis and Rosen, The TMK+PDQF video-hashing algorithm and
the PDQ image-hashing algorithm, 2019. What only a search needs (the eight orientations of PDQ, views inside the
picture) is here too, and is not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from vision.copies import geometry, views
from vision.copies.copy_score import FusionModel
from vision.copies.describing import Describing, Descriptor, describing
from vision.copies.keypoints import GeometryLimits, Keypoints
from vision.copies.parts import Corners, Part, PartBox, cut, scaled
from vision.copies.views import ViewLimits

if TYPE_CHECKING:
    from vision.decode.image import Picture


@dataclass(frozen=True, slots=True)
class FingerprintLimits:
    """Limits of the fingerprint. pdq_quality_min: below it PDQ hashes collide (its authors drop quality <= 49). A
    picture with at most `featureless_keypoints_max` keypoints and a PDQ quality below the minimum has nothing to
    compare by."""

    geometry: GeometryLimits = field(default_factory=GeometryLimits)
    views: ViewLimits = field(default_factory=ViewLimits)
    pdq_quality_min: int = 50
    featureless_keypoints_max: int = 12
    view_edge_px: int = 320
    view_keypoints: int = 200
    thumbnail_edge_px: int = 128
    negative: bool = True


@dataclass(frozen=True, eq=False)
class PartView:
    """A part of the picture, described on its own. corners: in working pixels, clockwise from the part's own top left.
    descriptor, crowd: as for the whole picture.

    grey: uint8 (h, w), upright, at most `view_edge_px`. Its keypoints are extracted only if a candidate needs them:
    most parts resemble nothing.
    """

    corners: Corners
    descriptor: NDArray[np.float32]
    crowd: float
    grey: NDArray[np.uint8]
    limits: FingerprintLimits

    @cached_property
    def keypoints(self) -> Keypoints:
        """The part's keypoints, in pixels of `grey`. In a screenshot the text takes most of the whole picture's."""
        return geometry.extract(self.grey, self.limits.geometry, self.limits.view_keypoints)

    @cached_property
    def thumbnail(self) -> NDArray[np.uint8]:
        return fit(self.grey, self.limits.thumbnail_edge_px)


@dataclass(frozen=True, eq=False)
class NegativeView:
    """The whole picture with its colours inverted, searched like a part: a copy may be a negative.

    positive, positive_thumbnail: the picture's own keypoints and thumbnail, of which the negative's follow.
    """

    descriptor: NDArray[np.float32]
    crowd: float
    positive: Keypoints
    positive_thumbnail: NDArray[np.uint8]

    @property
    def corners(self) -> Corners:
        return PartBox(0, 0, self.positive.width_px, self.positive.height_px).corners

    @cached_property
    def keypoints(self) -> Keypoints:
        return self.positive.negated()

    @cached_property
    def thumbnail(self) -> NDArray[np.uint8]:
        return 255 - self.positive_thumbnail


View = PartView | NegativeView


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """sha256, pixel_sha256: hex, of the file and of the decoded pixels. phash, dhash, whash: 64 bits each.

    pdq: 32 bytes; pdq_quality 0..100; pdq_usable: the quality is enough to compare by. descriptor: float32
    (256,), length 1, comparable only with those of the same `descriptor_model`. crowd: cosine of its look-alikes
    among unrelated pictures. keypoints: at most 300, in working pixels. thumbnail: uint8 (h,
    w) grey. width_px, height_px: of the source file, upright. For searching only: pdq_turned, the eight
    orientations; views. featureless: why there is nothing to compare by, or "".
    """

    sha256: str
    pixel_sha256: str
    phash: int
    dhash: int
    whash: int
    pdq: bytes
    pdq_quality: int
    pdq_usable: bool
    descriptor: NDArray[np.float32]
    crowd: float
    descriptor_model: str
    keypoints: Keypoints
    thumbnail: NDArray[np.uint8]
    width_px: int
    height_px: int
    pdq_turned: tuple[bytes, ...]
    views: tuple[View, ...]
    featureless: str


class Fingerprinter:
    """Computes fingerprints. Thread-safe. threads: of the descriptor network, OpenCV and BLAS (those two in the whole
    process) for one call. describes: the descriptor, our own if None.

    Raises ModelMissing or ModelCorrupt if the network's files do not match their cards.
    """

    def __init__(
        self,
        threads: int = 1,
        limits: FingerprintLimits = FingerprintLimits(),
        describes: Describing | None = None,
    ) -> None:
        self.limits = limits
        self._describing = describes or describing(threads=threads)
        self._model: Descriptor = self._describing.descriptor
        # Callers process several photos in their own threads: OpenCV's threads below those would only get in the way,
        # and BLAS's would busy a second core with waiting (a third of a photo's CPU).
        cv2.setNumThreads(threads)
        threadpool_limits(limits=threads, user_api="blas")

    @property
    def model(self) -> str:
        """Name and digest of the descriptor, as decisions quote it."""
        return self._model.label

    @property
    def descriptor(self) -> Descriptor:
        return self._model

    @property
    def fusion(self) -> FusionModel:
        """Return the model that `vision.examine.compare` must use for these fingerprints. Raises ModelMissing or
        ModelCorrupt."""
        return self._describing.fusion()

    def describe(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return descriptors alone, float32 (n, 256), of uint8 (h, w, 3) pictures."""
        return self._model.describe(pictures)

    def fingerprint(self, picture: Picture, sha256: str) -> Fingerprint:
        """Return the fingerprint of one picture. sha256: of the file it came from, in hex."""
        return self.fingerprint_many([(picture, sha256)])[0]

    def fingerprint_many(self, pictures: Sequence[tuple[Picture, str]]) -> list[Fingerprint]:
        """Return the fingerprints of several photos (picture, sha256): the network runs on them and their views in
        batches."""
        parts = [views.find(picture.pixels, self.limits.views) for picture, _ in pictures]
        looks: list[NDArray[np.uint8]] = []
        for (picture, _), places in zip(pictures, parts, strict=True):
            looks.append(picture.pixels)
            looks += [cut(picture.pixels, part) for part in places]
            if self.limits.negative:
                looks.append(255 - fit(picture.pixels, self.limits.view_edge_px))
        descriptors = self._model.describe(looks)
        crowds = self._model.crowd(descriptors)
        out: list[Fingerprint] = []
        start = 0
        for (picture, sha256), places in zip(pictures, parts, strict=True):
            end = start + 1 + len(places) + self.limits.negative
            out.append(self._assemble(picture, sha256, places, descriptors[start:end], crowds[start:end]))
            start = end
        return out

    def _assemble(
        self,
        picture: Picture,
        sha256: str,
        parts: Sequence[Part],
        descriptors: NDArray[np.float32],
        crowds: NDArray[np.float32],
    ) -> Fingerprint:
        limits = self.limits
        work = fit(picture.pixels, limits.geometry.work_edge_px)
        scale = work.shape[1] / picture.pixels.shape[1]
        grey = _grey(work)
        keypoints = geometry.extract(grey, limits.geometry)
        thumbnail = fit(grey, limits.thumbnail_edge_px)
        image = Image.fromarray(work)
        turned, quality = pdqhash.compute_dihedral(work)
        whole = _grey(picture.pixels) if parts else grey
        hashes = tuple(np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes() for bits in turned)
        looked_in: list[View] = [
            PartView(scaled(part.corners, scale), row, float(crowd), fit(cut(whole, part), limits.view_edge_px), limits)
            for part, row, crowd in zip(parts, descriptors[1:], crowds[1:], strict=False)
        ]
        if limits.negative:
            looked_in.append(NegativeView(descriptors[-1], float(crowds[-1]), keypoints, thumbnail))
        return Fingerprint(
            sha256=sha256,
            pixel_sha256=picture.pixel_sha256,
            phash=_bits(imagehash.phash(image)),
            dhash=_bits(imagehash.dhash(image)),
            whash=_bits(imagehash.whash(image)),
            pdq=hashes[0],
            pdq_quality=int(quality),
            pdq_usable=int(quality) >= limits.pdq_quality_min,
            descriptor=descriptors[0],
            crowd=float(crowds[0]),
            descriptor_model=self._model.label,
            keypoints=keypoints,
            thumbnail=thumbnail,
            width_px=picture.source_width_px,
            height_px=picture.source_height_px,
            pdq_turned=hashes,
            views=tuple(looked_in),
            featureless=self._featureless(len(keypoints), int(quality)),
        )

    def _featureless(self, keypoints: int, quality: int) -> str:
        if keypoints <= self.limits.featureless_keypoints_max and quality < self.limits.pdq_quality_min:
            return f"nothing to compare by: {keypoints} keypoints, PDQ quality {quality} of 100"
        return ""


def pdq_of(work: NDArray[np.uint8]) -> tuple[bytes, int]:
    """Return the PDQ hash (32 bytes) and its quality (0..100) of a picture at working size."""
    bits, quality = pdqhash.compute(work)
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes(), int(quality)


def fit(pixels: NDArray[np.uint8], edge_px_max: int) -> NDArray[np.uint8]:
    """Scale down so that the longer edge is at most `edge_px_max`; never up."""
    height, width = pixels.shape[:2]
    scale = edge_px_max / max(height, width)
    if scale >= 1.0:
        return np.ascontiguousarray(pixels)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _bits(value: imagehash.ImageHash) -> int:
    return int(str(value), 16)
