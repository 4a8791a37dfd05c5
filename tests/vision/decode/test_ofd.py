"""OFD, the national format of e-invoices: drawn and read by the confined decoder; hostile ones refused."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.hostile_files import png
from fixtures.ofd import DATA, INVOICE_ROWS, PAGE, content, packed, parts, signed, tax_invoice_xml
from formats.sniff import OFD, media_type
from vision.decode.image import Decoder, Picture
from vision.decode.ofd_drawing import numbers
from vision.errors import ImageRefused


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(processes=1) as running:
        yield running


def page_of(decoder: Decoder, made: dict[str, bytes]) -> Picture:
    (page,) = decoder.render_document(packed(made))
    return page


def refused(decoder: Decoder, file: bytes) -> ImageRefused:
    with pytest.raises(ImageRefused) as error:
        decoder.render_document(file)
    return error.value


def ink(page: Picture, left: float, top: float, right: float, bottom: float) -> float:
    """Returns the share of dark pixels in a box of pixels."""
    box = page.pixels[round(top) : round(bottom), round(left) : round(right)]
    return float((box.max(axis=2) < 128).mean())


def test_the_texts_are_drawn_where_they_stand_and_are_the_text_layer(decoder: Decoder) -> None:
    page = page_of(decoder, parts())
    assert page.media_type == OFD
    assert page.pixels.shape == (827, 1240, 3)
    assert [line.text for line in page.text_layer.lines] == [text for _, _, text in INVOICE_ROWS]
    scale = 150 / 25.4
    for line, (x, y, _text) in zip(page.text_layer.lines, INVOICE_ROWS, strict=True):
        assert abs(line.left - x * scale) < 3
        assert line.top < y * scale < line.bottom
        assert 0.02 < ink(page, line.left, line.top, line.right, line.bottom) < 0.6
    assert page.data_layer.lines == ()
    assert not page.signature.present


def test_lines_fields_of_colour_and_pictures_are_drawn(decoder: Decoder) -> None:
    code = png()
    more = (
        '<ofd:PathObject ID="3" Boundary="10 100 100 20" LineWidth="1"><ofd:StrokeColor Value="255 0 0"/>'
        "<ofd:AbbreviatedData>M 0 10 L 100 10</ofd:AbbreviatedData></ofd:PathObject>"
        '<ofd:PathObject ID="4" Boundary="120 105 20 20" Stroke="false" Fill="true"><ofd:FillColor Value="0 0 255"/>'
        "<ofd:AbbreviatedData>M 0 0 L 20 0 L 20 20 L 0 20 C</ofd:AbbreviatedData></ofd:PathObject>"
        '<ofd:ImageObject ID="5" Boundary="160 100 30 30" CTM="30 0 0 30 0 0" ResourceID="50"/>'
    )
    page = page_of(decoder, {**parts((), more=more), "Doc_0/Res/code.png": code})
    scale = 150 / 25.4
    at = {name: page.pixels[round(y * scale), round(x * scale)].tolist() for name, x, y in (
        ("line", 60, 110), ("field", 130, 115), ("nothing", 60, 90))}  # fmt: skip
    assert at == {"line": [255, 0, 0], "field": [0, 0, 255], "nothing": [255, 255, 255]}
    shown = page.pixels[round(100 * scale) : round(130 * scale), round(160 * scale) : round(190 * scale)]
    assert float(np.std(shown)) > 20, "the picture is there"


def test_annotations_templates_and_composites_are_drawn(decoder: Decoder) -> None:
    """A stamp over an invoice is an annotation; a form's lines are often a template."""
    made = parts(INVOICE_ROWS[:1])
    made["Doc_0/Document.xml"] = (
        made["Doc_0/Document.xml"]
        .replace(b"</ofd:CommonData>", b'<ofd:TemplatePage ID="7" BaseLoc="Tpls/T.xml"/></ofd:CommonData>')
        .replace(b"</ofd:Document>", b"<ofd:Annotations>Annots/A.xml</ofd:Annotations></ofd:Document>")
    )
    made[PAGE] = made[PAGE].replace(b"<ofd:Content>", b'<ofd:Template TemplateID="7"/><ofd:Content>')
    made["Doc_0/Tpls/T.xml"] = content([(20, 60, "国家税务总局监制")]).encode()
    made["Doc_0/Annots/A.xml"] = b'<Annotations><Page PageID="1"><FileLoc>Page_0/A.xml</FileLoc></Page></Annotations>'
    stamp = content([(0, 10, "作废")]).replace("ofd:Content", "ofd:Appearance Boundary='80 80 40 20'", 1)
    inner = stamp[stamp.index("<ofd:Layer") : stamp.index("</ofd:Content")]
    made["Doc_0/Annots/Page_0/A.xml"] = (
        "<PageAnnot xmlns:ofd='x'><Annot ID='1' Type='Stamp'><Appearance Boundary='80 80 40 20'>"
        f"{inner}</Appearance></Annot></PageAnnot>"
    ).encode()
    texts = {line.text: line for line in page_of(decoder, made).text_layer.lines}
    assert set(texts) == {"国家税务总局监制", INVOICE_ROWS[0][2], "作废"}
    assert abs(texts["作废"].left - 80 * 150 / 25.4) < 3


