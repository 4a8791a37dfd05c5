"""The flow `adjudicate`: a batch of claims from their evidence to a recorded decision, each on its own.

    cover -> photos -> papers -> nose -> credit -> fraud -> repeats -> decide -> record

`adjudicate` below is the flow, and the functions above it are its tasks; `python -m flows.adjudicate CLAIM` runs it for
one claim. A finished stage is stored, so a claim that is leased again after a crash goes on where it was. The decision
is one transaction with everything that follows from it; until then nothing has happened that anybody could be paid for.
A claim whose checking fails again and again goes to a person; the others of its batch notice nothing. What fails for
want of a resource of ours (`flows.trouble`) is no failure of the claim: it is put off, with growing pauses.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

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
from claims.store.away import is_away
from claims.store.queue import Lease
from claims.store.recording import DecisionRecorded, NewDecision
from claims.store.stage_results import StageResult
from claims.wire import canonical
from flows.claim_pages import ClaimResult, claim_page, claims_label, claims_summary
from flows.config import LeaseLimits
from flows.declaring import flow, task
from flows.drain import STORE_AWAY, LeasedBatch, backoff_seconds
from flows.errors import ChangedTooOften, KillsWorkers
from flows.run_record import current_record, spent, taken_from_store, working_on
from flows.stage_context import StageContext
from flows.stages import STAGES, PhotoFacts
from flows.tracking import Tracker
from flows.trouble import ResourceTrouble, trouble_of
from flows.vision_pool import Stopwatch

log = structlog.get_logger(__name__)

ACTOR = "flow:adjudicate"

# Between its `cover` stage and its decision a claim's cover may be used up by another claim, or the flood that it waits
# for may be ruled on; then that stage runs again.
TRIES_MAX = 3


@dataclass(slots=True)
class StageProgress:
    """The stage that a claim has reached, named in the job's error and in the reason when a person takes over."""

    stage: str = "load"


@dataclass(slots=True)
class CaseInHand:
    """A leased claim on its way through the flow.

    stored: results of stages that an earlier lease finished. facts: by stage. looked_after: claims paid meanwhile,
    after which copies were looked for again.
    """

    context: StageContext
    lease: Lease
    file: ClaimFile
    stored: dict[str, StageResult]
    progress: StageProgress = field(default_factory=StageProgress)
    facts: dict[str, Any] = field(default_factory=dict)
    looked_after: set[str] = field(default_factory=set)


async def _stage(case: CaseInHand, name: str) -> None:
    """Add a stage's facts: as an earlier lease stored them, else computed, and stored for whoever leases next."""
    case.progress.stage = name
    look, kept = STAGES[name]
    before = case.stored.pop(name, None)  # once: who asks again wants it looked at again
    if before is not None:
        case.facts[name] = kept.validate_python(before.result)
        taken_from_store()
        return
    watch = Stopwatch()
    facts: object = await look(case.context, case.file, watch)
    spent(watch.seconds())
    async with case.context.engine.begin() as conn:
        plain = kept.dump_python(facts, mode="json")
        await stage_results.save(conn, case.lease, name, plain, watch.seconds(), case.context.now())
    case.facts[name] = facts


# The tasks, in the order of the flow. Timeouts are policy choices, far above what was ever measured: they free a claim
# from what hangs. What only reads the store is run again at once where the connection broke; every other failure is put
# off by the queue, with growing pauses, and the stages that had finished are taken from the store then.
_reading = partial(
    task,
    tags=["store"],
    timeout_seconds=120,
    retries=2,
    retry_delay_seconds=0.2,
    retry_on=STORE_AWAY,
    retry_if=is_away,
)


@_reading(name="cover")
async def cover(case: CaseInHand) -> None:
    """Read what the policy has paid and promised already."""
    await _stage(case, "cover")


@task(name="photos", tags=["vision"], timeout_seconds=1_800)
async def photos(case: CaseInHand) -> None:
    """Publish every photo's fingerprint, then look for its copies and for signs of its origin."""
    await _stage(case, "photos")


@task(name="papers", tags=["ocr"], timeout_seconds=3_600)
async def papers(case: CaseInHand) -> None:
    """Read every paper, publish its number, and look for other claims with it."""
    await _stage(case, "papers")


@task(name="nose", tags=["vision"], timeout_seconds=1_800)
async def nose(case: CaseInHand) -> None:
    """Compare nose photos with the enrolment of the insured pet."""
    await _stage(case, "nose")


@task(name="credit", tags=["scorecard"], timeout_seconds=120)
async def credit(case: CaseInHand) -> None:
    """Score the claimant's credit by the attributes that the platform supplied."""
    await _stage(case, "credit")


@_reading(name="fraud")
async def fraud(case: CaseInHand) -> None:
    """Count claims that share a device, an account, an address, a merchant or the claimant."""
    await _stage(case, "fraud")


