"""Reconciles the books with the bank, payout by payout, both ways.

A ledger that sums to zero proves little: a payout made twice, or lost, sums to zero too. So every payout of ours is
looked up in the bank's list, every payment of the bank in ours, and the ledger steps of each payout and each recovery
are held against its state. A difference stops the claim (`claims.store.findings`) until it is mended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.catalogue import product_of
from claims.currencies import with_code
from claims.money import Money
from claims.store import adjudication, corrections, findings, payouts, recoveries
from claims.store.engine import connect
from claims.store.findings import BankComparison, Difference
from claims.store.payouts import Payout
from claims.store.recoveries import Recovery
from claims.store.tables import ledger_entries, ledger_transactions
from flows.config import SettleConfig
from flows.drain import STORE_AWAY
from flows.errors import RailError
from flows.process import pause
from flows.queues import utc_now
from flows.rails.rail import Paid, PayoutRail

log = structlog.get_logger(__name__)
ACTOR = "flow:reconcile"
PAGE = 1_000
BUSY_TRIES = 120
BUSY_PAUSE_SECONDS = 0.5
TICKS = 4  # times per interval that a process checks whether a reconciliation is due

# The ledger steps that a payout in each state must have, exactly: one of these sets.
STEPS: Mapping[str, tuple[frozenset[str], ...]] = {
    "reserved": (frozenset({"reserve"}),),
    "sent": (frozenset({"reserve"}),),
    "paid": (frozenset({"reserve", "post"}), frozenset({"reserve", "void", "correct"})),
    "failed": (frozenset({"reserve", "void"}),),
}
OFFSET_STEPS = (frozenset({"reserve", "offset"}),)

Ledger = Mapping[str, Mapping[str, tuple[Money, ...]]]
R = TypeVar("R", Payout, Recovery)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The result of one comparison. open_payouts: payouts promised and not settled yet; they are no difference."""

    payouts: int
    payments: int
    open_payouts: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences


@dataclass(frozen=True, slots=True)
class Books:
    """The store's records at one moment. ledger: by payout or recovery and step, the debits of the step. too_much: one
    difference for each claim that was paid more than is due, about its newest payout."""

    payouts: Sequence[Payout]
    ledger: Ledger
    recoveries: Sequence[Recovery] = ()
    too_much: Sequence[Difference] = ()


async def reconcile(config: SettleConfig) -> Reconciliation:
    """Compare the books at `config.store` with the bank behind `config.rail`. Changes nothing.

    Raises RailError when the bank's list cannot be read in full: half a list would show losses that are none.
    """
    engine = connect(config.store.dsn, pool_size=2)
    try:
        async with config.rail.open() as rail:
            return await look(engine, rail)
    finally:
        await engine.dispose()


async def reconcile_and_keep(config: SettleConfig) -> Reconciliation:
    """Compare books and bank now and keep what follows (`Reconciler`). Waits while another process reconciles. Raises
    RailError, and Busy when that takes too long."""
    engine = connect(config.store.dsn, pool_size=3)
    try:
        async with config.rail.open() as rail:
            for _ in range(BUSY_TRIES):
                done = await Reconciler(engine, rail).reconcile()
                if done is not None:
                    break
                await asyncio.sleep(BUSY_PAUSE_SECONDS)
    finally:
        await engine.dispose()
    if done is None:
        raise Busy("another process is reconciling")
    return done


class Busy(Exception):
    """Another process is reconciling, and only one does at a time."""


