"""E-invoices read to the end: PDFs without embedded fonts, OFD, XML; honest ones accepted, lying ones not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fixtures.hostile_files import png
from fixtures.ofd import PAGE, packed, parts, signed, tax_invoice_xml, treasury_bill_xml
from models.ocr_build import default_target
from tests.vision.decode.pdf_texts import FONTS, pdf_of_texts
from tests.vision.documents.paper_pdf import POINTS, ROWS, SIZE_PX
from vision.decode.image import Decoder, Picture
from vision.documents import Reader, load_catalogue
from vision.documents.checks.layers import layer_page, layers_check
from vision.documents.checks.signed import signature_check
from vision.documents.gate import accepted, unfit_because
from vision.documents.parse import parse, parse_as
from vision.documents.text.layout import rows_of
from vision.documents.text.page import PageText, PaperReading

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()
BILL = [(x * POINTS, (y + SIZE_PX * 1.1) * POINTS, text) for x, y, text in ROWS]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader(models_dir=Path(default_target()), today=lambda: TODAY) as reading:
        yield reading


def page_of(decoder: Decoder, file: bytes) -> Picture:
    (page,) = decoder.render_document(file)
    return page


def by_layer(page: Picture) -> PaperReading:
    """Returns the page as read from its text, without OCR."""
    height, width = page.pixels.shape[:2]
    return parse(layer_page(page.text_layer, width, height), TODAY, KINDS)


def by_eye(reader: Reader, page: Picture) -> PaperReading:
    reading = reader.read(page)
    assert isinstance(reading, PaperReading), reading
    return reading


def failed(reading: PaperReading) -> list[str]:
    return [check.name for check in reading.checks if not check.passed]


def test_a_bill_in_fonts_that_are_not_embedded_is_read_as_a_person_reads_it(decoder: Decoder, reader: Reader) -> None:
    page = page_of(decoder, pdf_of_texts(BILL, FONTS[0], SIZE_PX * POINTS))
    reading = by_eye(reader, page)
    assert reading.value("total_minor") == "6000"
    assert reading.value("hospital") == "杭州市协济医院"
    assert ("text_layer_matches_picture", True) in [(check.name, check.passed) for check in reading.checks]
    assert unfit_because(reading) == ""


def test_an_ofd_and_an_xml_invoice_are_read_and_accepted(decoder: Decoder, reader: Reader) -> None:
    for file in (packed(signed(parts(data=tax_invoice_xml()))), tax_invoice_xml()):
        reading = by_eye(reader, page_of(decoder, file))
        assert reading.kind == "vat_invoice"
        assert reading.value("number") == "26332000000123456789"
        assert reading.value("total_minor") == "15900"
        assert reading.value("seller") == "杭州协济宠物医院有限公司"
        assert failed(reading) == []
        assert unfit_because(reading) == ""
        assert accepted(reading)


def test_an_ofd_whose_page_shows_another_total_than_its_data_is_not_accepted(decoder: Decoder, reader: Reader) -> None:
    data = tax_invoice_xml(
        TotalAmWithoutTax="950.00", TotalTax_includedAmount="959.00", TotalTax_includedAmountInChinese="玖佰伍拾玖元整"
    )
    reading = by_eye(reader, page_of(decoder, packed(parts(data=data))))
    assert failed(reading) == ["text_layer_matches_picture"]
    assert not accepted(reading)


@pytest.mark.parametrize(
    ("file", "kind", "values"),
    [
        (
            tax_invoice_xml(),
            "vat_invoice",
            {
                "number": "26332000000123456789", "date": "2026-09-11", "total_minor": "15900", "net_minor": "15000",
                "tax_minor": "900", "capital_total_minor": "15900", "buyer": "范天丽",
                "seller": "杭州协济宠物医院有限公司",
            },
        ),
        (packed(parts()), "vat_invoice", {"number": "26332000000123456789", "total_minor": "15900"}),
        (
            treasury_bill_xml(),
            "outpatient_invoice",
            {
                "number": "0012345678", "date": "2026-09-11", "total_minor": "6000", "patient": "范天丽",
                "hospital": "杭州市协济医院",
            },
        ),
    ],
    ids=["xml", "ofd", "treasury"],
)  # fmt: skip
def test_the_data_become_the_papers_fields(decoder: Decoder, file: bytes, kind: str, values: dict[str, str]) -> None:
    reading = by_layer(page_of(decoder, file))
    assert reading.kind == kind
    assert {name: reading.value(name) for name in values} == values
    assert failed(reading) == []
    assert "items_sum_to_total" in [check.name for check in reading.checks]


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"TotalTax_includedAmount": "959.00"}, "capital_amount_equals_total"),
        ({"TotalTax_includedAmountInChinese": "玖佰伍拾玖元整"}, "capital_amount_equals_total"),
        ({"TotalAmWithoutTax": "950.00"}, "net_and_tax_equal_total"),
    ],
)
def test_an_xml_invoice_that_contradicts_itself_fails_its_check(
    decoder: Decoder, changed: dict[str, str], check: str
) -> None:
    assert check in failed(by_layer(page_of(decoder, tax_invoice_xml(**changed))))


def test_what_an_ofd_states_in_its_data_is_compared_with_what_it_shows(decoder: Decoder) -> None:
    kind = KINDS["vat_invoice"]

    def parsed(page: PageText) -> PaperReading:
        return parse_as(kind, rows_of(page), page, TODAY)

    outcomes = {}
    for name, data in {
        "none": None,
        "same": tax_invoice_xml(),
        "total": tax_invoice_xml(TotalTax_includedAmount="959.00"),
        "number": tax_invoice_xml(InvoiceNumber="26332000000123456780"),
        "seller": tax_invoice_xml(SellerName="别家公司"),
    }.items():
        page = page_of(decoder, packed(parts(data=data)))
        height, width = page.pixels.shape[:2]
        layers = (page.text_layer, page.data_layer)
        check = layers_check(by_layer(page), kind, layers, width, height, parsed)
        assert check is not None
        outcomes[name] = check.passed
    assert outcomes == {"none": True, "same": True, "total": False, "number": False, "seller": False}


def test_a_signature_is_said_to_fit_or_not_and_never_to_be_genuine(decoder: Decoder) -> None:
    made = signed(parts())
    fits = signature_check(page_of(decoder, packed(made)).signature)
    assert fits is not None
    assert fits.passed
    assert "who signed them was not checked" in fits.detail
    made[PAGE] = made[PAGE].replace(b"159.00", b"959.00")
    differs = signature_check(page_of(decoder, packed(made)).signature)
    assert differs is not None
    assert not differs.passed
    assert differs.detail == f"not as it was signed: {PAGE}"
    for unsigned in (packed(parts()), tax_invoice_xml(), packed(signed(parts(), method="1.2.3"))):
        assert signature_check(page_of(decoder, unsigned).signature) is None


def test_a_picture_over_the_text_of_an_ofd_is_not_read_through(decoder: Decoder, reader: Reader) -> None:
    cover = '<ofd:ImageObject ID="5" Boundary="0 0 210 140" CTM="210 0 0 140 0 0" ResourceID="50"/>'
    page = page_of(decoder, packed({**parts(more=cover), "Doc_0/Res/code.png": png()}))
    reading = reader.read(page)
    assert not isinstance(reading, PaperReading) or not accepted(reading)
