"""Photos without content or in odd encodings, through the real decoder and every comparison."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from claims.copies import COPIES
from claims.evidence import PhotoVerdict
from fixtures.demo_world import sample_photo
from fixtures.hostile_files import jpeg, png, png_16_bit, webp
from fixtures.photo_library import MemoryLibrary
from flows.evidence import CalledRelation, call, strongest
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.decode.image import Decoder
from vision.decode.jpeg_structure import examine
from vision.errors import ImageRefused
from vision.examine import compare
from vision.library.limits import SearchLimits
from vision.measurement import Unmeasured
from vision.subject import shared_subject_model


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter()


Look = Callable[[bytes], Fingerprint]


@pytest.fixture(scope="module")
def look(decoder: Decoder, fingerprinter: Fingerprinter) -> Look:
    def fingerprint(data: bytes) -> Fingerprint:
        return fingerprinter.fingerprint(decoder.decode(data), hashlib.sha256(data).hexdigest())

    return fingerprint


def photograph(name: str, width_px: int = 800, height_px: int = 600) -> Image.Image:
    return Image.open(io.BytesIO(sample_photo(name))).convert("RGB").resize((width_px, height_px))


def against(library: dict[str, Fingerprint], query: Fingerprint) -> list[CalledRelation]:
    """Returns a photo's relations as the rules call them, over a library in memory; its keys are numbers."""
    return call(compare(query, MemoryLibrary(list(library.items()), SearchLimits()).search(query), ""))


def plain(colour: str, width_px: int, height_px: int) -> Image.Image:
    return Image.new("RGB", (width_px, height_px), colour)


def glass(width_px: int, height_px: int) -> Image.Image:
    return Image.new("RGBA", (width_px, height_px), (40, 90, 200, 0))


NOTHING_TO_SEE = {
    "one pixel": png(plain("red", 1, 1)),
    "one grey pixel": jpeg(plain("grey", 1, 1)),
    "one row": png(photograph("coffee.png").resize((800, 1))),
    "all white": jpeg(plain("white", 4000, 3000)),
    "all black": webp(plain("black", 1200, 900)),
    "all transparent": png(glass(640, 480)),
    "white in CMYK": jpeg(plain("white", 640, 480).convert("CMYK")),
    "white panorama": png(plain("white", 20_000, 200)),
}


@pytest.mark.parametrize("name", NOTHING_TO_SEE)
def test_a_picture_that_shows_nothing_is_unmeasured_and_so_never_a_match(look: Look, name: str) -> None:
    fingerprint = look(NOTHING_TO_SEE[name])
    assert fingerprint.featureless.startswith("nothing to compare by")


def packed() -> dict[str, bytes]:
    """Returns one photograph in every encoding that phones, scanners and offices use."""
    picture = photograph("coffee.png")
    sixteen = np.asarray(picture).astype(np.uint16) * 257
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size).point(lambda level: 255 if level > 40 else 0))
    frames = [photograph(other) for other in ("rocket.jpg", "chelsea.png")]
    still = io.BytesIO()
    picture.save(still, "WEBP", save_all=True, append_images=frames, quality=90)
    moving = io.BytesIO()
    picture.save(moving, "PNG", save_all=True, append_images=frames)
    return {
        "CMYK": jpeg(picture.convert("CMYK")),
        "palette": png(picture.convert("P", palette=Image.Palette.ADAPTIVE)),
        "16 bits": png_16_bit(sixteen),
        "16 bits grey": png_16_bit(np.asarray(picture.convert("L")).astype(np.uint16) * 257),
        "transparent": png(clear),
        "animated WebP": still.getvalue(),
        "animated PNG": moving.getvalue(),
        "progressive": jpeg(picture, progressive=True),
    }


def test_a_known_photo_is_found_however_it_is_packed(look: Look) -> None:
    library = {
        str(n): look(jpeg(photograph(name))) for n, name in enumerate(("coffee.png", "rocket.jpg", "chelsea.png"))
    }
    for name, data in packed().items():
        relations = against(library, look(data))
        assert strongest(relations) in COPIES, name
        assert relations[0].relation.photo_id == "0", name


def strip(seed: int) -> Image.Image:
    """Returns a panorama of 20,000 x 200 px with structure everywhere."""
    tiles = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "brick.png")
    order = np.random.default_rng(seed).permutation(len(tiles) * 12)
    whole = Image.new("RGB", (20_000, 200))
    for place, tile in enumerate(order):
        whole.paste(photograph(tiles[tile % len(tiles)], 334, 200).rotate(180 if tile % 2 else 0), (place * 334, 0))
    return whole


