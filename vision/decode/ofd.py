"""Reads an OFD, the national format of e-invoices (GB/T 33190-2016): finds its pages, resources and attached data, and
has each page drawn. Runs inside the decoding child only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vision.decode import invoice_data, ofd_signature
from vision.decode.archive import Archive, ArchiveRefused, resolved
from vision.decode.invoice_data import InvoiceData, signature_plain
from vision.decode.ofd_drawing import Drawing, PageParts, Resources, numbers
from vision.decode.pages_drawn import Lines, drawn_page
from vision.decode.pixels import DecodedPixels, PictureRefused
from vision.decode.signature import FileSignature
from vision.decode.xml_tree import XmlNode, XmlRefused, read_xml

_ENTRY: Final = "OFD.xml"
_MILLIMETRES_PER_INCH: Final = 25.4
_EDGE_MM_MAX: Final = 2_000.0  # A0 has 1,189
_EDGE_MM_MIN: Final = 10.0
_DOCUMENTS_MAX: Final = 4
_ATTACHMENTS_MAX: Final = 20
_INSTEAD: Final = "send the invoice's PDF, or a screenshot of it"


@dataclass(slots=True)
class _Document:
    """A document of the file: its root element, and where it is."""

    root: XmlNode
    folder: str
    signatures: str
    resources: Resources = field(default_factory=Resources)


def render(data: bytes, dpi: int, page_count_max: int, page_pixels_max: int) -> Iterator[DecodedPixels]:
    """Yield the pages in order, each at `dpi`, or at less if the page would exceed `page_pixels_max`. Raises
    PictureRefused."""
    try:
        yield from _rendered(Archive(data), dpi, page_count_max, page_pixels_max)
    except (ArchiveRefused, XmlRefused) as refused:
        raise PictureRefused("broken", f"the OFD cannot be read ({refused}); {_INSTEAD}") from None


def _rendered(archive: Archive, dpi: int, page_count_max: int, page_pixels_max: int) -> Iterator[DecodedPixels]:
    if _ENTRY not in archive:
        raise PictureRefused("unknown_format", f"the file is a ZIP archive and no OFD; unpack it, and {_INSTEAD}")
    documents = [_document(archive, body) for body in read_xml(archive.read(_ENTRY)).all("DocBody")[:_DOCUMENTS_MAX]]
    pages = [(document, page) for document in documents for page in _listed(document.root, "Pages", "Page")]
    if not pages:
        raise PictureRefused("broken", f"the OFD has no page; {_INSTEAD}")
    if len(pages) > page_count_max:
        raise PictureRefused("pdf_too_many_pages", f"the OFD has {len(pages)} pages; at most {page_count_max} are read")
    attached = _attached(archive, documents)
    parts = [_parts(archive, document, page) for document, page in pages]
    signature = ofd_signature.compare(
        archive,
        [document.signatures for document in documents if document.signatures],
        [page.path for page in parts],
    )
    for number, page in enumerate(parts):
        yield _page(archive, page, dpi, page_pixels_max, attached if number == 0 else None, signature)


def _page(
    archive: Archive,
    parts: PageParts,
    dpi: int,
    page_pixels_max: int,
    attached: InvoiceData | None,
    signature: FileSignature,
) -> DecodedPixels:
    scale = dpi / _MILLIMETRES_PER_INCH
    pixels = parts.width_mm * parts.height_mm * scale * scale
    if pixels > page_pixels_max:
        scale *= (page_pixels_max / pixels) ** 0.5
    drawing = Drawing(archive, parts, scale)
    drawing.draw()
    stated: Lines = invoice_data.stated_lines(attached, drawing.pen.picture.width) if attached is not None else ()
    return drawn_page(drawing.pen.picture, drawing.pen.lines, stated, signature_plain(signature))


def _document(archive: Archive, body: XmlNode) -> _Document:
    location = body.child("DocRoot")
    if location is None:
        raise XmlRefused("OFD.xml names no document")
    path = resolved(location.text, "")
    signatures = body.child("Signatures")
    document = _Document(
        read_xml(archive.read(path)),
        path.rpartition("/")[0],
        "" if signatures is None or not signatures.text.strip() else resolved(signatures.text, ""),
    )
    common = document.root.child("CommonData")
    for node in common.children if common is not None else ():
        if node.name in ("PublicRes", "DocumentRes"):
            document.resources.add(archive, resolved(node.text, document.folder))
    return document


def _listed(root: XmlNode, group: str, name: str) -> list[XmlNode]:
    """Return the elements of that name below each group of that name."""
    return [node for holder in root.all(group) for node in holder.all(name)]


def _parts(archive: Archive, document: _Document, page: XmlNode) -> PageParts:
    """Return what a page is drawn from: templates behind it, its own content, templates before it, annotations."""
    path = resolved(page.attributes.get("BaseLoc", ""), document.folder)
    root = read_xml(archive.read(path))
    resources = document.resources.copy()
    for node in root.all("PageRes"):
        resources.add(archive, resolved(node.text, document.folder))
    common = document.root.child("CommonData")
    templates = (
        {node.attributes.get("ID", ""): node for node in common.all("TemplatePage")} if common is not None else {}
    )
    behind: list[XmlNode] = []
    before: list[XmlNode] = []
    for use in root.all("Template"):
        template = templates.get(use.attributes.get("TemplateID", ""))
        if template is None:
            continue
        order = use.attributes.get("ZOrder") or template.attributes.get("ZOrder", "Background")
        content = read_xml(archive.read(resolved(template.attributes.get("BaseLoc", ""), document.folder)))
        for node in content.all("PageRes"):
            resources.add(archive, resolved(node.text, document.folder))
        (before if order == "Foreground" else behind).extend(content.all("Content"))
    width, height, left, top = _box(root, common)
    return PageParts(
        width,
        height,
        (left, top),
        [*behind, *root.all("Content"), *before],
        _annotations(archive, document, page.attributes.get("ID", "")),
        resources,
        path,
    )


def _box(page: XmlNode, common: XmlNode | None) -> tuple[float, float, float, float]:
    """Return width, height, left and top of a page in millimetres. Raises PictureRefused for one that no paper has."""
    for holder in (page.child("Area"), common.child("PageArea") if common is not None else None):
        for name in ("PhysicalBox", "ApplicationBox"):
            node = holder.child(name) if holder is not None else None
            edges = numbers(node.text) if node is not None else []
            if len(edges) == 4:
                left, top, width, height = edges
                if not (_EDGE_MM_MIN <= width <= _EDGE_MM_MAX and _EDGE_MM_MIN <= height <= _EDGE_MM_MAX):
                    raise PictureRefused("broken", f"a page of the OFD has {width:.0f} x {height:.0f} mm; {_INSTEAD}")
                return width, height, left, top
    raise PictureRefused("broken", f"a page of the OFD has no size; {_INSTEAD}")


def _annotations(archive: Archive, document: _Document, page_id: str) -> list[XmlNode]:
    """Return the pictures of the stamps and marks on a page."""
    location = document.root.child("Annotations")
    if location is None or not location.text.strip():
        return []
    path = resolved(location.text, document.folder)
    if path not in archive:
        return []
    shown: list[XmlNode] = []
    for node in read_xml(archive.read(path)).all("Page"):
        file = node.child("FileLoc")
        if node.attributes.get("PageID", "") != page_id or file is None:
            continue
        for part in _candidates(archive, file.text, path.rpartition("/")[0], document.folder):
            for mark in read_xml(archive.read(part)).all("Annot"):
                if mark.attributes.get("Visible", "true").lower() != "false":
                    shown += mark.all("Appearance")
    return shown


def _attached(archive: Archive, documents: list[_Document]) -> InvoiceData | None:
    """Return the invoice's data that the file carries beside its pages; None if there are none. Raises XmlRefused if
    there are two that differ."""
    stated: list[InvoiceData] = []
    for document in documents:
        location = document.root.child("Attachments")
        if location is None or not location.text.strip():
            continue
        path = resolved(location.text, document.folder)
        if path not in archive:
            continue
        for node in read_xml(archive.read(path)).all("Attachment")[:_ATTACHMENTS_MAX]:
            file = node.child("FileLoc")
            name = "" if file is None else file.text.strip()
            if not name.lower().endswith(".xml"):
                continue
            for part in _candidates(archive, name, path.rpartition("/")[0], document.folder):
                root = read_xml(archive.read(part))
                if invoice_data.is_invoice(root):
                    stated.append(invoice_data.invoice_of(root))
    if any(other != stated[0] for other in stated[1:]):
        raise XmlRefused("it carries the data of two invoices")
    return stated[0] if stated else None


def _candidates(archive: Archive, name: str, *folders: str) -> list[str]:
    """Return the path that a name means in the first of these folders that has it: programs differ in which one they
    count from."""
    for folder in folders:
        path = resolved(name, folder)
        if path in archive:
            return [path]
    return []
