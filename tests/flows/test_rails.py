"""Every payout rail keeps these rules, whatever it talks to: each registered rail, and one that is not the product's,
against the whole other side that `OTHER_SIDES` has for it. A new rail gets these tests by its line there; without one
the first test fails."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from claims.money import Money
from flows.errors import InvalidRail, RailError
from flows.rails import registry
from flows.rails.rail import ChosenRail, Instruction, NotKnown, Paid, PayoutRail, RailKind, Refused, Unclear
from tests.flows import wallet
from tests.flows.conftest import Server

pytestmark = pytest.mark.anyio

PAYEE = "6222020200012345678"
AMOUNT = Money(1_250, "CNY")


@dataclass(frozen=True)
class OtherSide:
    """The other side of a rail, running. options: the rail's settings for it, with `secret` among them under the name
    `secret_option`. elsewhere: options under which nothing answers. closed_account: one that it refuses for good.
    lose_replies: from now on it makes payments, and its answers to them are lost (True), or arrive again."""

    options: Mapping[str, Any]
    secret_option: str
    secret: str
    elsewhere: Mapping[str, Any]
    closed_account: str
    lose_replies: Callable[[bool], None]


@contextmanager
def sandbox_bank(folder: Path) -> Iterator[OtherSide]:
    server = Server("fixtures.sandbox_bank", folder, (), {"SANDBOX_BANK_TOKEN": "bank-token"})
    server.start()
    try:
        yield OtherSide(
            options={"url": server.url, "token": "bank-token", "reply_timeout_seconds": 60},
            secret_option="token",
            secret="bank-token",
            elsewhere={"url": "http://127.0.0.1:9"},
            closed_account="closed-1",
            lose_replies=lambda lost: server.faults(lose_reply_rate=1.0 if lost else 0.0),
        )
    finally:
        server.kill()


@contextmanager
def whole_wallet(_folder: Path) -> Iterator[OtherSide]:
    with wallet.running_wallet() as (url, handler):
        yield OtherSide(
            options={"endpoint": url, "secret": wallet.SECRET, "seconds_max": 60},
            secret_option="secret",
            secret=wallet.SECRET,
            elsewhere={"endpoint": "http://127.0.0.1:9"},
            closed_account="closed-1",
            lose_replies=lambda lost: setattr(handler, "loses_replies", lost),
        )


def planted() -> RailKind[Any]:
    """Returns the kind of the rail that is not the product's, from its source."""
    module = sys.modules["planted_wallet"] = ModuleType("planted_wallet")  # pydantic looks its annotations up there
    exec(compile(wallet.RAIL, "wallet.py", "exec", dont_inherit=True), module.__dict__)
    kind: RailKind[Any] = module.KIND
    return kind


RAILS: Mapping[str, RailKind[Any]] = {**registry.RAILS, "wallet": planted()}
# One line a kind of rail.
OTHER_SIDES: Mapping[str, Callable[[Path], AbstractContextManager[OtherSide]]] = {
    "http": sandbox_bank,
    "wallet": whole_wallet,
}


def test_every_registered_rail_has_its_other_side_here() -> None:
    assert set(OTHER_SIDES) == set(RAILS), "a new rail needs its other side in OTHER_SIDES"


@pytest.fixture(params=sorted(RAILS))
def kind(request: pytest.FixtureRequest) -> RailKind[Any]:
    return RAILS[request.param]


@pytest.fixture
def side(kind: RailKind[Any], tmp_path: Path) -> Iterator[OtherSide]:
    with OTHER_SIDES[kind.name](tmp_path) as running:
        yield running


def opened(kind: RailKind[Any], options: Mapping[str, Any]) -> ChosenRail:
    return ChosenRail(kind, kind.settings.model_validate(dict(options)))


@pytest.fixture
async def rail(kind: RailKind[Any], side: OtherSide) -> AsyncIterator[PayoutRail]:
    async with opened(kind, side.options).open() as running:
        yield running


def instruction(payout_id: str, amount: Money = AMOUNT, account: str = PAYEE) -> Instruction:
    return Instruction(payout_id, amount, account, "claim clm_1")


async def listed(rail: PayoutRail) -> list[Paid]:
    return [paid async for paid in rail.payments()]


