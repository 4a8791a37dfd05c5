"""Fingerprints of real photographs, edited and not, and the views inside them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from fixtures import edits
from fixtures.caltech import as_picture
from vision.copies import views
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.library.search import NO_PDQ, pdq_bits


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


def _of(fingerprinter: Fingerprinter, pixels: NDArray[np.uint8]) -> Fingerprint:
    return fingerprinter.fingerprint(as_picture(np.ascontiguousarray(pixels)), "00")


def test_hashes_are_those_of_imagehash_and_stay_near_after_recompression(fingerprinter: Fingerprinter) -> None:
    pixels = np.asarray(Image.fromarray(data.coffee()).resize((480, 320)))
    fingerprint = _of(fingerprinter, pixels)
    assert fingerprint.phash == int(str(imagehash.phash(Image.fromarray(pixels))), 16)
    again = _of(fingerprinter, edits.through_jpeg(pixels, 20))
    for name in ("phash", "dhash", "whash"):
        assert (getattr(fingerprint, name) ^ getattr(again, name)).bit_count() <= 8, name
    assert pdq_bits(again, fingerprint.pdq) <= 20


def test_pdq_finds_all_eight_orientations(fingerprinter: Fingerprinter) -> None:
    pixels = data.astronaut()
    original = _of(fingerprinter, pixels)
    for turns in range(4):
        for mirrored in (False, True):
            turned = np.rot90(pixels, turns)
            query = _of(fingerprinter, turned[:, ::-1] if mirrored else turned)
            assert pdq_bits(query, original.pdq) <= 24, (turns, mirrored)


def test_the_descriptor_has_length_one_and_tells_a_copy_from_another_photo(fingerprinter: Fingerprinter) -> None:
    cat = _of(fingerprinter, data.chelsea())
    copy = _of(fingerprinter, edits.apply("cropped_50", data.chelsea(), np.random.default_rng(0)))
    other = _of(fingerprinter, data.coffee())
    assert np.linalg.norm(cat.descriptor) == pytest.approx(1, abs=1e-4)
    assert cat.descriptor @ copy.descriptor > cat.descriptor @ other.descriptor + 0.3


def test_many_at_once_and_from_many_threads_give_what_one_gives(fingerprinter: Fingerprinter) -> None:
    pictures = [as_picture(picture) for picture in (data.chelsea(), data.coffee(), data.rocket())]
    singly = [fingerprinter.fingerprint(picture, "00") for picture in pictures]
    together = fingerprinter.fingerprint_many([(picture, "00") for picture in pictures])
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda picture: fingerprinter.fingerprint(picture, "00"), pictures * 3))
    for fingerprint, expected in zip([*together, *threaded], singly * 4, strict=True):
        np.testing.assert_allclose(fingerprint.descriptor, expected.descriptor, atol=1e-4)
        assert fingerprint.keypoints.to_bytes() == expected.keypoints.to_bytes()
        assert fingerprint.pdq == expected.pdq


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_uniform_picture_is_featureless_and_says_why(fingerprinter: Fingerprinter, level: int) -> None:
    fingerprint = _of(fingerprinter, np.full((480, 640, 3), level, np.uint8))
    assert "nothing to compare by" in fingerprint.featureless
    assert pdq_bits(fingerprint, bytes(32)) == NO_PDQ


def test_a_photograph_is_not_featureless(fingerprinter: Fingerprinter) -> None:
    for picture in (data.chelsea(), data.coffee(), data.rocket(), data.immunohistochemistry()):
        assert _of(fingerprinter, picture).featureless == ""


def test_a_border_is_looked_behind() -> None:
    photo = data.coffee()
    framed = np.full((700, 900, 3), 40, np.uint8)
    framed[150 : 150 + 400, 120 : 120 + 600] = photo
    boxes = views.find(framed)
    assert boxes
    assert abs(boxes[0].left - 120) <= 4
    assert abs(boxes[0].top - 150) <= 4
    assert abs(boxes[0].width - 600) <= 8
    assert abs(boxes[0].height - 400) <= 8


def test_the_photo_in_a_screenshot_and_the_cell_of_a_collage_are_among_the_views() -> None:
    """Checks the best view's intersection over union with the true place, for several screens and collages."""
    others = [data.chelsea(), data.rocket(), data.astronaut()]
    for seed in range(5):
        sheet = edits.EDITS["collage"](data.coffee(), np.random.default_rng(seed), others)
        side = sheet.shape[0] // 2
        cells = [box for box in views.find(sheet) if abs(box.width - side) < 30 and abs(box.height - side) < 30]
        assert len(cells) >= 2, seed


def test_most_plain_photographs_have_no_views() -> None:
    """Ordinary photos should have few views, as each costs time."""
    boxes_found = [views.find(picture) for picture in (data.chelsea(), data.astronaut(), data.rocket(), data.coffee())]
    assert sum(len(boxes) for boxes in boxes_found) <= 2
