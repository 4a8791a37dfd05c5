"""Turns the lines of a page into a reading of the paper: kind, fields, items, checks. Pure; the OCR engine is
elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from vision.documents.checks.agreement import checks
from vision.documents.fields.conventions import in_currency, restated_sheet
from vision.documents.fields.engine import extract
from vision.documents.fields.items import items
from vision.documents.fields.review import fields_to_review
from vision.documents.kinds.catalogue import Catalogue, PaperKind
from vision.documents.kinds.classify import candidates
from vision.documents.standing.read import standing_of
from vision.documents.standing.signs import printed_below_zero
from vision.documents.text.layout import Row, rows_of
from vision.documents.text.normalise import NEGATIVE
from vision.documents.text.page import UNKNOWN, FieldReading, PageText, PaperCode, PaperReading, RefusedField


def parse(page: PageText, today: date, catalogue: Catalogue, codes: Sequence[PaperCode] = ()) -> PaperReading:
    """Return the reading of one page. `today` is for the check that the paper is not dated in the future."""
    rows = rows_of(page)
    first, rivals = candidates([row.text for row in rows], catalogue)
    taken = {name: parse_as(catalogue[name], rows, page, today, codes) for name in (*first, *rivals)}
    chosen = first if len(first) == 1 else [name for name in first if _whole(taken[name])]
    if len(chosen) != 1:
        return unknown(rows, page.model, codes)
    reading = taken.pop(chosen[0])
    # If this kind has all that it requires, a kind that lacks something was not meant.
    rival = next((name for name in taken if not (_whole(reading) and taken[name].missing_fields)), "")
    return replace(reading, rival_kind=rival)


def _whole(reading: PaperReading) -> bool:
    """True if all that the kind requires is there, is believed and adds up."""
    return not (reading.missing_fields or reading.refused) and all(check.passed for check in reading.checks)


def parse_as(
    kind: PaperKind, rows: Sequence[Row], page: PageText, today: date, codes: Sequence[PaperCode] = ()
) -> PaperReading:
    """Return the reading of `page`, whose rows these are, taken as a paper of that kind."""
    sheet = restated_sheet(rows)
    read, refused = sheet.unambiguous(*extract(sheet.rows, kind))
    standing = standing_of(sheet.rows, read, kind, refused)
    fields, negative = _without_negative(kind, sheet.rows, read)
    lines = items(sheet.rows, kind)
    names = {field.name for field in fields}
    return PaperReading(
        kind=kind.kind,
        fields=tuple(fields),
        items=tuple(lines),
        checks=in_currency(checks(kind, fields, lines, today, codes, [row.text for row in rows]), sheet.currency.code),
        lines=tuple(row.text for row in rows),
        read_confidence=money_confidence(kind, fields),
        missing_fields=tuple(name for name in kind.required if name not in names),
        model=page.model,
        refused=(*refused, *negative),
        codes=tuple(codes),
        keys=kind.keys,
        may_show=tuple(kind.fields),
        relied_on=tuple(dict.fromkeys((*kind.money, *kind.required))),
        doubtful=(*fields_to_review(kind, sheet.rows, fields), *sheet.doubts(fields)),
        currency=sheet.currency,
        amounts_required=tuple(name for name in kind.required if name.endswith("_minor")),
        standing=standing,
    )


def _without_negative(
    kind: PaperKind, rows: Sequence[Row], fields: Sequence[FieldReading]
) -> tuple[list[FieldReading], list[RefusedField]]:
    """Return the fields without the amounts that are printed below zero, and these: no amount loses its sign."""
    kept, refused = [], []
    for field in fields:
        rule = kind.fields.get(field.name)
        signed = rule is not None and rule.format == "amount" and not rule.minus
        if signed and printed_below_zero(rows, field):
            refused.append(RefusedField(field.name, NEGATIVE))
        else:
            kept.append(field)
    return kept, refused


def unknown(rows: Sequence[Row], model: str, codes: Sequence[PaperCode] = ()) -> PaperReading:
    """Return the reading of a page of no known kind: its lines and codes."""
    lines = tuple(row.text for row in rows)
    standing = standing_of(rows, (), None)
    return PaperReading(UNKNOWN, (), (), (), lines, 0.0, (), model, codes=tuple(codes), standing=standing)


def money_confidence(kind: PaperKind, fields: Sequence[FieldReading]) -> float:
    """Return the least confidence among the fields that money rests on, 0 if none of them was read."""
    return min((field.confidence for field in fields if field.name in kind.money), default=0.0)
