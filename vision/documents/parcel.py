"""Fields of a parcel slip (快递面单)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vision.documents.fields import first_amount, first_date, first_text, from_found
from vision.documents.layout import Row, labelled, piece
from vision.documents.normalise import AMOUNT, weight_g
from vision.documents.page import PaperField
from vision.measurement import Unmeasured

REQUIRED = ("carrier", "tracking_number", "recipient", "date")

# Pattern on the paper -> the carrier's full name.
_CARRIERS = (
    (r"顺丰(?:速运|速递|快递)?", "顺丰速运"),
    (r"中通(?:快递|速递)?", "中通快递"),
    (r"圆通(?:速递|快递)?", "圆通速递"),
    (r"申通(?:快递)?", "申通快递"),
    (r"韵达(?:快递|速递)?", "韵达快递"),
    (r"极兔(?:速递|快递)?", "极兔速递"),
    (r"京东(?:物流|快递)?", "京东物流"),
    (r"德邦(?:快递|物流)?", "德邦快递"),
    (r"百世(?:快递)?", "百世快递"),
    (r"(?:中国邮政|邮政)\s?(?:EMS|速递(?:物流)?|快递包裹)?|\bEMS\b", "中国邮政EMS"),
)
_NAME = r"[\u4e00-\u9fff·*]{2,6}?(?=\s|$|[^\u4e00-\u9fff·*]|电话|手机|地址)|[A-Za-z][A-Za-z .]{2,30}"
_TRACKING = r"[A-Z]{0,4}\s?[\dO](?:[\s-]?[\dO]){9,19}"
_MOBILE = re.compile(r"1[3-9]\d{9}")


def fields(rows: Sequence[Row]) -> list[PaperField]:
    """Every field found, at most one a name."""
    money = rf"[¥Y]?\s?{AMOUNT}"
    found = [
        _carrier(rows),
        _tracking(rows),
        first_text(rows, "sender", (r"寄件人(?:姓名)?|寄件方?|寄方|发件人(?:姓名)?|发件",), _NAME),
        first_text(rows, "recipient", (r"收件人(?:姓名)?|收件方?|收方|收货人",), _NAME),
        first_date(rows, ("寄件日期|收寄日期|寄件时间|揽收日期|揽收时间|收寄时间|下单时间", "日期|时间")),
        _weight(rows),
        first_amount(rows, "declared_value_minor", ("保?价?声明价值|申报价值|保价金额|保价",), money),
        first_amount(rows, "freight_minor", ("运费(?:合计)?|邮费|快递费|费用合计",), money),
    ]
    return [field for field in found if field is not None]


def _carrier(rows: Sequence[Row]) -> PaperField | None:
    for index, row in enumerate(rows):
        for pattern, name in _CARRIERS:
            match = re.search(pattern, row.text)
            if match and match.end() > match.start():
                return from_found("carrier", piece(rows, index, *match.span()), name)
    return None


def _tracking(rows: Sequence[Row]) -> PaperField | None:
    label = r"运单编?号码?|快递单号|快件单号|物流单号|邮件号码?|单\s?号"
    for found in labelled(rows, label, _TRACKING):
        return from_found("tracking_number", found, tracking_key(found.text))
    for index, row in enumerate(rows):
        for match in re.finditer(rf"(?<![A-Z0-9*]){_TRACKING}(?![\d*])", row.text):
            key = tracking_key(match[0])
            if len(re.sub(r"\D", "", key)) >= 11 and not _MOBILE.fullmatch(key):
                return from_found("tracking_number", piece(rows, index, *match.span()), key)
    return None


def tracking_key(text: str) -> str:
    """Letters and digits only; the letter O after the first digit is a misread 0."""
    compact = re.sub(r"[^0-9A-Z]", "", text.upper())
    letters = re.match(r"[A-Z]*?(?=[\dO]{6})", compact)
    prefix = letters[0] if letters else ""
    return prefix + compact[len(prefix) :].replace("O", "0")


def _weight(rows: Sequence[Row]) -> PaperField | None:
    for found in labelled(rows, "计费重量|实际重量|重\\s?量", r"\d+(?:\s?\.\s?\d+)?\s?(?:kg|千克|公斤|g|克|斤)"):
        grams = weight_g(found.text)
        if not isinstance(grams, Unmeasured):
            return from_found("weight_g", found, str(grams))
    return None
