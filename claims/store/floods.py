"""Floods: pictures that suddenly match many claims, looked at by a person once.

A worker reports each proven copy with `sight`; past the limit a flood opens. A claim that nothing else brings before a
person is held for it. `rule` records a person's one ruling on all of them, and the worker that learns from it lets the
claims go (`let_go`), a few at a time: killed in between, it goes on where it stopped.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Status
from claims.errors import FloodRuled, NotFound, RuledAlready
from claims.floods import FloodLimits
from claims.store import audit, outbox, queue, referrals, statuses
from claims.store.tables import claims, flood_claims, floods, photo_sightings
from claims.store.tables import referrals as referral_rows

FloodRuling = Literal["common", "copies"]
ACTOR: Final = "flow:learn"
_LOCK: Final = 0x666C6F64
_FLOODS: Final = uuid.UUID("9d6b1f58-3b6f-5c0e-8f1c-6a1f8f0f0b3d")


@dataclass(frozen=True, slots=True)
class Flood:
    """A flood. claims_held: claims that wait for this flood alone; claims_seen: all whose photos matched one
    another."""

    id: str
    cluster_id: str
    state: str  # open, ruled
    opened_at: datetime
    ruling: str  # "", common, copies
    note: str
    ruled_by: str
    ruled_at: datetime | None
    claims_seen: int
    claims_held: int


@dataclass(frozen=True, slots=True)
class SightedPicture:
    """A picture of the library; `claim_id` is "" for web and stock, and where the claim is not known here."""

    photo_id: str
    claim_id: str
    preview_sha256: str


@dataclass(frozen=True, slots=True)
class Sighted:
    """A picture of a flood. matched: it was found to be a copy, rather than an original of one."""

    picture: SightedPicture
    matched: bool
    seen_at: datetime


async def sight(
    conn: AsyncConnection,
    photo: SightedPicture,
    copies_of: Sequence[SightedPicture],
    now: datetime,
    limits: FloodLimits,
) -> str:
    """Record that a claim's photo is a proven copy of these pictures. Returns the open flood that it belongs to, "" for
    none.

    Publishes the sighting and counts the claims of its cluster in one step: of workers that report copies of one
    picture at the same moment one opens the flood and the others find it. Again for the same photo changes nothing.
    """
    if not copies_of:
        return ""
    await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    cluster = await _cluster(
        conn, [photo.photo_id, *(copied.photo_id for copied in copies_of)], fresh=copies_of[0].photo_id
    )
    known = insert(photo_sightings).on_conflict_do_nothing(index_elements=["photo_id"])
    await conn.execute(known, [_row(copied, cluster, now, matched=False) for copied in copies_of])
    mine = _row(photo, cluster, now, matched=True)
    # The time of its first match stays: a claim that is decided again does not count as new.
    fresh = {"cluster_id": cluster, "matched": True}
    await conn.execute(
        insert(photo_sightings)
        .values(**mine)
        .on_conflict_do_update(
            index_elements=["photo_id"],
            set_=fresh | {"seen_at": case((photo_sightings.c.matched, photo_sightings.c.seen_at), else_=now)},
        )
    )
    newest = (
        await conn.execute(
            select(floods).where(floods.c.cluster_id == cluster).order_by(floods.c.opened_at.desc()).limit(1)
        )
    ).first()
    if newest is not None and newest.state == "open":
        return str(newest.id)
    if newest is not None and newest.ruling == "copies":
        return ""  # a person has ruled on these: each further claim is a case of its own
    since = now - timedelta(hours=limits.window_hours)
    if newest is not None:
        since = max(since, newest.ruled_at)
    counted = await conn.execute(
        select(func.count(photo_sightings.c.claim_id.distinct())).where(
            photo_sightings.c.cluster_id == cluster, photo_sightings.c.matched, photo_sightings.c.seen_at > since
        )
    )
    if counted.scalar_one() <= limits.claims_max:
        return ""
    return await _open(conn, cluster, newest.id if newest is not None else "", now)


async def hold(conn: AsyncConnection, flood_ids: Sequence[str]) -> tuple[str, ...]:
    """Keep these floods from being ruled on until the transaction ends. Raises FloodRuled when one has been."""
    if not flood_ids:
        return ()
    rows = await conn.execute(
        select(floods.c.id, floods.c.state)
        .where(floods.c.id.in_(flood_ids))
        .order_by(floods.c.id)
        .with_for_update(read=True)
    )
    states = {row.id: row.state for row in rows}
    ruled = [flood_id for flood_id in flood_ids if states.get(flood_id) != "open"]
    if ruled:
        raise FloodRuled(f"flood {', '.join(ruled)} was ruled on meanwhile")
    return tuple(flood_ids)


async def join(conn: AsyncConnection, flood_ids: Sequence[str], claim_id: str, referral_id: str, now: datetime) -> None:
    """Make the claim wait for these floods, which `hold` holds."""
    values = {"referral_id": referral_id, "state": "held", "held_at": now, "ended_at": None}
    for flood_id in flood_ids:
        await conn.execute(
            insert(flood_claims)
            .values(flood_id=flood_id, claim_id=claim_id, **values)
            .on_conflict_do_update(index_elements=["flood_id", "claim_id"], set_=values)
        )


async def get(conn: AsyncConnection, flood_id: str) -> Flood:
    """Return the flood. Raises NotFound."""
    row = (await conn.execute(_flood_query().where(floods.c.id == flood_id))).first()
    if row is None:
        raise NotFound(f"no flood {flood_id}")
    return _flood(row)


async def list_floods(conn: AsyncConnection, *, state: str = "open", limit: int = 50) -> list[Flood]:
    """Return the floods in that state, the oldest open one or the newest ruled one first."""
    order = floods.c.opened_at if state == "open" else floods.c.ruled_at.desc()
    query = _flood_query().where(floods.c.state == state).order_by(order, floods.c.id).limit(limit)
    return [_flood(row) for row in await conn.execute(query)]


async def pictures(conn: AsyncConnection, flood_id: str, limit: int = 12) -> list[Sighted]:
    """Return the pictures of the flood's cluster, originals first. Raises NotFound."""
    flood = await get(conn, flood_id)
    rows = await conn.execute(
        select(photo_sightings)
        .where(photo_sightings.c.cluster_id == flood.cluster_id)
        .order_by(photo_sightings.c.matched, photo_sightings.c.seen_at, photo_sightings.c.photo_id)
        .limit(limit)
    )
    return [
        Sighted(SightedPicture(row.photo_id, row.claim_id or "", row.preview_sha256), row.matched, row.seen_at)
        for row in rows
    ]


