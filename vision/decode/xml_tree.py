"""Reads XML of strangers into a small tree. Runs inside the decoding child only.

Expat does the reading; document types are refused unread, so that there are no entities to expand and nothing outside
the file to fetch. Size, depth and number of nodes are limited.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

BYTES_MAX: Final = 16 * 1024 * 1024  # a month's bill with 1,000 lines has less than 1 MB
NODES_MAX: Final = 200_000
DEPTH_MAX: Final = 64
_ATTRIBUTES_MAX: Final = 64  # of one element

# Expat knows UTF-8, UTF-16, ISO 8859-1 and ASCII. The codec is looked up before the fork: a child can open no module.
_GB18030: Final = codecs.lookup("gb18030")
_CHINESE_ENCODING: Final = re.compile(
    rb'^(<\?xml[^>]{0,60}encoding\s*=\s*["\'])(?:gb2312|gbk|gb18030)(["\'])', re.IGNORECASE
)


class XmlRefused(ValueError):
    """The XML is not read; the message says why."""


@dataclass(slots=True)
class XmlNode:
    """An element. name: without its name space. text: all characters directly in it, in order."""

    name: str
    attributes: dict[str, str]
    children: list[XmlNode] = field(default_factory=list)
    text: str = ""

    def child(self, name: str) -> XmlNode | None:
        """Return the first child of that name."""
        return next((node for node in self.children if node.name == name), None)

    def all(self, name: str) -> list[XmlNode]:
        """Return the children of that name."""
        return [node for node in self.children if node.name == name]

    def walk(self) -> Iterator[XmlNode]:
        """Yield this element and all below it, in document order."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


def read_xml(data: bytes) -> XmlNode:
    """Return the root element. Raises XmlRefused."""
    if len(data) > BYTES_MAX:
        raise XmlRefused(f"it has {len(data)} bytes of XML; at most {BYTES_MAX} are read")
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.characters
    try:
        parser.Parse(_as_utf_8(data), True)
    except expat.ExpatError as error:
        raise XmlRefused(f"the XML breaks off or is wrong in line {error.lineno}") from None
    if reading.root is None:
        raise XmlRefused("the XML has no element")
    return reading.root


def _as_utf_8(data: bytes) -> bytes:
    """Return Chinese encodings as UTF-8, and anything else as it is."""
    match = _CHINESE_ENCODING.match(data)
    if match is None:
        return data
    try:
        text = _GB18030.decode(data[match.end() :])[0]
    except UnicodeDecodeError:
        raise XmlRefused("the XML is not in the encoding that it states") from None
    return match[1] + b"utf-8" + match[2] + text.encode()


class _Reading:
    def __init__(self) -> None:
        self.root: XmlNode | None = None
        self._open: list[XmlNode] = []
        self._texts: list[list[str]] = []
        self._nodes = 0

    def doctype(self, *_about: object) -> None:
        raise XmlRefused("the XML has a document type, which an invoice has not")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX or len(self._open) >= DEPTH_MAX or len(attributes) > _ATTRIBUTES_MAX:
            raise XmlRefused("the XML has more elements than any paper")
        node = XmlNode(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def characters(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)


def _local(name: str) -> str:
    return name.rpartition(":")[2]
