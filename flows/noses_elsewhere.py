"""Looks whether a pet that was just enrolled is enrolled under another name already: at enrolment, and so for the
replacement of a pet that died. A hit is a fact for a person (`nose_enrolled_elsewhere`); it refuses nothing by
itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.store import noses
from claims.store.noses import NoseHit, StoredSketch
from flows.queues import utc_now
from flows.vision_pool import VisionPool
from vision.errors import TemplateUnreadable
from vision.nose import NoseTemplate
from vision.nose.search import NoseFoundElsewhere, NoseIndex

log = structlog.get_logger(__name__)
_ROWS_AT_ONCE = 5_000
# Ids are given out before their rows are committed; an enrolment that stays open while so many others are committed
# would be overlooked until the worker starts anew.
_LATE_ROWS_MAX = 2_000


class KnownNoses:
    """The sketches of all enrolled noses in one worker's memory, as new as the last look. Loaded at the first look;
    pets that were enrolled anew or are gone stay in it and are left out when their templates are read."""

    def __init__(self, engine: AsyncEngine, vision: VisionPool) -> None:
        self._engine = engine
        self._vision = vision
        self._index = NoseIndex()
        self._ids: set[int] = set()
        self._newest = 0
        self._refreshing = asyncio.Lock()

    async def look(self, pet_id: str, templates: Sequence[NoseTemplate]) -> list[NoseHit]:
        """Search for the pet's templates, which are committed already, and record the hits in place of earlier ones.

        Committed first, searched then: of two pets with one nose that are enrolled at once, one meets the other.
        """
        await self._refresh()
        best: dict[str, NoseFoundElsewhere] = {}
        for template in templates:
            for hit in await self._search(pet_id, template):
                if hit.pet_id not in best or best[hit.pet_id].score < hit.score:
                    best[hit.pet_id] = hit
        pets = self._index.pets
        hits = [_hit(pet_id, hit, pets) for hit in sorted(best.values(), key=lambda hit: -hit.score)]
        async with self._engine.begin() as conn:
            await noses.record_hits(conn, pet_id, hits, utc_now())
        if hits:
            log.warning("nose_enrolled_elsewhere", pet=pet_id, others=[hit.other_pet_id for hit in hits])
        return hits

    async def _search(self, pet_id: str, template: NoseTemplate) -> list[NoseFoundElsewhere]:
        pets = await asyncio.to_thread(self._index.nearest, template, apart_from=pet_id)
        async with self._engine.connect() as conn:
            stored = await noses.templates_of(conn, pets)
        return await asyncio.to_thread(self._compare, template, stored)

    def _compare(self, template: NoseTemplate, stored: Mapping[str, Sequence[bytes]]) -> list[NoseFoundElsewhere]:
        opened = {pet: self._opened(pet, rows) for pet, rows in stored.items()}
        return self._vision.strong_hits(template, opened, self._index)

    def _opened(self, pet_id: str, rows: Sequence[bytes]) -> list[NoseTemplate]:
        templates = []
        for row in rows:
            try:
                templates.append(self._vision.open_nose(row, pet_id))
            except TemplateUnreadable as error:
                log.error("an enrolled nose cannot be searched", pet=pet_id, error=error)
        return templates

    async def _refresh(self) -> None:
        async with self._refreshing:
            while True:
                after = max(0, self._newest - _LATE_ROWS_MAX)
                async with self._engine.connect() as conn:
                    rows = await self._new_rows(conn, after)
                if not rows:
                    return
                await asyncio.to_thread(self._add, rows)
                self._ids.update(row.id for row in rows)
                self._newest = max(self._newest, rows[-1].id)
                self._ids = {known for known in self._ids if known > self._newest - _LATE_ROWS_MAX}

    async def _new_rows(self, conn: AsyncConnection, after: int) -> list[StoredSketch]:
        known = [number for number in self._ids if number > after]
        return await noses.new_sketches(conn, after, known, _ROWS_AT_ONCE)

    def _add(self, rows: Sequence[StoredSketch]) -> None:
        pets, sketches = [], []
        for row in rows:
            try:
                sketches.append(self._vision.open_sketch(row))
            except TemplateUnreadable as error:
                log.error("an enrolled nose cannot be searched", pet=row.pet_id, error=error)
                continue
            pets.append(row.pet_id)
        self._index.add(pets, sketches)


def _hit(pet_id: str, hit: NoseFoundElsewhere, pets: int) -> NoseHit:
    comparison = hit.comparison
    return NoseHit(
        pet_id=pet_id,
        other_pet_id=hit.pet_id,
        similarity=comparison.similarity,
        inliers=comparison.inliers,
        score=hit.score,
        score_min=hit.score_min,
        pets_searched=pets,
        fitted_on=comparison.fitted_on,
    )
