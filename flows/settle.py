"""Payouts from the outbox to the rail, and the rail's word back to the ledger.

    reserved -> sent (committed before the bank is asked) -> paid, or failed when the bank refuses for good

The payout id is the only key, on every attempt. Whatever the reply leaves open is resolved by asking the bank about
that id before anything else is done, and a refusal is confirmed by asking before it is recorded. Before a payout is
sent the bank is asked about every earlier one of its claim: one that was paid after all is corrected in the books, and
nothing more is sent. So a payout leaves at most once however often this process, the bank or the store dies, and the
ledger learns of it as soon as all three are up. While people hold payouts (`claims.store.gates`), those that were sent
are still asked about and none is sent. Beside it, books and bank are reconciled on a timer, and what operators must
hear of is watched for (`flows.operations.watch`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.catalogue import product_of
from claims.errors import Held
from claims.store import adjudication, corrections, findings, gates, outbox, payouts, statuses
from claims.store.findings import Difference
from claims.store.outbox import Message
from claims.store.payouts import Payout
from flows.config import SettleConfig
from flows.errors import Postponed
from flows.operations.brakes import keep_in_step
from flows.operations.crashed import keep_truth
from flows.operations.watch import alerting
from flows.queues import utc_now
from flows.rails.rail import Instruction, NotKnown, Paid, PayoutRail, Refused, Unclear
from flows.reconcile import Reconciler, by_timer
from flows.register import StoredRegister
from flows.sending import Duty, send_until_stopped

log = structlog.get_logger(__name__)
ACTOR = "flow:settle"


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles one payout at a time over one rail."""

    engine: AsyncEngine
    rail: PayoutRail
    held_seconds: float = 5.0  # between questions about a payout that was sent, never arrived, and is held now

    async def settle(self, message: Message) -> tuple[str, str]:
        """Returns ("paid", reference), ("failed", code), ("not sent", why) or ("settled before", state).

        Raises Postponed while the bank leaves it open or the claim is stopped, Held while people hold payouts like it,
        LeaseLost when another process has the message.
        """
        async with self.engine.begin() as conn:
            payout = await payouts.get(conn, message.key)
            if payout.state in ("paid", "failed"):
                await outbox.finish(conn, message, utc_now())
                return "settled before", payout.state
        # Once sent, only the bank knows: ask first, and send (the same id) only what it says it never saw.
        reply = await self.rail.ask(payout.id) if payout.state == "sent" else NotKnown(payout.id)
        if isinstance(reply, NotKnown):
            if why := await self._why_not(payout, message):
                return "not sent", why
            reply = await self._send(payout, message)
        return await self._record(payout, message, reply)

    async def _record(
        self, payout: Payout, message: Message, reply: Paid | Refused | NotKnown | Unclear
    ) -> tuple[str, str]:
        match reply:
            case Paid() if not _same(reply, payout):
                words = _otherwise(reply, payout)
                await self._stop(payout, *words)
                return await self._open(payout, ": ".join(words))
            case Paid():
                await self._paid(payout, message, reply)
                return "paid", reply.reference
            case Refused():
                await self._fail(payout, message, reply)
                return "failed", reply.code
            case NotKnown():
                return await self._open(payout, "the bank has not seen it yet")
            case Unclear():
                return await self._open(payout, reply.detail, reply.wait_seconds)

    async def _send(self, payout: Payout, message: Message) -> Paid | Refused | NotKnown | Unclear:
        """Mark as sent, committed before any request; send; and ask about every answer but a plain success. Raises
        Held, before anything is sent, while people hold the payout."""
        async with self.engine.begin() as conn:
            await self._pass(conn, payout)
            await payouts.mark_sent(conn, payout.id, utc_now())
            await outbox.hold(conn, message)
        instruction = Instruction(payout.id, payout.amount, payout.payee_account, f"claim {payout.claim_id}")
        reply = await self.rail.send(instruction)
        if isinstance(reply, Unclear) and reply.wait_seconds > 0:
            return reply  # the bank has asked for a pause, questions included
        if isinstance(reply, Paid) and _same(reply, payout):
            return reply
        return await self.rail.ask(payout.id)

    async def _pass(self, conn: AsyncConnection, payout: Payout) -> None:
        """Raise Held while people hold the payout. One that the bank was asked for before, and says it never saw, is
        asked about again after a pause; any other waits in its place."""
        try:
            await gates.pass_payout(conn, payout.claim_id)
        except Held as held:
            raise Held(held.name, self.held_seconds if payout.state == "sent" else 0.0) from held

    async def _why_not(self, payout: Payout, message: Message) -> str:
        """Ask the bank about every earlier payout of the claim. Returns "" where this payout may be sent; otherwise
        gives it up and returns the reason. Raises Postponed while the bank leaves one of them open, or the claim is
        stopped."""
        async with self.engine.connect() as conn:
            of_claim = await payouts.of_claim(conn, payout.claim_id)
        mine = (payout.created_at, payout.id)
        for earlier in of_claim:
            if not earlier.recovery_id and (earlier.created_at, earlier.id) < mine:
                await self._ask_earlier(earlier, payout)
        async with self.engine.begin() as conn:
            await statuses.lock(conn, payout.claim_id)
            await outbox.hold(conn, message)
            if await corrections.more_than_due(conn, payout):
                why = "an earlier payout of the claim has been paid"
                partner = await self._partner(conn, payout)
                await corrections.not_sent(conn, payout.id, why, utc_now(), partner=partner, actor=ACTOR)
                await outbox.finish(conn, message, utc_now())
                return why
            codes = await findings.stopping(conn, payout.claim_id)
        if codes:
            await self._open(payout, f"the claim is stopped: {', '.join(codes)}")
        return ""

    async def _ask_earlier(self, earlier: Payout, payout: Payout) -> None:
        """Ask the bank about one earlier payout. Raises Postponed unless the answer is final and the books agree with
        it."""
        reply = await self.rail.ask(earlier.id)
        match reply:
            case Paid() if not _same(reply, earlier):
                otherwise = _otherwise(reply, earlier)
                await self._stop(earlier, *otherwise)
                await self._open(payout, f"earlier payout {earlier.id}: {': '.join(otherwise)}")
            case Paid() if earlier.state == "failed":
                async with self.engine.begin() as conn:
                    partner = await self._partner(conn, earlier)
                    await corrections.paid_after_all(
                        conn, earlier.id, reply.reference, utc_now(), partner=partner, actor=ACTOR
                    )
            case Paid() if earlier.state == "paid" and reply.reference == earlier.bank_reference:
                return
            case Refused() if earlier.state == "failed":
                return
            case NotKnown() if earlier.never_reached_the_bank:
                return
            case Unclear():
                await self._open(payout, f"earlier payout {earlier.id}: {reply.detail}", reply.wait_seconds)
            case _:
                # Also a bank that no longer knows what it refused: it may know again.
                words = f"the books say {earlier.state}, the bank {type(reply).__name__}"
                await self._open(payout, f"earlier payout {earlier.id}: {words}")

    async def _paid(self, payout: Payout, message: Message, reply: Paid) -> None:
        async with self.engine.begin() as conn:
            await payouts.mark_paid(conn, payout.id, reply.reference, utc_now())
            partner = await self._partner(conn, payout)
            await corrections.look_after_paid(conn, payout, utc_now(), partner=partner, actor=ACTOR)
            await outbox.finish(conn, message, utc_now())

    async def _stop(self, payout: Payout, code: str, detail: str) -> None:
        """Stop the claim until a person or a reconciliation says otherwise: nothing that this process could do would
        mend it."""
        log.error("paid otherwise", payout=payout.id, code=code)
        async with self.engine.begin() as conn:
            difference = Difference(payout.id, payout.claim_id, code, detail)
            await findings.record(conn, difference, utc_now(), actor=ACTOR)

    async def _open(self, payout: Payout, words: str, wait_seconds: float = 0.0) -> tuple[str, str]:
        async with self.engine.begin() as conn:
            await payouts.note_error(conn, payout.id, words)
        raise Postponed(words, wait_seconds)

    async def _fail(self, payout: Payout, message: Message, reply: Refused) -> None:
        async with self.engine.begin() as conn:
            partner = await self._partner(conn, payout)
            words = f"{reply.code}: {reply.detail}"
            await payouts.mark_failed(conn, payout.id, words, utc_now(), partner=partner)
            await outbox.finish(conn, message, utc_now())

    async def _partner(self, conn: AsyncConnection, payout: Payout) -> str:
        file = await adjudication.load(conn, payout.claim_id)
        return product_of(file.claim.product).partner


