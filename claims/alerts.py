"""Alerts for whoever keeps the installation running: each kind by name, how grave it is, and its words.

An alert is about the installation, a payout or a process, never about a person: its subject and figures are ids, codes
and numbers. A new kind is a line here, its texts (`alerts`, `alert_steps`) and a condition in
`flows.operations.conditions`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from claims.texts import Language, Texts, texts

PREFIX: Final = "miaopei"  # of events and resources, among those of other products on one server
SEE: Final = "docs/operating.md#alerts"
Figure = int | float | str


class Severity(StrEnum):
    """How soon somebody has to look: `critical` now, `warning` today."""

    WARNING = "warning"
    CRITICAL = "critical"


class Moment(StrEnum):
    """The moment of an alert's life that a notice tells of."""

    OPENED = "opened"
    AGAIN = "again"  # it has been open for long
    RESOLVED = "resolved"
    TEST = "test"  # somebody tries whether notices arrive


@dataclass(frozen=True, slots=True)
class AlertKind:
    """A kind of alert. name: two words with a dot. resource: what its subject is the id of."""

    name: str
    severity: Severity
    resource: str

    @property
    def key(self) -> str:
        """Return the name of its texts."""
        return self.name.replace(".", "_")

    @property
    def event(self) -> str:
        """Return the name of its event: `miaopei.payout.unclear`."""
        return f"{PREFIX}.{self.name}"


_ALL: Final = (
    AlertKind("payout.unclear", Severity.CRITICAL, "payout"),
    AlertKind("backlog.old", Severity.WARNING, "backlog"),
    AlertKind("books.differ", Severity.CRITICAL, "payout"),
    AlertKind("books.unread", Severity.WARNING, "books"),
    AlertKind("ocr.down", Severity.CRITICAL, "resource"),
    AlertKind("resource.short", Severity.WARNING, "resource"),
    AlertKind("certificate.expired", Severity.CRITICAL, "certificate"),
    AlertKind("certificate.expiring", Severity.WARNING, "certificate"),
    AlertKind("library.behind", Severity.WARNING, "process"),
    AlertKind("process.silent", Severity.CRITICAL, "process"),
    AlertKind("audit.broken", Severity.CRITICAL, "audit"),
)
KINDS: Final[Mapping[str, AlertKind]] = {kind.name: kind for kind in _ALL}
TEST: Final = AlertKind("notice.test", Severity.WARNING, "notice")  # opened by nothing, closed by nothing


@dataclass(frozen=True, slots=True)
class Met:
    """A condition that is met now. subject: the id of what it is about."""

    kind: AlertKind
    subject: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is kept. opened_at: None while its condition is not met for long enough yet; closed_at: None while
    it is open."""

    id: int
    name: str
    subject: str
    severity: Severity
    figures: Mapping[str, Figure]
    since: datetime
    last_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None

    @property
    def kind(self) -> AlertKind:
        """Return its kind; one that this version no longer has keeps its name and severity."""
        return KINDS.get(self.name, AlertKind(self.name, self.severity, self.name.partition(".")[0]))

    @property
    def resource_id(self) -> str:
        return f"{PREFIX}.{self.kind.resource}.{self.subject}"


def alert_text(alert: Alert, lang: Language) -> str:
    """Return what is wrong, in one line."""
    catalogue = texts(lang)
    told = catalogue.get("alerts", alert.kind.key)
    if told is None:
        return f"{alert.name}: {alert.subject}"
    return told.format_map(_Worded(catalogue, {**alert.figures, "subject": alert.subject}))


def steps_text(alert: Alert, lang: Language) -> str:
    """Return what to do about it, in one line; "" where nothing is known."""
    return texts(lang).get("alert_steps", alert.kind.key) or ""


def subject_line(alert: Alert, moment: Moment, lang: Language) -> str:
    """Return the subject line of a notice."""
    catalogue = texts(lang)
    return f"[Miaopei] {catalogue[f'alert_moments.{moment}']}: {alert_text(alert, lang)}"


def severity_text(severity: Severity, lang: Language) -> str:
    return texts(lang)[f"alert_severities.{severity}"]


class _Worded(dict[str, str]):
    """Figures in words: seconds as hours and minutes. A figure that an old record lacks is a dash."""

    def __init__(self, catalogue: Texts, figures: Mapping[str, Figure]) -> None:
        super().__init__({name: _worded(catalogue, name, figure) for name, figure in figures.items()})

    def __missing__(self, name: str) -> str:
        return "–"


def _worded(catalogue: Texts, name: str, figure: Figure) -> str:
    if name.endswith("_seconds") and isinstance(figure, int | float):
        hours, minutes = divmod(max(int(figure), 0) // 60, 60)
        return catalogue["alert_words.hours"].format(hours=hours, minutes=minutes)
    # Ids and codes only: nothing that would break a line of a mail's head.
    return re.sub(r"[\x00-\x1f\x7f]", " ", str(figure))[:200]
