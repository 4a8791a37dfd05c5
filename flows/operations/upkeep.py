"""Jobs about the books, the audit chain and what is kept: each calls what its command or its process calls."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from claims.errors import BrokenChain, InFlight, InvalidTip, NotFound
from claims.store import audit, findings, outbox
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from flows.errors import JobRefused, RailError, RunLost
from flows.operations.auditing import ExpectedTips, checkpoint_audit
from flows.operations.job import JobCall, JobParameters, JobResult
from flows.operations.prefect_retention import prefect_retention
from flows.operations.replaying import replay_decisions
from flows.queues import utc_now

NAMED_MAX = 50  # differences, decisions and the like that a result names
STATEMENT_SECONDS_MAX = 600.0  # the whole chain is read, and every decision

ClaimId = Annotated[str, StringConstraints(pattern=r"^[^\s/]{1,100}$")]


class Nothing(JobParameters):
    """For a job that needs to be told nothing."""


class ReconcileParameters(JobParameters):
    only_if_older_minutes: int = Field(
        default=0,
        ge=0,
        le=14 * 24 * 60,
        title="Only if older (minutes)",
        description="Do nothing where books and bank were compared within so many minutes; 0 compares now",
    )


async def reconcile(call: JobCall, wanted: ReconcileParameters) -> JobResult:
    """Compare the books with the bank, payout by payout, and keep every difference."""
    from flows.reconcile import Busy, reconcile_and_keep

    if wanted.only_if_older_minutes:
        engine = connect(call.config.store.dsn, pool_size=1)
        try:
            async with engine.connect() as conn:
                last = await findings.last_run(conn)
        finally:
            await engine.dispose()
        if last is not None and utc_now() - last.began_at < timedelta(minutes=wanted.only_if_older_minutes):
            return JobResult(f"compared at {last.began_at:%Y-%m-%d %H:%M:%S} UTC already", {"compared": False})
    try:
        report = await reconcile_and_keep(call.config.settle)
    except RailError as error:
        words = "the bank's list cannot be read in full: no difference is found and none is ended"
        raise JobRefused("bank_unreadable", words) from error
    except Busy as error:
        raise JobRefused("busy", f"{error}: try again in a moment") from error
    for difference in report.differences[:NAMED_MAX]:
        call.warn(f"payout {difference.payout_id}, claim {difference.claim_id or 'unknown'}: {difference.code}")
    counts = f"{report.payouts} payouts, {report.payments} payments, {report.open_payouts} still open"
    return JobResult(
        f"{counts}, {len(report.differences)} differences",
        {
            "compared": True,
            "payouts": report.payouts,
            "payments": report.payments,
            "open": report.open_payouts,
            "differences": len(report.differences),
        },
        [
            {"payout": difference.payout_id, "claim": difference.claim_id, "difference": difference.code}
            for difference in report.differences[:NAMED_MAX]
        ],
        good=report.agrees,
    )


async def verify(call: JobCall, _wanted: Nothing) -> JobResult:
    """Recompute the whole audit chain and compare it with the tips noted outside the database."""
    try:
        expected = ExpectedTips.read(call.config.tips.file)
    except (InvalidTip, OSError) as error:
        raise JobRefused("tips_unreadable", "the file of the audit chain's tips cannot be read here") from error
    engine = connect(call.config.store.dsn, pool_size=1, statement_seconds_max=STATEMENT_SECONDS_MAX)
    try:
        async with engine.connect() as conn:
            done = await audit.check(conn, expected.tips)
    except BrokenChain as error:
        return JobResult(f"the chain is broken: {error}", {"whole": False}, good=False)
    finally:
        await engine.dispose()
    for words in done.differing:
        call.warn(words)
    counts = f"{done.tip.seq} records, {done.compared} tips compared, {len(done.differing)} differ"
    return JobResult(
        f"{counts}, {len(done.missing)} contents missing",
        {
            "whole": done.whole,
            "records": done.tip.seq,
            "tip": str(done.tip),
            "tips_compared": done.compared,
            "differing": len(done.differing),
            "contents_erased": done.erased,
            "contents_missing": list(done.missing[:NAMED_MAX]),
        },
        good=done.whole,
    )


async def checkpoint(call: JobCall, _wanted: Nothing) -> JobResult:
    """Note the audit chain's newest record outside the database now."""
    engine = connect(call.config.store.dsn, pool_size=1)
    try:
        tip, fresh = await checkpoint_audit(engine, call.config.tips)
    finally:
        await engine.dispose()
    words = "noted" if fresh else "noted before"
    return JobResult(f"record {tip.seq} {words}", {"tip": str(tip), "fresh": fresh})


async def sweep(call: JobCall, _wanted: Nothing) -> JobResult:
    """Delete what is kept for nobody, and finish erasures that stopped half-way."""
    from flows.erasure import sweep_alone

    config = call.config
    engine = connect(config.store.dsn, pool_size=2)
    try:
        swept = await sweep_alone(engine, BlobStore(config.store.evidence_url), config.retention, utc_now())
    finally:
        await engine.dispose()
    if swept is None:
        return JobResult("a worker is sweeping at this moment", {"swept": False})
    counts = asdict(swept)
    return JobResult(", ".join(f"{name} {count}" for name, count in counts.items()), {"swept": True, **counts})


