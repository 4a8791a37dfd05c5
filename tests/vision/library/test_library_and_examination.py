"""Publishing, searching, comparing and calling matches on a real PostgreSQL, with real photographs, through the real
decoder."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.evidence import PhotoVerdict
from claims.rules import RULES
from fixtures import edits, harder_edits
from flows.evidence import CalledRelation, call, strongest
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.decode.image import DecodeLimits, Decoder
from vision.examine import compare
from vision.library import LibraryPhoto, publish, remove_claim, search

pytestmark = pytest.mark.anyio
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(), processes=1) as made:
        yield made


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


class Examined:
    """A photo's relations as the rules call them. matches: as measured, strongest first."""

    def __init__(self, called: list[CalledRelation]) -> None:
        self.called = called
        self.matches = [called_relation.relation for called_relation in called]
        self.verdict = strongest(called)


class Camera:
    """Turns pixels into a JPEG file and that into a fingerprint, as an upload would."""

    def __init__(self, decoder: Decoder, fingerprinter: Fingerprinter) -> None:
        self._decoder, self._fingerprinter = decoder, fingerprinter

    def of_bytes(self, content: bytes) -> Fingerprint:
        return self._fingerprinter.fingerprint(self._decoder.decode(content), hashlib.sha256(content).hexdigest())

    def of(self, pixels: Pixels, quality: int = 88) -> Fingerprint:
        return self.of_bytes(edits.jpeg_bytes(pixels, quality))


@pytest.fixture(scope="module")
def camera(decoder: Decoder, fingerprinter: Fingerprinter) -> Camera:
    return Camera(decoder, fingerprinter)


def _claimed(fingerprint: Fingerprint, photo_id: str, claim: str, subject: str) -> LibraryPhoto:
    return LibraryPhoto(photo_id, "claim", fingerprint, owner_claim=claim, owner_subject=subject)


async def _publish(engine: AsyncEngine, *photos: LibraryPhoto) -> None:
    async with engine.begin() as conn:
        await publish(conn, photos)


async def _examine(engine: AsyncEngine, fingerprint: Fingerprint, claim: str = "c9", subject: str = "zhao") -> Examined:
    async with engine.connect() as conn:
        candidates = await search(conn, fingerprint, exclude_claim=claim)
    return Examined(call(compare(fingerprint, candidates, subject)))


@pytest.fixture
async def library(engine: AsyncEngine, camera: Camera) -> AsyncEngine:
    """Publishes the cat under Li's claim c1, the coffee from the web, the astronaut from a stock library."""
    await _publish(
        engine,
        _claimed(camera.of(data.chelsea()), "cat", "c1", "li"),
        LibraryPhoto("coffee", "web", camera.of(data.coffee()), reference="coffee.jpg"),
        LibraryPhoto("astronaut", "stock", camera.of(data.astronaut()), reference="astronaut.jpg"),
    )
    return engine


async def test_the_same_file_from_another_claimant_is_the_same_bytes(library: AsyncEngine, camera: Camera) -> None:
    examined = await _examine(library, camera.of(data.chelsea()))
    assert examined.verdict is PhotoVerdict.SAME_BYTES
    best = examined.matches[0]
    assert (best.photo_id, best.owner_claim, best.owner_subject, best.own, best.probability) == (
        "cat",
        "c1",
        "li",
        False,
        1.0,
    )


async def test_a_file_whose_metadata_alone_changed_is_the_same_picture(library: AsyncEngine, camera: Camera) -> None:
    content = edits.jpeg_bytes(data.chelsea())
    comment = b"\xff\xfe\x00\x0aremoved!"
    examined = await _examine(library, camera.of_bytes(content[:2] + comment + content[2:]))
    assert examined.verdict is PhotoVerdict.SAME_PICTURE


async def test_a_cropped_mirrored_recompressed_copy_is_found_and_said_to_be_mirrored(
    library: AsyncEngine, camera: Camera
) -> None:
    pixels = edits.apply("crop_mirror_recompress", data.chelsea(), np.random.default_rng(3))
    examined = await _examine(library, camera.of(pixels, 60))
    assert examined.verdict is PhotoVerdict.EDITED_COPY
    best = examined.matches[0]
    assert best.photo_id == "cat"
    assert best.transform.startswith("mirrored")
    assert "cropped to" in best.transform
    assert best.inliers >= 20
    assert 0 < len(best.pairs) <= 40


async def test_a_web_photo_inside_an_app_screenshot_is_found(library: AsyncEngine, camera: Camera) -> None:
    for seed in range(4):
        shot = edits.apply("screenshot", data.coffee(), np.random.default_rng(seed))
        examined = await _examine(library, camera.of(shot))
        assert examined.verdict is PhotoVerdict.EDITED_COPY, seed
        assert examined.matches[0].photo_id == "coffee"
        assert examined.matches[0].source == "web"


