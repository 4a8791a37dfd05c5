"""The process that drains one topic of the outbox, shared by `settle` and `refer`, and a batch of its messages, each
handled on its own so that none holds up another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import Held, LeaseLost
from claims.faults import fault
from claims.store import outbox
from claims.store.away import is_away
from claims.store.engine import connect
from claims.store.outbox import Message
from flows.config import LeaseLimits, PrefectConfig, StoreConfig
from flows.declaring import DeclaredTask
from flows.drain import STORE_AWAY, Drain, LeasedBatch, backoff_seconds
from flows.errors import Postponed
from flows.process import live, stopping
from flows.queues import OutboxQueue, utc_now
from flows.register import StoredRegister
from flows.run_record import TaskOptions, add_line, working_on
from flows.runs import Row, RunLabel, artifact_key, summarise
from flows.tracking import Tracker, tracking

log = structlog.get_logger(__name__)

# The flows that work on the outbox's messages, and the only task of each. Retries are the queue's, which puts a message
# off, with growing pauses.
TASKS: Final[Mapping[outbox.Topic, TaskOptions]] = {
    "settle": TaskOptions(
        "pay", "settle.pay", "Send a payout to the bank, once, and record what it says.", ("settle",)
    ),
    "refer": TaskOptions("deliver", "refer.deliver", "Send a signed notice to the partner insurer.", ("refer",)),
    "enrol": TaskOptions("enrol", "enrol.enrol", "Turn photos of a pet's nose into templates.", ("enrol",)),
    "learn": TaskOptions("learn", "learn.learn", "Learn from a person's ruling on a match or a flood.", ("learn",)),
}


@dataclass(frozen=True, slots=True)
class MessageResult:
    """The result of one message, as the flow run's table shows it."""

    key: str
    subject: str  # the claim's or the pet's id
    outcome: str
    detail: str
    seconds: float

    def row(self) -> Row:
        return {
            "key": self.key,
            "about": self.subject,
            "outcome": self.outcome,
            "detail": self.detail,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Sending:
    """Works on batches of one topic. `handle` finishes its message in the transaction that records the effect, and
    returns the outcome and a detail; it raises Postponed when the message is to be tried again later, Held when people
    hold it.
    """

    flow: outbox.Topic
    engine: AsyncEngine
    tracker: Tracker
    handle: Callable[[Message], Awaitable[tuple[str, str]]]
    limits: LeaseLimits
    about: str = "claim"  # what `{about}_id` in a message's payload names, for tags

    async def work(self, batch: LeasedBatch[Message]) -> None:
        async def body() -> Sequence[MessageResult]:
            return await asyncio.gather(*(self._one(batch, message) for message in batch.leases))

        await self.tracker.run(self._label(batch.leases), body, summarise)

    async def _one(self, batch: LeasedBatch[Message], message: Message) -> MessageResult:
        began = time.perf_counter()
        with working_on(message.key):
            outcome, detail = await self._guarded(message)
        batch.close(message)
        level = logging.WARNING if outcome == "postponed" else logging.INFO
        add_line(level, f"{message.key}: {outcome}")
        return MessageResult(message.key, self._subject(message), outcome, detail, time.perf_counter() - began)

    async def _guarded(self, message: Message) -> tuple[str, str]:
        # A task, so that whatever it raises is an outcome to record and not an end of the others.
        handling = asyncio.ensure_future(self._declared()(message))
        await asyncio.wait([handling])
        error = handling.exception()
        if error is None:
            return handling.result()
        if isinstance(error, LeaseLost):
            return "taken over", ""
        if isinstance(error, Held):
            await self._put_back(message, error.wait_seconds)
            return "held", error.name
        if not isinstance(error, Postponed) and not is_away(error):
            log.error("a message could not be handled", flow=self.flow, key=message.key, exc_info=error)
        words = str(error) if isinstance(error, Postponed) else fault(error)
        await self._postpone(message, words, error.wait_seconds if isinstance(error, Postponed) else 0.0)
        return "postponed", words[:200]

    def _declared(self) -> DeclaredTask[[Message], tuple[str, str]]:
        return DeclaredTask(self.handle, TASKS[self.flow])

    async def _put_back(self, message: Message, wait_seconds: float) -> None:
        """Put a held message back, nothing counted against it: in its place in the queue, or to be looked at again
        after a pause."""
        try:
            async with self.engine.begin() as conn:
                if wait_seconds:
                    await outbox.put_back(conn, message, utc_now() + timedelta(seconds=wait_seconds))
                else:
                    await outbox.release(conn, [message])
        except LeaseLost:
            return
        except STORE_AWAY as error:
            log.warning("not put back: the lease runs out by itself", key=message.key, error=error)

    async def _postpone(self, message: Message, words: str, wait_seconds: float) -> None:
        """Put the message off. It is never given up by a counter, as it carries money or a referral; the operator page
        shows messages that wait long."""
        pause_seconds = max(backoff_seconds(message.attempts, self.limits), wait_seconds)
        retry_at = utc_now() + timedelta(seconds=pause_seconds)
        try:
            async with self.engine.begin() as conn:
                await outbox.fail(conn, message, words, retry_at, dead=False)
        except LeaseLost:
            return  # somebody else has it and will postpone it or not
        except STORE_AWAY as error:
            log.warning("not postponed: the lease runs out by itself", key=message.key, error=error)

    def _subject(self, message: Message) -> str:
        return str(message.payload.get(f"{self.about}_id", ""))

    def _label(self, messages: Sequence[Message]) -> RunLabel:
        subjects = tuple(dict.fromkeys(self._subject(message) for message in messages))
        single = len(messages) == 1
        return RunLabel(
            flow=self.flow,
            run=f"{self.flow} {messages[0].key if single else f'{len(messages)} messages'}",
            tags=(*(f"{self.about}:{subject}" for subject in subjects), *(() if single else ("batch",))),
            items=tuple(message.key for message in messages),
            artifact_key=artifact_key(self.flow, messages[0].key if single else "batch"),
        )


@dataclass(frozen=True, slots=True)
class Duty:
    """The work of one topic's process. beside: tasks that run until the process is told to stop. figures: what the
    topic adds to the process's report."""

    handle: Callable[[Message], Awaitable[tuple[str, str]]]
    beside: Sequence[Coroutine[Any, Any, None]] = ()
    figures: Callable[[], Mapping[str, object]] = dict


class ProcessConfig(Protocol):
    """Settings shared by all processes of the outbox."""

    @property
    def name(self) -> str: ...

    @property
    def store(self) -> StoreConfig: ...

    @property
    def prefect(self) -> PrefectConfig: ...

    @property
    def lease(self) -> LeaseLimits: ...


async def send_until_stopped(
    topic: outbox.Topic,
    config: ProcessConfig,
    duty: Callable[[AsyncEngine, asyncio.Event, StoredRegister], AbstractAsyncContextManager[Duty]],
    stop: asyncio.Event | None,
) -> None:
    """Run the process that sends one topic's messages, until SIGTERM or `stop`. duty: opened once, with the store, the
    event that ends the process, and the register of its runs."""
    stop, wake = stop or asyncio.Event(), asyncio.Event()
    engine = connect(config.store.dsn, pool_size=config.store.pool_size)
    try:
        register = StoredRegister(engine, config.name)
        async with (
            tracking(config.prefect, register) as tracker,
            duty(engine, stop, register) as given,
            stopping(stop, [wake]),
        ):
            sending = Sending(topic, engine, tracker, given.handle, config.lease)
            queue = OutboxQueue(engine, topic, config.name, config.lease.lease_seconds)
            drain = Drain(topic, queue, sending.work, config.lease, stop, wake)

            def report() -> dict[str, object]:
                done = {"backlog": drain.backlog, "in_flight": drain.in_flight} | tracker.report()
                return done | dict(given.figures())

            seconds = config.lease.report_seconds
            await live(engine, config.name, topic, [drain], stop, report, seconds, beside=given.beside)
    finally:
        await engine.dispose()
