"""The finder on real dogs and cats (groups that neither trained it nor test it), on renders, and where there is no
nose."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.nose_finders import by_species, look, overlap
from fixtures import caltech
from fixtures.noses import CAREFUL, render_nose
from fixtures.pet_faces import CALTECH_OTHER_ANIMALS, TAR, MarkedPhoto, chooses, close_up, marked_photos
from vision.measurement import Unmeasured
from vision.nose import CaptureLimits, NoseGuide, NoseReader, NoseTemplate
from vision.nose.detail import octave_ratio, resolved_width_px
from vision.nose.find import NoseFinder
from vision.nose.network import FinderNetwork

LITTER = 42_000
LIMITS = CaptureLimits()
needs_pets = pytest.mark.skipif(not TAR.is_file(), reason=f"needs {TAR.name} beside the checkout")
needs_caltech = pytest.mark.skipif(not caltech.TAR.is_file(), reason=f"needs {caltech.TAR.name} beside the checkout")

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def finder() -> NoseFinder:
    return NoseFinder(FinderNetwork())


@pytest.fixture(scope="module")
def reader() -> NoseReader:
    return NoseReader()


@pytest.fixture(scope="module")
def pets() -> list[MarkedPhoto]:
    return [photo for photo in marked_photos("train") if chooses(photo) and photo.width_px >= 20]


@needs_pets
def test_noses_of_real_dogs_and_cats_are_found_with_nostrils_and_species(
    finder: NoseFinder, pets: list[MarkedPhoto]
) -> None:
    rows = look(finder, pets)
    figures = by_species(rows, LIMITS.confidence_min)
    assert len(rows) >= 25
    assert sum(row.located(LIMITS.confidence_min) for row in rows) >= 0.85 * len(rows), figures
    errors = [row.nostrils for row in rows if np.isfinite(row.nostrils) and row.located(LIMITS.confidence_min)]
    assert float(np.median(errors)) <= 0.06, figures
    assert np.mean([row.told_species == row.species for row in rows]) >= 0.85


@needs_pets
def test_close_ups_of_real_noses_are_found(finder: NoseFinder, pets: list[MarkedPhoto]) -> None:
    rows = look(finder, [close_up(photo) for photo in pets])
    assert sum(row.located(LIMITS.confidence_min) for row in rows) >= 0.85 * len(rows)


@needs_pets
def test_a_face_shot_is_told_to_come_closer_and_never_that_the_nose_is_covered(
    reader: NoseReader, pets: list[MarkedPhoto]
) -> None:
    reasons = [read.reason for photo in pets if isinstance(read := reader.read_pixels(photo.pixels), Unmeasured)]
    assert len(reasons) == len(pets)
    assert not [reason for reason in reasons if "covered" in reason]
    assert sum(reason.startswith("nose too small") for reason in reasons) >= 0.85 * len(reasons)


@needs_pets
def test_a_pet_whose_nose_is_outside_the_picture_makes_no_template(reader: NoseReader) -> None:
    bare = [photo for photo in marked_photos("train") if photo.box is None]
    assert len(bare) >= 10
    assert not [photo.file for photo in bare if isinstance(reader.read_pixels(photo.pixels), NoseTemplate)]


@needs_caltech
def test_another_animals_nose_makes_no_template_and_no_dog(reader: NoseReader) -> None:
    animals = [
        photo.pixels for photo in caltech.photos("train", per_category_max=3) if photo.category in CALTECH_OTHER_ANIMALS
    ]
    read = [reader.find(pixels) for pixels in animals]
    assert np.mean([isinstance(nose, Unmeasured) for nose in read]) >= 0.8
    assert any(isinstance(nose, Unmeasured) and nose.reason.startswith("not a dog's") for nose in read)


def test_a_rendered_nose_is_found_to_the_pixel_that_it_was_drawn_at(finder: NoseFinder) -> None:
    errors = []
    for capture in range(4):
        view = render_nose(421_000 + capture, LITTER + capture, 45_000_000 + capture, **CAREFUL)
        nose = finder.find(view.pixels)
        assert nose is not None
        assert nose.confidence >= LIMITS.confidence_min
        rows, columns = np.nonzero(view.mask)
        assert overlap(nose.bounds, (columns.min(), rows.min(), columns.max(), rows.max())) >= 0.7
        marked = np.array([view.left_nostril, view.right_nostril])
        errors.append(np.hypot(*(np.array([nose.left_nostril, nose.right_nostril]) - marked).T).mean() / view.width_px)
    assert float(np.median(errors)) <= 0.04


def test_an_enlarged_nose_is_refused_for_its_detail_and_the_same_nose_as_taken_is_not(reader: NoseReader) -> None:
    taken = render_nose(421_100, LITTER, 45_000_100, **CAREFUL).pixels
    assert isinstance(reader.read_pixels(taken), NoseTemplate)
    small = cv2.resize(taken, None, fx=0.16, fy=0.16, interpolation=cv2.INTER_AREA)
    for how in (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4):
        enlarged = np.asarray(cv2.resize(small, (768, 768), interpolation=how), np.uint8)
        read = reader.read_pixels(enlarged)
        assert isinstance(read, Unmeasured)
        assert "detail" in read.reason or "blurred" in read.reason, read.reason


@pytest.mark.parametrize("times", [2, 3, 4])
def test_the_width_of_an_enlarged_texture_is_told_within_a_factor_of_two(times: int) -> None:
    rng = np.random.default_rng(times)
    noise = cv2.GaussianBlur(rng.normal(127, 60, (96, 96, 3)).astype(np.float32), (0, 0), 0.6)
    small = np.clip(noise, 0, 255).astype(np.uint8)
    large = np.asarray(cv2.resize(small, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), np.uint8)
    assert resolved_width_px(small, (0, 0, 96, 96)) == 96
    assert 80 <= resolved_width_px(large, (0, 0, 96.0 * times, 96.0 * times)) <= 2 * 96


def test_a_flat_picture_has_no_detail() -> None:
    assert octave_ratio(np.full((64, 64), 90, np.float32)) < 0.12


def test_two_taps_or_the_frame_on_the_screen_align_a_nose_that_the_finder_is_not_sure_of() -> None:
    unsure = NoseReader(CaptureLimits(confidence_min=1.01))
    view = render_nose(421_200, LITTER, 45_000_200, **CAREFUL)
    assert isinstance(unsure.read_pixels(view.pixels), Unmeasured)
    taps = NoseGuide(nostrils=(view.right_nostril, view.left_nostril))  # in any order
    assert isinstance(unsure.read_pixels(view.pixels, taps), NoseTemplate)
    rows, columns = np.nonzero(view.mask)
    frame = (float(columns.min()) - 20, float(rows.min()) - 20, float(columns.max()) + 20, float(rows.max()) + 20)
    assert isinstance(unsure.read_pixels(view.pixels, NoseGuide(frame=frame)), NoseTemplate)


def test_taps_where_no_nose_is_make_no_template(reader: NoseReader) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)
    for picture in (noise, smooth, np.full_like(noise, 120)):
        guide = NoseGuide(nostrils=((230.0, 300.0), (370.0, 300.0)))
        assert isinstance(reader.read_pixels(picture, guide), Unmeasured)


def test_a_guide_that_says_nothing_or_points_outside_is_no_nose(reader: NoseReader) -> None:
    picture = np.full((300, 300, 3), 120, np.uint8)
    with pytest.raises(ValueError, match="two nostrils or a frame"):
        reader.read_pixels(picture, NoseGuide())
    for frame in ((-900.0, -900.0, -500.0, -500.0), (5.0, 5.0, 5.0, 5.0), (0.0, 0.0, 1e9, 1e9)):
        assert isinstance(reader.read_pixels(picture, NoseGuide(frame=frame)), Unmeasured)
