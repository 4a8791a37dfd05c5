"""Conditions that an operator must hear of: pure functions over figures, one a kind of alert, and the list of them.

A condition returns what is met now, or None where nobody can tell this time: its alerts then stay as they are. A new
one is a kind (`claims.alerts`), a function and a line of CONDITIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from claims.alerts import KINDS, AlertKind, Figure, Met
from claims.store.findings import BankComparison, Finding
from claims.store.heartbeats import Heartbeat
from claims.store.leasing import WorkBacklog
from claims.store.payouts import UnclearPayout
from flows.config import AlertLimits

READER: Final = "reader"  # the resource whose lack means that papers cannot be read
DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A trusted certificate by its digest, and its last moment."""

    fingerprint: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Observed:
    """Figures read from the store at one moment. None: could not be read this time.

    backlogs: by queue. heartbeats: of the last `silent_hours_max`. waiting: claims by the resource that they wait for.
    reconciled: the newest whole comparison, None before the first.
    """

    at: datetime
    backlogs: Mapping[str, WorkBacklog]
    unclear: Sequence[UnclearPayout]
    findings: Sequence[Finding]
    reconciled: BankComparison | None
    waiting: Mapping[str, int]
    heartbeats: Sequence[Heartbeat]
    library_rows: int | None = None
    certificates: Sequence[Certificate] | None = field(default=())

    def alive(self, limits: AlertLimits) -> list[Heartbeat]:
        """Returns the processes that have reported lately."""
        earliest = self.at - timedelta(seconds=limits.silent_seconds)
        return [beat for beat in self.heartbeats if beat.at >= earliest]


Evaluate = Callable[[Observed, AlertLimits], Sequence[Met] | None]


@dataclass(frozen=True, slots=True)
class Condition:
    kind: AlertKind
    evaluate: Evaluate


