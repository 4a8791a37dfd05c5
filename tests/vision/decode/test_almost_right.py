"""Files that break a rule of their format and hold a whole picture, kinds that are not read, and very large photos."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fixtures.hostile_files import jpeg, jpeg_with, photo, png, png_bomb
from formats.cost import DEFAULT_LIMITS
from vision.decode.image import DecodeLimits, Decoder
from vision.errors import ImageRefused


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


WAYS = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}]


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("behind", [b"", b"\xff", bytes(5000)])
def test_a_jpeg_with_all_its_data_and_no_end_is_decoded_with_a_note(
    decoder: Decoder, options: dict[str, object], behind: bytes
) -> None:
    whole = jpeg(None, **options)
    picture, closed = decoder.decode(whole[:-2] + behind), decoder.decode(whole)
    assert picture.notes == ("no_end_marker",)
    assert closed.notes == ()
    assert np.array_equal(picture.pixels, closed.pixels)
    assert picture.pixel_sha256 == closed.pixel_sha256


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("missing", [16, 60, 400, 6000])
@pytest.mark.parametrize("behind", [b"", bytes(20_000)])
def test_a_jpeg_that_lacks_the_last_of_its_data_stays_truncated(
    decoder: Decoder, options: dict[str, object], missing: int, behind: bytes
) -> None:
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(jpeg(None, **options)[: -2 - missing] + behind)
    assert refused.value.code == "truncated"


def with_wrong_checksum(data: bytes, kind: bytes) -> bytes:
    at = data.index(kind)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    return data[:end] + bytes([data[end] ^ 0xFF]) + data[end + 1 :]


def test_a_png_with_a_wrong_checksum_over_a_text_is_decoded_with_a_note(decoder: Decoder) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "taken on Monday")
    data = png(photo(), pnginfo=texts)
    picture = decoder.decode(with_wrong_checksum(data, b"tEXt"))
    assert picture.notes == ("bad_metadata_checksum",)
    assert np.array_equal(picture.pixels, decoder.decode(data).pixels)
    assert decoder.decode(data).notes == ()


def test_what_a_damaged_text_says_of_the_pictures_origin_still_counts(decoder: Decoder) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a parcel\nSteps: 20, Sampler: Euler, CFG scale: 7")
    data = with_wrong_checksum(png(photo(), pnginfo=texts), b"tEXt")
    assert decoder.decode(data, marks=True).origin.marks["generator"] == "Stable Diffusion web UI"


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS"])
def test_a_png_with_a_wrong_checksum_over_the_picture_is_refused(decoder: Decoder, kind: bytes) -> None:
    paletted = photo().quantize(16)
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(with_wrong_checksum(png(paletted, transparency=3), kind))
    assert refused.value.code in ("broken", "truncated")


@pytest.mark.parametrize(
    ("marker", "bits", "words"),
    [
        (0xC9, 8, "an arithmetic-coded JPEG"),
        (0xCA, 8, "an arithmetic-coded JPEG"),
        (0xC1, 12, "a JPEG of 12 bits"),
        (0xC3, 8, "a lossless JPEG"),
        (0xC5, 8, "a hierarchical JPEG"),
    ],
)
def test_a_kind_of_jpeg_that_is_not_read_is_named_and_not_called_damaged(
    decoder: Decoder, marker: int, bits: int, words: str
) -> None:
    data = jpeg().replace(b"\xff\xc0\0\x11\x08", bytes([0xFF, marker, 0, 0x11, bits]))
    with pytest.raises(ImageRefused, match=f"this is {words}, which cannot be read; send it as the phone") as refused:
        decoder.decode(data)
    assert refused.value.code == "unsupported_kind"
    assert refused.value.retryable


def test_a_jpeg_of_ink_colours_is_read_either_way_round(decoder: Decoder) -> None:
    inks = Image.new("CMYK", (64, 64), (0, 200, 200, 0))
    red = decoder.decode(jpeg(inks)).pixels[32, 32]
    assert red[0] > 180 > 100 > red[1]


def test_a_panorama_of_59_megapixels_is_decoded(decoder: Decoder) -> None:
    wide = Image.effect_noise((2048, 450), 30).convert("RGB").resize((16_382, 3_600))
    picture = decoder.decode(jpeg(wide, quality=60))
    assert (picture.source_width_px, picture.source_height_px) == (16_382, 3_600)
    assert max(picture.pixels.shape) <= 1024


def test_one_rule_limits_the_door_and_the_child() -> None:
    assert DecodeLimits().memory_bytes_max == DEFAULT_LIMITS.memory_bytes_max
    assert DecodeLimits().cpu_seconds_max >= DEFAULT_LIMITS.cpu_seconds_max


def test_a_jpeg_of_more_pixels_than_cpu_is_refused_and_named(decoder: Decoder) -> None:
    frame = b"\xff\xc0\0\x11\x08"
    data = jpeg_with(jpeg()).replace(frame + struct.pack(">HH", 480, 640), frame + struct.pack(">HH", 65_000, 65_000))
    with pytest.raises(ImageRefused, match="65000 x 65000 px would take too long to open"):
        decoder.decode(data)
    with pytest.raises(ImageRefused, match="too_many_pixels"):
        decoder.decode(png_bomb(14_300, 14_300, 8, 6))
