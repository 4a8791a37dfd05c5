"""Originals shown to adjusters: the same picture without metadata on place or owner."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from api.http.originals import without_marks
from fixtures.heic import heic
from vision.decode.image import Decoder
from vision.measurement import Unmeasured

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
MARK = b"PLANTED-0417"


def planted(kind: str) -> tuple[bytes, str]:
    """Returns a file with the mark in every metadata field of its format, and behind its end."""
    picture, buffer = Image.fromarray(PIXELS), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, MARK.decode()
    exif.get_ifd(0x8825)[27] = MARK
    exif.get_ifd(0x8769)[0xA431] = MARK.decode()
    xmp = b"<x:xmpmeta>" + MARK + b"</x:xmpmeta>"
    if kind in ("jpeg", "progressive"):
        picture.save(buffer, "JPEG", exif=exif.tobytes(), comment=MARK, xmp=xmp, progressive=kind == "progressive")
    elif kind == "png":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Author", MARK.decode())
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        picture.save(buffer, "PNG", exif=exif.tobytes(), pnginfo=texts)
    elif kind == "avif":
        picture.save(buffer, "AVIF", exif=exif.tobytes(), xmp=xmp, quality=100)
    elif kind == "heic":
        block = exif.tobytes().removeprefix(b"Exif\0\0")
        buffer.write(heic(picture, exif=block, xmp=xmp) + struct.pack(">I", 8 + len(MARK)) + b"uuid" + MARK)
    else:
        picture.save(buffer, "WEBP", exif=exif.tobytes(), xmp=xmp, lossless=True)
    return buffer.getvalue() + MARK, f"image/{'jpeg' if kind == 'progressive' else kind}"


def test_of_a_heic_photo_the_picture_stays_and_what_is_said_beside_it_goes() -> None:
    sent, media_type = planted("heic")
    shown = without_marks(sent, media_type)
    assert sent.count(MARK) >= 4
    assert MARK not in shown
    assert len(shown) == len(sent)
    with Decoder(processes=1) as decoder:
        before, after = decoder.decode(sent), decoder.decode(shown, marks=True)
    assert np.array_equal(before.pixels, after.pixels)
    assert isinstance(after.exif.camera, Unmeasured)


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "webp", "avif"])
def test_the_picture_stays_and_what_is_said_beside_it_goes(kind: str) -> None:
    sent, media_type = planted(kind)
    assert sent.count(MARK) >= 4
    shown = without_marks(sent, media_type)
    assert MARK not in shown
    assert len(shown) == len(sent)
    before, after = Image.open(io.BytesIO(sent)), Image.open(io.BytesIO(shown))
    assert np.array_equal(np.asarray(after), np.asarray(before))
    if media_type == "image/jpeg":
        assert after.getexif().get(0x0112) == 6, "a photo that was taken upright must not lie on its side"
        assert dict(after.getexif()) == {0x0112: 6}


def test_photos_and_xmp_that_lie_in_a_pdf_uncompressed_are_blanked_and_the_rest_stays() -> None:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif.get_ifd(0x8825)[27] = MARK
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=exif.tobytes(), xmp=b"<x:xmpmeta>" + MARK + b"</x:xmpmeta>")
    photo = buffer.getvalue()
    packet = b"<x:xmpmeta>" + MARK + b"</x:xmpmeta>"
    pdf = b"%PDF-1.4\n1 0 obj\nstream\n" + photo + b"\nendstream\nendobj\n" + packet + b"\n%%EOF"
    assert pdf.count(MARK) == 3
    shown = without_marks(pdf, "application/pdf")
    assert MARK not in shown
    assert len(shown) == len(pdf)
    start = pdf.index(photo)
    inside = Image.open(io.BytesIO(shown[start : start + len(photo)]))
    assert np.array_equal(np.asarray(inside), np.asarray(Image.open(io.BytesIO(photo))))


def test_a_document_that_a_machine_made_is_served_as_it_was_sent() -> None:
    for media_type in ("application/ofd", "application/xml"):
        assert without_marks(b"<EInvoice/>", media_type) == b"<EInvoice/>"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["image/jpeg", "image/png", "image/webp", "application/pdf", "x/y"]))
def test_no_bytes_whatever_break_it_or_change_their_length(junk: bytes, media_type: str) -> None:
    assert len(without_marks(junk, media_type)) == len(junk)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["jpeg", "progressive", "png", "webp"]), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_file_keeps_no_mark_that_stood_before_the_damage_in_a_known_place(
    kind: str, at: int, value: int
) -> None:
    sent, media_type = planted(kind)
    broken = bytearray(sent)
    broken[len(sent) // 2 + at % (len(sent) // 2)] = value
    shown = without_marks(bytes(broken), media_type)
    assert len(shown) == len(sent)
    assert MARK not in shown[: len(sent) // 4]
