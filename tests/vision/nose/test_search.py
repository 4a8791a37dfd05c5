"""The search for a nose among many: its owner leads the short list, whatever was added in whatever portions."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nose_search import Crowd, SearchedPet, draw_crowd, fill, one_to_n
from fixtures.noses import CAREFUL, render_nose
from vision.errors import TemplateUnreadable
from vision.nose import NoseReader, NoseTemplate
from vision.nose.likelihood import RENDERS, ImpostorTail, NoseLikelihood
from vision.nose.search import BLOCKS, NoseIndex, NoseSearchLimits, Sketch, sketch, strong_hits

LITTER, PETS = 61_000, tuple(range(610_001, 610_005))
FUSION = NoseLikelihood(
    bias=-20.0, similarity_weight=40.0, inliers_weight=1.5, log10_min=-1.5, log10_max=2.5, valid_for=RENDERS,
    provisional=False, animals=100, sessions=500, genuine=200, impostors=1000, similarity_min=0.1, similarity_max=0.9,
    model=NoseReader().model, tail=ImpostorTail(-4.0, 0.05, 0.5, 1000),
)  # fmt: skip


@pytest.fixture(scope="module")
def photos() -> dict[int, list[NoseTemplate]]:
    """Returns three templates of each of four litter-mates: two to enrol, the last of another session."""
    reader = NoseReader()
    read: dict[int, list[NoseTemplate]] = {}
    for pet in PETS:
        for number, yaw in enumerate((-5.0, 4.0, 8.0)):
            seed = 61_000_000 + pet * 10 + number
            view = render_nose(pet, LITTER, seed, **(dict(CAREFUL) | {"yaw_deg": yaw, "roll_deg": 3.0 * number}))
            template = reader.read_pixels(view.pixels)
            assert isinstance(template, NoseTemplate), template
            read.setdefault(pet, []).append(template)
    return read


@pytest.fixture(scope="module")
def crowd(photos: dict[int, list[NoseTemplate]]) -> Crowd:
    return draw_crowd([templates[:2] for templates in photos.values()])


def test_the_owner_leads_the_short_list_among_litter_mates_and_a_crowd(
    photos: dict[int, list[NoseTemplate]], crowd: Crowd
) -> None:
    index = NoseIndex(NoseSearchLimits(finer_min=60))
    fill(index, crowd, range(400))
    for pet, templates in photos.items():
        index.add([str(pet)] * 2, [sketch(template) for template in templates[:2]])
    assert (index.pets, index.templates) == (404, 400 * 2 + 8)
    for pet, templates in photos.items():
        short_list = index.nearest(templates[2])
        assert short_list[0] == str(pet)
        assert len(short_list) == len(set(short_list)) == index.limits.pets_compared
        assert str(pet) not in index.nearest(templates[2], apart_from=str(pet))


def test_what_is_found_does_not_depend_on_the_portions_it_was_added_in(
    photos: dict[int, list[NoseTemplate]], crowd: Crowd
) -> None:
    rows = [(f"drawn {pet}", sketch(crowd.template(pet, view))) for pet in range(40) for view in range(2)]
    rows += [(str(pet), sketch(templates[0])) for pet, templates in photos.items()]
    at_once, singly = NoseIndex(), NoseIndex()
    at_once.add([pet for pet, _ in rows], [row for _, row in rows])
    for pet, row in rows:
        singly.add([pet], [row])
    assert singly.nearest(photos[PETS[0]][2]) == at_once.nearest(photos[PETS[0]][2])
    assert singly.templates == at_once.templates == len(rows)


def test_hits_are_above_a_threshold_that_rises_with_the_number_of_pets(
    photos: dict[int, list[NoseTemplate]],
) -> None:
    probe = photos[PETS[0]][2]
    short_list = {str(pet): templates[:2] for pet, templates in photos.items()}
    few, many = (strong_hits(probe, short_list, FUSION, pets, NoseSearchLimits()) for pets in (1_000, 100_000))
    assert [hit.pet_id for hit in few] == [hit.pet_id for hit in many] == [str(PETS[0])]
    assert many[0].score_min > few[0].score_min
    assert few[0].comparison.fitted_on == FUSION.fitted_on
    assert strong_hits(probe, {}, FUSION, 0, NoseSearchLimits()) == []
    everybody = NoseSearchLimits(false_alarms_per_search=1e-300)  # asks for more than any comparison gives
    assert strong_hits(probe, short_list, FUSION, 100, everybody) == []


def test_a_sketch_reads_back_and_other_bytes_are_refused(photos: dict[int, list[NoseTemplate]]) -> None:
    written = sketch(photos[PETS[0]][0])
    data = written.to_bytes()
    assert len(data) < 3_000
    read = Sketch.from_bytes(data)
    np.testing.assert_array_equal(read.codes, written.codes)
    np.testing.assert_array_equal(read.visible, written.visible)
    for wrong in (b"", b"\x01", data[:-1], data + b"\0", b"\x09" + data[1:]):
        with pytest.raises(TemplateUnreadable):
            Sketch.from_bytes(wrong)
    hidden = Sketch(np.zeros(BLOCKS, bool), np.zeros_like(written.codes))
    assert not Sketch.from_bytes(hidden.to_bytes()).visible.any()


def test_an_empty_index_and_a_hidden_nose_find_nobody(photos: dict[int, list[NoseTemplate]]) -> None:
    probe = photos[PETS[0]][0]
    assert NoseIndex().nearest(probe) == []
    index = NoseIndex()
    index.add(["hidden"], [Sketch(np.zeros(BLOCKS, bool), np.zeros((BLOCKS, sketch(probe).codes.shape[1]), np.int8))])
    assert index.nearest(probe) == []


def test_the_benchmark_of_the_search_finds_rendered_pets_in_a_drawn_crowd(
    photos: dict[int, list[NoseTemplate]],
) -> None:
    pets = [
        SearchedPet(number % 2, tuple(templates[:2]), (templates[2],))
        for number, templates in enumerate(photos.values())
    ]
    result = one_to_n(pets, FUSION, (100, 200))
    assert [result[size]["pets"] for size in ("100", "200")] == [100, 200]
    assert result["200"]["rank1"] == 1.0
    assert result["200"]["seconds"] > 0
    assert result["200"]["score_min"] > result["100"]["score_min"]
