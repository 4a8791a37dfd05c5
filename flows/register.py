"""The register of the flow runs that this process has under way, kept in the store (`claims.store.shown_runs`)."""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import shown_runs
from claims.store.away import STORE_ERRORS
from flows.runs import RunLabel

log = structlog.get_logger(__name__)


class StoredRegister:
    """Remembers the runs of one process. What the store does not take is logged and forgotten: such a run is ended by
    the look for runs that nobody knows, should its process die."""

    def __init__(self, engine: AsyncEngine, process: str) -> None:
        self._engine = engine
        self.process = process
        self.open: set[str] = set()  # runs under way

    async def began(self, run_id: str, label: RunLabel) -> None:
        self.open.add(run_id)
        try:
            async with self._engine.begin() as conn:
                await shown_runs.began(conn, run_id, label.flow, self.process, label.items)
        except STORE_ERRORS as error:
            log.warning("the flow run is not registered", run_id=run_id, error=error)

    async def ended(self, run_id: str, *, told: bool, message: str) -> None:
        self.open.discard(run_id)
        try:
            async with self._engine.begin() as conn:
                await shown_runs.ended(conn, run_id, told=told, message=message)
        except STORE_ERRORS as error:
            log.warning("the flow run stays registered until somebody looks", run_id=run_id, error=error)
