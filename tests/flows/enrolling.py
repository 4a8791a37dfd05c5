"""Enrols a pet as a worker does, for tests: the photos are in the outbox, and drained from it."""

from __future__ import annotations

import asyncio
from typing import Any

from claims.store import intake, views
from flows.config import PrefectConfig
from flows.drain import Drain
from flows.enrol import Enrolling
from flows.noses_elsewhere import KnownNoses
from flows.queues import OutboxQueue, utc_now
from flows.sending import Sending
from flows.tracking import tracking
from flows.vision_pool import VisionPool


async def enrol(
    kennel: Any, eyes: VisionPool, key: str, photos: list[bytes], wait_until: Any, pet_id: str = "pet_1"
) -> views.Enrolment:
    """Asks for an enrolment, drains the outbox and returns the enrolment."""
    async with kennel.engine.begin() as conn:
        sha256s = [kennel.blobs.put(data) for data in photos]
        await intake.enrol(conn, pet_id, key, sha256s, utc_now(), actor="platform")
    limits = kennel.worker_config().lease
    stop, wake = asyncio.Event(), asyncio.Event()

    async def done() -> bool:
        async with kennel.engine.connect() as conn:
            return (await views.enrolment(conn, pet_id)).state != "pending"

    async with tracking(PrefectConfig()) as tracker:
        sending = Sending(
            "enrol",
            kennel.engine,
            tracker,
            Enrolling(kennel.engine, eyes, KnownNoses(kennel.engine, eyes)).enrol,
            limits,
            about="pet",
        )
        drain = Drain("enrol", OutboxQueue(kennel.engine, "enrol", "test", 2), sending.work, limits, stop, wake)
        task = asyncio.create_task(drain.run())
        await wait_until(done)
        stop.set()
        await task
    async with kennel.engine.connect() as conn:
        return await views.enrolment(conn, pet_id)
