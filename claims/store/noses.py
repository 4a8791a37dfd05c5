"""Enrolled nose templates of pets; the content of a template is known to `vision.nose` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime

from sqlalchemy import case, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import NotFound
from claims.store import audit
from claims.store.tables import nose_hits, nose_templates, pets


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A stored template. template, sketch: bytes of `vision.nose`, encrypted; model: name and version of what made
    it."""

    photo_sha256: str
    template: bytes
    model: str
    sketch: bytes = b""


@dataclass(frozen=True, slots=True)
class StoredSketch:
    """The part of a template that is searched. template: only where the row has no sketch, to make it from; else
    empty."""

    id: int
    pet_id: str
    sketch: bytes
    template: bytes


@dataclass(frozen=True, slots=True)
class NoseHit:
    """A pet whose enrolled nose resembles another pet's (`nose_enrolled_elsewhere`). score: fused; score_min: what so
    many pets ask for; fitted_on: on what that rests, in words."""

    pet_id: str
    other_pet_id: str
    similarity: float
    inliers: int
    score: float
    score_min: float
    pets_searched: int
    fitted_on: str


@dataclass(frozen=True, slots=True)
class Pet:
    id: str
    claimant_id: str
    name: str
    species: str
    templates: int
    born_on: date | None = None


async def pet(conn: AsyncConnection, pet_id: str, claimant_id: str | None = None) -> Pet:
    """Return the pet. Raises NotFound, also when the pet is not `claimant_id`'s."""
    query = select(pets).where(pets.c.id == pet_id)
    if claimant_id is not None:
        query = query.where(pets.c.claimant_id == claimant_id)
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound(f"no pet {pet_id}")
    templates = await list_templates(conn, pet_id)
    return Pet(row.id, row.claimant_id, row.name, row.species, len(templates), row.born_on)


async def replace_templates(
    conn: AsyncConnection, pet_id: str, templates: Sequence[StoredTemplate], now: datetime, *, actor: str
) -> None:
    """Replace the pet's old enrolment by a new one. Raises NotFound for an unknown pet."""
    known = await conn.execute(select(pets.c.id).where(pets.c.id == pet_id).with_for_update(key_share=True))
    if known.first() is None:
        raise NotFound(f"no pet {pet_id}")
    await conn.execute(delete(nose_templates).where(nose_templates.c.pet_id == pet_id))
    if templates:
        await conn.execute(
            insert(nose_templates),
            [
                {
                    "pet_id": pet_id,
                    "photo_sha256": template.photo_sha256,
                    "template": template.template,
                    "model": template.model,
                    "sketch": template.sketch,
                    "created_at": now,
                }
                for template in templates
            ],
        )
    content = {
        "photos": [template.photo_sha256 for template in templates],
        "models": sorted({template.model for template in templates}),
    }
    await audit.append(conn, actor, "pet.enrolled", pet_id, content, now)


async def list_templates(conn: AsyncConnection, pet_id: str) -> list[StoredTemplate]:
    """Return the pet's enrolment in the order it was made; empty when there is none."""
    rows = await conn.execute(
        select(nose_templates).where(nose_templates.c.pet_id == pet_id).order_by(nose_templates.c.id)
    )
    return [StoredTemplate(row.photo_sha256, row.template, row.model, row.sketch) for row in rows]


async def templates_of(conn: AsyncConnection, pet_ids: Sequence[str]) -> dict[str, list[bytes]]:
    """Return the templates of several pets by pet; pets without any are left out."""
    rows = await conn.execute(
        select(nose_templates.c.pet_id, nose_templates.c.template)
        .where(nose_templates.c.pet_id.in_(pet_ids))
        .order_by(nose_templates.c.id)
    )
    by_pet: dict[str, list[bytes]] = {}
    for row in rows:
        by_pet.setdefault(row.pet_id, []).append(row.template)
    return by_pet


async def new_sketches(conn: AsyncConnection, after: int, known: Sequence[int], limit: int) -> list[StoredSketch]:
    """Return sketches of templates with an id above `after` and not in `known`, lowest first, at most `limit`.

    Ids are given out before they are committed: the caller keeps `after` behind the highest it knows, and names those
    it knows above it.
    """
    empty = func.octet_length(nose_templates.c.sketch) == 0
    rows = await conn.execute(
        select(
            nose_templates.c.id,
            nose_templates.c.pet_id,
            nose_templates.c.sketch,
            case((empty, nose_templates.c.template), else_=b"").label("template"),
        )
        .where(nose_templates.c.id > after, nose_templates.c.id.not_in(known))
        .order_by(nose_templates.c.id)
        .limit(limit)
    )
    return [StoredSketch(row.id, row.pet_id, row.sketch, row.template) for row in rows]


async def record_hits(conn: AsyncConnection, pet_id: str, hits: Sequence[NoseHit], now: datetime) -> None:
    """Replace the hits of the pet's last enrolment by these."""
    await conn.execute(delete(nose_hits).where(nose_hits.c.pet_id == pet_id))
    if hits:
        await conn.execute(insert(nose_hits), [{**asdict(hit), "at": now} for hit in hits])


async def list_hits(conn: AsyncConnection, pet_id: str | None = None, limit: int = 1000) -> list[NoseHit]:
    """Return the hits in which the pet is one of the two, or the newest of all pets, strongest first."""
    query = select(nose_hits)
    if pet_id is not None:
        query = query.where((nose_hits.c.pet_id == pet_id) | (nose_hits.c.other_pet_id == pet_id))
    rows = (await conn.execute(query.order_by(nose_hits.c.at.desc(), nose_hits.c.score.desc()).limit(limit))).all()
    hits = [NoseHit(**{column.name: getattr(row, column.name) for column in fields(NoseHit)}) for row in rows]
    return sorted(hits, key=lambda hit: -hit.score)
