"""The pages' own words, one file a language in this folder, read as `claims.texts` reads its catalogues. What a claim's
facts mean in words is in `claims.explain`; a language needs both files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from claims.errors import InvalidTexts
from claims.texts import Language, Texts, catalogues
from claims.texts import languages as of_claims

FOLDER: Final = Path(__file__).parent


def languages() -> tuple[Language, ...]:
    """The languages that pages can be read in, the default one last. Raises InvalidTexts where a language has one of
    its two catalogues alone."""
    if odd := set(catalogues(FOLDER)) ^ set(of_claims()):
        names = ", ".join(sorted(odd))
        raise InvalidTexts(f"{names}: one catalogue alone; a language has one in claims/texts and one in {FOLDER}")
    return of_claims()


def texts(lang: Language) -> Texts:
    """The pages' catalogue of one language by key, such as `queue.title`."""
    return catalogues(FOLDER)[lang]


def say(lang: Language, key: str, **values: object) -> str:
    """One text with its {slots} filled in. Raises KeyError for a key nobody wrote words for (a test sees to it)."""
    return texts(lang)[key].format(**values)


def label(lang: Language, group: str, name: str) -> str:
    """The text `group.name`; a name from facts that has no words of its own stands for itself."""
    return texts(lang).label(group, name)
