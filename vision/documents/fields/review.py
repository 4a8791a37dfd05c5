"""Fields that were read well and yet may come from the wrong place of the page: nobody relies on them unseen.

A recogniser's confidence is of characters. Nothing in it says that a date is the bill's and not the patient's birthday,
so here the page is asked for what would tell: a label, a second statement of the same sum, the look of a name.
"""

from __future__ import annotations

from collections.abc import Sequence

from vision.documents.fields import names, receipt
from vision.documents.fields.engine import by_rule, claimed_dates, texts_told, unlabelled
from vision.documents.fields.values import unlabelled_dates
from vision.documents.kinds.catalogue import FieldRule, PaperKind
from vision.documents.text.layout import Row
from vision.documents.text.page import FieldReading, RefusedField


def doubtful(kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading]) -> tuple[RefusedField, ...]:
    """Those of `fields` with why each may not be what it seems."""
    found = [RefusedField(field.name, reason) for field in fields if (reason := _doubt(kind, rows, fields, field))]
    return tuple(found)


def _doubt(kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading], field: FieldReading) -> str:
    if kind.extractor == "till_receipt":
        if field.name == "total_minor":
            return receipt.unconfirmed(rows, int(field.value))
        if field.name == "date":
            return _unlabelled(kind, rows, fields, field, receipt.DATE_RULE)
    rule = kind.fields.get(field.name)
    if rule is None:
        return ""
    if rule.format == "name":
        return names.doubt(field.value) or _of_another(kind, fields, field)
    if rule.format in ("date", "tracking_number"):
        return _unlabelled(kind, rows, fields, field, rule)
    return _of_others(kind, rows, field, rule) if rule.format == "text" else ""


def _of_others(kind: PaperKind, rows: Sequence[Row], field: FieldReading, rule: FieldRule) -> str:
    """Of two alike (名称 ... 名称), which one is meant: their order is a custom, and not every paper keeps to it. Of a
    text that a paper states in two ways, which, or what of a sentence."""
    surer = tuple(label for label in rule.labels if label.of < 2 or label.in_row)
    by_labels = rule.model_copy(update={"labels": surer})
    if len(surer) < len(rule.labels):
        found = by_rule(rows, kind, field.name, by_labels)
        if not isinstance(found, FieldReading) or found.value != field.value:
            return f"{field.value} is told from its like by its place alone"
    for text in sorted(texts_told(rows, kind, field.name, by_labels)):
        if text not in field.value and field.value not in text:
            return f"the paper says {field.value} and {text}"
    return ""


def _of_another(kind: PaperKind, fields: Sequence[FieldReading], field: FieldReading) -> str:
    """One person in two parts of a paper: one of the two was most likely read from the other's place."""
    for other in fields:
        rule = kind.fields.get(other.name)
        if other.name != field.name and rule is not None and rule.format == "name" and other.value == field.value:
            return f"{field.value} is read as {other.name}, too"
    return ""


def _unlabelled(
    kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading], field: FieldReading, rule: FieldRule
) -> str:
    """Of several dates, or of several long numbers, none of which stands beside a known label, any may be meant."""
    if by_rule(rows, kind, field.name, rule.model_copy(update={"anywhere": False})) is not None:
        return ""
    if rule.format == "date":
        claimed = claimed_dates(kind, field.name, fields)
        days = {one.value for one in unlabelled_dates(rows, field.name, claimed)}
        return f"{len(days)} dates stand on the paper and none beside its label" if len(days) > 1 else ""
    numbers = {one.value for one in unlabelled(rows, field.name, rule)}
    return f"{len(numbers)} long numbers stand on the paper and none beside a label of it" if len(numbers) > 1 else ""
