"""Reads papers into fields, by kinds that are files. Kinds and field names: docs/papers.md."""

from vision.documents.kinds.catalogue import Catalogue, PaperKind, load_catalogue
from vision.documents.page_reader import Quality
from vision.documents.reader import PageCheck, Reader, ReaderLimits
from vision.documents.text.page import (
    UNKNOWN,
    Box,
    PaperCheck,
    PaperCode,
    PaperField,
    PaperItem,
    PaperReading,
    RefusedField,
)

__all__ = [
    "UNKNOWN",
    "Box",
    "Catalogue",
    "PageCheck",
    "PaperCheck",
    "PaperCode",
    "PaperField",
    "PaperItem",
    "PaperKind",
    "PaperReading",
    "Quality",
    "Reader",
    "ReaderLimits",
    "RefusedField",
    "load_catalogue",
]
