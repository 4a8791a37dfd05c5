"""The progress of a long flow, as an artifact of the Prefect run under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import structlog
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ProgressArtifact:
    """Shows how far the flow run under way has got; call it with what is done and the total, from the run's own thread.

    Outside of a flow run it does nothing, and a server that fails ends the picture and nothing else. key: lower case,
    digits and dashes. every_seconds: between two updates.
    """

    key: str
    description: str
    every_seconds: float = 2.0
    _id: UUID | None = None
    _told: float = float("-inf")
    _lost: bool = field(default=False)

    def __call__(self, done: int, total: int) -> None:
        ended = done >= total > 0
        if (
            self._lost
            or FlowRunContext.get() is None
            or (time.monotonic() - self._told < self.every_seconds and not ended)
        ):
            return
        self._told = time.monotonic()
        percent = round(100.0 * min(1.0, done / total), 1) if total > 0 else 0.0
        try:
            if self._id is None:
                self._id = create_progress_artifact(percent, key=self.key, description=self.description, _sync=True)  # type: ignore[call-arg, assignment]
            else:
                update_progress_artifact(self._id, percent, _sync=True)  # type: ignore[call-arg]
        except (PrefectException, httpx.HTTPError, OSError) as error:
            self._lost = True
            log.warning("the progress is not shown", key=self.key, error=error)
