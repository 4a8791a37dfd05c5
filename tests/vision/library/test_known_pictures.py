"""Known common pictures: content shared by unrelated photos is learnt from a person's ruling and excuses later matches,
but never a copy."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data
from sqlalchemy.ext.asyncio import AsyncEngine

from fixtures import caltech, edits
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.copies.geometry import relate
from vision.library import LibraryPhoto, known_pictures, publish, remove_claim
from vision.library.known_pictures import Common, Known, KnownPictures, assemble, explain, learn
from vision.measurement import Unmeasured

pytestmark = pytest.mark.anyio
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


class Shop:
    """Unrelated photographs with the same courier's label, each at another place and angle."""

    def __init__(self, fingerprinter: Fingerprinter) -> None:
        self._fingerprinter = fingerprinter
        rng = np.random.default_rng(5)
        label = np.ascontiguousarray(data.page()[:180, :260])
        self.label = np.repeat(label[:, :, None], 3, axis=2)
        scenes = (data.chelsea(), data.coffee(), data.astronaut(), data.rocket(), data.immunohistochemistry())
        self.pixels: list[Pixels] = [_with(scene, self.label, rng) for scene in scenes]
        self.photos = [self.see(pixels) for pixels in self.pixels]

    def see(self, pixels: Pixels) -> Fingerprint:
        digest = hashlib.sha256(edits.jpeg_bytes(pixels)).hexdigest()
        return self._fingerprinter.fingerprint(caltech.as_picture(edits.through_jpeg(pixels, 88)), digest)


def _with(scene: Pixels, label: Pixels, rng: np.random.Generator) -> Pixels:
    """Pastes the label on a fifth of the photo or more, as on a parcel that fills the picture."""
    best, area = scene, 0.0
    for _ in range(6):
        tried = edits.with_label(scene, label, rng)
        changed = float((tried != scene).any(axis=2).mean())
        best, area = (tried, changed) if changed > area else (best, area)
    return best


@pytest.fixture(scope="module")
def shop(fingerprinter: Fingerprinter) -> Shop:
    return Shop(fingerprinter)


def known(name: str, photo: Fingerprint) -> Known:
    return Known(name, photo.sha256, photo.pixel_sha256, "", photo.keypoints)


def explained(photo: Fingerprint, match: Fingerprint, bank: KnownPictures) -> str:
    return explain(photo, match.keypoints, match.thumbnail, relate(photo.keypoints, match.keypoints), bank)


@pytest.fixture(scope="module")
def bank(shop: Shop) -> KnownPictures:
    """Returns a bank learnt from the first three photos."""
    base, *others = (known(f"p{place}", photo) for place, photo in enumerate(shop.photos[:3]))
    learnt = learn("label", base, others)
    assert isinstance(learnt, Common)
    assert not learnt.whole
    return assemble([learnt])


def test_only_what_the_photos_share_is_learnt(shop: Shop, bank: KnownPictures) -> None:
    (learnt,) = bank.pictures
    scene = data.chelsea()
    changed = (shop.pixels[0] != scene).any(axis=2)
    at = learnt.keypoints.points[:, :2] * (scene.shape[1] / learnt.keypoints.width_px)
    inside = [changed[min(int(y), scene.shape[0] - 1), min(int(x), scene.shape[1] - 1)] for x, y in at]
    assert np.mean(inside) > 0.9
    assert len(learnt.keypoints) < len(shop.photos[0].keypoints)


def test_most_photos_that_share_the_label_are_explained_by_it(shop: Shop, bank: KnownPictures) -> None:
    unseen = [(3, 4), (4, 3), (0, 3), (3, 0), (1, 4)]
    related = [pair for pair in unseen if relate(*(shop.photos[place].keypoints for place in pair)).inliers >= 8]
    assert len(related) >= 3, "the photos do not even match by their label: nothing is tested"
    explanations = [explained(shop.photos[a], shop.photos[b], bank) for a, b in related]
    assert set(explanations) <= {
        "label",
        "",
    }  # one whose backgrounds happen to agree a little is not excused: fails closed
    assert explanations.count("label") >= 0.6 * len(explanations)
    assert [explained(shop.photos[a], shop.photos[b], assemble(())) for a, b in related] == [""] * len(related)


