"""Large marks over the print: found by their geometry, read where they can be, in doubt where they cannot."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fixtures.papers.draw import Page, font
from fixtures.papers.overlays import HARMLESS, INKS, framed, on_paper, patchy, turned, word
from tests.vision.documents.test_standing import bill, read
from vision.documents.gate import accepted, not_accepted_because
from vision.documents.ocr.mark_ink import marked_page
from vision.documents.ocr.views import whole
from vision.documents.standing.marks import nearly_undone, says_no_harm
from vision.documents.text.page import TextLine


def printed() -> tuple[Image.Image, list[TextLine]]:
    """Returns a page of print and its lines."""
    page, lines = Page(1200, 1600), []
    for row in range(24):
        y, text = 80 + 60 * row, f"检查费用项目明细 {row} 甲类 {120 + row}.00"
        right = page.text(80, y, text, 28)
        lines.append(TextLine(text, 0.99, ((80.0, y - 6.0), (right, y - 6.0), (right, y + 36.0), (80.0, y + 36.0))))
    return page.image, lines


def ways(image: Image.Image, lines: list[TextLine]) -> list[str]:
    return [mark.way for mark in marked_page(whole(np.asarray(image)), lines).marks if not mark.shape]


def punched(image: Image.Image, text: str) -> Image.Image:
    """Returns the page with holes in the form of the text."""
    mask = Image.new("L", (20 * len(text), 24))
    ImageDraw.Draw(mask).text((0, 0), text, font=font(20), fill=255)
    both = image.copy()
    draw = ImageDraw.Draw(both)
    for row, column in np.argwhere(np.asarray(mask) > 110):
        x, y = 260 + 12 * column, 500 + 12 * row
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=(50, 45, 40))
    return both


def struck(image: Image.Image, ink: tuple[int, int, int]) -> Image.Image:
    both = image.copy()
    ImageDraw.Draw(both).line((150, 1300, 760, 300), fill=ink, width=5)
    return both


def test_print_alone_has_no_mark() -> None:
    assert ways(*printed()) == []


@pytest.mark.parametrize("text", ["作废", "VOID"])
def test_holes_in_the_form_of_a_word_are_a_mark(text: str) -> None:
    image, lines = printed()
    assert "dots" in ways(punched(image, text), lines)


@pytest.mark.parametrize("ink", [(30, 30, 34), (40, 60, 170)])
def test_a_stroke_of_a_pen_across_the_lines_is_a_mark(ink: tuple[int, int, int]) -> None:
    image, lines = printed()
    assert "strokes" in ways(struck(image, ink), lines)


def test_leaders_and_rules_are_no_marks() -> None:
    image, lines = printed()
    draw = ImageDraw.Draw(image)
    for y in range(130, 1400, 240):
        draw.line((60, y, 1100, y), fill=(40, 40, 44), width=3)
        for x in range(80, 1100, 14):
            draw.ellipse((x, y + 10, x + 4, y + 14), fill=(40, 40, 44))
    assert not {"dots", "strokes"} & set(ways(image, lines))


def test_a_round_seal_is_known_by_its_shape() -> None:
    image, lines = printed()
    draw = ImageDraw.Draw(image)
    draw.ellipse((500, 900, 760, 1160), outline=(205, 40, 40), width=8)
    for step in range(12):
        turn = math.radians(30 * step)
        x, y = 630 + 95 * math.cos(turn), 1030 + 95 * math.sin(turn)
        draw.text((x, y), "院", font=font(30, True), fill=(205, 40, 40), anchor="mm")
    assert ways(image, lines) == []


@pytest.mark.parametrize("text", ["作度", "x废", "VO1O", "VO!D", "C0PY", "5AMPLF", "CANCELED"])
def test_a_word_nearly_read_is_in_doubt(text: str) -> None:
    assert nearly_undone([TextLine(text, 0.4, ((0, 0), (1, 0), (1, 1), (0, 1)))]) == text


@pytest.mark.parametrize("text", ["现金收讫", "收费专用章", "PAID", "人民医院", "合作用品", "00", ""])
def test_words_of_honest_stamps_are_not(text: str) -> None:
    assert nearly_undone([TextLine(text, 0.4, ((0, 0), (1, 0), (1, 1), (0, 1)))]) == ""


def worn(image: Image.Image, text: str, ink: str, degrees: float, opacity: float, *, frame: bool) -> Image.Image:
    """Returns the page with a stamp of a dry pad."""
    alpha = word(text, 130)
    alpha = patchy(turned(framed(alpha, 8) if frame else alpha, degrees), random.Random(5), 0.35)
    return on_paper(image, alpha, INKS[ink], (360, 760), opacity)


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize(
    ("text", "ink", "degrees", "opacity"),
    [
        ("作废", "red", 0, 0.4),
        ("作废", "blue", 155, 0.4),
        ("VOID", "green", 90, 0.5),
        ("CANCELLED", "purple", -38, 0.5),
        ("复印件", "grey", 20, 0.4),
    ],
)
def test_a_worn_stamp_has_the_form_of_large_characters(
    text: str, ink: str, degrees: float, opacity: float, frame: bool
) -> None:
    image, lines = printed()
    page = marked_page(whole(np.asarray(worn(image, text, ink, degrees, opacity, frame=frame))), lines)
    assert any(mark.glyphs for mark in page.marks)


@pytest.mark.parametrize("name", sorted(set(HARMLESS) - {"received"}))
def test_harmless_marks_have_not(name: str) -> None:
    image, lines = printed()
    for seed in range(3):
        page = marked_page(whole(np.asarray(HARMLESS[name](image, random.Random(seed)))), lines)
        assert not any(mark.glyphs for mark in page.marks), seed


def test_fat_characters_are_no_filled_area() -> None:
    image, lines = printed()
    image = on_paper(image, word("VOID", 330), INKS["red"], (480, 760), 0.5)
    assert any(mark.glyphs for mark in marked_page(whole(np.asarray(image)), lines).marks)


def shown(text: str, confidence: float) -> list[TextLine]:
    return [TextLine(text, confidence, ((0, 0), (1, 0), (1, 1), (0, 1)))]


@pytest.mark.parametrize(
    ("text", "confidence"),
    [("现金收讫", 0.7), ("PAID", 0.8), ("收费专用章", 0.9), ("康安诊所", 0.95), ("Contoso", 0.95)],
)
def test_a_mark_that_reads_as_an_office_a_name_or_money_received_is_explained(text: str, confidence: float) -> None:
    assert says_no_harm(shown(text, confidence), [])


@pytest.mark.parametrize(
    ("text", "confidence"), [("现金收讫", 0.4), ("LEL", 0.95), ("什发", 0.95), ("Contoso", 0.6), ("", 1)]
)
def test_a_guess_or_a_fragment_explains_nothing(text: str, confidence: float) -> None:
    assert not says_no_harm(shown(text, confidence), ["合计"])


def test_a_mark_that_reads_as_a_line_of_the_page_is_that_line() -> None:
    assert says_no_harm(shown("CONTOSO", 0.6), ["Contoso Ltd"])


def test_a_bill_with_a_mark_that_was_not_read_is_not_accepted(page_of: Any) -> None:
    reading = read(page_of, bill())
    assert accepted(reading)
    assert (
        not_accepted_because(replace(reading, marks_unread=("dots",))) == "a mark across the print was not read: dots"
    )
