"""Honest pictures in every form that phones, apps and scanners produce."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageOps
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from fixtures.hostile_files import (
    exif_block,
    jpeg,
    jpeg_segment,
    jpeg_with,
    pdf,
    photo,
    png,
    png_16_bit,
    png_chunk,
    webp,
)
from vision.decode.image import Decoder, preview_jpeg, sniff
from vision.errors import ImageRefused

Pixels = NDArray[np.uint8]
SHARED_DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as running:
        yield running


def cat() -> Image.Image:
    return Image.fromarray(skimage.data.chelsea())


def difference(left: Pixels, right: Pixels | Image.Image) -> float:
    return float(np.abs(left.astype(float) - np.asarray(right, dtype=float)).mean())


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, form, **options)
    return target.getvalue()


@pytest.mark.parametrize(("form", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_a_photo_comes_out_as_plain_pixels(decoder: Decoder, form: str, media_type: str) -> None:
    picture = decoder.decode(saved(cat(), form))
    assert picture.media_type == sniff(saved(cat(), form)[:16]) == media_type
    assert picture.pixels.shape == (300, 451, 3)
    assert (picture.source_width_px, picture.source_height_px) == (451, 300)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert difference(picture.pixels, cat()) < 4


@pytest.mark.parametrize("size", [(4000, 3000), (4032, 3024), (3001, 4001), (1023, 1025), (1024, 768), (20_000, 200)])
def test_a_large_jpeg_is_shrunk_to_about_the_wanted_edge_and_never_beyond(
    decoder: Decoder, size: tuple[int, int]
) -> None:
    large = cat().resize(size)
    picture = decoder.decode(jpeg(large))
    height, width = picture.pixels.shape[:2]
    assert 0.875 * 1024 <= max(width, height) <= 1024
    assert (picture.source_width_px, picture.source_height_px) == size
    assert width / height == pytest.approx(size[0] / size[1], rel=0.06)
    assert difference(picture.pixels, large.resize((width, height), Image.Resampling.BOX)) < 4


@pytest.mark.parametrize("media_type", ["PNG", "WEBP"])
def test_a_panorama_keeps_its_shape(decoder: Decoder, media_type: str) -> None:
    width = 20_000 if media_type == "PNG" else 16_000  # WebP ends at 16,383
    picture = decoder.decode(saved(cat().resize((width, 200)), media_type))
    assert picture.pixels.shape == (round(200 * 1024 / width), 1024, 3)


def test_a_small_picture_is_not_enlarged(decoder: Decoder) -> None:
    assert decoder.decode(png(photo(37, 21))).pixels.shape == (21, 37, 3)


def test_one_pixel_is_a_picture(decoder: Decoder) -> None:
    assert decoder.decode(png(Image.new("RGB", (1, 1), (9, 8, 7)))).pixels.tolist() == [[[9, 8, 7]]]
    assert decoder.decode(jpeg(Image.new("RGB", (1, 1), (200, 200, 200)))).pixels.shape == (1, 1, 3)


def test_all_white_is_a_picture(decoder: Decoder) -> None:
    picture = decoder.decode(jpeg(Image.new("RGB", (4000, 3000), "white")))
    assert picture.pixels.min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_orientation_is_applied(decoder: Decoder, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(cat(), exif=exif)
    picture = decoder.decode(data)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (picture.source_width_px, picture.source_height_px) == upright.size
    assert difference(picture.pixels, upright) == 0


def test_an_impossible_orientation_is_passed_over(decoder: Decoder) -> None:
    block = exif_block([(0x0112, 3, 1, struct.pack("<I", 77))])
    assert decoder.decode(jpeg_with(jpeg(cat()), jpeg_segment(0xE1, block))).pixels.shape == (300, 451, 3)


def test_png_orientation_behind_the_pixels_is_applied(decoder: Decoder) -> None:
    exif = exif_block([(0x0112, 3, 1, struct.pack("<I", 6))])[6:]
    data = png(cat())
    picture = decoder.decode(data[:-12] + png_chunk(b"eXIf", exif) + data[-12:])
    assert difference(picture.pixels, cat().transpose(Image.Transpose.ROTATE_270)) == 0


def test_transparency_becomes_white(decoder: Decoder) -> None:
    glass = cat().convert("RGBA")
    mask = Image.new("L", glass.size, 0)
    mask.paste(255, (0, 0, 200, 300))
    glass.putalpha(mask)
    for data in (png(glass), webp(glass, lossless=True), png(glass.convert("LA"))):
        picture = decoder.decode(data)
        assert picture.pixels[:, 201:].min() == 255
        assert picture.pixels[:, :200].mean() < 200
    paletted = Image.new("P", (4, 4), 1)
    paletted.putpalette([10, 20, 30, 40, 50, 60])
    paletted.putpixel((0, 0), 0)
    picture = decoder.decode(png(paletted, transparency=0))
    assert picture.pixels[0, 0].tolist() == [255, 255, 255]
    assert picture.pixels[1, 1].tolist() == [40, 50, 60]


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_every_colour_mode_becomes_rgb(decoder: Decoder, mode: str) -> None:
    picture = decoder.decode(saved(cat().convert(mode), "JPEG" if mode == "CMYK" else "PNG"))
    oracle = cat().convert(mode).convert("RGB")
    assert difference(picture.pixels, oracle) < 4


def test_sixteen_bits_keep_their_high_byte(decoder: Decoder) -> None:
    ramp = np.tile(np.linspace(0, 65_535, 256).astype(np.uint16), (16, 1))
    grey = decoder.decode(png_16_bit(ramp)).pixels
    assert np.abs(grey[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    colour = decoder.decode(png_16_bit(np.stack([ramp, ramp // 2, 65_535 - ramp], -1))).pixels
    assert np.abs(colour[0, :, 2].astype(int) - np.arange(255, -1, -1)).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(decoder: Decoder, form: str) -> None:
    frames = [photo(160, 120, seed) for seed in range(12)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
    assert difference(decoder.decode(data).pixels, frames[0]) == 0


def test_a_phone_jpeg_with_a_second_picture_decodes_as_its_first(decoder: Decoder) -> None:
    data = saved(cat(), "MPO", save_all=True, append_images=[photo()], quality=90)
    assert Image.open(io.BytesIO(data)).format == "MPO"
    picture = decoder.decode(data)
    assert picture.media_type == "image/jpeg"
    assert difference(picture.pixels, cat()) < 4


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {}])
def test_every_way_to_write_a_jpeg_is_read(decoder: Decoder, options: dict[str, object]) -> None:
    assert difference(decoder.decode(jpeg(cat(), **options)).pixels, cat()) < 4


def wide_gamut_profile() -> bytes:
    """Returns a matrix profile with the primaries of Adobe RGB (1998) and gamma 2.2. ICC.1:2001-04."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65_536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    points = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), [*ADOBE_PRIMARIES, D50], strict=True))
    tags = {name: b"XYZ \0\0\0\0" + fixed(*point) for name, point in points.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    rest = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4sI4s4s4s12s4s", 128 + len(rest), b"", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"", b"acsp")
    return head.ljust(68, b"\0") + fixed(*D50) + bytes(48) + rest


D50 = (0.9642, 1.0, 0.8249)
ADOBE_PRIMARIES = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB_PRIMARIES = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


@pytest.mark.parametrize("colour", [(150, 140, 120), (120, 150, 115), (200, 110, 90)])
def test_colours_of_another_profile_become_srgb(decoder: Decoder, colour: tuple[int, int, int]) -> None:
    linear = (np.array(colour) / 255) ** 2.2
    srgb_linear = np.linalg.solve(np.array(SRGB_PRIMARIES).T, np.array(ADOBE_PRIMARIES).T @ linear)
    assert srgb_linear.min() > 0.0031308, "inside sRGB, on the curved part of its transfer function"
    expected = 255 * (1.055 * srgb_linear ** (1 / 2.4) - 0.055)
    picture = decoder.decode(png(Image.new("RGB", (16, 16), colour), icc_profile=wide_gamut_profile()))
    assert np.abs(picture.pixels[8, 8] - expected).max() <= 2
    assert picture.pixels[8, 8].tolist() != list(colour)


def test_a_broken_profile_is_passed_over(decoder: Decoder) -> None:
    picture = decoder.decode(png(cat(), icc_profile=b"no profile at all" * 20))
    assert difference(picture.pixels, cat()) == 0


def test_pixel_hash_survives_other_metadata_and_no_recompression(decoder: Decoder) -> None:
    large = cat().resize((2400, 1600))
    plain = jpeg(large)
    exif = jpeg_segment(0xE1, exif_block([(0x0112, 3, 1, struct.pack("<I", 6))]))
    rewritten = [
        jpeg_with(plain, exif),
        jpeg_with(plain, jpeg_segment(0xFE, b"forwarded by a messenger")),
        jpeg(large, icc_profile=wide_gamut_profile()),
        plain + b"trailing bytes",
    ]
    expected = decoder.decode(plain).pixel_sha256
    assert {decoder.decode(data).pixel_sha256 for data in rewritten} == {expected}
    assert decoder.decode(jpeg(large, quality=87)).pixel_sha256 != expected
    other = large.copy()
    other.putpixel((1200, 800), (255, 0, 255))
    assert decoder.decode(jpeg(other)).pixel_sha256 != expected


def test_pixel_hash_is_the_same_for_every_wanted_size(decoder: Decoder) -> None:
    for data in (jpeg(cat().resize((2400, 1600))), png(cat().resize((1200, 800)))):
        hashes = {decoder.decode(data, edge).pixel_sha256 for edge in (200, 1024, 1600, 4000)}
        assert len(hashes) == 1


def test_pixel_hash_of_a_png_is_of_its_pixels_not_its_packing(decoder: Decoder) -> None:
    hashes = {decoder.decode(png(cat(), compress_level=level)).pixel_sha256 for level in (0, 1, 9)}
    assert len(hashes) == 1
    assert decoder.decode(webp(cat(), lossless=True)).pixel_sha256 in hashes


def test_many_threads_each_get_their_own_picture(decoder: Decoder) -> None:
    files = [(index, png(Image.new("RGB", (64, 64), (index, 255 - index, 7)))) for index in range(60)]

    def check(file: tuple[int, bytes]) -> bool:
        return bool((decoder.decode(file[1]).pixels == (file[0], 255 - file[0], 7)).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, files))


