"""The stored template of a nose photo: bead pattern and keypoints, in a fixed byte layout of at most 32 kB. A damaged
or foreign template can be used neither to enrol nor to verify."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision.errors import TemplateUnreadable
from vision.nose.align import FRAME_PX
from vision.nose.keypoints import LEVEL_MAX, NoseKeypoints, levels
from vision.nose.pattern import PATTERN_PX, Pattern

FORMAT = 2
BYTES_MAX = 31_900  # what `vision.nose.sealing` adds stays below 32,000, too
_MAGIC = b"MPNO"
# magic, format, keypoints, model label, width px, sharpness, glare ratio; all little-endian
_HEADER = struct.Struct("<4sHH40sfff")
_MASK_LENGTH = struct.Struct("<H")
_CRC = struct.Struct("<I")
_AREA = PATTERN_PX * PATTERN_PX
_MASK_BYTES = _AREA // 8
_KEYPOINT_BYTES = 4 + 64
_KEYPOINTS_READ_MAX = 300  # format 1 kept so many


@dataclass(frozen=True, slots=True)
class NoseTemplate:
    """One photo's nose. model: label of the card that made it, at most 40 ASCII characters. About 26 KB as bytes.

    species, species_confidence (0..1): of the animal, as the finder tells it; "" and 0 in a stored template, which does
    not keep them.
    """

    pattern: Pattern
    keypoints: NoseKeypoints
    model: str
    width_px: float
    sharpness: float
    glare_ratio: float
    species: str = ""
    species_confidence: float = 0.0

    def to_bytes(self) -> bytes:
        """Return header, mask (bits, deflated), pattern inside it (int8), points (uint16, 1/64 px), descriptors
        (4 bits an entry), CRC-32 of all that.

        A nose that fills more than two thirds of its frame keeps its strongest keypoints only, so that BYTES_MAX holds.
        """
        label = self.model.encode("ascii")
        if len(label) > 40:
            raise ValueError(f"model label {self.model!r} is longer than 40 characters")
        mask = zlib.compress(np.packbits(self.pattern.inside).tobytes(), 9)
        values = self.pattern.values[self.pattern.inside].astype("<i1").tobytes()
        room = BYTES_MAX - _HEADER.size - _MASK_LENGTH.size - len(mask) - len(values) - _CRC.size
        count = min(len(self.keypoints.points), room // _KEYPOINT_BYTES)
        pairs = self.keypoints.descriptors[:count].reshape(count, 64, 2)
        parts = [
            _HEADER.pack(_MAGIC, FORMAT, count, label, self.width_px, self.sharpness, self.glare_ratio),
            _MASK_LENGTH.pack(len(mask)),
            mask,
            values,
            np.round(self.keypoints.points[:count] * 64).astype("<u2").tobytes(),
            (pairs[..., 0] << 4 | pairs[..., 1]).astype(np.uint8).tobytes(),
        ]
        body = b"".join(parts)
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> NoseTemplate:
        """Read what `to_bytes` writes, or wrote in format 1 (about 60 KB). Raises TemplateUnreadable for anything
        else."""
        if len(data) < _HEADER.size + _CRC.size or data[:4] != _MAGIC:
            raise TemplateUnreadable("not a nose template")
        _, version, count, label, width_px, sharpness, glare_ratio = _HEADER.unpack_from(data)
        if version not in (1, FORMAT):
            raise TemplateUnreadable(
                f"nose template of format {version}, this program reads formats 1 and {FORMAT}; enrol the pet again"
            )
        if _CRC.unpack(data[-_CRC.size :])[0] != zlib.crc32(data[: -_CRC.size]):
            raise TemplateUnreadable("nose template is damaged: its checksum does not fit")
        if count > _KEYPOINTS_READ_MAX:
            raise TemplateUnreadable(f"nose template names {count} keypoints")
        body = data[_HEADER.size : -_CRC.size]
        pattern, rest = _pattern_of_format_1(body) if version == 1 else _pattern(body)
        points, descriptors = _keypoints(rest, count, packed=version != 1)
        try:
            model = label.rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError as error:
            raise TemplateUnreadable("nose template names no model") from error
        return cls(pattern, NoseKeypoints(points, descriptors), model, width_px, sharpness, glare_ratio)


def _pattern(body: bytes) -> tuple[Pattern, bytes]:
    """Return the pattern at the beginning of `body`, and what follows it."""
    if len(body) < _MASK_LENGTH.size:
        raise TemplateUnreadable("nose template ends before its mask")
    end = _MASK_LENGTH.size + _MASK_LENGTH.unpack_from(body)[0]
    unpacking = zlib.decompressobj()
    try:
        bits = unpacking.decompress(body[_MASK_LENGTH.size : end], _MASK_BYTES + 1)
    except zlib.error as error:
        raise TemplateUnreadable("nose template has no readable mask") from error
    if len(bits) != _MASK_BYTES:
        raise TemplateUnreadable(f"nose template has a mask of {len(bits)} bytes, not {_MASK_BYTES}")
    inside = _mask(bits)
    area = int(inside.sum())
    if len(body) < end + area:
        raise TemplateUnreadable(f"nose template of {len(body)} bytes does not hold a pattern of {area}")
    values = np.zeros((PATTERN_PX, PATTERN_PX), np.int8)
    values[inside] = np.frombuffer(body[end : end + area], "<i1")
    return Pattern(values, inside), body[end + area :]


def _pattern_of_format_1(body: bytes) -> tuple[Pattern, bytes]:
    if len(body) < _AREA + _MASK_BYTES:
        raise TemplateUnreadable(f"nose template of {len(body)} bytes does not hold a pattern")
    inside = _mask(body[_AREA : _AREA + _MASK_BYTES])
    values = np.frombuffer(body[:_AREA], "<i1").reshape(PATTERN_PX, PATTERN_PX) * inside
    return Pattern(np.asarray(values, np.int8), inside), body[_AREA + _MASK_BYTES :]


def _mask(bits: bytes) -> npt.NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(bool).reshape(PATTERN_PX, PATTERN_PX)


def _keypoints(data: bytes, count: int, *, packed: bool) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return points, float32 (n, 2), and descriptors, uint8 (n, 128). packed: two levels a byte; else a byte each, of
    RootSIFT times 512."""
    size = 64 if packed else 128
    if len(data) != count * (4 + size):
        raise TemplateUnreadable(f"nose template does not hold {count} keypoints in {len(data)} bytes")
    points = np.asarray(np.frombuffer(data[: count * 4], "<u2").reshape(count, 2) / 64, np.float32)
    if points.size and points.max() > FRAME_PX:
        raise TemplateUnreadable("nose template has keypoints outside its frame")
    raw = np.frombuffer(data[count * 4 :], np.uint8).reshape(count, size)
    if not packed:
        return points, levels(raw.astype(np.float32) / 512)
    return points, np.stack([raw >> 4, raw & LEVEL_MAX], axis=-1).reshape(count, 128)
