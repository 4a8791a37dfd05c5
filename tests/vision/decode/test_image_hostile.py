"""Hostile files are refused with their code or come out clean, and the next file decodes as usual."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
import pytest

from fixtures.hostile_files import (
    HOSTILE,
    HOSTILE_PDFS,
    SCRIPT,
    HostileFile,
    jpeg,
    jpeg_closed_early,
    jpeg_scan_bomb,
    pdf,
    photo,
    png,
    png_bomb,
    webp,
)
from vision.decode.image import DecodeLimits, Decoder, preview_jpeg
from vision.decode.jpeg_structure import examine
from vision.errors import REFUSAL_CODES, ImageRefused


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def outcome(decoder: Decoder, file: HostileFile) -> str:
    try:
        if file.name.endswith(".pdf"):
            decoder.render_pdf(file.make())
        else:
            decoder.decode(file.make())
    except ImageRefused as refused:
        return refused.code
    return ""


@pytest.mark.parametrize("file", [*HOSTILE, *HOSTILE_PDFS], ids=lambda file: file.name)
def test_a_hostile_file_gets_the_refusal_it_deserves_and_the_decoder_goes_on(
    decoder: Decoder, file: HostileFile
) -> None:
    before = decoder.process_ids
    assert outcome(decoder, file) in file.codes
    assert decoder.decode(png(photo(64, 48))).pixels.shape == (48, 64, 3)
    assert before in ((), decoder.process_ids), "the zygote survives every file"


def test_a_refusal_tells_the_claimant_what_the_file_is(decoder: Decoder) -> None:
    drawing = next(file for file in HOSTILE if file.name == "drawing-named.jpg")
    with pytest.raises(ImageRefused, match="an SVG drawing, whatever its name says; send JPEG"):
        decoder.decode(drawing.make())
    with pytest.raises(ImageRefused, match="a film"):
        decoder.decode(b"\0\0\0\x18ftypisom" + bytes(64))


def test_a_file_over_the_size_limit_is_not_even_looked_at(decoder: Decoder) -> None:
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(jpeg() + bytes(25 * 1024 * 1024))
    assert refused.value.code == "file_too_large"


def test_what_hides_in_a_polyglot_does_not_come_out(decoder: Decoder) -> None:
    for name in ("archive-inside.jpg", "script-inside.jpg"):
        data = next(file for file in HOSTILE if file.name == name).make()
        picture = decoder.decode(data)
        assert np.array_equal(picture.pixels, decoder.decode(jpeg()).pixels)
        preview = preview_jpeg(picture.pixels)
        assert not any(trace in preview for trace in (SCRIPT, b"<script", b"<?php", b"PK\x03\x04", b"cron.d"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}], ids=["plain", "444", "restart"]
)
@pytest.mark.parametrize("wanted_px", [200, 1024, 4000])
def test_a_jpeg_cut_off_and_closed_again_is_refused_not_filled_up(
    decoder: Decoder, share: float, options: dict[str, object], wanted_px: int
) -> None:
    with pytest.raises(ImageRefused) as refused:
        decoder.decode(jpeg_closed_early(share, **options), wanted_px)
    assert refused.value.code == "truncated"


@pytest.mark.parametrize("make", [jpeg, png, webp])
def test_a_picture_cut_anywhere_is_refused(decoder: Decoder, make: type[object]) -> None:
    data = make()
    assert isinstance(data, bytes)
    for share in (0.02, 0.2, 0.5, 0.8, 0.97):
        with pytest.raises(ImageRefused) as refused:
            decoder.decode(data[: int(len(data) * share)])
        assert refused.value.code == "truncated"
        assert refused.value.retryable


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_whole_jpeg_has_no_structural_problem(options: dict[str, object]) -> None:
    assert examine(jpeg(None, **options)).problem == ""
    assert examine(jpeg(photo().convert("L"), **options)).problem == ""


def test_cpu_seconds_are_limited() -> None:
    with Decoder(DecodeLimits(cpu_seconds_max=1), processes=1) as quick:
        with pytest.raises(ImageRefused) as refused:
            quick.decode(jpeg_scan_bomb(2500, 2500, scans=2000))
        assert refused.value.code == "decode_timeout"
        assert "CPU" in refused.value.detail
        assert quick.decode(jpeg()).pixels.shape == (480, 640, 3)


def test_memory_is_limited() -> None:
    with Decoder(DecodeLimits(memory_bytes_max=64 * 1024 * 1024), processes=1) as lean:
        with pytest.raises(ImageRefused) as refused:
            lean.decode(png_bomb(7000, 7000, bits=8, colour_type=6))
        assert refused.value.code == "decode_memory"
        assert not refused.value.retryable, "a person should look at such a file"
        assert lean.decode(jpeg()).pixels.shape == (480, 640, 3)


def test_the_largest_allowed_pictures_fit_into_the_default_limits(decoder: Decoder) -> None:
    for data in (png_bomb(7000, 7000, bits=8, colour_type=6), jpeg(photo().resize((8000, 6000)), progressive=True)):
        assert max(decoder.decode(data).pixels.shape) <= 1024


def test_fifty_pages_are_rendered() -> None:
    with Decoder(DecodeLimits(pdf_page_pixels_max=100_000), processes=1) as decoder:
        pages = decoder.render_pdf(pdf(50))
    assert len(pages) == 50


def test_a_refusal_travels_between_processes_whole() -> None:
    refused = ImageRefused("truncated", "send it again")
    copy = pickle.loads(pickle.dumps(refused))
    assert (copy.code, copy.detail, str(copy)) == (refused.code, refused.detail, str(refused))
    assert refused.code in REFUSAL_CODES
