"""Signs in a file's metadata: editing software, dates, the thumbnail, marks of generators, credentials.

A file without metadata shows none of them. Messengers strip metadata, so its absence is no sign of anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from vision.decode.credentials import Credentials
from vision.decode.exif import ExifReading
from vision.decode.exif_dates import NO_DATE, is_unset, moment
from vision.decode.file_reading import FileReading
from vision.measurement import Unmeasured
from vision.origin.programs import editor, generator
from vision.origin.sign import OriginSignKind, Sign, crashed, not_applicable
from vision.origin.words import Phrase

# IPTC's words (Digital Source Type) for pictures that no camera took, and for photos that a model worked on.
_GENERATED: Final = frozenset({"trainedAlgorithmicMedia", "algorithmicMedia"})
_RETOUCHED: Final = frozenset({"compositeWithTrainedAlgorithmicMedia", "compositeSynthetic", "algorithmicallyEnhanced"})
_OF_METADATA: Final = (
    OriginSignKind.EXIF_SOFTWARE,
    OriginSignKind.EXIF_DATES,
    OriginSignKind.EXIF_THUMBNAIL,
    OriginSignKind.GENERATOR,
)
_LABELS: Final = {"1": "labelled_generated", "2": "labelled_maybe", "3": "labelled_suspected"}


@dataclass(frozen=True, slots=True)
class FileSignLimits:
    """Thresholds of the metadata signs.

    dates_apart_days_max: wrong time zones and clocks put a file's dates up to a day apart; if they differ by more, one
    of them is not the camera's. A choice, not a measurement: no collection of files straight from phones was at hand.
    gps_days_apart_max: the same where the satellites' date is later than the camera's; it is UTC.
    gps_fix_age_days_max: the same where it is earlier: a phone keeps its last fix, for days where it sees no sky. Three
    days were measured on an iPhone 6s; a week is a choice.
    future_days_min: how far ahead of the clock a date must lie to be one of a clock that was set wrong.
    thumbnail_likeness_min: see docs/provenance.md.
    """

    dates_apart_days_max: float = 1.5
    gps_days_apart_max: int = 2
    gps_fix_age_days_max: int = 7
    future_days_min: float = 1.5
    thumbnail_likeness_min: float = 0.8


def file_signs(
    exif: ExifReading,
    reading: FileReading,
    credentials: Credentials | Unmeasured | None,
    limits: FileSignLimits = FileSignLimits(),
    *,
    now: datetime,
) -> tuple[Sign, ...]:
    """Return every sign in the metadata. credentials: None if the file has none; Unmeasured if the check failed. now:
    dates later than this are none."""
    marks = reading.marks
    if not reading.looked:
        return (*(not_applicable(kind, "not_looked") for kind in _OF_METADATA), credentials_sign(marks, credentials))
    if problem := marks.get("problem", ""):
        unread = (not_applicable(kind, "metadata_unreadable", problem) for kind in _OF_METADATA)
        return (*unread, credentials_sign(marks, credentials))
    return (
        _software(exif, marks),
        _dates(exif, marks, limits, now),
        _thumbnail(marks, limits),
        _generator(exif, marks, credentials),
        credentials_sign(marks, credentials),
    )


def _names(exif: ExifReading, marks: Mapping[str, str]) -> tuple[str, ...]:
    software = "" if isinstance(exif.software, Unmeasured) else exif.software
    named = (marks.get(name, "") for name in ("processing_software", "creator_tool", "program", "png_software"))
    return tuple(dict.fromkeys(name for name in (software, *named) if name))


def _software(exif: ExifReading, marks: Mapping[str, str]) -> Sign:
    kind = OriginSignKind.EXIF_SOFTWARE
    names = _names(exif, marks)
    edited = [name for name in names if editor(name)]
    if edited:
        return Sign(kind, "found", "editor", (_written_by(edited),))
    if not names:
        return not_applicable(kind, "no_software")
    return Sign(kind, "not_found", "", (_written_by(names),))


def _written_by(names: Sequence[str]) -> Phrase:
    return ("written_by", ", ".join(names)[:120])


def _dates(exif: ExifReading, marks: Mapping[str, str], limits: FileSignLimits, now: datetime) -> Sign:
    kind = OriginSignKind.EXIF_DATES
    taken = exif.taken_at
    if isinstance(taken, Unmeasured):
        if taken == NO_DATE:
            return not_applicable(kind, "time_taken_no_date")
        return not_applicable(kind, "time_taken_unset" if is_unset(taken) else "no_time_taken")
    future = now + timedelta(days=limits.future_days_min)
    if taken > future:
        return not_applicable(kind, "time_taken_future")
    apart: dict[str, float] = {}
    for name in ("modified", "digitized"):
        when = moment(marks.get(f"{name}_at", ""), UTC)
        # A date that a clock shows that nobody set, or that is still to come, contradicts nothing.
        if isinstance(when, datetime) and when <= future:
            apart[name] = (when.replace(tzinfo=taken.tzinfo) - taken).total_seconds() / 86_400
    gps = _whole_days(marks.get("gps_days_off", ""))
    if not apart and gps is None:
        return not_applicable(kind, "one_date")
    satellites = gps or 0
    score = max([abs(days) for days in apart.values()] + [float(abs(satellites))])
    if satellites > limits.gps_days_apart_max or -satellites > limits.gps_fix_age_days_max:
        return Sign(kind, "found", "gps", (("gps_date_apart", f"{abs(satellites)}"),), score)
    if abs(apart.get("digitized", 0.0)) > limits.dates_apart_days_max:
        return Sign(kind, "found", "digitized", (("digitized_apart", f"{abs(apart['digitized']):.0f}"),), score)
    if apart.get("modified", 0.0) < -limits.dates_apart_days_max:
        return Sign(kind, "found", "order", (("changed_before", f"{-apart['modified']:.0f}"),), score)
    if apart.get("modified", 0.0) > limits.dates_apart_days_max:
        return Sign(kind, "found", "changed_later", (("changed_after", f"{apart['modified']:.0f}"),), score)
    return Sign(kind, "not_found", "", (("dates_agree",),), score)


def _whole_days(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 8 else None


def _thumbnail(marks: Mapping[str, str], limits: FileSignLimits) -> Sign:
    kind = OriginSignKind.EXIF_THUMBNAIL
    mark = marks.get("thumbnail", "")
    if not mark:
        return not_applicable(kind, "no_thumbnail")
    if not mark.startswith("likeness "):
        return not_applicable(kind, "thumbnail_flat" if mark == "flat" else "thumbnail_unreadable")
    try:
        score = min(1.0, max(-1.0, float(mark.removeprefix("likeness "))))
    except ValueError:
        return crashed(kind, "thumbnail_no_number")
    if score < limits.thumbnail_likeness_min:
        return Sign(kind, "found", "another_picture", (("thumbnail_other", f"{score:.2f}"),), score)
    return Sign(kind, "not_found", "", (("thumbnail_same", f"{score:.2f}"),), score)


def _generator(exif: ExifReading, marks: Mapping[str, str], credentials: Credentials | Unmeasured | None) -> Sign:
    kind = OriginSignKind.GENERATOR
    if program := marks.get("generator", ""):
        return Sign(kind, "found", "generated", (("prompt_of", program),))
    if label := marks.get("aigc_label", ""):
        return Sign(kind, "found", "generated", ((_LABELS.get(label, "labelled_maybe"),),))
    if named := [name for name in _names(exif, marks) if generator(name)]:
        return Sign(kind, "found", "generated", (_written_by(named),))
    signed = credentials.source_types if isinstance(credentials, Credentials) else ()
    source_types = [*signed, marks.get("source_type", "")]
    if made := [source_type for source_type in source_types if source_type in _GENERATED]:
        return Sign(kind, "found", "generated", (("made_how", made[0]),))
    if worked := [source_type for source_type in source_types if source_type in _RETOUCHED]:
        return Sign(kind, "found", "retouched", (("done_to_it", worked[0]),))
    return Sign(kind, "not_found", "", (("no_generator",),))


def credentials_sign(marks: Mapping[str, str], credentials: Credentials | Unmeasured | None) -> Sign:
    kind = OriginSignKind.C2PA
    if isinstance(credentials, Unmeasured):
        return crashed(kind, "credentials_died", credentials.reason)
    if credentials is None or credentials.state == "absent":
        if marks.get("c2pa") == "remote":
            return not_applicable(kind, "credentials_remote")
        if marks.get("c2pa") == "embedded":
            return not_applicable(kind, "credentials_missing")
        return Sign(kind, "not_found", "", (("no_credentials",),))
    by: Phrase = ("signed_by_trusted", credentials.signer) if credentials.signer else ("signed_trusted",)
    made: tuple[Phrase, ...] = (("written_by", credentials.program),) if credentials.program else ()
    match credentials.state:
        case "trusted":
            return Sign(kind, "found", "trusted", (by, *made))
        case "untrusted":
            return Sign(kind, "found", "untrusted", (("signed_untrusted",), *made))
        case "expired":
            return Sign(kind, "found", "expired", (("signed_expired",), *made))
        case "invalid":
            what = ", ".join(credentials.codes)[:100]
            return Sign(kind, "found", "invalid", (("signed_otherwise", what), *made))
        case "remote":
            return not_applicable(kind, "credentials_remote")
        case _:
            return not_applicable(kind, "credentials_no_rule", ", ".join(credentials.codes)[:80])
