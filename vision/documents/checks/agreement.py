"""Checks of what must agree within one paper. A check is made only if both of its sides were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

from vision.documents.checks.codes import code_check
from vision.documents.kinds.catalogue import PaperKind
from vision.documents.text.page import CheckReading, FieldReading, ItemReading, PaperCode

_EARLIEST = date(2000, 1, 1)
_AHEAD_DAYS_MAX = 1  # a paper issued east of us may carry tomorrow's date


def checks(
    kind: PaperKind,
    fields: Sequence[FieldReading],
    items: Sequence[ItemReading],
    today: date,
    codes: Sequence[PaperCode] = (),
    lines: Sequence[str] = (),
) -> list[CheckReading]:
    """Return every check that applies, in a fixed order. Amounts are compared to the minor unit. lines: the
    whole print."""
    values = {field.name: field.value for field in fields}
    made = [_CHOSEN[name](values, items, kind) for name in kind.checks]
    made += [_dates(values, kind, today), code_check(kind, values, codes, lines)]
    return [check for check in made if check is not None]


def _minor(values: Mapping[str, str], name: str) -> int | None:
    return int(values[name]) if name in values else None


def _items(values: Mapping[str, str], items: Sequence[ItemReading], kind: PaperKind) -> CheckReading | None:
    goal = kind.items.sums_to if kind.items is not None else ""
    total = _minor(values, goal)
    if total is None or not items:
        return None
    summed = sum(item.amount_minor for item in items)
    named = "the total" if goal == "total_minor" else goal.removesuffix("_minor")
    return CheckReading(
        "items_sum_to_total",
        summed == total,
        f"{len(items)} items sum to {_yuan(summed)}, {named} says {_yuan(total)}",
    )


def _capital(values: Mapping[str, str], _items: Sequence[ItemReading], _kind: PaperKind) -> CheckReading | None:
    written, total = _minor(values, "capital_total_minor"), _minor(values, "total_minor")
    if written is None or total is None:
        return None
    detail = f"in capitals {_yuan(written)}, in digits {_yuan(total)}"
    return CheckReading("capital_amount_equals_total", written == total, detail)


def _insurance(values: Mapping[str, str], _items: Sequence[ItemReading], _kind: PaperKind) -> CheckReading | None:
    insurance, cash = _minor(values, "insurance_paid_minor"), _minor(values, "cash_paid_minor")
    total = _minor(values, "total_minor")
    if insurance is None or cash is None or total is None:
        return None
    account = _minor(values, "account_paid_minor") or 0
    parts = f"insurance {_yuan(insurance)} + account {_yuan(account)} + cash {_yuan(cash)}"
    return CheckReading(
        "insurance_and_cash_equal_total",
        insurance + account + cash == total,
        f"{parts}, the total says {_yuan(total)}",
    )


def _net_and_tax(values: Mapping[str, str], _items: Sequence[ItemReading], _kind: PaperKind) -> CheckReading | None:
    net, tax, total = (_minor(values, name) for name in ("net_minor", "tax_minor", "total_minor"))
    if net is None or tax is None or total is None:
        return None
    detail = f"net {_yuan(net)} + tax {_yuan(tax)}, the total says {_yuan(total)}"
    return CheckReading("net_and_tax_equal_total", net + tax == total, detail)


def _discount(values: Mapping[str, str], _items: Sequence[ItemReading], _kind: PaperKind) -> CheckReading | None:
    price, total = _minor(values, "price_minor"), _minor(values, "total_minor")
    if price is None or total is None:
        return None
    # Shops leave out a line of nothing: no discount, no freight.
    discount, freight = _minor(values, "discount_minor") or 0, _minor(values, "freight_minor") or 0
    parts = f"price {_yuan(price)} - discount {_yuan(discount)} + freight {_yuan(freight)}"
    return CheckReading(
        "price_less_discount_equals_total",
        price - discount + freight == total,
        f"{parts}, paid {_yuan(total)}",
    )


def _stay(values: Mapping[str, str], _items: Sequence[ItemReading], _kind: PaperKind) -> CheckReading | None:
    """Check the days of a stay: the day of admission counts, that of discharge does not; a stay within one day is one
    day."""
    if "admitted_date" not in values or "discharged_date" not in values:
        return None
    nights = (date.fromisoformat(values["discharged_date"]) - date.fromisoformat(values["admitted_date"])).days
    between = f"from {values['admitted_date']} to {values['discharged_date']}"
    if nights < 0:
        return CheckReading("stay_days_match_dates", False, f"{between}: discharged before admitted")
    if "stay_days" not in values:
        return None
    printed = int(values["stay_days"])
    return CheckReading("stay_days_match_dates", printed == max(1, nights), f"{between}, the paper says {printed} days")


def _dates(values: Mapping[str, str], kind: PaperKind, today: date) -> CheckReading | None:
    read = {name: date.fromisoformat(values[name]) for name in kind.dates() if name in values}
    if not read:
        return None
    latest = today + timedelta(days=_AHEAD_DAYS_MAX)
    wrong = {name: day for name, day in read.items() if not _EARLIEST <= day <= latest}
    shown = wrong or read
    words = ", ".join(
        f"{'dated' if name == 'date' else name.removesuffix('_date')} {day.isoformat()}" for name, day in shown.items()
    )
    return CheckReading("date_is_plausible", not wrong, f"{words}, read on {today.isoformat()}")


def _yuan(minor: int) -> str:
    whole, part = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}{whole}.{part:02d}"


_CHOSEN: Mapping[str, Callable[[Mapping[str, str], Sequence[ItemReading], PaperKind], CheckReading | None]] = {
    "items_sum_to_total": _items,
    "capital_amount_equals_total": _capital,
    "insurance_and_cash_equal_total": _insurance,
    "net_and_tax_equal_total": _net_and_tax,
    "price_less_discount_equals_total": _discount,
    "stay_days_match_dates": _stay,
}
