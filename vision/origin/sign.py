"""A sign: one thing that a file says or shows about its origin. None proves anything by itself.

What each was tested on, how often it is found where it should be and how often on ordinary photos: docs/provenance.md,
`miaopei bench provenance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from vision.origin.words import Phrase, english

SignState = Literal["found", "not_found", "unmeasured"]


class OriginSignKind(StrEnum):
    """What was looked for."""

    EXIF_SOFTWARE = "exif_software"  # the file names an editing program
    EXIF_DATES = "exif_dates"  # the file's own dates contradict one another
    EXIF_THUMBNAIL = "exif_thumbnail"  # the embedded preview shows another picture
    C2PA = "c2pa"  # signed content credentials: trusted, untrusted, expired or invalid
    SCREENSHOT = "screenshot"  # an app's screen
    RECAPTURE = "recapture"  # photographed from a screen or a print
    GENERATOR = "generator"  # the file says that a generator of pictures made it
    DOUBLE_JPEG = "double_jpeg"  # compressed more than once
    COPY_MOVE = "copy_move"  # a part of the picture appears twice


CRASHED: Final = "crashed"  # value of an unmeasured sign whose check died: an attack or a defect of ours
NOT_APPLICABLE: Final = "not_applicable"  # value of an unmeasured sign for which the file has nothing to look at


@dataclass(frozen=True, slots=True)
class Sign:
    """value: a stable word, of `found` which kind it is, of `unmeasured` CRASHED or NOT_APPLICABLE, else "". said: what
    an adjuster reads, as phrases that have words in every language. score: the measure behind it, in units of its own
    (docs/provenance.md); None where there is none."""

    kind: OriginSignKind
    state: SignState
    value: str
    said: tuple[Phrase, ...]
    score: float | None = None

    @property
    def detail(self) -> str:
        """What it says, in English."""
        return english(self.said)


def not_applicable(kind: OriginSignKind, *why: str) -> Sign:
    """why: a phrase."""
    return Sign(kind, "unmeasured", NOT_APPLICABLE, (why,))


def crashed(kind: OriginSignKind, *why: str) -> Sign:
    """why: a phrase."""
    return Sign(kind, "unmeasured", CRASHED, (why,))
