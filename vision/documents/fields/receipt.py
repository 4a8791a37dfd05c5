"""Reads merchant, address, date and total of a till receipt, English or Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

from vision.documents.fields.values import FieldResult, date_by_rule, from_found
from vision.documents.kinds.catalogue import FieldRule
from vision.documents.text.layout import Row, piece, union
from vision.documents.text.normalise import AMOUNT, amount_minor, amounts, dates
from vision.documents.text.page import FieldReading, RefusedField
from vision.documents.text.sum_words import FURTHER, words
from vision.measurement import Unmeasured

# Words for a total, with how surely the amount beside them is what was paid. The first pattern that matches a row
# counts; -1: the row states another sum.
_TOTAL_WORDS: tuple[tuple[str, int], ...] = (
    (words("sub", languages=FURTHER), -1),
    (rf"(?:{words('total', languages=FURTHER)})\s{{0,3}}(?:{words('tax', languages=FURTHER)})", -1),
    (r"SUB\s?-?\s?T[O0]TA[LI]|小计|TAXABLE|ROUND\w*\s?ADJ", -1),
    (r"TOTAL\s*(?:QTY|QUANTITY|ITEM|PCS|SAVING|DISC|GST|TAX|POINT|BEFORE|W/?O\b|WITHOUT)", -1),
    (r"TOTAL\s*(?:AMOUNT|SALES|RM)?\s*\(?\s*EXC|(?:QTY|ITEMS?|GST|TAX|DISCOUNT)\s?TOTAL", -1),
    # what was handed over: with change it is more than the total
    (
        r"(?:ACCEPTED|TENDER\w*|RECEIVED|GIVEN|INSERTED|DEPOSITED|HANDED|COLLECTED)\s?(?:TOTAL|AMOUNT|AMT|CASH)"
        r"|(?:TOTAL|AMOUNT|AMT)\s?(?:ACCEPTED|TENDER\w*|RECEIVED|GIVEN|INSERTED|DEPOSITED|HANDED|COLLECTED|CASH|PAID)",
        3,
    ),
    (r"(?:TOTAL|AMOUNT|AMT)\s?(?:OF\s)?CHANGE|CHANGE\s(?:TOTAL|AMOUNT|DUE)", -1),
    (r"(?:AMOUNT|AMT|PRICE|FEE|CHARGE)\s?\(?INC", 8),
    (r"GRAND\s?TOTAL|NETT?\s?(?:TOTA[LI]|AMOUNT)|ROUND(?:ED|ING)?\s?TOTAL|TOTAL\s?ROUND|ROUNDING\s?R[MH]", 9),
    (
        r"TOTAL\s?(?:AMOUNT\s?)?(?:DUE|PAYABLE|TO\s?PAY)|(?:AMOUNT|BALANCE)\s?(?:DUE|PAYABLE)|OTAL\s?AFTER|FINAL\s?TOTAL",
        9,
    ),
    (r"应付金额|应付|应收|消费(?:金额|合计|总额)", 9),
    (words("due", languages=FURTHER), 9),
    (r"TOTAL\s?(?:SALES?\s?)?\(?(?:INC|WITH)|INCLUSIVE\s?(?:OF\s?)?GST", 8),
    (r"T[O0]TA[LI]\s?(?:AMOUNT|AMT|SALES?|RM|MYR|\(RM\)|PRICE|BILL)|合计金额|总金额", 7),
    (r"(?<![A-Z])T[O0]TA[LI](?:\b|(?=RM|:|\d|\())|合\s{0,3}计|总\s?[计额]", 6),
    (rf"{words('total', languages=FURTHER)}|合\s{{0,3}}計|[總共]\s{{0,3}}[計額]|總金額", 6),
    (r"实付|实收|微信支付|支付宝|银行卡|云闪付|银联|数字人民币", 3),
    (words("tendered", languages=FURTHER), 1),
    (r"\bCASH\b|现金|現金|\bVISA\b|MASTER\s?CARD|\bDEBIT\b|AMOUNT\b", 1),
)
_SURE_TOTAL = 6
_ROUNDING = re.compile(r"ROUND\w*\s?ADJ|ROUNDING", re.IGNORECASE)
_TAX_SUMMARY = re.compile(r"(?:GST|TAX)\s?SUMMARY", re.IGNORECASE)

_COMPANY_END = re.compile(
    r"\b(?:SDN|BHD|S/B|ENTERPRISES?|TRADING|COMPANY|INC|LTD|LIMITED|LLC|LLP|PLT|PLC|PTY|PVT|GMBH|CORP(?:ORATION)?|CO\.?)\W*(?:\([A-Z]+\))?\W*$|(?:超市|商店|便利店|公司|商场|百货|水果|生鲜|药房|餐厅)$",
    re.IGNORECASE,
)
_COMPANY_FORM = re.compile(
    r"\b(?:SDN|BHD|S/B|ENTERPRISES?|TRADING|COMPANY|CO|INC|LTD|LIMITED|LLC|LLP|PLC|PTE|PTY|PVT)\b|\(.*"
    r"|(?:餐饮|食品|商贸|贸易|零售|连锁|管理|服务|实业|股份|集团|有限|责任|总?公司)",
    re.IGNORECASE,
)
# The last words of a Chinese shop's name: its trade.
_SHOP_END = re.compile(
    r"(?:[店馆楼坊铺厅堂阁轩居吧]|超市|市场|商行|卖场|广场|食府|酒家|酒楼|火锅|烧烤|烘焙|咖啡|奶茶|饺子|面包|医院|诊所)$"
)
# A row that is a kind of document and nothing else: a till's slip, a list, a copy. Never a merchant's name.
_DOCUMENT = re.compile(
    r"^\W*(?:[\u4e00-\u9fff]\s*){0,10}(?:单\s*据?|小\s*票|水\s*票|凭\s*[证条据]|票\s*据|收\s*据|发\s*票|存\s*根|[一二三四客店商顾]\s*户?\s*联|明\s*细|粘\s*贴\s*[处页])\W*$"
)
# A row that is a label with its number: a table, a queue, a till. It may be set larger than the name.
_NUMBERED = re.compile(
    r"^\W*(?:[\u4e00-\u9fff]\s*){1,6}(?:[:#№]|(?<=[号位台桌])|No\.?)\s*:?\s*[A-Za-z]{0,2}-?\d{1,6}\s*[号桌台位]?\W*$",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"[(\[【〔《].*[)\]】〕》]")
_SAME_PRINT = 0.8  # rows of one Chinese name: the lower height over the greater; titles and branches are set smaller
_OWN_WORDS_MIN = 8  # letters besides the legal form that make a row a complete name
_NOT_COMPANY = re.compile(
    r"TAX\s?INVOICE|^\W*(?:INVOICE|RECEIPT|CASH\s?(?:BILL|RECEIPT|SALES)|WELCOME|THANK|POSTED|COPY|DUPLICATE)|欢迎|小票|销售单"
    r"|^\W*\d{4,}|FOR\s?SHOPPING"
    r"|^\W*(?:GUEST\s?CHECK|(?:SALES?|ORDER)\s?(?:SLIP|RECEIPT)|OFFICIAL\s?RECEIPT|(?:CUSTOMER|MERCHANT)\W?S?\s?COPY)\b"
    r"|^\W*(?:TABLE|ORDER|QUEUE|CHECK|TICKET|COUNTER|TILL)\s?(?:NO\W?|NUMBER)?\s?[:#]?\s?\d+\W*$",
    re.IGNORECASE,
)
# Registration and tax numbers, telephones: rows between the merchant's name and the list.
_REGISTRATION = re.compile(
    r"\b(?:GST|SST|VAT|ABN|TIN|UEN|REG|ROC|BRN|BR\sNO|CO\.?\s?NO|COMPANY\s?NO|TEL|TE1|PHONE|FAX|MOBILE|H/?P|E-?MAIL|WWW|HOTLINE)\b"
    r"|^\W*\(?\d{5,7}-?[A-Z]\)?\W*$|电话|\(\d{3}\)\s?\d{3}|\+?\d{2,4}\s?-\s?\d{3,4}\s?\d{3,4}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\b(?:JA[LI1]AN|JLN|LOT|TAMAN|LORONG|PERSIARAN|LEBUH|LEBUHRAYA|KAWASAN|SEKSYEN|BANDAR|FLOOR|FLR|LEVEL|PLAZA|STREET|ROAD|AVENUE|LRG|KAMPUNG|BLOCK"
    r"|WISMA|MENARA|BASEMENT)\b|\bNO\s?[.,]?\s?\d|NO\.\s?[A-Z]-|^\W*\d{1,5}[A-Z]?\s?[,&-]|\b\d{5}\s*[A-Z]{3}"
    r"|SELANGOR|KUALA\s?LUMPUR|JOHOR|MELAKA|PENANG|^[店地]址|[市区县].*[路街巷号]",
    re.IGNORECASE,
)
_AT = re.compile(r"^(?:(?:门店|店铺|店|商户|公司)?地\s?址|店\s?址)\s?:?\s*")
# A part of an address in any country: a house number or a postal code among words, or a comma behind a word.
_PART_OF_ADDRESS = re.compile(r"[A-Za-z]{3,}.*\b\d|\d.*[A-Za-z]{3,}|[A-Za-z]{2,}\s?,")
_APART_HEIGHTS = 2.6
_ADDRESS_END = re.compile(
    r"INVOICE|RECEIPT|\bDATE\b|\bBILL\b|TABLE|CASHIER|HOURS|\bOPEN\b|CUSTOMER|WELCOME|\bORDER\b|COUNTER|\bSTAFF\b|TERMINAL|MEMBER|SERVED"
    r"|\bQTY\b|\bITEMS?\b|DESCRIPTION|OWNED\sBY|SALES\b|\bPOS\b|\d{1,2}:\d{2}|[-*=_]{4,}|单号|流水号|小票号|日期|时间|商品"
    r"|(?<![\u4e00-\u9fff])(?!(?:门店|店铺|店|商户|公司)?地\s?址|店\s?址)[\u4e00-\u9fff]{2,6}\s?:",  # another label
    re.IGNORECASE,
)
DATE_RULE: Final = FieldRule.model_validate(
    {"format": "date", "labels": [r"日期|DATE|交易时间|时间", "PRINTED"], "anywhere": True}
)
_CASH = re.compile(
    rf"{words('tendered', languages=FURTHER)}"
    r"|\bCASH\b|现金|現金|收现|\bTENDER|\bPAID\b|\b(?:RECEIVED|ACCEPTED|INSERTED|DEPOSITED|COLLECTED|HANDED|GIVEN)\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(rf"\bBALANCE RETURNED\b|{words('change')}", re.IGNORECASE)
_PAID = re.compile(
    rf"{words('tendered', languages=FURTHER)}"
    r"|\b(?:CASH|PAID|PAYMENT|TENDER\w*|RECEIVED|CREDIT|VISA|MASTER\w*|DEBIT|CARD|E-?WALLET|PAYNOW|DUITNOW|\w+PAY)\b"
    r"|现金|收现|付款|实[付收]|微信|支付宝|银行卡|刷卡|储值|云闪付|银联|数字人民币|扫码支付",
    re.IGNORECASE,
)
_SUMS_MAX = 5  # sums above the total that it may consist of
_HEADER_ROWS_MAX = 12
_NAME_ROWS_MAX = 3
_ADDRESS_ROWS_MAX = 6


def fields(rows: Sequence[Row]) -> list[FieldResult]:
    """Return company, address, date and total; None for each that is not there."""
    company = _company(rows)
    return [
        company[0] if company else None,
        _address(rows, company[1] + 1 if company else 0),
        date_by_rule(rows, "date", DATE_RULE),
        _too_much(rows) or _total(rows),
    ]


def _too_much(rows: Sequence[Row]) -> RefusedField | None:
    """Refuse an absurdly large total instead of taking another sum of the receipt."""
    for row in rows:
        strength, word_end = _strength(row.text)
        if strength < _SURE_TOTAL:
            continue
        for match in re.finditer(rf"(?<![\d.,]){AMOUNT}", row.text[word_end:]):
            minor = amount_minor(match[0])
            if isinstance(minor, Unmeasured) and "." in match[0]:
                return RefusedField("total_minor", minor.reason)
    return None


@dataclass(frozen=True, slots=True)
class _Statement:
    """An amount beside a word that may mean the total. strength: as in `_TOTAL_WORDS`, more after the rounding line.
    row: row of the word. at, start, end: place of the amount."""

    strength: int
    row: int
    at: int
    start: int
    end: int
    minor: int


def _statements(rows: Sequence[Row]) -> list[_Statement]:
    statements: list[_Statement] = []
    rounded = False
    for index, row in enumerate(rows):
        if statements and _TAX_SUMMARY.search(row.text):
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
            spans = [span for span in _amounts(rows[at]) if at != index or span[0] >= word_end]
            if spans:
                statements.append(_Statement(strength, index, at, *spans[-1]))
                break
    return [statement for statement in statements if statement.minor > 0]


def _total(rows: Sequence[Row]) -> FieldReading | None:
    """Return the amount beside the word that most surely means the total; of equal ones the lowest, which includes
    rounding and tax.

    If cash given less change equals another candidate, that one is taken: it is what the customer paid.
    """
    cash, change = _tendered(rows)
    paid = cash - change if cash and cash >= change else 0
    stated = _statements(rows)
    stated = [statement for statement in stated if not _handed_over(rows, statement.minor)] or stated
    if not stated:
        return None
    best = max(
        stated,
        key=lambda statement: (statement.strength + (4 if paid and paid == statement.minor else 0), statement.at),
    )
    return from_found("total_minor", piece(rows, best.at, best.start, best.end), str(best.minor))


def heads(text: str) -> bool:
    """True if a row has a firm's legal form, its address, its telephone or registration."""
    return any(pattern.search(text) for pattern in (_COMPANY_END, _REGISTRATION, _ADDRESS))


