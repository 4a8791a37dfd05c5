"""Keeps a paper in one script: a traditional character on a paper in simplified ones is the recogniser's mistake.

Conversion by OpenCC (Kuo et al.), character by character. A paper in traditional characters is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Final

import opencc

from vision.documents.text.page import TextLine

_SURE_RATIO: Final = 3  # characters that only simplified writing has, for each traditional one


@cache
def _converter(name: str) -> opencc.OpenCC:
    return opencc.OpenCC(name)


def in_one_script(lines: Sequence[TextLine]) -> list[TextLine]:
    """Return the lines, converted to simplified characters if nearly all characters that differ between the scripts are
    simplified."""
    texts = [line.text for line in lines]
    simplified = [_same_length(text, _converter("t2s").convert(text)) for text in texts]
    strange = _differing(texts, simplified)
    if not strange:
        return list(lines)
    own = _differing(texts, [_same_length(text, _converter("s2t").convert(text)) for text in texts])
    if own < _SURE_RATIO * strange:
        return list(lines)
    return [replace(line, text=text) for line, text in zip(lines, simplified, strict=True)]


def in_simplified(texts: Sequence[str]) -> bool:
    """True unless more of the Chinese characters that differ between the scripts are traditional ones."""
    page = ["".join(texts)]
    traditional = _differing(page, [_same_length(page[0], _converter("t2s").convert(page[0]))])
    own = _differing(page, [_same_length(page[0], _converter("s2t").convert(page[0]))])
    return own >= traditional


def _same_length(text: str, converted: str) -> str:
    return converted if len(converted) == len(text) else text


def _differing(texts: Sequence[str], others: Sequence[str]) -> int:
    return sum(a != b for text, other in zip(texts, others, strict=True) for a, b in zip(text, other, strict=True))
