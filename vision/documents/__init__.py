"""Reads papers: outpatient invoices, parcel slips, receipts. Field names by kind: docs/papers.md."""

from vision.documents.page import Box, PaperCheck, PaperField, PaperItem, PaperKind, PaperReading
from vision.documents.reader import Quality, Reader, ReaderLimits

__all__ = [
    "Box",
    "PaperCheck",
    "PaperField",
    "PaperItem",
    "PaperKind",
    "PaperReading",
    "Quality",
    "Reader",
    "ReaderLimits",
]
