"""All signs of one photo: those in its file's metadata and those in its pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from vision.copies.fingerprint import Fingerprint
from vision.decode.credentials import Credentials
from vision.decode.image import Decoder, Picture
from vision.errors import ImageRefused
from vision.measurement import Unmeasured
from vision.origin.file_signs import FileSignLimits, file_signs
from vision.origin.pixel_signs import PixelSignLimits, pixel_signs
from vision.origin.sign import Sign


@dataclass(frozen=True, slots=True)
class SignLimits:
    file: FileSignLimits = field(default_factory=FileSignLimits)
    pixels: PixelSignLimits = field(default_factory=PixelSignLimits)


def look_for_signs(
    decoder: Decoder,
    data: bytes,
    picture: Picture,
    fingerprint: Fingerprint,
    *,
    anchors: bytes = b"",
    limits: SignLimits = SignLimits(),
    now: datetime | None = None,
) -> tuple[Sign, ...]:
    """Return one sign of every kind that is looked for, in the order of the kinds.

    data: the file. picture: decoded from it with `marks=True`. anchors: as `Decoder.credentials` takes them. now: dates
    in the file that are later contradict nothing; the clock's time if None. Raises DecoderUnavailable; a check that
    fails on the file gives an unmeasured sign.
    """
    signs = (
        *file_signs(
            picture.exif,
            picture.origin,
            read_credentials(decoder, data, picture, anchors),
            limits.file,
            now=now or datetime.now(UTC),
        ),
        *pixel_signs(picture, fingerprint.keypoints, limits.pixels),
    )
    return tuple(sorted(signs, key=lambda sign: sign.kind))


def read_credentials(
    decoder: Decoder, data: bytes, picture: Picture, anchors: bytes
) -> Credentials | Unmeasured | None:
    """Return the embedded credentials, None if the file has none, Unmeasured if the check failed. Raises
    DecoderUnavailable."""
    if picture.origin.marks.get("c2pa") != "embedded":
        return None
    try:
        return decoder.credentials(data, anchors)
    except ImageRefused as refused:
        return Unmeasured(f"{refused.code}: {refused.detail}")
