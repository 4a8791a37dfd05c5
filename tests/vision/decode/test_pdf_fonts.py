"""Visible text of a PDF in fonts that it does not embed: shown on every machine, or said to be missing, never lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fixtures.hostile_files import pdf
from tests.vision.decode.pdf_texts import FONTS, KAI_GBK, NamedFont, pdf_of_texts
from vision.decode.fonts import cjk_font, table_of
from vision.decode.image import Decoder, Picture
from vision.errors import ImageRefused

ROOT = Path(__file__).resolve().parents[3]
WORDS = "電子發票"  # has characters that all four orderings know


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def dark(picture: Picture, left: float = 0.0, right: float = 1.0) -> int:
    """Returns how many pixels are dark between two shares of the width."""
    width = picture.pixels.shape[1]
    return int((picture.pixels[:, int(left * width) : int(right * width)].max(axis=2) < 128).sum())


@pytest.mark.parametrize("font", FONTS, ids=lambda font: f"{font.name} {font.encoding}")
def test_chinese_in_a_font_that_is_not_embedded_is_drawn(decoder: Decoder, font: NamedFont) -> None:
    (page,) = decoder.render_pdf(pdf_of_texts([(60, 100, WORDS), (60, 200, "123.45")], font))
    assert [line.text for line in page.text_layer.lines] == [WORDS, "123.45"]
    for line in page.text_layer.lines:
        box = page.pixels[round(line.top) : round(line.bottom), round(line.left) : round(line.right)]
        ink = float((box.max(axis=2) < 128).mean())
        assert 0.05 < ink < 0.6, f"{line.text} has {ink:.2f} ink"


def test_a_latin_font_that_is_not_embedded_is_drawn_by_the_built_in_ones(decoder: Decoder) -> None:
    font = NamedFont("Calibri", "UniGB-UCS2-H", "utf-16-be")
    (page,) = decoder.render_pdf(pdf_of_texts([(60, 100, "Total 30.00")], font))
    assert dark(page) > 200


def test_text_whose_font_nobody_can_know_is_said_to_be_missing(decoder: Decoder) -> None:
    """With Identity-H a code is the number of a glyph in a font that is not there."""
    font = NamedFont("ABCDEF+Unknown", "Identity-H", "utf-16-be", ordering="Identity")
    with pytest.raises(ImageRefused) as refused:
        decoder.render_pdf(pdf_of_texts([(60, 100, "\u0d3c\u0d3d\u0d3e\u0d3f")], font))
    assert refused.value.code == "fonts_missing"
    assert not refused.value.retryable, "it is not the claimant's fault"


RENDERED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from vision.decode import pdf_fonts, pdf_pages
from vision.decode.pixels import PictureRefused
pdf_pages.FONTS = pdf_fonts.FontsInMemory(None)
pdf_pages.FONTS.install()
try:
    pages = list(pdf_pages.render(sys.stdin.buffer.read(), 72, 5, 4_000_000))
except PictureRefused as refused:
    print(json.dumps(refused.args))
else:
    print(json.dumps(["", min(pages[0].pixels)]))
"""


def without_fonts(file: bytes) -> list[object]:
    """Returns code and detail of the refusal on a machine without any font, "" and the darkest value if there is
    none."""
    command = [sys.executable, "-I", "-c", RENDERED, str(ROOT)]
    return list(json.loads(subprocess.run(command, input=file, capture_output=True, check=True).stdout))


def test_on_a_machine_without_the_font_text_is_said_to_be_missing() -> None:
    code, detail = without_fonts(pdf_of_texts([(60, 100, "金额合计")]))
    assert code == "fonts_missing"
    assert "does not embed its fonts" in str(detail)
    assert "金额合计" in str(detail)


def test_a_machine_without_the_font_reads_what_needs_none() -> None:
    assert without_fonts(pdf()) == ["", 0], "Helvetica, which PDFium brings along"
    under_a_scan = pdf_of_texts([(60, 100, "金额合计")], mode=3)
    assert without_fonts(under_a_scan) == ["", 255]


def test_white_text_on_white_is_not_taken_for_print(decoder: Decoder) -> None:
    """It is in a font that is not embedded and nothing of it is seen; who hid it is not for us to say."""
    file = pdf_of_texts([(60, 100, "合计")]).replace(b"BT 0 Tr", b"BT 1 g ")
    with pytest.raises(ImageRefused, match="fonts_missing"):
        decoder.render_pdf(file)


def test_marks_that_leave_no_ink_are_no_lost_text(decoder: Decoder) -> None:
    """Spaces of no width, wide spaces and bullets of private codes stand in many an honest file."""
    font = NamedFont("SimSun", "UniGB-UCS2-H", "utf-16-be")
    for mark in ("\u200b", "\u3000", "\ufeff", "\uf0b7"):
        (page,) = decoder.render_pdf(pdf_of_texts([(60, 100, mark), (60, 200, "合计")], font))
        assert dark(page) > 100


def test_the_font_is_whole_and_its_tables_are_read() -> None:
    font = cjk_font()
    assert font is not None
    (glyphs,) = np.frombuffer(table_of(font, int.from_bytes(b"maxp"))[4:6], dtype=">u2")
    assert glyphs > 60_000
    assert table_of(font, 1) == b""
    assert KAI_GBK in FONTS
