"""The pages' own texts, one file a language in this folder, read as `claims.texts` reads its catalogues. Texts about a
claim's facts are in `claims.explain`; a language needs both files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from claims.errors import InvalidTexts
from claims.texts import Language, Texts, catalogues
from claims.texts import languages as of_claims

FOLDER: Final = Path(__file__).parent


def languages() -> tuple[Language, ...]:
    """Returns the languages that pages can be read in, the default one last. Raises InvalidTexts where a language has
    only one of its two catalogues."""
    if odd := set(catalogues(FOLDER)) ^ set(of_claims()):
        names = ", ".join(sorted(odd))
        raise InvalidTexts(f"{names}: one catalogue alone; a language has one in claims/texts and one in {FOLDER}")
    return of_claims()


def texts(lang: Language) -> Texts:
    """Returns the pages' catalogue of one language by key, such as `queue.title`."""
    return catalogues(FOLDER)[lang]


def say(lang: Language, key: str, **values: object) -> str:
    """Returns one text with its {slots} filled in. Raises KeyError for a missing key (a test looks for these)."""
    return texts(lang)[key].format(**values)


def label(lang: Language, group: str, name: str) -> str:
    """Returns the text `group.name`; a name that has no text stands for itself."""
    return texts(lang).label(group, name)
