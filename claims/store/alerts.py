"""Alerts as they are kept: opened once their condition has been met for long enough, closed once it no longer is, and
a row for each notice and way by which it is told.

One process at a time keeps them (`alone`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.alerts import Alert, Met, Moment, Severity
from claims.store import engine
from claims.store.tables import alert_notices, alerts

Way = Literal["prefect", "webhook", "mail"]
KEPT: Final = timedelta(days=90)  # closed alerts, with their notices
_LOCK: Final = 0x616C6572


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Policy choices on opening and closing. holds_seconds: by name, how long a condition must be met before its alert
    opens (0 for a name that is missing); resolve_after_seconds: how long it must not be met before it closes;
    repeat_seconds: after which an open alert is told of again."""

    holds_seconds: Mapping[str, float]
    resolve_after_seconds: float
    repeat_seconds: float


@dataclass(frozen=True, slots=True)
class AlertNotice:
    """A notice by one way. relied: the event was sent while Prefect's automation was there to send the notice."""

    id: int
    alert: Alert
    number: int
    moment: Moment
    way: Way
    state: str
    attempts: int
    last_error: str
    relied: bool
    created_at: datetime
    sent_at: datetime | None
    sent_by: str

    @property
    def message_id(self) -> str:
        """Return the notice's id, the same by every way and on every attempt: a receiver drops repeats by it."""
        return f"miaopei-{int(self.alert.since.timestamp())}-{self.alert.id}-{self.number}"


async def alone(conn: AsyncConnection) -> bool:
    """Keep others from keeping alerts before this transaction ends. Returns False when somebody already does."""
    return await engine.alone(conn, _LOCK)


async def keep(
    conn: AsyncConnection,
    met: Sequence[Met],
    unknown: Collection[str],
    now: datetime,
    policy: AlertPolicy,
    ways: Sequence[Way],
) -> None:
    """Open and close alerts by the conditions that are met now, and put down the notices that are due. unknown: names
    of conditions that nobody could tell this time, whose alerts stay as they are."""
    rows = (await conn.execute(select(alerts).where(alerts.c.closed_at.is_(None)).with_for_update())).all()
    standing = {(row.name, row.subject): row for row in rows}
    for condition in {(each.kind.name, each.subject): each for each in met}.values():
        row = standing.pop((condition.kind.name, condition.subject), None)
        if row is None:
            row = await _begin(conn, condition, now)
        else:
            values = {"last_at": now, "figures": dict(condition.figures), "severity": condition.kind.severity.value}
            await conn.execute(update(alerts).where(alerts.c.id == row.id).values(**values))
        await _go_on(conn, row, now, policy, ways)
    for row in standing.values():
        if row.name not in unknown:
            await _end(conn, row, now, policy, ways)
    await conn.execute(delete(alerts).where(alerts.c.closed_at < now - KEPT))


async def opened(conn: AsyncConnection) -> list[Alert]:
    """Return the open alerts, the gravest and oldest first."""
    query = select(alerts).where(alerts.c.closed_at.is_(None), alerts.c.opened_at.is_not(None))
    rows = await conn.execute(query.order_by(alerts.c.severity, alerts.c.opened_at, alerts.c.id))
    return [_alert(row) for row in rows]


async def counted(conn: AsyncConnection) -> dict[str, int]:
    """Return the number of open alerts by name."""
    rows = await conn.execute(
        select(alerts.c.name, func.count())
        .where(alerts.c.closed_at.is_(None), alerts.c.opened_at.is_not(None))
        .group_by(alerts.c.name)
        .order_by(alerts.c.name)
    )
    return {row[0]: row[1] for row in rows}


async def recent(conn: AsyncConnection, limit: int = 200) -> list[Alert]:
    """Return open and closed alerts, the newest first."""
    query = select(alerts).where(alerts.c.opened_at.is_not(None)).order_by(alerts.c.id.desc()).limit(limit)
    return [_alert(row) for row in await conn.execute(query)]


async def notices_of(conn: AsyncConnection, alert_ids: Collection[int]) -> list[AlertNotice]:
    """Return the notices of these alerts, in the order in which they were put down."""
    return await _notices(conn, alert_notices.c.alert_id.in_(sorted(alert_ids)))


async def due(conn: AsyncConnection, now: datetime, limit: int) -> list[AlertNotice]:
    """Return notices that are to be sent now, the oldest first; events before what is sent in their place."""
    return await _notices(conn, alert_notices.c.state == "due", alert_notices.c.due_at <= now, limit=limit)


async def note_sent(
    conn: AsyncConnection, notice: AlertNotice, now: datetime, *, by: str, relied: bool = False
) -> None:
    """Record that a notice has gone out."""
    values = {"state": "sent", "sent_at": now, "sent_by": by, "relied": relied, "last_error": ""}
    await _set(conn, notice, attempts=alert_notices.c.attempts + 1, **values)


