"""Subjects of photos: real photographs of the installed sample packages, and pictures without a subject."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from claims.subject import Subject
from fixtures.demo_world import sample_photo
from vision.measurement import Unmeasured
from vision.subject import SUBJECTS, SubjectModel, SubjectReading, read_table, shared_subject_model


@pytest.fixture(scope="module")
def model() -> SubjectModel:
    return shared_subject_model()


@pytest.mark.parametrize(
    ("name", "subject", "probability_min"),
    [("coffee.png", "food", 0.9), ("chelsea.png", "cat", 0.8), ("motorcycle_left.png", "vehicle", 0.8)],
)
def test_photographs_show_what_they_show(model: SubjectModel, name: str, subject: str, probability_min: float) -> None:
    (reading,) = model.look([np.asarray(Image.open(io.BytesIO(sample_photo(name))))])
    assert isinstance(reading, SubjectReading)
    assert reading.subjects[0][0] == subject
    assert reading.subjects[0][1] >= probability_min
    assert reading.model.startswith("lite0_classes@")


def test_several_photos_at_once_are_seen_as_each_by_itself(model: SubjectModel) -> None:
    pictures = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut()] * 4
    together = model.look(pictures)
    for picture, reading in zip(pictures[:3], together, strict=False):
        (alone,) = model.look([picture])
        assert isinstance(reading, SubjectReading)
        assert isinstance(alone, SubjectReading)
        assert dict(reading.subjects) == pytest.approx(dict(alone.subjects), abs=2e-3)


def test_probabilities_stay_between_nothing_and_one_and_classes_count_once(model: SubjectModel) -> None:
    rows = model.probabilities([skimage.data.chelsea(), skimage.data.rocket()])
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-4)
    gathered = model.gathered(rows)
    assert gathered.min() >= 0
    assert (gathered.sum(axis=1) <= 1.0001).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (31, 200, 3), (200, 20_000, 3)])
def test_what_is_too_small_or_too_long_is_not_measured(model: SubjectModel, shape: tuple[int, ...]) -> None:
    good = skimage.data.chelsea()
    before, reading, after = model.look([good, np.full(shape, 127, np.uint8), good])
    assert isinstance(reading, Unmeasured)
    assert isinstance(before, SubjectReading)
    assert before == after


def test_claims_and_vision_know_the_same_subjects(model: SubjectModel) -> None:
    assert set(model.subjects) == {subject.value for subject in Subject}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("food: [strawberry, no such thing]", "no class 'no such thing'"),
        ("food: [strawberry .. no such thing]", "no class"),
        ("food: [pizza]\nplant: [pizza]", "'pizza' stands under food and under plant"),
        ("food: [Granny Smith .. lemon]\nplant: [orange .. fig]", "stands under food and under plant"),
    ],
)
def test_a_table_that_does_not_fit_the_network_is_refused(
    model: SubjectModel, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "subjects.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_table(tmp_path / "subjects.yaml", model.classes)


def test_a_class_named_singly_is_taken_out_of_a_range(model: SubjectModel, tmp_path: Path) -> None:
    (tmp_path / "subjects.yaml").write_text("food: [strawberry .. lemon]\nplant: [orange]", encoding="utf-8")
    table = read_table(tmp_path / "subjects.yaml", model.classes)
    assert [model.classes[index] for index in table["food"]] == ["strawberry", "lemon"]
    assert sum(len(places) for places in read_table(SUBJECTS, model.classes).values()) > 800
