"""Reads from EXIF when, with which software and with which camera a picture was made, by its own account.

EXIF proves nothing (photos of screens carry it, messengers strip it), so these are facts for a person to read and for
`claims` to weigh, never a verdict. Positions, serial numbers, owner names and thumbnails are dropped in the decoding
child and never reach this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from vision.decode.exif_dates import moment, zone_of
from vision.measurement import Unmeasured

# Cameras write local time. Without OffsetTimeOriginal, China Standard Time is assumed: the claimants live there.
CAMERA_ZONE_ASSUMED: Final = timezone(timedelta(hours=8))
TEXT_CHARACTERS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class ExifReading:
    """EXIF facts of one file.

    taken_at: DateTimeOriginal, always with a zone; `zone_known`: the file named it, otherwise it was assumed. What a
    clock shows that nobody set is unmeasured (`vision.decode.exif_dates`).
    software, camera: as written by the device or editor, control characters removed, at most 120 characters.
    """

    taken_at: datetime | Unmeasured
    software: str | Unmeasured
    camera: str | Unmeasured
    zone_known: bool = False


def no_exif(reason: str = "the file carries no EXIF") -> ExifReading:
    """Return the reading of a file without (readable) EXIF: each fact unmeasured for `reason`."""
    nothing = Unmeasured(reason)
    return ExifReading(taken_at=nothing, software=nothing, camera=nothing)


def exif_reading(tags: Mapping[str, str]) -> ExifReading:
    """Return the facts from raw tag texts as the decoding child passes them on.

    tags: any of `problem`, `taken_at` ("2024:05:01 12:00:00"), `offset` ("+08:00"), `software`, `make`, `model`; a
    missing name means that the file has no such tag.
    """
    if not tags:
        return no_exif()
    if problem := tags.get("problem", ""):
        return no_exif(f"the file's EXIF cannot be read: {problem}")
    zone = zone_of(tags.get("offset", ""))
    return ExifReading(
        taken_at=moment(tags.get("taken_at", ""), zone or CAMERA_ZONE_ASSUMED),
        software=clean_text(tags.get("software", "")) or Unmeasured("the EXIF names no software"),
        camera=_camera(clean_text(tags.get("make", "")), clean_text(tags.get("model", "")))
        or Unmeasured("the EXIF names no camera"),
        zone_known=zone is not None,
    )


def clean_text(raw: str) -> str:
    """Return the text on one line, without control characters, at most TEXT_CHARACTERS_MAX long."""
    printable = "".join(character if character.isprintable() else " " for character in raw)
    return " ".join(printable.split())[:TEXT_CHARACTERS_MAX].rstrip()


def _camera(make: str, model: str) -> str:
    # "Canon" + "Canon EOS R6" is one name, not two.
    return model if make and model.lower().startswith(make.lower()) else f"{make} {model}".strip()
