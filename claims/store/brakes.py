"""Brakes: work that people hold, or limit to so many at once, by name, whatever Prefect shows of it.

    adjudicate, ocr, settle (also called bank), refer, enrol, learn, product:<key>, insurer:<key>

The names' meaning is `claims.store.gates.behind`, and in words docs/operating.md. Whoever pulls or lets go of a brake
is named in the audit chain. The last change wins, wherever it was made: by command or in Prefect
(`flows.operations.brakes`), of whose pauses and limits the table `prefect_controls` keeps what was last seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.catalogue import load_catalogue
from claims.errors import InvalidBrake, UnknownBrake
from claims.store import audit, gates
from claims.store.gates import INSURER, PRODUCT, WorkQueue
from claims.store.tables import brakes as rows
from claims.store.tables import prefect_controls

Source = Literal["command", "prefect", "page"]
FLOWS: Final = ("adjudicate", "settle", "refer", "enrol", "learn")
ALIASES: Final[Mapping[str, str]] = {"bank": "settle"}
REASON_CHARACTERS_MAX: Final = 200
AT_ONCE_MAX: Final = 2**31 - 1  # the column's
_LOCK: Final = 0x6272616B


@dataclass(frozen=True, slots=True)
class Brake:
    """A brake as it stands. at_once_max: None for free, 0 for held, else how many at once over all processes."""

    name: str
    at_once_max: int | None
    source: Source
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WaitingBehind:
    """Work that is due and waits while its brake is pulled, by queue."""

    by_queue: Mapping[WorkQueue, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.by_queue.values())


@dataclass(frozen=True, slots=True)
class NotedControl:
    """A pause or limit as it was last seen or set in Prefect."""

    prefect_id: str
    at_once_max: int | None
    updated_at: datetime


def names() -> tuple[str, ...]:
    """Return every name that work can be held by, aliases aside."""
    catalogue = load_catalogue()
    insurers = sorted({product.partner for product in catalogue.values()})
    return (
        "adjudicate", "ocr", "settle", "refer", "enrol", "learn",
        *(f"{PRODUCT}{key}" for key in catalogue), *(f"{INSURER}{key}" for key in insurers),
    )  # fmt: skip


def named(name: str) -> str:
    """Return the name itself, or the one that it is another word for. Raises UnknownBrake with the names there are."""
    known = names()
    meant = ALIASES.get(name, name)
    if meant not in known:
        raise UnknownBrake(f"no work is called {name!r}: {', '.join((*known, *ALIASES))}")
    return meant


async def put(
    conn: AsyncConnection,
    name: str,
    at_once_max: int | None,
    now: datetime,
    *,
    source: Source,
    actor: str,
    reason: str = "",
) -> bool:
    """Hold work (0), limit it to `at_once_max` at once, or let it go (None). Returns False where it was so already and
    nothing was changed. Raises InvalidBrake, UnknownBrake."""
    name = named(name)
    if at_once_max is not None and not 0 <= at_once_max <= AT_ONCE_MAX:
        raise InvalidBrake(f"{at_once_max} at once: 0 holds the work, and more than {AT_ONCE_MAX} cannot be kept")
    if len(reason) > REASON_CHARACTERS_MAX:
        raise InvalidBrake(f"a reason has at most {REASON_CHARACTERS_MAX} characters, this one {len(reason)}")
    await lock(conn)
    before = await get(conn, name)
    if at_once_max == (None if before is None else before.at_once_max):
        return False
    values = {"at_once_max": at_once_max, "source": source, "actor": actor, "reason": reason, "at": now}
    await conn.execute(
        insert(rows).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )
    content = {
        "at_once_max": at_once_max,
        "before": None if before is None else before.at_once_max,
        "source": source,
        "reason": reason,
    }
    if at_once_max is None:
        await audit.append(conn, actor, "brake.released", name, content, now)
    else:
        await audit.append(conn, actor, "brake.set", name, content, now)
    return True


async def lock(conn: AsyncConnection) -> None:
    """Keep everybody else from changing a brake until the transaction ends."""
    await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def get(conn: AsyncConnection, name: str) -> Brake | None:
    """Return a brake, None where nobody ever pulled it."""
    row = (await conn.execute(select(rows).where(rows.c.name == name))).first()
    return None if row is None else Brake(row.name, row.at_once_max, row.source, row.actor, row.reason, row.at)


async def by_name(conn: AsyncConnection) -> dict[str, Brake]:
    """Return every brake that was ever pulled, those let go included."""
    listed = await conn.execute(select(rows).order_by(rows.c.name))
    return {row.name: Brake(row.name, row.at_once_max, row.source, row.actor, row.reason, row.at) for row in listed}


async def pulled(conn: AsyncConnection) -> list[Brake]:
    """Return the brakes that hold or limit something now, the longest pulled first."""
    every = (await by_name(conn)).values()
    return sorted((brake for brake in every if brake.at_once_max is not None), key=lambda brake: (brake.at, brake.name))


async def waiting(conn: AsyncConnection, held: Sequence[Brake], now: datetime) -> dict[str, WaitingBehind]:
    """Count what is due and waits behind each of these brakes, by name. One piece of work may wait behind several."""
    counted: dict[str, WaitingBehind] = {}
    for brake in held:
        by_queue: dict[WorkQueue, int] = {}
        for queue in gates.QUEUES:
            condition = gates.behind(brake.name, queue)
            if condition is None:
                continue
            columns = gates.table_of(queue).c
            free = or_(columns.state == "due", and_(columns.state == "leased", columns.leased_until < now))
            query = (
                select(func.count())
                .select_from(gates.table_of(queue))
                .where(gates.rows_of(queue), free, columns.due_at <= now, condition)
            )
            by_queue[queue] = int((await conn.execute(query)).scalar_one())
        counted[brake.name] = WaitingBehind(by_queue)
    return counted


async def noted_controls(conn: AsyncConnection) -> dict[str, NotedControl]:
    """Return what was last seen or set in Prefect, by control."""
    listed = await conn.execute(select(prefect_controls))
    return {row.control: NotedControl(row.prefect_id, row.at_once_max, row.updated_at) for row in listed}


async def note_control(conn: AsyncConnection, control: str, shown: NotedControl) -> None:
    """Keep what Prefect shows, or was just told, of one control."""
    values = {"prefect_id": shown.prefect_id, "at_once_max": shown.at_once_max, "updated_at": shown.updated_at}
    await conn.execute(
        insert(prefect_controls)
        .values(control=control, **values)
        .on_conflict_do_update(index_elements=["control"], set_=values)
    )
