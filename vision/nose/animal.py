"""Asks a second witness whose nose it is: the classifier of `vision.subject`, which knows 118 breeds of dogs, cats and
100 other mammals, looks at the whole picture."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from vision.subject import shared_subject_model

Pixels = npt.NDArray[np.uint8]

# ImageNet's classes by their number: breeds of dogs; house cats; hoofed animals, hippopotamus, camels and elephants
# (hogs left out: a pink nose alone is taken for one); other mammals (wolves and wild dogs left out: breeds look like
# them).
DOGS: Final = tuple(range(151, 269))
CATS: Final = tuple(range(281, 286))
HOOFED: Final = (339, 340, *range(342, 356), 385, 386)
OTHERS: Final = (*range(276, 281), *range(286, 300), *range(330, 388))
CONTEXT_WIDTHS: Final = 3.5  # of the nose: in a narrower picture cats pass for big cats
OTHER_TIMES_MIN: Final = 3.0  # how much likelier than a dog or a cat another mammal must be

Verdict = Literal["pet", "other", "unknown"]


class AnimalWitness:
    """Tells dogs and cats from other animals and from no animal. Thread-safe. Raises ModelMissing or ModelCorrupt for
    the classifier. pet_min: likelihood of a dog or a cat from which it vouches for one."""

    def __init__(self, pet_min: float, threads: int = 1) -> None:
        self._pet_min = pet_min
        self._model = shared_subject_model(threads)

    def look(self, pixels: Pixels, width_px: float) -> Verdict:
        """Return what the picture, uint8 (h, w, 3), with a nose of that width shows. "other": a hoofed animal rather
        than a dog or a cat or, where there is more than a nose in the picture, far likelier another mammal. "unknown":
        likely none of them; a close-up of a nose is often that."""
        row = self._model.probabilities([pixels])[0]
        pet = float(row[list(DOGS)].sum() + row[list(CATS)].sum())
        wide = pixels.shape[1] >= CONTEXT_WIDTHS * width_px
        if float(row[list(HOOFED)].sum()) > pet:
            return "other"
        if wide and float(row[list(OTHERS)].sum()) > OTHER_TIMES_MIN * pet:
            return "other"
        return "pet" if pet >= self._pet_min else "unknown"
