"""Photo libraries of any size, drawn like real photos: for measuring the search's speed and recall, nothing else.

Descriptors: the train half of Caltech 101 gives the spread of the class centres and, of each class, how far out its
centre lies, how tight it is and in which directions it spreads. A drawn library has as many classes as its photos ask
for at the real number of photos a class; each takes its shape from a real class, its place from the spread of the
centres. PDQ hashes: a Gaussian copula with the real correlations of the 256 bits, cut at its median as PDQ cuts its
cosine transform. Both are compared with the real ones by their nearest neighbours (`resemblance`). Copies: the drawn
photo turned towards a direction of its own until the cosine is that of a real photo and its edit (`fixtures.edits`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pdqhash
from numpy.typing import NDArray

from fixtures import caltech, edits
from vision.copies import views
from vision.copies.descriptor import DIMENSIONS, shared_model
from vision.copies.fingerprint import Fingerprint, FingerprintLimits, PartView, fit
from vision.copies.keypoints import Keypoints
from vision.copies.parts import PartBox, cut
from vision.library.tables import PDQ_BITS

Floats = NDArray[np.float32]
Bits = NDArray[np.uint8]
DRAW_ROWS: Final = 50_000  # drawn at once: bounds the memory
CLASS_PHOTOS_MIN: Final = 4  # a class of fewer says too little about its spread
# Of a photo's distance from its class's centre, the share (of the square) in the class's own directions: drawn for each
# class between 0 and one of these, whichever puts the nearest neighbours where the real ones are. 0 puts them too far,
# 1 too near.
OWN_SHARES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class RealPhotos:
    """Statistics of real photos.

    descriptors: (n, 256), length 1. bits: (m, 256) of 0 and 1, the photos whose PDQ can be compared by. classes: (n,)
    numbers from 0. copy_cosines: (k,), of a photo and its edit. copy_bits: (k,), Hamming distance of the nearest of
    eight orientations. views: (k,), number of parts of the edit that are compared by themselves, its negative
    counted.
    """

    descriptors: Floats
    bits: Bits
    classes: NDArray[np.int64]
    pdq_usable_share: float
    copy_cosines: Floats
    copy_bits: NDArray[np.int64]
    views: NDArray[np.int64]
    model: str


def real_photos(count: int, copies: int, rng: np.random.Generator) -> RealPhotos:
    """Measures `count` photos of the train half, and an edit of each of the first `copies`. Raises FileNotFoundError
    without the photos."""
    photos = list(caltech.photos("train"))
    chosen = [photos[index] for index in rng.permutation(len(photos))[:count]]
    model, limits = shared_model(1), FingerprintLimits()
    descriptors = model.describe([photo.pixels for photo in chosen])
    hashes, quality = zip(*(pdqhash.compute(fit(p.pixels, limits.geometry.work_edge_px)) for p in chosen), strict=True)
    usable = np.array(quality) >= limits.pdq_quality_min
    names = list(edits.EDITS)
    cosines, distances, parts = [], [], []
    for number, photo in enumerate(chosen[:copies]):
        others = [chosen[index].pixels for index in rng.choice(np.arange(copies, count), 3, replace=False)]
        edited = edits.apply(names[number % len(names)], photo.pixels, rng, others)
        places = views.find(edited, limits.views)
        looks = [edited, *(cut(edited, part) for part in places), *([255 - edited] if limits.negative else [])]
        cosines.append(float((model.describe(looks) @ descriptors[number]).max()))
        parts.append(len(looks) - 1)
        turned, _ = pdqhash.compute_dihedral(fit(edited, limits.geometry.work_edge_px))
        distances.append(min(int((np.asarray(turned_hash) != hashes[number]).sum()) for turned_hash in turned))
    kinds = {name: index for index, name in enumerate(sorted({photo.category for photo in chosen}))}
    return RealPhotos(
        descriptors=descriptors,
        bits=np.asarray(hashes, dtype=np.uint8)[usable],
        classes=np.array([kinds[photo.category] for photo in chosen]),
        pdq_usable_share=float(usable.mean()),
        copy_cosines=np.array(cosines, np.float32),
        copy_bits=np.array(distances),
        views=np.array(parts),
        model=model.label,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Class:
    """A class of real photos. centre_length: its mean's, less what chance adds. length: root mean square distance from
    the mean. apart: (n, 256) / sqrt(n), so that a standard normal row times it has the class's own covariance.
    outlying: each photo's distance in units of `length`.
    """

    centre_length: float
    length: float
    apart: Floats
    outlying: Floats

    @staticmethod
    def of(centre: NDArray[np.float64], apart: NDArray[np.float64]) -> _Class:
        lengths = np.linalg.norm(apart, axis=1)
        length = float(np.mean(lengths**2)) ** 0.5
        centre_length = max(1e-6, float(centre @ centre) - length**2 / len(apart)) ** 0.5
        scaled = (apart / np.sqrt(len(apart))).astype(np.float32)
        return _Class(centre_length, length, scaled, (lengths / max(length, 1e-9)).astype(np.float32))


class LibraryWorld:
    """Draws photos like those it is given. Not thread-safe: each call advances its generator."""

    def __init__(self, real: RealPhotos, seed: int) -> None:
        self.real = real
        self._rng = np.random.default_rng(seed)
        rows, classes = real.descriptors.astype(np.float64), real.classes
        counts = np.bincount(classes)
        centres = np.stack([rows[classes == kind].mean(axis=0) for kind in range(len(counts))])
        # A class of n photos has only n - 1 free directions: without this factor the drawn ones would be too tight.
        apart = (rows - centres[classes]) * np.sqrt(counts / np.maximum(1, counts - 1))[classes, None]
        several = counts[classes] > 1
        within = np.cov(apart[several].T)
        # The spread of estimated centres holds the photos' own, divided by their number.
        between = np.cov(centres.T) - within * float(np.mean(1.0 / counts))
        self._mean, self._between = centres.mean(axis=0), _root(between)
        self._within = _root(within / np.trace(within)).astype(np.float32)  # photos at length 1, on average
        self.photos_a_class = len(rows) / len(counts)
        self._classes = [
            _Class.of(centres[kind], apart[classes == kind])
            for kind in np.flatnonzero(counts >= CLASS_PHOTOS_MIN).tolist()
        ]
        latent = np.sin(np.pi / 2 * np.clip(np.cov((2.0 * real.bits - 1).T), -1, 1))
        np.fill_diagonal(latent, 1.0)
        self._bits = _root(latent).astype(np.float32)
        self.own_share_max = 0.0
        self.own_share_max = self._fitted_share()

    def _fitted_share(self) -> float:
        wanted = float(np.median(_nearest_cosines(self.real.descriptors, 1)))
        misses = []
        for share in OWN_SHARES:
            self.own_share_max = share
            drawn, _ = self.draw(len(self.real.descriptors))
            misses.append(abs(float(np.median(_nearest_cosines(drawn, 1))) - wanted))
        return OWN_SHARES[int(np.argmin(misses))]

    def draw(self, count: int) -> tuple[Floats, Bits]:
        """Returns descriptors (count, 256) of length 1 and packed hashes (count, 32), in no order."""
        kinds = max(1, round(count / self.photos_a_class))
        centres = self._mean + self._rng.standard_normal((kinds, DIMENSIONS)) @ self._between
        like = self._rng.integers(0, len(self._classes), kinds)
        centres *= (
            np.array([real_class.centre_length for real_class in self._classes])[like] / np.linalg.norm(centres, axis=1)
        )[:, None]
        own = self._rng.uniform(0, self.own_share_max, kinds)
        size = np.array([len(real_class.apart) for real_class in self._classes], np.float64)[like]
        descriptors = np.empty((count, DIMENSIONS), np.float32)
        hashes = np.empty((count, PDQ_BITS // 8), np.uint8)
        for start in range(0, count, DRAW_ROWS):
            part = slice(start, min(count, start + DRAW_ROWS))
            kind = self._rng.choice(kinds, part.stop - part.start, p=size / size.sum())
            rows = centres[kind].astype(np.float32) + self._away(like[kind], own[kind])
            descriptors[part] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            latent = self._rng.standard_normal((len(kind), PDQ_BITS), np.float32) @ self._bits
            hashes[part] = np.packbits(latent > np.median(latent, axis=1, keepdims=True), axis=1)
        return descriptors, hashes

    def _away(self, like: NDArray[np.int64], own: NDArray[np.float64]) -> Floats:
        """Returns offsets from class centres, spread as photos of the real classes `like` are: a share `own` in those
        classes' own directions, the rest in directions common to all."""
        shared = self._rng.standard_normal((len(like), DIMENSIONS), np.float32) @ self._within
        away = np.empty_like(shared)
        for number, real_class in enumerate(self._classes):
            rows = np.flatnonzero(like == number)
            mixed = self._rng.standard_normal((len(rows), len(real_class.apart)), np.float32) @ real_class.apart
            share = own[rows, None].astype(np.float32)
            away[rows] = np.sqrt(1 - share) * real_class.length * shared[rows] + np.sqrt(share) * mixed
            away[rows] *= self._rng.choice(real_class.outlying, len(rows))[:, None]
        return away

    def copies(self, descriptors: Floats, hashes: Bits) -> tuple[Floats, Bits]:
        """Returns an edited copy of each: (n, 256) and the packed hash of its nearest orientation (n, 32)."""
        count = len(descriptors)
        chosen = self._rng.integers(0, len(self.real.copy_cosines), count)
        cosine = self.real.copy_cosines[chosen].clip(0, 1)[:, None]
        # Away from the original an edit drifts into another photo's direction, not into one that no photo takes.
        other, _ = self.draw(count)
        other -= (other * descriptors).sum(axis=1, keepdims=True) * descriptors
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        turned = cosine * descriptors + np.sqrt(1 - cosine**2) * other
        flips = np.zeros((count, PDQ_BITS), np.uint8)
        for row, distance in enumerate(self.real.copy_bits[chosen]):
            flips[row, self._rng.choice(PDQ_BITS, int(distance), replace=False)] = 1
        return turned.astype(np.float32), hashes ^ np.packbits(flips, axis=1)

    def resemblance(self) -> dict[str, Any]:
        """Compares the nearest neighbours of the real photos with those of as many drawn ones: quantiles of the cosine
        and of the Hamming distance.
        """
        descriptors, _ = self.draw(len(self.real.descriptors))
        _, hashes = self.draw(len(self.real.bits))
        bits = np.unpackbits(hashes, axis=1)
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)

        def spread(values: NDArray[np.floating]) -> list[float]:
            return [round(float(value), 3) for value in np.quantile(values, levels)]

        return {
            "photos": len(descriptors),
            "own_share_max": self.own_share_max,
            "quantiles": list(levels),
            "nearest_cosine_real": spread(_nearest_cosines(self.real.descriptors, 1)),
            "nearest_cosine_drawn": spread(_nearest_cosines(descriptors, 1)),
            "tenth_cosine_real": spread(_nearest_cosines(self.real.descriptors, 10)),
            "tenth_cosine_drawn": spread(_nearest_cosines(descriptors, 10)),
            "nearest_bits_real": spread(_nearest_bits(self.real.bits)),
            "nearest_bits_drawn": spread(_nearest_bits(bits)),
            "copy_cosine_real": spread(self.real.copy_cosines),
            "copy_bits_real": spread(self.real.copy_bits.astype(np.float32)),
        }


