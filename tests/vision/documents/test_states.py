"""States of app pages, slips and bills: what is not known to be paid is not paid, and what is paid stays so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.vision.documents.state_pages import APPS, Rows, courier, honest, opposites, slip
from vision.documents.gate import accepted, not_accepted_because
from vision.documents.kinds.catalogue import load_catalogue
from vision.documents.parse import parse
from vision.documents.text.page import PaperReading

TODAY = date(2026, 11, 22)
KINDS = load_catalogue()


def read(page_of: Any, rows: Rows) -> PaperReading:
    reading = parse(page_of(rows), TODAY, KINDS)
    return replace(reading, alike=reading.relied_on)


def by_sort(pages: Iterable[tuple[str, Rows]]) -> dict[str, list[Rows]]:
    sorts: defaultdict[str, list[Rows]] = defaultdict(list)
    for name, rows in pages:
        sorts[name].append(rows)
    return sorts


NOT_PAYABLE, PAID = by_sort(opposites()), by_sort(honest())


def test_the_pages_made_for_this_are_many() -> None:
    assert sum(map(len, NOT_PAYABLE.values())) >= 400
    assert sum(map(len, PAID.values())) >= 200


@pytest.mark.parametrize("sort", NOT_PAYABLE)
def test_a_page_that_shows_no_payment_or_another_state_is_not_accepted(page_of: Any, sort: str) -> None:
    taken = [rows for rows in NOT_PAYABLE[sort] if accepted(read(page_of, rows))]
    assert taken == []


@pytest.mark.parametrize("sort", PAID)
def test_a_paid_page_with_buttons_legends_and_rules_stays_paid(page_of: Any, sort: str) -> None:
    doubted = {not_accepted_because(read(page_of, rows)): rows for rows in PAID[sort]}
    assert doubted.keys() == {""}


def standings(page_of: Any, rows: Rows) -> list[str]:
    return [sign.standing for sign in read(page_of, rows).standing]


HEADS = {
    "退款处理中": "refund",
    "退款申请已提交": "refund",
    "售后处理中": "refund",
    "订单取消": "void",
    "买家取消了订单": "void",
    "订单已失效": "void",
    "待付尾款": "unpaid",
    "等待付款": "unpaid",
    "等待商家确认": "unstated",
    "某种新状态": "unstated",
    "": "unstated",
}


@pytest.mark.parametrize("state", HEADS)
def test_the_head_of_an_order_tells_what_became_of_it(page_of: Any, state: str) -> None:
    for app in APPS.values():
        assert standings(page_of, app([[state]] if state else []))[:1] == [HEADS[state]]


def test_a_refund_in_the_head_counts_though_the_payment_is_named_first(page_of: Any) -> None:
    assert "refund" in standings(page_of, APPS["taobao"]([["买家已付款"], ["退款处理中"]]))


def test_a_refund_below_a_paid_order_is_that_of_a_part_only_among_several_goods_or_with_a_smaller_sum(
    page_of: Any,
) -> None:
    app, paid = APPS["taobao"], [["交易成功"]]
    assert standings(page_of, app(paid, [["退款成功"]])) == ["refund"]
    assert standings(page_of, app(paid, [["查看退款"]])) == ["refund"]
    assert standings(page_of, app(paid, [["退款成功"], ["退款金额", (900, "¥84.00")]])) == ["refund"] * 2
    assert standings(page_of, app(paid, [["退款成功"], ["退款金额", (900, "¥10.00")]])) == []
    assert standings(page_of, app(paid, [["云南蓝莓 2盒", (900, "x1")], ["退款成功"]])) == []
    assert standings(page_of, app(paid, [["退款关闭"]])) == []


def test_a_page_that_lost_its_head_is_doubted_whatever_else_it_shows(page_of: Any) -> None:
    whole = APPS["jd"]([["交易成功"]])
    assert standings(page_of, whole) == []
    cut = [*whole[3:], ["已签收 您的包裹由本人签收"]]
    assert standings(page_of, cut) == ["unstated"]


def test_a_waybill_needs_a_state_on_a_screen_and_none_on_paper(page_of: Any) -> None:
    assert standings(page_of, slip()) == []
    assert standings(page_of, courier([["运输中"]])) == []
    assert standings(page_of, courier(())) == ["unstated"]
    assert standings(page_of, courier([["待揽收"]])) == ["unstated"]
    assert standings(page_of, slip((), [["拦截件"]])) == ["void"]
    assert standings(page_of, slip((), [["如无法投递：退回寄件人"]])) == []


@pytest.mark.parametrize("text", ["巳取消", "己取消", "已 取 消", "訂單已取消"])
def test_a_state_with_characters_that_look_alike_or_stand_apart_is_read(page_of: Any, text: str) -> None:
    assert standings(page_of, slip([[text]])) == ["void"]