def payout_unclear(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """The bank has been asked to pay and has given no final answer for long."""
    late = [payout for payout in observed.unclear if _age(observed, payout.sent_at) >= limits.payout_unclear_seconds]
    oldest = sorted(late, key=lambda payout: (payout.sent_at, payout.id))
    return [
        _met("payout.unclear", payout.id, claim=payout.claim_id, age_seconds=_age(observed, payout.sent_at),
             amount_minor=payout.amount.minor, currency=payout.amount.currency, in_all=len(late))
        for payout in oldest[: limits.subjects_max]
    ]  # fmt: skip


def backlog_old(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """Work of a queue has been due for long, and nobody has taken it. What people hold is not due."""
    return [
        _met("backlog.old", name, age_seconds=int(backlog.oldest_seconds), due=backlog.due,
             limit_seconds=int(limits.backlog_seconds))
        for name, backlog in observed.backlogs.items()
        if backlog.due and backlog.oldest_seconds >= limits.backlog_seconds
    ]  # fmt: skip


def books_differ(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """Bank and books disagree about a payout, and nobody has lifted the difference."""
    by_payout = {finding.payout_id: finding for finding in sorted(observed.findings, key=lambda each: -each.id)}
    oldest = sorted(by_payout.values(), key=lambda finding: finding.id)
    return [
        _met("books.differ", finding.payout_id, code=finding.code, claim=finding.claim_id or "-", in_all=len(oldest))
        for finding in oldest[: limits.subjects_max]
    ]


def books_unread(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """Bank and books have not been compared in full for long. An installation that never could is new."""
    if observed.reconciled is None:
        return []
    age = _age(observed, observed.reconciled.began_at)
    if age < limits.reconciled_seconds:
        return []
    return [_met("books.unread", "bank", age_seconds=age, limit_seconds=int(limits.reconciled_seconds))]


def ocr_down(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """A worker's OCR does not start, or claims wait for it."""
    workers = [beat for beat in observed.alive(limits) if beat.report.get("ocr") == DOWN]
    waiting = observed.waiting.get(READER, 0)
    return [_met("ocr.down", READER, workers=len(workers), claims=waiting)] if workers or waiting else []


def resource_short(observed: Observed, limits: AlertLimits) -> Sequence[Met]:  # noqa: ARG001  (a condition's shape)
    """Claims wait for a resource of ours other than the OCR."""
    return [
        _met("resource.short", resource, claims=count)
        for resource, count in observed.waiting.items()
        if count and resource != READER
    ]


def certificate_expired(observed: Observed, limits: AlertLimits) -> Sequence[Met] | None:  # noqa: ARG001
    """A trusted certificate has expired."""
    if observed.certificates is None:
        return None
    return [
        _met("certificate.expired", each.fingerprint, expires=f"{each.expires_at:%Y-%m-%d}")
        for each in observed.certificates
        if each.expires_at <= observed.at
    ]


def certificate_expiring(observed: Observed, limits: AlertLimits) -> Sequence[Met] | None:
    """A trusted certificate expires soon."""
    if observed.certificates is None:
        return None
    until = observed.at + timedelta(days=limits.certificate_days)
    return [
        _met("certificate.expiring", each.fingerprint, expires=f"{each.expires_at:%Y-%m-%d}")
        for each in observed.certificates
        if observed.at < each.expires_at <= until
    ]


def library_behind(observed: Observed, limits: AlertLimits) -> Sequence[Met] | None:
    """A worker's copy of the photo library is far from the store's. A worker that holds no copy asks PostgreSQL."""
    stored = observed.library_rows
    if stored is None:
        return None
    allowed = max(limits.library_rows_apart, int(stored * limits.library_share_apart))
    behind = []
    for beat in observed.alive(limits):
        held = beat.report.get("library_rows_in_memory")
        if isinstance(held, int) and held > 0 and abs(stored - held) > allowed:
            behind.append(_met("library.behind", beat.name, rows_in_memory=held, rows_in_store=stored))
    return behind


def process_silent(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """No process of a kind reports from a machine any more where one did: it was killed and not started again. A
    process that ends in good order takes its report along."""
    alive = {_place(beat) for beat in observed.alive(limits)}
    newest: dict[str, Heartbeat] = {}
    for beat in sorted(observed.heartbeats, key=lambda beat: (beat.at, beat.name)):
        newest[_place(beat)] = beat
    return [
        _met("process.silent", place, age_seconds=_age(observed, beat.at), process=beat.name)
        for place, beat in sorted(newest.items())
        if place not in alive
    ]


def audit_broken(observed: Observed, limits: AlertLimits) -> Sequence[Met]:
    """The audit chain lacks a tip that a process has noted outside the database."""
    return [
        _met("audit.broken", beat.name)
        for beat in observed.alive(limits)
        if beat.report.get("audit_tip_missing") is True
    ]


CONDITIONS: Final = (
    Condition(KINDS["payout.unclear"], payout_unclear),
    Condition(KINDS["backlog.old"], backlog_old),
    Condition(KINDS["books.differ"], books_differ),
    Condition(KINDS["books.unread"], books_unread),
    Condition(KINDS["ocr.down"], ocr_down),
    Condition(KINDS["resource.short"], resource_short),
    Condition(KINDS["certificate.expired"], certificate_expired),
    Condition(KINDS["certificate.expiring"], certificate_expiring),
    Condition(KINDS["library.behind"], library_behind),
    Condition(KINDS["process.silent"], process_silent),
    Condition(KINDS["audit.broken"], audit_broken),
)


def evaluate(observed: Observed, limits: AlertLimits) -> tuple[list[Met], frozenset[str]]:
    """Returns what is met, and the names of conditions that nobody can tell this time."""
    met: list[Met] = []
    unknown = set()
    for condition in CONDITIONS:
        result = condition.evaluate(observed, limits)
        if result is None:
            unknown.add(condition.kind.name)
        else:
            met += result
    return met, frozenset(unknown)


def _met(name: str, subject: str, **figures: Figure) -> Met:
    return Met(KINDS[name], subject, figures)


def _age(observed: Observed, at: datetime) -> int:
    """Returns whole seconds since then; 0 for what a clock puts into the future."""
    return max(int((observed.at - at).total_seconds()), 0)


def _place(beat: Heartbeat) -> str:
    """Returns kind and machine of a process named as `api.processes.process_name` names it."""
    return beat.name.partition(":")[0]