@_reading(name="repeats")
async def repeats(case: CaseInHand) -> None:
    """Look for other claims for the same order or about the same event."""
    await _stage(case, "repeats")


@task(name="decide", tags=["rules"], timeout_seconds=120)
async def decide(case: CaseInHand) -> NewDecision:
    """Turn the facts into a decision, by the rules."""
    case.progress.stage = "decide"
    context, file = case.context, case.file
    facts = Facts(
        cover=case.facts["cover"],
        photos=case.facts["photos"],
        papers=case.facts["papers"],
        noses=case.facts["nose"],
        credit=case.facts["credit"],
        fraud=case.facts["fraud"],
        repeats=case.facts["repeats"],
    )
    product = product_of(file.claim.product)
    now = context.now()
    judged = (file.under(product), facts, RULES, now, _models(context, facts))
    decision = judging.decide(*judged)
    inputs, recorded_at = judging.inputs(*judged), context.now()
    return NewDecision(
        case.lease, file, decision, inputs, recorded_at, ACTOR, product.partner, paid_elsewhere=case.looked_after
    )


# Without a timeout: the store's answer to a commit is waited for.
@task(name="record", tags=["store", "money"])
async def record(case: CaseInHand, new: NewDecision) -> DecisionRecorded:
    """Record the decision with everything that follows from it, in one transaction."""
    async with case.context.engine.begin() as conn:
        return await recording.record_decision(conn, new)


@flow(
    name="adjudicate",
    tags=["claims"],
    tasks=[cover, photos, papers, nose, credit, fraud, repeats, decide, record],
)
async def adjudicate(case: CaseInHand) -> tuple[NewDecision, DecisionRecorded]:
    """Decide a claim on its evidence, and record the decision.

    Raises ChangedTooOften, LeaseLost, Conflict, InvalidTransition, and whatever a task raises.
    """
    await cover(case)
    await photos(case)
    await papers(case)
    await nose(case)
    await credit(case)
    await fraud(case)
    await repeats(case)
    for _ in range(TRIES_MAX):
        decided = await decide(case)
        try:
            return decided, await record(case, decided)
        except CopyPaid as error:
            # What was paid is in the library since: whoever looks again sees it, if it is a copy.
            case.looked_after.update(error.claim_ids)
            await photos(case)
            await papers(case)
            await repeats(case)
        except CoverSpent:
            await cover(case)
        except OrderSpent:
            await repeats(case)
        except FloodRuled:
            # A person has spoken since the photos were looked at: look again, with their word.
            await photos(case)
    raise ChangedTooOften(f"what claim {case.lease.claim_id} is decided on changed {TRIES_MAX} times meanwhile")


def _models(context: StageContext, facts: Facts) -> tuple[str, ...]:
    """Returns the labels of all models whose measurements are among the facts."""
    labels: set[str] = set()
    if any(isinstance(photo, PhotoFact) for photo in (*facts.photos, *(nose.photo for nose in facts.noses))):
        labels.update(context.vision.photo_models())
    labels.update(nose.model for nose in facts.noses if isinstance(nose, NoseFact))
    if facts.papers:
        labels.update(context.vision.paper_models())
    if isinstance(facts.credit, CreditFact):
        labels.add(facts.credit.model)
    return tuple(sorted(labels))


@dataclass(frozen=True, slots=True)
class _Told:
    """How a claim came out, in words for the log and the run's table."""

    outcome: str
    amount: str = ""
    reason: str = ""
    markdown: str = ""


