"""Compares what a document states beside its picture, its text layer and attached data, with the picture:
a program must read what a person sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vision.decode.text_layer import TextLayer
from vision.documents.kinds.catalogue import PaperKind
from vision.documents.text.normalise import plain
from vision.documents.text.page import CheckReading, PageText, PaperReading, TextLine

LAYER_MODEL = "text layer"


def layer_page(layer: TextLayer, width_px: int, height_px: int) -> PageText:
    """Return the layer as lines on a page, as if they had been read by OCR."""
    lines = tuple(
        TextLine(line.text, 1.0, ((left, top), (right, top), (right, bottom), (left, bottom)))
        for line in layer.lines
        if plain(line.text)
        for left, top, right, bottom in [(line.left, line.top, line.right, line.bottom)]
    )
    return PageText(width_px, height_px, lines, LAYER_MODEL)


def layers_check(
    reading: PaperReading,
    kind: PaperKind,
    layers: Sequence[TextLayer],
    width_px: int,
    height_px: int,
    parsed: Callable[[PageText], PaperReading],
) -> CheckReading | None:
    """Return one check of all that a file states beside its picture: the first that fails, else the first made."""
    made = [
        check
        for layer in layers
        if (check := layer_check(reading, kind, layer, width_px, height_px, parsed)) is not None
    ]
    return next((check for check in made if not check.passed), made[0] if made else None)


def layer_check(
    reading: PaperReading,
    kind: PaperKind,
    layer: TextLayer,
    width_px: int,
    height_px: int,
    parsed: Callable[[PageText], PaperReading],
) -> CheckReading | None:
    """Return text_layer_matches_picture for the required fields and those that money rests on, if both sides were read.

    parsed: reads a page of text as a paper of that kind. None without a layer, or with one that has none of the fields.
    The picture's values stay: they are what a person sees. A layer too long to be read fails, as it could say anything
    further down.
    """
    if not layer.complete:
        return CheckReading("text_layer_matches_picture", False, "the text layer is longer than any paper")
    if not layer.lines:
        return None
    stated = parsed(layer_page(layer, width_px, height_px))
    compared = [name for name in dict.fromkeys((*kind.required, *kind.money)) if reading.value(name)]
    refused = {field.name: field.reason for field in stated.refused}
    both = [name for name in compared if stated.value(name) or name in refused]
    if not both:
        return None
    differing = [name for name in both if _folded(stated.value(name)) != _folded(reading.value(name))]
    if not differing:
        return CheckReading("text_layer_matches_picture", True, f"the same in both: {', '.join(both)}")
    words = "; ".join(
        f"{name}: the text layer says {stated.value(name) or refused[name]}, the picture {reading.value(name)}"
        for name in differing
    )
    return CheckReading("text_layer_matches_picture", False, words)


def _folded(value: str) -> str:
    """Return letters and digits alone, case-folded."""
    return re.sub(r"[\W_]+", "", plain(value)).casefold()
