"""From the lines of a page to a reading of the paper: kind, fields, items, checks. Pure; the engine is elsewhere."""

from __future__ import annotations

from datetime import date

from vision.documents import invoice, parcel, receipt
from vision.documents.checks import checks
from vision.documents.kinds import classify
from vision.documents.layout import rows_of
from vision.documents.page import PageText, PaperField, PaperItem, PaperKind, PaperReading

#: Fields that the payout or the search for repeated claims rests on, by kind.
MONEY_FIELDS = {
    PaperKind.OUTPATIENT_INVOICE: (
        "total_minor",
        "capital_total_minor",
        "insurance_paid_minor",
        "cash_paid_minor",
        "account_paid_minor",
        "number",
    ),
    PaperKind.PARCEL_SLIP: ("declared_value_minor", "freight_minor", "tracking_number"),
    PaperKind.RECEIPT: ("total_minor",),
    PaperKind.UNKNOWN: (),
}
REQUIRED_FIELDS = {
    PaperKind.OUTPATIENT_INVOICE: invoice.REQUIRED,
    PaperKind.PARCEL_SLIP: parcel.REQUIRED,
    PaperKind.RECEIPT: receipt.REQUIRED,
    PaperKind.UNKNOWN: (),
}


def parse(page: PageText, today: date) -> PaperReading:
    """The reading of one page. `today` is for the check that the paper is not dated in the future."""
    rows = rows_of(page)
    kind = classify([row.text for row in rows])
    fields: list[PaperField] = []
    items: list[PaperItem] = []
    if kind is PaperKind.OUTPATIENT_INVOICE:
        fields, items = invoice.fields(rows), invoice.items(rows)
    elif kind is PaperKind.PARCEL_SLIP:
        fields = parcel.fields(rows)
    elif kind is PaperKind.RECEIPT:
        fields = receipt.fields(rows)
    names = {field.name for field in fields}
    return PaperReading(
        kind=kind,
        fields=tuple(fields),
        items=tuple(items),
        checks=tuple(checks(kind, fields, items, today)),
        lines=tuple(row.text for row in rows),
        read_confidence=min((field.confidence for field in fields if field.name in MONEY_FIELDS[kind]), default=0.0),
        missing_fields=tuple(name for name in REQUIRED_FIELDS[kind] if name not in names),
        model=page.model,
    )
