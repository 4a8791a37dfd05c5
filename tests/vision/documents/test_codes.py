"""QR and bar codes: decoded from pixels, parsed strictly, compared with the print."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from vision.documents.checks.codes import code_check, fiscal, treasury_bill
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
        DIGITAL.replace("20260911", "20260229"), DIGITAL.replace("1300.00", "1e9"), DIGITAL.replace("1300.00", "--5"),
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


def test_a_special_digital_invoice_states_its_total_too() -> None:
    special = DIGITAL.replace("01,32", "01,31", 1)
    check = code_check(KINDS["vat_invoice"], vat_values(), qr(special))
    assert check is not None
    assert check.passed
    assert fiscal(special.replace(",,", ",033001900111,", 1)) is None


def test_a_red_letter_invoice_printed_without_its_sign_fails() -> None:
    check = code_check(KINDS["vat_invoice"], vat_values(), qr(DIGITAL.replace("1300.00", "-1300.00")))
    assert check is not None
    assert not check.passed
    assert "total_minor: the code says -130000, the print 130000" in check.detail


BILL = {"number": "0012345678", "date": "2026-09-11", "total_minor": "6000"}
BILL_PRINT = ["票据代码:33060226 票据号码:0012345678", "校验码:a1b2c3 开票日期:2026年9月11日"]


@pytest.mark.parametrize(
    "text",
    [
        "01,06,33060226,0012345678,a1b2c3,20260911,60.00",
        "33060226,0012345678,60.00,20260911,A1B2C3,",
        "33060226,0012345678",
        "http://pj.example/check?pjdm=33060226&pjhm=0012345678&jym=a1b2c3",
        "https://pj.example/i?billBatchCode=33060226&billNo=0012345678&random=a1b2c3&x=1",
    ],
)
def test_the_code_of_a_bill_of_the_treasury_is_compared(text: str) -> None:
    kind = KINDS["outpatient_invoice"]
    agreed = code_check(kind, BILL, qr(text), BILL_PRINT)
    assert agreed is not None
    assert agreed.passed, agreed.detail
    other_number = code_check(kind, {**BILL, "number": "0012345679"}, qr(text), BILL_PRINT)
    assert other_number is not None
    assert not other_number.passed
    other_code = code_check(kind, BILL, qr(text), ["票据代码:33060227"])
    assert other_code is not None
    assert not other_code.passed
    if "1B2C3" in text.upper():
        other_check = code_check(kind, BILL, qr(text), ["校验码:a1b2c4"])
        assert other_check is not None
        assert not other_check.passed


@pytest.mark.parametrize(
    ("changed", "fails"), [({"total_minor": "60000"}, True), ({"date": "2026-09-12"}, True), ({}, False)]
)
def test_amount_and_day_of_a_bills_code_are_compared_where_it_states_them(changed: dict[str, str], fails: bool) -> None:
    check = code_check(
        KINDS["outpatient_invoice"], {**BILL, **changed}, qr("01,06,33060226,0012345678,a1b2c3,20260911,60.00")
    )
    assert check is not None
    assert check.passed is not fails


@pytest.mark.parametrize(
    "text",
    ["", "0012345678", "20260911,0012345678901", "330602261,0012345678", "20260911,0012345678", "https://x.example/?no=0012345678",
     "a" * 9_999, "33060226,0012345678," + "1," * 9_999],
)  # fmt: skip
def test_other_codes_are_no_bills(text: str) -> None:
    assert treasury_bill(text) == {}


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
