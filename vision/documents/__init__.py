"""Reads papers into fields, by kinds that are files. Kinds and field names: docs/papers.md."""

from vision.documents.kinds.catalogue import Catalogue, PaperKind, load_catalogue
from vision.documents.page_reader import Quality
from vision.documents.reader import PageCheck, Reader, ReaderLimits
from vision.documents.text.page import (
    UNKNOWN,
    CheckReading,
    FieldReading,
    ItemReading,
    PageBox,
    PaperCode,
    PaperReading,
    RefusedField,
)

__all__ = [
    "UNKNOWN",
    "Catalogue",
    "CheckReading",
    "FieldReading",
    "ItemReading",
    "PageBox",
    "PageCheck",
    "PaperCode",
    "PaperKind",
    "PaperReading",
    "Quality",
    "Reader",
    "ReaderLimits",
    "RefusedField",
    "load_catalogue",
]
