"""Kinds of values that several documents share, and the two bases: what comes in is checked strictly, what goes out is
typed.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from claims.currencies import is_current


class Incoming(BaseModel):
    """A request document: an unknown member is an error, so that a misspelt one is not lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Outgoing(BaseModel):
    model_config = ConfigDict(frozen=True)


def _storable(text: str) -> str:
    # PostgreSQL stores no NUL; other control characters would only confuse whoever reads the claim.
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise ValueError("control characters are not accepted")
    return text


def _current(code: str) -> str:
    if not is_current(code):
        raise ValueError("no currency of ISO 4217 that is in use")
    return code


Id = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\-]{0,99}$", description="Letters, digits and . _ : -, at most 100")
]
# Stripped before the lengths are checked: a blank name is no name.
_Stripped = StringConstraints(strip_whitespace=True)
Line = Annotated[str, _Stripped, Field(max_length=200), AfterValidator(_storable)]
Words = Annotated[str, _Stripped, Field(max_length=4000), AfterValidator(_storable)]
Name = Annotated[str, _Stripped, Field(min_length=1, max_length=200), AfterValidator(_storable)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217"), AfterValidator(_current)]
Minor = Annotated[int, Field(strict=True, gt=0, le=10**12, description="Minor units (fen, cents)")]
MinorOrZero = Annotated[int, Field(strict=True, ge=0, le=10**12, description="Minor units (fen, cents)")]
Moment = Annotated[AwareDatetime, Field(description="ISO 8601 with an offset")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
