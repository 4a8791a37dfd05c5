"""The HTTP rail against the sandbox bank, a real process that loses replies, fails and dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from claims.money import Money
from flows.config import BankConfig
from flows.errors import RailError
from flows.rails.http import HttpRail
from flows.rails.rail import Instruction, NotKnown, Paid, Refused, Unclear

pytestmark = pytest.mark.anyio


class Bank(Protocol):
    url: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def faults(self, **faults: float) -> None: ...
    def tally(self) -> dict[str, dict[str, int]]: ...


@pytest.fixture
async def rail(bank: Bank) -> AsyncIterator[HttpRail]:
    async with HttpRail(BankConfig(url=bank.url, token="bank-token", reply_timeout_seconds=60)) as rail:
        yield rail


def instruction(payout_id: str, minor: int = 1_250, account: str = "6222020200012345678") -> Instruction:
    return Instruction(payout_id, Money(minor, "CNY"), account, "claim clm_1")


async def test_a_payout_sent_twice_is_made_once(rail: HttpRail, bank: Bank) -> None:
    first = await rail.send(instruction("po_1"))
    second = await rail.send(instruction("po_1"))
    assert isinstance(first, Paid)
    assert first == second
    assert first.amount == Money(1_250, "CNY")
    assert bank.tally() == {"po_1": {"asked": 2, "made": 1}}


async def test_twenty_senders_of_one_payout_at_once_pay_once(rail: HttpRail, bank: Bank) -> None:
    replies = await asyncio.gather(*(rail.send(instruction("po_1")) for _ in range(20)))
    assert {type(reply) for reply in replies} == {Paid}
    assert bank.tally()["po_1"] == {"asked": 20, "made": 1}


async def test_a_lost_reply_is_unclear_and_asking_finds_the_payment(rail: HttpRail, bank: Bank) -> None:
    bank.faults(lose_reply_rate=1.0)
    assert isinstance(await rail.send(instruction("po_1")), Unclear)
    assert isinstance(await rail.ask("po_1"), Paid)


async def test_a_stalled_reply_is_unclear_and_asking_finds_the_payment(rail: HttpRail, bank: Bank) -> None:
    bank.faults(stall_rate=1.0, stall_s=6)
    async with HttpRail(BankConfig(url=bank.url, token="bank-token", reply_timeout_seconds=2)) as impatient:
        assert isinstance(await impatient.send(instruction("po_1")), Unclear)
    assert isinstance(await rail.ask("po_1"), Paid)


async def test_an_error_before_payment_is_unclear_and_the_bank_does_not_know_the_payout(
    rail: HttpRail, bank: Bank
) -> None:
    bank.faults(error_rate=1.0)
    assert isinstance(await rail.send(instruction("po_1")), Unclear)
    assert await rail.ask("po_1") == NotKnown("po_1")


async def test_a_closed_account_is_refused_for_good(rail: HttpRail) -> None:
    reply = await rail.send(instruction("po_1", account="closed-1"))
    assert isinstance(reply, Refused)
    assert reply.code == "account_closed"
    assert isinstance(await rail.ask("po_1"), Refused)


async def test_an_id_used_with_another_amount_is_refused_and_pays_nothing_more(rail: HttpRail) -> None:
    await rail.send(instruction("po_1", minor=100))
    reply = await rail.send(instruction("po_1", minor=999))
    assert isinstance(reply, Refused)
    assert reply.code == "id_used_otherwise"
    asked = await rail.ask("po_1")
    assert isinstance(asked, Paid)
    assert asked.amount.minor == 100


async def test_a_dead_bank_is_unclear_and_remembers_after_its_restart(rail: HttpRail, bank: Bank) -> None:
    await rail.send(instruction("po_1"))
    bank.kill()
    assert isinstance(await rail.send(instruction("po_2")), Unclear)
    assert isinstance(await rail.ask("po_1"), Unclear)
    with pytest.raises(RailError):
        _ = [paid async for paid in rail.payments()]
    bank.start()
    assert isinstance(await rail.ask("po_1"), Paid)
    assert await rail.ask("po_2") == NotKnown("po_2")


async def test_a_wrong_token_settles_nothing(bank: Bank) -> None:
    async with HttpRail(BankConfig(url=bank.url, token="wrong")) as stranger:
        assert isinstance(await stranger.send(instruction("po_1")), Unclear)
        assert isinstance(await stranger.ask("po_1"), Unclear)


async def test_a_404_that_is_not_the_banks_own_settles_nothing(bank: Bank, tmp_path: Path) -> None:  # noqa: ARG001
    async with HttpRail(BankConfig(url=f"{bank.url}/somewhere-else", token="bank-token")) as lost:
        assert isinstance(await lost.send(instruction("po_1")), Unclear)
        assert isinstance(await lost.ask("po_1"), Unclear)


async def test_every_payment_is_listed_over_several_pages(rail: HttpRail) -> None:
    for start in range(0, 250, 50):
        await asyncio.gather(*(rail.send(instruction(f"po_{n:03}")) for n in range(start, start + 50)))
    listed = [paid.payout_id async for paid in rail.payments()]
    assert sorted(listed) == [f"po_{n:03}" for n in range(250)]
