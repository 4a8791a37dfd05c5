"""A few requests to a Prefect server's REST interface, for what is done beside the runs themselves.

Plain HTTP and not Prefect's client: the processes that show no run at the moment need not import it, and a server of
another version understands them all the same.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from claims.faults import fault
from flows.config import PrefectConfig
from flows.errors import RunLost

REFUSED: Final = (401, 403)  # statuses by which a server says that our key or password is wrong
FINAL_STATES: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
OPEN_STATES: Final = ("RUNNING", "PENDING", "CANCELLING")


def open_api(config: PrefectConfig, timeout_seconds: float) -> httpx.AsyncClient:
    """Returns a client whose paths begin below the server's `/api`. Raises OSError when the file of certificates cannot
    be read."""
    cafile = config.ssl_cert_file
    return httpx.AsyncClient(
        base_url=config.api_url.rstrip("/"),
        timeout=timeout_seconds,
        headers=_headers(config),
        verify=True if cafile is None else ssl.create_default_context(cafile=str(cafile)),
        trust_env=False,
    )


def _headers(config: PrefectConfig) -> dict[str, str]:
    if config.auth_string:
        return {"Authorization": "Basic " + base64.b64encode(config.auth_string.encode()).decode()}
    return {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as the server shows it. type: in capitals, as `RUNNING`. owner: the process that a runner of ours set down,
    "" for a run that a process shows by itself. deployed: it belongs to a deployment."""

    run_id: str
    name: str
    flow_id: str
    type: str
    message: str
    owner: str = ""
    deployed: bool = False


class PrefectApi:
    """Requests to one server. Every method raises RunLost when the server is away or answers with an error."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def state(self, run_id: str) -> RunState | None:
        """Returns the run's state, None where the server does not know the run: another one, or an emptied one."""
        answer = await self._request("GET", f"/flow_runs/{run_id}")
        return None if answer is None else _state(answer)

    async def set_state(self, run_id: str, kind: str, message: str) -> None:
        """Set a state whatever the run's is now. kind: as `CRASHED`. A run that the server does not know is left."""
        state = {"type": kind, "name": kind.capitalize(), "message": message}
        await self._request("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})

    async def runs(self, query: Mapping[str, Any], limit: int) -> list[RunState]:
        """Returns the runs of a filter, at most `limit`, in no order that means anything."""
        answer = await self._request("POST", "/flow_runs/filter", {"flow_runs": query, "limit": limit})
        return [_state(run) for run in _list(answer)]

    async def delete_runs(self, query: Mapping[str, Any], limit: int) -> int:
        """Delete runs of a filter, with their task runs and logs, and return how many. limit: at most 50."""
        answer = await self._request("POST", "/flow_runs/bulk_delete", {"flow_runs": query, "limit": limit})
        if answer is None:
            return 0
        if not isinstance(answer, dict) or not isinstance(answer.get("deleted"), list):
            raise _nonsense()
        return len(answer["deleted"])

    async def artifacts_of(self, run_ids: Sequence[str]) -> list[str]:
        """Returns the ids of some of the artifacts of these runs (as many as the server tells at once)."""
        query = {"flow_run_id": {"any_": list(run_ids)}}
        answer = await self._request("POST", "/artifacts/filter", {"artifacts": query})
        return [str(_object(artifact)["id"]) for artifact in _list(answer)]

    async def delete_artifact(self, artifact_id: str) -> None:
        await self._request("DELETE", f"/artifacts/{artifact_id}")

    async def add_markdown(self, run_id: str, key: str, text: str, description: str) -> None:
        """Add a page to a run."""
        page = {"key": key, "type": "markdown", "data": text, "description": description, "flow_run_id": run_id}
        await self._request("POST", "/artifacts/", page)

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Returns the JSON of the answer; None for an answer without a body, and where there is no such thing (404)."""
        try:
            answer = await self._client.request(method, path, json=body)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            answer.raise_for_status()
            return answer.json() if answer.content else None
        except (httpx.HTTPError, ValueError) as error:  # ValueError: what answers is no Prefect server
            raise RunLost(fault(error)) from error


def _list(answer: Any) -> list[Any]:
    if answer is not None and not isinstance(answer, list):
        raise _nonsense()
    return answer or []


def _object(part: Any) -> Mapping[str, Any]:
    """Returns an object of an answer that has an id. Raises RunLost for anything else."""
    if not isinstance(part, dict) or "id" not in part:
        raise _nonsense()
    return part


def _nonsense() -> RunLost:
    return RunLost("what answers is no Prefect server, or one of a version that is not understood")


def _state(answer: Any) -> RunState:
    run = _object(answer)
    state = run.get("state") or {}
    if not isinstance(state, dict):
        raise _nonsense()
    return RunState(
        str(run["id"]), str(run.get("name", "")), str(run.get("flow_id", "")), str(state.get("type", "")),
        str(state.get("message") or ""), str(run.get("infrastructure_pid") or ""),
        run.get("deployment_id") is not None,
    )  # fmt: skip
