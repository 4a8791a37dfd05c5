"""Reads papers into fields, by kinds that are files. Kinds and field names: docs/papers.md."""

from vision.documents.catalogue import Catalogue, PaperKind, load_catalogue
from vision.documents.page import (
    UNKNOWN,
    Box,
    PaperCheck,
    PaperCode,
    PaperField,
    PaperItem,
    PaperReading,
    RefusedField,
)
from vision.documents.passes import Quality
from vision.documents.reader import PageCheck, Reader, ReaderLimits

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
