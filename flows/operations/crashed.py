"""Makes Prefect show the end of every run: of those whose process died, of those whose end it missed while it was away,
and of those that nobody knows.

Prefect itself leaves the run of a killed process Running for ever (PrefectHQ/prefect#16746), and lets a crashed run
complete later (#16429). So each process of ours signs its runs in the store while it lives; any other process that sees
the signs stop shows the runs as Crashed, and again should they change afterwards. Where another run took the claims or
messages over, the crashed one links to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import shown_runs
from claims.store.shown_runs import ShownRun
from flows.config import PrefectConfig, TruthLimits
from flows.drain import STORE_AWAY
from flows.errors import RunLost
from flows.prefect_api import FINAL_STATES, OPEN_STATES, PrefectApi, open_api
from flows.process import pause
from flows.register import StoredRegister
from flows.runs import OURS, artifact_key

log = structlog.get_logger(__name__)

_RETRIED = ("SCHEDULED", "PENDING")  # states of a run that is to be done again and that nobody has begun
SIGNS = 4  # signs of life, and looks, in the time after which a silent process counts as dead
# Without a sign of life, after which a crash is told though nobody has taken over yet. Each telling is an event, and a
# notice to whoever is told of crashes; most leases run out, and are taken over, before.
ALONE_SECONDS = 40.0
UNKNOWN = "no process of ours knows this run any more; its claims or messages have their own history"


@dataclass(slots=True)
class Steadiness:
    """Decides whether this process may judge others by their silence: only after it has itself looked without a gap for
    as long. After the store was away, the machine stood still or the clock jumped, everybody seems silent."""

    limits: TruthLimits
    _since: float = field(default=0.0)  # monotonic
    _looked: float = field(default=float("-inf"))
    _clock: datetime | None = None

    def looked(self, database_time: datetime, monotonic: float) -> bool:
        """Returns True if others may be judged now. To be called at each look."""
        gap_max = self.limits.silent_seconds / 2
        passed = 0.0 if self._clock is None else (database_time - self._clock).total_seconds()
        if monotonic - self._looked > gap_max or not 0 <= passed <= gap_max:
            self._since = monotonic
        self._looked, self._clock = monotonic, database_time
        return monotonic - self._since >= self.limits.silent_seconds


class Truth:
    """Tells one Prefect server the ends of runs. Any number of processes may have one: the work is shared by a lock."""

    def __init__(self, engine: AsyncEngine, api: PrefectApi, config: PrefectConfig) -> None:
        self._engine = engine
        self._api = api
        self._limits = config.truth
        self._pages = config.ui_url
        self._steady = Steadiness(config.truth)

    async def sign(self, register: StoredRegister) -> bool:
        """Give a sign of life for this process's runs. Returns True if other processes may be judged by theirs."""
        async with self._engine.begin() as conn:
            if register.open:
                now = await shown_runs.alive(conn, register.process)
            else:
                now = await shown_runs.database_time(conn)
        return self._steady.looked(now, time.monotonic())

    async def look(self) -> int:
        """Mark the runs of silent processes as crashed. Returns how many."""
        async with self._engine.begin() as conn:
            marked = await shown_runs.mark_crashed(conn, self._limits.silent_seconds)
        if marked:
            log.warning("runs whose process is silent count as crashed", runs=marked)
        return marked

    async def tell(self) -> int:
        """Tell Prefect what it does not know. Returns of how many runs; 0 as well when another process is at it. Raises
        RunLost when the server is away: what it was not told waits."""
        count = 0
        async with self._engine.connect() as held, held.begin():
            if not await self._due() or not await shown_runs.alone_to_tell(held):
                return 0
            for run in await self._due():  # again: another process may have told them before this one was alone
                await self._tell(run)
                count += 1
            async with self._engine.begin() as conn:
                await shown_runs.forget_told(conn, self._limits.told_keep_hours)
        return count

    async def _due(self) -> Sequence[ShownRun]:
        alone_seconds = min(2 * self._limits.silent_seconds, max(ALONE_SECONDS, self._limits.silent_seconds))
        async with self._engine.connect() as conn:
            return await shown_runs.to_tell(conn, self._limits.told_at_once_max, alone_seconds)

    async def _tell(self, run: ShownRun) -> None:
        shown = await self._api.state(run.flow_run_id)
        # Final, and not by our doing: its process said so with its last breath, or a person did.
        if shown is None or (shown.type in FINAL_STATES and not run.tellings):
            async with self._engine.begin() as conn:
                await shown_runs.forget(conn, run.flow_run_id)
            return
        if not run.crashed:
            kind = "COMPLETED" if run.message else "FAILED"
            await self._api.set_state(run.flow_run_id, kind, run.message or "the work failed while Prefect was away")
            async with self._engine.begin() as conn:
                await shown_runs.forget(conn, run.flow_run_id)
            return
        # Told before, and somebody pressed Retry since: the run is the runner's.
        if not (run.tellings and (shown.owner or shown.type in _RETRIED)):
            message = words(run, self._limits.successors_max)
            if (shown.type, shown.message) != ("CRASHED", message):
                await self._api.set_state(run.flow_run_id, "CRASHED", message)
        if run.taken_over_by:
            key = artifact_key("taken-over", run.flow_run_id[:8])
            page = links(run, self._pages, self._limits.successors_max)
            await self._api.add_markdown(run.flow_run_id, key, page, "The run that has its work now")
        async with self._engine.begin() as conn:
            await shown_runs.told(conn, run)
        log.warning("a run is shown as crashed", run_id=run.flow_run_id, flow=run.flow, process=run.process)

    async def sweep_unknown(self) -> int:
        """Show runs as crashed that have been open for `unknown_hours` and that the store does not know. Returns how
        many. Runs that a runner has, or is about to have, are not ours to judge: whoever serves them ends them. Raises
        RunLost."""
        async with self._engine.connect() as conn:
            now = await shown_runs.database_time(conn)
        before = now - timedelta(hours=self._limits.unknown_hours)
        query: dict[str, Any] = {
            "tags": {"all_": [OURS]},
            "state": {"type": {"any_": list(OPEN_STATES)}},
            "expected_start_time": {"before_": before.isoformat()},
        }
        open_runs = await self._api.runs(query, self._limits.told_at_once_max)
        async with self._engine.connect() as conn:
            known = await shown_runs.known(conn, [run.run_id for run in open_runs])
        unknown = [
            run
            for run in open_runs
            if run.run_id not in known and not run.owner and (not run.deployed or run.type == "RUNNING")
        ]
        for run in unknown:
            await self._api.set_state(run.run_id, "CRASHED", UNKNOWN)
        if unknown:
            log.warning("runs that nobody knows are shown as crashed", runs=len(unknown))
        return len(unknown)