def test_a_twelve_megapixel_photo_costs_little_cpu() -> None:
    # Aim: 60 ms a photo. The bound leaves room for a slow, shared machine; the benchmark prints the figure.
    data = jpeg(Image.effect_noise((4000, 3000), 20).convert("RGB"), quality=90)
    with Decoder(processes=1) as single:
        single.decode(data)
        zygote = psutil.Process(single.process_ids[0])
        before = zygote.cpu_times()
        for _ in range(5):
            single.decode(data)
        after = zygote.cpu_times()
    spent = sum(after[:4]) - sum(before[:4])
    assert spent / 5 < 0.2


def test_every_page_of_a_pdf_is_rendered(decoder: Decoder) -> None:
    pages = decoder.render_pdf(pdf(3))
    assert [page.pixels.shape for page in pages] == [(1755, 1240, 3)] * 3
    assert {page.media_type for page in pages} == {"application/pdf"}
    red = (pages[0].pixels == (255, 0, 0)).all(axis=2)
    assert red.mean() == pytest.approx(200 * 60 / (595 * 842), rel=0.02)
    dark = (pages[0].pixels < 100).all(axis=2)
    assert dark.any(), "the line of text is drawn"


def test_a_pdf_page_is_rendered_at_less_rather_than_too_large(decoder: Decoder) -> None:
    (page,) = decoder.render_pdf(pdf(media_box=b"0 0 14400 14400"))
    assert page.pixels.shape[0] * page.pixels.shape[1] <= decoder.limits.pdf_page_pixels_max * 1.01


