"""Reads the item structure of a HEIF file: which items it holds, where their bytes lie, what is said about them.

Covers HEIC and AVIF (ISO/IEC 14496-12, boxes; ISO/IEC 23008-12, items and properties). Nothing is decoded. Every count
is limited, and every offset is checked against the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

BOXES_MAX: Final = 20_000  # on one level; a 200-megapixel picture in tiles of 512 px has some 800 items
ITEMS_MAX: Final = 20_000
EXTENTS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class FileBox:
    """A box. kind: four characters. start: offset of its header. body, end: offsets of its content and behind it."""

    kind: str
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the file. kind: four characters ("hvc1", "grid", "Exif", "mime", ...). content_type: of a mime item.
    extents: (offset in the file, length) of its bytes, in order."""

    number: int
    kind: str
    content_type: str = ""
    extents: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class HeifItems:
    """The items of a file.

    primary: number of the item that the file is about. properties: (kind, offset, end) of each property of an item, in
    order. references: kind and origin of a reference to the items that it names.
    """

    primary: int
    items: dict[int, Item]
    properties: dict[int, list[tuple[str, int, int]]] = field(default_factory=dict)
    references: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def tiles(self) -> list[int]:
        """Return the numbers of the coded pictures that the primary picture is made of; itself if it is coded."""
        visited: set[int] = set()
        queue, coded = [self.primary], []
        while queue:
            number = queue.pop(0)
            if number in visited or number not in self.items:
                continue
            visited.add(number)
            parts = self.references.get(("dimg", number), [])
            if self.items[number].kind in ("grid", "iden", "iovl") and parts:
                queue = parts + queue
            else:
                coded.append(number)
        return coded

    def codec(self) -> str:
        """Return the kind of item in which the primary picture's pixels are coded ("hvc1", "av01", ...); "" if none."""
        kinds = {self.items[number].kind for number in self.tiles()}
        return kinds.pop() if len(kinds) == 1 else ""

    def property_of(self, number: int, kind: str) -> list[tuple[int, int]]:
        """Return (offset, end) of every property of that kind of an item."""
        return [(start, end) for name, start, end in self.properties.get(number, []) if name == kind]


def children(data: bytes, start: int, end: int) -> Iterator[FileBox]:
    """Yield the boxes between two offsets. A box that reaches beyond `end` is yielded with its own end, and is the
    last. Raises ValueError for a box that cannot be one."""
    position = start
    for _ in range(BOXES_MAX):
        if position + 8 > end:
            return
        size, header = int.from_bytes(data[position : position + 4], "big"), 8
        kind = data[position + 4 : position + 8].decode("latin-1")
        if size == 1:
            size, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:
            size = end - position
        if size < header:
            raise ValueError(f"the box {kind!r} is shorter than its header")
        yield FileBox(kind, position, position + header, position + size)
        position += size
    raise ValueError("too many boxes")


