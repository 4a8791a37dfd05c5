"""Draws one page of an OFD: texts, lines, fields of colour and pictures (GB/T 33190-2016, 8 to 11). Runs inside the
decoding child only.

Text is drawn from its characters, with the packaged font, not from the glyphs of fonts in the file: what the page shows
and what it says is then one thing. Shades, clips and patterns are left out.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from PIL import Image, ImageDraw

from formats.cost import too_costly
from formats.header import read_header
from formats.sniff import media_type
from vision.decode.archive import Archive, resolved
from vision.decode.colour import BROKEN
from vision.decode.page_pen import BLACK, Glyph, Ink, PagePen, spelled, width_px
from vision.decode.pixels import FORMATS, PictureRefused
from vision.decode.text_layer import CHARACTERS_MAX
from vision.decode.xml_tree import XmlNode, read_xml

Matrix = tuple[float, float, float, float, float, float]  # a b c d e f: x' = ax + cy + e, y' = bx + dy + f
_UNCHANGED: Final[Matrix] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

OBJECTS_MAX: Final = 20_000  # of one page, composites counted each time that they are drawn
POINTS_MAX: Final = 400_000  # of all outlines of one page; a QR code of 57 x 57 has 16,000
NESTING_MAX: Final = 8
PICTURES_MAX: Final = 200
PICTURE_PIXELS_MAX: Final = 25_000_000
NUMBERS_MAX: Final = 20_000  # in one attribute
_RESOURCES_MAX: Final = 5_000
_CURVE_STEPS: Final = 5
_LINE_MM: Final = 0.353  # the standard's width of a line that states none
_NARROWEST: Final = 0.6  # of its width, to which a character is narrowed
_LARGE_SHARE: Final = 0.05  # of the page: a picture of at least this is no ornament
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_COMMAND: Final = re.compile(r"[SMLQBAC]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_OPERANDS: Final = {"S": 2, "M": 2, "L": 2, "Q": 4, "B": 6, "A": 7, "C": 0}
_OBJECTS: Final = frozenset({"TextObject", "PathObject", "ImageObject", "CompositeObject", "PageBlock", "Layer"})


def numbers(text: str) -> list[float]:
    """Return the numbers in a list, without what is no finite number below a million."""
    values = (float(match[0]) for match, _ in zip(_NUMBER.finditer(text), range(NUMBERS_MAX), strict=False))
    return [value for value in values if abs(value) < 1e6]


@dataclass(slots=True)
class Resources:
    """Resources of pages, by number. pictures: paths. composites: drawings used again. pens: drawing parameters."""

    pictures: dict[str, str] = field(default_factory=dict)
    composites: dict[str, XmlNode] = field(default_factory=dict)
    pens: dict[str, XmlNode] = field(default_factory=dict)

    def add(self, archive: Archive, path: str) -> None:
        """Read a file of resources; one that is not there has none. Raises ArchiveRefused, XmlRefused."""
        if path not in archive:
            return
        root = read_xml(archive.read(path))
        folder = path.rpartition("/")[0]
        base = root.attributes.get("BaseLoc", "")
        inner = resolved(base, folder) if base.strip("./ ") else folder
        for node in root.walk():
            number = node.attributes.get("ID", "")
            if len(self.pictures) + len(self.composites) + len(self.pens) > _RESOURCES_MAX:
                return
            file = node.child("MediaFile")
            if node.name == "MultiMedia" and file is not None and file.text.strip():
                self.pictures[number] = resolved(file.text, inner)
            elif node.name == "CompositeGraphicUnit":
                self.composites[number] = node
            elif node.name == "DrawParam":
                self.pens[number] = node

    def copy(self) -> Resources:
        """Return resources to which others can be added."""
        return Resources(dict(self.pictures), dict(self.composites), dict(self.pens))


@dataclass(frozen=True, slots=True)
class PageParts:
    """The parts that a page is drawn from. origin: its left top corner, in millimetres. contents, annotations: elements
    that hold objects. path: of the page's own part."""

    width_mm: float
    height_mm: float
    origin: tuple[float, float]
    contents: Sequence[XmlNode]
    annotations: Sequence[XmlNode]
    resources: Resources
    path: str