def _handed_over(rows: Sequence[Row], minor: int) -> bool:
    """True if an amount is what the customer handed over, by the change alone: less the change it is stated as a total,
    and with the change it is stated nowhere."""
    change = next((_minors(row)[-1] for row in rows if _CHANGE.search(row.text) and _amounts(row)), 0)
    if not 0 < change < minor:
        return False
    totals = {_minors(row)[-1] for row in rows if _strength(row.text)[0] >= _SURE_TOTAL and _amounts(row)}
    everything = {amount for row in rows for amount in _minors(row)}
    return minor - change in totals and minor + change not in everything


def total_words() -> list[str]:
    """Return regular expressions of the words that surely mean the total."""
    return [pattern for pattern, strength in _TOTAL_WORDS if strength >= _SURE_TOTAL]


def unconfirmed(rows: Sequence[Row], total_minor: int) -> str:
    """Return why a total may be another sum of the receipt, "" if the receipt states it a second way: cash less change,
    the same amount beside another word for a total or a payment, the lines above it, or two or three sums above it (net
    and tax, a sum and its rounding).

    A rounding or a larger amount below it overrides all of them: then it is not what was paid.
    """
    stated = _statements(rows)
    at = max((statement.at for statement in stated if statement.minor == total_minor), default=-1)
    if at < 0:
        return "the receipt states it nowhere else"
    if _handed_over(rows, total_minor):
        return "the change tells that it was handed over, not owed"
    cash, change = _tendered(rows)
    against = _stated_since(rows[at + 1 :], total_minor)
    if against:
        return f"not the last sum of the receipt: {against[:60]}"
    places = {statement.row for statement in stated if statement.minor == total_minor}
    places |= {index for index, row in enumerate(rows) if _PAID.search(row.text) and total_minor in _minors(row)}
    if len(places) > 1 or (cash and cash - change == total_minor):
        return ""
    if _lines_sum(rows, total_minor) or _sums_sum(rows, at, total_minor):
        return ""
    return "neither the lines nor what was paid confirm it"


