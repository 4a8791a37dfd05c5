"""Reads the data of an XML e-invoice, and lays them out as a page that people and the reader can read. Runs inside the
decoding child only.

Three forms: the tax authority's invoice without a code (数电票, root EInvoice), its older one attached to an OFD (root
eInvoice), and the treasury's bill (财政电子票据, root EInvoice with EInvoiceCode). Names of elements as their
programs write them; where an element stands is not asked, but one that is stated twice differently is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from PIL import Image

from vision.decode.page_pen import PagePen, spelled, width_px
from vision.decode.pages_drawn import Lines, drawn_page
from vision.decode.pixels import DecodedPixels, PictureRefused
from vision.decode.signature import FileSignature
from vision.decode.xml_tree import XmlNode, XmlRefused, read_xml

_ROOTS: Final = frozenset({"EInvoice", "eInvoice"})
# Field: the elements that state it.
_ELEMENTS: Final = {
    "number": ("InvoiceNumber", "InvoiceNo", "EInvoiceNumber"),
    "code": ("InvoiceCode", "EInvoiceCode"),
    "check": ("InvoiceCheckCode", "RandomNumber"),
    "seller": ("SellerName", "InvoicingPartyName"),
    "buyer": ("BuyerName", "PayerPartyName"),
    "total": ("TotalTax-includedAmount", "TaxInclusiveTotalAmount"),
    "capital": ("TotalTax-includedAmountInChinese", "TaxInclusiveTotalAmountWithWords", "TotalAmountInChinese"),
    "net": ("TotalAmWithoutTax", "TaxExclusiveTotalAmount"),
    "tax": ("TotalTaxAm", "TaxTotalAmount"),
    "title": ("EInvoiceName",),
    "remark": ("Remark", "Remarks", "Note"),
}
_ITEMS: Final = frozenset({"IssuItemInformation", "GoodsInfo", "Item"})
_ITEM_NAMES: Final = ("ItemName", "Item")
_ITEM_AMOUNTS: Final = ("Amount", "ItemAmount")
_ITEM_TAXES: Final = ("ComTaxAm", "TaxAmount")
_SUMS: Final = frozenset({"total", "net", "tax"})
_LONG_ZEROS: Final = re.compile(r"(-?[\d,]+\.\d\d)0+")  # 159.000000, as databases write it
_VALUE_CHARACTERS_MAX: Final = 120
_ITEMS_MAX: Final = 50  # more do not fit onto one page; they are left out, and said to be
_DAY: Final = re.compile(r"(\d{4})[-/.年]?(\d{2})[-/.月]?(\d{2})")

_WIDTH_PX, _MARGIN_PX, _STEP_PX, _SIZE_PX = 1240, 80, 44, 28
_AMOUNT_X_PX, _TAX_X_PX = 760, 1000


@dataclass(frozen=True, slots=True)
class InvoiceData:
    """values: fields by name as stated. items: name, amount and tax of each. treasury: True for a 财政电子票据.
    signed: True if the data carry a signature."""

    values: dict[str, str]
    items: tuple[tuple[str, str, str], ...]
    treasury: bool
    signed: bool


def is_invoice(root: XmlNode) -> bool:
    """True if the element is the root of an e-invoice."""
    return root.name in _ROOTS


def invoice_of(root: XmlNode) -> InvoiceData:
    """Return what an e-invoice states. Raises XmlRefused if it has no number or total, or states one thing in two
    ways."""
    items: list[tuple[str, str, str]] = []
    stated: dict[str, set[str]] = {}
    inside: set[int] = set()
    for node in root.walk():
        if id(node) in inside:
            continue
        if node.name in _ITEMS and node.children:
            inside.update(id(below) for below in node.walk())
            sums = _sum(_first(node, _ITEM_AMOUNTS)), _sum(_first(node, _ITEM_TAXES))
            items.append((_first(node, _ITEM_NAMES), *sums))
        elif (value := _clean(node.text)) and not node.children:
            stated.setdefault(node.name, set()).add(value)
    treasury = "EInvoiceCode" in stated
    elements = dict(_ELEMENTS)
    elements["date"] = ("IssueDate",) if treasury or "IssueDate" in stated else ("IssueTime",)
    if treasury:
        elements["total"] = ("TotalAmount",)
    values = {name: value for name in elements if (value := _single(name, elements[name], stated))}
    for name in ("number", "total"):
        if name not in values:
            raise XmlRefused(f"the XML states no {name}, as every e-invoice does")
    signed = any("signature" in node.name.lower() for node in root.walk())
    return InvoiceData(values, tuple(items), treasury, signed)


def _single(name: str, elements: tuple[str, ...], stated: dict[str, set[str]]) -> str:
    values = set().union(*(stated.get(element, set()) for element in elements))
    if name in _SUMS:
        values = {_sum(value) for value in values}
    if len(values) > 1 and name != "remark":
        raise XmlRefused(f"the XML states the {name} in {len(values)} ways")
    return " ".join(sorted(values))


def _first(node: XmlNode, names: tuple[str, ...]) -> str:
    return next((_clean(below.text) for below in node.walk() if below.name in names and not below.children), "")


def _sum(text: str) -> str:
    """Return an amount without zeros behind its two decimals; anything else as it is."""
    match = _LONG_ZEROS.fullmatch(text)
    return match[1] if match else text


def _clean(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.split())[:_VALUE_CHARACTERS_MAX]


def laid_out(data: InvoiceData) -> list[tuple[float, float, str, int]]:
    """Return the invoice as a page that is _WIDTH_PX wide: left, base line, text and size, in pixels."""
    rows: list[list[tuple[float, str]]] = []
    value = data.values.get
    left, middle = float(_MARGIN_PX), _WIDTH_PX / 2

    def row(*cells: tuple[float, str, str]) -> None:
        shown = [(x, label + text) for x, label, text in cells if text]
        if shown:
            rows.append(shown)

    day = _dated(value("date", ""))
    if data.treasury:
        row((left, "票据代码：", value("code", "")), (middle, "票据号码：", value("number", "")))
        row((left, "交款人：", value("buyer", "")), (middle, "开票日期：", day))
        row((left, "校验码：", value("check", "")))
    else:
        row((left, "发票代码：", value("code", "")), (middle, "发票号码：", value("number", "")))
        row((middle, "开票日期：", day), (left, "校验码：", value("check", "")))
        row((left, "购买方名称：", value("buyer", "")))
        row((left, "销售方名称：", value("seller", "")))
    if len(data.items) > _ITEMS_MAX:
        rows.append([(left, f"（明细共 {len(data.items)} 行，此处从略）")])
    elif data.items:
        taxed = any(tax for _, _, tax in data.items)
        rows.append([(left, "项目名称"), (_AMOUNT_X_PX, "金额"), *([(_TAX_X_PX, "税额")] if taxed else [])])
        for name, amount, tax in data.items:
            row((left, "", _fitting(name)), (_AMOUNT_X_PX, "", amount), (_TAX_X_PX, "", tax))
    if value("net") or value("tax"):
        row((left, "", "合计"), (_AMOUNT_X_PX, "¥", value("net", "")), (_TAX_X_PX, "¥", value("tax", "")))
    words = "金额合计" if data.treasury else "价税合计"
    row((left, f"{words}（大写）", value("capital", "")), (_AMOUNT_X_PX, "（小写）¥", value("total", "")))
    if data.treasury:
        row((left, "收款单位（章）：", value("seller", "")))
    row((left, "备注：", _fitting(value("remark", ""), _WIDTH_PX - 3 * _MARGIN_PX)))
    if data.signed:
        rows.append([(left, "（数据带有电子签名，未作验证）")])
    title = value("title") or ("财政电子票据" if data.treasury else "电子发票（发票数据）")
    size = _SIZE_PX + 8
    lines: list[tuple[float, float, str, int]] = [
        (max(left, (_WIDTH_PX - width_px(title, size)) / 2), 90.0, _fitting(title, _WIDTH_PX - 240), size)
    ]
    for number, cells in enumerate(rows):
        lines += [(x, 170.0 + number * _STEP_PX, text, _SIZE_PX) for x, text in cells]
    return lines


def _dated(text: str) -> str:
    """Return a day as papers print it; what is no day as it is."""
    match = _DAY.match(text)
    return f"{match[1]}年{match[2]}月{match[3]}日" if match else text


def _fitting(text: str, room_px: float = _AMOUNT_X_PX - _MARGIN_PX - 30) -> str:
    while text and width_px(text, _SIZE_PX) > room_px:
        text = text[:-1]
    return text


def stated_lines(data: InvoiceData, width: float) -> Lines:
    """Return the data as lines on a page of that width, without drawing them."""
    scale = width / _WIDTH_PX
    return [
        (text, x * scale, (y - 0.88 * size) * scale, (x + width_px(text, size)) * scale, (y + 0.12 * size) * scale)
        for x, y, text, size in laid_out(data)
    ]


def draw(file: bytes) -> DecodedPixels:
    """Draw an XML e-invoice. Raises PictureRefused."""
    try:
        root = read_xml(file)
        if not is_invoice(root):
            raise PictureRefused("unknown_format", "the XML file is no e-invoice; send the invoice as PDF or OFD")
        data = invoice_of(root)
    except XmlRefused as refused:
        raise PictureRefused("broken", f"{refused}; send the invoice as PDF or OFD") from None
    lines = laid_out(data)
    height = round(max(y for _, y, _, _ in lines)) + 80
    pen = PagePen(Image.new("RGB", (_WIDTH_PX, max(700, height)), "white"))
    for x, y, text, size in lines:
        pen.write(spelled(text, x, y, size), size)
    return drawn_page(pen.picture, pen.lines, signature=signature_plain(FileSignature(present=data.signed)))


def signature_plain(signature: FileSignature) -> dict[str, object]:
    """Return the signature in the form that a child answers in."""
    return {"present": signature.present, "compared": signature.compared, "differing": signature.differing}