class Drawing:
    """The drawing of one page. scale: pixels of a millimetre."""

    def __init__(self, archive: Archive, parts: PageParts, scale: float) -> None:
        size = (max(1, round(parts.width_mm * scale)), max(1, round(parts.height_mm * scale)))
        self.pen = PagePen(Image.new("RGB", size, "white"))
        self._archive = archive
        self._parts = parts
        self._scale = scale
        self._objects = self._points = self._characters = self._pictures = 0

    def draw(self) -> None:
        """Draw all objects, in order. Raises PictureRefused, ArchiveRefused, XmlRefused."""
        left, top = self._parts.origin
        page: Matrix = (self._scale, 0.0, 0.0, self._scale, -left * self._scale, -top * self._scale)
        for content in (*self._parts.contents, *self._parts.annotations):
            self._all(content, _placed(page, content), None, 0)

    def _all(self, holder: XmlNode, place: Matrix, pen: XmlNode | None, depth: int) -> None:
        if depth > NESTING_MAX:
            raise PictureRefused("broken", "the OFD nests its drawings deeper than any paper")
        for node in holder.children:
            if node.name not in _OBJECTS or node.attributes.get("Visible", "true").lower() == "false":
                continue
            self._objects += 1
            if self._objects > OBJECTS_MAX:
                raise PictureRefused("broken", f"a page of the OFD has more than {OBJECTS_MAX} objects")
            own = self._parts.resources.pens.get(node.attributes.get("DrawParam", ""), pen)
            match node.name:
                case "TextObject":
                    self._text(node, place, own)
                case "PathObject":
                    self._path(node, place, own)
                case "ImageObject":
                    self._picture(node, place)
                case "CompositeObject":
                    unit = self._parts.resources.composites.get(node.attributes.get("ResourceID", ""))
                    for content in unit.all("Content") if unit is not None else ():
                        self._all(content, _within(place, node), own, depth + 1)
                case _:
                    self._all(node, place, own, depth + 1)

    def _text(self, node: XmlNode, place: Matrix, pen: XmlNode | None) -> None:
        if node.attributes.get("Alpha", "255") == "0":
            return
        inner = _within(place, node)
        sizes = numbers(node.attributes.get("Size", ""))
        size_px = min(1e4, (sizes[0] if sizes else 3.5) * math.sqrt(abs(inner[0] * inner[3] - inner[1] * inner[2])))
        ink = _colour(node, "FillColor", pen) or BLACK
        x = y = 0.0
        for code in node.all("TextCode"):
            text = code.text.replace("\n", "").replace("\r", "")
            self._characters += len(text)
            if self._characters > CHARACTERS_MAX:
                raise PictureRefused("broken", "a page of the OFD has more text than any paper")
            x = next(iter(numbers(code.attributes.get("X", ""))), x)
            y = next(iter(numbers(code.attributes.get("Y", ""))), y)
            glyphs = _glyphs(text, (x, y), code, inner, size_px)
            for line in _lines(glyphs, size_px):
                self.pen.write(line, size_px, ink)

    def _path(self, node: XmlNode, place: Matrix, pen: XmlNode | None) -> None:
        data = node.child("AbbreviatedData")
        if data is None:
            return
        inner = _within(place, node)
        filled = node.attributes.get("Fill", "false").lower() == "true"
        stroked = node.attributes.get("Stroke", "true").lower() != "false"
        draw = ImageDraw.Draw(self.pen.picture)
        widths = numbers(node.attributes.get("LineWidth", "")) or numbers(
            "" if pen is None else pen.attributes.get("LineWidth", "")
        )
        line_px = max(
            1, round((widths[0] if widths else _LINE_MM) * math.sqrt(abs(inner[0] * inner[3] - inner[1] * inner[2])))
        )
        for outline in _outlines(data.text):
            self._points += len(outline)
            if self._points > POINTS_MAX:
                raise PictureRefused("broken", "a page of the OFD has more lines than any paper")
            points = [_moved(inner, x, y) for x, y in outline]
            if filled and len(points) >= 3:
                draw.polygon(points, fill=_colour(node, "FillColor", pen) or BLACK)
            if stroked and len(points) >= 2:
                draw.line(points, fill=_colour(node, "StrokeColor", pen) or BLACK, width=min(line_px, 200))

    def _picture(self, node: XmlNode, place: Matrix) -> None:
        """Draw a picture into the unit square of its matrix, upright. A large one that cannot be read is refused: what
        it shows would be lost."""
        inner = _within(place, node)
        corners = [_moved(inner, x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)]
        left, right = min(x for x, _ in corners), max(x for x, _ in corners)
        top, bottom = min(y for _, y in corners), max(y for _, y in corners)
        width, height = self.pen.picture.size
        share = (
            max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(bottom, height) - max(top, 0)) / (width * height)
        )
        picture = self._opened(self._parts.resources.pictures.get(node.attributes.get("ResourceID", ""), ""))
        if picture is None:
            if share >= _LARGE_SHARE:
                raise PictureRefused("unsupported_kind", "a picture in the OFD is of a kind that cannot be read")
            return
        size = (round(right - left), round(bottom - top))
        if not (1 <= size[0] <= 2 * width and 1 <= size[1] <= 2 * height):
            return
        shown = picture.resize(size, reducing_gap=2.0)
        alpha = max(0.0, min(255.0, next(iter(numbers(node.attributes.get("Alpha", ""))), 255.0)))
        mask = shown.getchannel("A").point([round(level * alpha / 255) for level in range(256)])
        self.pen.picture.paste(shown, (round(left), round(top)), mask)

    def _opened(self, path: str) -> Image.Image | None:
        """Return a picture of the file with its transparency, None if it cannot be read."""
        self._pictures += 1
        if self._pictures > PICTURES_MAX:
            raise PictureRefused("broken", f"a page of the OFD has more than {PICTURES_MAX} pictures")
        if path not in self._archive:
            return None
        data = self._archive.read(path)
        kind = media_type(data)
        header = read_header(data, kind)
        if kind not in ("image/png", "image/jpeg") or header is None or header.unread or too_costly(header):
            return None
        if header.pixels > PICTURE_PIXELS_MAX:
            raise PictureRefused("too_many_pixels", "a picture in the OFD is too large")
        with contextlib.suppress(*BROKEN):
            return Image.open(io.BytesIO(data), formats=[FORMATS[kind]]).convert("RGBA")
        return None


