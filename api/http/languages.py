"""Chooses the language of texts that suits a client best."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header

from claims.texts import DEFAULT, languages
from claims.texts import Language as Lang

__all__ = ["Lang", "Language", "preferred"]


def preferred(accept_language: str) -> Lang:
    """Returns the language with the highest weight in an Accept-Language header (RFC 9110), each looked up by its tag
    or the longest prefix of it that has texts (RFC 4647); the default language where none matches or the header is
    broken."""
    known = {language.lower(): language for language in languages()}
    best = (0.0, DEFAULT)
    for entry in accept_language.split(","):
        tag, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        subtags = tag.lower().split("-")
        tags = ("-".join(subtags[:length]) for length in range(len(subtags), 0, -1))
        language = next((known[tag] for tag in tags if tag in known), None)
        if language is not None and weight > best[0]:
            best = (weight, language)
    return best[1]


_CODES = [f"`{language}`" for language in languages()]


def _language(
    accept_language: Annotated[
        str, Header(max_length=500, description=f"{' or '.join(_CODES)}, for the texts", examples=[languages()[0]])
    ] = DEFAULT,
) -> Lang:
    return preferred(accept_language)


Language = Annotated[Lang, Depends(_language)]
