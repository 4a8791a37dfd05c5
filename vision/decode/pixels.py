"""Decodes untrusted picture bytes to clean pixels, with Pillow alone. Runs inside the decoding child only."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

# Every plugin that a decode may use is imported before the fork: the child can open no file, not even a module.
from PIL import (
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from vision.decode import jpeg_structure
from vision.decode.jpeg_structure import JpegStructure
from vision.decode.marks import read_marks, tag_text
from vision.decode.strip import Strip, top_strip

PRELOADED: Final = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
Image.preinit()  # Image.open would import these at its first call
# Explicit, and never "MPO": Pillow registers it only after it has opened one, and raises a bare KeyError before.
FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}

# The canonical decode behind `pixel_sha256`: see `vision.decode.image.Picture`. Changing either constant changes every
# hash.
CANONICAL_LONG_EDGE_PX: Final = 1024
# A JPEG that its own transform scales to at least this share of the wanted edge needs no second resize (4032 px / 4
# is 1008 px, with 1024 wanted).
SCALED_SHARE_MIN: Final = 0.875
# Rows that libjpeg may hold back until the end marker: the last block rows, for smoothing across their borders.
_ROWS_LATE_MAX: Final = 48

# What Pillow's parsers raise on broken files, gathered from its sources and from fuzzing.
BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class PictureRefused(Exception):
    """(code, detail): the child's form of `vision.errors.ImageRefused`."""


@dataclass(frozen=True, slots=True)
class DecodedPixels:
    """A decoded picture in plain bytes. pixels: RGB, row by row, width_px * height_px * 3 long. source_*: of the file,
    after orientation. marks, strip: for the signs of `vision.origin`, if asked for."""

    pixels: bytes
    width_px: int
    height_px: int
    source_width_px: int
    source_height_px: int
    pixel_sha256: str
    exif: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    strip: Strip | None = None
    text_layer: bytes = b""  # text of a PDF page: `vision.decode.text_layer`


def prepare(pixels_max: int) -> None:
    """Set Pillow's process-wide switches: bombs are errors, half pictures are errors."""
    Image.MAX_IMAGE_PIXELS = pixels_max
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode(
    data: bytes, media_type: str, long_edge_px_max: int, pixels_max: int, *, marks: bool = False
) -> DecodedPixels:
    """Decode one picture. marks: also read what the signs of its origin need. Raises Refused; MemoryError at the
    process's memory limit."""
    picture, source = _open(data, media_type, pixels_max)
    source_width_px, source_height_px = picture.size
    structure = _whole_jpeg(data) if media_type == "image/jpeg" else None
    scale = _scale(picture.size, long_edge_px_max, structure)
    canonical_scale = _scale(picture.size, CANONICAL_LONG_EDGE_PX, structure)
    profile = picture.info.get("icc_profile")
    _load(picture, scale, source, structure, media_type)
    canonical = picture
    if scale != canonical_scale:
        canonical, source = _open(data, media_type, pixels_max)
        _load(canonical, canonical_scale, source, structure, media_type)
    pixel_sha256 = _pixel_sha256(canonical, (source_width_px, source_height_px))
    exif, orientation = _exif(picture)  # after loading: a PNG may have its EXIF behind the pixels
    small = _shrink(_eight_bits(picture), long_edge_px_max)
    upright = _upright(_srgb(small, profile), orientation)
    if orientation in (5, 6, 7, 8):
        source_width_px, source_height_px = source_height_px, source_width_px
    return DecodedPixels(
        pixels=upright.tobytes(),
        width_px=upright.width,
        height_px=upright.height,
        source_width_px=source_width_px,
        source_height_px=source_height_px,
        pixel_sha256=pixel_sha256,
        exif=exif,
        marks=_marks(data, media_type, picture, small) if marks else {},
        strip=_strip(data) if marks and structure is not None and structure.single_scan else None,
    )


def _marks(data: bytes, media_type: str, picture: Image.Image, small: Image.Image) -> dict[str, str]:
    """Read the marks. A picture that decodes is not refused for its metadata: unreadable metadata become a
    `problem`."""
    try:
        return read_marks(data, media_type, picture.getexif(), small)
    except (*BROKEN, RecursionError) as error:
        return {"problem": type(error).__name__}


def _strip(data: bytes) -> Strip | None:
    try:
        return top_strip(data)
    except BROKEN:
        return None


def _open(data: bytes, media_type: str, pixels_max: int) -> tuple[Image.Image, _Source]:
    source = _Source(data)
    try:
        picture = Image.open(source, formats=[FORMATS[media_type]])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureRefused(
            "too_many_pixels", f"the picture has more than {pixels_max} pixels; send a smaller one"
        ) from None
    except BROKEN as error:
        raise _damaged(data, media_type, error) from None
    if picture.width * picture.height > pixels_max:
        raise PictureRefused(
            "too_many_pixels",
            f"{picture.width} x {picture.height} is more than {pixels_max} pixels; send a smaller one",
        )
    return picture, source


def _whole_jpeg(data: bytes) -> JpegStructure:
    structure = jpeg_structure.examine(data)
    if structure.problem:
        raise PictureRefused("truncated", f"the picture is damaged or incomplete ({structure.problem}); send it again")
    return structure


