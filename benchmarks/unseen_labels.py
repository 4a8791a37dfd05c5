"""Measures how a kind reads a field whose label it does not know: part of `miaopei bench documents`.

Every relied-on field of every layout to build with in turn has each of its labels replaced on the page by a word that
no kind knows, as if an insurer's paper used another one. Its print is given to the rules without a picture and counted
as read alike by two models, so that nothing but the rules can stop a wrong value. The best that can then happen is the
right value or none; `wrong_accepted` is the share of pages accepted with a wrong one. Synthetic.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any, Final

from fixtures.papers.flat import FlatPaper, flat_paper
from fixtures.papers.marks import relied_on_right
from fixtures.papers.render import KINDS, layouts_of
from vision.documents.fields import receipt
from vision.documents.gate import accepted
from vision.documents.kinds.catalogue import Catalogue, PaperKind, load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PageText, PaperReading, TextLine

TODAY: Final = date(2027, 1, 1)
WORDS: Final = ("对应栏", "登载项", "相关人", "所列项")


def measure(seeds: int) -> dict[str, Any]:
    """Returns, by kind, pages, the share accepted, and of those the share with a wrong value or of another kind."""
    pages, passed, wrong = Counter[str](), Counter[str](), Counter[str]()
    catalogue = load_catalogue()
    for kind in KINDS:
        for layout in layouts_of(kind, "build"):
            for seed in range(seeds):
                paper = flat_paper(kind, layout, seed)
                for name in read(paper, catalogue).relied_on:
                    labels = labels_of(catalogue[kind], name)
                    if not labels or name not in paper.truth:
                        continue
                    reading = read(paper, catalogue, _without(labels, WORDS[seed % len(WORDS)]))
                    pages[kind] += 1
                    if accepted(reading):
                        passed[kind] += 1
                        wrong[kind] += reading.kind != kind or not relied_on_right(reading, paper.truth)
    figures = {kind: _figures(pages[kind], passed[kind], wrong[kind]) for kind in KINDS}
    return {"all": _figures(pages.total(), passed.total(), wrong.total()), **figures}


def read(paper: FlatPaper, catalogue: Catalogue, change: Callable[[str], str] = str) -> PaperReading:
    """Reads the page by the rules alone, with its print recognised perfectly by two models. change: applied to each
    string."""
    lines = tuple(
        TextLine(change(text), 1.0, ((left, top), (right, top), (right, bottom), (left, bottom)))
        for text, (left, top, right, bottom) in paper.strings
    )
    reading = parse(PageText(paper.width_px, paper.height_px, lines, "print"), TODAY, catalogue)
    return replace(reading, alike=reading.relied_on)


def labels_of(kind: PaperKind, name: str) -> list[str]:
    """Returns the regular expressions that the kind looks for beside the field's value."""
    if kind.extractor == "till_receipt":
        by_field = {"total_minor": receipt.total_words(), "date": [label.label for label in receipt.DATE_RULE.labels]}
        return by_field.get(name, [])
    rule = kind.fields.get(name)
    return [label.label for label in rule.labels] if rule is not None else []


def _without(labels: list[str], word: str) -> Callable[[str], str]:
    pattern = re.compile("|".join(f"(?:{label})" for label in labels), re.IGNORECASE)
    return lambda text: pattern.sub(word, text)


def _figures(pages: int, passed: int, wrong: int) -> dict[str, Any]:
    return {
        "pages": pages,
        "accepted": round(passed / pages, 4) if pages else None,
        "wrong_accepted": round(wrong / passed, 4) if passed else None,
    }