async def look(engine: AsyncEngine, rail: PayoutRail) -> Reconciliation:
    """Compare the books with the bank. Changes nothing. Raises RailError when the bank's list cannot be read in
    full."""
    # The books first: a payout settled in between is still open in them, which is no difference.
    async with engine.connect() as conn, conn.begin():
        await conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        books = await _books(conn)
    payments = [payment async for payment in rail.payments()]
    # Ids are read last: a payout decided and paid in between is not an unknown payment.
    async with engine.connect() as conn:
        known = frozenset([payout.id async for payout in _every(conn, payouts.every)])
    return compare(books, payments, known)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares books and bank, one process at a time, and keeps the result: a claim with a finding is stopped, a payout
    that was paid although the books have it as failed is corrected, and a finding that no longer applies is ended."""

    engine: AsyncEngine
    rail: PayoutRail
    now: Callable[[], datetime] = field(default=utc_now)

    async def reconcile(self, *, not_within_seconds: float = 0.0) -> Reconciliation | None:
        """Compare books and bank. Returns None when another process is at it, or one did it (or tried to) within
        `not_within_seconds`. Raises RailError when the bank's list cannot be read in full; that is recorded as well,
        and starts and ends no finding."""
        async with self.engine.connect() as held, held.begin():
            if not await findings.alone(held):
                return None
            began = self.now()
            async with self.engine.connect() as conn:
                last = await findings.last_run(conn)
            if last is not None and began - last.began_at < timedelta(seconds=not_within_seconds):
                return None
            try:
                report = await look(self.engine, self.rail)
            except RailError as error:
                async with self.engine.begin() as conn:
                    await findings.note_run(conn, BankComparison(began, self.now(), 0, 0, 0, 0, str(error)[:500]))
                raise
            left = [difference for difference in report.differences if not await self._mended(difference)]
            report = replace(report, differences=tuple(left))
            await self._keep(report, began)
            return report

    async def _mended(self, difference: Difference) -> bool:
        """Ask the bank about the payout itself where its list and the books disagree on whether it was paid: the list
        may lag behind, and a payment that the books have as failed is put right. True if no difference is left."""
        if difference.code not in ("paid_though_failed", "not_at_bank"):
            return False
        reply = await self.rail.ask(difference.payout_id)
        async with self.engine.begin() as conn:
            payout = await payouts.get(conn, difference.payout_id)
            if not isinstance(reply, Paid) or reply.amount != payout.amount:
                return False
            if payout.payee_account not in ("", reply.account):
                return False
            if payout.state == "failed":
                file = await adjudication.load(conn, payout.claim_id)
                partner = product_of(file.claim.product).partner
                await corrections.paid_after_all(
                    conn, payout.id, reply.reference, self.now(), partner=partner, actor=ACTOR
                )
                return True
            return payout.state == "paid" and payout.bank_reference == reply.reference

    async def _keep(self, report: Reconciliation, began: datetime) -> None:
        async with self.engine.begin() as conn:
            now = self.now()
            for difference in report.differences:
                if await findings.record(conn, difference, now, actor=ACTOR):
                    log.error("bank and books disagree", payout=difference.payout_id, code=difference.code)
            met = {(difference.payout_id, difference.code) for difference in report.differences}
            over = await findings.end_unmet(conn, met, began, now, actor=ACTOR)
            counts = (report.payouts, report.payments, report.open_payouts, len(report.differences))
            await findings.note_run(conn, BankComparison(began, now, *counts, ""))
        log.info("reconciled", payouts=report.payouts, differences=len(report.differences), over=over)


async def by_timer(reconciler: Reconciler, every_seconds: float, stop: asyncio.Event) -> None:
    """Reconcile every `every_seconds` until `stop`. A run under way at the stop is cancelled: either all of its changes
    were committed or none."""
    while not stop.is_set():
        work = asyncio.create_task(_once(reconciler, every_seconds))
        ended = asyncio.create_task(stop.wait())
        await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))
        ended.cancel()
        await pause(stop, every_seconds / TICKS)


async def _once(reconciler: Reconciler, every_seconds: float) -> None:
    try:
        await reconciler.reconcile(not_within_seconds=every_seconds)
    except RailError as error:
        log.warning("not reconciled", error=error)
    except STORE_AWAY as error:
        log.warning("not reconciled: the store is away", error=error)


def compare(books: Books, payments: Sequence[Paid], known: frozenset[str]) -> Reconciliation:
    """Compare the books with the bank's payments, without I/O. known: ids of our own payouts."""
    by_id = {payment.payout_id: payment for payment in payments}
    differences = [
        Difference(payment_id, "", "paid_twice", f"the bank lists it {times} times")
        for payment_id, times in Counter(payment.payout_id for payment in payments).items()
        if times > 1
    ]
    differences += [
        Difference(
            payment.payout_id, "", "unknown_payment", f"{_words(payment.amount)} to an id that the books never had"
        )
        for payment in by_id.values()
        if payment.payout_id not in known
    ]
    for payout in books.payouts:
        differences += _against_bank(payout, by_id.get(payout.id))
        differences += _against_ledger(payout, books.ledger.get(payout.id, {}))
    offset = Counter[str]()
    for payout in books.payouts:
        offset[payout.recovery_id] += payout.amount.minor
    for recovery in books.recoveries:
        differences += _recovery(recovery, books.ledger.get(recovery.id, {}), offset[recovery.id])
    ours = known | {recovery.id for recovery in books.recoveries}
    differences += [
        Difference(payout_id, "", "ledger_without_payout", f"steps {', '.join(sorted(steps))}")
        for payout_id, steps in books.ledger.items()
        if payout_id not in ours
    ]
    return Reconciliation(
        payouts=len(books.payouts),
        payments=len(payments),
        open_payouts=sum(payout.state in ("reserved", "sent") for payout in books.payouts),
        differences=(*differences, *books.too_much),
    )


