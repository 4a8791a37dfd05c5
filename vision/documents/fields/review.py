"""Field review: finds fields that were read well but may come from the wrong place of the page, so that a person must
check them.

A recogniser's confidence is about characters. It does not tell whether a date is the bill's or the patient's birthday,
so the page is searched for evidence: a label, a second statement of the same sum, a plausible name.
"""

from __future__ import annotations

from collections.abc import Sequence

from vision.documents.fields import names, receipt
from vision.documents.fields.engine import by_rule, claimed_dates, texts_told, unlabelled
from vision.documents.fields.values import printed_on, unlabelled_dates
from vision.documents.kinds.catalogue import FieldRule, PaperKind
from vision.documents.text.layout import Row
from vision.documents.text.page import FieldReading, RefusedField


def fields_to_review(kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading]) -> tuple[RefusedField, ...]:
    """Return those of `fields` that a person must check, each with the reason."""
    reviewed = ((field.name, _reason(kind, rows, fields, field)) for field in fields)
    return tuple(RefusedField(name, reason) for name, reason in reviewed if reason)


def _reason(kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading], field: FieldReading) -> str:
    if kind.extractor == "till_receipt":
        if field.name == "total_minor":
            return receipt.unconfirmed(rows, int(field.value))
        if field.name == "date":
            return _unlabelled(kind, rows, fields, field, receipt.DATE_RULE)
    rule = kind.fields.get(field.name)
    if rule is None:
        return ""
    if rule.format == "name":
        return names.unlike_a_name(field.value) or _read_twice(kind, fields, field)
    if rule.not_printing and printed_on(rows, field):
        return f"{field.value} is the day of printing"
    if rule.format in ("date", "tracking_number"):
        return _unlabelled(kind, rows, fields, field, rule)
    return _ambiguous(kind, rows, field, rule) if rule.format == "text" else ""


def _ambiguous(kind: PaperKind, rows: Sequence[Row], field: FieldReading, rule: FieldRule) -> str:
    """Return why a text may be the wrong one of several: two labels are the same (名称 ... 名称), whose order is a
    custom that not every paper keeps to; or the paper states the text in two ways."""
    surer = tuple(label for label in rule.labels if label.of < 2 or label.in_row)
    by_labels = rule.model_copy(update={"labels": surer})
    if len(surer) < len(rule.labels):
        labelled = by_rule(rows, kind, field.name, by_labels)
        if not isinstance(labelled, FieldReading) or labelled.value != field.value:
            return f"{field.value} is told from its like by its place alone"
    for text in sorted(texts_told(rows, kind, field.name, by_labels)):
        if text not in field.value and field.value not in text:
            return f"the paper says {field.value} and {text}"
    return ""


def _read_twice(kind: PaperKind, fields: Sequence[FieldReading], field: FieldReading) -> str:
    """Return why a name may be wrong: another part of the paper has the same person, so one was probably read from the
    other's place."""
    for other in fields:
        rule = kind.fields.get(other.name)
        if other.name != field.name and rule is not None and rule.format == "name" and other.value == field.value:
            return f"{field.value} is read as {other.name}, too"
    return ""


def _unlabelled(
    kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading], field: FieldReading, rule: FieldRule
) -> str:
    """Return why a date or long number may be the wrong one: there are several, and none stands beside a known
    label."""
    if by_rule(rows, kind, field.name, rule.model_copy(update={"anywhere": False})) is not None:
        return ""
    if rule.format == "date":
        claimed = claimed_dates(kind, field.name, fields)
        days = {date.value for date in unlabelled_dates(rows, field.name, claimed)}
        return f"{len(days)} dates stand on the paper and none beside its label" if len(days) > 1 else ""
    numbers = {number.value for number in unlabelled(rows, field.name, rule)}
    return f"{len(numbers)} long numbers stand on the paper and none beside a label of it" if len(numbers) > 1 else ""
