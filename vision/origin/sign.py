"""A sign: one fact that a file states or shows about its origin. No sign proves anything on its own.

docs/provenance.md says what each was tested on, how often it is found where it should be and how often on ordinary
photos (`miaopei bench provenance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from vision.origin.words import Phrase, english

SignState = Literal["found", "not_found", "unmeasured"]


class OriginSignKind(StrEnum):
    """The kind of sign that was looked for."""

    EXIF_SOFTWARE = "exif_software"  # the file names an editing program
    EXIF_DATES = "exif_dates"  # the file's own dates contradict one another
    EXIF_THUMBNAIL = "exif_thumbnail"  # the embedded preview shows another picture
    C2PA = "c2pa"  # signed content credentials: trusted, untrusted, expired or invalid
    SCREENSHOT = "screenshot"  # an app's screen
    RECAPTURE = "recapture"  # photographed from a screen or a print
    GENERATOR = "generator"  # the file says that a generator of pictures made it
    DOUBLE_JPEG = "double_jpeg"  # compressed more than once
    COPY_MOVE = "copy_move"  # a part of the picture appears twice


CRASHED: Final = "crashed"  # value of an unmeasured sign whose check failed: an attack or a defect of ours
NOT_APPLICABLE: Final = "not_applicable"  # value of an unmeasured sign for which the file has nothing to look at


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign with its result.

    value: a stable code. With the state `found`, which variant was found; with `unmeasured`, CRASHED or NOT_APPLICABLE;
    else "". said: the explanation for an adjuster, as phrases that are translated into every language. score: the
    underlying measure in its own units (docs/provenance.md), None if there is none.
    """

    kind: OriginSignKind
    state: SignState
    value: str
    said: tuple[Phrase, ...]
    score: float | None = None

    @property
    def detail(self) -> str:
        """The explanation in English."""
        return english(self.said)


def not_applicable(kind: OriginSignKind, *why: str) -> Sign:
    """Return an unmeasured sign for which the file has nothing to examine. why: a phrase."""
    return Sign(kind, "unmeasured", NOT_APPLICABLE, (why,))


def crashed(kind: OriginSignKind, *why: str) -> Sign:
    """Return an unmeasured sign whose check failed. why: a phrase."""
    return Sign(kind, "unmeasured", CRASHED, (why,))