def _against_bank(payout: Payout, payment: Paid | None) -> list[Difference]:
    if payment is None:
        if payout.state != "paid" or payout.recovery_id:
            return []
        return [_difference(payout, "not_at_bank", f"the books say {_words(payout.amount)} was paid")]
    differences = []
    if payout.recovery_id:
        differences.append(_difference(payout, "paid_though_offset", f"the bank paid {_words(payment.amount)}"))
    if payout.state == "failed":
        differences.append(_difference(payout, "paid_though_failed", f"the bank paid {_words(payment.amount)}"))
    if payment.amount != payout.amount:
        differences.append(
            _difference(payout, "amount_differs", f"books {_words(payout.amount)}, bank {_words(payment.amount)}")
        )
    # The books of an erased claim no longer name the payee: amount and reference are compared all the same.
    if payout.payee_account and payment.account != payout.payee_account:
        differences.append(_difference(payout, "account_differs", "the bank paid to another account"))
    if payout.state == "paid" and not payout.recovery_id and payment.reference != payout.bank_reference:
        differences.append(
            _difference(payout, "reference_differs", f"{payout.bank_reference} against {payment.reference}")
        )
    return differences


def _against_ledger(payout: Payout, steps: Mapping[str, tuple[Money, ...]]) -> list[Difference]:
    wanted = OFFSET_STEPS if payout.recovery_id and payout.state == "paid" else STEPS[payout.state]
    if frozenset(steps) not in wanted:
        detail = f"{payout.state} with steps {', '.join(sorted(steps)) or 'none'}"
        return [_difference(payout, "ledger_steps_differ", detail)]
    return [
        _difference(payout, "ledger_amount_differs", f"{step}: {' '.join(_words(debit) for debit in debits)}")
        for step, debits in steps.items()
        if debits != (payout.amount,)
    ]


def _recovery(recovery: Recovery, steps: Mapping[str, tuple[Money, ...]], offset_minor: int) -> list[Difference]:
    """Returns the differences between a recovery, its ledger steps and the payouts that were offset against it."""
    parts = {
        "recover": recovery.amount.minor,
        "repay": recovery.repaid_minor,
        "write_off": recovery.written_off_minor,
    }
    booked = {step: sum(debit.minor for debit in debits) for step, debits in steps.items()}
    wanted = {step: minor for step, minor in parts.items() if minor}
    if booked == wanted and offset_minor == recovery.offset_minor:
        return []
    detail = f"{recovery.state}: ledger {booked}, recovery {wanted}, offset {offset_minor} of {recovery.offset_minor}"
    return [Difference(recovery.id, recovery.claim_id, "recovery_differs", detail)]


def _difference(payout: Payout, code: str, detail: str) -> Difference:
    return Difference(payout.id, payout.claim_id, code, detail)


def _words(amount: Money) -> str:
    return with_code(amount.minor, amount.currency)


class _Page(Protocol[R]):
    def __call__(self, conn: AsyncConnection, *, after: str, limit: int) -> Awaitable[list[R]]: ...


async def _every(conn: AsyncConnection, page_of: _Page[R]) -> AsyncIterator[R]:
    after = ""
    while True:
        page = await page_of(conn, after=after, limit=PAGE)
        for row in page:
            yield row
        if len(page) < PAGE:
            return
        after = page[-1].id


async def _books(conn: AsyncConnection) -> Books:
    """Read the books in one transaction that sees one moment."""
    ours = [payout async for payout in _every(conn, payouts.every)]
    back = [recovery async for recovery in _every(conn, recoveries.every)]
    return Books(ours, await _ledger(conn), back, await _too_much(conn, ours))


async def _too_much(conn: AsyncConnection, ours: Sequence[Payout]) -> list[Difference]:
    """Returns a difference for each claim with several payouts whose sum is more than its newest approval says is
    due."""
    live: dict[str, list[Payout]] = {}
    for payout in ours:
        if payout.state in payouts.LIVE:
            live.setdefault(payout.claim_id, []).append(payout)
    differences = []
    for claim_id, several in live.items():
        newest = max(several, key=lambda payout: (payout.created_at, payout.id))
        if len(several) < 2:
            continue
        paid, due = await recoveries.wanted_minor(conn, claim_id), await corrections.due_minor(conn, newest)
        if paid > due:
            differences.append(corrections.too_much(newest, paid, due))
    return differences


async def _ledger(conn: AsyncConnection) -> dict[str, dict[str, tuple[Money, ...]]]:
    """Returns the debits by payout and step."""
    rows = await conn.execute(
        select(
            ledger_transactions.c.payout_id,
            ledger_transactions.c.step,
            ledger_entries.c.amount_minor,
            ledger_entries.c.currency,
        )
        .join(ledger_entries, ledger_entries.c.transaction_id == ledger_transactions.c.id)
        .where(ledger_entries.c.amount_minor > 0)
    )
    debits: dict[str, dict[str, tuple[Money, ...]]] = {}
    for payout_id, step, minor, currency in rows:
        steps = debits.setdefault(payout_id, {})
        steps[step] = (*steps.get(step, ()), Money(minor, currency))
    return debits
