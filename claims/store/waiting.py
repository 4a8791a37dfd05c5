"""The queue: claims that wait for a person, filtered, counted and paged by the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.store.referrals import OPEN, Cause
from claims.store.tables import claims, referrals

Holder = Literal["", "free", "mine", "free_or_mine"]
_GROUPS: Final = ("product", "cause", "partner")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter of waiting cases. "" is any; partner: None for every partner's. cause `flood` selects those that wait
    for a flood, which are left out otherwise. holder: `free`, those that nobody is judging; `mine`, those that `me` is;
    or both."""

    partner: str | None = None
    product: str = ""
    cause: Cause | Literal[""] = ""
    holder: Holder = ""
    me: str = ""

    def conditions(self, now: datetime) -> tuple[ColumnElement[bool], ...]:
        made: list[ColumnElement[bool]] = [referrals.c.state.in_(OPEN)]
        made.append(referrals.c.cause == self.cause if self.cause else referrals.c.cause != "flood")
        if self.partner is not None:
            made.append(referrals.c.partner == self.partner)
        if self.product:
            made.append(claims.c.product == self.product)
        if self.holder:
            held = {"free": (_free(now),), "mine": (self.mine(now),), "free_or_mine": (_free(now), self.mine(now))}
            made.append(or_(*held[self.holder]))
        return tuple(made)

    def mine(self, now: datetime) -> ColumnElement[bool]:
        return and_(referrals.c.assigned_to == self.me, referrals.c.assigned_until >= now)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of the waiting cases that the viewer may see, whatever else is filtered by; by_*: how many of each. Those
    that wait for a flood count in by_cause alone, or where they are asked for. fitting: how many the filter leaves."""

    total: int
    overdue: int
    free: int
    mine: int
    fitting: int
    by_product: Mapping[str, int]
    by_cause: Mapping[str, int]
    by_partner: Mapping[str, int]


async def ids(
    conn: AsyncConnection,
    wanted: Wanted,
    now: datetime,
    *,
    limit: int,
    offset: int = 0,
    after: tuple[datetime, str] | None = None,
) -> list[str]:
    """Return the ids of the referrals, the most urgent first. after: time due and id of the last one of the page
    before, for whoever walks through all of them while cases come and go."""
    query = (
        select(referrals.c.id)
        .join(claims, claims.c.id == referrals.c.claim_id)
        .where(*wanted.conditions(now))
        .order_by(referrals.c.due_at, referrals.c.id)
    )
    if after is not None:
        query = query.where(tuple_(referrals.c.due_at, referrals.c.id) > after)
    return list((await conn.execute(query.limit(limit).offset(offset))).scalars())


async def counts(conn: AsyncConnection, wanted: Wanted, now: datetime) -> Counts:
    """Count the waiting cases, in one query over the open ones."""
    theirs: list[ColumnElement[bool]] = [referrals.c.state.in_(OPEN)]
    if wanted.partner is not None:
        theirs.append(referrals.c.partner == wanted.partner)
    ordinary = referrals.c.cause != "flood"
    columns = {"product": claims.c.product, "cause": referrals.c.cause, "partner": referrals.c.partner}
    rows = await conn.execute(
        select(
            *columns.values(),
            func.count().label("all"),
            func.count().filter(ordinary).label("ordinary"),
            func.count().filter(ordinary, referrals.c.due_at < now).label("overdue"),
            func.count().filter(ordinary, _free(now)).label("free"),
            func.count().filter(ordinary, wanted.mine(now)).label("mine"),
            func.count().filter(*wanted.conditions(now)).label("fitting"),
        )
        .join(claims, claims.c.id == referrals.c.claim_id)
        .where(*theirs)
        .group_by(*columns.values())
    )
    total = dict.fromkeys(("ordinary", "overdue", "free", "mine", "fitting"), 0)
    by: dict[str, dict[str, int]] = {name: {} for name in _GROUPS}
    for row in rows:
        for name in total:
            total[name] += getattr(row, name)
        for name in _GROUPS:
            counted = row.all if name == "cause" or wanted.cause == "flood" else row.ordinary
            key = getattr(row, name)
            by[name][key] = by[name].get(key, 0) + counted
    return Counts(
        total["ordinary"],
        total["overdue"],
        total["free"],
        total["mine"],
        total["fitting"],
        *(_ordered(by[name]) for name in _GROUPS),
    )


def _ordered(counted: Mapping[str, int]) -> dict[str, int]:
    return {key: counted[key] for key in sorted(counted) if counted[key]}


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(referrals.c.assigned_to == "", referrals.c.assigned_until.is_(None), referrals.c.assigned_until < now)


def holder(assigned_to: str, assigned_until: Any, now: datetime) -> str:
    """Return who is judging the case now, "" for nobody: the condition of the query, applied to a row."""
    return "" if assigned_until is None or assigned_until < now else assigned_to