def test_the_data_that_are_attached_are_kept_beside_the_page(decoder: Decoder) -> None:
    page = page_of(decoder, parts(data=tax_invoice_xml()))
    stated = [line.text for line in page.data_layer.lines]
    assert "（小写）¥159.00" in stated
    assert "销售方名称：杭州协济宠物医院有限公司" in stated
    assert max(line.right for line in page.data_layer.lines) <= page.pixels.shape[1]


@pytest.mark.parametrize("method", ["1.2.156.10197.1.401", "2.16.840.1.101.3.4.2.1"])
def test_a_signature_over_the_file_is_compared_and_the_signer_is_not(decoder: Decoder, method: str) -> None:
    made = signed(parts(), method=method)
    signature = page_of(decoder, made).signature
    assert (signature.present, signature.compared, signature.differing) == (True, 4, "")


def test_a_signature_over_another_file_is_told(decoder: Decoder) -> None:
    made = signed(parts())
    made[PAGE] = made[PAGE].replace(b"159.00", b"959.00")
    assert page_of(decoder, made).signature.differing == PAGE


def test_a_page_that_the_signature_leaves_out_is_told(decoder: Decoder) -> None:
    assert page_of(decoder, signed(parts(), left_out=[PAGE])).signature.differing == PAGE


def test_a_part_that_was_signed_and_is_gone_is_told(decoder: Decoder) -> None:
    made = signed(parts(data=tax_invoice_xml()))
    del made[DATA]
    made["Doc_0/Attachs/Attachments.xml"] = b"<Attachments/>"
    assert page_of(decoder, made).signature.differing


def test_a_signature_by_unknown_means_is_present_and_not_checked(decoder: Decoder) -> None:
    made = signed(parts(), method="1.2.3.4")
    signature = page_of(decoder, made).signature
    assert (signature.present, signature.compared, signature.differing) == (True, 0, "")


def flagged(file: bytes, flags: int) -> bytes:
    """Returns the archive with these flags in every entry of its directory."""
    data = bytearray(file)
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        data[at + 8 : at + 10] = struct.pack("<H", flags)
        at += 4
    return bytes(data)


def twice(path: str) -> bytes:
    target = io.BytesIO(packed(parts()))
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(target, "a") as archive:
        archive.writestr(path, b"<x/>")
    return target.getvalue()


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><x>&j;</x>"
)
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


def replaced(path: str, data: bytes) -> bytes:
    return packed({**parts(), path: data})