def _stated_since(below: Sequence[Row], total_minor: int) -> str:
    """Return the row that rounds the total or states a larger one, "" if none does. Cash given is larger; so is a sum
    of it."""
    given = {total_minor + minor for row in below if _CHANGE.search(row.text) for minor in _minors(row)}
    for row in below:
        if _TAX_SUMMARY.search(row.text):
            break
        if _CASH.search(row.text) or _CHANGE.search(row.text):
            continue
        rounds = _ROUNDING.search(row.text) and any(minor != 0 for minor in _minors(row))
        if rounds or any(minor > total_minor and minor not in given for minor in _minors(row)):
            return row.text
    return ""


def _lines_sum(rows: Sequence[Row], total_minor: int) -> bool:
    """True if the last amounts of the rows right above the first total, or above its subtotal, add up to it."""
    come_to = 0
    for row in reversed(rows[: _first_sum(rows)]):
        if _CASH.search(row.text) or _CHANGE.search(row.text):
            continue  # paid for the lines, and none of them
        come_to += _minors(row)[-1] if _amounts(row) else 0
        if come_to >= total_minor:
            break
    return come_to == total_minor


def _sums_sum(rows: Sequence[Row], at: int, total_minor: int) -> bool:
    """True if two or three of the last sums above the row add up to the total; a rounding may be printed without its
    sign."""
    sums: list[tuple[int, ...]] = []
    for row in rows[_first_sum(rows) : at]:
        if _amounts(row):
            minor = _minors(row)[-1]
            sums.append((minor, -minor) if _ROUNDING.search(row.text) else (minor,))
    return any(
        sum(signed) == total_minor
        for count in (2, 3)
        for chosen in combinations(sums[-_SUMS_MAX:], count)
        for signed in product(*chosen)
        if all(signed)
    )