@dataclass(slots=True)
class Adjudication:
    """Adjudicates batches; one a worker."""

    context: StageContext
    tracker: Tracker
    limits: LeaseLimits
    claims_at_once: int
    public_url: str = ""  # of our own API, for the links on a claim's page
    decided: int = 0

    async def work(self, batch: LeasedBatch[Lease]) -> None:
        """Adjudicate the whole batch in one flow run."""
        await self.results(batch)

    async def results(self, batch: LeasedBatch[Lease]) -> Sequence[ClaimResult]:
        """Adjudicate the whole batch in one flow run; returns the result of each claim, in the batch's order."""

        async def body() -> Sequence[ClaimResult]:
            return await self._batch(batch)

        async def linked(run_id: str) -> None:
            await self._link(batch.leases, run_id)

        return await self.tracker.run(claims_label(batch.leases), body, claims_summary, linked)

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
                await adjudication.set_flow_run(conn, [lease.claim_id for lease in leases], run_id)
        except STORE_AWAY as error:
            log.warning("the flow run is not linked", run_id=run_id, error=error)

    async def _one(self, batch: LeasedBatch[Lease], lease: Lease) -> ClaimResult:
        with working_on(lease.claim_id):
            return await self._closed(batch, lease)

    async def _closed(self, batch: LeasedBatch[Lease], lease: Lease) -> ClaimResult:
        began = time.perf_counter()
        progress = StageProgress()
        # A task, so that whatever it raises is recorded on this claim and does not end the others.
        working = asyncio.ensure_future(self._adjudicate(lease, progress))
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            working.cancel()
            raise
        error = working.exception()
        if error is None:
            told = working.result()
            self.decided += 1
        elif isinstance(error, LeaseLost):
            told = _Told("taken over")
            await self._outlived(lease)
        elif isinstance(error, Held):
            told = _Told("held", reason=error.name)
            await self._give_back(lease)
        elif isinstance(error, Conflict | InvalidTransition) and not isinstance(error, RecoveryNeeded | ClaimStopped):
            # RecoveryNeeded and ClaimStopped do not mean that somebody else went on with the claim: it must not be left
            # where it is.
            told = _Told("no longer due")
            await self._finish(lease)
        else:
            told = await self._failed(lease, progress, error)
        batch.close(lease)
        seconds = time.perf_counter() - began
        log.info("claim", claim=lease.claim_id, outcome=told.outcome, reason=told.reason, seconds=round(seconds, 3))
        return ClaimResult(lease.claim_id, told.outcome, told.amount, told.reason, seconds, told.markdown)

    async def _adjudicate(self, lease: Lease, progress: StageProgress) -> _Told:
        """Returns how the claim was decided. Raises LeaseLost, Conflict, InvalidTransition, Held before anything is
        begun that people hold, and whatever a stage raises."""
        async with self.context.engine.connect() as conn:
            await gates.pass_claim(conn, lease.claim_id)
            file = await adjudication.load(conn, lease.claim_id)
            done = await stage_results.of_round(conn, lease.claim_id, lease.round)
        if file.status is not Status.SUBMITTED or file.round != lease.round:
            raise Conflict(f"claim {lease.claim_id} is {file.status}, round {file.round}")
        if lease.deaths >= self.limits.deaths_max:
            progress.stage = "lease"
            raise KillsWorkers(f"{lease.deaths} processes died with this claim alone in hand")
        case = CaseInHand(self.context, lease, file, done, progress)
        return self._told(*await adjudicate(case), case.facts.get("photos", ()))

    def _told(self, new: NewDecision, recorded: DecisionRecorded, photo_facts: PhotoFacts = ()) -> _Told:
        decision = new.decision
        amount = with_code(decision.payout.minor, decision.payout.currency) if decision.outcome is Outcome.PAY else ""
        run = current_record()
        markdown = claim_page(new, recorded, photo_facts, run, self.public_url) if run is not None else ""
        return _Told(decision.outcome, amount, decision.reasons[0].code, markdown)

    async def _failed(self, lease: Lease, progress: StageProgress, error: BaseException) -> _Told:
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
                await self._outlived(lease)
                return _Told("taken over")
            except (Conflict, InvalidTransition):
                await self._finish(lease)
                return _Told("no longer due")
            except STORE_AWAY as away:
                if time.monotonic() < deadline:
                    await asyncio.sleep(self.limits.backoff_seconds)
                    continue
                log.warning("the lease runs out by itself", claim=lease.claim_id, error=away)
            return _Told("postponed", reason=words[:200])

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
    ) -> _Told:
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
        new = NewDecision(lease, file, decision, canonical(unchecked), now, ACTOR, product.partner)
        return self._told(new, await record(CaseInHand(self.context, lease, file, {}), new))

    async def _give_back(self, lease: Lease) -> None:
        """Put a claim back in its place in the queue, nothing counted against it: people hold its next stage."""
        try:
            async with self.context.engine.begin() as conn:
                await queue.release(conn, [lease])
        except STORE_AWAY as error:
            log.warning("the lease runs out by itself", claim=lease.claim_id, error=error)

    async def _outlived(self, lease: Lease) -> None:
        """Tell that this process lives, which only got too little CPU to keep its lease: no death of the claim's."""
        try:
            async with self.context.engine.begin() as conn:
                await queue.outlived(conn, lease)
        except STORE_AWAY as error:
            log.warning("a lost lease stays counted as a death", claim=lease.claim_id, error=error)

    async def _finish(self, lease: Lease) -> None:
        """Close the job of a claim that was withdrawn or went on to another round: nothing is left to do."""
        try:
            async with self.context.engine.begin() as conn:
                await queue.finish(conn, lease, self.context.now())
        except LeaseLost:
            return
        except STORE_AWAY as error:
            log.warning("the lease runs out by itself", claim=lease.claim_id, error=error)


if __name__ == "__main__":
    # By name: settings and command lines stand above the flows. The same as `miaopei flows adjudicate CLAIM`.
    sys.argv[1:1] = ["flows", "adjudicate"]
    runpy.run_module("api.cli", run_name="__main__")
