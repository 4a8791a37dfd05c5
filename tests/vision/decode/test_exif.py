"""A file's metadata on its origin: three facts leave the decoder, everything else stays behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fixtures.hostile_files import jpeg, jpeg_exif_overflow, png, webp
from vision.decode.exif import ExifReading, exif_reading
from vision.decode.exif_dates import gps_days_later, is_unset
from vision.decode.file_reading import FileReading
from vision.decode.image import Decoder
from vision.measurement import Unmeasured
from vision.origin.file_signs import file_signs

CHINA = timezone(timedelta(hours=8))


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def phone_exif(**more: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Xiaomi"
    exif[0x0110] = "Xiaomi 14"
    exif[0x0131] = "Snapseed 2.0"
    exif[0x013B] = "Owner Wang"
    exif[0xA431] = "BODY-SERIAL-99"
    inner = exif.get_ifd(0x8769)
    inner[0x9003] = more.get("taken_at", "2026:10:01 09:30:05")
    inner[0xA431] = "BODY-SERIAL-99"
    inner[0xA435] = "LENS-SERIAL-42"
    inner[0x927C] = b"MAKERNOTE-SECRET"
    if "offset" in more:
        inner[0x9011] = more["offset"]
    position = exif.get_ifd(0x8825)
    position[1], position[2] = "N", (31.0, 13.0, 49.0)
    position[3], position[4] = "E", (121.0, 28.0, 24.0)
    return exif


@pytest.mark.parametrize("encode", [jpeg, png, webp])
def test_time_software_and_camera_are_read_from_every_format(decoder: Decoder, encode: type[bytes]) -> None:
    reading = decoder.decode(encode(None, exif=phone_exif())).exif  # type: ignore[call-overload]
    assert reading == ExifReading(
        taken_at=datetime(2026, 10, 1, 9, 30, 5, tzinfo=CHINA),
        software="Snapseed 2.0",
        camera="Xiaomi 14",
        zone_known=False,
    )


def test_the_zone_that_the_camera_wrote_counts(decoder: Decoder) -> None:
    reading = decoder.decode(jpeg(None, exif=phone_exif(offset="-05:30"))).exif
    assert isinstance(reading.taken_at, datetime)
    assert reading.taken_at.utcoffset() == -timedelta(hours=5, minutes=30)
    assert reading.zone_known


def test_positions_serial_numbers_and_owners_never_leave(decoder: Decoder) -> None:
    data = jpeg(None, exif=phone_exif())
    assert b"BODY-SERIAL-99" in data
    assert b"MAKERNOTE-SECRET" in data
    picture = decoder.decode(data)
    kept = repr(
        {field.name: getattr(picture, field.name) for field in dataclasses.fields(picture) if field.name != "pixels"}
    )
    assert not any(secret in kept for secret in ("SERIAL", "Wang", "MAKERNOTE", "121", "31.0"))


def test_a_file_without_exif_is_unmeasured_never_empty(decoder: Decoder) -> None:
    reading = decoder.decode(jpeg()).exif
    for fact in (reading.taken_at, reading.software, reading.camera):
        assert fact == Unmeasured("the file carries no EXIF")


def test_broken_exif_is_unmeasured_and_the_picture_decodes(decoder: Decoder) -> None:
    picture = decoder.decode(jpeg_exif_overflow())
    assert picture.pixels.shape == (480, 640, 3)
    assert isinstance(picture.exif.taken_at, Unmeasured)
    assert isinstance(picture.exif.camera, Unmeasured)


@pytest.mark.parametrize(
    "raw", ["0000:00:00 00:00:00", "2026:13:01 00:00:00", "2026:02:30 10:00:00", "yesterday", "2026:10:01 25:00:00"]
)
def test_an_impossible_time_is_unmeasured(raw: str) -> None:
    assert exif_reading({"taken_at": raw}).taken_at == Unmeasured("the EXIF time of taking is not a date")


@pytest.mark.parametrize(
    "raw",
    [
        "2002:12:08 12:00:00",  # many Android phones write it into DateTimeDigitized of every photo
        "1904:01:01 00:00:00",  # Macintosh
        "1970:01:01 00:03:27",  # Unix, three minutes after the drone was switched on
        "1970:01:01 08:00:00",  # Unix, in China
        "1980:01:01 00:00:00",  # DOS and FAT cards
        "1980:01:06 00:00:19",  # GPS
        "2000:01:01 00:00:00",
        "2000:01:01 07:41:12",  # hours after the battery was put in
        "2010:01:01 00:00:00",  # real-time clocks of telephones
        "2015:01:01 00:12:09",
        "2012:01:01 12:00:31",  # clocks that start at noon
        "2107:12:31 23:59:58",  # the end of FAT
        "9999:12:31 23:59:59",
    ],
)
def test_a_clock_that_nobody_set_gives_no_date(decoder: Decoder, raw: str) -> None:
    reading = decoder.decode(jpeg(None, exif=phone_exif(taken_at=raw))).exif
    assert isinstance(reading.taken_at, Unmeasured)
    assert reading.taken_at.reason.startswith("the EXIF time of taking is that of a clock that was not set: ")
    assert is_unset(reading.taken_at)


@pytest.mark.parametrize(
    "raw",
    ["2002:12:08 12:00:01", "2002:12:09 12:00:00", "2026:01:01 09:30:00", "2026:01:02 00:00:00", "2025:12:31 23:59:59",
     "1998:12:01 14:22:36", "2000:01:02 10:00:00", "2036:02:07 06:28:16"],
)  # fmt: skip
def test_an_ordinary_date_beside_those_stays_one(raw: str) -> None:
    assert isinstance(exif_reading({"taken_at": raw}).taken_at, datetime)


@pytest.mark.parametrize(
    "raw", ["2026-10-01 09:30:05", "2026/10/01 09:30:05", "2026:10:01T09:30:05", "2026:10:1 9:30:05"]
)
def test_a_date_in_another_spelling_is_the_same_date(raw: str) -> None:
    assert exif_reading({"taken_at": raw}).taken_at == datetime(2026, 10, 1, 9, 30, 5, tzinfo=CHINA)


@pytest.mark.parametrize(
    "raw", ["    :  :     :  :  ", "2000:00:00 00:00:00", "2026:10:01", "::", "2026:10:01 24:00:00"]
)
def test_blanks_and_zeros_are_no_date(raw: str) -> None:
    assert exif_reading({"taken_at": raw, "make": "x"}).taken_at == Unmeasured("the EXIF time of taking is not a date")


@pytest.mark.parametrize(
    ("gps", "later"),
    [
        ("2014:09:16", 0),
        ("2014:09:259", 0),  # the day of the year, as iOS 8 writes it
        ("2014:09:15", -1),
        ("2014:9:17", 1),
        ("1995:01:31", 0),  # a receiver whose weeks wrapped after 1,024
        ("1980:01:06", None),  # one that never had a fix
        ("2014:09:999", None),
        ("2014:03:259", None),  # that day is in no March
        ("2014:00:00", None),
        ("0000:00:00", None),
        ("", None),
        ("2014:09", None),
        ("9999:12:999", None),
    ],
)
def test_the_satellites_date_is_read_as_receivers_write_it(gps: str, later: int | None) -> None:
    assert gps_days_later("2014:09:16 18:02:33", gps) == later


def test_nothing_is_compared_with_a_clock_that_nobody_set() -> None:
    assert gps_days_later("2000:01:01 03:00:00", "2014:09:16") is None


ODD_PARTS = st.one_of(
    st.text(max_size=30),
    st.from_regex(
        r"[0-9 ]{4}[:/. -][0-9 ]{1,3}[:/. -][0-9 ]{1,3}([ T][0-9 ]{1,2}:[0-9]{1,2}:[0-9]{1,2})?", fullmatch=True
    ),
    st.datetimes(min_value=datetime(1, 1, 1)).map(lambda when: f"{when:%Y:%m:%d %H:%M:%S}".rjust(19, "0")),
)


@given(ODD_PARTS, ODD_PARTS, ODD_PARTS, st.text(max_size=8))
def test_no_date_whatsoever_makes_an_exception(taken: str, other: str, gps: str, offset: str) -> None:
    reading = exif_reading({"taken_at": taken, "offset": offset})
    if isinstance(reading.taken_at, datetime):
        assert 1995 <= reading.taken_at.year < 2100
        reading.taken_at.astimezone(UTC)
    days = gps_days_later(taken, gps)
    marks = {"modified_at": other, "digitized_at": gps, "gps_days_off": "" if days is None else str(days)}
    now = datetime(2026, 11, 30, tzinfo=UTC)
    for sign in file_signs(reading, FileReading(marks, looked=True), None, now=now):
        assert sign.state in ("found", "not_found", "unmeasured")
        assert sign.value != "crashed"


@pytest.mark.parametrize("offset", ["+99:00", "8", "", "+08:61", "Z"])
def test_an_impossible_zone_is_taken_as_unknown(offset: str) -> None:
    reading = exif_reading({"taken_at": "2026:10:01 09:30:05", "offset": offset})
    assert reading.taken_at == datetime(2026, 10, 1, 9, 30, 5, tzinfo=CHINA)
    assert not reading.zone_known


def test_a_maker_is_not_said_twice() -> None:
    assert exif_reading({"make": "Canon", "model": "Canon EOS R6"}).camera == "Canon EOS R6"
    assert exif_reading({"make": "HUAWEI", "model": "P60"}).camera == "HUAWEI P60"
    assert exif_reading({"model": "P60"}).camera == "P60"


@given(st.dictionaries(st.sampled_from(["taken_at", "offset", "software", "make", "model"]), st.text(max_size=400)))
def test_texts_are_printable_and_short_whatever_the_file_says(tags: dict[str, str]) -> None:
    reading = exif_reading(tags)
    for text in (reading.software, reading.camera):
        if isinstance(text, str):
            assert text
            assert text.isprintable()
            assert len(text) <= 241
    if isinstance(reading.taken_at, datetime):
        assert reading.taken_at.utcoffset() is not None
