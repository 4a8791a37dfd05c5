"""The font with Chinese, Japanese and Korean characters that comes inside a Python package, read into memory.

Papers are drawn with it where they bring no font of their own, so that a page looks alike on every machine, whatever
fonts that has, and a decoding child needs no file. Noto Sans CJK, SIL Open Font License 1.1.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGE: Final = "cvttf_NotoSansCJK_Regular"
FACE: Final = "Noto Sans CJK"


@cache
def cjk_font() -> bytes | None:
    """Return the font file, 16 MB that all users of a process share; None if its package is not installed."""
    spec = find_spec(PACKAGE)
    files = sorted(Path(spec.origin).parent.glob("*.otf")) if spec is not None and spec.origin is not None else []
    return files[0].read_bytes() if files else None


def table_of(font: bytes, tag: int) -> bytes:
    """Return one table of a font file (OpenType 1.9, "otff"); b"" if it has none of that tag, as four bytes read as a
    number."""
    (count,) = struct.unpack_from(">H", font, 4)
    for number in range(count):
        name, _checksum, offset, length = struct.unpack_from(">IIII", font, 12 + 16 * number)
        if name == tag:
            return font[offset : offset + length]
    return b""
