"""Changed digits are found on forged pages, not on honest ones; fields that cannot be measured are unmeasured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.papers.draw import Page
from fixtures.papers.forged_pages import ForgedPage, pages
from vision.documents.checks.digits import CHECK, digits_check
from vision.documents.checks.forensics import (
    FEATURES,
    SIGNS,
    DigitsLook,
    ForensicLimits,
    ForensicModel,
    digits_look,
    forensic_model,
    glyph_signs,
    model_of,
    read_model,
)
from vision.documents.text.page import FieldReading, PageBox, PaperReading
from vision.measurement import Unmeasured

SEEDS = range(40_000, 40_007)  # neither trained nor measured on
WHOLE = (0.0, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def rendered() -> Sequence[tuple[ForgedPage, dict[str, DigitsLook | Unmeasured]]]:
    """Returns pages with the shipped model's results for their fields."""
    return [(page, digits_look(page.pixels, page.boxes)) for page in pages(SEEDS, "build")]


def suspects_everything(score_min: float = 0.0) -> ForensicModel:
    return ForensicModel(np.ones(len(FEATURES)), 0.0, score_min, "test@0")


def drawn(lines: int = 14, text: str = "1234567890 合计 88.20") -> tuple[np.ndarray, dict[str, tuple[float, ...]]]:
    page = Page(900, 80 + lines * 60)
    for number in range(lines):
        page.text(60, 40 + number * 60, text, 32)
    pixels = np.array(page.image, dtype=np.uint8)
    height = pixels.shape[0]
    return pixels, {"total_minor": (0.05, 44 / height, 0.6, 76 / height)}


def reading_with(*fields: FieldReading) -> PaperReading:
    return PaperReading("receipt", fields, (), (), (), 1.0, (), "test@0")


def field(name: str, box: PageBox) -> FieldReading:
    return FieldReading(name, "8820", 0.99, box)


def test_forged_digits_are_found_and_no_honest_page_is_accused(
    rendered: Sequence[tuple[ForgedPage, dict[str, DigitsLook | Unmeasured]]],
) -> None:
    hits_by_method: dict[str, list[bool]] = {}
    for page, looks in rendered:
        hits = [look.found for look in looks.values() if isinstance(look, DigitsLook)]
        hits_by_method.setdefault(page.method, []).append(any(hits))
    honest = hits_by_method.pop("")
    assert len(honest) == len(SEEDS)
    assert sum(honest) == 0
    caught = [hit for hits in hits_by_method.values() for hit in hits]
    assert len(caught) > 2 * len(SEEDS)
    assert sum(caught) / len(caught) >= 0.15  # `miaopei bench forgeries` has the rate


def test_a_forged_digit_is_pointed_at(
    rendered: Sequence[tuple[ForgedPage, dict[str, DigitsLook | Unmeasured]]],
) -> None:
    right = wrong = 0
    for page, looks in rendered:
        look = looks.get(page.field) if page.method else None
        if isinstance(look, DigitsLook) and look.found:
            height, width = page.pixels.shape[:2]
            left, top, right_edge, bottom = look.at
            x, y = page.digit[0] / width, page.digit[1] / height
            # A pasted patch may cut into the digit beside it.
            near = left - (right_edge - left) <= x <= right_edge + (right_edge - left) and top <= y <= bottom
            right, wrong = right + near, wrong + (not near)
    assert right > 3 * wrong


def test_a_digit_in_another_ink_stands_out_by_its_tint() -> None:
    rng = np.random.default_rng(5)
    pixels, boxes = drawn()
    noisy = np.clip(pixels * 0.8 + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)
    before = glyph_signs(noisy, boxes)["total_minor"]
    assert not isinstance(before, Unmeasured)
    left, top, right, bottom = (int(value) for value in before[2].box)
    edited = noisy.copy()
    patch = (slice(top, bottom), slice(left, right))
    edited[patch][pixels[patch].mean(axis=2) < 128] = (20, 20, 110)
    after = glyph_signs(edited, boxes)["total_minor"]
    assert not isinstance(after, Unmeasured)
    tint = SIGNS.index("tint")
    assert [place for place, glyph in enumerate(after) if glyph.z[tint] > 4] == [2]
    assert all(glyph.z[tint] < 4 for glyph in before)


