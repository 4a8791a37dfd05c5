"""Untrusted PDF bytes to page pictures, with PDFium. Runs inside the decoding child only (`vision.image_child`)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Final

import pypdfium2
import pypdfium2.raw as pdfium

from vision.image_pixels import Decoded, Refused

POINTS_PER_INCH: Final = 72
_MISSING_PASSWORD: Final = {pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY}


def render(data: bytes, dpi: int, page_count_max: int, page_pixels_max: int) -> Iterator[Decoded]:
    """Pages in order, each at `dpi`, or at less where the page would pass `page_pixels_max`. Raises Refused."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in _MISSING_PASSWORD:
            raise Refused("pdf_encrypted", "the PDF asks for a password; send it without one") from None
        raise Refused("pdf_broken", "the PDF cannot be read; send it again or send photos of the pages") from None
    # With an owner password alone a file opens unasked, yet it is encrypted and says what may be done with it.
    if pdfium.FPDF_GetSecurityHandlerRevision(document.raw) != -1:
        raise Refused("pdf_encrypted", "the PDF is protected; send it without protection")
    page_count = len(document)
    if page_count > page_count_max:
        raise Refused("pdf_too_many_pages", f"the PDF has {page_count} pages; at most {page_count_max} are read")
    if page_count == 0:
        raise Refused("pdf_broken", "the PDF has no page")
    for number in range(page_count):
        yield _page(document, number, dpi, page_pixels_max)


def _page(document: pypdfium2.PdfDocument, number: int, dpi: int, page_pixels_max: int) -> Decoded:
    try:
        page = document[number]
        width_points, height_points = page.get_size()
        if not (width_points > 0 and height_points > 0):
            raise Refused("pdf_broken", f"page {number + 1} of the PDF has no area")
        scale = dpi / POINTS_PER_INCH
        pixels = width_points * height_points * scale * scale
        if pixels > page_pixels_max:
            scale *= (page_pixels_max / pixels) ** 0.5
        # Annotations are drawn (stamps and seals often are ones); forms are not set up, so nothing of a form runs.
        bitmap = page.render(scale=scale, may_draw_forms=False, draw_annots=True, rev_byteorder=True)
        picture = bitmap.to_pil().convert("RGB")
    except pypdfium2.PdfiumError:
        raise Refused("pdf_broken", f"page {number + 1} of the PDF cannot be read") from None
    pixels_rgb = picture.tobytes()
    header = b"miaopei rendered page 1\0" + struct.pack(">II", *picture.size)
    return Decoded(
        pixels=pixels_rgb,
        width_px=picture.width,
        height_px=picture.height,
        source_width_px=picture.width,
        source_height_px=picture.height,
        pixel_sha256=hashlib.sha256(header + pixels_rgb).hexdigest(),
    )
