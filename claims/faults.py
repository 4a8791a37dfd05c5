"""An error in the form that may be logged, stored or sent: kinds, codes and places, never its message.

An error's message quotes data: PostgreSQL quotes the row, a driver the parameter, a parser the file, a partner the
request. So `str(error)` is written only in the answer to whoever sent that data.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final

FRAMES_MAX: Final = 12
CAUSES_MAX: Final = 6
# The root packages of the product; a frame of any other file is told only where the error was raised.
_OURS: Final = ("api", "claims", "flows", "vision", "models", "fixtures", "benchmarks")
_MARKS: Final = tuple(f"/{name}/" for name in _OURS)
_OUTSIDE: Final = ("/site-packages/", "/dist-packages/", "/lib/python3")


def fault(error: BaseException) -> str:
    """Return kind, codes and place on one line, causes after it: `IntegrityError 23505 uq_policies_number at
    claims/store/intake.py:88 < UniqueViolationError`."""
    told = [_one(link) for link in causes(error)]
    place = next(iter(reversed(places(error))), "")
    told[0] += f" at {place}" if place else ""
    return " < ".join(told)


def places(error: BaseException) -> list[str]:
    """Return `file:line in function` of our own code on the way to where it was raised, outermost first, and of the
    foreign line that raised it. At most FRAMES_MAX, the innermost ones."""
    frames = list(_frames(error.__traceback__))
    kept = [f"{short} in {name}" for short, name, ours in frames if ours]
    if frames and not frames[-1][2]:
        kept.append(f"{frames[-1][0]} in {frames[-1][1]}")
    return kept[-FRAMES_MAX:]


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then the errors it was raised from, at most CAUSES_MAX in all. A group is followed into its
    first error."""
    link: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if link is None:
            return
        yield link
        if isinstance(link, BaseExceptionGroup):
            link = link.exceptions[0]
        else:
            link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _one(error: BaseException) -> str:
    return " ".join([type(error).__name__, *_codes(error)])


def _codes(error: BaseException) -> list[str]:
    """Return the fixed parts of an error: SQLSTATE and the name of the constraint (ours), the system's name of an
    errno, our own code of a refusal."""
    codes = [
        str(value) for value in (getattr(error, "sqlstate", None), getattr(error, "constraint_name", None)) if value
    ]
    if isinstance(error, OSError) and error.errno is not None:
        codes.append(errno.errorcode.get(error.errno, str(error.errno)))
    if isinstance(code := getattr(error, "code", None), str) and type(error).__module__.split(".")[0] in _OURS:
        codes.append(code)
    return codes


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, str, bool]]:
    """Yield file and line, function, and True for our own code."""
    for frame, line in traceback.walk_tb(trace):
        path = frame.f_code.co_filename.replace("\\", "/")
        ours = not any(mark in path for mark in _OUTSIDE) and any(mark in path for mark in _MARKS)
        yield f"{_short(path, ours)}:{line}", frame.f_code.co_name, ours


def _short(path: str, ours: bool) -> str:
    """Return the path from the product's package on, or from the library's."""
    marks = _MARKS if ours else _OUTSIDE
    at = max((path.rfind(mark) + (0 if ours else len(mark) - 1) for mark in marks if mark in path), default=-1)
    return path[at + 1 :] if at >= 0 else path.rsplit("/", 1)[-1]