def _placed(place: Matrix, holder: XmlNode) -> Matrix:
    """Return the matrix of what an annotation holds; its box moves it. Of any other holder it is the page's."""
    return _within(place, holder) if holder.name == "Appearance" else place


def _within(place: Matrix, node: XmlNode) -> Matrix:
    """Return the matrix from an object's own coordinates to pixels: by its CTM, then to its box's corner."""
    box, own = numbers(node.attributes.get("Boundary", "")), numbers(node.attributes.get("CTM", ""))
    moved = _product(place, (1.0, 0.0, 0.0, 1.0, box[0], box[1])) if len(box) == 4 else place
    return _product(moved, (own[0], own[1], own[2], own[3], own[4], own[5])) if len(own) == 6 else moved


def _product(outer: Matrix, inner: Matrix) -> Matrix:
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return (a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f)


def _moved(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    """Return a point in pixels, kept within what can be drawn."""
    a, b, c, d, e, f = matrix
    return max(-1e5, min(1e5, a * x + c * y + e)), max(-1e5, min(1e5, b * x + d * y + f))


def _steps(text: str) -> list[float]:
    """Return the steps from character to character: `g 3 1.5` is 1.5 three times."""
    steps: list[float] = []
    words = iter(text.split()[:NUMBERS_MAX])
    for word in words:
        if word == "g":
            times, step = numbers(next(words, "0")), numbers(next(words, "0"))
            steps += [step[0] if step else 0.0] * int(max(0, min(times[0] if times else 0, CHARACTERS_MAX)))
        else:
            steps += numbers(word)
        if len(steps) > CHARACTERS_MAX:
            break
    return steps


def _glyphs(text: str, start: tuple[float, float], code: XmlNode, inner: Matrix, size_px: float) -> list[Glyph]:
    """Return where each character stands; without stated steps one after the other. The steps are those of another
    font: a wider character is drawn narrower, and a narrower one in the middle of its own."""
    across, down = _steps(code.attributes.get("DeltaX", "")), _steps(code.attributes.get("DeltaY", ""))
    if not across and not down:
        return spelled(text, *_moved(inner, *start), size_px)
    x, y = start
    glyphs = []
    for index, letter in enumerate(text):
        # With too few steps the last one goes on, as readers do.
        step = across[min(index, len(across) - 1)] if across else 0.0
        at, after = _moved(inner, x, y), _moved(inner, x + step, y)
        room_px = min(after[0] - at[0], size_px) if index < len(across) else 0.0
        width = natural = width_px(letter, size_px)
        if room_px > 0:
            width = max(_NARROWEST * natural, min(natural, room_px))
            at = (at[0] + (room_px - width) / 2, at[1])
        glyphs.append(Glyph(letter, *at, width))
        x += step
        y += down[min(index, len(down) - 1)] if down else 0.0
    return glyphs


def _lines(glyphs: list[Glyph], size_px: float) -> Iterator[list[Glyph]]:
    """Yield the characters in runs, each on one level and without gaps, as a reader of the page would see them."""
    run: list[Glyph] = []
    for glyph in glyphs:
        if run:
            last = run[-1]
            gap = glyph.x - last.x - last.width_px
            if abs(glyph.y - last.y) > 0.3 * size_px or gap > 0.9 * size_px or glyph.x < last.x - 0.5 * size_px:
                yield run
                run = []
        run.append(glyph)
    if run:
        yield run


def _colour(node: XmlNode, name: str, pen: XmlNode | None) -> Ink | None:
    for holder in (node, pen):
        colour = holder.child(name) if holder is not None else None
        if colour is None:
            continue
        words = colour.attributes.get("Value", "").split()
        levels = [int(word[1:], 16) if re.fullmatch(r"#[0-9a-fA-F]{1,2}", word) else None for word in words]
        values = [
            level if level is not None else next(iter(numbers(word)), 0.0)
            for level, word in zip(levels, words, strict=True)
        ]
        bounded = [max(0, min(255, round(value))) for value in values]
        match len(bounded):
            case 1:
                return bounded[0], bounded[0], bounded[0]
            case 3:
                return bounded[0], bounded[1], bounded[2]
            case 4:  # cyan, magenta, yellow, black
                red, green, blue = (round((255 - ink) * (255 - bounded[3]) / 255) for ink in bounded[:3])
                return red, green, blue
    return None


def _outlines(text: str) -> Iterator[list[tuple[float, float]]]:
    """Yield the lines of a path: S and M begin one, L goes on straight, Q and B in curves, A in an arc (drawn
    straight), C closes."""
    words = [match[0] for match, _ in zip(_COMMAND.finditer(text), range(8 * NUMBERS_MAX), strict=False)]
    outline: list[tuple[float, float]] = []
    at = 0
    while at < len(words):
        command = words[at]
        count = _OPERANDS.get(command)
        if count is None:
            at += 1
            continue
        given = numbers(" ".join(words[at + 1 : at + 1 + count]))
        at += 1 + count
        if len(given) != count:
            continue
        if command in "SM":
            if len(outline) > 1:
                yield outline
            outline = [(given[0], given[1])]
        elif command == "C":
            if outline:
                outline.append(outline[0])
        elif outline:
            outline += _drawn_to(outline[-1], command, given)
    if len(outline) > 1:
        yield outline


def _drawn_to(start: tuple[float, float], command: str, given: Sequence[float]) -> list[tuple[float, float]]:
    end = (given[-2], given[-1])
    if command in "LA":
        return [end]
    first = (given[0], given[1])
    second = (given[2], given[3]) if command == "B" else first
    points = []
    for step in range(1, _CURVE_STEPS + 1):
        t = step / _CURVE_STEPS
        if command == "Q":
            weights = ((1 - t) ** 2, 2 * t * (1 - t), 0.0, t * t)
        else:
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        corners = (start, first, second, end)
        points.append(
            (
                sum(weight * x for weight, (x, _) in zip(weights, corners, strict=True)),
                sum(weight * y for weight, (_, y) in zip(weights, corners, strict=True)),
            )
        )
    return points