def orientations(pdq: bytes) -> tuple[bytes, ...]:
    """Returns the eight hashes of a turned and mirrored picture: PDQ's 16 x 16 cosine transform transposed, and the
    signs of every other row and column changed.
    """
    grid = np.unpackbits(np.frombuffer(pdq, np.uint8)).reshape(16, 16)
    other = np.arange(16) % 2
    hashes = []
    for turned in (grid, grid.T):
        for rows, columns in ((0, 0), (0, 1), (1, 0), (1, 1)):
            hashes.append(turned ^ (rows * other[:, None]) ^ (columns * other[None, :]))
    return tuple(np.packbits(bits.astype(np.uint8)).tobytes() for bits in hashes)


def drawn_fingerprint(
    number: int, descriptor: Floats, pdq: bytes, model: str, others: Floats | None = None
) -> Fingerprint:
    """Returns a fingerprint without picture, keypoints or thumbnail. others: (v, 256), the descriptors of its views."""
    rows = descriptor[None] if others is None else np.concatenate([descriptor[None], others])
    crowds = shared_model(1).crowd(rows).tolist()
    nothing = Keypoints(8, 8, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8))
    corners, grey, limits = PartBox(0, 0, 8, 8).corners, np.zeros((8, 8), np.uint8), FingerprintLimits()
    parts = tuple(PartView(corners, row, crowd, grey, limits) for row, crowd in zip(rows[1:], crowds[1:], strict=True))
    digest = hashlib.sha256(f"drawn {number}".encode()).hexdigest()
    return Fingerprint(
        sha256=digest,
        pixel_sha256=digest[::-1],
        phash=number,
        dhash=number,
        whash=number,
        pdq=pdq,
        pdq_quality=100,
        pdq_usable=True,
        descriptor=descriptor,
        crowd=crowds[0],
        descriptor_model=model,
        keypoints=nothing,
        thumbnail=np.zeros((8, 8), np.uint8),
        width_px=8,
        height_px=8,
        pdq_turned=orientations(pdq),
        views=parts,
        featureless="",
    )


