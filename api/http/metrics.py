"""Prometheus metrics: requests counted as they pass, and the store's figures read at scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from claims.alerts import KINDS
from claims.evidence import UnmeasuredFact
from claims.store.figures import OperatorFigures

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """The store's figures at scrape."""

    operator: OperatorFigures
    payouts_by_state: Mapping[str, int]


class Metrics:
    """The metrics of one app, in a registry of its own so that two apps in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "miaopei_http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "miaopei_http_request_seconds",
            "Seconds from the request's head to the end of its answer",
            ["method", "route"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.throttled = Counter(
            "miaopei_http_throttled",
            "Requests refused because there were too many, by what and by whom",
            ["kind", "by"],
            registry=self.registry,
        )
        self.connections_closed = Counter(
            "miaopei_http_connections_closed", "Connections closed by us, by why", ["why"], registry=self.registry
        )
        self.connections_open = Gauge("miaopei_http_connections", "Connections open now", registry=self.registry)
        self.uploaded_bytes = Counter("miaopei_http_body_bytes", "Bytes of request bodies read", registry=self.registry)
        self.store_up = Gauge("miaopei_store_up", "1 when the store answered this scrape", registry=self.registry)

    def render(self, figures: StoreFigures | None) -> bytes:
        """Returns the exposition. Without `figures` (the store did not answer) the store's series are absent, not
        zero."""
        self.store_up.set(0 if figures is None else 1)
        text = generate_latest(self.registry)
        if figures is not None:
            text += generate_latest(_store_registry(figures))
        return text


class RequestMetrics:
    """ASGI middleware: counts and times every request under its route's template, never under the raw path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self.app = app
        self.metrics = metrics
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = self.clock()
        status = 500  # what the outermost layer answers when nothing was sent

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counting)
        finally:
            route = route_template(scope)
            method = scope["method"] if route != "unmatched" else "any"
            self.metrics.requests.labels(method, route, str(status)).inc()
            self.metrics.seconds.labels(method, route).observe(self.clock() - started)
            body = scope.get("state", {}).get("body")
            if body is not None and body.received:
                self.metrics.uploaded_bytes.inc(body.received)


def route_template(scope: Scope) -> str:
    """Returns the route's template, such as `/v1/claims/{claim_id}`, or `unmatched` for a request that no route took:
    labels must stay few."""
    route = scope.get("route")
    path: str = getattr(route, "path", "") or ""
    return path or "unmatched"


def _store_registry(figures: StoreFigures) -> CollectorRegistry:
    """Returns the store's figures as gauges: the store counts them over its window, so no process needs to have counted
    the events."""
    stored, registry = figures.operator, CollectorRegistry()

    def gauge(name: str, help_text: str, label: str = "") -> Gauge:
        return Gauge(f"miaopei_{name}", help_text, [label] if label else [], registry=registry)

    decisions = gauge("claims_decided", "Decisions of the last 24 hours", "outcome")
    for outcome, count in stored.decisions.items():
        decisions.labels(outcome).set(count)
    statuses = gauge("claims", "Claims submitted in the last 24 hours, by their status now", "status")
    for status, count in stored.by_status.items():
        statuses.labels(status).set(count)
    payouts = gauge("payouts", "Payouts of all time", "state")
    for state, count in figures.payouts_by_state.items():
        payouts.labels(state).set(count)
    due = gauge("backlog_due", "Waiting and due now", "queue")
    dead = gauge("backlog_dead", "Given up: a person must look", "queue")
    oldest = gauge("backlog_oldest_seconds", "How long the oldest due one has been due", "queue")
    for queue, backlog in (("adjudication", stored.adjudication), ("settle", stored.settle), ("refer", stored.refer)):
        due.labels(queue).set(backlog.due)
        dead.labels(queue).set(backlog.dead)
        oldest.labels(queue).set(backlog.oldest_seconds)
    gauge("referrals_open", "Cases that wait for a person").set(stored.referrals_open)
    gauge("referrals_overdue", "Cases past their time").set(stored.referrals_overdue)
    open_findings = gauge("findings_open", "Payouts that bank and books disagree about", "code")
    for code, count in stored.findings_open.items():
        open_findings.labels(code).set(count)
    gauge("claims_stopped", "Claims that get no further payout before such a finding is settled").set(
        stored.claims_stopped
    )
    if stored.reconciled is not None:  # an absent series, not a zero, before the first
        age_seconds = (stored.at - stored.reconciled.began_at).total_seconds()
        gauge("reconciled_seconds", "Since bank and books were last compared in full").set(age_seconds)
    owed = gauge("recoveries_owed_minor", "Minor units that claimants owe back", "currency")
    waiting = gauge("recoveries_open", "Recoveries that are neither offset, repaid nor written off", "currency")
    for currency, (count, minor) in stored.recoveries_owed.items():
        owed.labels(currency).set(minor)
        waiting.labels(currency).set(count)
    gauge("floods_open", "Pictures that match many claims and wait for a person's ruling").set(stored.floods_open)
    gauge("claims_held", "Claims that wait for such a ruling alone").set(stored.claims_held)
    lacking = gauge("claims_waiting_for_resources", "Claims put off because our machines lack something", "resource")
    for resource, count in stored.waiting_for_resources.items():
        lacking.labels(resource).set(count)
    open_alerts = gauge("alerts_open", "Conditions that somebody must look at", "name")
    for name in KINDS:
        open_alerts.labels(name).set(sum(alert.name == name for alert in stored.alerts))
    limits = gauge("brake_limit", "Work that people hold (0) or limit to so many at once", "name")
    behind = gauge("brake_waiting", "Due and waiting behind such a brake", "name")
    for brake in stored.brakes:
        limits.labels(brake.name).set(brake.at_once_max or 0)
        behind.labels(brake.name).set(stored.waiting_behind[brake.name].total)
    gauge("processes", "Worker, settle and refer processes seen in the last minutes").set(len(stored.processes))
    for name, help_text, value in (
        ("straight_through_ratio", "Closed untouched / closed, last 24 hours", stored.straight_through_rate),
        ("decision_seconds_p50", "Submission to automatic decision, median of 24 hours", stored.decision_seconds_p50),
        (
            "decision_seconds_p95",
            "Submission to automatic decision, 95th percentile of 24 hours",
            stored.decision_seconds_p95,
        ),
    ):
        if not isinstance(value, UnmeasuredFact):  # an absent series, not a zero
            gauge(name, help_text).set(value)
    return registry