def _load(picture: Image.Image, scale: int, source: _Source, structure: JpegStructure | None, media_type: str) -> None:
    if scale > 1:
        picture.draft(None, (picture.width // scale, picture.height // scale))
    if structure is not None:
        _watch_rows(picture, source, structure, scale)
    try:
        picture.load()
    except BROKEN as error:
        raise _damaged(source.getvalue(), media_type, error) from None


def _damaged(data: bytes, media_type: str, error: BaseException) -> PictureRefused:
    # Pillow's message for an unreadable header contains the address of one of our objects.
    unread = isinstance(error, UnidentifiedImageError)
    words = "its header cannot be read" if unread else (str(error) or type(error).__name__)[:200]
    code = "truncated" if "truncated" in words.lower() or _ends_early(data, media_type) else "broken"
    return PictureRefused(code, f"the picture is damaged or incomplete ({words}); send it again")


def _ends_early(data: bytes, media_type: str) -> bool:
    if media_type == "image/jpeg":
        return jpeg_structure.examine(data).problem != ""
    if media_type == "image/png":
        return b"IEND" not in data
    return len(data) < 12 or int.from_bytes(data[4:8], "little") + 8 > len(data)  # RIFF


class _Source(io.BytesIO):
    """The file as Pillow reads it. `at_boundary` is called once, before the first byte at `boundary` is handed out."""

    boundary: int = 0
    at_boundary: Callable[[], None] | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.at_boundary is not None:
            if self.tell() < self.boundary:
                left = self.boundary - self.tell()
                return super().read(left if size is None or size < 0 else min(size, left))
            called, self.at_boundary = self.at_boundary, None
            called()
        return super().read(size)


def _watch_rows(picture: Image.Image, source: _Source, structure: JpegStructure, scale: int) -> None:
    """Refuse a JPEG whose data ends early but which is closed as if complete: libjpeg fills the rest and only warns.

    If one scan carries the picture, rows come out as data goes in. One row near the bottom is painted beforehand
    with a pattern; when all data has gone in, and before the end marker that makes libjpeg fill up, the pattern must
    have been overwritten.
    """
    row = picture.height - 1 - _ROWS_LATE_MAX // scale
    if not structure.single_scan or row <= 0:
        return
    pattern = bytes((37 * index + 11) % 256 for index in range(picture.width * len(picture.getbands())))
    canvas = Image.new(picture.mode, picture.size)
    canvas.paste(Image.frombytes(picture.mode, (picture.width, 1), pattern), (0, row))
    picture.im = canvas.im

    def check() -> None:
        if canvas.crop((0, row, canvas.width, row + 1)).tobytes() == pattern:
            raise PictureRefused("truncated", "the lower part of the picture is missing; send it again")

    source.boundary, source.at_boundary = structure.first_scan_end, check


def _scale(size: tuple[int, int], long_edge_px_max: int, structure: JpegStructure | None) -> int:
    """Return the factor (1, 2, 4 or 8) that shrinks a JPEG while decoding: the largest that keeps about the wanted
    edge."""
    if structure is None:
        return 1
    return next(
        (by for by in (8, 4, 2) if max(size) / by >= long_edge_px_max * SCALED_SHARE_MIN and min(size) >= 8 * by), 1
    )


def _pixel_sha256(picture: Image.Image, source_size: tuple[int, int]) -> str:
    """Return the SHA-256 over the source's size and the canonical decode as 8-bit RGB, computed in strips to avoid a
    second whole copy."""
    digest = hashlib.sha256(b"miaopei canonical pixels 1\0" + struct.pack(">II", *source_size))
    rows = max(1, 2_000_000 // max(1, picture.width))
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        strip.info = picture.info
        digest.update(_rgb(_eight_bits(strip)).tobytes())
    return digest.hexdigest()


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Convert to one of L, RGB, RGBA, CMYK, at 8 bits a channel."""
    if picture.mode.startswith("I"):  # 16-bit grey: keep the high byte instead of clipping
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if "transparency" in picture.info or picture.mode in {"LA", "La", "PA", "RGBa", "RGBA"}:
        return picture.convert("RGBA")
    if picture.mode in {"L", "RGB", "CMYK"}:
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    flat = Image.new("RGB", picture.size, (255, 255, 255))
    flat.paste(picture, mask=picture.getchannel("A"))
    return flat


def _shrink(picture: Image.Image, long_edge_px_max: int) -> Image.Image:
    long_edge_px = max(picture.size)
    if long_edge_px <= long_edge_px_max:
        return picture
    ratio = long_edge_px_max / long_edge_px
    size = (max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio)))
    # Hamming: nearly as sharp as bicubic when shrinking, at half its time.
    return picture.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to 8-bit sRGB. An unusable profile is ignored, as viewers do."""
    flat = _rgb(picture) if picture.mode == "RGBA" else picture
    if not profile:
        return _rgb(flat)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}[flat.mode]
        if source.profile.xcolor_space.strip() != space or "srgb" in (source.profile.profile_description or "").lower():
            return _rgb(flat)
        transform = ImageCms.buildTransform(
            source, _SRGB, flat.mode, "RGB", renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        converted = ImageCms.applyTransform(flat, transform)
    except (ImageCms.PyCMSError, *BROKEN):
        return _rgb(flat)
    return _rgb(flat) if converted is None else converted


_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))

_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _exif(picture: Image.Image) -> tuple[dict[str, str], int]:
    """Return the few tags that may leave (never position, serial numbers, names, thumbnails), and the
    orientation 1-8."""
    try:
        exif = picture.getexif()
        if not exif:
            return {}, 1
        orientation = exif.get(0x0112)
        inner = exif.get_ifd(0x8769)
        tags = {
            "taken_at": tag_text(inner.get(0x9003)),
            "offset": tag_text(inner.get(0x9011)),
            "software": tag_text(exif.get(0x0131)),
            "make": tag_text(exif.get(0x010F)),
            "model": tag_text(exif.get(0x0110)),
        }
    except BROKEN as error:
        return {"problem": type(error).__name__}, 1
    upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return {name: text for name, text in tags.items() if text} or {"software": ""}, upright