def _first_sum(rows: Sequence[Row]) -> int:
    """Return the index of the first row that states a total or a subtotal; the number of rows if none does."""
    return next(
        (at for at, row in enumerate(rows) if _strength(row.text)[0] not in (0, 1, 3) and _amounts(row)), len(rows)
    )


def _minors(row: Row) -> list[int]:
    return [minor for _start, _end, minor in _amounts(row)]


def _amounts(row: Row) -> list[tuple[int, int, int]]:
    return amounts(row.text, decimals_required=True)


def _strength(text: str) -> tuple[int, int]:
    """Return (how surely the row states the total, end of its word): 0 for no such word, -1 for a row that states
    another sum."""
    for pattern, strength in _TOTAL_WORDS:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            return strength, match.end() if strength > 0 else 0
    return 0, 0


def _tendered(rows: Sequence[Row]) -> tuple[int, int]:
    """Return (cash given, change) in minor units, zeros unless both are stated."""
    cash = change = -1
    for row in rows:
        spans = _amounts(row)
        if not spans:
            continue
        if _CHANGE.search(row.text):
            change = spans[-1][2]
        elif _CASH.search(row.text):
            cash = spans[-1][2]
    return (cash, change) if cash >= 0 and change >= 0 else (0, 0)


def _company(rows: Sequence[Row]) -> tuple[FieldReading, int] | None:
    """Return the merchant and the row its name ends in: the rows above the address and the registration numbers."""
    chosen: list[int] = []
    for index, row in enumerate(rows[:_HEADER_ROWS_MAX]):
        if _no_name(row.text) or (chosen and _other_print(rows[chosen[-1]], row)):
            if chosen:
                break
            continue
        bare = _without_registration(row.text)
        if _ADDRESS.search(bare) or (_REGISTRATION.search(bare) and not _COMPANY_END.search(bare)):
            if chosen:
                break
            continue
        if chosen and _PART_OF_ADDRESS.search(bare) and not _COMPANY_END.search(bare):
            break
        chosen.append(index)
        if _ends_name(bare) or len(chosen) == _NAME_ROWS_MAX:
            break
    if not chosen:
        return None
    own_words = _letters(_COMPANY_FORM.sub("", rows[chosen[-1]].text))
    if _ends_name(_without_registration(rows[chosen[-1]].text)) and own_words >= _OWN_WORDS_MIN:
        chosen = chosen[-1:]  # a complete name in one row: rows above it were added later
    pieces = [piece(rows, index, 0, len(rows[index].text)) for index in chosen]
    name = " ".join(_without_registration(rows[index].text) for index in chosen)
    confidence = min(part.confidence for part in pieces)
    return FieldReading("company", name, round(confidence, 4), union([part.box for part in pieces])), chosen[-1]


