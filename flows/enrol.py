"""Enrols pets' noses: turns photos from the outbox into templates, or into words on what is wrong with the photos.

The photos are checked as photos of damage are: none may be another one saved again, or a copy of a picture that was
enrolled for another pet, sent with somebody else's claim, or taken from the web.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from claims.judge import signs
from claims.rules import RULES
from claims.store import noses, outbox
from claims.store.noses import StoredTemplate
from claims.store.outbox import Message
from flows import enrolled_photos, evidence, photo_checks
from flows.noses_elsewhere import KnownNoses
from flows.queues import utc_now
from flows.vision_pool import Stopwatch, VisionPool
from vision import library
from vision.errors import ImageRefused
from vision.examine import ExaminedPhoto
from vision.library.memory import Memory
from vision.measurement import Unmeasured
from vision.nose import NoseTemplate, check_enrolment

ACTOR = "flow:enrol"


@dataclass(frozen=True, slots=True)
class UsablePhoto:
    """A photo of which a nose was read. number: its place among those that were sent, from 1."""

    number: int
    photo: ExaminedPhoto
    template: NoseTemplate

    @property
    def sha256(self) -> str:
        return self.photo.fingerprint.sha256


@dataclass(frozen=True, slots=True)
class Enrolling:
    """Enrols one pet at a time. memory: as in `flows.stage_context`."""

    engine: AsyncEngine
    vision: VisionPool
    known: KnownNoses
    memory: Memory | None = None

    async def enrol(self, message: Message) -> tuple[str, str]:
        """Returns ("enrolled", how many templates) or ("refused", how many problems).

        A bad photo does not spoil the others: what is left must make an enrolment by itself. A refused enrolment leaves
        the pet's old templates as they are; the message is set aside with the words, which the API shows.
        """
        pet_id = str(message.payload["pet_id"])
        watch = Stopwatch()
        usable, problems = await self._read([str(sha256) for sha256 in message.payload["sha256s"]], watch)
        usable, repeated = await self._without_copies(usable, watch)
        problems += repeated
        against = await asyncio.to_thread(
            check_enrolment, [nose.template for nose in usable], [nose.sha256 for nose in usable]
        )
        published: list[str] = []
        if not against:
            claimant_id, published = await self._publish(pet_id, usable)
            against = await self._used_before(pet_id, claimant_id, usable, watch)
        if against:
            words = "; ".join([*problems, *against])
            async with self.engine.begin() as conn:
                await library.remove(conn, published)
                await outbox.fail(conn, message, words, utc_now(), dead=True)
            # A decoder's words may quote the file: they are for the pet's owner, and not for a flow run's table.
            return "refused", f"{len(problems) + len(against)} problems"
        stored = [
            StoredTemplate(
                nose.sha256,
                self.vision.seal_nose(nose.template, pet_id),
                nose.template.model,
                self.vision.seal_sketch(nose.template, pet_id),
            )
            for nose in usable
        ]
        async with self.engine.begin() as conn:
            await noses.replace_templates(conn, pet_id, stored, utc_now(), actor=ACTOR)
        await self.known.look(pet_id, [nose.template for nose in usable])
        async with self.engine.begin() as conn:
            await outbox.finish(conn, message, utc_now())
        return "enrolled", f"{len(stored)} templates"

    async def _read(self, photos: Sequence[str], watch: Stopwatch) -> tuple[list[UsablePhoto], list[str]]:
        """Returns the usable photos, and a sentence on each of the others."""
        measured = await asyncio.gather(*(self.vision.compute(watch, self.vision.nose, sha256) for sha256 in photos))
        usable: list[UsablePhoto] = []
        problems: list[str] = []
        for number, (sha256, nose) in enumerate(zip(photos, measured, strict=True), start=1):
            if isinstance(nose, ImageRefused):
                problems.append(f"photo {number}: {nose.detail}")
            elif isinstance(nose.template, Unmeasured):
                problems.append(f"photo {number}: {nose.template.reason}")
            elif any(sha256 == other.sha256 for other in usable):
                problems.append(f"photo {number} is the same file as another; take a new one each time")
            else:
                usable.append(UsablePhoto(number, nose.photo, nose.template))
        return usable, problems

    async def _without_copies(
        self, usable: Sequence[UsablePhoto], watch: Stopwatch
    ) -> tuple[list[UsablePhoto], list[str]]:
        """Returns the photos without those that are an earlier one saved again, and a sentence on each of these."""
        pairs = await self.vision.compute(
            watch,
            enrolled_photos.copies_among,
            [nose.photo for nose in usable],
            [nose.template for nose in usable],
            self.vision.fusion,
        )
        earlier = {second: first for first, second in reversed(pairs)}
        problems = [
            enrolled_photos.saved_twice(usable[first].number, usable[second].number)
            for second, first in sorted(earlier.items())
        ]
        return [nose for place, nose in enumerate(usable) if place not in earlier], problems

    async def _publish(self, pet_id: str, usable: Sequence[UsablePhoto]) -> tuple[str, list[str]]:
        """Publish the photos to the library, so that of two enrolments with one photo at the same moment at least one
        sees the other. Returns the pet's claimant, and the ids of those that were not there before.

        Raises NotFound for an unknown pet. Raises StoreError, to be tried again, when a preview was deleted meanwhile.
        """
        photos = [nose.photo for nose in usable]
        previews = [photo.preview_sha256 for photo in photos]
        async with self.engine.begin() as conn:
            pet = await noses.pet(conn, pet_id)
            pictures = enrolled_photos.library_photos(pet_id, pet.claimant_id, photos)
            ids = [picture.photo_id for picture in pictures]
            known = {there.photo_id for there in await library.named(conn, photos[0].fingerprint, ids)}
            await library.publish(conn, pictures)
            await photo_checks.hold(conn, self.vision, previews, f"the enrolment of {pet_id}")
        return pet.claimant_id, [photo_id for photo_id in ids if photo_id not in known]

    async def _used_before(
        self, pet_id: str, claimant_id: str, usable: Sequence[UsablePhoto], watch: Stopwatch
    ) -> list[str]:
        """Returns a sentence on each photo that was used before for something else, or whose origin is in doubt."""
        problems = []
        for nose in usable:
            photo = nose.photo
            origin = evidence.signs_of(photo)
            screen = RULES.nose_recapture_counts and signs.shows_a_screen(origin)
            if screen or signs.combined(origin, RULES):
                problems.append(
                    f"photo {nose.number} looks as if it was not taken from the animal itself; take a new one with the"
                    " camera"
                )
            candidates = await photo_checks.candidates_of(self.engine, self.memory, photo)
            compared = await self.vision.compute(watch, self.vision.compare_photo, photo, candidates, claimant_id)
            copied = enrolled_photos.proven(compared.relations)
            if any(not enrolled_photos.is_ours(other, pet_id) for other in copied):
                problems.append(
                    f"photo {nose.number} was used before, and not for this pet; take a new one of this pet"
                )
        return problems
