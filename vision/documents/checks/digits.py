"""The check `digits_look_untouched`: whether the pixels of a paper's amounts and dates look changed."""

from __future__ import annotations

from dataclasses import astuple
from typing import Final

from vision.documents.checks.forensics import Box, DigitsLook, ForensicLimits, ForensicModel, Pixels, digits_look
from vision.documents.text.page import CheckReading, PaperReading

CHECK: Final = "digits_look_untouched"
_SIGN_WORDS: Final = {
    "noise": "the paper's noise around it",
    "sharpness": "the sharpness of its edges",
    "ink": "the depth of its ink",
    "tint": "the colour of its ink",
    "paper_step": "a step in the paper's brightness around it",
    "ghost": "a trace of another JPEG compression",
    "twin": "a digit elsewhere that is the same to the pixel",
}


def digits_check(
    pixels: Pixels,
    reading: PaperReading,
    *,
    model: ForensicModel | None = None,
    limits: ForensicLimits | None = None,
) -> CheckReading | None:
    """Check whether a digit of an amount in figures or of a date looks changed; None if none could be examined.

    pixels: uint8 (h, w, 3) sRGB, the picture that was read. The detail names the most suspicious digit, its place
    (fractions of the picture) and the strongest sign against it.
    """
    bounds = limits if limits is not None else ForensicLimits()
    boxes: dict[str, Box] = {}
    for field in reading.fields:
        left, top, right, bottom = astuple(field.box)
        if looked_at(field.name) and left < right and top < bottom and len(boxes) < bounds.fields_max:
            boxes[field.name] = (left, top, right, bottom)
    looks = digits_look(pixels, boxes, model=model, limits=bounds)
    measured = [(name, look) for name, look in looks.items() if isinstance(look, DigitsLook)]
    if not measured:
        return None
    name, worst = max(measured, key=lambda pair: pair[1].score)
    if not worst.found:
        return CheckReading(CHECK, True, f"{len(measured)} fields, the least like its neighbours at {worst.score:.2f}")
    across, down = (round(100 * share) for share in worst.at[:2])
    why = _SIGN_WORDS[worst.sign]
    return CheckReading(
        CHECK,
        False,
        f"{name}: the digit at {across}% from the left, {down}% from the top differs in {why} ({worst.score:.2f})",
    )


def looked_at(name: str) -> bool:
    """True if a field of that name is an amount in figures or a date: what a forger changes."""
    return (name.endswith("_minor") and not name.startswith("capital")) or name == "date" or name.endswith("_date")
