"""Decodes untrusted picture bytes to clean pixels, with Pillow and libheif. Runs inside the decoding child only."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

# Every plugin that a decode may use is imported before the fork: the child can open no file, not even a module.
from PIL import (
    AvifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from formats import boxes
from formats.cost import too_costly
from formats.header import Coding, PictureHeader, read_header
from vision.decode import heif, jpeg_structure, repair
from vision.decode.colour import BROKEN, srgb
from vision.decode.jpeg_structure import JpegStructure
from vision.decode.marks import read_marks, tag_text
from vision.decode.rows import PillowRows, PixelRows, pixel_sha256, shrunk
from vision.decode.strip import Strip, top_strip

PRELOADED: Final = (
    AvifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
Image.preinit()  # Image.open would import these at its first call
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the child may start none
# Explicit, and never "MPO": Pillow registers it only after it has opened one, and raises a bare KeyError before.
FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/avif": "AVIF"}
HEIF_TYPES: Final = frozenset({"image/heic", "image/avif"})

# The canonical decode behind `pixel_sha256`: see `vision.decode.image.Picture`. Changing it changes every hash.
CANONICAL_LONG_EDGE_PX: Final = 1024
# A JPEG that its own transform scales to at least this share of the wanted edge needs no second resize (4032 px / 4
# is 1008 px, with 1024 wanted).
SCALED_SHARE_MIN: Final = 0.875
# Rows that libjpeg may hold back until the end marker: the last block rows, for smoothing across their borders.
_ROWS_LATE_MAX: Final = 48
# Of a picture whose header cannot be read: the coding that costs most.
_UNREAD_HEADERS: Final[dict[str, Coding]] = {
    "image/jpeg": "progressive",
    "image/png": "png",
    "image/webp": "webp",
    "image/avif": "av1",
    "image/heic": "hevc",
}
READABLE_KINDS: Final = "send it as the phone's camera makes it, or send a screenshot of it"


class PictureRefused(Exception):
    """(code, detail): the child's form of `vision.errors.ImageRefused`."""


@dataclass(frozen=True, slots=True)
class DecodedPixels:
    """A decoded picture in plain bytes. pixels: RGB, row by row, width_px * height_px * 3 long. source_*: of the file,
    after orientation. marks, strip: for the signs of `vision.origin`, if asked for. notes: of
    `vision.decode.repair`."""

    pixels: bytes
    width_px: int
    height_px: int
    source_width_px: int
    source_height_px: int
    pixel_sha256: str
    exif: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    strip: Strip | None = None
    text_layer: bytes = b""  # text of a document's page: `vision.decode.text_layer`
    data_layer: bytes = b""  # what an e-invoice's attached data state, in the same form
    signature: dict[str, object] | None = None  # `vision.decode.signature`
    notes: tuple[str, ...] = ()


def of_page(
    picture: Image.Image,
    how: str,
    text_layer: bytes,
    data_layer: bytes = b"",
    signature: dict[str, object] | None = None,
) -> DecodedPixels:
    """Return a document's page. how: rendered or drawn; the same pixels made in both ways are two pictures."""
    pixels = picture.tobytes()
    header = f"miaopei {how} page 1\0".encode() + struct.pack(">II", *picture.size)
    return DecodedPixels(
        pixels=pixels,
        width_px=picture.width,
        height_px=picture.height,
        source_width_px=picture.width,
        source_height_px=picture.height,
        pixel_sha256=hashlib.sha256(header + pixels).hexdigest(),
        text_layer=text_layer,
        data_layer=data_layer,
        signature=signature,
    )


def prepare() -> None:
    """Set Pillow's process-wide switches: half pictures are errors. How large a picture may be is judged by what it
    costs (`formats.cost`), before it is decoded."""
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.simplefilter("ignore")


def decode(data: bytes, media_type: str, long_edge_px_max: int, *, marks: bool = False) -> DecodedPixels:
    """Decode one picture. marks: also read what the signs of its origin need. Raises Refused; MemoryError at the
    process's memory limit."""
    header = read_header(data, media_type)
    if header is not None:
        _admit(header)
    if media_type in HEIF_TYPES:
        return _decode_heif(data, media_type, long_edge_px_max, marks=marks)
    return _decode_plain(data, media_type, long_edge_px_max, marks=marks)


def _admit(header: PictureHeader) -> None:
    if header.unread:
        raise PictureRefused("unsupported_kind", f"this is {header.unread}, which cannot be read; {READABLE_KINDS}")
    words = too_costly(header)
    if words:
        raise PictureRefused("too_many_pixels", words)


def _decode_plain(whole: bytes, media_type: str, long_edge_px_max: int, *, marks: bool) -> DecodedPixels:
    data, notes = _mended(whole, media_type)
    picture, source = _open(data, media_type)
    source_width_px, source_height_px = picture.size
    structure = _whole_jpeg(data) if media_type == "image/jpeg" else None
    scale = _scale(picture.size, long_edge_px_max, structure)
    canonical_scale = _scale(picture.size, CANONICAL_LONG_EDGE_PX, structure)
    profile = picture.info.get("icc_profile")
    _load(picture, scale, source, structure, media_type)
    canonical = picture
    if scale != canonical_scale:
        canonical, source = _open(data, media_type)
        _load(canonical, canonical_scale, source, structure, media_type)
    digest = pixel_sha256(PillowRows(canonical), (source_width_px, source_height_px))
    exif, orientation = _exif(picture.getexif)  # after loading: a PNG may have its EXIF behind the pixels
    small = shrunk(PillowRows(picture), long_edge_px_max)
    upright = _upright(srgb(small, profile), orientation)
    if orientation in (5, 6, 7, 8):
        source_width_px, source_height_px = source_height_px, source_width_px
    return DecodedPixels(
        pixels=upright.tobytes(),
        width_px=upright.width,
        height_px=upright.height,
        source_width_px=source_width_px,
        source_height_px=source_height_px,
        pixel_sha256=digest,
        exif=exif,
        marks=_marks(whole, media_type, picture.getexif, small) if marks else {},
        strip=_strip(data) if marks and structure is not None and structure.single_scan else None,
        notes=notes,
    )


