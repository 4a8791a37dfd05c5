"""What a picture file says and shows about its own origin: EXIF facts, and signs, each a separate fact.

Imports no decoder and no OpenCV: the process that hands files over reads these types. Looking for signs is in
`vision.provenance.looking`.
"""

from vision.provenance.exif import CAMERA_ZONE_ASSUMED, TEXT_CHARACTERS_MAX, ExifReading, exif_reading, no_exif
from vision.provenance.sign import Sign, SignKind, SignState

__all__ = [
    "CAMERA_ZONE_ASSUMED",
    "TEXT_CHARACTERS_MAX",
    "ExifReading",
    "Sign",
    "SignKind",
    "SignState",
    "exif_reading",
    "no_exif",
]