HOSTILE = {
    "no pages": (lambda: packed(parts(pages=0)), "no page"),
    "pages outside": (
        lambda: replaced("Doc_0/Document.xml", parts()["Doc_0/Document.xml"].replace(b"Pages/P", b"../../etc/P")),
        "leads out",
    ),
    "root from outside": (
        lambda: replaced("OFD.xml", parts()["OFD.xml"].replace(b"Doc_0/D", b"../../../etc/D")), "leads out",
    ),
    "entry outside": (lambda: packed({**parts(), "../../tmp/evil": b"x"}), "leads out"),
    "entry from the root": (lambda: packed({**parts(), "/etc/cron.d/x": b"x"}), "leads out"),
    "page missing": (lambda: packed({k: v for k, v in parts().items() if k != PAGE}), "not in the archive"),
    "zip bomb": (lambda: replaced(PAGE, b"<a>" + b" " * (40 << 20) + b"</a>"), "more than any paper"),
    "many large parts": (
        lambda: packed(
            parts(pages=8)
            | {f"Doc_0/Pages/Page_{n}/Content.xml": b"<a>" + b" " * (15 << 20) + b"</a>" for n in range(8)}
        ),
        "more than any paper",
    ),
    "many entries": (lambda: packed({**parts(), **{f"x/{n}": b"" for n in range(2_001)}}), "entries"),
    "billion laughs": (lambda: replaced(PAGE, ENTITIES), "document type"),
    "entity from a file": (lambda: replaced("OFD.xml", OUTSIDE), "document type"),
    "deep": (lambda: replaced(PAGE, b"<a>" * 100_000), "more elements"),
    "many elements": (lambda: replaced(PAGE, b"<a>" + b"<b/>" * 200_001 + b"</a>"), "more elements"),
    "no XML": (lambda: replaced(PAGE, b"\0\1\2"), "wrong in line"),
    "cut off": (lambda: packed(parts())[:-200], "damaged"),
    "wrong checksum": (
        lambda: packed(parts()).replace(zlib.crc32(parts()[PAGE]).to_bytes(4, "little"), b"abcd"), "damaged",
    ),
    "encrypted": (lambda: flagged(packed(parts()), 1), "encrypted"),
    "two of one name": (lambda: twice(PAGE), "two entries"),
    "huge page": (lambda: packed(parts(box="0 0 1e5 1e5")), "mm"),
    "page of no size": (lambda: packed(parts(box="0 0 0 0")), "mm"),
    "page that is no number": (lambda: packed(parts(box="nan inf x y")), "no size"),
    "endless text": (lambda: packed(parts([(10, 10, "一" * 20_001)])), "more text"),
    "composite in itself": (
        lambda: packed(
            parts((), more='<ofd:CompositeObject ID="4" ResourceID="60" Boundary="0 0 9 9"/>')
            | {
                "Doc_0/DocumentRes.xml": b'<Res><U><CompositeGraphicUnit ID="60"><Content>'
                + b'<CompositeObject ID="5" ResourceID="60"/>' * 10
                + b"</Content></CompositeGraphicUnit></U></Res>"
            }
        ),
        "",
    ),
    "two invoices attached": (
        lambda: packed(
            parts(data=tax_invoice_xml())
            | {
                "Doc_0/Attachs/Attachments.xml": b"<A><Attachment><FileLoc>original_invoice.xml</FileLoc></Attachment>"
                b"<Attachment><FileLoc>other.xml</FileLoc></Attachment></A>",
                "Doc_0/Attachs/other.xml": tax_invoice_xml(TotalTax_includedAmount="959.00"),
            }
        ),
        "two invoices",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_ofd_is_refused_in_words_and_costs_no_other_file(decoder: Decoder, name: str) -> None:
    make, words = HOSTILE[name]
    error = refused(decoder, make())
    assert error.code == "broken", error
    assert words in error.detail
    assert error.retryable
    assert page_of(decoder, parts()).pixels.shape == (827, 1240, 3)


def test_too_many_pages_are_refused_and_several_are_read(decoder: Decoder) -> None:
    assert len(decoder.render_document(packed(parts(pages=3)))) == 3
    assert refused(decoder, packed(parts(pages=51))).code == "pdf_too_many_pages"


def test_an_archive_that_is_no_ofd_is_named(decoder: Decoder) -> None:
    error = refused(decoder, packed({"Doc_0/x": b"x"}))
    assert error.code == "unknown_format"
    assert "unpack it" in error.detail
    with pytest.raises(ImageRefused, match="ZIP archive"):
        decoder.render_document(packed({"word/document.xml": b"x"}))


def test_a_large_picture_that_cannot_be_read_is_said_and_a_small_one_left_out(decoder: Decoder) -> None:
    """A scan in an unknown coding would otherwise be an empty page."""
    whole = '<ofd:ImageObject ID="5" Boundary="0 0 210 140" CTM="210 0 0 140 0 0" ResourceID="50"/>'
    assert refused(decoder, packed({**parts(more=whole), "Doc_0/Res/code.png": b"JBIG2"})).code == "unsupported_kind"
    small = whole.replace("210 140", "20 14").replace("210 0 0 140", "20 0 0 14")
    assert page_of(decoder, {**parts(more=small), "Doc_0/Res/code.png": b"JBIG2"}).text_layer.lines


def test_a_picture_over_the_text_hides_it_from_the_picture_alone(decoder: Decoder) -> None:
    """The check of the text layer is for this: the text still says what nobody sees."""
    cover = '<ofd:ImageObject ID="5" Boundary="0 0 210 140" CTM="210 0 0 140 0 0" ResourceID="50"/>'
    page = page_of(decoder, {**parts(more=cover), "Doc_0/Res/code.png": png()})
    bare = page_of(decoder, parts())
    assert page.text_layer == bare.text_layer
    assert not np.array_equal(page.pixels, bare.pixels)


@pytest.mark.parametrize(
    ("text", "values"), [("0 1.5 -2", [0, 1.5, -2]), ("", []), ("1e999 nan 3", [3]), ("9" * 400, [])]
)
def test_numbers_are_read_and_endless_ones_are_not(text: str, values: list[float]) -> None:
    assert numbers(text) == values


def test_the_door_tells_an_ofd_by_its_first_entry() -> None:
    assert media_type(packed(parts())[:512]) == OFD
    assert media_type(packed({"Doc_0/Document.xml": b"x"})[:512]) == OFD
    assert media_type(packed({"word/document.xml": b"x"})[:512]) == ""
    assert media_type(packed({"Document/x": b"x"})[:512]) == ""


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_to_an_ofd_is_a_refusal_or_a_page(decoder: Decoder, data: st.DataObject) -> None:
    made = signed(parts(data=tax_invoice_xml()))
    path = data.draw(st.sampled_from(sorted(made)))
    content_bytes = bytearray(made[path])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content_bytes) - 1))
        content_bytes[at : at + 1] = data.draw(st.binary(max_size=6))
    outcome = "a page"
    try:
        assert decoder.render_document(packed({**made, path: bytes(content_bytes)}))
    except ImageRefused as error:
        outcome = error.code
    assert outcome in {"a page", "broken", "unknown_format", "pdf_too_many_pages", "unsupported_kind"}
