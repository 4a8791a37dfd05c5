"""Payouts from the outbox to the rail, and the rail's word back to the ledger.

    reserved -> sent (committed before the bank is asked) -> paid, or failed when the bank refuses for good

The payout id is the only key, on every attempt. Whatever the reply leaves open is resolved by asking the bank about
that id before anything else is done. So a payout leaves at most once however often this process, the bank or the
store dies, and the ledger learns of it as soon as all three are up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.product import product_of
from claims.store import adjudication, outbox, payouts
from claims.store.engine import connect
from claims.store.outbox import Message
from claims.store.payouts import Payout
from flows.config import SettleConfig
from flows.drain import Drain
from flows.errors import Postponed
from flows.process import live, stopping
from flows.queues import OutboxQueue, utc_now
from flows.rails.http import HttpRail
from flows.rails.rail import Instruction, NotKnown, Paid, PayoutRail, Refused, Unclear
from flows.sending import Sending
from flows.tracking import tracking

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles one payout at a time over one rail."""

    engine: AsyncEngine
    rail: PayoutRail

    async def settle(self, message: Message) -> tuple[str, str]:
        """Returns ("paid", reference), ("failed", code) or ("settled before", state).

        Raises Postponed while the bank leaves it open, LeaseLost when another process has the message.
        """
        payout, sent_before = await self._begin(message)
        if payout.state in ("paid", "failed"):
            return "settled before", payout.state
        reply = await (self._resume(payout) if sent_before else self._send(payout))
        match reply:
            case Paid() if (reply.amount, reply.account) != (payout.amount, payout.payee_account):
                # Nothing that we could do would mend it; reconciliation shows it until a person has.
                words = f"the bank paid {reply.amount} to another or in another amount under this id"
                log.error("paid otherwise", payout=payout.id, detail=words)
                return await self._open(payout, words)
            case Paid():
                async with self.engine.begin() as conn:
                    await payouts.mark_paid(conn, payout.id, reply.reference, utc_now())
                    await outbox.finish(conn, message, utc_now())
                return "paid", reply.reference
            case Refused():
                await self._fail(payout, message, reply)
                return "failed", reply.code
            case NotKnown():
                return await self._open(payout, "the bank has not seen it yet")
            case Unclear():
                return await self._open(payout, reply.detail)

    async def _begin(self, message: Message) -> tuple[Payout, bool]:
        """The payout, marked as sent, and whether the bank may have heard of it before. Committed before any
        request.
        """
        async with self.engine.begin() as conn:
            payout = await payouts.get(conn, message.key)
            if payout.state in ("paid", "failed"):
                await outbox.finish(conn, message, utc_now())
                return payout, True
            sent_before = payout.state == "sent"
            payout = await payouts.mark_sent(conn, payout.id, utc_now())
            await outbox.hold(conn, message)
            return payout, sent_before

    async def _resume(self, payout: Payout) -> Paid | Refused | NotKnown | Unclear:
        """An earlier attempt left it open: ask first, and send (the same id) only what the bank says it never saw."""
        reply = await self.rail.ask(payout.id)
        return await self._send(payout) if isinstance(reply, NotKnown) else reply

    async def _send(self, payout: Payout) -> Paid | Refused | NotKnown | Unclear:
        instruction = Instruction(payout.id, payout.amount, payout.payee_account, f"claim {payout.claim_id}")
        reply = await self.rail.send(instruction)
        return await self.rail.ask(payout.id) if isinstance(reply, Unclear) else reply

    async def _open(self, payout: Payout, words: str) -> tuple[str, str]:
        async with self.engine.begin() as conn:
            await payouts.note_error(conn, payout.id, words)
        raise Postponed(words)

    async def _fail(self, payout: Payout, message: Message, reply: Refused) -> None:
        async with self.engine.begin() as conn:
            file = await adjudication.load(conn, payout.claim_id)
            partner = product_of(file.claim.product).partner
            words = f"{reply.code}: {reply.detail}"
            await payouts.mark_failed(conn, payout.id, words, utc_now(), partner=partner)
            await outbox.finish(conn, message, utc_now())


async def run(config: SettleConfig, stop: asyncio.Event | None = None) -> None:
    """Settle until SIGTERM or `stop`."""
    stop, wake = stop or asyncio.Event(), asyncio.Event()
    engine = connect(config.store.dsn, pool_size=config.store.pool_size)
    try:
        async with tracking(config.prefect) as tracker, HttpRail(config.bank) as rail, stopping(stop, [wake]):
            sending = Sending("settle", engine, tracker, Settlement(engine, rail).settle, config.lease)
            queue = OutboxQueue(engine, "settle", config.name, config.lease.lease_seconds)
            drain = Drain("settle", queue, sending.work, config.lease, stop, wake)
            await live(
                engine,
                config.name,
                "settle",
                [drain],
                stop,
                lambda: {"backlog": drain.backlog, "in_flight": drain.in_flight, "prefect": tracker.healthy},
                config.lease.report_seconds,
            )
    finally:
        await engine.dispose()