def _no_name(text: str) -> bool:
    """True if a row is too short for a name, or a title, a label with its number, or a day."""
    words = (
        _NOT_COMPANY.search(text),
        _DOCUMENT.match(text),
        _NUMBERED.match(text),
        _IN_BRACKETS.fullmatch(text.strip()),
    )
    return _letters(text) < 4 or any(words) or bool(dates(text))


def _ends_name(text: str) -> bool:
    return bool(_COMPANY_END.search(text) or _SHOP_END.search(text))


def _other_print(upper: Row, lower: Row) -> bool:
    """True if a Chinese row is set smaller or larger than the one above it: then it is not more of that name. English
    names run on in any size (POPULAR BOOK above CO. (M) SDN BHD)."""
    if not (_chinese(upper.text) and _chinese(lower.text)):
        return False
    heights = [max(cell.height for cell in row.cells) for row in (upper, lower)]
    return min(heights) < _SAME_PRINT * max(heights)


def _chinese(text: str) -> bool:
    return bool(re.search(r"[\u4e00-\u9fff]{2}", text))


def _without_registration(text: str) -> str:
    """Remove the registration number in brackets that many firms print beside the name."""
    return re.sub(r"\s*\([^()]*\d{4,}[^()]*\)?\s*$", "", re.sub(r"\b5/[8B]\b|\bS/8\b", "S/B", text)).strip()


