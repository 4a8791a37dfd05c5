"""Names of people and places as papers print them: are two of them the same?"""

from __future__ import annotations

import re
import unicodedata

from claims.rules import Rules

_MASK = "*"


def same_name(shown: str, insured: str, rules: Rules) -> bool:
    """Equal but for width, case, spaces and the dots of foreign names.

    A paper may hide letters (张*三): a mask stands for exactly one, a run of masks for one or more where the rules say
    so. A title behind a surname (张先生) hides the rest of the name. Something must be shown: stars alone are nobody's
    name. Traditional and simplified characters are not taken for each other.
    """
    left, right = _untitled(_letters(shown, rules), rules), _letters(insured, rules)
    if not left.strip(_MASK) or not right:
        return False
    one_mask = r"\*+" if rules.name_mask_any_length else r"\*"
    stands_for = ".+" if rules.name_mask_any_length else "."
    parts = re.split(one_mask, left)
    return re.fullmatch(stands_for.join(re.escape(part) for part in parts), right, re.DOTALL) is not None


def masked(shown: str, rules: Rules) -> bool:
    """Whether the paper hides letters of the name."""
    return _MASK in _untitled(_letters(shown, rules), rules)


def same_person_name(one: str, other: str, rules: Rules) -> bool:
    """Two whole names that are equal but for width, case, spaces and dots; nothing is hidden on either side."""
    left = _letters(one, rules)
    return bool(left) and left == _letters(other, rules)


def institution(name: str) -> str:
    """A hospital's or shop's name to compare: letters and digits alone, half width, lower case."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


def same_text(one: str, other: str) -> bool:
    """Equal but for width, case, spaces and signs."""
    return institution(one) == institution(other)


def _untitled(letters: str, rules: Rules) -> str:
    """A title behind something is a run of masks."""
    title = next((title for title in rules.name_titles if letters.endswith(title) and letters != title), "")
    return letters.removesuffix(title) + _MASK if title else letters


def _letters(name: str, rules: Rules) -> str:
    plain = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    dots = unicodedata.normalize("NFKC", rules.name_dots)
    return plain.translate({ord(dot): "" for dot in dots} | {ord(mask): _MASK for mask in rules.name_masks})
