"""Signs of origin in a file's metadata; the rest stays behind, and hostile metadata does no harm."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fixtures.edits import recoloured
from fixtures.hostile_files import (
    jpeg,
    jpeg_exif_overflow,
    jpeg_segment,
    jpeg_with,
    photo,
    png,
    png_chunk,
    png_text_bomb,
)
from fixtures.provenance_cases import with_thumbnail
from vision.decode.image import Decoder
from vision.origin.file_signs import file_signs
from vision.origin.programs import editor, generator
from vision.origin.sign import OriginSignKind, Sign

NOW = datetime(2026, 11, 30, tzinfo=UTC)
XMP = b"http://ns.adobe.com/xap/1.0/\0"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def sign_of(decoder: Decoder, data: bytes, kind: OriginSignKind) -> Sign:
    picture = decoder.decode(data, marks=True)
    (sign,) = (sign for sign in file_signs(picture.exif, picture.origin, None, now=NOW) if sign.kind is kind)
    return sign


def exif_of(**tags: str) -> Image.Exif:
    exif = Image.Exif()
    places = {"software": 0x0131, "modified": 0x0132, "description": 0x010E}
    inner = exif.get_ifd(0x8769)
    for name, text in tags.items():
        if name in places:
            exif[places[name]] = text if text.isascii() else text.encode()  # type: ignore[assignment]
        else:
            inner[{"taken": 0x9003, "digitized": 0x9004, "comment": 0x9286}[name]] = text
    return exif


def text_png(key: str, text: str, *, packed: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, text, zip=packed)
    return png(None, pnginfo=info)


@pytest.mark.parametrize(
    "name", ["Adobe Photoshop 25.0 (Windows)", "Snapseed 2.0", "美图秀秀", "GIMP 2.10.36", "PicsArt"]
)
def test_an_editor_named_in_the_file_is_found(decoder: Decoder, name: str) -> None:
    sign = sign_of(decoder, jpeg(None, exif=exif_of(software=name)), OriginSignKind.EXIF_SOFTWARE)
    assert (sign.state, sign.value) == ("found", "editor")


@pytest.mark.parametrize(
    "name",
    ["17.5.1", "HDR+ 1.0.585804376zd", "MediaTek Camera Application", "S918BXXU3AWF1", "MIUI", "Ver.1.00", "DIGITAL",
     "LIO-AN00 10.1.0.150(C00E150R5P2)", "Android RP1A.200720.011", "Picture Recording 1.0", "ColorOS", "Firmware 2.0"],
)  # fmt: skip
def test_the_software_of_cameras_is_no_editor_and_no_generator(name: str) -> None:
    assert not editor(name)
    assert not generator(name)


def test_a_file_stripped_by_a_messenger_shows_no_sign(decoder: Decoder) -> None:
    picture = decoder.decode(jpeg(), marks=True)
    assert not [sign for sign in file_signs(picture.exif, picture.origin, None, now=NOW) if sign.state == "found"]


@pytest.mark.parametrize(
    ("dates", "value"),
    [
        ({"taken": "2026:10:01 09:30:00", "modified": "2026:10:01 09:30:00", "digitized": "2026:10:01 09:30:00"}, ""),
        ({"taken": "2026:10:01 09:30:00", "modified": "2026:10:02 08:00:00"}, ""),
        ({"taken": "2026:10:01 09:30:00", "modified": "2026:10:05 08:00:00"}, "changed_later"),
        ({"taken": "2026:10:01 09:30:00", "modified": "2024:01:05 08:00:00"}, "order"),
        ({"taken": "2026:10:01 09:30:00", "digitized": "2019:10:01 09:30:00"}, "digitized"),
        ({"taken": "2026:10:01 09:30:00", "digitized": "0000:00:00 00:00:00"}, "not_applicable"),
    ],
)
def test_dates_that_contradict_one_another_are_found(decoder: Decoder, dates: dict[str, str], value: str) -> None:
    assert sign_of(decoder, jpeg(None, exif=exif_of(**dates)), OriginSignKind.EXIF_DATES).value == value


@pytest.mark.parametrize(
    ("dates", "state"),
    [
        ({"digitized": "2002:12:08 12:00:00"}, "unmeasured"),  # no other date is left to compare
        ({"digitized": "2002:12:08 12:00:00", "modified": "2026:10:01 09:30:00"}, "not_found"),
        ({"digitized": "1970:01:01 00:03:27", "modified": "1970:01:01 00:03:27"}, "unmeasured"),
        ({"digitized": "1980:01:01 00:00:00", "modified": "2026:10:01 09:30:00"}, "not_found"),
        ({"digitized": "2000:01:01 00:00:00", "modified": "2026:10:01 09:30:00"}, "not_found"),
        ({"digitized": "2015:01:01 00:00:00", "modified": "2026:10:01 09:30:00"}, "not_found"),
        ({"digitized": "2027:06:01 09:30:00", "modified": "2026:10:01 09:30:00"}, "not_found"),
        ({"digitized": "2026:10:01 09:30:00", "modified": "2036:01:01 00:00:00"}, "not_found"),
        ({"digitized": "    :  :     :  :  ", "modified": "2026:10:01 09:30:00"}, "not_found"),
    ],
)
def test_dates_of_clocks_that_nobody_set_and_dates_to_come_contradict_nothing(
    decoder: Decoder, dates: dict[str, str], state: str
) -> None:
    data = jpeg(None, exif=exif_of(taken="2026:10:01 09:30:00", **dates))
    assert sign_of(decoder, data, OriginSignKind.EXIF_DATES).state == state


@pytest.mark.parametrize(
    ("taken", "phrase"),
    [
        ("2002:12:08 12:00:00", "time_taken_unset"),
        ("1970:01:01 00:03:27", "time_taken_unset"),
        ("2000:01:01 00:00:00", "time_taken_unset"),
        ("2027:10:01 09:30:00", "time_taken_future"),
        ("0000:00:00 00:00:00", "time_taken_no_date"),
        ("", "no_time_taken"),
    ],
)
def test_a_time_of_taking_that_no_clock_told_is_no_sign_and_the_reason_is_given(
    decoder: Decoder, taken: str, phrase: str
) -> None:
    exif = exif_of(taken=taken, modified="2026:10:01 09:30:00", digitized="2026:10:01 09:30:00", software="MIUI")
    sign = sign_of(decoder, jpeg(None, exif=exif), OriginSignKind.EXIF_DATES)
    assert (sign.state, sign.said) == ("unmeasured", ((phrase,),))


@pytest.mark.parametrize(
    "stamp",
    ["2026:10:274", "2026:10:01", "2026:09:30", "2026:09:27", "2026:10:999", "0000:00:00", "2007:02:15", "1980:01:06"],
)
def test_the_date_of_a_receiver_is_no_sign_where_it_is_odd_or_a_few_days_old(decoder: Decoder, stamp: str) -> None:
    exif = exif_of(taken="2026:10:01 09:30:00", digitized="2026:10:01 09:30:00")
    exif.get_ifd(0x8825)[29] = stamp
    assert sign_of(decoder, jpeg(None, exif=exif), OriginSignKind.EXIF_DATES).state == "not_found"


def test_satellites_later_than_the_camera_are_found(decoder: Decoder) -> None:
    exif = exif_of(taken="2026:10:01 09:30:00", digitized="2026:10:01 09:30:00")
    exif.get_ifd(0x8825)[29] = "2026:10:05"
    assert sign_of(decoder, jpeg(None, exif=exif), OriginSignKind.EXIF_DATES).value == "gps"


def test_satellites_that_saw_another_week_are_found_and_their_position_stays_behind(decoder: Decoder) -> None:
    exif = exif_of(taken="2026:10:01 09:30:00")
    position = exif.get_ifd(0x8825)
    position[1], position[2], position[29] = "N", (31.0, 13.0, 49.0), "2026:09:11"
    picture = decoder.decode(jpeg(None, exif=exif), marks=True)
    assert sign_of(decoder, jpeg(None, exif=exif), OriginSignKind.EXIF_DATES).value == "gps"
    assert "31" not in json.dumps(dict(picture.origin.marks))
    assert "2026:09" not in json.dumps(dict(picture.origin.marks))


def pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(photo(640, 480))


def other_pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    ramp = np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None]
    return np.broadcast_to(ramp, (480, 640, 3)).copy()


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_a_thumbnail_of_the_same_picture_is_no_sign_however_it_lies(decoder: Decoder, turned: int) -> None:
    data = with_thumbnail(pixels(), of=np.ascontiguousarray(np.rot90(pixels(), turned)))
    assert sign_of(decoder, data, OriginSignKind.EXIF_THUMBNAIL).state == "not_found"


def test_a_thumbnail_in_another_shape_with_bars_is_no_sign(decoder: Decoder) -> None:
    wide = pixels()[60:420]
    barred = np.zeros_like(pixels())
    barred[60:420] = wide
    assert sign_of(decoder, with_thumbnail(wide, of=barred), OriginSignKind.EXIF_THUMBNAIL).state == "not_found"


@pytest.mark.parametrize(("above", "below", "left", "right"), [(8, 8, 0, 0), (6, 9, 0, 0), (8, 6, 4, 4), (0, 0, 12, 0)])
def test_black_bars_of_any_width_round_the_thumbnail_are_no_sign(
    decoder: Decoder, above: int, below: int, left: int, right: int
) -> None:
    wide = pixels()[60:420]
    small = np.asarray(Image.fromarray(wide).resize((160 - left - right, 120 - above - below)))
    barred = np.zeros((120, 160, 3), np.uint8)
    barred[above : 120 - below, left : 160 - right] = small
    sign = sign_of(decoder, with_thumbnail(wide, of=barred), OriginSignKind.EXIF_THUMBNAIL)
    assert sign.state == "not_found", sign.score


def test_another_picture_between_black_bars_is_found(decoder: Decoder) -> None:
    barred = np.zeros((120, 160, 3), np.uint8)
    barred[7:113] = np.asarray(Image.fromarray(other_pixels()).resize((160, 106)))
    sign = sign_of(decoder, with_thumbnail(pixels()[60:420], of=barred), OriginSignKind.EXIF_THUMBNAIL)
    assert (sign.state, sign.value) == ("found", "another_picture")


def test_a_filter_over_the_whole_picture_leaves_the_thumbnail_alike(decoder: Decoder) -> None:
    changed = recoloured(pixels(), np.random.default_rng(1), ())
    assert sign_of(decoder, with_thumbnail(changed, of=pixels()), OriginSignKind.EXIF_THUMBNAIL).state == "not_found"


def test_a_thumbnail_of_another_picture_is_found(decoder: Decoder) -> None:
    sign = sign_of(decoder, with_thumbnail(pixels(), of=other_pixels()), OriginSignKind.EXIF_THUMBNAIL)
    assert (sign.state, sign.value) == ("found", "another_picture")


def test_no_pixel_of_the_thumbnail_leaves_the_decoding_process(decoder: Decoder) -> None:
    other = np.full((120, 160, 3), (3, 201, 77), np.uint8)
    other[:, :80] = (250, 2, 90)
    picture = decoder.decode(with_thumbnail(pixels(), of=other), marks=True)
    assert set(picture.origin.marks) == {"thumbnail"}
    assert len(picture.origin.marks["thumbnail"]) < 20
    assert not (picture.pixels == np.array([3, 201, 77])).all(axis=2).any()


@pytest.mark.parametrize("broken", ["cut", "huge", "not a picture"])
def test_a_broken_thumbnail_is_unmeasured_and_the_photo_still_decodes(decoder: Decoder, broken: str) -> None:
    data = with_thumbnail(pixels(), of=other_pixels())
    start = data.index(b"\xff\xd8", 4)
    if broken == "cut":
        data = data[: start + 20] + bytes(200) + data[start + 220 :]
    elif broken == "not a picture":
        data = data[:start] + b"XX" + data[start + 2 :]
    else:
        frame = data.index(b"\xff\xc0", start)
        data = data[: frame + 5] + b"\xff\xf0\xff\xf0" + data[frame + 9 :]
    assert sign_of(decoder, data, OriginSignKind.EXIF_THUMBNAIL).state in ("unmeasured", "found")
    assert decoder.decode(data, marks=True).pixels.shape == (480, 640, 3)


PROMPT = "a rotten apple\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("parameters", PROMPT),
        ("prompt", '{"3": {"class_type": "KSampler", "inputs": {"text": "Wang Xiaoming, Nanjing Road 5"}}}'),
        ("workflow", '{"last_node_id": 9, "nodes": []}'),
        ("invokeai_metadata", "{}"),
        ("Comment", '{"prompt": "x", "sampler": "k_euler", "uncond_scale": 0}'),
        ("Software", "NovelAI"),
        ("AIGC", '{"Label":"1","ContentProducer":"x"}'),
    ],
)
def test_texts_that_generators_write_into_a_png_are_found_and_stay_behind(
    decoder: Decoder, key: str, text: str, packed: bool
) -> None:
    data = text_png(key, text, packed=packed)
    sign = sign_of(decoder, data, OriginSignKind.GENERATOR)
    assert (sign.state, sign.value) == ("found", "generated")
    left = json.dumps(dict(decoder.decode(data, marks=True).origin.marks), ensure_ascii=False)
    assert "Wang" not in left
    assert "apple" not in left


@pytest.mark.parametrize("text", ["parameters of my camera", "Steps: go up, then left", "prompt delivery"])
def test_innocent_words_are_no_generator(decoder: Decoder, text: str) -> None:
    for key in ("parameters", "prompt", "Comment", "Description"):
        assert sign_of(decoder, text_png(key, text), OriginSignKind.GENERATOR).state == "not_found"


@pytest.mark.parametrize(
    ("packet", "value"),
    [
        (b'<a Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/>',
         "generated"),
        (b"<D>http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia</D>", "retouched"),
        (b"<D>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</D>", ""),
        (b'<a xmp:CreatorTool="Adobe Firefly"/>', "generated"),
        (b'<a TC260:AIGC="{&quot;Label&quot;:&quot;1&quot;,&quot;ContentProducer&quot;:&quot;x&quot;}"/>', "generated"),
        (b"<a>AIGC Label</a>", ""),
    ],
)  # fmt: skip
def test_what_xmp_says_of_the_making_is_read(decoder: Decoder, packet: bytes, value: str) -> None:
    data = jpeg_with(jpeg(), jpeg_segment(0xE1, XMP + packet))
    assert sign_of(decoder, data, OriginSignKind.GENERATOR).value == value


def test_a_prompt_in_an_exif_comment_is_found(decoder: Decoder) -> None:
    data = jpeg(None, exif=exif_of(comment="UNICODE\0" + PROMPT))
    assert sign_of(decoder, data, OriginSignKind.GENERATOR).state == "found"


HOSTILE = {
    "text bomb": png_text_bomb(),
    "packed bomb in a prompt": png(None)[:33]
    + png_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(60_000_000)))
    + png(None)[33:],
    "a thousand texts": png(None)[:33] + png_chunk(b"tEXt", b"prompt\0" + b"x" * 200) * 900 + png(None)[33:],
    "xmp of angle brackets": jpeg_with(jpeg(), *[jpeg_segment(0xE1, XMP + b"<" * 60_000)] * 40),
    "xmp of AIGC": jpeg_with(jpeg(), *[jpeg_segment(0xE1, XMP + b"AIGC" * 15_000)] * 40),
    "xmp of creator tools": jpeg_with(jpeg(), *[jpeg_segment(0xE1, XMP + b"CreatorTool " * 5_000)] * 40),
    "comments of steps": jpeg_with(jpeg(), *[jpeg_segment(0xFE, b"Steps: 1," * 7_000)] * 40),
    "iptc cut short": jpeg_with(jpeg(), jpeg_segment(0xED, b"Photoshop 3.0\0\x1c\x02\x41\xff\xff")),
    "exif that overflows": jpeg_exif_overflow(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_costs_little_and_refuses_no_good_photo(decoder: Decoder, name: str) -> None:
    from vision.errors import ImageRefused

    try:
        plain = decoder.decode(HOSTILE[name])
    except ImageRefused as refused:  # what the picture's own decoder refuses, marks may not make acceptable
        with pytest.raises(ImageRefused, match=refused.code):
            decoder.decode(HOSTILE[name], marks=True)
        return
    picture = decoder.decode(HOSTILE[name], marks=True)
    assert np.array_equal(picture.pixels, plain.pixels)
    assert all(len(text) <= 160 for text in picture.origin.marks.values())
    for sign in file_signs(picture.exif, picture.origin, None, now=NOW):
        assert sign.state in ("found", "not_found", "unmeasured")
        assert sign.kind is OriginSignKind.EXIF_SOFTWARE or sign.state != "found"
