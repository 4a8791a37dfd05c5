"""Words for signs of a photo's origin (docs/provenance.md).

A sign's fact records its sentence as phrases: a code each and its values, in no language. A reason keeps the phrases of
its signs as one line of JSON in its detail, and its value names their kinds (`claims.judge.signs` writes both); here
they become words. What was recorded before there were phrases, or by a version that knows more of them, is shown as it
stands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from claims.evidence import ProvenanceSign
from claims.texts import Language, Texts, texts

BETWEEN_KINDS: Final = " + "  # in the value of a reason


def kind_text(kind: str, lang: Language) -> str:
    """Return the name of a kind of sign; the kind itself where there are no words for it."""
    return texts(lang).get("sign_kinds", kind) or kind


def sign_text(sign: ProvenanceSign, lang: Language) -> str:
    """Return the sign's phrases in words."""
    return _phrases_text(sign.said, texts(lang)) if sign.said else sign.detail


def detail_text(written: str, lang: Language) -> str:
    """Return the detail of a reason about signs in words; what was not written as phrases stays as it is."""
    try:
        signs = json.loads(written)
    except ValueError:
        return written
    if not isinstance(signs, list) or not all(_is_phrases(phrases) for phrases in signs):
        return written
    catalogue = texts(lang)
    return catalogue["lists.sentences"].join(_phrases_text(phrases, catalogue) for phrases in signs)


def _is_phrases(plain: object) -> bool:
    return isinstance(plain, list) and all(
        isinstance(phrase, list) and phrase and all(isinstance(part, str) for part in phrase) for phrase in plain
    )


def _phrases_text(phrases: Sequence[Sequence[str]], catalogue: Texts) -> str:
    return catalogue["lists.parts"].join(_phrase_text(phrase, catalogue) for phrase in phrases)


def _phrase_text(phrase: Sequence[str], catalogue: Texts) -> str:
    code, *values = phrase
    words = catalogue.get("sign_phrases", code)
    try:
        return words.format(*values) if words is not None else " ".join(phrase)
    except IndexError:  # another version's: its code and values say more than nothing
        return " ".join(phrase)
