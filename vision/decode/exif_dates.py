"""Reads the dates that cameras write into EXIF, and knows those that are no dates: what a clock shows that nobody set.

A clock that lost its power starts again from a fixed moment, and some firmware writes one constant into every file. The
rules below are general where clocks are alike (they count from the start of an epoch, from a first of January) and name
a constant only where a maker chose one.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from vision.measurement import Unmeasured

NO_DATE: Final = Unmeasured("the EXIF time of taking is not a date")
NO_TIME: Final = Unmeasured("the EXIF has no time of taking")
_UNSET: Final = "the EXIF time of taking is that of a clock that was not set: "

# EXIF 1.0 is of October 1995. An earlier date was counted from where a clock starts: 1904 (Macintosh), 1970 (Unix),
# 1980 (DOS, FAT cards, GPS); or it is that of a print that was scanned, and not of the file.
_EXIF_BEGAN: Final = date(1995, 10, 1)
# Clocks that ran over their range show 2106 (unsigned Unix), 2107 (FAT) or 9999.
_YEARS_END: Final = 2100
# Cameras without a battery start on 1 January 2000 and count on from there, for hours.
_STARTED_2000: Final = date(2000, 1, 1)
# Constants of firmware. 2002:12:08 12:00:00 is the DateTimeDigitized of every photo of many Android phones.
_CONSTANTS: Final = frozenset({datetime(2002, 12, 8, 12, 0, 0)})

# The date of GPS wraps every 1,024 weeks; receivers that were not told show a date so many days early.
GPS_WRAP_DAYS: Final = 7_168
_GPS_WRAPS: Final = (0, GPS_WRAP_DAYS, 2 * GPS_WRAP_DAYS)
_GPS_WRAP_SLACK_DAYS: Final = 2  # of the zone, and of the day on which the last fix was

_WHEN: Final = re.compile(r"(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})[ T]{1,3}(\d{1,2}):(\d{1,2}):(\d{1,2})")
_DAY: Final = re.compile(r"(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,3})(?!\d)")
_OFFSET: Final = re.compile(r"([+-])(\d{2}):(\d{2})")


def moment(raw: str, zone: timezone) -> datetime | Unmeasured:
    """Return an EXIF date ("2024:05:01 12:00:00") in `zone`; unmeasured if there is none, if it is not a date, or if a
    clock shows it that nobody set."""
    match = _WHEN.match(raw.strip())
    if match is None:
        return NO_DATE if raw.strip() else NO_TIME
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        when = datetime(year, month, day, hour, minute, second)
    except ValueError:  # cameras without a clock write 0000:00:00 00:00:00 for "unknown"
        return NO_DATE
    if why := unset_clock(when):
        return Unmeasured(f"{_UNSET}{why}")
    return when.replace(tzinfo=zone)


def is_unset(reading: Unmeasured) -> bool:
    """Return True if `moment` gave this because a clock shows it that nobody set."""
    return reading.reason.startswith(_UNSET)


def unset_clock(when: datetime) -> str:
    """Return why a camera shows this local time without anybody having set its clock; "" for an ordinary time."""
    if when.date() < _EXIF_BEGAN:
        return f"{when.year} is before there was EXIF, where clocks start to count"
    if when.year >= _YEARS_END:
        return f"{when.year} is where clocks end"
    if when.replace(microsecond=0, tzinfo=None) in _CONSTANTS:
        return f"{when:%Y-%m-%d %H:%M:%S} stands in every file of some cameras"
    first = when.month == 1 and when.day == 1
    # A clock starts at midnight or at noon of a first of January, and most photos of a camera that was just switched on
    # are of its first hour. Who photographs at a quarter past midnight of a new year loses a date, nothing else.
    if first and (when.hour == 0 or (when.hour, when.minute) == (12, 0)):
        return f"clocks without power start on 1 January {when.year}"
    if when.date() == _STARTED_2000:
        return "clocks without power start on 1 January 2000"
    return ""


def zone_of(raw: str) -> timezone | None:
    """Return the zone of an EXIF offset ("+08:00"), None for anything else."""
    match = _OFFSET.fullmatch(raw.strip())
    if match is None:
        return None
    sign, hours, minutes = match.group(1), int(match.group(2)), int(match.group(3))
    if hours > 14 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if sign == "+" else -offset)


def day_of(raw: str) -> date | None:
    """Return the day of an EXIF date or of a GPSDateStamp; None for what is none.

    iOS 8 and others write the day of the year for the day: `2014:09:259` is 16 September 2014.
    """
    match = _DAY.match(raw.strip())
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups())
    try:
        if len(match.group(3)) < 3:
            return date(year, month, day)
        counted = date(year, 1, 1) + timedelta(days=day - 1)
    except (ValueError, OverflowError):
        return None
    return counted if (counted.year, counted.month) == (year, month) else None


def gps_days_later(taken: str, gps_date: str) -> int | None:
    """Return by how many days the satellites' date is later than the camera's (negative: earlier); None where one of
    them is missing, no date, or shown by a clock that nobody set. UTC and local time differ by up to one day."""
    camera, satellites = day_of(taken), day_of(gps_date)
    if camera is None or satellites is None or isinstance(moment(taken, UTC), Unmeasured):
        return None
    later = (satellites - camera).days
    for wrap in _GPS_WRAPS:
        if abs(later + wrap) <= _GPS_WRAP_SLACK_DAYS:
            return later + wrap
    if satellites < _EXIF_BEGAN:  # a receiver that never had a fix starts on 6 January 1980
        return None
    return later
