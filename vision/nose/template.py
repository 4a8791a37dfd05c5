"""The stored template of a nose photo: bead pattern and keypoints, in a fixed byte layout. A damaged or foreign
template can be used neither to enrol nor to verify."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from vision.errors import TemplateUnreadable
from vision.nose.align import FRAME_PX
from vision.nose.keypoints import KEYPOINTS_MAX, NoseKeypoints
from vision.nose.pattern import PATTERN_PX, Pattern

FORMAT = 1
_MAGIC = b"MPNO"
# magic, format, keypoints, model label, width px, sharpness, glare ratio; all little-endian
_HEADER = struct.Struct("<4sHH40sfff")
_MASK_BYTES = PATTERN_PX * PATTERN_PX // 8


@dataclass(frozen=True, slots=True)
class NoseTemplate:
    """One photo's nose. model: label of the card that made it, at most 40 ASCII characters. About 60 KB as bytes."""

    pattern: Pattern
    keypoints: NoseKeypoints
    model: str
    width_px: float
    sharpness: float
    glare_ratio: float

    def to_bytes(self) -> bytes:
        """Return header, pattern (int8), mask (bits), points (uint16, 1/64 px), descriptors (uint8), CRC-32 of all
        that."""
        label = self.model.encode("ascii")
        if len(label) > 40:
            raise ValueError(f"model label {self.model!r} is longer than 40 characters")
        count = len(self.keypoints.points)
        parts = [
            _HEADER.pack(_MAGIC, FORMAT, count, label, self.width_px, self.sharpness, self.glare_ratio),
            self.pattern.values.astype("<i1").tobytes(),
            np.packbits(self.pattern.inside).tobytes(),
            np.round(self.keypoints.points * 64).astype("<u2").tobytes(),
            self.keypoints.descriptors.tobytes(),
        ]
        body = b"".join(parts)
        return body + struct.pack("<I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> NoseTemplate:
        """Read what `to_bytes` wrote. Raises TemplateUnreadable for anything else."""
        if len(data) < _HEADER.size + 4 or data[:4] != _MAGIC:
            raise TemplateUnreadable("not a nose template")
        _, version, count, label, width_px, sharpness, glare_ratio = _HEADER.unpack_from(data)
        if version != FORMAT:
            raise TemplateUnreadable(f"nose template of format {version}, this program reads format {FORMAT}")
        area = PATTERN_PX * PATTERN_PX
        sizes = (area, _MASK_BYTES, count * 4, count * 128)
        if count > KEYPOINTS_MAX or len(data) != _HEADER.size + sum(sizes) + 4:
            raise TemplateUnreadable(f"nose template of {len(data)} bytes does not hold {count} keypoints")
        if struct.unpack("<I", data[-4:])[0] != zlib.crc32(data[:-4]):
            raise TemplateUnreadable("nose template is damaged: its checksum does not fit")
        ends = np.cumsum((_HEADER.size, *sizes))
        values, mask, points, descriptors = (data[ends[i] : ends[i + 1]] for i in range(4))
        try:
            model = label.rstrip(b"\0").decode("ascii")
        except UnicodeDecodeError as error:
            raise TemplateUnreadable("nose template names no model") from error
        places = np.asarray(np.frombuffer(points, "<u2").reshape(count, 2) / 64, np.float32)
        if places.size and places.max() > FRAME_PX:
            raise TemplateUnreadable("nose template has keypoints outside its frame")
        return cls(
            pattern=Pattern(
                np.frombuffer(values, "<i1").reshape(PATTERN_PX, PATTERN_PX),
                np.unpackbits(np.frombuffer(mask, np.uint8)).astype(bool).reshape(PATTERN_PX, PATTERN_PX),
            ),
            keypoints=NoseKeypoints(places, np.frombuffer(descriptors, np.uint8).reshape(count, 128)),
            model=model,
            width_px=width_px,
            sharpness=sharpness,
            glare_ratio=glare_ratio,
        )