def _letters(text: str) -> int:
    return sum(2 if "\u4e00" <= character <= "\u9fff" else 1 for character in text if character.isalpha())


def _address(rows: Sequence[Row], begin: int) -> FieldReading | None:
    """Return the rows between the merchant's name and its numbers or the bill's own lines: an address is told by where
    it stands and by its house number or commas more than by its words."""
    near = range(begin, min(len(rows), begin + _ADDRESS_ROWS_MAX))
    start = next((i for i, row in enumerate(rows) if _AT.match(row.text)), None)
    if start is None:
        start = next((i for i in near if _ADDRESS.search(rows[i].text) and not _no_address(rows[i].text)), None)
        # What stands above it in the same block is its first line (CAR PARK OFFICE, BASEMENT 1,).
        while start is not None and start - 1 >= begin and _PART_OF_ADDRESS.search(rows[start - 1].text):
            if _no_address(rows[start - 1].text):
                break
            start -= 1
    if start is None:
        start = next((i for i in near if _PART_OF_ADDRESS.search(rows[i].text) and not _no_address(rows[i].text)), None)
    if start is None:
        return None
    texts: list[str] = []
    pieces = []
    for index in range(start, min(len(rows), start + _ADDRESS_ROWS_MAX)):
        text = rows[index].text
        if _no_address(text) or (index > start and _apart(rows[index - 1], rows[index])):
            break
        texts.append(_AT.sub("", text))
        pieces.append(piece(rows, index, 0, len(text)))
    if not pieces:
        return None
    confidence = min(part.confidence for part in pieces)
    return FieldReading("address", " ".join(texts), round(confidence, 4), union([part.box for part in pieces]))


def _no_address(text: str) -> bool:
    """True if a row is in brackets, has a long number or a word for one, or a price."""
    apart = re.fullmatch(r"\W*\([^()]*\)\W*", text) or re.search(r"\d{7,}", text) or amounts(text, True)
    return bool(apart or _REGISTRATION.search(text) or _ADDRESS_END.search(text))


def _apart(upper: Row, lower: Row) -> bool:
    """True if a gap wider than a line stands between two rows."""
    height = max(cell.height for cell in (*upper.cells, *lower.cells))
    return lower.middle - upper.middle > _APART_HEIGHTS * height
