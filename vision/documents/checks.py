"""What must agree within one paper. A check is made only when both of its sides were read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from vision.documents.page import PaperCheck, PaperField, PaperItem, PaperKind

_EARLIEST = date(2000, 1, 1)
_AHEAD_DAYS_MAX = 1  # a paper issued east of us may carry tomorrow's date


def checks(kind: PaperKind, fields: Sequence[PaperField], items: Sequence[PaperItem], today: date) -> list[PaperCheck]:
    """Every check that applies, in a fixed order. Amounts are compared to the minor unit."""
    values = {field.name: field.value for field in fields}
    made: list[PaperCheck] = []
    total = int(values["total_minor"]) if "total_minor" in values else None
    if kind is PaperKind.OUTPATIENT_INVOICE and total is not None:
        if items:
            summed = sum(item.amount_minor for item in items)
            detail = f"{len(items)} items sum to {_yuan(summed)}, the total says {_yuan(total)}"
            made.append(PaperCheck("items_sum_to_total", summed == total, detail))
        if "capital_total_minor" in values:
            written = int(values["capital_total_minor"])
            detail = f"in capitals {_yuan(written)}, in digits {_yuan(total)}"
            made.append(PaperCheck("capital_amount_equals_total", written == total, detail))
        if "insurance_paid_minor" in values and "cash_paid_minor" in values:
            insurance, cash = int(values["insurance_paid_minor"]), int(values["cash_paid_minor"])
            account = int(values.get("account_paid_minor", "0"))
            parts = f"insurance {_yuan(insurance)} + account {_yuan(account)} + cash {_yuan(cash)}"
            detail = f"{parts}, the total says {_yuan(total)}"
            made.append(PaperCheck("insurance_and_cash_equal_total", insurance + account + cash == total, detail))
    if "date" in values:
        day = date.fromisoformat(values["date"])
        plausible = _EARLIEST <= day <= today + timedelta(days=_AHEAD_DAYS_MAX)
        made.append(PaperCheck("date_is_plausible", plausible, f"dated {day.isoformat()}, read on {today.isoformat()}"))
    return made


def _yuan(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"
