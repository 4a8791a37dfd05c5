"""The conventions of one page, found before its fields are read: its currency, its notation of amounts, its order of
day and month."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from vision.documents.fields.countries import home_of
from vision.documents.fields.currency import read_currency
from vision.documents.text.day_order import day_first
from vision.documents.text.layout import Row
from vision.documents.text.notation import notation_of, restated
from vision.documents.text.page import CheckReading, CurrencyReading, FieldReading, RefusedField
from vision.documents.text.signs import decimals

#: The currency whose amounts the details of checks write without its code, as they did when no other was read.
_HOME: Final = "CNY"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a page in the house's notation, with what stayed open.

    currency: that of its amounts. scale: of amounts in minor units, the print that may be another amount by its marks.
    unlikely: of amounts, the print that does not fit the others. days: of days, the print that may be another day.
    """

    rows: tuple[Row, ...]
    currency: CurrencyReading
    scale: Mapping[int, str]
    unlikely: Mapping[int, str]
    days: Mapping[date, str]

    def unambiguous(
        self, fields: Sequence[FieldReading], refused: Sequence[RefusedField]
    ) -> tuple[list[FieldReading], list[RefusedField]]:
        """Return the fields without amounts whose print has two meanings, and these among the refused: sums cannot
        tell, because they hold in either."""
        open_ones = [field for field in fields if _is_amount(field) and int(field.value) in self.scale]
        return [field for field in fields if field not in open_ones], [
            *refused,
            *(RefusedField(field.name, f"{self.scale[int(field.value)]} may be two amounts") for field in open_ones),
        ]

    def doubts(self, fields: Sequence[FieldReading]) -> tuple[RefusedField, ...]:
        """Return the fields that a person must check for their notation: an amount written unlike the others, a day
        that may be a month."""
        doubts = []
        for field in fields:
            if _is_amount(field) and int(field.value) in self.unlikely:
                printed = self.unlikely[int(field.value)]
                doubts.append(RefusedField(field.name, f"{printed} is written unlike the other amounts"))
            elif _is_date(field) and date.fromisoformat(field.value) in self.days:
                printed = self.days[date.fromisoformat(field.value)]
                doubts.append(RefusedField(field.name, f"{printed} may be two days"))
        return tuple(doubts)


def restated_sheet(rows: Sequence[Row]) -> Sheet:
    """Return the page's rows with amounts written 1,234.56 and dates day first, by the page's own conventions."""
    currency = read_currency(rows)
    amounts = restated(rows, notation_of(rows, currency.code, currency.country))
    dated = day_first(amounts.rows, currency.country or home_of(currency.code))
    return Sheet(dated.rows, currency, amounts.ambiguous, amounts.unlikely, dated.ambiguous)


def in_currency(checks: Sequence[CheckReading], code: str) -> tuple[CheckReading, ...]:
    """Return the checks with the amounts of their details in a foreign currency's decimals and with its code: "items
    sum to 1234 JPY". Without a code, and at home, they stay as they are."""
    if code in ("", _HOME):
        return tuple(checks)
    places = decimals(code)

    def written(match: re.Match[str]) -> str:
        minor = int(match[1]) * 100 + int(match[2])
        whole, part = divmod(minor, 10**places)
        return f"{whole}{f'.{part:0{places}d}' if places else ''} {code}"

    return tuple(
        replace(check, detail=re.sub(r"(?<![\d.-])(\d+)\.(\d\d)(?![\d.])", written, check.detail))
        if check.name in _OF_AMOUNTS
        else check
        for check in checks
    )


_OF_AMOUNTS: Final = frozenset(
    {
        "items_sum_to_total",
        "capital_amount_equals_total",
        "insurance_and_cash_equal_total",
        "net_and_tax_equal_total",
        "price_less_discount_equals_total",
    }
)


def _is_amount(field: FieldReading) -> bool:
    return field.name.endswith("_minor")


def _is_date(field: FieldReading) -> bool:
    return field.name == "date" or field.name.endswith("_date")