def protected_pdf(user_password: str) -> bytes:
    """Returns a page whose owner forbids changes."""
    target = io.BytesIO()
    protection = StandardEncryption(user_password, ownerPassword="owner", canModify=0, canPrint=0, strength=128)
    canvas = Canvas(target, pagesize=(300, 100), encrypt=protection)
    canvas.drawString(40, 40, "Total 123.45")
    canvas.save()
    return target.getvalue()


def test_a_pdf_that_only_restricts_its_use_opens_and_one_with_a_password_says_what_to_do(decoder: Decoder) -> None:
    """Tax authorities' PDFs often carry an owner password: it forbids changes, and hides nothing."""
    (page,) = decoder.render_pdf(protected_pdf(""))
    assert [line.text for line in page.text_layer.lines] == ["Total 123.45"]
    assert (page.pixels < 100).all(axis=2).any()
    with pytest.raises(ImageRefused, match="print it to a new PDF") as refused:
        decoder.render_pdf(protected_pdf("secret"))
    assert refused.value.code == "pdf_encrypted"
    assert refused.value.retryable


def test_a_caller_can_ask_for_fewer_pages(decoder: Decoder) -> None:
    with pytest.raises(ImageRefused) as refused:
        decoder.render_pdf(pdf(3), page_count_max=2)
    assert refused.value.code == "pdf_too_many_pages"


def test_a_pdf_is_no_photo_and_a_photo_no_pdf(decoder: Decoder) -> None:
    with pytest.raises(ImageRefused, match="unknown_format"):
        decoder.decode(pdf())
    with pytest.raises(ImageRefused, match="unknown_format"):
        decoder.render_pdf(jpeg())


def test_a_preview_is_small_and_carries_no_metadata(decoder: Decoder) -> None:
    picture = decoder.decode(jpeg(cat().resize((2400, 1600))))
    preview = preview_jpeg(picture.pixels, long_edge_px_max=320)
    with Image.open(io.BytesIO(preview)) as opened:
        assert opened.format == "JPEG"
        assert max(opened.size) == 320
        assert not opened.getexif()
    assert difference(np.asarray(Image.open(io.BytesIO(preview))), cat().resize(opened.size)) < 6


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the measuring data is not beside the checkout")
@pytest.mark.parametrize("archive", ["photos-caltech101.tar", "receipts-sroie-dev.tar"])
def test_photos_and_scans_from_the_world_all_decode(decoder: Decoder, archive: str) -> None:
    with tarfile.open(SHARED_DATA / archive) as file:
        members = [member for member in file if member.name.lower().endswith((".jpg", ".jpeg", ".png"))]
        for member in members[:: max(1, len(members) // 20)]:
            opened = file.extractfile(member)
            assert opened is not None
            data = opened.read()
            oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            picture = decoder.decode(data)
            assert (picture.source_width_px, picture.source_height_px) == oracle.size
            height, width = picture.pixels.shape[:2]
            assert difference(picture.pixels, oracle.resize((width, height), Image.Resampling.BOX)) < 8