async def put_off(conn: AsyncConnection, notice: AlertNotice, until: datetime, error: str = "") -> None:
    """Put a notice off. error: why the attempt failed; "" where none was made."""
    tried = {"attempts": alert_notices.c.attempts + 1, "last_error": error[:500]} if error else {}
    await _set(conn, notice, due_at=until, **tried)


async def drop(conn: AsyncConnection, notice: AlertNotice, state: Literal["withdrawn", "given_up"]) -> None:
    """Set a notice aside: nobody waits for it any more, or nobody could take it for too long."""
    await _set(conn, notice, state=state)


async def event_of(conn: AsyncConnection, notice: AlertNotice) -> AlertNotice | None:
    """Return the event that goes with a notice, None where none was to be sent."""
    same = (alert_notices.c.alert_id == notice.alert.id, alert_notices.c.number == notice.number)
    return next(iter(await _notices(conn, *same, alert_notices.c.way == "prefect")), None)


async def waits(conn: AsyncConnection, event: AlertNotice, way: Way) -> bool:
    """Return True if the notice that goes with an event has not gone out by that way."""
    rows = alert_notices.c
    same = (rows.alert_id == event.alert.id, rows.number == event.number, rows.way == way, rows.state == "due")
    return (await conn.execute(select(rows.id).where(*same))).first() is not None


async def _begin(conn: AsyncConnection, condition: Met, now: datetime) -> Row[Any]:
    made = await conn.execute(
        insert(alerts)
        .values(
            name=condition.kind.name,
            subject=condition.subject,
            severity=condition.kind.severity.value,
            figures=dict(condition.figures),
            since=now,
            last_at=now,
        )
        .returning(*alerts.c)
    )
    return made.one()


async def _go_on(conn: AsyncConnection, row: Row[Any], now: datetime, policy: AlertPolicy, ways: Sequence[Way]) -> None:
    """Open an alert whose condition is met for long enough, or tell of it again."""
    if row.opened_at is None:
        if (now - row.since).total_seconds() < policy.holds_seconds.get(row.name, 0.0):
            return
        moment, values = Moment.OPENED, {"opened_at": now, "told_at": now}
    elif (now - row.told_at).total_seconds() >= policy.repeat_seconds:
        moment, values = Moment.AGAIN, {"told_at": now}
    else:
        return
    await conn.execute(update(alerts).where(alerts.c.id == row.id).values(**values))
    await _withdraw(conn, row.id)
    await _tell(conn, row.id, moment, now, ways)


async def _end(conn: AsyncConnection, row: Row[Any], now: datetime, policy: AlertPolicy, ways: Sequence[Way]) -> None:
    if row.opened_at is None:
        await conn.execute(delete(alerts).where(alerts.c.id == row.id))
        return
    if abs((now - row.last_at).total_seconds()) < policy.resolve_after_seconds:  # a clock may have jumped back
        return
    await conn.execute(update(alerts).where(alerts.c.id == row.id).values(closed_at=now, told_at=now))
    await _withdraw(conn, row.id)  # the last notice tells of all of it
    await _tell(conn, row.id, Moment.RESOLVED, now, ways)


async def _tell(conn: AsyncConnection, alert_id: int, moment: Moment, now: datetime, ways: Sequence[Way]) -> None:
    newest = select(func.coalesce(func.max(alert_notices.c.number), 0)).where(alert_notices.c.alert_id == alert_id)
    number = (await conn.execute(newest)).scalar_one() + 1
    for way in ways:
        await conn.execute(
            insert(alert_notices).values(
                alert_id=alert_id, number=number, moment=moment.value, way=way, state="due", due_at=now, created_at=now
            )
        )


async def _withdraw(conn: AsyncConnection, alert_id: int) -> None:
    rows = alert_notices.c
    waiting = (rows.alert_id == alert_id, rows.state == "due", rows.way != "prefect")
    await conn.execute(update(alert_notices).where(*waiting).values(state="withdrawn"))


async def _set(conn: AsyncConnection, notice: AlertNotice, **values: object) -> None:
    await conn.execute(update(alert_notices).where(alert_notices.c.id == notice.id).values(**values))


async def _notices(conn: AsyncConnection, *filters: Any, limit: int = 1_000) -> list[AlertNotice]:
    rows = alert_notices.c
    named = {f"of_{column.name}": column for column in alerts.c}
    query = (
        select(alert_notices, *(column.label(name) for name, column in named.items()))
        .join(alerts, alerts.c.id == rows.alert_id)
        .where(*filters)
        .order_by(rows.way != "prefect", rows.id)
        .limit(limit)
    )
    return [
        AlertNotice(
            row.id,
            _alert(row, "of_"),
            row.number,
            Moment(row.moment),
            row.way,
            row.state,
            row.attempts,
            row.last_error,
            row.relied,
            row.created_at,
            row.sent_at,
            row.sent_by,
        )
        for row in await conn.execute(query)
    ]


def _alert(row: Row[Any], prefix: str = "") -> Alert:
    values = {name: getattr(row, f"{prefix}{name}") for name in Alert.__slots__}
    return Alert(**values | {"severity": Severity(values["severity"])})
