"""Enrols pets' noses: turns photos from the outbox into templates, or into words on what is wrong with the photos."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import noses, outbox
from claims.store.noses import StoredTemplate
from claims.store.outbox import Message
from flows.noses_elsewhere import KnownNoses
from flows.queues import utc_now
from flows.vision_pool import Stopwatch, VisionPool
from vision.errors import ImageRefused
from vision.measurement import Unmeasured
from vision.nose import NoseTemplate, check_enrolment

ACTOR = "flow:enrol"


@dataclass(frozen=True, slots=True)
class Enrolling:
    """Enrols one pet at a time."""

    engine: AsyncEngine
    vision: VisionPool
    known: KnownNoses

    async def enrol(self, message: Message) -> tuple[str, str]:
        """Returns ("enrolled", how many templates) or ("refused", how many problems).

        A bad photo does not spoil the others: what is left must make an enrolment by itself. A refused enrolment leaves
        the pet's old templates as they are; the message is set aside with the words, which the API shows.
        """
        pet_id = str(message.payload["pet_id"])
        photos = [str(sha256) for sha256 in message.payload["sha256s"]]
        usable, problems = await self._read(photos)
        templates = [template for _, template in usable]
        against = await asyncio.to_thread(check_enrolment, templates, [sha256 for sha256, _ in usable])
        if against:
            words = "; ".join([*problems, *against])
            async with self.engine.begin() as conn:
                await outbox.fail(conn, message, words, utc_now(), dead=True)
            # A decoder's words may quote the file: they are for the pet's owner, and not for a flow run's table.
            return "refused", f"{len(problems) + len(against)} problems"
        stored = [
            StoredTemplate(
                sha256,
                self.vision.seal_nose(template, pet_id),
                template.model,
                self.vision.seal_sketch(template, pet_id),
            )
            for sha256, template in usable
        ]
        async with self.engine.begin() as conn:
            await noses.replace_templates(conn, pet_id, stored, utc_now(), actor=ACTOR)
        await self.known.look(pet_id, templates)
        async with self.engine.begin() as conn:
            await outbox.finish(conn, message, utc_now())
        return "enrolled", f"{len(stored)} templates"

    async def _read(self, photos: list[str]) -> tuple[list[tuple[str, NoseTemplate]], list[str]]:
        """Returns the template of each usable photo, and a sentence on each of the others."""
        watch = Stopwatch()
        noses = await asyncio.gather(*(self.vision.compute(watch, self.vision.nose, sha256) for sha256 in photos))
        usable: list[tuple[str, NoseTemplate]] = []
        problems: list[str] = []
        for number, (sha256, nose) in enumerate(zip(photos, noses, strict=True), start=1):
            if isinstance(nose, ImageRefused):
                problems.append(f"photo {number}: {nose.detail}")
            elif isinstance(nose.template, Unmeasured):
                problems.append(f"photo {number}: {nose.template.reason}")
            elif any(sha256 == other for other, _ in usable):
                problems.append(f"photo {number} is the same file as another; take a new one each time")
            else:
                usable.append((sha256, nose.template))
        return usable, problems
