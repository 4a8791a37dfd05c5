"""The flow `adjudicate`: a batch of claims from their evidence to a recorded decision, each on its own.

    cover -> photos -> papers -> nose -> credit -> fraud -> repeats -> decide -> record

A finished stage is stored, so a claim that is leased again after a crash goes on where it was. The decision is one
transaction with everything that follows from it; until then nothing has happened that anybody could be paid for.
A claim whose checking fails again and again goes to a person; the others of its batch notice nothing. What fails for
want of a resource of ours (`flows.trouble`) is no failure of the claim: it is put off, with growing pauses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import select

from claims import decide as judging
from claims.catalogue import product_of
from claims.claim import Status
from claims.currencies import with_code
from claims.decide import UncheckedInputs
from claims.decision import Outcome
from claims.errors import (
    ClaimStopped,
    Conflict,
    CopyPaid,
    CoverSpent,
    FloodRuled,
    Held,
    InvalidTransition,
    LeaseLost,
    OrderSpent,
    RecoveryNeeded,
)
from claims.evidence import CreditFact, Facts, NoseFact, PhotoFact
from claims.faults import fault
from claims.rules import RULES
from claims.store import adjudication, gates, queue, recording, stage_results
from claims.store.adjudication import ClaimFile
from claims.store.queue import Lease
from claims.store.recording import NewDecision
from claims.store.tables import claims
from claims.wire import canonical
from flows.config import LeaseLimits
from flows.drain import STORE_AWAY, LeasedBatch, backoff_seconds
from flows.errors import ChangedTooOften, KillsWorkers
from flows.runs import Row, RunLabel, artifact_key, summarise
from flows.stage_context import StageContext
from flows.stages import STAGES
from flows.tracking import Tracker
from flows.trouble import ResourceTrouble, trouble_of
from flows.vision_pool import Stopwatch

log = structlog.get_logger(__name__)

ACTOR = "flow:adjudicate"

# Between its `cover` stage and its decision a claim's cover may be used up by another claim, or the flood that it waits
# for may be ruled on; then that stage runs again.
TRIES_MAX = 3


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The outcome of one claim, as the flow run's table shows it."""

    claim_id: str
    outcome: str
    amount: str
    reason: str
    seconds: float

    def row(self) -> Row:
        return {
            "claim": self.claim_id,
            "outcome": self.outcome,
            "amount": self.amount,
            "first reason": self.reason,
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class StageProgress:
    """The stage that a claim has reached, named in the job's error and in the reason when a person takes over."""

    stage: str = "load"


@dataclass(slots=True)
class Adjudication:
    """Adjudicates batches; one a worker. `lost_runs` are flow runs whose process died with claims in hand."""

    context: StageContext
    tracker: Tracker
    limits: LeaseLimits
    claims_at_once: int
    decided: int = 0
    lost_runs: set[str] = field(default_factory=set)

    async def work(self, batch: LeasedBatch[Lease]) -> None:
        """Adjudicate the whole batch in one flow run."""

        async def body() -> Sequence[ClaimResult]:
            return await self._batch(batch)

        async def linked(run_id: str) -> None:
            await self._link(batch.leases, run_id)

        await self.tracker.run(_label(batch.leases), body, summarise, linked)
        while self.lost_runs:
            await self.tracker.mark_lost(self.lost_runs.pop())

    async def _batch(self, batch: LeasedBatch[Lease]) -> Sequence[ClaimResult]:
        places = asyncio.Semaphore(self.claims_at_once)

        async def limited(lease: Lease) -> ClaimResult:
            async with places:
                return await self._one(batch, lease)

        return await asyncio.gather(*(limited(lease) for lease in batch.leases))

    async def _link(self, leases: Sequence[Lease], run_id: str) -> None:
        """Link claims and flow run, for the operator's view only: without the link the claims are decided all the
        same."""
        try:
            async with self.context.engine.begin() as conn:
                again = [lease.claim_id for lease in leases if lease.attempts > 1]
                if again:
                    rows = await conn.execute(select(claims.c.flow_run_id).where(claims.c.id.in_(again)))
                    self.lost_runs.update(old for old in rows.scalars() if old)
                await adjudication.set_flow_run(conn, [lease.claim_id for lease in leases], run_id)
        except STORE_AWAY as error:
            log.warning("the flow run is not linked", run_id=run_id, error=error)

    async def _one(self, batch: LeasedBatch[Lease], lease: Lease) -> ClaimResult:
        began = time.perf_counter()
        progress = StageProgress()
        # A task, so that whatever it raises is recorded on this claim and does not end the others.
        task = asyncio.ensure_future(self._adjudicate(lease, progress))
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        error = task.exception()
        if error is None:
            outcome, amount, reason = task.result()
            self.decided += 1
        elif isinstance(error, LeaseLost):
            outcome, amount, reason = "taken over", "", ""
        elif isinstance(error, Held):
            outcome, amount, reason = "held", "", error.name
            await self._give_back(lease)
        elif isinstance(error, Conflict | InvalidTransition) and not isinstance(error, RecoveryNeeded | ClaimStopped):
            # RecoveryNeeded and ClaimStopped do not mean that somebody else went on with the claim: it must not be left
            # where it is.
            outcome, amount, reason = "no longer due", "", ""
            await self._finish(lease)
        else:
            outcome, amount, reason = await self._failed(lease, progress, error)
        batch.close(lease)
        seconds = time.perf_counter() - began
        log.info("claim", claim=lease.claim_id, outcome=outcome, reason=reason, seconds=round(seconds, 3))
        return ClaimResult(lease.claim_id, outcome, amount, reason, seconds)

    async def _adjudicate(self, lease: Lease, progress: StageProgress) -> tuple[str, str, str]:
        """Returns outcome, amount and first reason. Raises LeaseLost, Conflict, InvalidTransition, Held before anything
        is begun that people hold, and whatever a stage raises."""
        async with self.context.engine.connect() as conn:
            await gates.pass_claim(conn, lease.claim_id)
            file = await adjudication.load(conn, lease.claim_id)
            done = await stage_results.of_round(conn, lease.claim_id, lease.round)
        if file.status is not Status.SUBMITTED or file.round != lease.round:
            raise Conflict(f"claim {lease.claim_id} is {file.status}, round {file.round}")
        if lease.deaths >= self.limits.deaths_max:
            progress.stage = "lease"
            raise KillsWorkers(f"{lease.deaths} processes died with this claim alone in hand")
        results: dict[str, Any] = {}
        for name, (_, stored) in STAGES.items():
            progress.stage = name
            if name in done:
                results[name] = stored.validate_python(done[name].result)
            else:
                results[name] = await self._run_stage(lease, file, name)
        looked_after: set[str] = set()
        for _ in range(TRIES_MAX):
            progress.stage = "decide"
            try:
                return await self._decide(lease, file, results, looked_after)
            except CopyPaid as error:
                # What was paid is in the library since: whoever looks again sees it, if it is a copy.
                looked_after.update(error.claim_ids)
                for name in ("photos", "papers", "repeats"):
                    progress.stage = name
                    results[name] = await self._run_stage(lease, file, name)
            except CoverSpent:
                progress.stage = "cover"
                results["cover"] = await self._run_stage(lease, file, "cover")
            except OrderSpent:
                progress.stage = "repeats"
                results["repeats"] = await self._run_stage(lease, file, "repeats")
            except FloodRuled:
                # A person has spoken since the photos were looked at: look again, with their word.
                progress.stage = "photos"
                results["photos"] = await self._run_stage(lease, file, "photos")
        raise ChangedTooOften(f"what claim {lease.claim_id} is decided on changed {TRIES_MAX} times meanwhile")

    async def _run_stage(self, lease: Lease, file: ClaimFile, name: str) -> object:
        stage, stored = STAGES[name]
        watch = Stopwatch()
        fact: object = await stage(self.context, file, watch)
        async with self.context.engine.begin() as conn:
            plain = stored.dump_python(fact, mode="json")
            await stage_results.save(conn, lease, name, plain, watch.seconds(), self.context.now())
        return fact

    async def _decide(
        self, lease: Lease, file: ClaimFile, results: Mapping[str, Any], looked_after: Collection[str]
    ) -> tuple[str, str, str]:
        facts = Facts(
            cover=results["cover"],
            photos=results["photos"],
            papers=results["papers"],
            noses=results["nose"],
            credit=results["credit"],
            fraud=results["fraud"],
            repeats=results["repeats"],
        )
        product = product_of(file.claim.product)
        now = self.context.now()
        judged = (file.claim, file.policy, product, facts, RULES, now, self._models(facts))
        decision = judging.decide(*judged)
        inputs, recorded_at = judging.inputs(*judged), self.context.now()
        return await self._record(
            NewDecision(lease, file, decision, inputs, recorded_at, ACTOR, product.partner, paid_elsewhere=looked_after)
        )

    async def _record(self, new: NewDecision) -> tuple[str, str, str]:
        async with self.context.engine.begin() as conn:
            await recording.record_decision(conn, new)
        decision = new.decision
        amount = with_code(decision.payout.minor, decision.payout.currency)
        return decision.outcome, amount if decision.outcome is Outcome.PAY else "", decision.reasons[0].code

    async def _failed(self, lease: Lease, progress: StageProgress, error: BaseException) -> tuple[str, str, str]:
        """Try again after a pause, or refer to a person when that has been done often enough."""
        words = f"{progress.stage}: {fault(error)}"
        trouble = trouble_of(error)
        if trouble is None:
            log.error("a claim could not be checked", claim=lease.claim_id, failures=lease.failures + 1, exc_info=error)
        else:
            log.warning("a resource is missing", resource=trouble.resource, claim=lease.claim_id, error=words[:300])
        # While the store is away there is nothing else to do; the heartbeat keeps the lease as soon as it is back.
        deadline = time.monotonic() + self.limits.lease_seconds
        while True:
            try:
                if self._enough(lease, error, trouble):
                    return await self._refer_unchecked(lease, progress, error, trouble)
                await self._postpone(lease, words, trouble)
            except LeaseLost:
                return "taken over", "", ""
            except (Conflict, InvalidTransition):
                await self._finish(lease)
                return "no longer due", "", ""
            except STORE_AWAY as away:
                if time.monotonic() < deadline:
                    await asyncio.sleep(self.limits.backoff_seconds)
                    continue
                log.warning("the lease runs out by itself", claim=lease.claim_id, error=away)
            return "postponed", "", words[:200]

    def _enough(self, lease: Lease, error: BaseException, trouble: ResourceTrouble | None) -> bool:
        """True if the claim has failed often enough for a person to take it."""
        if isinstance(error, KillsWorkers):
            return True
        if trouble is not None:
            return lease.postponed >= self.limits.postponed_max
        return lease.failures + 1 >= self.limits.attempts_max

    async def _postpone(self, lease: Lease, words: str, trouble: ResourceTrouble | None) -> None:
        before = lease.failures if trouble is None else lease.postponed
        retry_at = self.context.now() + timedelta(seconds=backoff_seconds(before + 1, self.limits))
        async with self.context.engine.begin() as conn:
            if trouble is None:
                await queue.fail(conn, lease, words, retry_at, dead=False)
            else:
                await queue.postpone(conn, lease, trouble.resource, words, retry_at)

    async def _refer_unchecked(
        self, lease: Lease, progress: StageProgress, error: BaseException, trouble: ResourceTrouble | None
    ) -> tuple[str, str, str]:
        """Refer the claim to a person, whatever was measured. Fails closed: it is never paid and never lost."""
        async with self.context.engine.connect() as conn:
            file = await adjudication.load(conn, lease.claim_id)
        product = product_of(file.claim.product)
        unchecked = UncheckedInputs(
            claim=file.claim,
            policy=file.policy,
            product=product,
            stage=progress.stage,
            # No words: they may quote what the claimant sent, and are kept nowhere.
            error=type(error).__name__ if trouble is None else trouble.stored,
            attempts=(lease.failures if trouble is None else lease.postponed) + 1,
            rules=RULES,
            now=self.context.now(),
        )
        decision = judging.could_not_check(unchecked)
        now = self.context.now()
        return await self._record(NewDecision(lease, file, decision, canonical(unchecked), now, ACTOR, product.partner))

    async def _give_back(self, lease: Lease) -> None:
        """Put a claim back in its place in the queue, nothing counted against it: people hold its next stage."""
        try:
            async with self.context.engine.begin() as conn:
                await queue.release(conn, [lease])
        except STORE_AWAY as error:
            log.warning("the lease runs out by itself", claim=lease.claim_id, error=error)

    async def _finish(self, lease: Lease) -> None:
        """Close the job of a claim that was withdrawn or went on to another round: nothing is left to do."""
        try:
            async with self.context.engine.begin() as conn:
                await queue.finish(conn, lease, self.context.now())
        except LeaseLost:
            return
        except STORE_AWAY as error:
            log.warning("the lease runs out by itself", claim=lease.claim_id, error=error)

    def _models(self, facts: Facts) -> tuple[str, ...]:
        """Returns the labels of all models whose measurements are among the facts."""
        labels: set[str] = set()
        if any(isinstance(photo, PhotoFact) for photo in facts.photos):
            labels.update(self.context.vision.photo_models())
        labels.update(nose.model for nose in facts.noses if isinstance(nose, NoseFact))
        if facts.papers:
            labels.update(self.context.vision.paper_models())
        if isinstance(facts.credit, CreditFact):
            labels.add(facts.credit.model)
        return tuple(sorted(labels))


def _label(leases: Sequence[Lease]) -> RunLabel:
    ids = tuple(lease.claim_id for lease in leases)
    single = len(ids) == 1
    return RunLabel(
        flow="adjudicate",
        run=f"claim {ids[0]}" if single else f"batch of {len(ids)} from {ids[0]}",
        tags=(*(f"claim:{claim}" for claim in ids), *(() if single else ("batch",))),
        items=ids,
        artifact_key=artifact_key("claim", ids[0]) if single else "adjudicate-batch",
    )