def words(run: ShownRun, successors_max: int) -> str:
    """Returns the message of a crashed run's state: process, silence, and the runs that have its work now."""
    silent = f"its process {run.process} gave no sign of life for {run.silent_seconds:.0f} s"
    if not run.taken_over_by:
        return f"{silent}; what it had in hand is leased again as soon as its lease runs out"
    return f"{silent}; taken over by run {', '.join(run.taken_over_by[:successors_max])}"


def links(run: ShownRun, pages: str, successors_max: int) -> str:
    """Returns a Markdown page that leads from a crashed run to those that have its work now. pages: where Prefect's
    pages are."""
    lines = ["What this run had in hand was taken over by:", ""]
    lines += [f"- [{successor}]({pages}/runs/flow-run/{successor})" for successor in run.taken_over_by[:successors_max]]
    if len(run.taken_over_by) > successors_max:
        lines.append(f"- and {len(run.taken_over_by) - successors_max} more")
    return "\n".join(lines)


async def keep_truth(engine: AsyncEngine, config: PrefectConfig, register: StoredRegister, stop: asyncio.Event) -> None:
    """Sign this process's runs and tell Prefect the ends of other people's, until `stop`. Returns at once where there
    is no Prefect server."""
    if not config.api_url:
        return
    limits = config.truth
    unknown_at, tell_at, failures = time.monotonic(), 0.0, 0
    async with open_api(config, config.request_timeout_seconds) as client:
        truth = Truth(engine, PrefectApi(client), config)
        while not stop.is_set():
            try:
                if await truth.sign(register):
                    await truth.look()
                if time.monotonic() >= tell_at:
                    await truth.tell()
                    failures = 0
                    if time.monotonic() >= unknown_at:
                        unknown_at = time.monotonic() + limits.unknown_every_seconds
                        await truth.sweep_unknown()
            except STORE_AWAY as error:
                log.warning("runs are not looked after: the store is away", error=error)
            except RunLost as error:
                tell_at = time.monotonic() + min(2.0**failures, limits.retry_seconds_max)
                failures += 1
                log.info("prefect was not told of ended runs", error=error)
            await pause(stop, limits.silent_seconds / SIGNS)
