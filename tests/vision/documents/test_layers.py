"""The text layer of a PDF: extracted by the confined decoder, compared with the picture, never trusted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from fixtures.hostile_files import pdf, pdf_of, pdf_stream
from tests.vision.documents.paper_pdf import as_pdf, bill_page
from vision.decode.image import DecodeLimits, Decoder
from vision.decode.text_layer import CHARACTERS_MAX, LINES_MAX, TextLayer, read_layer
from vision.documents.checks.layers import layer_check, layer_page
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse, parse_as
from vision.documents.text.layout import rows_of
from vision.documents.text.page import CheckReading, PageText, PaperReading

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()
KIND = KINDS["outpatient_invoice"]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeLimits(), processes=1) as running:
        yield running


def layer_of(decoder: Decoder, file: bytes) -> tuple[TextLayer, int, int]:
    (page,) = decoder.render_pdf(file)
    return page.text_layer, page.pixels.shape[1], page.pixels.shape[0]


def honest(decoder: Decoder) -> PaperReading:
    """Returns the picture's reading, here taken from an honest layer, so that no OCR is needed."""
    return parse(layer_page(*layer_of(decoder, as_pdf(bill_page()))), TODAY, KINDS)


def parsed(page: PageText) -> PaperReading:
    return parse_as(KIND, rows_of(page), page, TODAY)


def check_of(decoder: Decoder, replaced: dict[str, str]) -> CheckReading | None:
    layer, width, height = layer_of(decoder, as_pdf(bill_page(), replaced))
    return layer_check(honest(decoder), KIND, layer, width, height, parsed)


def test_the_layer_is_read_like_a_page(decoder: Decoder) -> None:
    reading = honest(decoder)
    assert reading.kind == "outpatient_invoice"
    assert reading.value("hospital") == "杭州市协济医院"
    assert reading.value("total_minor") == "6000"
    assert [(item.text, item.amount_minor) for item in reading.items] == [("静脉输液", 1250), ("换药费", 4750)]
    assert all(check.passed for check in reading.checks)


def test_a_layer_that_says_the_same_passes(decoder: Decoder) -> None:
    check = check_of(decoder, {})
    assert check is not None
    assert check.passed
    assert "total_minor" in check.detail


@pytest.mark.parametrize(
    ("printed", "replacement", "name"),
    [
        ("（小写）60.00", "（小写）600.00", "total_minor"),
        ("票据号码：0012345678", "票据号码：0012345679", "number"),
        ("交款人：范天丽", "交款人：周文海", "patient"),
        ("开票日期：2026年9月11日", "开票日期：2026年9月21日", "date"),
        ("收款单位（章）：杭州市协济医院", "收款单位（章）：杭州市中心医院", "hospital"),
        ("（小写）60.00", "（小写）1000000000000.00", "total_minor"),
        ("开票日期：2026年9月11日", "开票日期：2026年2月29日", "date"),
    ],
)
def test_a_layer_that_lies_fails(decoder: Decoder, printed: str, replacement: str, name: str) -> None:
    check = check_of(decoder, {printed: replacement})
    assert check is not None
    assert not check.passed
    assert check.detail.startswith(f"{name}: the text layer says")


def test_without_a_layer_there_is_no_check(decoder: Decoder) -> None:
    layer, width, height = layer_of(decoder, as_pdf(bill_page(), layer=False))
    assert layer.lines == ()
    assert layer_check(honest(decoder), KIND, layer, width, height, parsed) is None


def test_a_layer_of_other_words_says_nothing(decoder: Decoder) -> None:
    layer, width, height = layer_of(decoder, pdf())
    assert [line.text for line in layer.lines] == ["Claim 4711"]
    assert layer_check(honest(decoder), KIND, layer, width, height, parsed) is None


def test_a_layer_longer_than_any_paper_fails_and_costs_no_page(decoder: Decoder) -> None:
    words = b"".join(b"BT /F1 4 Tf 20 %d Td (%s) Tj ET\n" % (820 - 6 * i, b"total 100.00 " * 20) for i in range(120))
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 3 0 R"
    page += b" /Resources << /Font << /F1 4 0 R >> >> >>"
    file = pdf_of(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [5 0 R] >>",
            pdf_stream(words),
            font,
            page,
        ]
    )
    layer, width, height = layer_of(decoder, file)
    assert not layer.complete
    assert sum(len(line.text) for line in layer.lines) <= CHARACTERS_MAX
    check = layer_check(honest(decoder), KIND, layer, width, height, parsed)
    assert check is not None
    assert not check.passed


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b'{"lines": [["a", 1, 2, 3]], "complete": true}', b'{"lines": 3, "complete": true}',
        b'{"lines": [%s], "complete": true}' % b",".join([b'["a",0,0,1,1]'] * (LINES_MAX + 1)),
        b'{"lines": [["%s",0,0,1,1]], "complete": true}' % (b"a" * (CHARACTERS_MAX + 1)),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_layer_is_refused(answer: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        read_layer(answer)
