"""Merchant, address, date and total of a till receipt, English or Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vision.documents.fields import first_date, from_found
from vision.documents.layout import Row, piece
from vision.documents.normalise import amounts
from vision.documents.page import PaperField

REQUIRED = ("company", "date", "total_minor")

# Words of a total and how surely the amount beside them is what was paid. Tried in order; the first that matches a row counts.
_TOTAL_WORDS: tuple[tuple[str, int], ...] = (
    (r"SUB\s?-?\s?T[O0]TA[LI]|小计|TOTAL\s*(?:QTY|QUANTITY|ITEM|PCS|SAVING|DISC|GST|TAX|\(?EXCL|EXCLUD|BEFORE|W/?O|WITHOUT|RM\s?EXCL)|TAXABLE|TOTAL\s?POINT|QTY\s?TOTAL|ITEMS?\s?TOTAL", -1),
    (r"GST\s?TOTAL|TAX\s?TOTAL|TOTAL\s?AMOUNT\s?\(?EXCL|TOTAL\s?EXCL|TOTAL\s?\(?GST\)?$|DISCOUNT\s?TOTAL", -1),
    (r"GRAND\s?TOTAL|NETT?\s?TOTA[LI]|ROUND(?:ED|ING)?\s?TOTAL|TOTAL\s?ROUND|TOTAL\s?(?:AMOUNT\s?)?(?:DUE|PAYABLE)|AMOUNT\s?(?:DUE|PAYABLE)|TOTAL\s?AFTER|FINAL\s?TOTAL|应付金额|应付|应收|NETT?\s?AMOUNT|TOTAL\s?TO\s?PAY|BALANCE\s?DUE", 9),
    (r"TOTAL\s?(?:SALES?\s?)?\(?(?:INCL|INCLUSIVE|WITH)|TOTAL\s?INC", 8),
    (r"T[O0]TA[LI]\s?(?:AMOUNT|AMT|SALES?|RM|MYR|\(RM\)|PRICE|BILL)|合计金额|总金额", 7),
    (r"(?<![A-Z])T[O0]TA[LI]\b|(?<![A-Z])TOTA[LI](?=RM|:|\d|\()|合\s{0,3}计|总\s?计", 6),
    (r"实付|实收|微信支付|支付宝", 3),
    (r"\bCASH\b|现金|\bVISA\b|MASTER\s?CARD|\bDEBIT\b|AMOUNT\b", 1),
)  # fmt: skip
_COMPANY_END = re.compile(
    r"\b(?:SDN|BHD|ENTERPRISE|TRADING|RESTAURANT|RESTORAN|STORE|MART|SUPERMARKET|HARDWARE|COMPANY|CO|SHOP|CAFE|HOUSE|CENTRE|CENTER|STATIONERY|BOOKS|INC|LTD|LLC|PLT"
    r"|PHARMACY|FARMASI|KEDAI|PERNIAGAAN|SYARIKAT|PASARAYA|BAKERY|MINIMARKET|MARKET)\b|超市|商店|便利店|水果|生鲜|药房|餐厅|公司|商场|百货",
    re.IGNORECASE,
)
_NOT_COMPANY = re.compile(
    r"^(?:TAX\s?INVOICE|INVOICE|RECEIPT|CASH\s?(?:BILL|RECEIPT|SALES)|WELCOME|欢迎光临|购物小票|销售单|小票|THANK)|^\W*\d|TEL\b|电话|GST\b|REG\b|FAX\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\b(?:JALAN|JLN|LOT|TAMAN|NO[.,]?\s?\d|LORONG|PERSIARAN|LEBUH|KAWASAN|SEKSYEN|BANDAR|FLOOR|FLR|LEVEL|PLAZA|MALL|STREET|ROAD|AVENUE|LRG|KAMPUNG|BATU|BLOCK|WISMA|MENARA)\b"
    r"|^\W*\d{1,5}[A-Z]?\s?[,&-]|\b\d{5}\b\s*[A-Z]|SELANGOR|KUALA\s?LUMPUR|JOHOR|MELAKA|PENANG|路|街|巷|号",
    re.IGNORECASE,
)
_ADDRESS_END = re.compile(
    r"\bTEL\b|TEL[:.\s]|PHONE|FAX|GST|INVOICE|RECEIPT|DATE|E-?MAIL|WWW|电话|单号|流水号|日期|REG\.?\s?NO|CO\.?\s?(?:REG|NO)|ROC|COMPANY\s?NO|BILL|TABLE|CASHIER|HOTLINE|\bH/?P\b",
    re.IGNORECASE,
)


def fields(rows: Sequence[Row]) -> list[PaperField]:
    """Every field found, at most one a name."""
    company = _company(rows)
    found = [
        company[0] if company else None,
        _address(rows, company[1] + 1 if company else 0),
        first_date(rows, (r"日期|DATE|交易时间|时间",)),
        _total(rows),
    ]
    return [field for field in found if field is not None]


def _total(rows: Sequence[Row]) -> PaperField | None:
    """The amount beside the word that most surely means the total; of equals the one further down, where rounding and tax are in.

    When cash given less change comes to another candidate, that one is taken: it is what left the customer's purse.
    """
    candidates: list[tuple[int, int, int, int, int]] = []  # strength, row, start, end, minor
    cash, change = _tendered(rows)
    for index, row in enumerate(rows):
        strength, word_end = _strength(row.text)
        if strength <= 0:
            continue
        for at in (index, index + 1, index - 1):
            # The amount stands right of its word; where the row has none, the reader may have set it a row off.
            if not 0 <= at < len(rows) or (at != index and _strength(rows[at].text)[0] != 0):
                continue
            spans = [
                span for span in amounts(rows[at].text, decimals_required=True) if at != index or span[0] >= word_end
            ]
            if spans:
                start, end, minor = spans[-1]
                paid = cash - change if cash and cash >= change else 0
                candidates.append((strength + (4 if paid and paid == minor else 0), at, start, end, minor))
                break
    positive = [candidate for candidate in candidates if candidate[4] > 0]
    if not positive:
        return None
    _, at, start, end, minor = max(positive, key=lambda candidate: (candidate[0], candidate[1]))
    return from_found("total_minor", piece(rows, at, start, end), str(minor))


def _strength(text: str) -> tuple[int, int]:
    """(how surely the row states the total, where its word ends): 0 for no such word, -1 for a row that states another sum."""
    for pattern, strength in _TOTAL_WORDS:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return strength, found.end() if strength > 0 else 0
    return 0, 0


def _tendered(rows: Sequence[Row]) -> tuple[int, int]:
    """(cash given, change) in minor units, zeros where not both are stated."""
    cash = change = -1
    for row in rows:
        spans = amounts(row.text, decimals_required=True)
        if not spans:
            continue
        if re.search(r"\bCHANGE\b|找零", row.text, re.IGNORECASE):
            change = spans[-1][2]
        elif re.search(r"\bCASH\b|现金|\bTENDER|\bPAID\b|\bRECEIVED\b", row.text, re.IGNORECASE):
            cash = spans[-1][2]
    return (cash, change) if cash >= 0 and change >= 0 else (0, 0)


def _company(rows: Sequence[Row]) -> tuple[PaperField, int] | None:
    """The merchant and the row its name ends in: the first row near the top that reads like a firm, else the first with enough letters."""
    top = [(index, row) for index, row in enumerate(rows[:12]) if _letters(row.text) >= 4]
    named = [(index, row) for index, row in top if _COMPANY_END.search(row.text) and not _NOT_COMPANY.search(row.text)]
    plain_rows = [
        (index, row) for index, row in top if not _NOT_COMPANY.search(row.text) and not _ADDRESS.search(row.text)
    ]
    chosen = (named or plain_rows)[:1]
    if not chosen:
        return None
    index, row = chosen[0]
    field = from_found("company", piece(rows, index, 0, len(row.text)), _company_text(row.text))
    return field, index


def _company_text(text: str) -> str:
    """Without the registration number in brackets that many firms print beside the name."""
    return re.sub(r"\s*\((?:CO\.?\s*NO\.?|ROC|REG)?[^()A-Z]*\d{4,}[^()]*\)\s*$", "", text, flags=re.IGNORECASE).strip()


def _letters(text: str) -> int:
    return sum(2 if "\u4e00" <= character <= "\u9fff" else 1 for character in text if character.isalpha())


def _address(rows: Sequence[Row], begin: int) -> PaperField | None:
    start = next(
        (index for index in range(begin, min(len(rows), begin + 6)) if _ADDRESS.search(rows[index].text)), None
    )
    if start is None:
        return None
    texts: list[str] = []
    pieces = []
    for index in range(start, min(len(rows), start + 6)):
        text = rows[index].text
        if _ADDRESS_END.search(text):
            break
        texts.append(re.sub(r"^地址\s?:?\s*", "", text))
        pieces.append(piece(rows, index, 0, len(text)))
    if not pieces:
        return None
    box = pieces[0].box
    for other in pieces[1:]:
        box = type(box)(
            min(box.left, other.box.left), box.top, max(box.right, other.box.right), max(box.bottom, other.box.bottom)
        )
    return PaperField("address", " ".join(texts), round(min(one.confidence for one in pieces), 4), box)
