"""Watches for conditions that operators must hear of, keeps their alerts in the store, and tells of each once: as an
event in Prefect, by Prefect's automation where it stands ready, and by our own process in every other case.

Who sends is decided by what is known: Prefect, where it took the event while an enabled automation of ours was there,
and says within a minute that it has sent the notice. If in doubt we send: twice is better than never, and both say the
same id.

One process at a time watches. Nothing here is on the way of a claim or of money.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import func, select, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.alerts import KINDS
from claims.faults import fault
from claims.store import alerts, findings, heartbeats, outbox, payouts, queue
from claims.store.alerts import AlertNotice, AlertPolicy, Way
from flows.config import AlertLimits, NoticeConfig, PrefectConfig, WatchConfig
from flows.drain import STORE_AWAY
from flows.errors import InvalidNotices, NoticeRefused, PrefectAway
from flows.operations.conditions import Certificate, Observed, evaluate
from flows.operations.notices import AlertMessage, mail, message_of, post
from flows.process import pause
from flows.queues import Clock, utc_now

if TYPE_CHECKING:
    from flows.operations.automations import PrefectNotices

log = structlog.get_logger(__name__)


def ways(config: NoticeConfig, prefect: PrefectConfig) -> tuple[Way, ...]:
    """Returns the ways by which a notice goes out. `webhook` is by Prefect's block, too."""
    there: list[Way] = ["prefect"] if prefect.api_url else []
    if config.webhook_url or (config.block and prefect.api_url):
        there.append("webhook")
    if config.mail is not None:
        there.append("mail")
    return tuple(there)


def policy(config: WatchConfig) -> AlertPolicy:
    holds = dict.fromkeys(KINDS, config.holds_seconds) | {
        "library.behind": config.library_holds_seconds,
        "ocr.down": config.ocr_holds_seconds,
        "resource.short": config.resource_holds_seconds,
    }
    return AlertPolicy(holds, config.resolve_after_seconds, config.repeat_hours * 3600)


def read_certificates(path: Path | None) -> list[Certificate] | None:
    """Read a PEM file of trusted certificates. None where it cannot be read, which whoever uses it says."""
    if path is None:
        return []
    try:
        read = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        log.warning("the trusted certificates cannot be read", error=error)
        return None
    return [Certificate(_fingerprint(each), each.not_valid_after_utc) for each in read]


