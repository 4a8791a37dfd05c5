"""Enrolled nose templates of pets; the content of a template is known to `vision.nose` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.errors import NotFound
from claims.store import audit
from claims.store.tables import nose_templates, pets


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A stored template. template: bytes of `vision.nose`; model: name and version of what made it."""

    photo_sha256: str
    template: bytes
    model: str


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
    return [StoredTemplate(row.photo_sha256, row.template, row.model) for row in rows]
