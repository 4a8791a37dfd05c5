"""Foreign receipts as pictures, read by the whole reader: their currency is read, and no amount is taken at par."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pytest

from fixtures.papers.draw import Page
from vision.decode.exif import exif_reading
from vision.decode.image import Picture
from vision.documents import PaperReading, Reader
from vision.documents.gate import not_accepted_because


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(today=lambda: date(2026, 11, 22), page_checks=()) as running:
        yield running


def _read(reader: Reader, header: Sequence[str], day: str, prices: Sequence[str], total: str) -> PaperReading:
    page = Page(760, 900)
    for place, line in enumerate(header):
        page.text(380, 40 + 46 * place, line, 30, bold=place == 0, anchor="ma")
    page.text(40, 260, f"Receipt No: 20391845   Date: {day} 12:41", 26)
    rows = [(f"ITEM {place}", price) for place, price in enumerate(prices)]
    for place, (label, amount) in enumerate([*rows, ("TOTAL", total), ("VISA", total)]):
        page.text(40, 330 + 52 * place, label, 30)
        page.text(720, 330 + 52 * place, amount, 30, anchor="ra")
    page.text(380, 760, "THANK YOU", 28, anchor="ma")
    pixels = np.asarray(page.image.convert("RGB"), dtype=np.uint8)
    result = reader.read(Picture(pixels, pixels.shape[1], pixels.shape[0], "image/png", "", exif_reading({})))
    assert isinstance(result, PaperReading)
    return result


@pytest.mark.parametrize(
    ("header", "day", "prices", "total", "code", "minor", "read"),
    [
        (["GREEN DINER LLC", "12 MAIN STREET", "AUSTIN, TX 78701"], "07/04/2026", ["$10.00", "$2.50"], "$12.50",
         "USD", "1250", "2026-07-04"),
        (["CORNER CAFE LTD", "LONDON W1D 4PZ", "VAT NO GB 123 4567 89"], "07/04/2026", ["£3.00", "£1.20"], "£4.20",
         "GBP", "420", "2026-04-07"),
        (["HARBOUR STORE LTD", "KOWLOON, HONG KONG"], "07/04/2026", ["HK$80.00", "HK$8.00"], "HK$88.00",
         "HKD", "8800", "2026-04-07"),
        (["CAFE AM MARKT GMBH", "BERLIN, DEUTSCHLAND"], "07.04.2026", ["EUR 1.200,00", "EUR 34,56"], "EUR 1.234,56",
         "EUR", "123456", "2026-04-07"),
        (["SPICE STORE", "MUMBAI, INDIA", "GSTIN 27AAPFU0939F1ZV"], "07/04/2026", ["1,20,000.00", "34.56"],
         "1,20,034.56", "INR", "12003456", "2026-04-07"),
        (["SAKURA STORE INC", "TOKYO, JAPAN"], "2026/07/04", ["JPY 600", "JPY 400"], "JPY 1,000",
         "JPY", "1000", "2026-07-04"),
    ],
)  # fmt: skip
def test_a_foreign_receipt_is_read_in_its_own_currency_and_notation(
    reader: Reader, header: list[str], day: str, prices: list[str], total: str, code: str, minor: str, read: str
) -> None:
    reading = _read(reader, header, day, prices, total)
    assert reading.currency is not None
    assert (reading.currency.code, reading.value("total_minor"), reading.value("date")) == (code, minor, read)


def test_a_bare_dollar_is_no_currency_and_the_receipt_is_not_accepted(reader: Reader) -> None:
    reading = _read(reader, ["CORNER STORE", "1 HIGH STREET"], "4 Jul 2026", ["$10.00", "$2.50"], "$12.50")
    assert reading.currency is not None
    assert reading.currency.code == ""
    assert not_accepted_because(reading)
