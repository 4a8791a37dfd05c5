"""Figures for the operator: rates, latency, backlog, money, signs of life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.alerts import Alert
from claims.claim import Status
from claims.evidence import UnmeasuredFact
from claims.store import alerts, brakes, findings, floods, heartbeats, outbox, queue, recoveries
from claims.store.brakes import Brake, WaitingBehind
from claims.store.findings import BankComparison
from claims.store.heartbeats import Heartbeat
from claims.store.leasing import WorkBacklog
from claims.store.referrals import OPEN
from claims.store.tables import claims, decisions, jobs, payouts, referrals

PROCESS_SEEN: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class OperatorFigures:
    """The operator's figures: of the last `window`, except backlog, open referrals and processes, which are of now.

    straight_through_rate: closed (paid or declined) untouched / all closed. decision_seconds_*: from submission to the
    automatic decision.
    """

    at: datetime
    window: timedelta
    submitted: int
    by_status: Mapping[str, int]  # claims submitted in the window, by their status now
    decisions: Mapping[str, int]  # by outcome
    closed: int
    closed_untouched: int
    straight_through_rate: float | UnmeasuredFact
    decision_seconds_p50: float | UnmeasuredFact
    decision_seconds_p95: float | UnmeasuredFact
    paid_minor: Mapping[str, int]  # by currency
    payouts_failed: int
    referrals_open: int
    referrals_overdue: int
    adjudication: WorkBacklog
    settle: WorkBacklog
    refer: WorkBacklog
    processes: tuple[Heartbeat, ...]
    findings_open: Mapping[str, int] = field(default_factory=dict)  # by code
    claims_stopped: int = 0
    reconciled: BankComparison | None = None  # the newest whole comparison of bank and books
    recoveries_owed: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # by currency: how many, minor units
    floods_open: int = 0
    claims_held: int = 0  # wait for one of them; not among the open referrals
    waiting_for_resources: Mapping[str, int] = field(default_factory=dict)  # claims put off, by what our machines lack
    alerts: tuple[Alert, ...] = ()  # open ones
    brakes: tuple[Brake, ...] = ()  # that hold or limit something, the longest pulled first
    waiting_behind: Mapping[str, WaitingBehind] = field(default_factory=dict)  # by brake


async def operator_figures(
    conn: AsyncConnection, now: datetime, window: timedelta = timedelta(hours=24)
) -> OperatorFigures:
    """Return the figures of the operator's page."""
    start = now - window
    by_status = await conn.execute(
        select(claims.c.status, func.count()).where(claims.c.submitted_at >= start).group_by(claims.c.status)
    )
    statuses = {row[0]: row[1] for row in by_status}
    outcomes = await conn.execute(
        select(decisions.c.outcome, func.count()).where(decisions.c.decided_at >= start).group_by(decisions.c.outcome)
    )
    closed = (
        await conn.execute(
            select(func.count(), func.count().filter(~claims.c.touched)).where(
                claims.c.closed_at >= start, claims.c.status.in_((Status.PAID, Status.DECLINED))
            )
        )
    ).one()
    waited = func.extract("epoch", decisions.c.decided_at - jobs.c.created_at)
    latency = (
        await conn.execute(
            select(func.percentile_cont(0.5).within_group(waited), func.percentile_cont(0.95).within_group(waited))
            .select_from(decisions)
            .join(jobs, and_(jobs.c.claim_id == decisions.c.claim_id, jobs.c.round == decisions.c.round))
            .where(decisions.c.decided_at >= start, decisions.c.decided_by == "rules")
        )
    ).one()
    paid = await conn.execute(
        select(payouts.c.currency, func.sum(payouts.c.amount_minor))
        .where(payouts.c.state == "paid", payouts.c.settled_at >= start)
        .group_by(payouts.c.currency)
    )
    failed = await conn.execute(select(func.count()).where(payouts.c.state == "failed", payouts.c.settled_at >= start))
    waiting = (
        await conn.execute(
            select(func.count(), func.count().filter(referrals.c.due_at < now)).where(
                referrals.c.state.in_(OPEN), referrals.c.cause != "flood"
            )
        )
    ).one()
    flooded = await floods.counted(conn)
    pulled = await brakes.pulled(conn)
    none_decided = UnmeasuredFact("no automatic decision in the window")
    return OperatorFigures(
        at=now,
        window=window,
        submitted=sum(statuses.values()),
        by_status=statuses,
        decisions={row[0]: row[1] for row in outcomes},
        closed=closed[0],
        closed_untouched=closed[1],
        straight_through_rate=closed[1] / closed[0] if closed[0] else UnmeasuredFact("no claim closed in the window"),
        decision_seconds_p50=none_decided if latency[0] is None else float(latency[0]),
        decision_seconds_p95=none_decided if latency[1] is None else float(latency[1]),
        paid_minor={currency: int(total) for currency, total in paid},
        payouts_failed=failed.scalar_one(),
        referrals_open=waiting[0],
        referrals_overdue=waiting[1],
        adjudication=await queue.backlog(conn, now),
        settle=await outbox.backlog(conn, "settle", now),
        refer=await outbox.backlog(conn, "refer", now),
        findings_open=await findings.counted(conn),
        claims_stopped=await findings.claims_stopped(conn),
        reconciled=await findings.last_run(conn, whole=True),
        recoveries_owed=await recoveries.owed(conn),
        floods_open=flooded["open"],
        claims_held=flooded["held"],
        waiting_for_resources=await queue.waiting_for_resources(conn),
        alerts=tuple(await alerts.opened(conn)),
        brakes=tuple(pulled),
        waiting_behind=await brakes.waiting(conn, pulled, now),
        processes=tuple(await heartbeats.since(conn, now - PROCESS_SEEN)),
    )
