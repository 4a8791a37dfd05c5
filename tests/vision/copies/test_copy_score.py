"""Probabilities of the shipped model on pictures made in a known way, through the product's own comparison."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from fixtures import caltech, edits, harder_edits
from vision.copies.copy_score import NO_AGREEMENT, CopySignals, fusion_model
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.copies.geometry import NO_GEOMETRY
from vision.examine import ExamineLimits, signals
from vision.library.search import candidate_from, nearness

Pixels = NDArray[np.uint8]
COFFEE: Pixels = np.ascontiguousarray(data.coffee())
CAT: Pixels = np.ascontiguousarray(data.chelsea())
OTHERS: list[Pixels] = [np.ascontiguousarray(data.astronaut()), np.ascontiguousarray(data.rocket()), CAT] * 3
LIKENESS = CopySignals(NO_GEOMETRY, NO_AGREEMENT, NO_AGREEMENT, 0.3, 256, 0.97, 0.9)


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


def print_of(fingerprinter: Fingerprinter, pixels: Pixels) -> Fingerprint:
    return fingerprinter.fingerprint(caltech.as_picture(pixels), "")


def measured(fingerprinter: Fingerprinter, query: Pixels, original: Pixels) -> CopySignals:
    asked, known = print_of(fingerprinter, query), print_of(fingerprinter, original)
    return signals(asked, candidate_from("original", known, asked, nearness(asked, known.descriptor)), ExamineLimits())


def parallax(pixels: Pixels, shift: float) -> Pixels:
    """Returns the picture as if the camera had moved: what is nearer, in the middle, moves further than the rest."""
    height, width = pixels.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    near = np.exp(-((xs - width / 2) ** 2 + (ys - height / 2) ** 2) / (2 * (height / 4) ** 2))
    bend = shift * near * (1 + 0.3 * np.sin(ys / 17))
    return np.asarray(cv2.remap(pixels, xs - bend, ys, cv2.INTER_LINEAR), dtype=np.uint8)


def test_likeness_alone_is_no_proof() -> None:
    assert fusion_model().probability(LIKENESS) < 0.5


def test_a_near_pdq_and_pixels_that_agree_are_proof_beside_the_likeness() -> None:
    assert fusion_model().probability(replace(LIKENESS, pdq_bits=8, fit_agreement=0.85)) >= 0.5


@pytest.mark.parametrize("name", ["covered", "new_background", "combination_hard", "rephotographed", "screen_in_hand"])
def test_points_count_under_stickers_on_another_ground_and_off_a_screen(
    fingerprinter: Fingerprinter, name: str
) -> None:
    edited = harder_edits.apply(name, COFFEE, np.random.default_rng(11), OTHERS)
    assert fusion_model().probability(measured(fingerprinter, edited, COFFEE)) >= 0.5


def test_pixels_are_compared_where_the_points_lie(fingerprinter: Fingerprinter) -> None:
    pasted = harder_edits.HARDER["new_background"](COFFEE, np.random.default_rng(4), OTHERS)
    compared = measured(fingerprinter, pasted, COFFEE)
    assert compared.at_points.mean > 0.85
    assert compared.agreement.mean < compared.at_points.mean - 0.1


@pytest.mark.parametrize("name", ["copied", "mirrored", "cropped_50", "recoloured", "screenshot", "jpeg_20"])
def test_an_edited_copy_is_named(fingerprinter: Fingerprinter, name: str) -> None:
    edited = edits.apply(name, COFFEE, np.random.default_rng(7), OTHERS)
    assert fusion_model().probability(measured(fingerprinter, edited, COFFEE)) >= 0.99


@pytest.mark.parametrize("shift", [18.0, 30.0])
def test_a_photo_after_the_camera_moved_is_no_copy(fingerprinter: Fingerprinter, shift: float) -> None:
    moved = edits.through_jpeg(parallax(CAT, shift), 90)
    compared = measured(fingerprinter, moved, CAT)
    assert compared.geometry.exactness.projected >= 12
    assert fusion_model().probability(compared) < 0.99


def test_two_unrelated_photos_are_no_copy(fingerprinter: Fingerprinter) -> None:
    assert fusion_model().probability(measured(fingerprinter, CAT, COFFEE)) < 0.05
