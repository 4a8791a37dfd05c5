"""From rendered photos to similarity figures: look-alike litter-mates are told apart, bad captures are refused with a
reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from skimage import data

from fixtures.noses import CAREFUL, draw_capture, render_nose
from vision.errors import TemplatesIncompatible
from vision.measurement import Unmeasured
from vision.nose import NoseComparison, NoseReader, NoseTemplate, check_enrolment, compare

LITTER = 41_000
PETS = (410_001, 410_002, 410_003)


@pytest.fixture(scope="module")
def reader() -> NoseReader:
    return NoseReader()


def template(reader: NoseReader, pet: int, capture: int, **changes: Any) -> NoseTemplate:
    read = reader.read_pixels(render_nose(pet, LITTER, capture, **(dict(CAREFUL) | changes)).pixels)
    assert isinstance(read, NoseTemplate), read
    return read


@pytest.fixture(scope="module")
def enrolled(reader: NoseReader) -> dict[int, list[NoseTemplate]]:
    return {
        pet: [template(reader, pet, 41_000_000 + pet * 10 + i, yaw_deg=yaw) for i, yaw in enumerate((-6.0, 0.0, 7.0))]
        for pet in PETS
    }


def test_three_look_alike_litter_mates_are_told_apart(
    reader: NoseReader, enrolled: dict[int, list[NoseTemplate]]
) -> None:
    for pet in PETS:
        photo = render_nose(pet, LITTER, 42_000_000 + pet, **CAREFUL).pixels
        probe = reader.read_pixels(photo)
        assert isinstance(probe, NoseTemplate)
        results = {other: compare(probe, enrolled[other]) for other in PETS}
        similarity = {
            other: result.similarity for other, result in results.items() if isinstance(result, NoseComparison)
        }
        assert max(similarity, key=similarity.__getitem__) == pet
        others = [value for other, value in similarity.items() if other != pet]
        assert similarity[pet] > max(others) + 0.1


def test_templates_compare_alike_after_a_round_through_bytes(
    reader: NoseReader, enrolled: dict[int, list[NoseTemplate]]
) -> None:
    probe = template(reader, PETS[0], 42_000_009)
    stored = [NoseTemplate.from_bytes(template.to_bytes()) for template in enrolled[PETS[0]]]
    assert compare(NoseTemplate.from_bytes(probe.to_bytes()), stored) == compare(probe, enrolled[PETS[0]])


def test_without_an_enrolment_nothing_is_measured(reader: NoseReader) -> None:
    assert isinstance(compare(template(reader, PETS[0], 1), []), Unmeasured)


def test_templates_of_another_model_are_not_compared(enrolled: dict[int, list[NoseTemplate]]) -> None:
    first, second, _ = enrolled[PETS[0]]
    with pytest.raises(TemplatesIncompatible):
        compare(first, [replace(second, model="nose_print@ffffffffffff")])


def test_three_photos_of_one_pet_make_an_enrolment(enrolled: dict[int, list[NoseTemplate]]) -> None:
    assert check_enrolment(enrolled[PETS[0]], ["a", "b", "c"]) == []


def test_an_enrolment_refuses_a_litter_mate_a_repeated_photo_and_too_few(
    enrolled: dict[int, list[NoseTemplate]],
) -> None:
    mine, other = enrolled[PETS[0]], enrolled[PETS[1]]
    mixed = check_enrolment([*mine[:2], other[0]], ["a", "b", "c"])
    assert any("photo 3 does not show the same nose" in problem for problem in mixed), mixed
    assert any("same file" in problem for problem in check_enrolment(mine, ["a", "a", "c"]))
    assert any("at least 3" in problem for problem in check_enrolment(mine[:2], ["a", "b"]))


def test_shots_that_are_as_alike_as_one_photo_are_not_called_one_by_their_nose(
    reader: NoseReader, enrolled: dict[int, list[NoseTemplate]]
) -> None:
    pixels = render_nose(PETS[0], LITTER, 41_000_000, **CAREFUL).pixels
    again = np.clip(pixels.astype(np.int16) + 4, 0, 255).astype(np.uint8)
    first, second = reader.read_pixels(pixels), reader.read_pixels(again)
    assert isinstance(first, NoseTemplate)
    assert isinstance(second, NoseTemplate)
    assert check_enrolment([first, second, enrolled[PETS[0]][1]], ["a", "b", "c"]) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"nose_share": 0.2}, "too small"),
        ({"light": 0.1, "ambient": 0.06, "wetness": 0.0}, "too dark"),
        ({"wetness": 1.0, "light": 9.0}, "glare"),
        ({"cover": 0.4}, "covered"),
        ({"defocus_px": 6.0}, "blurred"),
        ({"motion_px": 22.0}, "blurred"),
    ],
)
def test_a_bad_capture_is_refused_with_what_is_wrong(reader: NoseReader, changes: dict[str, float], word: str) -> None:
    read = reader.read_pixels(render_nose(PETS[0], LITTER, 43_000_000, **(dict(CAREFUL) | changes)).pixels)
    assert isinstance(read, Unmeasured)
    assert word in read.reason


@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket", "chelsea"])
def test_a_photo_that_shows_no_nose_close_up_makes_no_template(reader: NoseReader, name: str) -> None:
    assert isinstance(reader.read_pixels(getattr(data, name)()), Unmeasured)


def test_a_picture_of_one_colour_or_one_pixel_is_unmeasured(reader: NoseReader) -> None:
    for shape in ((1, 1, 3), (1, 900, 3), (500, 500, 3)):
        assert isinstance(reader.read_pixels(np.full(shape, 40, np.uint8)), Unmeasured)


def test_one_seed_renders_one_picture() -> None:
    np.testing.assert_array_equal(render_nose(7, 7, 7, size_px=256).pixels, render_nose(7, 7, 7, size_px=256).pixels)
    assert draw_capture(3) != draw_capture(4)
