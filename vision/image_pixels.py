"""Untrusted picture bytes to clean pixels, with Pillow alone. Runs inside the decoding child only (`vision.image_child`)."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

# Every plugin a decode may touch is imported here, before the fork: the child can open no file any more, not even a module.
from PIL import (
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

PRELOADED: Final = (JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
Image.preinit()  # Image.open would import these at its first call
# Explicit, and never "MPO": Pillow registers it only once it has met one, and answers a bare KeyError before.
FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}

# The canonical decode behind `pixel_sha256`: see `vision.image.Picture`. Changing either constant changes every hash.
CANONICAL_LONG_EDGE_PX: Final = 1024
# A JPEG scaled by its own transform to at least this share of the wanted edge needs no second resize (4032 px / 4 = 1008 px for 1024 wanted).
SCALED_SHARE_MIN: Final = 0.875

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


class Refused(Exception):
    """(code, detail): the child's form of `vision.errors.ImageRefused`."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """pixels: RGB bytes, row by row, width_px * height_px * 3 long. source_*: of the file, after orientation."""

    pixels: bytes
    width_px: int
    height_px: int
    source_width_px: int
    source_height_px: int
    pixel_sha256: str
    exif: dict[str, str] = field(default_factory=dict)


def prepare(pixels_max: int) -> None:
    """Set Pillow's process-wide switches: bombs are errors, half pictures are errors."""
    Image.MAX_IMAGE_PIXELS = pixels_max
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode(data: bytes, media_type: str, long_edge_px_max: int, pixels_max: int) -> Decoded:
    """One picture. Raises Refused; MemoryError when the process's limit is met."""
    picture = _open(data, media_type, pixels_max)
    source_width_px, source_height_px = picture.size
    exif, orientation = _exif(picture)
    scale = _scale(picture.size, long_edge_px_max, media_type)
    canonical_scale = _scale(picture.size, CANONICAL_LONG_EDGE_PX, media_type)
    profile = picture.info.get("icc_profile")
    _load(picture, scale)
    if scale == canonical_scale:
        pixel_sha256 = _pixel_sha256(picture, (source_width_px, source_height_px))
    else:
        canonical = _open(data, media_type, pixels_max)
        _load(canonical, canonical_scale)
        pixel_sha256 = _pixel_sha256(canonical, (source_width_px, source_height_px))
    small = _shrink(_eight_bits(picture), long_edge_px_max)
    upright = _upright(_srgb(small, profile), orientation)
    if orientation in (5, 6, 7, 8):
        source_width_px, source_height_px = source_height_px, source_width_px
    return Decoded(
        pixels=upright.tobytes(),
        width_px=upright.width,
        height_px=upright.height,
        source_width_px=source_width_px,
        source_height_px=source_height_px,
        pixel_sha256=pixel_sha256,
        exif=exif,
    )


def _open(data: bytes, media_type: str, pixels_max: int) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(data), formats=[FORMATS[media_type]])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused("too_many_pixels", f"the picture has more than {pixels_max} pixels; send a smaller one") from None
    except BROKEN as error:
        raise Refused("broken", f"the {FORMATS[media_type]} file cannot be read: {_words(error)}") from None
    if picture.width * picture.height > pixels_max:
        raise Refused(
            "too_many_pixels",
            f"{picture.width} x {picture.height} is more than {pixels_max} pixels; send a smaller one",
        )
    return picture


def _load(picture: Image.Image, scale: int) -> None:
    if scale > 1:
        picture.draft(None, (-(-picture.width // scale), -(-picture.height // scale)))
    try:
        picture.load()
    except BROKEN as error:
        words = _words(error)
        code = "truncated" if "truncated" in words or "incomplete" in words or "premature" in words else "broken"
        raise Refused(code, f"the picture is damaged or incomplete ({words}); send it again") from None


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]


def _scale(size: tuple[int, int], long_edge_px_max: int, media_type: str) -> int:
    """The denominator (1, 2, 4, 8) by which a JPEG is scaled while decoding: the largest that keeps about the wanted edge."""
    if media_type != "image/jpeg":
        return 1
    return next(
        (by for by in (8, 4, 2) if max(size) / by >= long_edge_px_max * SCALED_SHARE_MIN and min(size) >= 8 * by), 1
    )


def _pixel_sha256(picture: Image.Image, source_size: tuple[int, int]) -> str:
    """SHA-256 over the source's size and the canonical decode as 8-bit RGB, in strips so that no second whole copy is made."""
    digest = hashlib.sha256(b"miaopei canonical pixels 1\0" + struct.pack(">II", *source_size))
    rows = max(1, 2_000_000 // max(1, picture.width))
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        strip.info = picture.info
        digest.update(_rgb(_eight_bits(strip)).tobytes())
    return digest.hexdigest()


def _eight_bits(picture: Image.Image) -> Image.Image:
    """One of L, RGB, RGBA, CMYK, at 8 bits a channel."""
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
    """8-bit sRGB. A profile that cannot be used is passed over: viewers do the same."""
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
    """The few tags that may leave (never position, serial numbers, names, thumbnails), and the orientation 1-8."""
    try:
        exif = picture.getexif()
        if not exif:
            return {}, 1
        orientation = exif.get(0x0112)
        inner = exif.get_ifd(0x8769)
        tags = {
            "taken_at": _tag(inner.get(0x9003)),
            "offset": _tag(inner.get(0x9011)),
            "software": _tag(exif.get(0x0131)),
            "make": _tag(exif.get(0x010F)),
            "model": _tag(exif.get(0x0110)),
        }
    except BROKEN as error:
        return {"problem": type(error).__name__}, 1
    upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return {name: text for name, text in tags.items() if text} or {"software": ""}, upright


def _tag(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.split("\0")[0].strip()[:300] if isinstance(value, str) else ""