def test_a_panorama_is_compared_like_any_photo_and_says_nothing_of_its_subject(look: Look, decoder: Decoder) -> None:
    first, other = look(png(strip(1))), look(png(strip(2)))
    assert (first.width_px, first.height_px) == (20_000, 200)
    again = look(jpeg(strip(1), quality=60))
    relations = against({"1": first, "2": other}, again)
    assert relations[0].weighs  # too flat for keypoints: its pixels and PDQ alone are no proof
    assert relations[0].relation.photo_id == "1"
    (subject,) = shared_subject_model().look([decoder.decode(png(strip(1))).pixels])
    assert isinstance(subject, Unmeasured)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\0\0\x18ftypcrx \0\0\0\0" + bytes(200), r"a raw photo \(CR3\)"),
        (b"II*\0\x08\0\0\0" + bytes(200), r"a TIFF picture or raw photo \(DNG\)"),
        (b"\xff\x0a" + bytes(200), "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200), "a JPEG 2000 picture"),
        (b"\xff\xd8\xff\xf7" + bytes(200), "a JPEG-LS picture"),
        (b"\0\0\0\x18ftypqt  \0\0\0\0" + bytes(200), "a film"),
        (b"GIF89a" + bytes(200), "a GIF"),
    ],
)
def test_what_is_not_decoded_is_refused_by_its_name_with_what_to_send(
    decoder: Decoder, data: bytes, words: str
) -> None:
    with pytest.raises(ImageRefused, match=f"{words}, whatever its name says; send JPEG") as refused:
        decoder.decode(data)
    assert refused.value.code == "unknown_format"
    assert refused.value.retryable


def test_an_animated_gif_is_refused_not_taken_apart(decoder: Decoder) -> None:
    target = io.BytesIO()
    frames = [photograph(name, 200, 150) for name in ("coffee.png", "rocket.jpg")]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageRefused, match="a GIF"):
        decoder.decode(target.getvalue())


# A file whose second half is damaged.


def scan(data: bytes) -> tuple[int, int]:
    """Returns start and end of a baseline JPEG's entropy-coded data."""
    start = data.index(b"\xff\xda")
    return start + 2 + int.from_bytes(data[start + 2 : start + 4], "big"), examine(data).first_scan_end


def spliced(own: bytes, rest: bytes) -> bytes:
    """Returns the first half of one photo's data, then the second half of another's, closed as if it were whole."""
    begin, end = scan(own)
    other_begin, other_end = scan(rest)
    half, other_half = (begin + end) // 2, (other_begin + other_end) // 2
    return own[:half] + rest[other_half:other_end] + own[end:]


WAYS = {"plain": {}, "444": {"subsampling": 0}, "restart": {"restart_marker_rows": 1}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rest", ["another photo", "zeros", "noise"])
def test_a_photo_whose_other_half_is_not_its_own_is_refused(decoder: Decoder, way: str, rest: str) -> None:
    own = jpeg(photograph("chelsea.png"), **WAYS[way])
    begin, end = scan(own)
    if rest == "another photo":
        data = spliced(own, jpeg(photograph("coffee.png"), **WAYS[way]))
    else:
        count = (end - begin) // 2
        noise = np.random.default_rng(1).integers(0, 255, count, dtype=np.uint8).tobytes()
        data = own[: end - count] + (bytes(count) if rest == "zeros" else noise) + own[end:]
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(data)
    assert refused.value.code == "truncated"
    assert refused.value.retryable


@pytest.mark.parametrize("level", [0, 6])
def test_a_png_with_one_wrong_byte_is_refused(decoder: Decoder, level: int) -> None:
    data = bytearray(png(photograph("chelsea.png"), compress_level=level))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(bytes(data))
    assert refused.value.code in ("broken", "truncated")


def test_two_photos_joined_at_a_restart_marker_are_likened_to_them_and_the_picture_of_neither(look: Look) -> None:
    """The file is valid: a JPEG may begin anew at any such marker. It resembles both photos and is neither's
    picture.
    """
    options = {"restart_marker_rows": 1, "quality": 92}
    own, other = (jpeg(photograph(name, 800, 640), **options) for name in ("chelsea.png", "coffee.png"))
    cuts = [restart_marker(data, 20) for data in (own, other)]
    joined = own[: cuts[0]] + other[cuts[1] : scan(other)[1]] + own[scan(own)[1] :]
    library = {"0": look(own), "1": look(other), "2": look(jpeg(photograph("rocket.jpg")))}
    fingerprint = look(joined)
    assert fingerprint.pixel_sha256 not in {known.pixel_sha256 for known in library.values()}
    relations = against(library, fingerprint)
    # Half a picture without a seam: the probability lies about the cut-off, the direction is not in doubt.
    assert strongest(relations) in (PhotoVerdict.EDITED_COPY, PhotoVerdict.SIMILAR)
    assert relations[0].relation.photo_id in {"0", "1"}
    assert relations[0].relation.probability > 0.5
    assert {match.relation.photo_id for match in relations if match.verdict in COPIES} <= {"0", "1"}


def restart_marker(data: bytes, number: int) -> int:
    """Returns the offset of that restart marker, counted from 1."""
    place, end = scan(data)
    for _ in range(number):
        place = next(at for at in range(place + 1, end) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7)
    return place


def test_pictures_of_nothing_have_no_subject_that_counts(decoder: Decoder) -> None:
    white: NDArray[np.uint8] = decoder.decode(NOTHING_TO_SEE["all white"]).pixels
    cat: NDArray[np.uint8] = skimage.data.chelsea()
    (blank, known) = shared_subject_model().look([white, cat])
    assert not isinstance(blank, Unmeasured)
    assert not isinstance(known, Unmeasured)
    assert blank.subjects[0][1] < 0.9 <= known.subjects[0][1]
