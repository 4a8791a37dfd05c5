"""Operators' figures on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.http.schemas.words import Outgoing


class Backlog(Outgoing):
    """Items waiting in a queue. due: may be taken now; later: wait for a time to come; dead: given up, a person must
    look."""

    due: int
    later: int
    leased: int
    dead: int
    oldest_seconds: float = Field(description="Seconds since the oldest due item became due")


class Process(Outgoing):
    name: str
    kind: str
    at: datetime
    report: dict[str, Any]


class OpenAlert(Outgoing):
    """A condition about the installation, a payout or a process. figures: ids, codes and numbers."""

    name: str
    subject: str
    severity: str
    figures: dict[str, int | float | str]
    opened_at: datetime
    last_at: datetime


class Operations(Outgoing):
    """Figures of the time window, except payouts by state, backlogs, open referrals and processes, which are current.
    Null: nothing to measure."""

    at: datetime
    window_hours: int
    submitted: int
    claims_by_status: dict[str, int]
    decisions_by_outcome: dict[str, int]
    closed: int
    closed_untouched: int
    straight_through_rate: float | None = Field(description="Closed with no touch / all closed, 0..1")
    decision_seconds_p50: float | None
    decision_seconds_p95: float | None
    paid_minor: dict[str, int]
    payouts_by_state: dict[str, int]
    payouts_failed: int
    referrals_open: int
    referrals_overdue: int
    findings_open: dict[str, int] = Field(description="Payouts that bank and books disagree about, by code")
    claims_stopped: int = Field(description="Claims that get no further payout until such a difference is settled")
    reconciled_at: datetime | None = Field(description="Time of the last full comparison of bank and books")
    recoveries_open: dict[str, int] = Field(description="Recoveries that are still owed, by currency")
    recoveries_owed_minor: dict[str, int]
    floods_open: int = Field(description="Pictures that match many claims and wait for a person's ruling")
    claims_held: int = Field(description="Claims that wait for such a ruling alone")
    waiting_for_resources: dict[str, int] = Field(
        description="Claims put off for want of a resource of ours, by resource: disk, memory, reader, store, ..."
    )
    alerts: list[OpenAlert] = Field(description="Conditions that somebody must look at, the gravest first")
    adjudication: Backlog
    settle: Backlog
    refer: Backlog
    processes: list[Process]
    prefect_ui_url: str
