"""The adjudicating process: a long-lived worker with its models loaded, draining the queue of due claims.

Scale out by starting more of them on one database. Killing any of them at any moment loses nothing: what it held is
leased again when the lease runs out, and finished stages are not repeated.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.catalogue import load_catalogue
from claims.credit import Scorecard
from claims.paper_kind import load_paper_kinds
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows.adjudicate import Adjudication
from flows.config import WorkerConfig
from flows.drain import STORE_AWAY, Drain
from flows.enrol import Enrolling
from flows.erasure import tend
from flows.kinds import check_kinds
from flows.learn import RulingLearner
from flows.noses_elsewhere import KnownNoses
from flows.operations.brakes import keep_in_step
from flows.operations.crashed import keep_truth
from flows.operations.prefect_retention import keep_short
from flows.process import live, pause, stopping
from flows.queues import ClaimQueue, OutboxQueue
from flows.recheck import keep_rechecking
from flows.register import StoredRegister
from flows.sending import Sending
from flows.stage_context import StageContext
from flows.tracking import tracking
from flows.trouble import trouble_of
from flows.vision_pool import VisionPool, vision_pool
from models.registry import weights_path
from vision.documents import load_catalogue as read_kinds
from vision.errors import ReaderUnavailable
from vision.library.memory import MemoryLimits, memory
from vision.library.outdated import described_by

log = structlog.get_logger(__name__)

WARM_AGAIN_SECONDS: Final = 60.0  # between attempts to start the OCR

ONLY_OTHER_DESCRIPTORS = (
    "no picture of the library was described by the descriptor in use: edited copies are not found by likeness until "
    "`miaopei photos refingerprint` has run"
)


async def run(config: WorkerConfig, stop: asyncio.Event | None = None) -> None:
    """Adjudicate until SIGTERM or `stop`. Before any claim is leased it raises models.errors.ModelMissing or
    ModelCorrupt, vision.errors.InvalidPaperKind, claims.errors.InvalidPaperTerms, PaperHalvesDiffer for a kind whose
    two halves do not fit, and UnknownPaperKind for a product's kind that nobody reads.
    """
    paper_kinds = load_paper_kinds(config.paper_kinds)
    check_kinds(load_catalogue(), read_kinds(config.paper_kinds), paper_kinds)
    stop, wake = stop or asyncio.Event(), asyncio.Event()
    enrol_wake, learn_wake = asyncio.Event(), asyncio.Event()
    engine = connect(config.store.dsn, pool_size=config.store.pool_size)
    register = StoredRegister(engine, config.name)
    scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
    try:
        with vision_pool(config) as vision:
            async with (
                tracking(config.prefect, register) as tracker,
                stopping(stop, [wake, enrol_wake, learn_wake]),
                AsyncExitStack() as held,
            ):
                await asyncio.to_thread(vision.warm_photos)
                limits = MemoryLimits(bytes_max=config.library.memory_bytes_max, threads=config.cores)
                library = await held.enter_async_context(memory(config.store.dsn, vision.photo_models()[0], limits))
                context = StageContext(
                    engine, vision, scorecard, floods=config.floods, memory=library, paper_kinds=paper_kinds
                )
                adjudication = Adjudication(context, tracker, config.lease, config.claims_at_once, config.public_url)
                queue = ClaimQueue(engine, config.name, config.lease.lease_seconds)
                drain = Drain("adjudicate", queue, adjudication.work, config.lease, stop, wake)
                enrolling = Sending(
                    "enrol",
                    engine,
                    tracker,
                    Enrolling(engine, vision, KnownNoses(engine, vision), library).enrol,
                    config.enrol_lease,
                    about="pet",
                )
                learning = Sending(
                    "learn",
                    engine,
                    tracker,
                    RulingLearner(engine).learn,
                    config.enrol_lease,
                    about="claim",
                )
                words = OutboxQueue(engine, "learn", config.name, config.enrol_lease.lease_seconds)
                learn = Drain("learn", words, learning.work, config.enrol_lease, stop, learn_wake)
                enrolments = OutboxQueue(engine, "enrol", config.name, config.enrol_lease.lease_seconds)
                enrol = Drain("enrol", enrolments, enrolling.work, config.enrol_lease, stop, enrol_wake)

                papers = PaperWarming(vision)

                def report() -> dict[str, object]:
                    tally = tracker.tally
                    return {
                        "ocr": papers.state,
                        "backlog": drain.backlog,
                        "library_rows_in_memory": library.rows,
                        "searches_in_memory": library.answered,
                        "batch_size": drain.batch_size,
                        "in_flight": drain.in_flight,
                        "decided": adjudication.decided,
                        **tracker.report(),
                        "tracked_runs": tally.tracked,
                        "untracked_runs": tally.untracked,
                        "work_seconds": round(tally.work_seconds, 3),
                        "prefect_seconds": round(tally.around_seconds, 3),
                    }

                async with asyncio.TaskGroup() as group:
                    group.create_task(papers.keep(stop))
                    group.create_task(library.keep(stop))
                    group.create_task(_check_library(engine, vision.photo_models()[0]))
                    group.create_task(tend(engine, BlobStore(config.store.evidence_url), config.retention, stop))
                    group.create_task(keep_rechecking(engine, vision, config.recheck, stop))
                    group.create_task(keep_truth(engine, config.prefect, register, stop))
                    group.create_task(keep_short(engine, config.prefect, stop))
                    await _either(library.settled, stop)  # its search is exact, PostgreSQL's graph is not
                    log.info("ready", process=config.name, cores=config.cores, library_rows=library.rows)
                    in_step = keep_in_step(engine, config.prefect, stop)
                    seconds = config.lease.report_seconds
                    await live(
                        engine, config.name, "worker", [drain, enrol, learn], stop, report, seconds, beside=[in_step]
                    )
    finally:
        await engine.dispose()


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in (first, second)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


@dataclass
class PaperWarming:
    """Starts the OCR processes beside the work: it takes seconds, and photos need not wait for it. state: starting, up
    or down, for the report."""

    vision: VisionPool
    state: str = "starting"

    async def keep(self, stop: asyncio.Event) -> None:
        """Try until it works, or until `stop`."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self.vision.warm_papers)
            except (ReaderUnavailable, OSError, MemoryError, RuntimeError) as error:
                if trouble_of(error) is None:
                    raise
                # The next paper tries, too; a paper that cannot be read at all goes to a person in the end.
                log.error("papers cannot be read yet", error=error)
                self.state = "down"
                await pause(stop, WARM_AGAIN_SECONDS)
            else:
                self.state = "up"
                return


async def _check_library(engine: AsyncEngine, descriptor: str) -> None:
    """Log a warning when most of the library cannot be found by likeness. Runs beside the work, since it reads the
    whole table."""
    try:
        async with engine.connect() as conn:
            labels = await described_by(conn)
    except STORE_AWAY as error:
        log.warning("the library was not looked through", error=error)
        return
    if labels and descriptor not in labels:
        log.error(ONLY_OTHER_DESCRIPTORS, in_use=descriptor, in_the_library=labels)
    elif len(labels) > 1:
        log.warning("some pictures of the library were described by another model", in_use=descriptor, labels=labels)
