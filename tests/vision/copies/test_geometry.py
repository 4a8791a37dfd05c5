"""Keypoints and the transform between two pictures, against pixels transformed in a known way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from tests.vision.copies.keypoints import alike
from vision.copies import geometry
from vision.copies.copy_score import agreement
from vision.copies.fingerprint import fit
from vision.copies.keypoints import Keypoints


def grey(pixels: NDArray[np.uint8], edge_px: int = 512) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(fit(pixels, edge_px), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


@pytest.fixture(scope="module")
def cat() -> NDArray[np.uint8]:
    return grey(data.chelsea())


def test_mirrored_keypoints_are_those_of_the_mirrored_pixels(cat: NDArray[np.uint8]) -> None:
    """The oracle is OpenCV itself, run on the mirrored picture."""
    derived = geometry.extract(cat).mirrored()
    computed = geometry.extract(np.ascontiguousarray(cat[:, ::-1]))
    assert alike(derived, computed) >= 0.75 * len(derived)


def test_mirroring_twice_is_no_change(cat: NDArray[np.uint8]) -> None:
    keypoints = geometry.extract(cat)
    again = keypoints.mirrored().mirrored()
    np.testing.assert_array_equal(again.descriptors, keypoints.descriptors)
    np.testing.assert_allclose(again.points, keypoints.points, atol=1e-3)


@pytest.mark.parametrize(
    ("scale", "degrees", "mirrored"), [(0.6, 0, False), (1.0, 15, True), (0.8, -90, False), (1.4, 3, True)]
)
def test_a_known_transform_is_recovered(cat: NDArray[np.uint8], scale: float, degrees: float, mirrored: bool) -> None:
    height, width = cat.shape
    side = int(1.6 * max(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, scale)  # OpenCV turns the other way round
    turn[:, 2] += side / 2 - np.array([width, height]) / 2
    moved = np.asarray(cv2.warpAffine(cat, turn, (side, side)), dtype=np.uint8)
    if mirrored:
        moved = np.ascontiguousarray(moved[:, ::-1])
    query, original = geometry.extract(moved), geometry.extract(cat)
    relation = geometry.relate(query, original)
    assert relation.mirrored is mirrored
    assert relation.inliers >= 30
    assert relation.scale == pytest.approx(scale, rel=0.03)
    assert relation.degrees == pytest.approx(degrees, abs=1.5)
    np.testing.assert_allclose(relation.matrix, turn, atol=4)
    for x, y, match_x, match_y in relation.pairs:
        point = relation.matrix @ [match_x * original.width_px, match_y * original.height_px, 1]
        shown_x = 1 - x if mirrored else x
        assert np.hypot(point[0] - shown_x * query.width_px, point[1] - y * query.height_px) < 8


def test_a_crop_says_how_much_of_the_original_it_shows(cat: NDArray[np.uint8]) -> None:
    height, width = cat.shape
    part = np.ascontiguousarray(cat[height // 4 :, : width // 2])
    relation = geometry.relate(geometry.extract(part), geometry.extract(cat))
    assert relation.shown_ratio == pytest.approx(0.375, abs=0.02)
    assert relation.covers_ratio > 0.98
    assert "cropped to 3" in geometry.describe(relation)


def test_two_different_photos_agree_on_nothing() -> None:
    pictures = [grey(picture) for picture in (data.chelsea(), data.coffee(), data.astronaut(), data.rocket())]
    for index, picture in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert geometry.relate(geometry.extract(picture), geometry.extract(other)).inliers <= 5


def test_a_picture_without_keypoints_relates_to_nothing(cat: NDArray[np.uint8]) -> None:
    white = geometry.extract(np.full((300, 400), 255, np.uint8))
    assert len(white) == 0
    assert geometry.relate(white, geometry.extract(cat)) is geometry.NO_GEOMETRY
    assert geometry.relate(geometry.extract(cat), white) is geometry.NO_GEOMETRY


def test_keypoints_survive_their_bytes_and_other_bytes_are_refused(cat: NDArray[np.uint8]) -> None:
    keypoints = geometry.extract(cat)
    again = Keypoints.from_bytes(keypoints.to_bytes())
    np.testing.assert_array_equal(again.points, keypoints.points)
    np.testing.assert_array_equal(again.descriptors, keypoints.descriptors)
    assert (again.width_px, again.height_px) == (keypoints.width_px, keypoints.height_px)
    for broken in (b"", b"SKP1", keypoints.to_bytes()[:-1], b"XXXX" + keypoints.to_bytes()[4:]):
        with pytest.raises(ValueError, match="keypoints"):
            Keypoints.from_bytes(broken)


def test_a_shared_label_on_two_different_photos_does_not_agree_in_the_pixels() -> None:
    """A sticker on two scenes: its keypoints match, but the pixels around it show two different photos."""
    label = fit(data.astronaut()[0:220, 150:400], 130)
    scenes = []
    for scene, at in ((data.coffee(), (40, 60)), (data.chelsea(), (150, 280))):
        scene = scene.copy()
        scene[at[0] : at[0] + label.shape[0], at[1] : at[1] + label.shape[1]] = label
        scenes.append(grey(scene))
    first, other = scenes
    query, match = geometry.extract(first), geometry.extract(other)
    relation = geometry.relate(query, match)
    assert relation.inliers >= 8
    agreed, _ = agreement(fit(first, 128), fit(other, 128), relation, 128 / 512, 128 / max(other.shape))
    itself = geometry.relate(query, query)
    same, _ = agreement(fit(first, 128), fit(first, 128), itself, 128 / 512, 128 / 512)
    assert same.mean > 0.95
    assert same.floor > 0.8
    # A copy shows most of its original or is filled by it; here both are far from that.
    assert agreed.mean < 0.6
    assert agreed.floor < 0.1
    assert max(relation.shown_ratio, relation.covers_ratio) < 0.7


def moved(picture: NDArray[np.uint8], shift: float) -> NDArray[np.uint8]:
    """Returns the picture as if the camera had moved: what is nearer, in the middle, moves further than the rest."""
    height, width = picture.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    near = np.exp(-((xs - width / 2) ** 2 + (ys - height / 2) ** 2) / (2 * (height / 4) ** 2))
    bend = shift * near * (1 + 0.3 * np.sin(ys / 17))
    return np.asarray(cv2.remap(picture, xs - bend, ys, cv2.INTER_LINEAR), dtype=np.uint8)


def test_a_copy_that_was_turned_and_scaled_keeps_one_similarity_transform(cat: NDArray[np.uint8]) -> None:
    turn = cv2.getRotationMatrix2D((200.0, 150.0), 8, 0.9)
    copy = np.asarray(cv2.warpAffine(cat, turn, (cat.shape[1], cat.shape[0])), dtype=np.uint8)
    exact = geometry.relate(geometry.extract(copy), geometry.extract(cat)).exactness
    assert exact.tight >= 40
    assert exact.tight_ratio > 0.9
    assert exact.rigid_ratio > 0.9
    assert min(exact.fine_ratio, exact.fine_rigid_ratio) > 0.85
    assert max(exact.shown_ratio, exact.covers_ratio) > 0.8


def test_a_photo_of_the_picture_from_the_side_keeps_a_homography_alone(cat: NDArray[np.uint8]) -> None:
    height, width = cat.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    tilted = corners + np.array([[60, 30], [-20, 0], [-25, -20], [10, -60]], np.float32)
    warp = cv2.getPerspectiveTransform(corners, tilted)
    photo = np.asarray(cv2.warpPerspective(cat, warp, (width, height)), dtype=np.uint8)
    exact = geometry.relate(geometry.extract(photo), geometry.extract(cat)).exactness
    assert exact.tight >= 30
    assert exact.tight_ratio > 0.85
    assert exact.rigid_ratio < 0.6
    assert exact.shown_ratio > 0.95  # all of the picture is in the photo


def test_a_photo_after_the_camera_moved_keeps_no_transform_exactly(cat: NDArray[np.uint8]) -> None:
    exact = geometry.relate(geometry.extract(moved(cat, 16.0)), geometry.extract(cat)).exactness
    assert exact.projected >= 20
    assert exact.tight_ratio < 0.8
    assert exact.rigid_ratio < 0.8


def test_a_thing_that_lay_still_between_two_photos_keeps_one_transform_to_a_pixel_but_not_to_half_of_one(
    cat: NDArray[np.uint8],
) -> None:
    exact = geometry.relate(geometry.extract(moved(cat, 2.5)), geometry.extract(cat)).exactness
    assert exact.tight >= 30
    assert exact.rigid_ratio > 0.85
    assert exact.fine_rigid_ratio < 0.75


def test_a_camera_that_only_turned_shows_by_neither_frame_containing_the_other() -> None:
    wide = grey(data.coffee(), 900)
    height = wide.shape[0]
    left, right = np.ascontiguousarray(wide[: height - 80, :380]), np.ascontiguousarray(wide[80:, -380:])
    exact = geometry.relate(geometry.extract(left), geometry.extract(right)).exactness
    assert exact.tight >= 10
    assert exact.tight_ratio > 0.9
    assert max(exact.shown_ratio, exact.covers_ratio) < 0.5


def test_unrelated_pictures_have_no_exactness(cat: NDArray[np.uint8]) -> None:
    relation = geometry.relate(geometry.extract(cat), geometry.extract(grey(data.rocket())))
    assert relation.exactness.tight <= 8
