"""The output of `miaopei documents read` for a paper: one JSON object a file, or a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from api.commands.opening import console
from claims.currencies import digits

if TYPE_CHECKING:
    from vision.documents import FieldReading, PageBox, PaperReading
    from vision.measurement import Unmeasured


def described(pages: Sequence[PaperReading | Unmeasured]) -> dict[str, Any]:
    """Returns the file's paper: its first page of a known kind, else its first page. Where several pages are papers,
    `pages` has all of them."""
    from vision.documents import UNKNOWN

    told = [{"page": number, **_page(page)} for number, page in enumerate(pages, start=1)]
    papers = [page for page in told if page["kind"] != UNKNOWN]
    chosen = (papers or told)[0]
    return {**chosen, "pages": told} if len(papers) > 1 else chosen


def refused(reason: str) -> dict[str, Any]:
    """Returns the output for a file or page that could not be read."""
    return {"kind": "unknown", "currency": "", "currency_from": "", "fields": {}, "accepted": False, "reason": reason,
            "items": [], "checks": [],
            "missing": [], "refused": {}, "standing": [], "codes": [], "lines": []}  # fmt: skip


def _page(page: PaperReading | Unmeasured) -> dict[str, Any]:
    from vision.documents.gate import not_accepted_because
    from vision.measurement import Unmeasured

    if isinstance(page, Unmeasured):
        return refused(page.reason)
    reason = not_accepted_because(page)
    return {
        "kind": page.kind,
        "currency": page.currency.code if page.currency is not None else "",
        "currency_from": page.currency.read_from if page.currency is not None else "",
        "fields": _fields(page),
        "accepted": reason == "",
        "reason": reason,
        "items": [{"text": item.text, "class": item.item_class, "amount_minor": item.amount_minor}
                  for item in page.items],
        "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in page.checks],
        "missing": list(page.missing_fields),
        "refused": {field.name: field.reason for field in page.refused},
        "standing": [{"standing": sign.standing, "words": sign.words, "told_by": sign.told_by, "box": _shares(sign.box)}
                     for sign in page.standing],
        "codes": [{"symbology": code.symbology, "text": code.text} for code in page.codes],
        "lines": list(page.lines),
    }  # fmt: skip


def _fields(page: PaperReading) -> dict[str, Any]:
    """Returns the fields by name; the total also as decimal text."""
    fields = {field.name: _field(field, field.value) for field in page.fields}
    total = page.field("total_minor")
    if total is not None:
        # Amounts of an unknown currency are in hundredths, as those of most.
        code = page.currency.code if page.currency is not None and page.currency.code else "CNY"
        fields["total"] = _field(total, digits(int(total.value), code, grouped=False))
    return fields


def _field(field: FieldReading, value: str) -> dict[str, Any]:
    return {"value": value, "confidence": round(field.confidence, 4), "box": _shares(field.box)}


def _shares(box: PageBox) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]


def show(result: dict[str, Any]) -> None:
    """Print the same result as a table."""
    verdict = "accepted" if result["accepted"] else f"not accepted: {result['reason']}"
    console.print(f"[bold]{result['file']}[/bold] {result['kind']}, {verdict}", highlight=False)
    table = Table("field", "value", "confidence")
    for name, field in result["fields"].items():
        table.add_row(name, field["value"], f"{field['confidence']:.2f}")
    console.print(table)
    for check in result["checks"]:
        console.print(f"  {'ok  ' if check['passed'] else 'FAIL'} {check['name']}: {check['detail']}", highlight=False)
