"""Value types that several documents share, and the two base classes: incoming documents are checked strictly, outgoing
ones are typed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from claims.currencies import is_current
from claims.policy import OPEN_END, OPEN_START

# Times that make sense here: policy choices. No cover in force began before 1900 or is sold beyond 2200; nobody claims
# for an event before 2000 any more.
MOMENT_FIRST, MOMENT_END = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
EVENT_FIRST, EVENT_END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
OFFSET_MAX: Final = timedelta(hours=14)  # of any zone of the world
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})")


class Incoming(BaseModel):
    """A request document: an unknown member is an error, so that a misspelt one does not get lost unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Outgoing(BaseModel):
    model_config = ConfigDict(frozen=True)


def storable(text: str) -> str:
    """Returns the text unchanged. Raises ValueError for characters that PostgreSQL cannot store or nobody could
    read."""
    # PostgreSQL stores no NUL; other control characters would only confuse whoever reads the claim.
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise ValueError("control characters are not accepted")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half of a surrogate pair is not a character")
    return text


def _current(code: str) -> str:
    if not is_current(code):
        raise ValueError("no currency of ISO 4217 that is in use")
    return code


Id = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\-]{0,99}$", description="Letters, digits and . _ : -, at most 100")
]
# In an address: a name that no file and no picture can have is not looked up in the store, which takes no NUL.
FileName = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,300}$", description="Name or id of a file of the claim")]
PhotoId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$", description="As `GET .../matches` names it")]
# Stripped before the lengths are checked: a blank name is no name.
_Stripped = StringConstraints(strip_whitespace=True)
Line = Annotated[str, _Stripped, Field(max_length=200), AfterValidator(storable)]
Words = Annotated[str, _Stripped, Field(max_length=4000), AfterValidator(storable)]
Name = Annotated[str, _Stripped, Field(min_length=1, max_length=200), AfterValidator(storable)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217"), AfterValidator(_current)]
Minor = Annotated[int, Field(strict=True, gt=0, le=10**12, description="Minor units (fen, cents)")]
MinorOrZero = Annotated[int, Field(strict=True, ge=0, le=10**12, description="Minor units (fen, cents)")]


def _is_written(value: object, info: ValidationInfo) -> object:
    """Refuse a time that is not written as ISO 8601: pydantic alone takes bare digits for seconds since 1970, so that
    20261129 would be August 1970."""
    if isinstance(value, datetime) and info.mode == "python":
        return value
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        raise ValueError("give the time as ISO 8601 with its offset, such as 2026-11-20T09:30:00+08:00")
    return value


def _between(at: datetime, first: datetime, end: datetime) -> datetime:
    if abs(at.utcoffset() or timedelta(0)) > OFFSET_MAX:
        raise ValueError("the offset is at most 14:00")
    if not first <= at < end:
        raise ValueError(f"the time must lie from {first:%Y-%m-%d} to before {end:%Y-%m-%d} (UTC)")
    return at


def _moment(at: datetime) -> datetime:
    return _between(at, MOMENT_FIRST, MOMENT_END)


def _event(at: datetime) -> datetime:
    return _between(at, EVENT_FIRST, EVENT_END)


def _cover_start(at: datetime) -> datetime:
    return OPEN_START if at.date() == date.min else _moment(at)


def _cover_end(at: datetime) -> datetime:
    return OPEN_END if at.date() == date.max else _moment(at)


_Written = BeforeValidator(_is_written)
Moment = Annotated[
    AwareDatetime,
    _Written,
    AfterValidator(_moment),
    Field(description="ISO 8601 with an offset, from 1900-01-01 to before 2200-01-01 (UTC)"),
]
EventMoment = Annotated[
    AwareDatetime,
    _Written,
    AfterValidator(_event),
    Field(description="ISO 8601 with an offset, from 2000-01-01 to before 2100-01-01 (UTC)"),
]
CoverStart = Annotated[
    AwareDatetime,
    _Written,
    AfterValidator(_cover_start),
    Field(description="ISO 8601 with an offset, from 1900-01-01 (UTC) on; any time of 0001-01-01: always"),
]
CoverEnd = Annotated[
    AwareDatetime,
    _Written,
    AfterValidator(_cover_end),
    Field(description="ISO 8601 with an offset, before 2200-01-01 (UTC); any time of 9999-12-31: no end"),
]