async def redeliver(call: JobCall, _wanted: Nothing) -> JobResult:
    """Make every notice that a partner has not taken yet due at once; the refer process sends them."""
    engine = connect(call.config.store.dsn, pool_size=1)
    try:
        async with engine.begin() as conn:
            count = await outbox.due_now(conn, "refer", utc_now())
    finally:
        await engine.dispose()
    return JobResult(f"{count} notices are due now", {"notices": count})


class ReplayParameters(JobParameters):
    claim_ids: tuple[ClaimId, ...] = Field(
        default=(), max_length=1_000, title="Claims", description="Of these claims alone; none: of all"
    )
    days: int = Field(default=0, ge=0, le=36_500, title="Days", description="Made within so many days; 0: whenever")
    newest_max: int = Field(
        default=10_000, ge=1, le=10_000_000, title="At most", description="So many decisions, the newest first"
    )


async def replay(call: JobCall, wanted: ReplayParameters) -> JobResult:
    """Decide recorded decisions again from their recorded inputs and compare byte for byte."""
    since = utc_now() - timedelta(days=wanted.days) if wanted.days else None
    engine = connect(call.config.store.dsn, pool_size=1, statement_seconds_max=STATEMENT_SECONDS_MAX)
    try:
        done = await replay_decisions(
            engine,
            claim_ids=wanted.claim_ids,
            since=since,
            newest_max=wanted.newest_max,
            advance=lambda so_far, total: call.advance(so_far, total),
        )
    finally:
        await engine.dispose()
    for name in done.differing[:NAMED_MAX]:
        call.warn(f"decision {name} differs")
    return JobResult(
        f"{done.compared} decisions compared, {len(done.differing)} differ, {done.erased} erased,"
        f" {done.other_rules} of other rules",
        {
            "compared": done.compared,
            "differing": done.differing[:NAMED_MAX],
            "differ": len(done.differing),
            "erased": done.erased,
            "other_rules": done.other_rules,
        },
        [{"decision": name} for name in done.differing[:NAMED_MAX]],
        good=not done.differing,
    )


class PrefectRetentionParameters(JobParameters):
    runs_days: float | None = Field(
        default=None,
        gt=0,
        title="Older than (days)",
        description="Runs that ended longer ago are deleted; empty: as MIAOPEI_PREFECT__RUNS_DAYS says",
    )


async def shorten_prefect(call: JobCall, wanted: PrefectRetentionParameters) -> JobResult:
    """Delete finished runs of ours from Prefect that are older than they are kept."""
    engine = connect(call.config.store.dsn, pool_size=1)
    try:
        deleted = await prefect_retention(engine, call.config.settle.prefect, runs_days=wanted.runs_days)
    except RunLost as error:
        raise JobRefused("prefect_away", f"Prefect does not do it: {error}") from error
    finally:
        await engine.dispose()
    left = "" if deleted.complete else "; run it again: there are more"
    return JobResult(f"{deleted.runs} runs and {deleted.artifacts} artifacts deleted{left}", asdict(deleted))


class EraseParameters(JobParameters):
    claim_id: ClaimId = Field(title="Claim", description="Id of the claim")
    reason: str = Field(
        min_length=1,
        max_length=500,
        title="Reason",
        description="For the audit chain. Prefect keeps these words as well: name nobody",
    )


async def erase(call: JobCall, wanted: EraseParameters) -> JobResult:
    """Erase the contents of a claim, or finish an erasure that was interrupted."""
    from claims.store.scrubbing import left
    from flows.erasure import erase as erase_claim

    config = call.config
    engine = connect(config.store.dsn, pool_size=2)
    try:
        done = await erase_claim(
            engine,
            BlobStore(config.store.evidence_url),
            wanted.claim_id,
            actor=call.actor,
            reason=wanted.reason,
            scrub=config.retention.scrub,
        )
    except NotFound as error:
        raise JobRefused("no_such_claim", f"there is no claim {wanted.claim_id}") from error
    except InFlight as error:
        raise JobRefused(error.code, f"claim {wanted.claim_id} cannot be erased now") from error
    finally:
        await engine.dispose()
    remnants = left(done.scrubbed)
    for remnant in remnants:
        call.info(f"still in {remnant.where}: {remnant.until}")
    words = "erased" if done.first else f"erased already on {done.erased_at:%Y-%m-%d %H:%M:%S}"
    return JobResult(
        f"claim {wanted.claim_id}: {words}; {done.files_deleted} files deleted, {done.files_kept} in use by others",
        {
            "claim": wanted.claim_id,
            "first": done.first,
            "files_deleted": done.files_deleted,
            "files_kept": done.files_kept,
            "library_photos": done.library_photos,
            "left": [remnant.where for remnant in remnants],
        },
    )
