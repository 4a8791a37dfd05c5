"""A photo's negative: its hash and keypoints follow from the photo's own, and a copy in inverted colours is found."""

from __future__ import annotations

import cv2
import numpy as np
import pdqhash
import pytest
from numpy.typing import NDArray
from skimage import data

from fixtures import edits
from fixtures.caltech import as_picture
from fixtures.photo_library import MemoryLibrary
from tests.vision.copies.keypoints import alike
from vision.copies import geometry
from vision.copies.fingerprint import Fingerprint, Fingerprinter, NegativeView, fit
from vision.examine import ExamineLimits, compare
from vision.library.search import pdq_bits

Pixels = NDArray[np.uint8]
PICTURES = {"cat": data.chelsea, "coffee": data.coffee, "rocket": data.rocket, "astronaut": data.astronaut}


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


def of(fingerprinter: Fingerprinter, pixels: Pixels, digest: str) -> Fingerprint:
    return fingerprinter.fingerprint(as_picture(np.ascontiguousarray(pixels)), digest)


@pytest.mark.parametrize("name", list(PICTURES))
def test_pdq_of_a_negative_is_the_complement(name: str) -> None:
    """The oracle is pdqhash, run on the inverted pixels. A coefficient equal to the median may fall to either side."""
    work = fit(PICTURES[name](), 512)
    plain, _ = pdqhash.compute(work)
    inverted, _ = pdqhash.compute(255 - work)
    assert int((np.asarray(plain) == np.asarray(inverted)).sum()) <= 4


def test_negated_keypoints_are_those_of_the_inverted_pixels() -> None:
    """The oracle is OpenCV itself, run on the negative."""
    cat = np.asarray(cv2.cvtColor(data.chelsea(), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    derived, computed = geometry.extract(cat).negated(), geometry.extract(255 - cat)
    assert alike(derived, computed) >= 0.9 * len(derived)
    again = derived.negated()
    np.testing.assert_array_equal(again.descriptors, geometry.extract(cat).descriptors)


@pytest.mark.parametrize("how", ["inverted", "inverted_mirrored", "inverted_cropped"])
def test_a_copy_in_inverted_colours_is_proven_by_its_points(fingerprinter: Fingerprinter, how: str) -> None:
    library = [(str(number), of(fingerprinter, picture(), f"{number:064x}"))
               for number, picture in enumerate(PICTURES.values())]  # fmt: skip
    sent = 255 - data.chelsea()
    if how == "inverted_mirrored":
        sent = sent[:, ::-1]
    if how == "inverted_cropped":
        sent = edits.apply("cropped_50", sent, np.random.default_rng(3))
    query = of(fingerprinter, edits.through_jpeg(np.ascontiguousarray(sent), 70), "f" * 64)
    candidates = MemoryLibrary(library, ExamineLimits().search).search(query)
    best = compare(query, candidates, "")[0]
    assert (best.photo_id, best.geometry.negative) == ("0", True)
    assert best.geometry.mirrored is (how == "inverted_mirrored")
    assert best.inliers >= 40
    assert best.transform.startswith("colours inverted")
    if how != "inverted_cropped":
        assert pdq_bits(query, library[0][1].pdq) <= 24


def test_an_upright_copy_is_not_called_a_negative(fingerprinter: Fingerprinter) -> None:
    original = of(fingerprinter, data.chelsea(), "a" * 64)
    query = of(fingerprinter, edits.through_jpeg(data.chelsea(), 60), "b" * 64)
    best = compare(query, MemoryLibrary([("1", original)], ExamineLimits().search).search(query), "")[0]
    assert best.inliers >= 40
    assert not best.geometry.negative
    assert "inverted" not in best.transform


def test_the_negative_costs_no_keypoints_of_its_own(fingerprinter: Fingerprinter) -> None:
    query = of(fingerprinter, data.coffee(), "c" * 64)
    views = [view for view in query.views if isinstance(view, NegativeView)]
    assert len(views) == 1
    assert len(views[0].keypoints) == len(query.keypoints)
    np.testing.assert_array_equal(views[0].thumbnail, 255 - query.thumbnail)
    described = fingerprinter.describe([255 - data.coffee()])[0]
    assert views[0].descriptor @ described > 0.95
