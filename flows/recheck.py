"""Rechecks claims that went to a person only because a resource was missing, once the resource is back.

A worker wakes now and then, finds out by a small piece of real work whether its resources are there, and sends the
claims back to the queue (`claims.store.rechecks`), a few at a time, each with growing pauses and a limited number of
times.
"""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.errors import StoreError
from claims.store import gates, rechecks
from claims.store.engine import alone
from flows.config import RecheckLimits
from flows.drain import STORE_AWAY
from flows.process import pause
from flows.queues import Clock, utc_now
from flows.trouble import trouble_of, was_trouble
from flows.vision_pool import VisionPool
from vision.errors import VisionError

log = structlog.get_logger(__name__)
_ONE_AT_A_TIME = 0x72656368
_NEEDED = ("adjudicate", "ocr")


async def recheck(engine: AsyncEngine, vision: VisionPool, limits: RecheckLimits, now: Clock = utc_now) -> list[str]:
    """Run one round. Returns the ids of the claims that were sent back, an empty list while another worker rechecks or
    a resource is missing here."""
    async with engine.connect() as conn:
        if not await alone(conn, _ONE_AT_A_TIME):
            return []
        if not all(limit for name, limit in (await gates.in_force(conn)).items() if name in _NEEDED):
            return []  # people hold what these claims wait for
        waiting = [
            claim
            for claim in await rechecks.unchecked(conn, was_trouble)
            if claim.rechecks < limits.rechecks_max
            and rechecks.due(claim, limits.pause_seconds, limits.pause_seconds_max) <= now()
        ]
        if not waiting:
            return []
        try:
            await asyncio.to_thread(vision.try_everything)
        except (VisionError, StoreError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and trouble_of(error) is None:
                raise
            log.info("not checked again yet", claims=len(waiting), error=error)
            return []
        sent = []
        for claim in waiting[: limits.at_once_max]:
            async with engine.begin() as own:
                if await rechecks.send_back(own, claim, now()):
                    sent.append(claim.claim_id)
    if sent:
        log.info("checked again", claims=sent)
    return sent


async def keep_rechecking(engine: AsyncEngine, vision: VisionPool, limits: RecheckLimits, stop: asyncio.Event) -> None:
    """Run `recheck` again and again until `stop`."""
    while not stop.is_set():
        try:
            await recheck(engine, vision, limits)
        except STORE_AWAY as error:
            log.warning("no claim is checked again: the store is away", error=error)
        await pause(stop, limits.every_seconds)
