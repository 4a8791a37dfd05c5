"""Jobs that have claims decided again: by their ids, or all that could not be checked for want of a resource.

They put claims where a worker leases them, and wait for it; they decide nothing themselves (`claims.store.asked`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import asked, heartbeats, rechecks
from claims.store.asked import AskedClaim, RoundState
from claims.store.engine import connect
from flows.errors import JobRefused
from flows.operations.job import JobCall, JobParameters, JobResult
from flows.operations.upkeep import ClaimId
from flows.queues import utc_now
from flows.runs import Row
from flows.trouble import was_trouble

LOOK_SECONDS: Final = 0.5  # between looks whether claims are decided
ALIVE_SECONDS: Final = 30.0  # since its newest sign of life a process counts as alive


class AdjudicateParameters(JobParameters):
    claim_ids: tuple[ClaimId, ...] = Field(
        min_length=1, max_length=1_000, title="Claims", description="Ids of the claims to decide now"
    )
    wait_seconds: float = Field(
        default=120.0, ge=0, le=3_600, title="Wait (seconds)", description="At most so long for the decisions"
    )


async def adjudicate(call: JobCall, wanted: AdjudicateParameters) -> JobResult:
    """Have claims decided now, and wait for it. Raises JobRefused when one of them cannot be; the others are decided
    all the same."""
    engine = connect(call.config.store.dsn, pool_size=2)
    try:
        answers = []
        for claim_id in dict.fromkeys(wanted.claim_ids):
            async with engine.begin() as conn:
                answer = await asked.decide_now(conn, claim_id, utc_now(), actor=call.actor)
            say = call.warn if answer.refused else call.info
            say(f"claim {claim_id}: {answer.answer}: {answer.words}")
            answers.append(answer)
        rows = await _wait(engine, call, answers, wanted.wait_seconds)
    finally:
        await engine.dispose()
    refused = [answer for answer in answers if answer.refused]
    decided = sum(bool(row["decided"]) for row in rows)
    waiting = sum(answer.taken_up for answer in answers) - decided
    before = sum(answer.answer == asked.DONE_BEFORE for answer in answers)
    parts = ((decided, "decided"), (before, "already_decided"), (waiting, "still waiting"), (len(refused), "refused"))
    message = ", ".join(f"{count} {words}" for count, words in parts if count)
    if refused:
        named = "; ".join(f"{answer.claim_id}: {answer.answer}: {answer.words}" for answer in refused[:20])
        code = refused[0].answer if len({answer.answer for answer in refused}) == 1 else "some_refused"
        raise JobRefused(code, f"{message}. {named}")
    return JobResult(
        message, {"decided": decided, "already_decided": before, "waiting": waiting, "claims": list(rows)}, rows
    )


async def _wait(engine: AsyncEngine, call: JobCall, answers: Sequence[AskedClaim], seconds: float) -> list[Row]:
    """Wait until every claim that was taken up is decided, or the time is over. Returns a row for each claim."""
    taken_up = [answer for answer in answers if answer.taken_up]
    deadline = time.monotonic() + seconds
    over: dict[str, RoundState] = {}
    while True:
        left = [answer for answer in taken_up if answer.claim_id not in over]
        async with engine.connect() as conn:
            states = await asked.rounds(conn, left or answers)
        for answer in left:
            state = states.get(answer.claim_id)
            if state is not None and state.over(answer.round):
                over[answer.claim_id] = state
                call.info(f"claim {answer.claim_id}: {state.outcome or state.status}")
        call.advance(len(over), len(taken_up))
        if len(over) == len(taken_up) or time.monotonic() >= deadline:
            break
        await asyncio.sleep(LOOK_SECONDS)
    async with engine.connect() as conn:
        states = await asked.rounds(conn, answers)
        alive = await heartbeats.since(conn, utc_now() - timedelta(seconds=ALIVE_SECONDS))
    workers = sum(process.kind == "worker" for process in alive)
    rows: list[Row] = []
    for answer in answers:
        state = over.get(answer.claim_id) or states.get(answer.claim_id)
        waits = ""
        if answer.taken_up and answer.claim_id not in over:
            waits = _waits_for(state, workers, utc_now())
            call.warn(f"claim {answer.claim_id}: {waits}")
        rows.append(
            {
                "claim": answer.claim_id,
                "answer": answer.answer,
                "decided": int(answer.claim_id in over),
                "outcome": state.outcome if state is not None else "",
                "status": str(state.status) if state is not None else "",
                "waits_for": waits,
            }
        )
    return rows


def _waits_for(state: RoundState | None, workers: int, now: datetime) -> str:
    if state is None:
        return "it is gone"
    if not workers:
        return "no worker is alive"
    if state.job == "leased" and state.leased_until is not None and state.leased_until >= now:
        return f"{state.leased_by} is checking it"
    if state.job == "due" and state.due_at is not None and state.due_at > now:
        why = f"for want of {state.waits_for}" if state.waits_for else f"after {state.failures} failures"
        return f"put off {why} until {state.due_at:%H:%M:%S} UTC"
    return "due: no worker has taken it yet"


class RecheckParameters(JobParameters):
    at_most: int = Field(
        default=20, ge=1, le=1_000, title="At most", description="So many claims, the longest waiting first"
    )


async def recheck(call: JobCall, wanted: RecheckParameters) -> JobResult:
    """Send claims that came before a person only because a resource was missing back to the queue now, whatever their
    pauses; a worker that still lacks the resource puts them off."""
    engine = connect(call.config.store.dsn, pool_size=2)
    sent: list[str] = []
    try:
        async with engine.connect() as conn:
            cases = await rechecks.unchecked(conn, was_trouble)
        for case in cases[: wanted.at_most]:
            async with engine.begin() as conn:
                if await rechecks.send_back(conn, case, utc_now(), actor=call.actor):
                    sent.append(case.claim_id)
                    call.info(f"claim {case.claim_id}: due again after {case.stage}")
            call.advance(len(sent), min(len(cases), wanted.at_most))
    finally:
        await engine.dispose()
    left = len(cases) - len(sent)
    return JobResult(f"{len(sent)} claims are due again, {left} left", {"claims": sent, "left": left})


class DrainParameters(JobParameters):
    worker: str = Field(
        min_length=1, max_length=200, title="Worker", description="Its name, as the operator's page has it"
    )
    wait_seconds: float = Field(
        default=120.0, ge=0, le=3_600, title="Wait (seconds)", description="At most so long for it to end"
    )


async def drain(call: JobCall, wanted: DrainParameters) -> JobResult:
    """Ask a worker to finish what it has, to take nothing more and to end; wait for it."""
    engine = connect(call.config.store.dsn, pool_size=1)
    try:
        async with engine.begin() as conn:
            process = await heartbeats.last(conn, wanted.worker)
            if process is None:
                raise JobRefused("no_such_worker", "no worker of this name is alive: the operator's page names them")
            if process.kind != "worker":
                raise JobRefused("not_a_worker", f"it is a {process.kind} process, and only workers are drained")
            first = await heartbeats.ask_to_drain(conn, wanted.worker, utc_now(), actor=call.actor)
        call.info("asked to end" if first else "asked to end before")
        ended = await _ended(engine, wanted)
    finally:
        await engine.dispose()
    return JobResult(ended, {"worker": wanted.worker, "first": first, "ended": ended == "ended"})


async def _ended(engine: AsyncEngine, wanted: DrainParameters) -> str:
    deadline = time.monotonic() + wanted.wait_seconds
    while True:
        async with engine.connect() as conn:
            process = await heartbeats.last(conn, wanted.worker)
        if process is None:
            return "ended"
        if utc_now() - process.at > timedelta(seconds=ALIVE_SECONDS):
            return "gives no sign of life: its claims are due again when their leases run out"
        if time.monotonic() >= deadline:
            in_flight = process.report.get("in_flight", 0)
            return f"still has {in_flight} claims in hand and takes nothing more"
        await asyncio.sleep(LOOK_SECONDS)
