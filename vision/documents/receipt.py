"""Merchant, address, date and total of a till receipt, English or Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vision.documents.fields import Outcome, date_of, from_found
from vision.documents.layout import Row, piece, union
from vision.documents.normalise import AMOUNT, amount_minor, amounts
from vision.documents.page import PaperField, RefusedField
from vision.measurement import Unmeasured

# Words of a total and how surely the amount beside them is what was paid. The first pattern that matches a row
# counts; -1: the row states another sum.
_TOTAL_WORDS: tuple[tuple[str, int], ...] = (
    (r"SUB\s?-?\s?T[O0]TA[LI]|小计|TAXABLE|ROUND\w*\s?ADJ", -1),
    (r"TOTAL\s*(?:QTY|QUANTITY|ITEM|PCS|SAVING|DISC|GST|TAX|POINT|BEFORE|W/?O\b|WITHOUT)", -1),
    (r"TOTAL\s*(?:AMOUNT|SALES|RM)?\s*\(?\s*EXC|(?:QTY|ITEMS?|GST|TAX|DISCOUNT)\s?TOTAL", -1),
    (r"GRAND\s?TOTAL|NETT?\s?(?:TOTA[LI]|AMOUNT)|ROUND(?:ED|ING)?\s?TOTAL|TOTAL\s?ROUND|ROUNDING\s?R[MH]", 9),
    (
        r"TOTAL\s?(?:AMOUNT\s?)?(?:DUE|PAYABLE|TO\s?PAY)|(?:AMOUNT|BALANCE)\s?(?:DUE|PAYABLE)|OTAL\s?AFTER|FINAL\s?TOTAL",
        9,
    ),
    (r"应付金额|应付|应收|消费(?:金额|合计|总额)", 9),
    (r"TOTAL\s?(?:SALES?\s?)?\(?(?:INC|WITH)|INCLUSIVE\s?(?:OF\s?)?GST", 8),
    (r"T[O0]TA[LI]\s?(?:AMOUNT|AMT|SALES?|RM|MYR|\(RM\)|PRICE|BILL)|合计金额|总金额", 7),
    (r"(?<![A-Z])T[O0]TA[LI](?:\b|(?=RM|:|\d|\())|合\s{0,3}计|总\s?计", 6),
    (r"实付|实收|微信支付|支付宝|银行卡", 3),
    (r"\bCASH\b|现金|\bVISA\b|MASTER\s?CARD|\bDEBIT\b|AMOUNT\b", 1),
)
_SURE_TOTAL = 6
_ROUNDING = re.compile(r"ROUND\w*\s?ADJ|ROUNDING", re.IGNORECASE)
_TAX_SUMMARY = re.compile(r"(?:GST|TAX)\s?SUMMARY", re.IGNORECASE)

_COMPANY_END = re.compile(
    r"\b(?:SDN|BHD|S/B|ENTERPRISE|TRADING|COMPANY|INC|LTD|LLC|PLT|CO\.?)\W*(?:\([A-Z]+\))?\W*$|(?:超市|商店|便利店|公司|商场|百货|水果|生鲜|药房|餐厅)$",
    re.IGNORECASE,
)
_COMPANY_FORM = re.compile(r"\b(?:SDN|BHD|S/B|ENTERPRISE|TRADING|COMPANY|CO)\b|\(.*", re.IGNORECASE)
_OWN_WORDS_MIN = 8  # letters beside the legal form that make a row a name by itself
_NOT_COMPANY = re.compile(
    r"TAX\s?INVOICE|^\W*(?:INVOICE|RECEIPT|CASH\s?(?:BILL|RECEIPT|SALES)|WELCOME|THANK|POSTED|COPY|DUPLICATE)|欢迎|小票|销售单"
    r"|^\W*\d{4,}|FOR\s?SHOPPING",
    re.IGNORECASE,
)
# Registration and tax numbers, telephones: what stands between the merchant's name and the list.
_REGISTRATION = re.compile(
    r"\b(?:GST|SST|REG|ROC|BRN|BR\sNO|CO\.?\s?NO|COMPANY\s?NO|TEL|TE1|PHONE|FAX|MOBILE|H/?P|E-?MAIL|WWW|HOTLINE)\b"
    r"|^\W*\(?\d{5,7}-?[A-Z]\)?\W*$|电话|\+?\d{2,4}\s?-\s?\d{3,4}\s?\d{3,4}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\b(?:JA[LI1]AN|JLN|LOT|TAMAN|LORONG|PERSIARAN|LEBUH|LEBUHRAYA|KAWASAN|SEKSYEN|BANDAR|FLOOR|FLR|LEVEL|PLAZA|STREET|ROAD|AVENUE|LRG|KAMPUNG|BLOCK"
    r"|WISMA|MENARA|BASEMENT)\b|\bNO\s?[.,]?\s?\d|NO\.\s?[A-Z]-|^\W*\d{1,5}[A-Z]?\s?[,&-]|\b\d{5}\s*[A-Z]{3}"
    r"|SELANGOR|KUALA\s?LUMPUR|JOHOR|MELAKA|PENANG|^地址|[市区县].*[路街巷号]",
    re.IGNORECASE,
)
_AT = re.compile(r"^(?:门店|店铺|店|商户|公司)?地\s?址\s?:?\s*")
_PLACE = re.compile(r"SELANGOR|KUALA\s?LUMPUR|JOHOR|MELAKA|PENANG|PERAK|KEDAH|MALAYSIA|PAHANG|SEREMBAN", re.IGNORECASE)
_ADDRESS_END = re.compile(
    r"INVOICE|RECEIPT|\bDATE\b|\bBILL\b|TABLE|CASHIER|SHOPPING\s?HOURS|CUSTOMER|单号|流水号|小票号|日期|时间|商品"
    r"|(?<![\u4e00-\u9fff])(?!(?:门店|店铺|店|商户|公司)?地\s?址)[\u4e00-\u9fff]{2,6}\s?:",  # another label
    re.IGNORECASE,
)
_HEADER_ROWS_MAX = 12
_NAME_ROWS_MAX = 3
_ADDRESS_ROWS_MAX = 6


def fields(rows: Sequence[Row]) -> list[Outcome]:
    """Company, address, date and total; None for each that is not found."""
    company = _company(rows)
    return [
        company[0] if company else None,
        _address(rows, company[1] + 1 if company else 0),
        date_of(rows, (r"日期|DATE|交易时间|时间", r"PRINTED")),
        _too_much(rows) or _total(rows),
    ]


def _too_much(rows: Sequence[Row]) -> RefusedField | None:
    """A total that is out of this world is not made up for by another sum of the receipt."""
    for row in rows:
        strength, word_end = _strength(row.text)
        if strength < _SURE_TOTAL:
            continue
        for match in re.finditer(rf"(?<![\d.,]){AMOUNT}", row.text[word_end:]):
            minor = amount_minor(match[0])
            if isinstance(minor, Unmeasured) and "." in match[0]:
                return RefusedField("total_minor", minor.reason)
    return None


def _total(rows: Sequence[Row]) -> PaperField | None:
    """The amount beside the word that most surely means the total; of equals the one further down, where rounding and
    tax are in.

    When cash given less change comes to another candidate, that one is taken: it is what left the customer's purse.
    """
    candidates: list[tuple[int, int, int, int, int]] = []  # strength, row, start, end, minor
    cash, change = _tendered(rows)
    rounded = False
    for index, row in enumerate(rows):
        if candidates and _TAX_SUMMARY.search(row.text):
            break
        strength, word_end = _strength(row.text)
        if _ROUNDING.search(row.text):
            rounded = True
        elif rounded and strength > 3:
            strength += 3  # a total after the rounding line has it in
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
    """(how surely the row states the total, where its word ends): 0 for no such word, -1 for a row that states
    another sum.
    """
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
        if re.search(r"\bCHANGE\b|\bBALANCE RETURNED\b|找[零回赎]", row.text, re.IGNORECASE):
            change = spans[-1][2]
        elif re.search(r"\bCASH\b|现金|收现|\bTENDER|\bPAID\b|\bRECEIVED\b", row.text, re.IGNORECASE):
            cash = spans[-1][2]
    return (cash, change) if cash >= 0 and change >= 0 else (0, 0)


def _company(rows: Sequence[Row]) -> tuple[PaperField, int] | None:
    """The merchant and the row its name ends in: the rows on top of the address and the registration numbers."""
    chosen: list[int] = []
    for index, row in enumerate(rows[:_HEADER_ROWS_MAX]):
        if _letters(row.text) < 4 or _NOT_COMPANY.search(row.text):
            if chosen:
                break
            continue
        bare = _without_registration(row.text)
        if _ADDRESS.search(bare) or (_REGISTRATION.search(bare) and not _COMPANY_END.search(bare)):
            if chosen:
                break
            continue
        chosen.append(index)
        if _COMPANY_END.search(bare) or len(chosen) == _NAME_ROWS_MAX:
            break
    if not chosen:
        return None
    own_words = _letters(_COMPANY_FORM.sub("", rows[chosen[-1]].text))
    if _COMPANY_END.search(_without_registration(rows[chosen[-1]].text)) and own_words >= _OWN_WORDS_MIN:
        chosen = chosen[-1:]  # a whole name in one row: what stands above it was written there later
    pieces = [piece(rows, index, 0, len(rows[index].text)) for index in chosen]
    name = " ".join(_without_registration(rows[index].text) for index in chosen)
    confidence = min(one.confidence for one in pieces)
    return PaperField("company", name, round(confidence, 4), union([one.box for one in pieces])), chosen[-1]


def _without_registration(text: str) -> str:
    """Without the registration number in brackets that many firms print beside the name."""
    return re.sub(r"\s*\([^()]*\d{4,}[^()]*\)?\s*$", "", re.sub(r"\b5/[8B]\b|\bS/8\b", "S/B", text)).strip()


def _letters(text: str) -> int:
    return sum(2 if "\u4e00" <= character <= "\u9fff" else 1 for character in text if character.isalpha())


def _address(rows: Sequence[Row], begin: int) -> PaperField | None:
    near = range(begin, min(len(rows), begin + _ADDRESS_ROWS_MAX))
    start = next((i for i in near if _ADDRESS.search(rows[i].text) and not _REGISTRATION.search(rows[i].text)), None)
    start = next((i for i, row in enumerate(rows) if start is None and _AT.match(row.text)), start)
    if start is None:
        return None
    texts: list[str] = []
    pieces = []
    posted = False
    for index in range(start, min(len(rows), start + _ADDRESS_ROWS_MAX)):
        text = rows[index].text
        if _REGISTRATION.search(text) or _ADDRESS_END.search(text) or (posted and not _PLACE.search(text)):
            break
        texts.append(_AT.sub("", text))
        pieces.append(piece(rows, index, 0, len(text)))
        posted = posted or re.search(r"(?<!LOT )\b\d{5}(?!\d)", text) is not None
    if not pieces:
        return None
    confidence = min(one.confidence for one in pieces)
    return PaperField("address", " ".join(texts), round(confidence, 4), union([one.box for one in pieces]))
