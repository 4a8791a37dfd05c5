"""Turns the brakes in force (`claims.store.brakes`) into conditions on the work that a lease takes.

A lease reads them in its own transaction, so a brake holds from the next lease on, in every process and whether Prefect
answers or not. Work that is held stays where it is in its queue: nothing is counted against it, and once the brake is
let go it is leased in the order in which it fell due.

A limit above 0 is kept exactly over all processes: whoever leases under one takes a lock first, counts what is leased
under that name, and takes no more than is left. A process that stood still for longer than its lease, and comes back,
may be one too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from sqlalchemy import ColumnElement, Table, and_, exists, func, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.catalogue import load_catalogue, product_of
from claims.claim import EvidenceKind
from claims.errors import Held
from claims.store.tables import brakes, claims, evidence, jobs, outbox, payouts, referrals, stage_results

WorkQueue = Literal["claims", "settle", "refer", "enrol", "learn"]
QUEUES: Final[tuple[WorkQueue, ...]] = ("claims", "settle", "refer", "enrol", "learn")
PRODUCT: Final = "product:"
INSURER: Final = "insurer:"

# The brake on all of a queue.
_WHOLE: Final[Mapping[WorkQueue, str]] = MappingProxyType(
    {"claims": "adjudicate", "settle": "settle", "refer": "refer", "enrol": "enrol", "learn": "learn"}
)
_LOCK: Final = 0x62726B73


@dataclass(frozen=True, slots=True)
class LeaseGate:
    """Bounds of one lease. conditions: of rows that no brake holds; at_most: how many of them, None for any
    number."""

    conditions: tuple[ColumnElement[bool], ...] = ()
    at_most: int | None = None

    def room(self, limit: int) -> int:
        """Return how many rows a lease that asks for `limit` may take."""
        return limit if self.at_most is None else min(limit, self.at_most)


OPEN: Final = LeaseGate()
CLOSED: Final = LeaseGate(at_most=0)


@dataclass(frozen=True, slots=True)
class QueueHold:
    """The held part of a queue. conditions: of its rows that no brake holds; eased_at: when a brake on some of it
    was last let go or turned into a limit, None for never."""

    conditions: tuple[ColumnElement[bool], ...]
    eased_at: datetime | None


async def in_force(conn: AsyncConnection) -> dict[str, int]:
    """Return the limit of each brake that is pulled, by name; 0 holds."""
    rows = await conn.execute(select(brakes.c.name, brakes.c.at_once_max).where(brakes.c.at_once_max.is_not(None)))
    return {row.name: row.at_once_max for row in rows}


async def of_queue(conn: AsyncConnection, queue: WorkQueue, now: datetime, *, counting: bool = True) -> LeaseGate:
    """Return the gate of a queue. counting: under a limit above 0, take the lock that makes the count exact and keep it
    until the transaction ends; False to look only."""
    pulled = {
        name: (limit, condition)
        for name, limit in (await in_force(conn)).items()
        if (condition := behind(name, queue)) is not None
    }
    if not pulled:
        return OPEN
    if any(limit for limit, _ in pulled.values()) and counting:
        await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK + QUEUES.index(queue)})
    closed: list[ColumnElement[bool]] = []
    at_most: int | None = None
    for name, (limit, condition) in pulled.items():
        if limit == 0:
            if name == _WHOLE[queue] and queue != "settle":
                return CLOSED
            closed.append(_passing(queue, condition))
            continue
        left = limit - await _leased(conn, queue, condition, now)
        if left > 0:
            at_most = left if at_most is None else min(at_most, left)
        elif name == _WHOLE[queue]:
            return CLOSED
        else:
            closed.append(~condition)
    return LeaseGate(tuple(closed), at_most)


async def hold_of(conn: AsyncConnection, queue: WorkQueue) -> QueueHold:
    """Return what people hold of a queue; a limit above 0 holds nothing, it only takes time."""
    conditions: list[ColumnElement[bool]] = []
    eased_at: datetime | None = None
    for row in await conn.execute(select(brakes.c.name, brakes.c.at_once_max, brakes.c.at)):
        condition = behind(row.name, queue)
        if condition is None:
            continue
        if row.at_once_max == 0:
            conditions.append(_passing(queue, condition))
        else:
            eased_at = row.at if eased_at is None else max(eased_at, row.at)
    return QueueHold(tuple(conditions), eased_at)


def _passing(queue: WorkQueue, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of the rows that a brake on `condition` lets pass. What the bank has may be asked about:
    nothing new leaves."""
    return ~condition if queue != "settle" else or_(~condition, _at_the_bank())