async def picture(conn: AsyncConnection, flood_id: str, photo_id: str) -> SightedPicture:
    """Return one picture of the flood. Raises NotFound, also for a picture that is not in it."""
    flood = await get(conn, flood_id)
    row = (
        await conn.execute(
            select(photo_sightings).where(
                photo_sightings.c.cluster_id == flood.cluster_id, photo_sightings.c.photo_id == photo_id
            )
        )
    ).first()
    if row is None:
        raise NotFound(f"flood {flood_id} has no picture {photo_id!r}")
    return SightedPicture(row.photo_id, row.claim_id or "", row.preview_sha256)


async def rule(
    conn: AsyncConnection, flood_id: str, ruling: FloodRuling, note: str, now: datetime, *, actor: str
) -> Flood:
    """Record a person's ruling on all claims of the flood; a worker carries it out. Raises NotFound, RuledAlready."""
    row = (await conn.execute(select(floods).where(floods.c.id == flood_id).with_for_update())).first()
    if row is None:
        raise NotFound(f"no flood {flood_id}")
    if row.state != "open":
        raise RuledAlready(f"flood {flood_id} was ruled on by {row.ruled_by}: {row.ruling}")
    await conn.execute(
        update(floods)
        .where(floods.c.id == flood_id)
        .values(state="ruled", ruling=ruling, note=note, ruled_by=actor, ruled_at=now)
    )
    await outbox.put(conn, "learn", flood_id, {"kind": "flood", "flood_id": flood_id, "ruling": ruling}, now)
    await audit.append(conn, actor, "flood.ruled", flood_id, {"ruling": ruling, "note": note}, now)
    return await get(conn, flood_id)


async def let_go(conn: AsyncConnection, flood_id: str, now: datetime, *, limit: int = 20) -> int:
    """Carry the ruling out on up to `limit` claims that still wait for it; 0 when none is left.

    common: back to the queue, decided anew. copies: before a person like any other. A claim that somebody is judging
    at this moment stays with them. Raises NotFound.
    """
    flood = await get(conn, flood_id)
    waiting = await conn.execute(
        select(flood_claims.c.claim_id, flood_claims.c.referral_id)
        .where(flood_claims.c.flood_id == flood_id, flood_claims.c.state == "held")
        .order_by(flood_claims.c.claim_id)
        .limit(limit)
    )
    rows = waiting.all()
    for row in rows:
        ended = await _end(conn, flood, row.claim_id, row.referral_id, now)
        await conn.execute(
            update(flood_claims)
            .where(
                flood_claims.c.flood_id == flood_id,
                flood_claims.c.claim_id == row.claim_id,
                flood_claims.c.state == "held",  # unless another process was faster
            )
            .values(state=ended, ended_at=now)
        )
    return len(rows)