@pytest.mark.parametrize(
    "edit", ["copied", "jpeg_20", "recoloured", "mirrored", "rotated_15", "cropped_50", "screenshot"]
)
@pytest.mark.parametrize("place", [0, 3])
def test_a_copy_of_a_photo_with_the_label_is_no_less_a_copy(
    shop: Shop, bank: KnownPictures, edit: str, place: int
) -> None:
    copy = shop.see(edits.apply(edit, shop.pixels[place], np.random.default_rng(1)))
    assert relate(copy.keypoints, shop.photos[place].keypoints).inliers >= 8
    assert explained(copy, shop.photos[place], bank) == ""


def test_the_label_alone_tells_too_little_to_excuse_anything(shop: Shop, bank: KnownPictures) -> None:
    """Nothing is left outside the label: the picture may as well be cut out of the other photo."""
    label = shop.see(np.asarray(edits.resize(shop.label, 1.5)))
    assert explained(label, shop.photos[3], bank) == ""


def test_an_unrelated_picture_in_the_bank_excuses_nothing(shop: Shop) -> None:
    other = known_pictures.imported(shop.see(data.retina()[::2, ::2]), "retina.png", "")
    assert explained(shop.photos[3], shop.photos[4], assemble([other])) == ""


def test_pictures_that_share_nothing_teach_nothing(shop: Shop) -> None:
    a, b = (shop.see(pixels) for pixels in (data.chelsea(), data.coffee()))
    assert isinstance(learn("x", known("a", a), [known("b", b)]), Unmeasured)


def test_a_word_on_one_and_the_same_picture_is_about_the_whole_of_it(shop: Shop) -> None:
    photo = shop.photos[0]
    learnt = learn("x", known("a", photo), [known("b", photo)])
    assert isinstance(learnt, Common)
    assert learnt.whole
    assert assemble([learnt]).exact("", photo.pixel_sha256) == "x"
    assert assemble([learnt]).exact(photo.sha256, "") == "x"
    assert assemble([learnt]).exact("", shop.photos[1].pixel_sha256) == ""


def test_a_part_that_is_common_excuses_no_bytes_or_pixels(shop: Shop, bank: KnownPictures) -> None:
    assert [bank.exact(photo.sha256, photo.pixel_sha256) for photo in shop.photos] == [""] * 5


async def test_the_bank_is_kept_read_back_and_forgotten_with_the_claim(
    engine: AsyncEngine, shop: Shop, bank: KnownPictures
) -> None:
    async with engine.begin() as conn:
        mine = LibraryPhoto("p1", "claim", shop.photos[1], owner_claim="c1", owner_subject="li")
        await publish(conn, [mine])
        before = await known_pictures.version(conn)
        assert await known_pictures.add(conn, bank.pictures[0])
        assert not await known_pictures.add(conn, bank.pictures[0])
        icon = known_pictures.imported(shop.see(shop.label), "icon.png", "")
        assert await known_pictures.add(conn, icon)
    async with engine.connect() as conn:
        loaded = await known_pictures.load(conn)
        assert loaded.version == await known_pictures.version(conn) != before
        assert explained(shop.photos[3], shop.photos[4], loaded) != ""
        assert loaded.exact(icon.sha256, "") == icon.common_id
        assert await known_pictures.pixels(conn, ["p1", "gone"]) == {"p1": shop.photos[1].pixel_sha256}
    async with engine.begin() as conn:
        assert await known_pictures.forget_claim(conn, "c1") == 1
        await remove_claim(conn, "c1")
        assert [picture.common_id for picture in await known_pictures.every(conn)] == [icon.common_id]
        assert await known_pictures.remove(conn, icon.common_id)
        assert not await known_pictures.remove(conn, icon.common_id)
        with pytest.raises(ValueError, match="claim id"):
            await known_pictures.forget_claim(conn, "")