@dataclass
class Watch:
    """Watches for one process. `notices`: None while there is no Prefect server."""

    engine: AsyncEngine
    config: WatchConfig
    prefect: PrefectConfig
    client: httpx.AsyncClient
    notices: PrefectNotices | None = None
    now: Clock = utc_now
    _applied_at: float = field(default=float("-inf"))  # on the monotonic clock, as are the next two
    _away_until: float = field(default=float("-inf"))
    _counted_at: float = field(default=float("-inf"))
    _library_rows: int | None = field(default=None)
    _answered: bool = field(default=True)  # Prefect, when it was last asked to take our automations: said once

    async def keep(self, stop: asyncio.Event) -> None:
        """Watch until `stop`. A round under way then is cancelled: what it did not record is done again."""
        ended = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._guarded(ended)
                await pause(stop, self.config.every_seconds)
        finally:
            ended.cancel()

    async def _guarded(self, ended: asyncio.Task[Any]) -> None:
        # A task, so that whatever it raises is something to log and not the end of this process's real work.
        work = asyncio.create_task(self.look())
        await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))
        elif error := work.exception():
            if isinstance(error, STORE_AWAY):
                log.warning("no look for alerts: the store is away", error=error)
            else:
                log.error("a look for alerts failed", exc_info=error)

    async def look(self) -> bool:
        """Look once, and send the notices that are due. False where another process looks at this moment."""
        async with self.engine.connect() as lock, lock.begin():
            if not await alerts.alone(lock):
                return False
            met, unknown = evaluate(await self._observe(), self.config.limits)
            there = ways(self.config.notices, self.prefect)
            async with self.engine.begin() as conn:
                await alerts.keep(conn, met, unknown, self.now(), policy(self.config), there)
            await self._apply()
            await self._send(there)
        return True

    async def _observe(self) -> Observed:
        now, limits = self.now(), self.config.limits
        certificates = await asyncio.to_thread(read_certificates, self.config.c2pa_trust_anchors)
        async with self.engine.connect() as conn:
            beats = await heartbeats.since(conn, now - timedelta(hours=limits.silent_hours_max))
            return Observed(
                at=now,
                backlogs={
                    "adjudication": await queue.overdue(conn, now),
                    "settle": await outbox.overdue(conn, "settle", now),
                    "refer": await outbox.overdue(conn, "refer", now),
                },
                unclear=await payouts.unclear(conn, now - timedelta(seconds=limits.payout_unclear_seconds)),
                findings=await findings.listed(conn, limit=1000),
                reconciled=await findings.last_run(conn, whole=True),
                waiting=await queue.waiting_for_resources(conn),
                heartbeats=beats,
                library_rows=await self._count_library(conn) if _holds_library(beats, now, limits) else None,
                certificates=certificates,
            )

    async def _count_library(self, conn: AsyncConnection) -> int | None:
        if time.monotonic() - self._counted_at >= self.config.library_count_seconds:
            counted = await conn.execute(select(func.count()).select_from(table("library_photos")))
            self._library_rows, self._counted_at = int(counted.scalar_one()), time.monotonic()
        return self._library_rows

    async def _apply(self) -> None:
        """Make Prefect's automations what the code says, once in a while."""
        if self.notices is None or self._is_away() or time.monotonic() - self._applied_at < self.config.apply_seconds:
            return
        try:
            applied = await self.notices.apply()
        except InvalidNotices as error:
            log.error("Prefect's automations were not applied", error=error)
        except PrefectAway as error:
            self._lost(error)
            return
        else:
            self._answered = True
            changed = [each.name for each in applied if each.change != "unchanged"]
            if changed:
                log.info("Prefect's automations were applied", changed=changed)
        self._applied_at = time.monotonic()

    async def _send(self, there: Sequence[Way]) -> None:
        async with self.engine.connect() as conn:
            due = await alerts.due(conn, self.now(), self.config.notices.at_once_max)
        for notice in due:
            if notice.way == "prefect":  # one after another: the first failure tells of the others
                await self._send_event(notice)
        others = [notice for notice in due if notice.way != "prefect"]
        await asyncio.gather(*(self._deliver(notice, there) for notice in others))

    async def _send_event(self, notice: AlertNotice) -> None:
        waited = (self.now() - notice.created_at).total_seconds()
        if self.notices is None or waited > self.config.notices.event_hours_max * 3600:
            async with self.engine.begin() as conn:
                await alerts.drop(conn, notice, "given_up")
            return
        if self._is_away():
            await self._put_off(notice, "Prefect is away")
            return
        message = message_of(notice, self.config.notices)
        async with self.engine.connect() as conn:
            waits = await alerts.waits(conn, notice, "webhook")
        try:
            relied = waits and await self.notices.ready(message.event)
            await self.notices.emit(message, by_prefect=relied)
        except PrefectAway as error:
            self._lost(error)
            await self._put_off(notice, fault(error))
            return
        async with self.engine.begin() as conn:
            await alerts.note_sent(conn, notice, self.now(), by="miaopei", relied=relied)

    async def _deliver(self, notice: AlertNotice, there: Sequence[Way]) -> None:
        if notice.way not in there:  # no longer set
            async with self.engine.begin() as conn:
                await alerts.drop(conn, notice, "withdrawn")
            return
        message = message_of(notice, self.config.notices)
        if notice.way == "webhook" and await self._left_to_prefect(notice, message):
            return
        try:
            await self._send_ourselves(notice, message)
        except NoticeRefused as error:
            log.warning("a notice was not taken", notice=message.id, way=notice.way, error=error)
            await self._put_off(notice, str(error))
            return
        async with self.engine.begin() as conn:
            await alerts.note_sent(conn, notice, self.now(), by="miaopei")

    async def _send_ourselves(self, notice: AlertNotice, message: AlertMessage) -> None:
        config = self.config.notices
        if notice.way == "mail" and config.mail is not None:
            await mail(config.mail, message, config.timeout_seconds)
        elif config.webhook_url:
            await post(self.client, config, message, self.now())
        else:
            raise NoticeRefused("the block is Prefect's, and there is no webhook of our own to use instead")

    async def _left_to_prefect(self, notice: AlertNotice, message: AlertMessage) -> bool:
        """Return True if Prefect has sent this notice or may still do so, and record what it has done."""
        async with self.engine.connect() as conn:
            event = await alerts.event_of(conn, notice)
        if notice.attempts or event is None or not event.relied or event.sent_at is None or self.notices is None:
            return False
        outcome = "unknown"
        if not self._is_away():
            try:
                outcome = await self.notices.outcome(message)
            except PrefectAway as error:
                self._lost(error)
        if outcome == "sent":
            async with self.engine.begin() as conn:
                await alerts.note_sent(conn, notice, self.now(), by="prefect")
            return True
        waited = abs((self.now() - event.sent_at).total_seconds())
        return outcome == "unknown" and waited < self.config.notices.confirm_seconds

    async def _put_off(self, notice: AlertNotice, error: str) -> None:
        config = self.config.notices
        seconds = min(config.retry_seconds * 2 ** min(notice.attempts, 20), config.retry_seconds_max)
        async with self.engine.begin() as conn:
            await alerts.put_off(conn, notice, self.now() + timedelta(seconds=seconds), error)

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _lost(self, error: PrefectAway) -> None:
        if self._answered:
            log.info("Prefect is away: our own process sends notices", error=error)
        self._answered = False
        self._away_until = time.monotonic() + self.prefect.retry_after_seconds
        self._applied_at = float("-inf")  # it may come back as another, empty one


@contextlib.asynccontextmanager
async def alerting(
    engine: AsyncEngine, config: WatchConfig | None, prefect: PrefectConfig, stop: asyncio.Event
) -> AsyncIterator[list[Coroutine[Any, Any, None]]]:
    """Yields the watch as a task beside a process's work; none where it is not configured."""
    if config is None:
        yield []
        return
    async with watching(engine, config, prefect) as watch:
        yield [watch.keep(stop)]


@contextlib.asynccontextmanager
async def watching(engine: AsyncEngine, config: WatchConfig, prefect: PrefectConfig) -> AsyncIterator[Watch]:
    """Open what a watch needs for the life of a process."""
    async with contextlib.AsyncExitStack() as held:
        seconds = config.notices.timeout_seconds
        client = httpx.AsyncClient(timeout=seconds, trust_env=False, follow_redirects=False)
        watch = Watch(engine, config, prefect, await held.enter_async_context(client))
        if prefect.api_url:
            # Imported here: more than a second that a process without a server need not spend.
            from flows.operations.automations import prefect_notices

            watch.notices = await held.enter_async_context(prefect_notices(prefect, config.notices))
        yield watch


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()[:16]


def _holds_library(beats: Sequence[heartbeats.Heartbeat], now: datetime, limits: AlertLimits) -> bool:
    earliest = now - timedelta(seconds=limits.silent_seconds)
    return any(beat.at >= earliest and beat.report.get("library_rows_in_memory") for beat in beats)
