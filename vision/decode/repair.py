"""Decodes what is whole although a rule of its format is broken: a JPEG with all its data and no end marker, a PNG with
a wrong checksum over metadata. Each is noted. Runs inside the decoding child only.

Nothing that belongs to the picture is repaired: missing or damaged pixels stay a reason to refuse the file.
"""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from typing import Final

from PIL import Image

from vision.decode.colour import BROKEN

#: Notes on a decoded picture.
NO_END_MARKER: Final = "no_end_marker"  # the JPEG has all its data, and no end marker
BAD_METADATA_CHECKSUM: Final = "bad_metadata_checksum"  # of a chunk that is not part of the picture: left out

_END: Final = b"\xff\xd9"
_TAIL_BYTES: Final = 65_536
_TAILS: Final = 2
# A progressive picture is compared at full size, where its last bits show; a larger one is refused as before.
PROGRESSIVE_PIXELS_MAX: Final = 50_000_000
_CHUNKS_MAX: Final = 100_000
_CHANGES_PIXELS: Final = frozenset({b"tRNS"})  # an ancillary chunk all the same


def with_end(data: bytes) -> bytes:
    """Return a JPEG that breaks off, closed by an end marker, without what may have been filled in behind its data."""
    kept = data.rstrip(b"\0")
    if kept.endswith(b"\xff") and len(kept) < len(data):
        kept += b"\0"  # a stuffed byte of the data
    return kept.rstrip(b"\xff") + _END


def holds_all_data(closed: bytes, scale: int) -> bool:
    """True if a closed JPEG's own data determine every pixel: decoded with other bytes behind them, it stays the same.

    closed: from `with_end`. scale: 1, 2, 4 or 8, by which the picture is shrunk while it is decoded.
    """
    own = closed[: -len(_END)]
    first = _pixels(own + _END, scale)
    # Random bytes, of which none is a marker. Two tails: one alone might continue the picture as libjpeg would fill it.
    for seed in range(_TAILS):
        tail = random.Random(seed).randbytes(_TAIL_BYTES).replace(b"\xff", b"\xfe")
        if first is None or _pixels(own + tail + _END, scale) != first:
            return False
    return True


def _pixels(data: bytes, scale: int) -> bytes | None:
    try:
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
        if scale > 1:
            picture.draft(None, (picture.width // scale, picture.height // scale))
        picture.load()
    except BROKEN:
        return None
    # The rows that may be missing are the last ones; the others are the same by construction, and need no copy.
    return picture.tobytes()


def without_bad_metadata(data: bytes) -> bytes:
    """Return a PNG without its metadata chunks whose checksum is wrong; `data` itself if there is none. Chunks that the
    picture depends on are kept, so that the decoder refuses them."""
    return _rebuilt(data, lambda kind: kind[0] & 0x20 != 0 and kind not in _CHANGES_PIXELS)


def _rebuilt(data: bytes, may_go: Callable[[bytes], bool]) -> bytes:
    kept, position, begun = [], 8, 0
    for _ in range(_CHUNKS_MAX):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if len(kind) < 4 or end > len(data):
            break
        if may_go(kind) and zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            kept.append(data[begun:position])
            begun = end
        position = end
        if kind == b"IEND":
            break
    return b"".join([*kept, data[begun:]]) if kept else data