async def test_what_is_no_proven_copy_and_maybe_one_carries_its_transform(library: AsyncEngine, camera: Camera) -> None:
    """The middle of the picture before another background, compressed hard."""
    pasted = harder_edits.apply("new_background", data.chelsea(), np.random.default_rng(0), [data.rocket()])
    examined = await _examine(library, camera.of(pasted, 50))
    assert examined.verdict is PhotoVerdict.SIMILAR
    best = examined.matches[0]
    assert best.photo_id == "cat"
    assert RULES.photo_maybe_copied_min <= best.probability < RULES.photo_copied_min
    assert examined.called[0].transform == best.transform
    assert "same scale, not rotated" in best.transform
    assert 0 < len(best.pairs) <= 40


async def test_an_unseen_photo_is_unseen(library: AsyncEngine, camera: Camera) -> None:
    for pixels in (data.rocket(), data.immunohistochemistry()):
        examined = await _examine(library, camera.of(pixels))
        assert examined.verdict is PhotoVerdict.UNSEEN, examined


async def test_another_photo_of_the_same_things_is_no_copy(library: AsyncEngine, camera: Camera) -> None:
    """Two halves of one scene that do not overlap: same cup, same table, not the same picture."""
    whole = data.coffee()
    await _publish(library, _claimed(camera.of(np.ascontiguousarray(whole[:, :290])), "left", "c2", "li"))
    async with library.begin() as conn:
        await conn.execute(text("DELETE FROM library_photos WHERE photo_id = 'coffee'"))
    examined = await _examine(library, camera.of(np.ascontiguousarray(whole[:, 310:])))
    assert examined.verdict in (PhotoVerdict.SIMILAR, PhotoVerdict.UNSEEN)


async def test_the_claims_own_photos_do_not_count(library: AsyncEngine, camera: Camera) -> None:
    examined = await _examine(library, camera.of(data.chelsea()), claim="c1", subject="li")
    assert examined.verdict is PhotoVerdict.UNSEEN


async def test_an_earlier_photo_of_the_claimants_own_is_a_match_that_says_so(
    library: AsyncEngine, camera: Camera
) -> None:
    examined = await _examine(library, camera.of(data.chelsea()), claim="c2", subject="li")
    assert examined.verdict is PhotoVerdict.SAME_BYTES
    assert examined.matches[0].own


async def test_of_two_claims_that_publish_one_photo_at_once_each_sees_the_other(
    library: AsyncEngine, camera: Camera
) -> None:
    rocket = camera.of(data.rocket())
    await _publish(library, _claimed(rocket, "a", "c3", "li"))
    await _publish(library, _claimed(rocket, "b", "c4", "wang"))
    assert (await _examine(library, rocket, claim="c3", subject="li")).matches[0].owner_claim == "c4"
    assert (await _examine(library, rocket, claim="c4", subject="wang")).matches[0].owner_claim == "c3"


async def test_a_white_picture_has_nothing_to_compare_by_and_is_never_a_match(
    library: AsyncEngine, camera: Camera
) -> None:
    white = camera.of(np.full((600, 800, 3), 255, np.uint8))
    await _publish(library, _claimed(white, "white", "c5", "li"))
    assert "nothing to compare by" in white.featureless
    assert (await _examine(library, camera.of(data.rocket()))).verdict is PhotoVerdict.UNSEEN


async def test_publishing_twice_keeps_one_row_and_erasing_a_claim_takes_only_its_own(
    library: AsyncEngine, camera: Camera
) -> None:
    await _publish(library, _claimed(camera.of(data.rocket()), "cat", "c7", "wang"))
    async with library.begin() as conn:
        rows = (await conn.execute(text("SELECT photo_id, owner_claim FROM library_photos ORDER BY 1"))).all()
        assert rows == [("astronaut", ""), ("cat", "c1"), ("coffee", "")]
        assert await remove_claim(conn, "c1") == 1
        assert await remove_claim(conn, "c1") == 0
    async with library.begin() as conn:
        with pytest.raises(ValueError, match="claim id"):
            await remove_claim(conn, "")
    assert (await _examine(library, camera.of(data.chelsea()))).verdict is PhotoVerdict.UNSEEN


async def test_search_in_an_empty_library_brings_nothing(engine: AsyncEngine, camera: Camera) -> None:
    async with engine.connect() as conn:
        assert await search(conn, camera.of(data.coffee()), exclude_claim="c1") == []


async def test_a_photo_turned_by_its_exif_is_still_the_same_picture_upright(
    library: AsyncEngine, camera: Camera
) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(data.coffee()))).save(buffer, "JPEG", quality=90, exif=exif)
    examined = await _examine(library, camera.of_bytes(buffer.getvalue()))
    assert examined.verdict is PhotoVerdict.EDITED_COPY
    assert "not rotated" in examined.matches[0].transform