def _mended(data: bytes, media_type: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the file as it can be decoded, and notes on what was wrong with it."""
    if media_type == "image/png":
        mended = repair.without_bad_metadata(data)
        return (data, ()) if mended is data else (mended, (repair.BAD_METADATA_CHECKSUM,))
    if media_type == "image/jpeg" and jpeg_structure.examine(data).breaks_off:
        closed = repair.with_end(data)
        structure = jpeg_structure.examine(closed)
        if not structure.problem and _is_whole(closed, structure):
            return closed, (repair.NO_END_MARKER,)
    return data, ()


def _is_whole(closed: bytes, structure: JpegStructure) -> bool:
    picture, _source = _open(closed, "image/jpeg")
    if structure.single_scan:
        return repair.holds_all_data(closed, _scale(picture.size, CANONICAL_LONG_EDGE_PX, structure))
    # The last bits of a picture in several scans show at full size only.
    return picture.width * picture.height <= repair.PROGRESSIVE_PIXELS_MAX and repair.holds_all_data(closed, 1)


def _decode_heif(data: bytes, media_type: str, long_edge_px_max: int, *, marks: bool) -> DecodedPixels:
    """Decode the primary picture of a HEIC or AVIF file; of a burst or sequence it is the one to be shown."""
    try:
        items = boxes.read_items(data)
    except ValueError as error:
        raise _damaged(data, media_type, error) from None
    if items is not None and boxes.missing_bytes(data, items):
        raise PictureRefused("truncated", "the picture is incomplete: part of its data is missing; send it again")
    if items is None and media_type == "image/heic":
        # Bursts and films in HEVC without a still picture; or a file that ends before its description does.
        if _ends_early(data, media_type):
            raise PictureRefused("truncated", "the picture is incomplete: its description is missing; send it again")
        raise PictureRefused("unsupported_kind", f"this is a film without a still picture; {READABLE_KINDS}")
    if items is not None and items.codec() == "hvc1":
        rows, turn = _hevc(data, media_type), 1
    else:
        rows, turn = _av1(data)
    digest = pixel_sha256(rows, (rows.width, rows.height))
    own_exif = heif.exif_of(data, items) if items is not None else None
    exif, _orientation = _exif(lambda: own_exif)
    small = shrunk(rows, long_edge_px_max)
    upright = _upright(srgb(small, heif.profile_of(data, items) if items is not None else None), turn)
    turned = turn in (5, 6, 7, 8)
    return DecodedPixels(
        pixels=upright.tobytes(),
        width_px=upright.width,
        height_px=upright.height,
        source_width_px=rows.height if turned else rows.width,
        source_height_px=rows.width if turned else rows.height,
        pixel_sha256=digest,
        exif=exif,
        marks=_marks(data, media_type, lambda: own_exif, small) if marks else {},
    )


def _hevc(data: bytes, media_type: str) -> PixelRows:
    try:
        return heif.decode(data)
    except BROKEN as error:
        raise _damaged(data, media_type, error) from None


def _av1(data: bytes) -> tuple[PixelRows, int]:
    """Return the picture and its orientation, which Pillow takes from the file's own and does not apply."""
    picture, source = _open(data, "image/avif")
    _load(picture, 1, source, None, "image/avif")
    return PillowRows(picture), _exif(picture.getexif)[1]


def _marks(data: bytes, media_type: str, exif: Callable[[], Image.Exif | None], small: Image.Image) -> dict[str, str]:
    """Read the marks. A picture that decodes is not refused for its metadata: unreadable metadata become a
    `problem`."""
    try:
        return read_marks(data, media_type, exif(), small)
    except (*BROKEN, RecursionError) as error:
        return {"problem": type(error).__name__}


def _strip(data: bytes) -> Strip | None:
    try:
        return top_strip(data)
    except BROKEN:
        return None


def _open(data: bytes, media_type: str) -> tuple[Image.Image, _Source]:
    source = _Source(data)
    try:
        picture = Image.open(source, formats=[FORMATS[media_type]])
    except BROKEN as error:
        raise _damaged(data, media_type, error) from None
    header = read_header(data, media_type) or PictureHeader(_UNREAD_HEADERS[media_type], 0, 0, 6)
    # The picture as Pillow understands it, in case that the header was read differently.
    _admit(replace(header, width_px=picture.width, height_px=picture.height))
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
    if media_type in HEIF_TYPES:
        try:
            return any(box.end > len(data) for box in boxes.children(data, 0, len(data)))
        except ValueError:
            return False
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


def _exif(read: Callable[[], Image.Exif | None]) -> tuple[dict[str, str], int]:
    """Return the few tags that may leave (never position, serial numbers, names, thumbnails), and the
    orientation 1-8."""
    try:
        exif = read()
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