async def counted(conn: AsyncConnection) -> Mapping[str, int]:
    """Return two counts. open: floods that wait for a person; held: claims that wait for one of them."""
    waiting = await conn.execute(select(func.count()).where(floods.c.state == "open"))
    held = await conn.execute(
        select(func.count(flood_claims.c.claim_id.distinct())).where(flood_claims.c.state == "held")
    )
    return {"open": waiting.scalar_one(), "held": held.scalar_one()}


async def _end(conn: AsyncConnection, flood: Flood, claim_id: str, referral_id: str, now: datetime) -> str:
    """End one held claim's wait. Returns what became of it."""
    status, round_number = await statuses.lock(conn, claim_id)
    referral = (
        await conn.execute(select(referral_rows).where(referral_rows.c.id == referral_id).with_for_update())
    ).first()
    if status is not Status.REFERRED or referral is None or referral.state not in referrals.OPEN:
        return "over"
    others = await conn.execute(
        select(func.count())
        .join(floods, floods.c.id == flood_claims.c.flood_id)
        .where(flood_claims.c.claim_id == claim_id, flood_claims.c.state == "held", floods.c.state == "open")
    )
    judged = referral.assigned_until is not None and referral.assigned_until > now
    if flood.ruling != "common" or judged:
        await referrals.hand_on(conn, referral_id, now)
        return "kept"
    if others.scalar_one():
        return "over"  # it waits for another flood as well, whose ruling lets it go
    await referrals.close_of_claim(conn, claim_id, now)
    note = f"flood {flood.id}: {flood.ruling}"
    await statuses.move(conn, claim_id, status, Status.SUBMITTED, actor=ACTOR, note=note, now=now)
    await conn.execute(update(claims).where(claims.c.id == claim_id).values(round=round_number + 1, touched=True))
    await queue.put(conn, claim_id, round_number + 1, now)
    content = {"flood_id": flood.id, "ruling": flood.ruling, "round": round_number + 1}
    await audit.append(conn, ACTOR, "claim.released", claim_id, content, now)
    return "released"


async def _cluster(conn: AsyncConnection, photo_ids: Sequence[str], fresh: str) -> str:
    """Return the cluster that these pictures belong to, merging those that they join.

    Two clusters that each have an open flood stay apart: a person is asked about each already.
    """
    rows = await conn.execute(
        select(photo_sightings.c.cluster_id, floods.c.opened_at)
        .distinct()
        .outerjoin(floods, (floods.c.cluster_id == photo_sightings.c.cluster_id) & (floods.c.state == "open"))
        .where(photo_sightings.c.photo_id.in_(photo_ids))
    )
    opened_at = {str(row.cluster_id): row.opened_at for row in rows}
    if not opened_at:
        return fresh
    flooded = sorted((at, cluster_id) for cluster_id, at in opened_at.items() if at is not None)
    kept = flooded[0][1] if flooded else min(opened_at)
    merged = [cluster_id for cluster_id, at in opened_at.items() if cluster_id != kept and at is None]
    if merged:
        for table in (photo_sightings, floods):
            await conn.execute(update(table).where(table.c.cluster_id.in_(merged)).values(cluster_id=kept))
    return kept


async def _open(conn: AsyncConnection, cluster: str, after: str, now: datetime) -> str:
    flood_id = f"F-{uuid.uuid5(_FLOODS, f'{cluster}:{after}').hex[:20]}"
    await conn.execute(
        insert(floods)
        .values(id=flood_id, cluster_id=cluster, state="open", opened_at=now)
        .on_conflict_do_nothing(index_elements=["id"])
    )
    await audit.append(conn, "flow:adjudicate", "flood.opened", flood_id, {"cluster_id": cluster}, now)
    return flood_id


def _row(sighted: SightedPicture, cluster: str, now: datetime, *, matched: bool) -> dict[str, object]:
    return {
        "photo_id": sighted.photo_id,
        "cluster_id": cluster,
        "claim_id": sighted.claim_id or None,
        "matched": matched,
        "preview_sha256": sighted.preview_sha256,
        "seen_at": now,
    }


def _flood_query() -> Any:
    claims_seen = (
        select(func.count(photo_sightings.c.claim_id.distinct()))
        .where(photo_sightings.c.cluster_id == floods.c.cluster_id, photo_sightings.c.matched)
        .scalar_subquery()
    )
    held = (
        select(func.count())
        .where(flood_claims.c.flood_id == floods.c.id, flood_claims.c.state == "held")
        .scalar_subquery()
    )
    return select(floods, claims_seen.label("claims_seen"), held.label("claims_held"))


def _flood(row: Row[Any]) -> Flood:
    return Flood(**{name: getattr(row, name) for name in Flood.__slots__})
