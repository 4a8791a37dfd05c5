"""XML e-invoices: drawn from their data by the confined decoder; hostile and contradictory ones refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.ofd import tax_invoice_xml, treasury_bill_xml
from formats.sniff import XML, media_type
from vision.decode.image import Decoder, Picture
from vision.decode.xml_tree import DEPTH_MAX, XmlRefused, read_xml
from vision.errors import ImageRefused


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def page_of(decoder: Decoder, file: bytes) -> Picture:
    (page,) = decoder.render_document(file)
    return page


def texts(page: Picture) -> list[str]:
    return [line.text for line in page.text_layer.lines]


def refused(decoder: Decoder, file: bytes) -> ImageRefused:
    with pytest.raises(ImageRefused) as error:
        decoder.render_document(file)
    return error.value


def test_an_invoice_is_drawn_as_a_page_that_says_what_its_data_say(decoder: Decoder) -> None:
    page = page_of(decoder, tax_invoice_xml(Remark="订单 4711"))
    assert page.media_type == XML
    assert texts(page) == [
        "电子发票（发票数据）",
        "发票号码：26332000000123456789",
        "开票日期：2026年09月11日",
        "购买方名称：范天丽",
        "销售方名称：杭州协济宠物医院有限公司",
        "项目名称",
        "金额",
        "税额",
        "*医疗服务*血常规",
        "100.00",
        "6.00",
        "*医疗服务*诊疗费",
        "50.00",
        "3.00",
        "合计",
        "¥150.00",
        "¥9.00",
        "价税合计（大写）壹佰伍拾玖元整",
        "（小写）¥159.00",
        "备注：订单 4711",
        "（数据带有电子签名，未作验证）",
    ]
    for line in page.text_layer.lines:
        box = page.pixels[round(line.top) : round(line.bottom), round(line.left) : round(line.right)]
        assert 0.02 < float((box.max(axis=2) < 128).mean()) < 0.6, line.text
    assert page.signature.present
    assert page.signature.compared == 0, "present is not checked"


def test_a_bill_of_the_treasury_is_drawn_by_its_own_names(decoder: Decoder) -> None:
    page = page_of(decoder, treasury_bill_xml())
    assert texts(page)[0] == "浙江省医疗门诊收费票据（电子）"
    assert {
        "票据代码：33060226",
        "票据号码：0012345678",
        "校验码：a1b2c3",
        "（小写）¥60.00",
        "收款单位（章）：杭州市协济医院",
    } <= set(texts(page))


def test_zeros_behind_the_decimals_change_no_amount(decoder: Decoder) -> None:
    assert "（小写）¥159.00" in texts(page_of(decoder, tax_invoice_xml(TotalTax_includedAmount="159.000000")))
    assert "（小写）¥159.00" in texts(page_of(decoder, twice("TotalTax-includedAmount", "159.0000")))
    assert "（小写）¥159.001" in texts(page_of(decoder, tax_invoice_xml(TotalTax_includedAmount="159.001")))


@pytest.mark.parametrize("encoding", ["UTF-8", "GBK", "gb2312", "GB18030", "UTF-16"])
def test_an_invoice_may_be_in_any_of_the_usual_encodings(decoder: Decoder, encoding: str) -> None:
    file = tax_invoice_xml(encoding=encoding)
    if encoding == "UTF-16":
        assert media_type(file) == "", "not seen among e-invoices; told in words what to send"
        return
    assert texts(page_of(decoder, file)) == texts(page_of(decoder, tax_invoice_xml()))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xef\xbb\xbf",
        b'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- a comment -->\n',
        b'<?xml version="1.0"?><?xml-stylesheet href="x"?>',
    ],
)
def test_the_door_tells_an_e_invoice_by_its_root(head: bytes) -> None:
    body = tax_invoice_xml().split(b"?>\n", 1)[1]
    assert media_type((head + body)[:512]) == XML
    assert media_type((head + b"<EInvoices/>")[:512]) == ""
    assert media_type((head + b"<Invoice><EInvoice/></Invoice>")[:512]) == ""


def twice(element: str, value: str) -> bytes:
    return tax_invoice_xml().replace(f"<{element}>".encode(), f"<{element}>{value}</{element}><{element}>".encode(), 1)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (twice("TotalTax-includedAmount", "959.00"), "states the total in 2 ways"),
        (twice("InvoiceNumber", "26332000000123456780"), "states the number in 2 ways"),
        (twice("SellerName", "别家公司"), "states the seller in 2 ways"),
        (tax_invoice_xml(TotalTax_includedAmount=""), "states no total"),
        (tax_invoice_xml(InvoiceNumber=""), "states no number"),
        (b"<EInvoice/>", "states no number"),
        (b"<EInvoice>", "breaks off"),
        (b"<EInvoice><a></b></EInvoice>", "wrong in line 1"),
        (
            b'<?xml version="1.0"?><!--' + b" " * 250 + b"--><EInvoice>" + b"<a>" * DEPTH_MAX,
            "more elements",
        ),
        (b"<EInvoice>" + b"<a/>" * 200_001 + b"</EInvoice>", "more elements"),
        (b"<EInvoice>" + b" " * (17 << 20) + b"</EInvoice>", "at most"),
        (tax_invoice_xml().replace(b'encoding="UTF-8"', b'encoding="GBK"'), "not in the encoding"),
    ],
)
def test_a_bad_invoice_is_refused_with_what_to_send_instead(decoder: Decoder, file: bytes, words: str) -> None:
    error = refused(decoder, file)
    assert error.code == "broken"
    assert words in error.detail
    assert "PDF or OFD" in error.detail
    assert page_of(decoder, tax_invoice_xml()).pixels.shape[1] == 1240


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE EInvoice [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><EInvoice><InvoiceNumber>&j;</InvoiceNumber></EInvoice>"
)
OUTSIDE = b'<!DOCTYPE EInvoice [<!ENTITY a SYSTEM "file:///etc/passwd">]><EInvoice><InvoiceNumber>&a;</InvoiceNumber></EInvoice>'


@pytest.mark.parametrize("file", [LAUGHS, OUTSIDE, LAUGHS.replace(b"<!DOCTYPE", b"<!-- x --><!DOCTYPE")])
def test_entities_are_refused_unread(decoder: Decoder, file: bytes) -> None:
    """The door does not take a file with a document type; the tree does not either, wherever it comes from."""
    assert refused(decoder, file).code == "unknown_format"
    with pytest.raises(XmlRefused, match="document type"):
        read_xml(file)


def test_an_invoice_of_more_items_than_a_page_holds_says_so(decoder: Decoder) -> None:
    item = b"<IssuItemInformation><ItemName>x</ItemName><Amount>1.00</Amount></IssuItemInformation>"
    page = page_of(
        decoder, tax_invoice_xml().replace(b"<AdditionalInformation>", item * 60 + b"<AdditionalInformation>")
    )
    assert "（明细共 62 行，此处从略）" in texts(page)
    assert "x" not in texts(page)


def test_a_name_longer_than_its_column_does_not_run_into_the_next(decoder: Decoder) -> None:
    page = page_of(decoder, tax_invoice_xml().replace("血常规".encode(), ("血" * 100).encode()))
    (name,) = (line for line in page.text_layer.lines if line.text.startswith("*医疗服务*血"))
    (amount,) = (line for line in page.text_layer.lines if line.text == "100.00")
    assert name.right < amount.left
