"""A nose that is half another one is told by its blocks; an honest photo, however alike or unlike, is not."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from claims.rules import RULES
from fixtures.nose_attacks import half_pasted, pasted
from fixtures.noses import CAREFUL, NoseView, render_nose
from vision.nose import NoseReader, NoseTemplate
from vision.nose.compare import align_all
from vision.nose.patchwork import NO_PATCHWORK, NosePatchwork, patchwork

LITTER, PETS = 81_000, (810_000, 810_001)


def view(pet: int, capture: int) -> NoseView:
    return render_nose(pet, LITTER, capture, **CAREFUL)


@cache
def reader() -> NoseReader:
    return NoseReader()


def read(pixels: np.ndarray) -> NoseTemplate:
    template = reader().read_pixels(pixels)
    assert isinstance(template, NoseTemplate), template
    return template


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as stored:
        return np.asarray(stored.convert("RGB"))


def is_pieced(shares: NosePatchwork) -> bool:
    alike = shares.alike_ratio >= RULES.nose_pieced_alike_ratio_min
    return alike and shares.unlike_ratio >= RULES.nose_pieced_unlike_ratio_min


@pytest.fixture(scope="module")
def enrolled() -> list[NoseTemplate]:
    return [read(view(PETS[0], capture).pixels) for capture in (1, 2, 3)]


def test_half_a_nose_on_a_litter_mates_is_pieced_together(enrolled: list[NoseTemplate]) -> None:
    for seed in (0, 1):
        attack = half_pasted(view(PETS[0], 2), view(PETS[1], 5 + seed), np.random.default_rng(seed))
        assert is_pieced(patchwork(align_all(read(pixels_of(attack)), enrolled)))


def test_new_photos_of_the_pet_of_its_litter_mate_and_a_whole_copy_are_not(enrolled: list[NoseTemplate]) -> None:
    whole = pixels_of(pasted(view(PETS[0], 2), view(PETS[1], 5), np.random.default_rng(0)))
    for pixels in (view(PETS[0], 4).pixels, view(PETS[0], 6).pixels, view(PETS[1], 5).pixels, whole):
        assert not is_pieced(patchwork(align_all(read(pixels), enrolled)))


def test_nothing_to_compare_with_is_no_patchwork(enrolled: list[NoseTemplate]) -> None:
    assert patchwork(align_all(enrolled[0], [])) == NO_PATCHWORK
