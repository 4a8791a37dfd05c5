"""Comparison of names of people and places as papers print them."""

from __future__ import annotations

import re
import unicodedata

from claims.rules import Rules

_MASK = "*"


def same_name(shown: str, insured: str, rules: Rules) -> bool:
    """Return True if the names are equal but for width, case, spaces and the dots of foreign names.

    A paper may hide letters (张*三): a mask stands for exactly one, a run of masks for one or more where the rules say
    so. A title behind a surname (张先生) hides the rest of the name. At least one letter must be shown: a mask alone
    matches no name. Traditional and simplified characters are not taken for each other.
    """
    left, right = _untitled(_letters(shown, rules), rules), _letters(insured, rules)
    if not left.strip(_MASK) or not right:
        return False
    one_mask = r"\*+" if rules.name_mask_any_length else r"\*"
    stands_for = ".+" if rules.name_mask_any_length else "."
    parts = re.split(one_mask, left)
    return re.fullmatch(stands_for.join(re.escape(part) for part in parts), right, re.DOTALL) is not None


def masked(shown: str, rules: Rules) -> bool:
    """Return True if the paper hides letters of the name."""
    return _MASK in _untitled(_letters(shown, rules), rules)


def same_person_name(first: str, second: str, rules: Rules) -> bool:
    """Return True if two whole names are equal but for width, case, spaces and dots; nothing is hidden on either
    side."""
    left = _letters(first, rules)
    return bool(left) and left == _letters(second, rules)


def institution(name: str) -> str:
    """Return a hospital's or shop's name to compare: letters and digits alone, half width, lower case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


def same_text(first: str, second: str) -> bool:
    """Return True if the texts are equal but for width, case, spaces and signs."""
    return institution(first) == institution(second)


def _untitled(letters: str, rules: Rules) -> str:
    """Return the letters with a title behind a surname replaced by a run of masks."""
    title = next((title for title in rules.name_titles if letters.endswith(title) and letters != title), "")
    return letters.removesuffix(title) + _MASK if title else letters


def _letters(name: str, rules: Rules) -> str:
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    dots = unicodedata.normalize("NFKC", rules.name_dots)
    return plain.translate({ord(dot): "" for dot in dots} | {ord(mask): _MASK for mask in rules.name_masks})
