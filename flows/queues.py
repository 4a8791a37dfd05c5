"""The store's two queues, claims and outbox, in the shape that `flows.drain` drains. Every call is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import outbox, queue
from claims.store.outbox import Message
from claims.store.queue import Lease

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the wall clock in UTC. Machines that share a queue need clocks that agree within a fraction of
    `lease_seconds`."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ClaimQueue:
    """Claims due for adjudication."""

    engine: AsyncEngine
    owner: str
    lease_seconds: float
    now: Clock = utc_now

    async def lease(self, limit: int) -> Sequence[Lease]:
        async with self.engine.begin() as conn:
            return await queue.lease(conn, self.owner, limit, self.lease_seconds, self.now())

    async def lease_alone(self) -> Sequence[Lease]:
        async with self.engine.begin() as conn:
            return await queue.lease_alone(conn, self.owner, self.lease_seconds, self.now())

    async def alone_due(self) -> bool:
        async with self.engine.connect() as conn:
            return await queue.alone_due(conn, self.now()) > 0

    async def keep(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        async with self.engine.begin() as conn:
            return await queue.renew(conn, leases, self.lease_seconds, self.now())

    async def release(self, leases: Sequence[Lease]) -> None:
        async with self.engine.begin() as conn:
            await queue.release(conn, leases)

    async def backlog(self) -> int:
        async with self.engine.connect() as conn:
            return (await queue.backlog(conn, self.now())).due


@dataclass(frozen=True, slots=True)
class OutboxQueue:
    """Messages of one topic."""

    engine: AsyncEngine
    topic: outbox.Topic
    owner: str
    lease_seconds: float
    now: Clock = utc_now

    async def lease(self, limit: int) -> Sequence[Message]:
        async with self.engine.begin() as conn:
            return await outbox.lease(conn, self.topic, self.owner, limit, self.lease_seconds, self.now())

    async def lease_alone(self) -> Sequence[Message]:
        return ()  # no message is suspected: pictures of an enrolment are decoded in other processes

    async def alone_due(self) -> bool:
        return False

    async def keep(self, leases: Sequence[Message]) -> Sequence[Message]:
        async with self.engine.begin() as conn:
            return await outbox.renew(conn, leases, self.lease_seconds, self.now())

    async def release(self, leases: Sequence[Message]) -> None:
        async with self.engine.begin() as conn:
            await outbox.release(conn, leases)

    async def backlog(self) -> int:
        async with self.engine.connect() as conn:
            return (await outbox.backlog(conn, self.topic, self.now())).due