@pytest.mark.parametrize("box", [(0.5, 0.1, 0.4, 0.2), (-0.1, 0.1, 0.4, 0.2), (0.1, 0.1, 0.4, 1.2)])
def test_a_box_that_is_none_is_an_error(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="the box of total_minor is none"):
        digits_look(np.zeros((100, 100, 3), np.uint8), {"total_minor": box}, model=suspects_everything())


def test_more_fields_than_the_limit_are_an_error() -> None:
    with pytest.raises(ValueError, match="25 fields are more than 24"):
        digits_look(
            np.zeros((100, 100, 3), np.uint8), {f"f{n}_minor": WHOLE for n in range(25)}, model=suspects_everything()
        )


def test_what_cannot_be_looked_at_says_why() -> None:
    def why(pixels: np.ndarray, box: tuple[float, ...] = WHOLE, limits: ForensicLimits | None = None) -> str:
        look = digits_look(pixels, {"date": box}, model=suspects_everything(), limits=limits)["date"]  # type: ignore[dict-item]
        assert isinstance(look, Unmeasured)
        return look.reason

    white = np.full((300, 300, 3), 255, np.uint8)
    page, boxes = drawn(lines=1, text="88.20")
    assert "no digits stand out" in why(white)
    assert "too small on the picture" in why(white, (0.1, 0.1, 0.11, 0.11))
    assert "too large to look at closely" in why(white, limits=replace(ForensicLimits(), edge_px_max=299))
    assert "other characters of that size" in why(page, boxes["total_minor"])
    many, places = drawn()
    sealed = many.copy()
    sealed[..., 0] = np.maximum(sealed[..., 0], 200)
    sealed[..., 1:] = np.minimum(sealed[..., 1:], 120)
    assert "a seal lies over the digits" in why(sealed, places["total_minor"])


def test_the_check_names_field_place_and_sign() -> None:
    pixels, boxes = drawn()
    box = PageBox(*boxes["total_minor"])
    accused = digits_check(pixels, reading_with(field("total_minor", box)), model=suspects_everything())
    assert accused is not None
    assert (accused.name, accused.passed) == (CHECK, False)
    assert accused.detail.startswith("total_minor: the digit at ")
    cleared = digits_check(pixels, reading_with(field("total_minor", box)), model=suspects_everything(score_min=1.1))
    assert cleared is not None
    assert cleared.passed


def test_only_amounts_in_figures_and_dates_are_looked_at() -> None:
    pixels, boxes = drawn()
    box = PageBox(*boxes["total_minor"])
    fields = [field(name, box) for name in ("patient", "number", "capital_total_minor")]
    assert digits_check(pixels, reading_with(*fields), model=suspects_everything()) is None
    assert digits_check(pixels, reading_with(), model=suspects_everything()) is None
    for name in ("date", "admitted_date", "tax_minor"):
        assert digits_check(pixels, reading_with(field(name, box)), model=suspects_everything()) is not None


def test_the_shipped_model_reads_and_no_sign_speaks_for_a_digit(tmp_path: Path) -> None:
    model = forensic_model()
    assert model.weights.shape == (len(FEATURES),)
    assert (model.weights >= 0).all()
    assert 0 < model.score_min < 1
    content = {"features": list(FEATURES), "weights": [0.0] * len(FEATURES), "intercept": 0.0, "score_min": 0.5}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(content))
    assert read_model(path, "a@1").label == "a@1"
    with pytest.raises(ValueError, match="trained on other features"):
        model_of({**content, "features": ["noise"]}, "a@1")
