"""HEIC and AVIF in the forms that phones write, whole, damaged and hostile."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, features

from fixtures.heic import Nclx, heic
from fixtures.hostile_files import exif_block, jpeg
from tests.vision.decode.test_image import ADOBE_PRIMARIES, SRGB_PRIMARIES, difference, wide_gamut_profile
from vision.decode.image import DecodeLimits, Decoder
from vision.errors import ImageRefused

P3_PRIMARIES = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def cat(size: tuple[int, int] = (320, 224)) -> Image.Image:
    return Image.fromarray(skimage.data.chelsea()).resize(size)


def avif(picture: Image.Image, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, "AVIF", **{"quality": 92, "speed": 10, "max_threads": 1, **options})
    return target.getvalue()


def camera_exif(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110], exif[0x0131] = orientation, "Apple", "iPhone 15", "17.1"
    exif.get_ifd(0x8769)[0x9003] = "2026:05:01 12:00:00"
    return exif.tobytes().removeprefix(b"Exif\0\0")


PHONES = {
    "one picture": heic(cat()),
    "tiles": heic(cat((300, 200)), tile_px=128),
    "10 bits": heic(cat(), bits=10),
    "10 bits in tiles": heic(cat((300, 200)), bits=10, tile_px=128),
    "an odd edge": heic(cat((301, 201)), tile_px=64),
    "a burst": heic(cat(), others=[cat((64, 48)).rotate(180), cat((80, 64))]),
    "of a plain brand": heic(cat(), brand=b"mif1"),
    "AVIF": avif(cat()),
    "AVIF at full colour": avif(cat(), subsampling="4:4:4"),
}


@pytest.mark.parametrize("form", PHONES)
def test_a_photo_comes_out_as_it_went_in(decoder: Decoder, form: str) -> None:
    picture = decoder.decode(PHONES[form])
    assert picture.media_type == ("image/avif" if "AVIF" in form else "image/heic")
    size = (picture.source_width_px, picture.source_height_px)
    assert size in {(320, 224), (300, 200), (301, 201)}
    assert picture.pixels.shape == (size[1], size[0], 3)
    assert difference(picture.pixels, cat(size)) < 3


def test_the_same_picture_packed_otherwise_has_the_same_pixels(decoder: Decoder) -> None:
    plain = decoder.decode(heic(cat())).pixel_sha256
    assert decoder.decode(heic(cat(), exif=camera_exif(), xmp=b"<x/>", colour=Nclx(2, 2, 6))).pixel_sha256 == plain
    assert decoder.decode(heic(cat(), tile_px=32)).pixel_sha256 == plain
    assert decoder.decode(heic(cat().rotate(1))).pixel_sha256 != plain


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [None, 0, 1])
def test_a_picture_is_turned_by_its_own_rule_and_not_again_by_its_exif(
    decoder: Decoder, turns: int, mirror: int | None
) -> None:
    upright = cat().rotate(90 * turns, expand=True)
    if mirror is not None:
        flips = (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT)
        upright = upright.transpose(flips[mirror])
    picture = decoder.decode(heic(cat(), turns=turns, mirror=mirror, exif=camera_exif(orientation=6)))
    assert (picture.source_width_px, picture.source_height_px) == upright.size
    assert difference(picture.pixels, upright) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned(decoder: Decoder, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    steps = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    upright = cat().transpose(steps[orientation]) if orientation > 1 else cat()
    picture = decoder.decode(avif(cat(), exif=exif))
    assert (picture.source_width_px, picture.source_height_px) == upright.size
    assert difference(picture.pixels, upright) < 4


def test_transparency_becomes_white(decoder: Decoder) -> None:
    mask = Image.new("L", cat().size, 0)
    mask.paste(255, (0, 0, 160, 224))
    glass = cat()
    glass.putalpha(mask)
    for data in (heic(cat(), alpha=mask), avif(glass)):
        pixels = decoder.decode(data).pixels
        assert pixels[:, 170:].min() >= 250
        assert difference(pixels[:, :150], cat().crop((0, 0, 150, 224))) < 4


def shown_as_srgb(colour: tuple[int, int, int], primaries: object, gamma: float | None = None) -> NDArray[np.float64]:
    """Returns the sRGB values of a colour in another space, computed from the primaries."""
    share = np.array(colour) / 255
    linear = share**gamma if gamma else np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    inside = np.linalg.solve(np.array(SRGB_PRIMARIES).T, np.array(primaries).T @ linear)
    assert inside.min() > 0.0031308
    return 255 * (1.055 * inside ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("colour", [(150, 140, 120), (120, 150, 115), (200, 120, 100)])
def test_wide_colours_become_srgb_whether_named_by_number_or_by_profile(
    decoder: Decoder, colour: tuple[int, int, int]
) -> None:
    plain = Image.new("RGB", (64, 64), colour)
    by_number = decoder.decode(heic(plain, colour=Nclx(12, 13, 6))).pixels[30, 30]
    assert np.abs(by_number - shown_as_srgb(colour, P3_PRIMARIES)).max() <= 3
    assert np.abs(by_number.astype(int) - np.array(colour)).max() >= 3
    by_profile = decoder.decode(heic(plain, colour=wide_gamut_profile())).pixels[30, 30]
    assert np.abs(by_profile - shown_as_srgb(colour, ADOBE_PRIMARIES, gamma=2.2)).max() <= 4
    assert np.abs(decoder.decode(heic(plain)).pixels[30, 30].astype(int) - np.array(colour)).max() <= 2
    profiled = decoder.decode(avif(plain, icc_profile=wide_gamut_profile(), quality=100)).pixels[30, 30]
    assert np.abs(profiled - shown_as_srgb(colour, ADOBE_PRIMARIES, gamma=2.2)).max() <= 4


def test_an_hdr_picture_keeps_paper_white_white(decoder: Decoder) -> None:
    """203 cd/m2 is the signal .58 of PQ (ITU-R BT.2408), and 75% of HLG."""
    for transfer, signal in ((16, 0.581), (18, 0.75)):
        white = Image.new("RGB", (64, 64), (round(255 * signal),) * 3)
        pixels = decoder.decode(heic(white, bits=10, colour=Nclx(9, transfer, 9))).pixels
        assert pixels[30, 30].min() >= 248, transfer
        dark = Image.new("RGB", (64, 64), (60, 60, 60))
        assert decoder.decode(heic(dark, bits=10, colour=Nclx(9, transfer, 9))).pixels[30, 30].max() < 110


def test_exif_and_marks_are_read_as_from_a_jpeg(decoder: Decoder) -> None:
    source = b"cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    xmp = b'<x:xmpmeta><a xmp:CreatorTool="Snapseed 2.0"/>' + source + b"</x:xmpmeta>"
    for data in (
        heic(cat(), exif=camera_exif(), xmp=xmp),
        heic(cat(), tile_px=128, exif=camera_exif(), xmp=xmp),
        avif(cat(), exif=b"Exif\0\0" + camera_exif(), xmp=xmp),
    ):
        picture = decoder.decode(data, marks=True)
        assert picture.exif.camera == "Apple iPhone 15"
        assert picture.exif.software == "17.1"
        assert str(picture.exif.taken_at) == "2026-05-01 12:00:00+08:00"
        assert picture.origin.marks["creator_tool"] == "Snapseed 2.0"
        assert picture.origin.marks["source_type"] == "trainedAlgorithmicMedia"


def test_a_file_says_whether_it_carries_credentials(decoder: Decoder) -> None:
    box = struct.pack(">I", 28) + b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4)
    assert decoder.decode(heic(cat()) + box, marks=True).origin.marks["c2pa"] == "embedded"
    assert "c2pa" not in decoder.decode(heic(cat()), marks=True).origin.marks


@pytest.mark.parametrize("form", ["one picture", "tiles", "AVIF"])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_cut_file_is_truncated(decoder: Decoder, form: str, share: float) -> None:
    data = PHONES[form]
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(data[: max(40, int(len(data) * share))])
    assert refused.value.code == "truncated"
    assert refused.value.retryable
    assert decoder.decode(jpeg()).pixels.shape == (480, 640, 3)


def test_wrong_bytes_end_in_a_code_or_in_pixels_and_harm_no_other_file(decoder: Decoder) -> None:
    random = np.random.default_rng(5)
    codes = set()
    for data in (PHONES["tiles"], PHONES["10 bits"], PHONES["AVIF"]):
        for count in (1, 30, 400):
            spoilt = bytearray(data)
            for place in random.integers(24, len(data), count):
                spoilt[place] = random.integers(0, 256)
            try:
                codes.add(decoder.decode(bytes(spoilt)).media_type)
            except ImageRefused as refused:
                codes.add(refused.code)
    assert codes <= {
        "image/heic", "image/avif", "broken", "truncated", "unsupported_kind", "too_many_pixels", "decode_memory",
        "decode_crashed",
    }  # fmt: skip
    assert difference(decoder.decode(PHONES["one picture"]).pixels, cat()) < 3


def resized(data: bytes, width_px: int, height_px: int) -> bytes:
    """Returns the file with another size written into its description."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width_px, height_px) + data[at + 8 :]


