"""Which of our two languages a client reads best."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Header

Lang = Literal["zh", "en"]


def preferred(accept_language: str) -> Lang:
    """`zh` or `en` by the weights of an Accept-Language header (RFC 9110); English where neither is wanted or the
    header is broken.
    """
    best: tuple[float, Lang] = (0.0, "en")
    for entry in accept_language.split(","):
        tag, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        language = tag.split("-")[0].lower()
        if language in ("zh", "en") and weight > best[0]:
            best = (weight, "zh" if language == "zh" else "en")
    return best[1]


def _language(
    accept_language: Annotated[
        str, Header(max_length=500, description="`zh` or `en`, for the texts", examples=["zh"])
    ] = "en",
) -> Lang:
    return preferred(accept_language)


Language = Annotated[Lang, Depends(_language)]
