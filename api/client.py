"""The HTTP API as a platform, a claimant's app or an adjuster uses it: for the demo, the benchmarks and the tests.

ApiRefused      a problem document came back (RFC 9457); `code` is its stable code
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

REQUEST_SECONDS_MAX = 60.0
THROTTLED_TIMES_MAX = 5  # then the refusal is the caller's


class ApiRefused(Exception):
    """The API answered with a problem."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FileToSend:
    """One file of a claim. `part` is photo, paper or nose."""

    part: str
    name: str
    data: bytes
    media_type: str = "image/jpeg"


class ApiClient:
    """An HTTP client of one caller with one token. Use as an async context manager; safe for concurrent calls."""

    def __init__(self, base_url: str, token: str, *, language: str = "en") -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Accept-Language": language},
            timeout=REQUEST_SECONDS_MAX,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str) -> Any:
        """GET the path. Returns the JSON answer. Raises ApiRefused."""
        return _answer(await self._send("GET", path))

    async def post(self, path: str, body: Mapping[str, Any] | None = None, key: str = "") -> Any:
        """POST a JSON body; `key` is the Idempotency-Key, a fresh one by default. Raises ApiRefused."""
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return _answer(await self._send("POST", path, json=body, headers=headers))

    async def upload(
        self, path: str, files: Sequence[FileToSend], fields: Mapping[str, Any] | None = None, key: str = ""
    ) -> Any:
        """POST a multipart form: JSON parts (`fields`) and files. Raises ApiRefused."""
        parts: list[tuple[str, tuple[str | None, bytes, str]]] = [
            (name, (None, json.dumps(value, ensure_ascii=False).encode(), "application/json"))
            for name, value in (fields or {}).items()
        ]
        parts += [(file.part, (file.name, file.data, file.media_type)) for file in files]
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return _answer(await self._send("POST", path, files=parts, headers=headers))

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send the request. Returns the answer; a 429 is waited out as long as it asks for."""
        for _ in range(THROTTLED_TIMES_MAX):
            answer = await self._http.request(method, path, **content)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return answer
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
        return answer

    async def submit_claim(self, claim: Mapping[str, Any], files: Sequence[FileToSend]) -> str:
        """Submit a whole claim. Returns its id."""
        answer = await self.upload("/v1/claims", files, {"claim": claim})
        return str(answer["id"])

    async def claim(self, claim_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self.get(f"/v1/claims/{claim_id}")
        return answer

    async def wait_while(
        self, claim_id: str, statuses: frozenset[str], *, timeout_seconds: float, poll_seconds: float = 0.1
    ) -> dict[str, Any]:
        """Returns the claim once its status is none of `statuses`. Raises TimeoutError with the status that it stays
        in."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while True:
            claim = await self.claim(claim_id)
            if claim["status"] not in statuses:
                return claim
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"claim {claim_id} is still {claim['status']} after {timeout_seconds:.0f} s")
            await asyncio.sleep(poll_seconds)


def _answer(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else {}
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    raise ApiRefused(
        response.status_code,
        str(problem.get("code", "no_problem_document")),
        str(problem.get("detail", response.text[:200])),
    )
