"""QR and bar codes: decoded from pixels, parsed strictly, compared with the print."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from vision.documents.checks.codes import code_check, fiscal
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.ocr.child import CODES_MAX, decode_codes
from vision.documents.text.page import PageBox, PaperCode

KINDS = load_catalogue()
WHOLE = PageBox(0, 0, 1, 1)
DIGITAL = "01,32,,25332000000123456789,1300.00,20260911,,A1B2,"
OLD = "01,04,033001900111,01234567,94.34,20260305,65396576613970408694,0F3C,"


def picture_of(text: str, form: str, scale: int = 4) -> np.ndarray:
    code = zxingcpp.create_barcode(text, zxingcpp.barcode_format_from_str(form))
    drawn = np.array(zxingcpp.write_barcode_to_image(code, scale=scale))
    page = np.full((900, 1200), 250, dtype=np.uint8)
    page[200 : 200 + drawn.shape[0], 300 : 300 + drawn.shape[1]] = drawn
    return np.repeat(page[..., None], 3, axis=2)


@pytest.mark.parametrize(("text", "form"), [(DIGITAL, "QRCode"), ("SF1234567890123", "Code128")])
@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_code_is_decoded_however_it_lies_with_its_place(text: str, form: str, turns: int) -> None:
    pixels = np.ascontiguousarray(np.rot90(picture_of(text, form), turns))
    ((symbology, decoded, corners),) = decode_codes(pixels)
    assert (symbology, decoded) == (form, text)
    height, width = pixels.shape[:2]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in corners)


def test_a_page_without_a_code_has_none() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    assert decode_codes(noise) == []


def test_a_page_full_of_codes_gives_a_few() -> None:
    code = np.array(
        zxingcpp.write_barcode_to_image(zxingcpp.create_barcode("1", zxingcpp.BarcodeFormat.QRCode), scale=3)
    )
    tile = np.pad(code, 12, constant_values=255)
    assert len(decode_codes(np.repeat(np.tile(tile, (6, 6))[..., None], 3, axis=2))) <= CODES_MAX


@given(
    st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.integers(0, 10**11), st.integers(0, 10**20 - 1), st.booleans()
)
def test_every_payload_of_the_form_reads_back(day: date, minor: int, number: int, digital: bool) -> None:
    if digital:
        text = f"01,32,,{number:020d},{minor // 100}.{minor % 100:02d},{day:%Y%m%d},,AB12,"
    else:
        text = f"01,10,033001900111,{number % 10**8:08d},{minor // 100}.{minor % 100:02d},{day:%Y%m%d},6539,AB12,"
    read = fiscal(text)
    assert read is not None
    assert (read.day, read.amount_minor) == (day, minor)
    assert int(read.number) == (number if digital else number % 10**8)


@pytest.mark.parametrize(
    "text",
    [
        "", "https://example.org/01,32,,25332000000123456789,1300.00,20260911,,A1B2,", DIGITAL.replace("01,", "02,", 1),
        DIGITAL.replace("20260911", "20260229"), DIGITAL.replace("1300.00", "1e9"), DIGITAL.replace("1300.00", "-5.00"),
        DIGITAL.replace("1300.00", "99999999999.99"), DIGITAL.replace("25332000000123456789", "12345678"),
        DIGITAL.replace(",,", ",033001900111,", 1), OLD + "extra", "01,04", DIGITAL.replace("2", "２"),
    ],
)  # fmt: skip
def test_any_other_payload_is_none(text: str) -> None:
    assert fiscal(text) is None


def vat_values(**changes: str) -> dict[str, str]:
    return {
        "number": "25332000000123456789", "date": "2026-09-11", "total_minor": "130000", "net_minor": "115044",
    } | changes  # fmt: skip


def qr(text: str) -> list[PaperCode]:
    return [PaperCode("QRCode", text, WHOLE)]


def test_the_code_of_a_digital_invoice_states_its_total() -> None:
    check = code_check(KINDS["vat_invoice"], vat_values(), qr(DIGITAL))
    assert check is not None
    assert check.passed


def test_the_code_of_an_old_invoice_states_its_amount_before_tax() -> None:
    values = {"code": "033001900111", "number": "01234567", "date": "2026-03-05", "net_minor": "9434"}
    check = code_check(KINDS["vat_invoice"], {**values, "total_minor": "10000"}, qr(OLD))
    assert check is not None
    assert check.passed
    raised = code_check(KINDS["vat_invoice"], {**values, "net_minor": "9943"}, qr(OLD))
    assert raised is not None
    assert not raised.passed
    assert "the code says 9434, the print 9943" in raised.detail


@pytest.mark.parametrize(
    ("name", "value"),
    [("number", "25332000000123456780"), ("total_minor", "310000"), ("date", "2026-09-12")],
)
def test_a_print_that_differs_from_its_code_fails(name: str, value: str) -> None:
    check = code_check(KINDS["vat_invoice"], vat_values(**{name: value}), qr(DIGITAL))
    assert check is not None
    assert not check.passed
    assert name in check.detail


def test_a_code_says_nothing_where_nothing_of_it_was_read() -> None:
    assert code_check(KINDS["vat_invoice"], {}, qr(DIGITAL)) is None
    assert code_check(KINDS["vat_invoice"], vat_values(), []) is None
    assert code_check(KINDS["vat_invoice"], vat_values(), qr("https://example.org/other")) is None


def test_a_link_with_the_number_in_it_agrees() -> None:
    check = code_check(
        KINDS["outpatient_invoice"], {"number": "0012345678"}, qr("https://e.example/c?no=0012345678&x=1")
    )
    assert check is not None
    assert check.passed


@pytest.mark.parametrize(
    ("codes", "passed"),
    [
        ([("Code128", "SF1234567890123")], True),
        ([("Code128", "SF1234567890124")], False),
        ([("Code128", "571-A2")], None),
        ([("Code128", "571A2"), ("Code128", "SF1234567890123")], True),
        ([("QRCode", "MMM={'k5':'SF1234567890123'}")], True),
        ([("QRCode", "https://example.org/app")], None),
        ([], None),
    ],
)
def test_a_bar_code_of_a_slip_is_its_tracking_number(codes: list[tuple[str, str]], passed: bool | None) -> None:
    paper_codes = [PaperCode(symbology, text, WHOLE) for symbology, text in codes]
    check = code_check(KINDS["parcel_slip"], {"tracking_number": "SF1234567890123"}, paper_codes)
    assert (check.passed if check is not None else None) is passed
