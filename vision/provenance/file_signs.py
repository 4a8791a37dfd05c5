"""Signs that a file's metadata carry: editing software, dates, the thumbnail, marks of generators, credentials.

A file without metadata shows none of them: messengers strip it, and that is no sign of anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vision.measurement import Unmeasured
from vision.provenance.credentials import Credentials
from vision.provenance.exif import ExifReading, moment
from vision.provenance.programs import editor, generator
from vision.provenance.reading import FileReading
from vision.provenance.sign import Sign, SignKind, crashed, not_applicable

# IPTC's words (Digital Source Type) for pictures that no camera took, and for photos that a model worked on.
_GENERATED: Final = frozenset({"trainedAlgorithmicMedia", "algorithmicMedia"})
_RETOUCHED: Final = frozenset({"compositeWithTrainedAlgorithmicMedia", "compositeSynthetic", "algorithmicallyEnhanced"})


@dataclass(frozen=True, slots=True)
class FileSignLimits:
    """dates_apart_days_max: zones and clocks set wrong put a file's dates a day apart; beyond, one of them is not the
    camera's. A choice, not a measurement: no collection of files straight from phones was at hand.
    gps_days_apart_max: likewise, between the camera's date and the satellites', which is UTC and may be an old fix.
    thumbnail_likeness_min: see docs/provenance.md.
    """

    dates_apart_days_max: float = 1.5
    gps_days_apart_max: int = 2
    thumbnail_likeness_min: float = 0.8


def file_signs(
    exif: ExifReading,
    reading: FileReading,
    credentials: Credentials | Unmeasured | None,
    limits: FileSignLimits = FileSignLimits(),
) -> tuple[Sign, ...]:
    """credentials: None where the file has none; Unmeasured where the check died."""
    marks = reading.marks
    if not reading.looked:
        why = "the file was not looked at for signs"
        kinds = (SignKind.EXIF_SOFTWARE, SignKind.EXIF_DATES, SignKind.EXIF_THUMBNAIL, SignKind.GENERATOR)
        return (*(not_applicable(kind, why) for kind in kinds), credentials_sign(marks, credentials))
    if problem := marks.get("problem", ""):
        why = f"the file's metadata cannot be read ({problem})"
        kinds = (SignKind.EXIF_SOFTWARE, SignKind.EXIF_DATES, SignKind.EXIF_THUMBNAIL, SignKind.GENERATOR)
        return (*(not_applicable(kind, why) for kind in kinds), credentials_sign(marks, credentials))
    return (
        _software(exif, marks),
        _dates(exif, marks, limits),
        _thumbnail(marks, limits),
        _generator(exif, marks, credentials),
        credentials_sign(marks, credentials),
    )


def _names(exif: ExifReading, marks: Mapping[str, str]) -> tuple[str, ...]:
    software = "" if isinstance(exif.software, Unmeasured) else exif.software
    named = (marks.get(name, "") for name in ("processing_software", "creator_tool", "program", "png_software"))
    return tuple(dict.fromkeys(name for name in (software, *named) if name))


def _software(exif: ExifReading, marks: Mapping[str, str]) -> Sign:
    kind = SignKind.EXIF_SOFTWARE
    names = _names(exif, marks)
    edited = [name for name in names if editor(name)]
    if edited:
        return Sign(kind, "found", "editor", f"written by {', '.join(edited)[:120]}")
    if not names:
        return not_applicable(kind, "the file names no software")
    return Sign(kind, "not_found", "", f"written by {', '.join(names)[:120]}")


def _dates(exif: ExifReading, marks: Mapping[str, str], limits: FileSignLimits) -> Sign:
    kind = SignKind.EXIF_DATES
    taken = exif.taken_at
    if isinstance(taken, Unmeasured):
        return not_applicable(kind, taken.reason)
    others = {
        name: moment(marks[f"{name}_at"], UTC).replace(tzinfo=taken.tzinfo)  # type: ignore[union-attr]
        for name in ("modified", "digitized")
        if isinstance(moment(marks.get(f"{name}_at", ""), UTC), datetime)
    }
    apart = {name: (when - taken).total_seconds() / 86_400 for name, when in others.items()}
    gps = marks.get("gps_days_off", "")
    satellites = int(gps) if gps.isdigit() and len(gps) < 8 else 0
    if not apart and not gps:
        return not_applicable(kind, "the file has one date only")
    score = max([abs(days) for days in apart.values()] + [float(satellites)])
    if satellites > limits.gps_days_apart_max:
        return Sign(kind, "found", "gps", f"the satellites' date is {satellites} days from the camera's", score)
    if abs(apart.get("digitized", 0.0)) > limits.dates_apart_days_max:
        return Sign(kind, "found", "digitized", f"taken and digitized {abs(apart['digitized']):.0f} days apart", score)
    if apart.get("modified", 0.0) < -limits.dates_apart_days_max:
        return Sign(kind, "found", "order", f"changed {-apart['modified']:.0f} days before it was taken", score)
    if apart.get("modified", 0.0) > limits.dates_apart_days_max:
        return Sign(kind, "found", "changed_later", f"changed {apart['modified']:.0f} days after it was taken", score)
    return Sign(kind, "not_found", "", "the file's dates agree", score)


def _thumbnail(marks: Mapping[str, str], limits: FileSignLimits) -> Sign:
    kind = SignKind.EXIF_THUMBNAIL
    said = marks.get("thumbnail", "")
    if not said:
        return not_applicable(kind, "the file has no thumbnail")
    if not said.startswith("likeness "):
        return not_applicable(kind, f"the thumbnail cannot be compared ({said})")
    try:
        score = min(1.0, max(-1.0, float(said.removeprefix("likeness "))))
    except ValueError:
        return crashed(kind, "the comparison of the thumbnail gave no number")
    if score < limits.thumbnail_likeness_min:
        return Sign(
            kind, "found", "another_picture", f"the thumbnail shows something else (likeness {score:.2f})", score
        )
    return Sign(kind, "not_found", "", f"the thumbnail shows this picture (likeness {score:.2f})", score)


def _generator(exif: ExifReading, marks: Mapping[str, str], credentials: Credentials | Unmeasured | None) -> Sign:
    kind = SignKind.GENERATOR
    if program := marks.get("generator", ""):
        return Sign(kind, "found", "generated", f"the file carries a prompt of {program}")
    if label := marks.get("aigc_label", ""):
        sure = {"1": "is", "2": "may be", "3": "is suspected to be"}.get(label, "may be")
        return Sign(kind, "found", "generated", f"labelled under GB 45438: it {sure} generated")
    if named := [name for name in _names(exif, marks) if generator(name)]:
        return Sign(kind, "found", "generated", f"written by {', '.join(named)[:120]}")
    signed = credentials.source_types if isinstance(credentials, Credentials) else ()
    said = [*signed, marks.get("source_type", "")]
    if made := [one for one in said if one in _GENERATED]:
        return Sign(kind, "found", "generated", f"the file says how it was made: {made[0]}")
    if worked := [one for one in said if one in _RETOUCHED]:
        return Sign(kind, "found", "retouched", f"the file says what was done to it: {worked[0]}")
    return Sign(kind, "not_found", "", "no mark of a generator")


def credentials_sign(marks: Mapping[str, str], credentials: Credentials | Unmeasured | None) -> Sign:
    kind = SignKind.C2PA
    if isinstance(credentials, Unmeasured):
        return crashed(kind, credentials.reason)
    if credentials is None or credentials.state == "absent":
        if marks.get("c2pa") == "remote":
            return not_applicable(kind, "the content credentials lie on a server, which is not asked")
        if marks.get("c2pa") == "embedded":
            return not_applicable(kind, "content credentials are announced, and none can be found")
        return Sign(kind, "not_found", "", "no content credentials")
    by = f" by {credentials.signer}" if credentials.signer else ""
    made = f", written by {credentials.program}" if credentials.program else ""
    match credentials.state:
        case "trusted":
            return Sign(kind, "found", "trusted", f"signed{by}, who is trusted, and unchanged since{made}")
        case "untrusted":
            return Sign(kind, "found", "untrusted", f"unchanged since it was signed, by nobody on the list{made}")
        case "expired":
            return Sign(kind, "found", "expired", f"signed with a certificate outside its time{made}")
        case "invalid":
            what = ", ".join(credentials.codes)[:100]
            return Sign(kind, "found", "invalid", f"not what was signed: {what}{made}")
        case "remote":
            return not_applicable(kind, "the content credentials lie on a server, which is not asked")
        case _:
            return not_applicable(kind, f"the content credentials follow no rule ({', '.join(credentials.codes)[:80]})")