def brands(head: bytes) -> tuple[str, ...]:
    """Return the major brand and the compatible brands of a file that begins with an ftyp box, as far as `head`
    reaches; () for any other file."""
    if head[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return tuple(head[at : at + 4].decode("latin-1") for at in (8, *range(16, end - 3, 4)))


def read_items(data: bytes) -> HeifItems | None:
    """Return the items of a file, or None if `data` ends before all of them are described. Raises ValueError for a
    structure that cannot be followed."""
    for box in children(data, 0, len(data)):
        if box.kind == "meta":
            return _read_meta(data, box) if box.end <= len(data) else None
    return None


def missing_bytes(data: bytes, items: HeifItems) -> bool:
    """True if the bytes of the primary picture are not all there."""
    parts = [items.items[number] for number in items.tiles()]
    return any(not part.extents for part in parts) or any(
        start + length > len(data) for part in parts for start, length in part.extents
    )


def size_px(data: bytes, items: HeifItems) -> tuple[int, int]:
    """Return (width, height) of the primary picture as coded, before it is turned; (0, 0) if the file does not say."""
    for start, end in items.property_of(items.primary, "ispe"):
        if end - start >= 12:
            return int.from_bytes(data[start + 4 : start + 8], "big"), int.from_bytes(
                data[start + 8 : start + 12], "big"
            )
    return 0, 0


def content(data: bytes, item: Item, bytes_max: int) -> bytes:
    """Return the bytes of an item, at most `bytes_max` of them."""
    parts, left = [], bytes_max
    for start, length in item.extents:
        parts.append(data[start : start + min(length, left)])
        left -= len(parts[-1])
        if left <= 0:
            break
    return b"".join(parts)


def described_by(items: HeifItems, kind: str, content_type: str = "") -> Iterator[Item]:
    """Yield the items of that kind that describe the primary picture (reference cdsc), then those that describe
    none."""
    of_kind = [item for item in items.items.values() if item.kind == kind and item.content_type == content_type]
    named = {item.number: items.references.get(("cdsc", item.number), []) for item in of_kind}
    yield from (item for item in of_kind if items.primary in named[item.number])
    yield from (item for item in of_kind if not named[item.number])


def _read_meta(data: bytes, meta: FileBox) -> HeifItems:
    primary = 0
    kinds: dict[int, tuple[str, str]] = {}
    places: dict[int, list[tuple[int, int, int]]] = {}  # (construction method, offset, length)
    properties: dict[int, list[tuple[str, int, int]]] = {}
    references: dict[tuple[str, int], list[int]] = {}
    stored = (0, 0)
    for box in children(data, meta.body + 4, meta.end):
        if box.end > meta.end:
            raise ValueError("a box reaches beyond its parent")
        if box.kind == "pitm":
            width = 2 if data[box.body] == 0 else 4
            primary = int.from_bytes(data[box.body + 4 : box.body + 4 + width], "big")
        elif box.kind == "iinf":
            kinds = _read_kinds(data, box)
        elif box.kind == "iloc":
            places = _read_places(data, box)
        elif box.kind == "iref":
            references = _read_references(data, box)
        elif box.kind == "iprp":
            properties = _read_properties(data, box)
        elif box.kind == "idat":
            stored = (box.body, box.end)
    items = {
        number: Item(number, kind, content_type, tuple(_absolute(places.get(number, []), stored)))
        for number, (kind, content_type) in kinds.items()
    }
    if primary not in items:
        raise ValueError("the file names no primary picture")
    return HeifItems(primary, items, properties, references)


def _absolute(places: list[tuple[int, int, int]], stored: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for method, offset, length in places:
        if method == 0:
            yield offset, length
        elif method == 1:  # inside the idat box
            yield min(stored[0] + offset, stored[1]), max(0, min(length, stored[1] - stored[0] - offset))


class _Cursor:
    """Reads big-endian numbers one after the other. Raises ValueError at the end of its box."""

    def __init__(self, data: bytes, box: FileBox) -> None:
        self._data, self._at, self._end = data, box.body, box.end

    def number(self, length: int) -> int:
        if self._at + length > self._end:
            raise ValueError("a box ends within a number")
        value = int.from_bytes(self._data[self._at : self._at + length], "big")
        self._at += length
        return value

    @property
    def at(self) -> int:
        return self._at


def _read_kinds(data: bytes, box: FileBox) -> dict[int, tuple[str, str]]:
    cursor = _Cursor(data, box)
    version = cursor.number(4) >> 24
    count = cursor.number(2 if version == 0 else 4)
    if count > ITEMS_MAX:
        raise ValueError("too many items")
    kinds: dict[int, tuple[str, str]] = {}
    for entry in children(data, cursor.at, box.end):
        if entry.kind != "infe" or entry.end > box.end:
            continue
        reader = _Cursor(data, entry)
        version = reader.number(4) >> 24
        if version < 2:  # of the first drafts: no kind of item
            continue
        number = reader.number(2 if version == 2 else 4)
        reader.number(2)  # protection
        kind = reader.number(4).to_bytes(4, "big").decode("latin-1")
        _name, _, rest = data[reader.at : entry.end].partition(b"\0")
        content_type = rest.partition(b"\0")[0][:100].decode("latin-1") if kind == "mime" else ""
        kinds[number] = (kind, content_type)
    return kinds


def _read_places(data: bytes, box: FileBox) -> dict[int, list[tuple[int, int, int]]]:
    cursor = _Cursor(data, box)
    version = cursor.number(4) >> 24
    sizes = cursor.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    count = cursor.number(2 if version < 2 else 4)
    if count > ITEMS_MAX:
        raise ValueError("too many items")
    places: dict[int, list[tuple[int, int, int]]] = {}
    extents = 0
    for _ in range(count):
        number = cursor.number(2 if version < 2 else 4)
        method = cursor.number(2) & 15 if version in (1, 2) else 0
        cursor.number(2)  # another file
        base = cursor.number(base_size)
        extent_count = cursor.number(2)
        extents += extent_count
        if extents > EXTENTS_MAX:
            raise ValueError("too many extents")
        places[number] = []
        for _ in range(extent_count):
            cursor.number(index_size)
            offset = cursor.number(offset_size)
            places[number].append((method, base + offset, cursor.number(length_size)))
    return places


def _read_references(data: bytes, box: FileBox) -> dict[tuple[str, int], list[int]]:
    cursor = _Cursor(data, box)
    width = 2 if cursor.number(4) >> 24 == 0 else 4
    references: dict[tuple[str, int], list[int]] = {}
    for entry in children(data, cursor.at, box.end):
        reader = _Cursor(data, FileBox(entry.kind, entry.start, entry.body, min(entry.end, box.end)))
        origin = reader.number(width)
        targets = [reader.number(width) for _ in range(reader.number(2))]
        references.setdefault((entry.kind, origin), []).extend(targets)
    return references


def _read_properties(data: bytes, box: FileBox) -> dict[int, list[tuple[str, int, int]]]:
    described: list[tuple[str, int, int]] = []
    properties: dict[int, list[tuple[str, int, int]]] = {}
    for entry in children(data, box.body, box.end):
        if entry.kind == "ipco":
            described = [
                (kind.kind, kind.body, min(kind.end, entry.end)) for kind in children(data, entry.body, entry.end)
            ]
    for entry in children(data, box.body, box.end):
        if entry.kind != "ipma":
            continue
        cursor = _Cursor(data, entry)
        flags = cursor.number(4)
        width = 2 if flags & 1 else 1
        for _ in range(min(cursor.number(4), ITEMS_MAX)):
            number = cursor.number(2 if flags >> 24 == 0 else 4)
            for _ in range(cursor.number(1)):
                index = cursor.number(width) & (0x7FFF if width == 2 else 0x7F)
                if 0 < index <= len(described):
                    properties.setdefault(number, []).append(described[index - 1])
    return properties