def test_a_picture_that_would_take_too_much_is_refused_before_it_is_decoded(decoder: Decoder) -> None:
    with pytest.raises(ImageRefused, match=r"too_many_pixels: 30000 x 30000 px would take .* send a smaller one"):
        decoder.decode(resized(heic(cat((64, 64))), 30_000, 30_000))
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(resized(avif(cat((64, 64))), 30_000, 30_000))
    assert refused.value.code == "too_many_pixels"


def test_a_picture_that_lies_about_its_size_meets_the_childs_own_limit() -> None:
    lying = resized(heic(Image.new("RGB", (4000, 3008))), 64, 64)
    with Decoder(DecodeLimits(memory_bytes_max=24 * 1024 * 1024), processes=1) as lean:
        with pytest.raises(ImageRefused) as refused:
            lean.decode(lying)
        assert refused.value.code in {"decode_memory", "decode_crashed", "broken"}
        assert difference(lean.decode(PHONES["one picture"]).pixels, cat()) < 3


@pytest.mark.parametrize(
    ("kind", "words"), [(b"avc1", "H.264"), (b"vvc1", "H.266"), (b"j2k1", "JPEG 2000"), (b"unci", "uncompressed")]
)
def test_another_coding_is_named_and_not_called_damaged(decoder: Decoder, kind: bytes, words: str) -> None:
    with pytest.raises(ImageRefused, match=words) as refused:
        decoder.decode(heic(cat(), item_kind=kind))
    assert refused.value.code == "unsupported_kind"
    assert refused.value.retryable


def test_exif_that_lies_is_passed_over(decoder: Decoder) -> None:
    hostile = exif_block([(0x010F, 2, 0xFFFFFFFF, b"\xff" * 4)], count=65_535)[6:]
    assert difference(decoder.decode(heic(cat(), exif=hostile), marks=True).pixels, cat()) < 3


def test_pillow_decodes_avif_with_a_free_decoder() -> None:
    assert features.check("avif")
