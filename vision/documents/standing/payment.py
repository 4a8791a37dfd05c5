"""Looks for what shows that a bill was paid, and for what asks to pay it.

A total and a date stand on a bill before it is paid as well as after. So the file of a kind lists what shows a payment
on such papers (`paid_signs`): a bill's title and codes, a line of cash or card, the cashier. A page with none of it is
`unshown`: what could not be checked is not paid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from vision.documents.kinds.catalogue import PaperKind
from vision.documents.standing.places import joined
from vision.documents.text.compiled import compiled
from vision.documents.text.layout import Row
from vision.documents.text.normalise import amounts
from vision.documents.text.page import PageBox, Standing

_TITLE_ROWS = 5
#: A row that speaks of payments in general: terms, offers, what is still to come.
_OF_NO_PAYMENT: Final = re.compile(
    r"\b(?:NO|NOT|NEVER) (?:CASH|CARD|PAID|YET)|\bREFUND|\bEXCHANGE|\bPOLICY|\bWE ACCEPT|\bACCEPTED HERE"
    r"|CARDS? ACCEPTED|\bUNPAID\b"
    r"|TO BE PAID|\bPAYABLE\b|SUBJECT TO|CHANGE OF|PAYMENTS? (?:IS |ARE )?(?:DUE|TERMS?|WITHIN|BY \d"
    r"|INSTRUCTIONS?|DETAILS|OPTIONS|REQUIRED|PENDING"
    r"|OVERDUE|OUTSTANDING|TO\b|ADVICE|SLIP|ADDRESS|REMINDER)|\bPLEASE (?:PAY|REMIT|MAKE)|\bIF PAID\b|PAID (?:BY"
    r"|BEFORE|WITHIN) (?:THE )?\d|(?:UNTIL|WHEN|ONCE|IF) PAID"
    r"|PRE-?PAID|CASH DISCOUNT|ACCEPTED PAYMENT|PAYMENT ACCEPTED"
    "|未(?:付|支付|缴|收|结)|待(?:付|支付|缴|收|结)|请[\u4e00-\u9fff,]{0,14}(?:付|支付|缴|交费|交款)|应付|需付|不(?:付|支付)|尚未|可(?:使用|用)|支持|接受",
    re.IGNORECASE,
)
_COST_LIST: Final = re.compile(
    "[\u4e00-\u9fff()·A-Z\\d\\s]{0,30}?(?:总|汇总|明细|分类)?费用(?:汇总|分类|项目)?(?:总)?(?:清单|明细|明细清单|清单明细|明细表|汇总表?|一览表?|查询单?"
    "|总览)(?:\\(.{0,8}\\))?",
    re.IGNORECASE,
)
#: A request to pay; what stands between may not turn it into another request (请核对缴费金额).
_REQUEST: Final = re.compile(
    "请(?P<between>[^。;!]{0,24}?)(?:缴费|交费|付费|缴款|交款(?!人)|付款(?!人|方)|缴清|付清|结清|还清|补缴|补交|续缴|续交|缴纳|支付(?!方式|宝|凭证)|结账|买单"
    "|付讫|汇款)"
    "|凭(?:此|本)(?:单|联|条|凭证|通知)?[^。;!]{0,10}(?:缴费|交费|付费|交款(?!人)|缴款|付款|结账|买单)"
    "|(?:缴费|交费|付款|缴款|支付|付清|结清)后(?:方可|方能|才能|才可|生效|有效|再)"
    r"|\bPLEASE (?:PAY|REMIT|SETTLE|MAKE (?:THE |YOUR )?PAYMENT|ARRANGE (?:THE )?PAYMENT)|\bPAY (?:THIS AMOUNT"
    r"|AT (?:THE )?(?:COUNTER|CASHIER|DESK|TILL|FRONT))"
    r"|\bKINDLY (?:PAY|SETTLE|REMIT)|\bPAYMENT (?:IS )?(?:DUE|OVERDUE|REQUIRED)\b(?! (?:UPON|AT TIME))"
    r"|\bREMIT (?:PAYMENT|TO)\b|\bAMOUNT (?:NOW )?OVERDUE\b"
    r"|\b(?:FINAL|SECOND|FIRST) (?:DEMAND|NOTICE|REMINDER)\b",
    re.IGNORECASE,
)
_OTHER_REQUEST: Final = re.compile(
    "勿|核对|保[管存留]|妥善|确认|查[看收验询]|当面|携带|出示|开具|索取|关注|凭.{0,6}领|退|保证|先生|不要"
)
_TO_PAY_IN_FULL: Final = re.compile(
    r"\b(?:BALANCE (?:DUE|OWED|OWING|TO PAY)|STILL (?:DUE|OWED)|AMOUNT (?:STILL )?DUE)\b", re.IGNORECASE
)
_PART_PAID: Final = re.compile(r"\b(?:PAID|DEPOSIT|PAYMENTS?|RECEIVED)\b", re.IGNORECASE)


def payment_is_shown(rows: Sequence[Row], kind: PaperKind) -> bool:
    """Return True if a cell shows a payment by the signs of its kind, or the kind lists none. Rows that speak of
    payments in general show none."""
    if not kind.paid_signs:
        return True
    pattern = compiled("|".join(f"(?:{sign})" for sign in kind.paid_signs), re.IGNORECASE)
    return any(
        pattern.search(joined(cell.text)) is not None
        for row in rows
        if not _OF_NO_PAYMENT.search(joined(row.text))
        for cell in row.cells
    )


def payment_signs(
    rows: Sequence[Row], kind: PaperKind | None, total_minor: int
) -> Iterator[tuple[Standing, str, PageBox]]:
    """Yield the signs that the page asks for a payment, or lists costs and is no bill: standing, words, place."""
    for row in rows:
        for cell in row.cells:
            text = joined(cell.text)
            request = _REQUEST.search(text)
            if request is not None and not _OTHER_REQUEST.search(request["between"] or ""):
                yield "unpaid", cell.text, cell.box
    yield from _cost_lists(rows, kind)
    yield from _rest_due(rows, total_minor)


def _cost_lists(rows: Sequence[Row], kind: PaperKind | None) -> Iterator[tuple[Standing, str, PageBox]]:
    """Yield a title that names a list of costs, unless the kind has such titles or another title names the bill."""
    if kind is None:
        return
    top = rows[:_TITLE_ROWS]
    if any(compiled(kind.title, re.IGNORECASE).search(joined(row.text)) for row in top):
        return
    for row in top:
        for cell in row.cells:
            if _COST_LIST.fullmatch(joined(cell.text)):
                yield "statement", cell.text, cell.box


def _rest_due(rows: Sequence[Row], total_minor: int) -> Iterator[tuple[Standing, str, PageBox]]:
    """Yield what is still due of the total below a part that was paid."""
    part_paid = False
    for row in rows:
        stated = [minor for _, _, minor in amounts(row.text, decimals_required=True)]
        if not stated:
            continue
        if part_paid and _TO_PAY_IN_FULL.search(row.text) and 0 < stated[-1] < total_minor:
            yield "unpaid", row.text, row.cells[0].box
        part_paid = part_paid or _PART_PAID.search(row.text) is not None
