"""The HTTP rail against the sandbox bank, a real process that loses replies, fails and dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol, get_args

import pytest

from claims.money import Money
from fixtures.bank_faults import AskFault, ListFault, SendFault
from flows.errors import RailError
from flows.rails.http import FINAL_REFUSALS, HttpRail, HttpRailSettings
from flows.rails.rail import Instruction, NotKnown, Paid, Refused, Unclear

pytestmark = pytest.mark.anyio


class Bank(Protocol):
    url: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def faults(self, **faults: object) -> None: ...
    def tally(self) -> dict[str, dict[str, int]]: ...


@pytest.fixture
async def rail(bank: Bank) -> AsyncIterator[HttpRail]:
    async with HttpRail(HttpRailSettings(url=bank.url, token="bank-token", reply_timeout_seconds=60)) as rail:
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
    async with HttpRail(HttpRailSettings(url=bank.url, token="bank-token", reply_timeout_seconds=2)) as impatient:
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


async def test_an_id_used_with_another_amount_pays_nothing_more_and_is_no_final_refusal(rail: HttpRail) -> None:
    await rail.send(instruction("po_1", minor=100))
    assert isinstance(await rail.send(instruction("po_1", minor=999)), Unclear)
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
    async with HttpRail(HttpRailSettings(url=bank.url, token="wrong")) as stranger:
        assert isinstance(await stranger.send(instruction("po_1")), Unclear)
        assert isinstance(await stranger.ask("po_1"), Unclear)


async def test_a_404_that_is_not_the_banks_own_settles_nothing(bank: Bank, tmp_path: Path) -> None:  # noqa: ARG001
    async with HttpRail(HttpRailSettings(url=f"{bank.url}/somewhere-else", token="bank-token")) as lost:
        assert isinstance(await lost.send(instruction("po_1")), Unclear)
        assert isinstance(await lost.ask("po_1"), Unclear)


async def test_every_payment_is_listed_over_several_pages(rail: HttpRail) -> None:
    for start in range(0, 250, 50):
        await asyncio.gather(*(rail.send(instruction(f"po_{n:03}")) for n in range(start, start + 50)))
    listed = [paid.payout_id async for paid in rail.payments()]
    assert sorted(listed) == [f"po_{n:03}" for n in range(250)]


@pytest.mark.parametrize("fault", get_args(SendFault))
async def test_no_answer_but_a_named_refusal_of_this_very_payout_is_final(
    rail: HttpRail, bank: Bank, fault: str
) -> None:
    bank.faults(send={fault: 1.0}, retry_after_s=0, later_s=60)
    reply = await rail.send(instruction("po_1"))
    if fault in ("refused_paid", "refused_paid_later"):
        assert isinstance(reply, Refused)
        assert reply.code in FINAL_REFUSALS
    elif fault == "another_amount_paid":
        assert isinstance(reply, Paid)
        assert reply.amount.minor == 1_251  # told from what was sent by whoever knows that
    else:
        assert isinstance(reply, Unclear), reply
    bank.faults()
    asked = await rail.ask("po_1")
    made = fault.endswith("_paid")
    assert isinstance(asked, Paid if made else Refused if fault == "refused_paid_later" else NotKnown)


@pytest.mark.parametrize("fault", get_args(AskFault))
async def test_what_was_asked_is_answered_by_a_whole_record_of_it_or_is_unclear(
    rail: HttpRail, bank: Bank, fault: str
) -> None:
    paid = await rail.send(instruction("po_1"))
    bank.faults(ask={fault: 1.0}, retry_after_s=0)
    for payout_id in ("po_1", "po_unknown"):
        reply = await rail.ask(payout_id)
        if fault == "forgotten":
            assert reply == NotKnown(payout_id)
        elif fault == "another_amount" and payout_id == "po_1":
            assert isinstance(reply, Paid)
            assert reply.amount.minor == 1_251
        else:
            assert isinstance(reply, Unclear), reply
    bank.faults()
    assert await rail.ask("po_1") == paid


@pytest.mark.parametrize("fault", get_args(ListFault))
async def test_a_list_that_cannot_be_read_in_full_is_an_error_and_no_list(
    rail: HttpRail, bank: Bank, fault: str
) -> None:
    await rail.send(instruction("po_1"))
    bank.faults(list={fault: 1.0}, retry_after_s=0)
    with pytest.raises(RailError):
        _ = [paid async for paid in rail.payments()]


async def test_a_refusal_that_is_not_in_the_banks_own_closed_set_refuses_nothing(bank: Bank) -> None:
    config = HttpRailSettings(url=bank.url, token="bank-token", final_refusals=frozenset({"no_such_iban"}))
    async with HttpRail(config) as other:
        assert isinstance(await other.send(instruction("po_1", account="closed-1")), Unclear)
        assert isinstance(await other.ask("po_1"), Unclear)


async def test_after_a_429_the_bank_is_left_alone_for_as_long_as_it_asked(bank: Bank) -> None:
    now = [0.0]
    async with HttpRail(HttpRailSettings(url=bank.url, token="bank-token"), clock=lambda: now[0]) as rail:
        bank.faults(send={"too_many": 1.0}, retry_after_s=30)
        reply = await rail.send(instruction("po_1"))
        assert isinstance(reply, Unclear)
        assert reply.wait_seconds == 30
        bank.faults()
        now[0] = 29.0
        waiting = await rail.send(instruction("po_2"))
        assert isinstance(waiting, Unclear)
        assert waiting.wait_seconds == pytest.approx(1.0)
        assert "po_2" not in bank.tally()
        now[0] = 30.0
        assert isinstance(await rail.send(instruction("po_1")), Paid)


async def test_a_bank_that_asks_for_a_year_is_asked_again_within_the_limit(bank: Bank) -> None:
    config = HttpRailSettings(url=bank.url, token="bank-token", retry_after_seconds_max=5)
    async with HttpRail(config) as rail:
        bank.faults(send={"unavailable_wait": 1.0}, retry_after_s=600)
        reply = await rail.send(instruction("po_1"))
    assert isinstance(reply, Unclear)
    assert reply.wait_seconds == 5
