"""Learns from people's rulings: a ruling on a match or a flood adds to the known pictures, and is removed from them
again when it is taken back; claims that waited for it go on. Every step may run twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import NotFound
from claims.evidence import MatchRuling
from claims.store import floods, outbox, rulings
from claims.store.outbox import Message
from flows.queues import utc_now
from vision.library import known_pictures
from vision.library.known_pictures import Common, Known
from vision.measurement import Unmeasured

FLOOD_PICTURES_MAX: Final = 13  # the first picture, and twelve to compare it with


@dataclass(frozen=True, slots=True)
class RulingLearner:
    """Learns from one ruling at a time."""

    engine: AsyncEngine

    async def learn(self, message: Message) -> tuple[str, str]:
        """Carry out one ruling. Returns what was learnt, in a word and a detail. Its subject may have been erased, or
        the ruling taken back, meanwhile."""
        try:
            match message.payload["kind"]:
                case "flood":
                    outcome, detail = await self._flood(str(message.payload["flood_id"]))
                case "taken_back":
                    outcome, detail = await self._unlearn(str(message.payload["ruling_id"]))
                case _:
                    outcome, detail = await self._pair(str(message.payload["ruling_id"]))
        except NotFound as gone:
            outcome, detail = "gone meanwhile", str(gone)
        async with self.engine.begin() as conn:
            await outbox.finish(conn, message, utc_now())
        return outcome, detail

    async def _pair(self, ruling_id: str) -> tuple[str, str]:
        async with self.engine.begin() as conn:
            ruling = await rulings.get(conn, ruling_id)
            known = await known_pictures.known(conn, [ruling.photo_id, ruling.match_photo_id])
            photo, match = known.get(ruling.photo_id), known.get(ruling.match_photo_id)
            await rulings.set_pixels(
                conn, ruling_id, photo.pixel_sha256 if photo else "", match.pixel_sha256 if match else ""
            )
        if ruling.ruling is not MatchRuling.COMMON:
            return str(ruling.ruling), ruling_id
        if photo is None or match is None:
            return "nothing to learn", f"{ruling_id}: a picture has left the library"
        return await self._learn_common(ruling_id, match, [photo], ruling_id)

    async def _unlearn(self, ruling_id: str) -> tuple[str, str]:
        async with self.engine.begin() as conn:
            removed = await known_pictures.remove(conn, ruling_id)
        return "unlearnt" if removed else "nothing to unlearn", ruling_id

    async def _flood(self, flood_id: str) -> tuple[str, str]:
        async with self.engine.connect() as conn:
            flood = await floods.get(conn, flood_id)
            sighted = await floods.pictures(conn, flood_id, limit=FLOOD_PICTURES_MAX)
            known = await known_pictures.known(conn, [sighting.picture.photo_id for sighting in sighted])
        learnt = ""
        if flood.ruling == "common":
            # In the order of arrival: the others repeat what the first picture shows.
            there = [known[sighting.picture.photo_id] for sighting in sighted if sighting.picture.photo_id in known]
            if len(there) > 1:
                _, learnt = await self._learn_common(flood_id, there[0], there[1:])
            else:
                learnt = "its pictures have left the library"
        freed = 0
        while True:
            async with self.engine.begin() as conn:
                count = await floods.let_go(conn, flood_id, utc_now())
            if not count:
                return flood.ruling, f"{freed} claims; {learnt}" if learnt else f"{freed} claims"
            freed += count

    async def _learn_common(
        self, common_id: str, base: Known, others: list[Known], ruling_id: str = ""
    ) -> tuple[str, str]:
        """Learn a known picture from `base` and `others`. ruling_id: the ruling on a pair, which must still stand when
        it is learnt from. Raises NotFound when it was taken back."""
        common = await asyncio.to_thread(known_pictures.learn, common_id, base, others)
        if isinstance(common, Unmeasured):
            return "nothing to learn", common.reason
        async with self.engine.begin() as conn:
            if ruling_id:
                # Locks the ruling until the picture is stored, so that taking it back waits and finds the picture;
                # raises NotFound where it was taken back already.
                await rulings.hold(conn, ruling_id)
            await known_pictures.add(conn, common)
        return "common", _words(common)


def _words(common: Common) -> str:
    return "the whole picture" if common.whole else f"{len(common.keypoints)} points"
