"""Training batches for the copy descriptor: one nearly unchanged view of each photo, and one as a fraudster sends it.

A batch depends on its number and the seed alone, so that an interrupted training continues with the same batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fixtures import edits, harder_edits

Pixels = NDArray[np.uint8]

CATEGORIES_A_BATCH: Final = 8
PHOTOS_A_CATEGORY: Final = 8
PHOTOS_A_BATCH: Final = CATEGORIES_A_BATCH * PHOTOS_A_CATEGORY
SIZES_PX: Final = (112, 128, 160, 192)  # sizes of the network's input, one per batch
PLAIN_SHARE: Final = 0.5  # share of the first views that are the unchanged photo
SINGLE_SHARE: Final = 0.55  # share of the second views with one edit; the others have two or three
PASTED_SHARE: Final = 0.06  # share of the second views pasted onto another photo
_GEOMETRY: Final = (
    "cropped_50",
    "cropped_25",
    "cropped_10",
    "mirrored",
    "rotated_15",
    "rotated_90",
    "crop_mirror_recompress",
)
_COLOUR: Final = (
    *("recoloured", "grey", "jpeg_20", "blurred", "resized_30", "copied", "hue_shifted", "saturated", "contrasted"),
    *("washed_out", "grainy", "inverted", "recompressed_thrice", "upscaled", "beautified"),
)
_AROUND: Final = (
    *("text_and_emoji", "bordered", "screenshot", "rephotographed", "collage", "covered", "cut_out", "new_background"),
    *("collage_9", "screenshot_twice", "screen_in_hand"),
)
_COLLAGES: Final = frozenset({"collage", "collage_9"})  # they show all of the others that they are given
_BESIDES: Final = frozenset({"cut_out", "new_background", "screen_in_hand"})  # they show a part of the first
_WEAK: Final = ("recoloured", "jpeg_20", "resized_30", "cropped_50", "text_and_emoji", "bordered")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """One batch. pixels: uint8 (2 n, size, size, 3), the n first views and then the n second ones. photos: (n,)
    numbers, one for all photos of a scene.

    shows: bool (2 n, n), which of the batch's photos a view is a copy of. hints: bool, the same shape, which others it
    shows in part (the photo beneath a pasted one) or that are of its scene: neither positives nor negatives.
    """

    pixels: Pixels
    photos: NDArray[np.intp]
    shows: NDArray[np.bool_]
    hints: NDArray[np.bool_]


class Batches(Dataset[TrainingBatch]):
    """The batches, by number. photos: uint8 (h, w, 3) each. categories: one class per photo. scenes: for each photo the
    number that it shares with other photos of the same scene, which are neither copies of it nor strangers; its own
    index if it shares none.

    Copies are hard to tell from look-alikes of the same class, so a batch holds several photos of each class.
    """

    def __init__(
        self,
        photos: Sequence[Pixels],
        categories: Sequence[str],
        count: int,
        seed: int,
        scenes: Sequence[int] | None = None,
    ) -> None:
        by_category: dict[str, list[int]] = {}
        for index, category in enumerate(categories):
            by_category.setdefault(category, []).append(index)
        self._photos = photos
        self._scenes = np.arange(len(photos)) if scenes is None else np.asarray(scenes, dtype=np.intp)
        self._by_category: Mapping[str, list[int]] = {
            name: members for name, members in by_category.items() if len(members) >= PHOTOS_A_CATEGORY
        }
        self._count = count
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> TrainingBatch:
        if not 0 <= number < self._count:
            raise IndexError(number)
        cv2.setNumThreads(1)
        rng = np.random.default_rng((self._seed, number))
        size = SIZES_PX[int(rng.integers(len(SIZES_PX)))]
        names = rng.choice(sorted(self._by_category), CATEGORIES_A_BATCH, replace=False)
        photos = np.concatenate(
            [rng.choice(self._by_category[str(name)], PHOTOS_A_CATEGORY, replace=False) for name in names]
        )
        count = len(photos)
        pixels = np.empty((2 * count, size, size, 3), np.uint8)
        shows = np.tile(np.eye(count, dtype=bool), (2, 1))
        scenes = self._scenes[photos]
        hints = np.tile(scenes[:, None] == scenes[None], (2, 1)) & ~shows
        for place, photo in enumerate(photos):
            pixels[place] = fit_square(weak(self._photos[photo], rng), size)
            others = [int(k) for k in rng.choice([k for k in range(count) if k != place], 3, replace=False)]
            second, uses, beneath = strong(self._photos[photo], rng, [self._photos[photos[k]] for k in others])
            pixels[count + place] = fit_square(second, size)
            if uses:
                shows[count + place, others] = True
            if beneath:
                hints[count + place, others[0]] = True
        return TrainingBatch(pixels, scenes, shows, hints & ~shows)


def fit_square(pixels: Pixels, size_px: int) -> Pixels:
    """Squeeze a picture to a square, as the descriptor does."""
    return np.asarray(cv2.resize(pixels, (size_px, size_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def weak(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the photo as it lies in the library: unchanged or lightly edited."""
    if rng.random() < PLAIN_SHARE:
        return pixels
    return edits.EDITS[str(rng.choice(_WEAK))](pixels, rng, ())


def strong(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels]) -> tuple[Pixels, bool, bool]:
    """Return an edited copy; True if it is a collage that also shows the three `others`; True if it shows a part of
    others[0]."""
    if rng.random() < PASTED_SHARE:
        return _jpeg(pasted(pixels, others[0], rng), rng), False, True
    if rng.random() < SINGLE_SHARE:
        names = [str(rng.choice(list(harder_edits.ALL)))]
    else:
        groups = [_GEOMETRY, _COLOUR, _AROUND]
        kept = sorted(rng.choice(3, int(rng.integers(2, 4)), replace=False).tolist())
        names = [str(rng.choice(groups[group])) for group in kept]
    for name in names:
        if min(pixels.shape[:2]) < 48 and name.startswith("crop"):
            continue
        pixels = harder_edits.ALL[name](pixels, rng, others)
    return _jpeg(pixels, rng), bool(_COLLAGES.intersection(names)), bool(_BESIDES.intersection(names))


def pasted(pixels: Pixels, beneath: Pixels, rng: np.random.Generator) -> Pixels:
    """Paste the photo onto another one, on 30% to 70% of its area."""
    height, width = beneath.shape[:2]
    share = float(rng.uniform(0.3, 0.7)) ** 0.5
    size = (max(8, int(width * share)), max(8, int(height * share)))
    top, left = int(rng.integers(0, height - size[1] + 1)), int(rng.integers(0, width - size[0] + 1))
    out = beneath.copy()
    out[top : top + size[1], left : left + size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return out


def _jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return edits.through_jpeg(pixels, int(rng.integers(35, 93)))