def behind(name: str, queue: WorkQueue) -> ColumnElement[bool] | None:
    """Return the condition of the rows of `queue` that the brake concerns, None where it concerns none."""
    if name == _WHOLE[queue]:
        return true()
    if name == "ocr" and queue == "claims":
        return unread_papers()
    if name.startswith(PRODUCT) and queue in ("claims", "settle"):
        return _of_products(queue, [name.removeprefix(PRODUCT)])
    if name.startswith(INSURER):
        insurer = name.removeprefix(INSURER)
        if queue == "refer":
            partners = select(referrals.c.id).where(referrals.c.id == outbox.c.key, referrals.c.partner == insurer)
            return exists(partners)
        if queue in ("claims", "settle"):
            return _of_products(queue, products_of(insurer))
    return None


def products_of(insurer: str) -> list[str]:
    """Return the keys of the products whose partner insurer it is."""
    return [key for key, product in load_catalogue().items() if product.partner == insurer]


def table_of(queue: WorkQueue) -> Table:
    """Return the table that the queue is kept in."""
    return jobs if queue == "claims" else outbox


def rows_of(queue: WorkQueue) -> ColumnElement[bool]:
    """Return the condition of the queue's rows in its table."""
    return true() if queue == "claims" else outbox.c.topic == queue


def unread_papers() -> ColumnElement[bool]:
    """Return the condition of jobs whose claim has a paper that was not read in this round."""
    paper = exists(
        select(evidence.c.id).where(evidence.c.claim_id == jobs.c.claim_id, evidence.c.kind == EvidenceKind.PAPER)
    )
    read = exists(
        select(stage_results.c.claim_id).where(
            stage_results.c.claim_id == jobs.c.claim_id,
            stage_results.c.round == jobs.c.round,
            stage_results.c.stage == "papers",
        )
    )
    return and_(paper, ~read)


async def pass_papers(conn: AsyncConnection, claim_id: str, round_number: int) -> None:
    """Raise Held when reading is held and the claim's papers were not read in this round yet."""
    if (await in_force(conn)).get("ocr") != 0:
        return
    unread = select(jobs.c.id).where(jobs.c.claim_id == claim_id, jobs.c.round == round_number, unread_papers())
    if (await conn.execute(unread)).first() is not None:
        raise Held("ocr")


async def pass_claim(conn: AsyncConnection, claim_id: str) -> None:
    """Raise Held when adjudication, or that of the claim's product or insurer, is held: right before a leased claim's
    turn in its batch comes."""
    await _pass(conn, claim_id, "adjudicate")


async def pass_payout(conn: AsyncConnection, claim_id: str) -> None:
    """Raise Held when payouts, or those of the claim's product or insurer, are held: right before one is sent."""
    await _pass(conn, claim_id, "settle")


async def _pass(conn: AsyncConnection, claim_id: str, whole: str) -> None:
    held = [name for name, limit in (await in_force(conn)).items() if limit == 0]
    if not held:
        return
    key = (await conn.execute(select(claims.c.product).where(claims.c.id == claim_id))).scalar_one()
    for name in (whole, f"{PRODUCT}{key}", f"{INSURER}{product_of(key).partner}"):
        if name in held:
            raise Held(name)


def _of_products(queue: WorkQueue, keys: list[str]) -> ColumnElement[bool]:
    if queue == "claims":
        return exists(select(claims.c.id).where(claims.c.id == jobs.c.claim_id, claims.c.product.in_(keys)))
    return exists(
        select(claims.c.id)
        .join(payouts, payouts.c.claim_id == claims.c.id)
        .where(payouts.c.id == outbox.c.key, claims.c.product.in_(keys))
    )


def _at_the_bank() -> ColumnElement[bool]:
    return exists(select(payouts.c.id).where(payouts.c.id == outbox.c.key, payouts.c.state != "reserved"))


async def _leased(conn: AsyncConnection, queue: WorkQueue, condition: ColumnElement[bool], now: datetime) -> int:
    table = table_of(queue)
    leased = (table.c.state == "leased", table.c.leased_until >= now)
    counted = await conn.execute(select(func.count()).select_from(table).where(*leased, rows_of(queue), condition))
    return int(counted.scalar_one())