async def test_however_often_it_is_asked_it_pays_once(rail: PayoutRail) -> None:
    replies = await asyncio.gather(*(rail.send(instruction("po_1")) for _ in range(10)))
    again = await rail.send(instruction("po_1"))
    assert isinstance(again, Paid)
    assert {reply for reply in replies if not isinstance(reply, Unclear)} == {again}
    assert await rail.ask("po_1") == again
    assert await listed(rail) == [again]


async def test_a_payment_whose_answer_was_lost_is_unclear_and_asking_tells(rail: PayoutRail, side: OtherSide) -> None:
    side.lose_replies(True)
    assert isinstance(await rail.send(instruction("po_1")), Unclear)
    side.lose_replies(False)
    told = await rail.ask("po_1")
    assert isinstance(told, Paid)
    assert await rail.send(instruction("po_1")) == told
    assert await listed(rail) == [told]


async def test_asking_for_what_was_never_sent_says_so_and_moves_no_money(rail: PayoutRail) -> None:
    assert await rail.ask("po_1") == NotKnown("po_1")
    assert await listed(rail) == []


async def test_what_it_refuses_for_good_it_refuses_again_when_asked(rail: PayoutRail, side: OtherSide) -> None:
    refused = await rail.send(instruction("po_1", account=side.closed_account))
    assert isinstance(refused, Refused)
    assert refused.code
    for told in (await rail.ask("po_1"), await rail.send(instruction("po_1", account=side.closed_account))):
        assert isinstance(told, Refused)
        assert (told.payout_id, told.code) == ("po_1", refused.code)
    assert await listed(rail) == []


@pytest.mark.parametrize("amount", [Money(1, "CNY"), Money(123_456_789, "CNY"), Money(5_000, "JPY")], ids=str)
async def test_amount_currency_and_account_are_kept(rail: PayoutRail, amount: Money) -> None:
    sent = await rail.send(instruction("po_1", amount))
    assert isinstance(sent, Paid)
    for paid in (sent, await rail.ask("po_1"), *await listed(rail)):
        assert isinstance(paid, Paid)
        assert (paid.payout_id, paid.amount, paid.account) == ("po_1", amount, PAYEE)
        assert paid.reference


async def test_an_id_that_was_paid_pays_no_other_amount_and_no_other_account(rail: PayoutRail) -> None:
    first = await rail.send(instruction("po_1"))
    for other in (instruction("po_1", Money(9_999, "CNY")), instruction("po_1", account="6222other")):
        assert not isinstance(await rail.send(other), Refused)
    assert await rail.ask("po_1") == first
    assert await listed(rail) == [first]


async def test_where_nothing_answers_everything_is_unclear_and_the_list_an_error(
    kind: RailKind[Any], side: OtherSide
) -> None:
    async with opened(kind, {**side.options, **side.elsewhere}).open() as rail:
        assert isinstance(await rail.send(instruction("po_1")), Unclear)
        assert isinstance(await rail.ask("po_1"), Unclear)
        with pytest.raises(RailError):
            await listed(rail)


async def test_to_a_stranger_nothing_is_told_as_final(kind: RailKind[Any], side: OtherSide, rail: PayoutRail) -> None:
    async with opened(kind, {**side.options, side.secret_option: "wrong"}).open() as stranger:
        assert isinstance(await stranger.send(instruction("po_1")), Unclear)
        assert isinstance(await stranger.ask("po_1"), Unclear)
        with pytest.raises(RailError):
            await listed(stranger)
    assert await rail.ask("po_1") == NotKnown("po_1")


async def test_nothing_secret_is_shown(kind: RailKind[Any], side: OtherSide, rail: PayoutRail) -> None:
    choice = opened(kind, side.options)
    shown = [choice, choice.settings, rail, await rail.send(instruction("po_1")), await rail.ask("po_2")]
    async with opened(kind, {**side.options, **side.elsewhere}).open() as lost:
        shown.append(await lost.send(instruction("po_1")))
    for words in (*map(repr, shown), *map(str, shown), choice.settings.model_dump_json()):
        assert side.secret not in words


def test_options_that_it_does_not_know_are_refused_without_their_value(
    kind: RailKind[Any], side: OtherSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "RAILS", RAILS)
    assert registry.chosen(kind.name, side.options).kind is kind
    with pytest.raises(InvalidRail) as refused:
        registry.chosen(kind.name, {**side.options, "tokn": "KANARI"})
    assert "tokn" in str(refused.value)
    assert "KANARI" not in str(refused.value)
    assert side.secret not in str(refused.value)
