"""The requests that Prefect's pages make."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

from tests.flows.conftest import PLAIN
from tests.waiting import wait_until

FINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})


class Pages:
    """The requests that Prefect's pages make."""

    def __init__(self, api_url: str) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)  # a server may close what is idle at any moment
        self.api = httpx.Client(base_url=api_url, timeout=60, limits=limits, **PLAIN)

    def post(self, path: str, **body: Any) -> Any:
        answer = self.api.post(path, json=body)
        for _ in range(20):
            if answer.status_code != 503:
                break
            time.sleep(0.3)  # the server asks to be asked again
            answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.post("/deployments/filter")}

    def ask(self, name: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> httpx.Response:
        """Does what "Run" does."""
        deployment = self.deployments()[name]["id"]
        body = {"parameters": dict(parameters or {}), "state": {"type": "SCHEDULED"}, **more}
        return self.api.post(f"/deployments/{deployment}/create_flow_run", json=body)

    def run(self, name: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> str:
        answer = self.ask(name, parameters, **more)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def read(self, run_id: str) -> dict[str, Any]:
        read: dict[str, Any] = self.api.get(f"/flow_runs/{run_id}").json()
        return read

    def set_state(self, run_id: str, kind: str, **more: Any) -> Any:
        return self.post(f"/flow_runs/{run_id}/set_state", state={"type": kind, **more})

    def retry(self, run_id: str) -> Any:
        """Does what "Retry" does."""
        return self.set_state(run_id, "SCHEDULED", name="AwaitingRetry", message="Retry from the UI")

    def state(self, run_id: str) -> tuple[str, str, str]:
        state = self.read(run_id)["state"]
        return state["type"], state["name"], state["message"] or ""

    def ended(self, *run_ids: str) -> list[tuple[str, str, str]]:
        """Waits for the runs' ends; returns type, name and message of each."""
        wait_until(lambda: all(self.state(run_id)[0] in FINAL for run_id in run_ids), pause_seconds=0.5)
        return [self.state(run_id) for run_id in run_ids]

    def logs(self, run_id: str) -> list[str]:
        rows = self.post("/logs/filter", logs={"flow_run_id": {"any_": [run_id]}}, sort="TIMESTAMP_ASC")
        return [line["message"] for line in rows]

    def artifacts(self, run_id: str) -> dict[str, Any]:
        rows = self.post("/artifacts/filter", artifacts={"flow_run_id": {"any_": [run_id]}})
        return {artifact["type"]: artifact["data"] for artifact in rows}

    def tasks(self, run_id: str) -> list[tuple[str, str]]:
        rows = self.post("/task_runs/filter", task_runs={"flow_run_id": {"any_": [run_id]}})
        return [(task["name"], task["state_type"]) for task in rows]
