"""Rulings: what people say about two pictures, kept until it is taken back, and looked up when the two meet again.

A ruling is about the pair, whichever was sent first, and about every file with the same pixels. The pixels' hashes are
known to the photo library alone, so the worker that learns from a ruling (topic `learn`) fills them in.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, and_, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Status
from claims.errors import NotFound, RuledAlready
from claims.events import OtherClaim
from claims.evidence import MatchRuling
from claims.store import audit, outbox, payouts
from claims.store.tables import claims, match_rulings

_RULINGS: Final = uuid.UUID("4b7b5c84-2a5d-5b0a-9a36-64a3a4b1e9d7")


@dataclass(frozen=True, slots=True)
class Ruling:
    """A ruling. photo_id: the claim's photo (its evidence id); match_photo_id: the library's picture. measured:
    probability, inliers, verdict and transform as they were when the person looked."""

    id: str
    claim_id: str
    photo_id: str
    match_photo_id: str
    match_claim_id: str
    ruling: MatchRuling
    note: str
    measured: Mapping[str, Any]
    ruled_by: str
    ruled_at: datetime


async def rule(
    conn: AsyncConnection,
    claim_id: str,
    photo_id: str,
    match_photo_id: str,
    match_claim_id: str,
    ruling: MatchRuling,
    note: str,
    measured: Mapping[str, Any],
    now: datetime,
    *,
    actor: str,
) -> Ruling:
    """Record a person's ruling on two pictures, and have a worker learn from it.

    The caller has checked that the claim's photo was found to match that picture. Raises RuledAlready: of two people at
    once one wins.
    """
    # With the time: after a ruling was taken back, the next on the pair is a new one, and is learnt from anew.
    seed = ":".join((*sorted((photo_id, match_photo_id)), now.isoformat()))
    ruling_id = f"R-{uuid.uuid5(_RULINGS, seed).hex[:20]}"
    made = Ruling(
        ruling_id, claim_id, photo_id, match_photo_id, match_claim_id, ruling, note, dict(measured), actor, now
    )
    fresh = await conn.execute(
        insert(match_rulings)
        .values({name: getattr(made, name) for name in Ruling.__slots__})
        .on_conflict_do_nothing()
        .returning(match_rulings.c.id)
    )
    if fresh.first() is None:
        raise RuledAlready(f"{photo_id} and {match_photo_id} were ruled on before")
    await outbox.put(conn, "learn", ruling_id, {"kind": "pair", "claim_id": claim_id, "ruling_id": ruling_id}, now)
    content = {"photo_id": photo_id, "match_photo_id": match_photo_id, "ruling": ruling, "note": note}
    await audit.append(conn, actor, "match.ruled", claim_id, content, now)
    return made


async def get(conn: AsyncConnection, ruling_id: str) -> Ruling:
    """Return the ruling. Raises NotFound, also when its claim was erased meanwhile."""
    row = (await conn.execute(select(match_rulings).where(match_rulings.c.id == ruling_id))).first()
    if row is None:
        raise NotFound(f"no ruling {ruling_id}")
    return _ruling(row)


async def hold(conn: AsyncConnection, ruling_id: str) -> None:
    """Keep the ruling from being taken back or erased before the transaction ends. Raises NotFound when it already
    was."""
    held = select(match_rulings.c.id).where(match_rulings.c.id == ruling_id).with_for_update(read=True, key_share=True)
    if (await conn.execute(held)).first() is None:
        raise NotFound(f"no ruling {ruling_id}")


async def take_back(
    conn: AsyncConnection, claim_id: str, ruling_id: str, note: str, now: datetime, *, actor: str
) -> Ruling:
    """Take a ruling back, as if it had not been made; the pair may be ruled on anew, and a worker unlearns what came of
    it. Returns it as it was. Decisions that rest on it stay. Raises NotFound, also the second time."""
    mine = (match_rulings.c.id == ruling_id) & (match_rulings.c.claim_id == claim_id)
    row = (await conn.execute(delete(match_rulings).where(mine).returning(match_rulings))).first()
    if row is None:
        raise NotFound(f"claim {claim_id} has no ruling {ruling_id}")
    gone = _ruling(row)
    message = {"kind": "taken_back", "claim_id": claim_id, "ruling_id": ruling_id}
    await outbox.put(conn, "learn", f"{ruling_id}:taken_back", message, now)
    content = {
        "photo_id": gone.photo_id,
        "match_photo_id": gone.match_photo_id,
        "ruling": gone.ruling,
        "ruled_by": gone.ruled_by,
        "ruled_at": gone.ruled_at.isoformat(),
        "note": note,
    }
    await audit.append(conn, actor, "match.ruling_taken_back", claim_id, content, now)
    return gone


async def set_pixels(conn: AsyncConnection, ruling_id: str, photo_pixels: str, match_pixels: str) -> None:
    """Record the hex SHA-256 of the decoded pixels of the two, "" where a picture is no longer in the library."""
    await conn.execute(
        update(match_rulings)
        .where(match_rulings.c.id == ruling_id)
        .values(photo_pixels=photo_pixels, match_pixels=match_pixels)
    )


async def of_photo(
    conn: AsyncConnection, photo_id: str, photo_pixels: str, matches: Mapping[str, str]
) -> dict[str, MatchRuling]:
    """Return the rulings on this photo and each of `matches` (photo id to pixel hash, "" for unknown).

    A pair is found by the two ids, or by the two pictures' pixels; two files of the same pixels are one pair only by
    their ids, since a ruling on one file must not excuse every copy of it. Where people disagree, a confirmed copy
    stays confirmed.
    """
    if not matches:
        return {}
    rows, ids = match_rulings.c, list(matches)
    pixels = sorted(
        {digest for digest in matches.values() if digest and digest != photo_pixels} if photo_pixels else ()
    )
    rulings = await conn.execute(
        select(match_rulings).where(
            or_(
                and_(rows.photo_id == photo_id, rows.match_photo_id.in_(ids)),
                and_(rows.match_photo_id == photo_id, rows.photo_id.in_(ids)),
                and_(rows.photo_pixels == photo_pixels, rows.match_pixels.in_(pixels)),
                and_(rows.match_pixels == photo_pixels, rows.photo_pixels.in_(pixels)),
            )
        )
    )
    ruling_by_match: dict[str, MatchRuling] = {}
    for row in rulings:
        for match_id, match_pixels in matches.items():
            by_id = {row.photo_id, row.match_photo_id} == {photo_id, match_id}
            by_pixels = bool(photo_pixels) and bool(match_pixels) and photo_pixels != match_pixels
            by_pixels = by_pixels and {row.photo_pixels, row.match_pixels} == {photo_pixels, match_pixels}
            if (by_id or by_pixels) and ruling_by_match.get(match_id) is not MatchRuling.CONFIRM:
                ruling_by_match[match_id] = MatchRuling(row.ruling)
    return ruling_by_match


async def of_claim(conn: AsyncConnection, claim_id: str) -> dict[tuple[str, str], Ruling]:
    """Return the rulings on the claim's own matches, by (photo id, match's photo id)."""
    rows = await conn.execute(select(match_rulings).where(match_rulings.c.claim_id == claim_id))
    return {(row.photo_id, row.match_photo_id): _ruling(row) for row in rows}


async def every(conn: AsyncConnection) -> AsyncIterator[Ruling]:
    """Yield all rulings, oldest first, read a page at a time: pairs with what was measured and what a person said, for
    calibration."""
    rows = await conn.stream(select(match_rulings).order_by(match_rulings.c.ruled_at, match_rulings.c.id))
    async for row in rows:
        yield _ruling(row)


async def claims_about(conn: AsyncConnection, claim_id: str) -> frozenset[str]:
    """Return the claims in which somebody ruled on a picture of this claim."""
    rows = await conn.execute(
        select(match_rulings.c.claim_id).where(match_rulings.c.match_claim_id == claim_id).distinct()
    )
    return frozenset(rows.scalars())


async def forget_claim(conn: AsyncConnection, claim_id: str) -> int:
    """Erase every ruling that a picture of this claim is part of; returns how many."""
    mine = or_(match_rulings.c.claim_id == claim_id, match_rulings.c.match_claim_id == claim_id)
    return (await conn.execute(delete(match_rulings).where(mine))).rowcount


async def other_claims(conn: AsyncConnection, claim_ids: Sequence[str]) -> dict[str, OtherClaim]:
    """Return, for each claim that a matching picture belongs to, the facts that say whose the match is. An erased claim
    is missing."""
    if not claim_ids:
        return {}
    rows = await conn.execute(select(claims).where(claims.c.id.in_(claim_ids)))
    paid = await payouts.paid_claims(conn, claim_ids)
    return {
        row.id: OtherClaim(row.id, row.claimant_id, row.policy_id, row.occurred_at, Status(row.status), row.id in paid)
        for row in rows
    }


def _ruling(row: Row[Any]) -> Ruling:
    special: dict[str, Any] = {"ruling": MatchRuling(row.ruling)}
    return Ruling(**special, **{name: getattr(row, name) for name in Ruling.__slots__ if name not in special})
