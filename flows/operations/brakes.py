"""Keeps brakes and Prefect's pauses and limits in step. The store's brakes alone hold work (`claims.store.gates`), so
they hold whether Prefect answers or not; here what people change in Prefect is carried into the store, and what they
change by command is shown in Prefect.

    read every pause and limit -> what differs from what was last seen there was changed by somebody -> into the store
    what differs from the store -> told to Prefect

The last change wins. What is missing in Prefect (an empty server, a deleted limit) is made anew as the store has it,
and so is what is older than what was seen before (a restored server), unless it holds more: a doubt holds. One process
does this at a time, with a lock; any of worker, settle and refer takes over. While Prefect is away brakes stay as they
are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.faults import fault
from claims.store import brakes
from claims.store.brakes import Brake, NotedControl
from claims.store.engine import end_when_idle
from flows.config import BrakeLimits, PrefectConfig
from flows.drain import STORE_AWAY
from flows.process import pause
from flows.queues import utc_now

if TYPE_CHECKING:
    from flows.operations.controls import PrefectControl, PrefectPanel, ShownControl

log = structlog.get_logger(__name__)
_ONE_AT_A_TIME: Final = 0x62726B70
_DRIFT: Final = timedelta(seconds=60)  # of a control's time, without a change of ours: noted no more often


@dataclass(frozen=True, slots=True)
class PrefectChange:
    """A change that somebody made in Prefect."""

    control: PrefectControl
    shown: ShownControl


def newest_change(
    brake: Brake | None,
    noted: Mapping[PrefectControl, NotedControl],
    shown: Mapping[PrefectControl, ShownControl],
) -> PrefectChange | None:
    """Return the newest change of one brake that was made in Prefect and that the store is to follow, None for none.

    brake: as the store has it, None where nobody ever pulled it; noted, shown: its controls, as they were last seen and
    as they are.
    """
    stands = None if brake is None else brake.at_once_max
    changes: list[PrefectChange] = []
    for control, now in shown.items():
        last, wanted = noted.get(control), control.shows(stands)
        if now.at_once_max == wanted:
            continue
        if last is None or last.prefect_id != now.prefect_id:
            # Never met before: on another server, or made by somebody. One that holds nothing only lacks our word.
            follows = now.at_once_max is not None and (brake is None or now.updated_at > brake.at)
        elif now.at_once_max == last.at_once_max:
            follows = False  # the store's own change has not reached it yet
        elif wanted != last.at_once_max:
            follows = brake is None or now.updated_at > brake.at  # changed on both sides
        else:
            follows = now.updated_at > last.updated_at or _holds_more(now.at_once_max, stands)
        if follows:
            changes.append(PrefectChange(control, now))
    return max(changes, key=lambda change: (change.shown.updated_at, -_room(change.shown.at_once_max)), default=None)


def _room(at_once_max: int | None) -> float:
    return float("inf") if at_once_max is None else float(at_once_max)


def _holds_more(this: int | None, that: int | None) -> bool:
    return _room(this) < _room(that)


class Stepper:
    """Brings store and Prefect into step, again and again. address: of the server, the actor of what is changed
    there."""

    def __init__(self, engine: AsyncEngine, panel: PrefectPanel, address: str) -> None:
        self._engine = engine
        self._panel = panel
        self._actor = f"prefect:{address}"

    async def look(self) -> list[str]:
        """Look once. Returns the names of the brakes that were changed in Prefect. Raises what Prefect's client and the
        store raise; what was done before stands."""
        from flows.operations.controls import controls

        shown = await self._panel.read()
        async with self._engine.connect() as conn:
            known, by_control = await brakes.by_name(conn), await brakes.noted_controls(conn)
        changed: list[str] = []
        every = controls()
        for name in dict.fromkeys(control.brake for control in every):
            mine = [control for control in every if control.brake == name]
            noted = {control: by_control[str(control)] for control in mine if str(control) in by_control}
            brake = known.get(name)
            change = newest_change(brake, noted, {control: shown[control] for control in mine if control in shown})
            if change is not None:
                if not await self._follow(brake, change):
                    continue  # a command came between: the next look sees both
                changed.append(name)
            stands = change.shown.at_once_max if change is not None else None if brake is None else brake.at_once_max
            for control in mine:
                await self._show(control, stands, noted.get(control), shown.get(control))
        return changed

    async def _follow(self, brake: Brake | None, change: PrefectChange) -> bool:
        """Carry a change into the store. Returns False where the brake is no longer as it was read."""
        control, shown = change.control, change.shown
        async with self._engine.begin() as conn:
            await brakes.lock(conn)
            if await brakes.get(conn, control.brake) != brake:
                return False
            await brakes.put(
                conn,
                control.brake,
                shown.at_once_max,
                utc_now(),
                source="prefect",
                actor=self._actor,
                reason=str(control),
            )
            await _note(conn, control, shown.at_once_max, shown)
        log.info("a brake was changed in Prefect", brake=control.brake, at_once_max=shown.at_once_max, by=str(control))
        return True

    async def _show(
        self, control: PrefectControl, stands: int | None, noted: NotedControl | None, shown: ShownControl | None
    ) -> None:
        """Make one control show the brake, and note what it shows."""
        wanted = control.shows(stands)
        if shown is None:
            shown = await self._panel.make(control, stands)
            if shown is None:
                return
        elif shown.at_once_max != wanted:
            await self._panel.set(control, shown.prefect_id, stands)
        elif (
            noted is not None
            and (noted.prefect_id, noted.at_once_max) == (shown.prefect_id, wanted)
            and abs(shown.updated_at - noted.updated_at) < _DRIFT
        ):
            return
        async with self._engine.begin() as conn:
            await _note(conn, control, wanted, shown)


async def _note(conn: AsyncConnection, control: PrefectControl, at_once_max: int | None, shown: ShownControl) -> None:
    await brakes.note_control(conn, str(control), NotedControl(shown.prefect_id, at_once_max, shown.updated_at))


async def keep_in_step(
    engine: AsyncEngine, prefect: PrefectConfig, stop: asyncio.Event, limits: BrakeLimits | None = None
) -> None:
    """Keep brakes and Prefect in step until `stop`, in one process at a time. Returns at once without a server."""
    limits = limits or BrakeLimits()
    if not prefect.api_url:
        return
    while not stop.is_set():
        # A task, so that a fault of ours in here ends neither the payouts nor the claims of this process.
        turn = asyncio.create_task(_take_turn(engine, prefect, stop, limits))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([turn, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            turn.cancel()  # in the middle of a request, too: what is half done the next look does again
            stopped.cancel()
            await asyncio.wait([turn, stopped])
        if not turn.cancelled() and (error := turn.exception()) is not None:
            if isinstance(error, STORE_AWAY):
                log.warning("brakes are not compared with Prefect: the store is away", error=error)
            else:
                log.error("brakes could not be compared with Prefect", exc_info=error)
        await pause(stop, limits.look_seconds)


async def _take_turn(engine: AsyncEngine, prefect: PrefectConfig, stop: asyncio.Event, limits: BrakeLimits) -> None:
    """Keep them in step for as long as the lock, and the connection that holds it, stand. Returns where another process
    has the lock."""
    async with engine.connect() as conn:
        lock = text("SELECT pg_try_advisory_lock(:number)")
        perhaps = True
        try:
            perhaps = bool((await conn.execute(lock, {"number": _ONE_AT_A_TIME})).scalar_one())
            if not perhaps:
                return
            await end_when_idle(conn, limits.idle_seconds_max)
            await conn.commit()
            await _keep(engine, conn, prefect, stop, limits)
        finally:
            # The lock is the connection's: it must not go back into the pool with it. Without, it goes back: a new one
            # at each look costs both sides a handshake.
            if perhaps:
                await conn.invalidate()


async def _keep(
    engine: AsyncEngine, lock: AsyncConnection, prefect: PrefectConfig, stop: asyncio.Event, limits: BrakeLimits
) -> None:
    # Imported here: more than a second that a process without a server need not spend.
    from prefect.client.orchestration import get_client

    from flows.operations.controls import PrefectPanel
    from flows.prefect_server import ANSWER_ERRORS, client_settings

    away = False
    with client_settings(prefect):
        async with get_client() as client:
            stepper = Stepper(engine, PrefectPanel(client, limits), urlsplit(prefect.api_url).netloc.rpartition("@")[2])
            while not stop.is_set():
                await lock.execute(text("SELECT 1"))
                await lock.commit()
                try:
                    await stepper.look()
                except ANSWER_ERRORS as error:
                    if not away:
                        log.warning("Prefect is away: brakes stay as they are", error=fault(error))
                    away = True
                else:
                    if away:
                        log.info("Prefect is back: brakes are compared again")
                    away = False
                await pause(stop, limits.look_seconds)
