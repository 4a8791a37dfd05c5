"""Gives PDFium a font for texts whose own font is not embedded, from memory. Runs in the process that forks and in its
decoding children.

E-invoices set their Chinese in fonts that they take for granted (KaiTi, SimSun, STSong). PDFium by itself looks for
fonts in the system's folders, for which a child would need to list folders and open files. Here the font is read
before the fork and handed over in memory: the child opens nothing (docs/decisions/0038). Callbacks: fpdf_sysfontinfo.h.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any, Final

import pypdfium2.raw as pdfium

from vision.decode.fonts import FACE, cjk_font, table_of

_HANDLE: Final = 1
_GB2312: Final = 134
# Charsets (wingdi.h) whose characters the font has: Japanese, Korean twice, Chinese twice, Greek, Cyrillic.
_COVERED: Final = frozenset({128, 129, 130, _GB2312, 136, 161, 204})
# Charsets that PDFium draws with fonts of its own: Western, any, and symbols.
_BUILT_IN: Final = frozenset({0, 1, 2})
# Names of Chinese fonts, which stand beside Western charsets, too.
_CJK_NAME: Final = re.compile(
    rb"song|simsun|kai|hei|fang|ming|hiragino|gothic|mincho|batang|gulim|noto.{0,6}cjk|[\x80-\xff]", re.IGNORECASE
)
_FIELDS: Final[dict[str, Any]] = dict(pdfium.FPDF_SYSFONTINFO._fields_)


class FontsInMemory:
    """PDFium's view of one font. lacking: names of the fonts that a document asked for in vain."""

    def __init__(self, font: bytes | None) -> None:
        self._font = font
        self.lacking: list[str] = []
        self._callbacks = {
            "Release": lambda _info: None,
            "MapFont": self._map,
            "GetFont": lambda _info, _face: None,
            "GetFontData": self._data,
            "GetFaceName": self._name,
            "GetFontCharset": lambda _info, _font: _GB2312,
            "DeleteFont": lambda _info, _font: None,
        }
        self._raw = pdfium.FPDF_SYSFONTINFO()
        self._raw.version = 2  # asks for each font that it needs, and never for a list of all
        for name, function in self._callbacks.items():
            setattr(self._raw, name, _FIELDS[name](function))

    def install(self) -> None:
        """Let PDFium ask here for fonts, until its process ends. This object must live as long."""
        pdfium.FPDF_SetSystemFontInfo(self._raw)

    def _map(
        self, _info: Any, _weight: int, _italic: int, charset: int, _pitch: int, face: Any, _exact: Any
    ) -> int | None:
        name = ctypes.cast(face, ctypes.c_char_p).value or b""
        if charset not in _COVERED and not _CJK_NAME.search(name):
            if charset not in _BUILT_IN:
                self._lacks(name)
            return None
        if self._font is None:
            self._lacks(name)
            return None
        return _HANDLE

    def _lacks(self, name: bytes) -> None:
        if len(self.lacking) < 3:
            self.lacking.append(name.decode("utf-8", "replace")[:40])

    def _data(self, _info: Any, _handle: Any, table: int, target: Any, room: int) -> int:
        """Return the size of a table, or of the whole file for the number 0, and copy it if there is room for it."""
        if self._font is None:
            return 0
        data = table_of(self._font, table) if table else self._font
        if target and room >= len(data):
            ctypes.memmove(target, data, len(data))
        return len(data)

    def _name(self, _info: Any, _handle: Any, target: Any, room: int) -> int:
        data = FACE.encode() + b"\0"
        if target and room >= len(data):
            ctypes.memmove(target, data, len(data))
        return len(data)


def install() -> FontsInMemory:
    """Give PDFium the font of the package, if that is installed."""
    fonts = FontsInMemory(cjk_font())
    fonts.install()
    return fonts
