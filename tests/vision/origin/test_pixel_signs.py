"""Signs of origin in pixels, on pictures made for it; rates are in docs/provenance.md."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fixtures import edits, provenance_cases
from fixtures.hostile_files import jpeg, photo, png
from vision.copies import geometry
from vision.decode.image import Decoder
from vision.decode.strip import ROWS_MAX, top_strip
from vision.origin.pixel_signs import pixel_signs
from vision.origin.requantised import unevenness
from vision.origin.sign import OriginSignKind, Sign
from vision.origin.signs import look_for_signs

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def scene(seed: int = 0, width: int = 640, height: int = 480) -> Pixels:
    """Returns soft forms with texture of many scales and no period."""
    rng = np.random.default_rng(seed)
    value = np.zeros((height, width, 3), np.float64)
    for size in (4, 9, 20, 45, 100, 220):
        layer = rng.normal(0, 1, (max(2, height // size), max(2, width // size), 3))
        picture = np.stack(
            [
                np.asarray(Image.fromarray(layer[:, :, k]).resize((width, height), Image.Resampling.BICUBIC))
                for k in range(3)
            ],
            axis=2,
        )
        value += picture * size**0.5
    return np.clip(128 + 12 * value, 2, 253).astype(np.uint8)


def signs_of(decoder: Decoder, data: bytes) -> dict[OriginSignKind, Sign]:
    picture = decoder.decode(data, marks=True)
    grey = np.asarray(Image.fromarray(picture.pixels).convert("L"), dtype=np.uint8)
    return {sign.kind: sign for sign in pixel_signs(picture, geometry.extract(grey))}


def test_a_plain_scene_shows_nothing(decoder: Decoder) -> None:
    for seed in range(4):
        signs = [sign for sign in signs_of(decoder, edits.jpeg_bytes(scene(seed))).values() if sign.state == "found"]
        assert signs == []


@pytest.mark.parametrize("seed", range(4))
def test_both_kinds_of_app_screen_are_found(decoder: Decoder, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chat = edits.jpeg_bytes(provenance_cases.chat_screenshot(scene(seed), rng))
    assert signs_of(decoder, chat)[OriginSignKind.SCREENSHOT].state == "found"


@pytest.mark.parametrize("level", [30, 120, 215])
def test_small_goods_on_a_plain_ground_are_no_app_screen(decoder: Decoder, level: int) -> None:
    # A grooved white board in daylight, as behind goods that somebody photographs for a claim.
    rng = np.random.default_rng(level)
    down, across = np.mgrid[0:1280, 0:960]
    ground = level + 6 * np.sin(across / 700) + 4 * np.cos(down / 500) + rng.normal(0, 2, (1280, 960))
    grooves = [120, 180, 260, 330, 420, 510, 590, 680, 760, 850, 940, 1010, 1090, 1160]
    for row in grooves:
        ground[row : row + 9, 150 + row % 90 : 560] -= 25
    board = np.repeat(ground.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    assert signs_of(decoder, edits.jpeg_bytes(board, 92))[OriginSignKind.SCREENSHOT].state == "not_found"


@pytest.mark.parametrize("quality", [40, 70, 90])
def test_an_app_screen_is_found_through_strong_compression(decoder: Decoder, quality: int) -> None:
    chat = edits.jpeg_bytes(provenance_cases.chat_screenshot(scene(1), np.random.default_rng(quality)), quality)
    assert signs_of(decoder, chat)[OriginSignKind.SCREENSHOT].state == "found"


def test_a_pattern_all_over_is_found_and_an_edge_is_not(decoder: Decoder) -> None:
    down, across = np.mgrid[0:480, 0:640]
    fine = 1 + 0.12 * np.sin(2 * np.pi * (across * 0.21 + down * 0.13))
    screen = np.clip(scene() * fine[:, :, None], 0, 255).astype(np.uint8)
    assert signs_of(decoder, edits.jpeg_bytes(screen))[OriginSignKind.RECAPTURE].state == "found"
    halves = scene()
    halves[:, 320:] = halves[:, 320:] // 3
    assert signs_of(decoder, edits.jpeg_bytes(halves))[OriginSignKind.RECAPTURE].state == "not_found"


def test_a_part_pasted_elsewhere_is_found(decoder: Decoder) -> None:
    pasted = scene(3)
    pasted[300:440, 420:600] = pasted[40:180, 60:240]
    sign = signs_of(decoder, edits.jpeg_bytes(pasted, 90))[OriginSignKind.COPY_MOVE]
    assert sign.state == "found"
    assert sign.score is not None
    assert sign.score >= 4


@pytest.mark.parametrize(("first", "second"), [(60, 90), (70, 95), (75, 88)])
def test_a_second_better_compression_shows_the_first(decoder: Decoder, first: int, second: int) -> None:
    shown = scene(0, 1280, 400)
    once = edits.jpeg_bytes(shown, second)
    twice = edits.jpeg_bytes(edits.through_jpeg(shown, first), second)
    assert signs_of(decoder, once)[OriginSignKind.DOUBLE_JPEG].state == "not_found"
    assert signs_of(decoder, twice)[OriginSignKind.DOUBLE_JPEG].state == "found"


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 2}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("height", [100, 256, 480, 1000])
def test_the_strip_is_the_top_of_the_whole_decode(height: int, options: dict[str, int]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene(1, 320, height)).save(buffer, "JPEG", quality=85, **options)
    strip = top_strip(buffer.getvalue())
    assert strip is not None
    whole = Image.open(io.BytesIO(buffer.getvalue()))
    whole.draft("L", whole.size)
    rows = min(height, ROWS_MAX)
    assert (strip.height_px, strip.width_px) == (rows, 320)
    assert strip.levels == np.asarray(whole)[:rows].tobytes()
    assert strip.quantisation == tuple(whole.quantization[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "data",
    [jpeg(None, progressive=True), png(), jpeg(photo(640, 480).convert("CMYK")), jpeg(photo(12, 9)), b"\xff\xd8\xff"],
)
def test_what_is_no_baseline_jpeg_has_no_strip(data: bytes) -> None:
    assert top_strip(data) is None


def test_too_little_detail_is_not_counted() -> None:
    flat = np.full((256, 640), 200, np.uint8)
    assert unevenness(flat, (4,) * 64) is None
    assert unevenness(np.full((256, 640), 255, np.uint8), (4,) * 64) is None


ODD = {
    "one pixel": Image.new("RGB", (1, 1), (3, 200, 9)),
    "white": Image.new("RGB", (800, 600), (255, 255, 255)),
    "panorama": photo(20_000, 200),
    "sliver": photo(900, 3),
    "transparent": photo(300, 200).convert("RGBA"),
    "palette": photo(300, 200).convert("P"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_give_one_sign_of_every_kind_and_none_found(decoder: Decoder, name: str) -> None:
    from vision.copies.fingerprint import Fingerprinter

    data = png(ODD[name])
    picture = decoder.decode(data, marks=True)
    signs = look_for_signs(decoder, data, picture, Fingerprinter().fingerprint(picture, "0" * 64))
    assert [sign.kind for sign in signs] == sorted(OriginSignKind)
    assert [sign for sign in signs if sign.state == "found"] == []
    assert all(sign.value in ("crashed", "not_applicable") for sign in signs if sign.state == "unmeasured")
    assert not [sign for sign in signs if sign.value == "crashed"]
