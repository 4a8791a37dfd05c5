"""An operator asks for claims to be decided now, and asks what became of that.

Nothing here decides anything: a claim that waits for a later time is made due, one that could not be checked is sent
back to the queue, and a worker leases it as it leases any other. So however often it is asked for, a round is decided
once, and what nobody may decide again (decided, paid, before a person, erased) is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Status
from claims.errors import NotFound
from claims.store import audit, queue, rechecks, statuses
from claims.store.referrals import OPEN
from claims.store.tables import claims, decisions, jobs, referrals

Answer = Literal[
    "made_due",
    "due",
    "being_checked",
    "sent_back",
    "already_decided",
    "no_such_claim",
    "erased",
    "not_submitted",
    "withdrawn",
    "waits_for_claimant",
    "with_a_person",
    "before_a_person",
]
# Answers after which a decision follows, and the one after which there is nothing left to do.
TAKEN_UP: Final[frozenset[Answer]] = frozenset({"made_due", "due", "being_checked", "sent_back"})
DONE_BEFORE: Final[Answer] = "already_decided"

_WORDS: Final[dict[Answer, str]] = {
    "made_due": "was to be tried again later and is due now",
    "due": "is due already",
    "being_checked": "is being checked at this moment",
    "sent_back": "could not be checked before and is due again",
    "already_decided": "is decided: nothing is decided or paid again",
    "no_such_claim": "there is no claim of this id",
    "erased": "what it was about is erased",
    "not_submitted": "is a draft: the claimant has not sent it in",
    "withdrawn": "the claimant took it back",
    "waits_for_claimant": "waits for what the claimant was asked for",
    "with_a_person": "somebody has it in hand",
    "before_a_person": "a person decides it: it is in the adjusters' queue",
}
_BY_STATUS: Final[dict[Status, Answer]] = {
    Status.DRAFT: "not_submitted",
    Status.AWAITING_INFORMATION: "waits_for_claimant",
    Status.APPROVED: "already_decided",
    Status.PAID: "already_decided",
    Status.DECLINED: "already_decided",
    Status.PAYOUT_FAILED: "before_a_person",
    Status.WITHDRAWN: "withdrawn",
    Status.ERASED: "erased",
}


@dataclass(frozen=True, slots=True)
class AskedClaim:
    """The consequence of an operator's wish. round: the round that is to be decided, or the claim's newest."""

    claim_id: str
    answer: Answer
    round: int = 0

    @property
    def words(self) -> str:
        return _WORDS[self.answer]

    @property
    def taken_up(self) -> bool:
        return self.answer in TAKEN_UP

    @property
    def refused(self) -> bool:
        return not self.taken_up and self.answer != DONE_BEFORE


@dataclass(frozen=True, slots=True)
class RoundState:
    """Where a round of a claim stands. outcome: of its decision, "" while there is none; job: due, leased, done or
    dead."""

    claim_id: str
    status: Status
    round: int
    outcome: str
    job: str
    due_at: datetime | None
    leased_by: str
    leased_until: datetime | None
    waits_for: str
    failures: int

    def over(self, round_number: int) -> bool:
        """Return True once this round needs no worker any more: it was decided or withdrawn, or another one began."""
        return bool(self.outcome) or self.status is not Status.SUBMITTED or self.round != round_number


async def decide_now(conn: AsyncConnection, claim_id: str, now: datetime, *, actor: str) -> AskedClaim:
    """Make the claim due for a worker as far as it may be decided. Commit before waiting for anything."""
    try:
        status, round_number = await statuses.lock(conn, claim_id)
    except NotFound:
        return AskedClaim(claim_id, "no_such_claim")
    if status is Status.SUBMITTED:
        return AskedClaim(claim_id, await _hurry(conn, claim_id, round_number, now, actor), round_number)
    if status is not Status.REFERRED:
        return AskedClaim(claim_id, _BY_STATUS[status], round_number)
    for case in await rechecks.unchecked(conn, claim_id=claim_id):
        if await rechecks.send_back(conn, case, now, actor=actor):
            return AskedClaim(claim_id, "sent_back", round_number + 1)
    return AskedClaim(claim_id, await _whose(conn, claim_id, now), round_number)


async def rounds(conn: AsyncConnection, asked: Iterable[AskedClaim]) -> dict[str, RoundState]:
    """Return where the rounds that were asked for stand, by claim; a claim that is gone is missing."""
    wanted = {item.claim_id: item.round for item in asked}
    rows = await conn.execute(
        select(claims.c.id, claims.c.status, claims.c.round.label("newest"), decisions.c.outcome, *_JOB_COLUMNS)
        .select_from(claims)
        .outerjoin(jobs, jobs.c.claim_id == claims.c.id)
        .outerjoin(decisions, and_(decisions.c.claim_id == claims.c.id, decisions.c.round == jobs.c.round))
        .where(claims.c.id.in_(wanted))
        .order_by(claims.c.id, decisions.c.seq)
    )
    return {
        row.id: RoundState(
            row.id, Status(row.status), row.newest, row.outcome or "", row.state, row.due_at, row.leased_by,
            row.leased_until, row.waits_for, row.failures,
        )
        for row in rows
        if row.round == wanted[row.id]
    }  # fmt: skip


_JOB_COLUMNS: Final = (
    jobs.c.round,
    jobs.c.state,
    jobs.c.due_at,
    jobs.c.leased_by,
    jobs.c.leased_until,
    jobs.c.waits_for,
    jobs.c.failures,
)


async def _hurry(conn: AsyncConnection, claim_id: str, round_number: int, now: datetime, actor: str) -> Answer:
    if await queue.due_now(conn, claim_id, round_number, now):
        await audit.append(conn, actor, "claim.asked_again", claim_id, {"round": round_number}, now)
        return "made_due"
    job = await conn.execute(
        select(jobs.c.state, jobs.c.leased_until).where(jobs.c.claim_id == claim_id, jobs.c.round == round_number)
    )
    row = job.first()
    # A lease that has run out is due to the next worker, and a job that is missing or set aside to a person.
    if row is None or row.state == "dead":
        return "before_a_person"
    return "being_checked" if row.state == "leased" and row.leased_until >= now else "due"


async def _whose(conn: AsyncConnection, claim_id: str, now: datetime) -> Answer:
    held = await conn.execute(
        select(referrals.c.id).where(
            referrals.c.claim_id == claim_id,
            referrals.c.state.in_(OPEN),
            referrals.c.assigned_to != "",
            referrals.c.assigned_until > now,
        )
    )
    return "with_a_person" if held.first() is not None else "before_a_person"
