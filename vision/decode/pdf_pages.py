"""Renders untrusted PDF bytes to page pictures with their text, by PDFium. Runs inside the decoding child only."""

from __future__ import annotations

import codecs
import ctypes
import json
import struct
from collections.abc import Iterator
from typing import Final

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from vision.decode import pdf_fonts
from vision.decode.pixels import DecodedPixels, PictureRefused, of_page
from vision.decode.text_layer import CHARACTERS_MAX, LINES_MAX

POINTS_PER_INCH: Final = 72
FONTS: Final = pdf_fonts.install()
_MISSING_PASSWORD: Final = {pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY}

_OPENS_WITH_PASSWORD: Final = (
    "the PDF opens with a password only; open it, print it to a new PDF without one and send that, or send screenshots"
    " of its pages"
)
_NO_FONTS: Final = "the PDF does not embed its fonts, and this machine has none that fits"


def render(data: bytes, dpi: int, page_count_max: int, page_pixels_max: int) -> Iterator[DecodedPixels]:
    """Yield the pages in order, each at `dpi`, or at less if the page would exceed `page_pixels_max`. Raises
    Refused."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in _MISSING_PASSWORD:
            raise PictureRefused("pdf_encrypted", _OPENS_WITH_PASSWORD) from None
        raise PictureRefused(
            "pdf_broken", "the PDF cannot be read; send it again or send photos of the pages"
        ) from None
    # A file with an owner password alone opens here as everywhere: what it restricts is changing and printing it.
    page_count = len(document)
    if page_count > page_count_max:
        raise PictureRefused("pdf_too_many_pages", f"the PDF has {page_count} pages; at most {page_count_max} are read")
    if page_count == 0:
        raise PictureRefused("pdf_broken", "the PDF has no page")
    for number in range(page_count):
        yield _page(document, number, dpi, page_pixels_max)


def _page(document: pypdfium2.PdfDocument, number: int, dpi: int, page_pixels_max: int) -> DecodedPixels:
    try:
        page = document[number]
        width_points, height_points = page.get_size()
        if not (width_points > 0 and height_points > 0):
            raise PictureRefused("pdf_broken", f"page {number + 1} of the PDF has no area")
        scale = dpi / POINTS_PER_INCH
        pixels = width_points * height_points * scale * scale
        if pixels > page_pixels_max:
            scale *= (page_pixels_max / pixels) ** 0.5
        # Annotations are drawn (stamps and seals often are annotations); forms are not set up, so no form code runs.
        bitmap = page.render(scale=scale, may_draw_forms=False, draw_annots=True, rev_byteorder=True)
        picture = bitmap.to_pil().convert("RGB")
        layer = _text_layer(page, picture)
    except pypdfium2.PdfiumError:
        raise PictureRefused("pdf_broken", f"page {number + 1} of the PDF cannot be read") from None
    return of_page(picture, "rendered", layer)


_UTF_16: Final = codecs.lookup("utf-16-le").decode  # looked up before the fork: the child can open no module
# A gap this many heights wide begins another run: columns of a table are not one text.
_GAP_HEIGHTS: Final = 0.9
# Behind it no font that PDFium brings along has the letters.
_LATIN_END: Final = 0x024F


def _text_layer(page: pypdfium2.PdfPage, picture: Image.Image) -> bytes:
    """Return the characters of the page as runs in lines, in the form that `vision.decode.text_layer.read_layer` reads;
    b"" if there are none. Raises PictureRefused if the picture lacks a run for want of its font."""
    width_px, height_px = picture.size
    text = page.get_textpage()
    count = pdfium.FPDFText_CountChars(text.raw)
    around = pdfium.FS_RECTF()  # box of a character with its advance, in points from the page's lower left
    corner = (ctypes.c_int(), ctypes.c_int())

    def place(x: float, y: float) -> tuple[int, int]:
        pdfium.FPDF_PageToDevice(page.raw, 0, 0, width_px, height_px, 0, x, y, *map(ctypes.byref, corner))
        return corner[0].value, corner[1].value

    lines: list[list[object]] = []
    units: list[int] = []  # UTF-16, as PDFium counts
    box = [0, 0, 0, 0]
    odd = -1  # index of the run's first letter that is not Latin
    unseen = False  # some run in a font that is not embedded is meant to be invisible, as under a scan

    def end_run() -> None:
        nonlocal odd, unseen
        run = _UTF_16(struct.pack(f"<{len(units)}H", *units), "replace")[0].strip()
        if run:
            lines.append([run, *box])
            if odd >= 0 and (FONTS.lacking or _is_blank(picture, box)) and not _is_embedded(text, odd):
                if _is_visible(text, odd):
                    raise PictureRefused("fonts_missing", f"{_NO_FONTS}: {run[:20]} is not shown")
                unseen = True
        units.clear()
        odd = -1

    for index in range(min(count, CHARACTERS_MAX)):
        unit = pdfium.FPDFText_GetUnicode(text.raw, index) & 0xFFFF
        if unit in (0x0A, 0x0D) or not pdfium.FPDFText_GetLooseCharBox(text.raw, index, ctypes.byref(around)):
            end_run()
            continue
        (x0, y0), (x1, y1) = place(around.left, around.top), place(around.right, around.bottom)
        at = [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)]
        if units and at[2] > at[0] and not _goes_on(box, at):
            end_run()
        if not units:
            box = at
        elif at[2] > at[0]:
            box = [min(box[0], at[0]), min(box[1], at[1]), max(box[2], at[2]), max(box[3], at[3])]
        units.append(unit)
        if odd < 0 and unit > _LATIN_END and chr(unit).isalpha():
            odd = index
    end_run()
    if FONTS.lacking and not unseen:  # a stamp beside the text of the page, say
        raise PictureRefused("fonts_missing", f"{_NO_FONTS} ({', '.join(FONTS.lacking)})")
    if not lines and count <= CHARACTERS_MAX:
        return b""
    complete = count <= CHARACTERS_MAX and len(lines) <= LINES_MAX
    return json.dumps({"lines": lines[:LINES_MAX], "complete": complete}, ensure_ascii=False).encode()


def _is_blank(picture: Image.Image, box: list[int]) -> bool:
    """True if nothing is drawn within the box."""
    left, top, right, bottom = max(0, box[0]), max(0, box[1]), min(picture.width, box[2]), min(picture.height, box[3])
    if right - left < 2 or bottom - top < 2:
        return False
    red, green, blue = picture.crop((left, top, right, bottom)).split()
    return all(len(set(channel.getextrema())) == 1 for channel in (red, green, blue))


def _is_visible(text: pypdfium2.PdfTextPage, index: int) -> bool:
    """True if a character is drawn, not only stored."""
    shape = pdfium.FPDFText_GetTextObject(text.raw, index)
    return bool(shape) and pdfium.FPDFTextObj_GetTextRenderMode(shape) != pdfium.FPDF_TEXTRENDERMODE_INVISIBLE


def _is_embedded(text: pypdfium2.PdfTextPage, index: int) -> bool:
    """True if the font of a character is in the file."""
    shape = pdfium.FPDFText_GetTextObject(text.raw, index)
    font = pdfium.FPDFTextObj_GetFont(shape) if shape else None
    return not font or pdfium.FPDFFont_GetIsEmbedded(font) != 0


def _goes_on(box: list[int], at: list[int]) -> bool:
    """True if a character stands right of a run, on its line and close by."""
    height = max(1, box[3] - box[1], at[3] - at[1])
    level = min(box[3], at[3]) - max(box[1], at[1])
    return level > 0 and -0.5 * height <= at[0] - box[2] <= _GAP_HEIGHTS * height