def exact_neighbours(rows: NDArray[np.float16], queries: Floats, count: int) -> NDArray[np.int64]:
    """Returns indices (q, count) of the rows of greatest cosine, nearest first, by comparing every row in float32.
    rows: (n, 256), as the database holds them (half precision).
    """
    best: Floats = np.full((len(queries), 0), 0, np.float32)
    index = np.zeros((len(queries), 0), np.int64)
    for start, part in _parts(rows):
        cosines = queries @ part.T
        top = np.argpartition(-cosines, min(count, cosines.shape[1] - 1), axis=1)[:, :count]
        best = np.concatenate([best, np.take_along_axis(cosines, top, axis=1)], axis=1)
        index = np.concatenate([index, top + start], axis=1)
        keep = np.argsort(-best, axis=1, kind="stable")[:, :count]
        best, index = np.take_along_axis(best, keep, axis=1), np.take_along_axis(index, keep, axis=1)
    return index


def _parts(rows: NDArray[np.float16]) -> Iterator[tuple[int, Floats]]:
    """Yields parts of the rows normalised in float32: half precision changes lengths, and the database divides by
    them.
    """
    for start in range(0, len(rows), DRAW_ROWS):
        part = rows[start : start + DRAW_ROWS].astype(np.float32)
        yield start, part / np.linalg.norm(part, axis=1, keepdims=True)


def _nearest_cosines(rows: Floats, rank: int) -> Floats:
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    return np.asarray(-np.partition(-cosines, rank - 1, axis=1)[:, rank - 1], np.float32)


def _nearest_bits(bits: Bits) -> Floats:
    signs = 2.0 * bits.astype(np.float32) - 1
    distances = (PDQ_BITS - signs @ signs.T) / 2
    np.fill_diagonal(distances, PDQ_BITS)
    return np.asarray(distances.min(axis=1), np.float32)


def _root(covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns a matrix that gives standard normal rows this covariance; negative eigenvalues of the estimate become
    0.
    """
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(values.clip(0))[:, None] * vectors.T, dtype=np.float64)