def _same(reply: Paid, payout: Payout) -> bool:
    # The books of an erased claim no longer name the payee.
    return reply.amount == payout.amount and payout.payee_account in ("", reply.account)


def _otherwise(reply: Paid, payout: Payout) -> tuple[str, str]:
    """Returns code and words of the difference, as a reconciliation has them."""
    if reply.amount != payout.amount:
        return "amount_differs", f"the books have {_minor(payout)}, the bank paid {reply.amount.minor} minor units"
    return "account_differs", "the bank paid to another account"


def _minor(payout: Payout) -> str:
    return f"{payout.amount.minor} {payout.amount.currency}"


async def run(config: SettleConfig, stop: asyncio.Event | None = None) -> None:
    """Settle, and reconcile on a timer, until SIGTERM or `stop`."""

    @asynccontextmanager
    async def duty(engine: AsyncEngine, stop: asyncio.Event, register: StoredRegister) -> AsyncIterator[Duty]:
        async with config.rail.open() as rail, alerting(engine, config.watch, config.prefect, stop) as watching:
            timer = by_timer(Reconciler(engine, rail), config.reconcile_seconds, stop)
            truth = keep_truth(engine, config.prefect, register, stop)
            in_step = keep_in_step(engine, config.prefect, stop)
            yield Duty(Settlement(engine, rail).settle, beside=[timer, truth, in_step, *watching])

    await send_until_stopped("settle", config, duty, stop)
