"""Runs the flow `adjudicate` for one claim, outside of any worker: from a shell, a debugger or a notebook.

The claim is leased as a worker leases it, so that nobody has it in hand twice, and what comes of it is what a worker
would have made of it: the same models, the same library, recorded and paid.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncEngine

from claims.catalogue import load_catalogue
from claims.claim import Status
from claims.credit import Scorecard
from claims.errors import NotFound
from claims.paper_kind import load_paper_kinds
from claims.store import adjudication, queue
from claims.store.engine import connect
from claims.store.queue import Lease
from flows.adjudicate import Adjudication
from flows.claim_pages import ClaimResult
from flows.config import WorkerConfig
from flows.drain import Drain, LeasedBatch
from flows.errors import NotDue
from flows.kinds import check_kinds
from flows.process import stopping
from flows.queues import ClaimQueue, utc_now
from flows.stage_context import StageContext
from flows.tracking import tracking
from flows.vision_pool import vision_pool
from models.registry import weights_path
from vision.documents import load_catalogue as read_kinds
from vision.library.memory import MemoryLimits, memory


async def adjudicate_alone(config: WorkerConfig, claim_id: str) -> ClaimResult:
    """Adjudicate one claim now, and record the decision. config: as a worker's, with a name of its own.

    Raises NotDue, in words, for a claim that nobody may decide now; and what `flows.worker.run` raises before any claim
    is leased.
    """
    check_kinds(load_catalogue(), read_kinds(config.paper_kinds), load_paper_kinds(config.paper_kinds))
    engine = connect(config.store.dsn, pool_size=config.store.pool_size)
    try:
        await _refuse(engine, claim_id)  # before the models are loaded, which takes a while
        async with _opened(config, engine) as context, tracking(config.prefect) as tracker:
            work = Adjudication(context, tracker, config.lease, 1, config.public_url)
            results: list[ClaimResult] = []
            stop, wake = asyncio.Event(), asyncio.Event()

            async def decide(batch: LeasedBatch[Lease]) -> None:
                results.extend(await work.results(batch))

            async with stopping(stop, [wake]):
                once = _OneClaim(engine, config.name, config.lease.lease_seconds, claim_id=claim_id, stop=stop)
                limits = replace(config.lease, batches_in_flight_max=1)
                await Drain("alone", once, decide, limits, stop, wake).run()
        if not results:
            await _refuse(engine, claim_id)
            raise NotDue(f"claim {claim_id} was given back")
        return results[0]
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True)
class _OneClaim(ClaimQueue):
    """A queue with one claim in it, given out once; sets `stop` when it is asked again."""

    claim_id: str = ""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    given: list[Lease] = field(default_factory=list)

    async def lease(self, limit: int) -> Sequence[Lease]:
        del limit
        if not self.given:
            async with self.engine.begin() as conn:
                leased = await queue.lease_claim(conn, self.owner, self.claim_id, self.lease_seconds, self.now())
            if leased is not None:
                self.given.append(leased)
                return [leased]
        self.stop.set()
        return []

    async def alone_due(self) -> bool:
        return False

    async def backlog(self) -> int:
        return 0


async def _refuse(engine: AsyncEngine, claim_id: str) -> None:
    """Raise NotDue, in words, unless the claim may be leased now."""
    async with engine.connect() as conn:
        try:
            file = await adjudication.load(conn, claim_id)
        except NotFound as error:
            raise NotDue(f"there is no claim {claim_id}") from error
        job = await queue.newest_job(conn, claim_id)
    now = utc_now()
    if file.status is not Status.SUBMITTED or job is None or job.state in ("done", "dead"):
        raise NotDue(f"claim {claim_id} is {file.status}: it does not wait for a decision of ours")
    if job.state == "leased" and job.leased_until is not None and job.leased_until >= now:
        raise NotDue(f"claim {claim_id} is in the hands of {job.leased_by} until {job.leased_until:%H:%M:%S} UTC")
    if job.due_at > now:
        why = f"for want of {job.waits_for}" if job.waits_for else f"after {job.failures} failures"
        raise NotDue(f"claim {claim_id} is put off {why}, until {job.due_at:%H:%M:%S} UTC")


@asynccontextmanager
async def _opened(config: WorkerConfig, engine: AsyncEngine) -> AsyncIterator[StageContext]:
    """Yields what a worker works with: vision, scorecard and the whole photo library in memory."""
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    stop = asyncio.Event()
    with vision_pool(config) as vision:
        await asyncio.to_thread(vision.warm_photos)
        limits = MemoryLimits(bytes_max=config.library.memory_bytes_max, threads=config.cores)
        async with memory(config.store.dsn, vision.photo_models()[0], limits) as library:
            keeping = asyncio.create_task(library.keep(stop))
            try:
                await library.settled.wait()
                kinds = load_paper_kinds(config.paper_kinds)
                yield StageContext(engine, vision, scorecard, floods=config.floods, memory=library, paper_kinds=kinds)
            finally:
                stop.set()
                await keeping
