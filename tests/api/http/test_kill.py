from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from api.settings import Settings
from tests.api.http.world import Api, jpeg, parts, register, rows, statement
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
SERVE = "from api.serve import serve; from api.settings import Settings; serve(Settings())"
CLAIMS = 12


def start(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    """Starts `serve` as a process of its own and returns it once it is ready."""
    environment = os.environ | {
        "MIAOPEI_HOME": str(settings.home),
        "MIAOPEI_DATABASE_URL": settings.database_url,
        "MIAOPEI_EVIDENCE_URL": settings.evidence_url,
        "MIAOPEI_HTTP_PORT": str(port),
        "MIAOPEI_HTTP__IN_FLIGHT_SECONDS_MAX": "1",
    }
    process = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=60).is_success
        except httpx.TransportError:
            assert process.poll() is None, "the API did not start"
            return False

    wait_until(ready, pause_seconds=0.05)
    return process


def test_a_killed_api_loses_no_accepted_claim_and_makes_none_twice(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api, process = Api(f"http://127.0.0.1:{port}", settings), start(settings, port)
    answered: dict[int, str] = {}
    try:
        register(api)
        client = api.as_("claimant", "clm-a")
        files = {number: parts(statement(), jpeg(number)) for number in range(CLAIMS)}

        def post(number: int) -> None:
            try:
                answer = client.post("/v1/claims", files=files[number], headers={"Idempotency-Key": f"kill-{number}"})
            except httpx.TransportError:
                return  # the client cannot know whether its claim was taken in
            if answer.status_code == 202:
                assert answered.setdefault(number, answer.json()["id"]) == answer.json()["id"]

        threads = [threading.Thread(target=post, args=(number,)) for number in range(CLAIMS)]
        for thread in threads:
            thread.start()
        while len(answered) < CLAIMS // 3:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join()
        accepted = dict(answered)
        process = start(settings, port)
        for number in range(CLAIMS):

            def accepted_again(number: int = number) -> bool:
                post(number)  # the same answer where there was one
                return number in answered

            wait_until(accepted_again, pause_seconds=0.1)
        assert answered | accepted == answered
        assert len(set(answered.values())) == CLAIMS
        assert rows(api, "SELECT count(*), count(DISTINCT order_number) FROM claims") == [(CLAIMS, 1)]
        assert rows(api, "SELECT count(*) FROM jobs") == [(CLAIMS,)]
        kept = {path.name for path in api.blobs() if path.parent.name != "incoming"}
        assert {sha256 for (sha256,) in rows(api, "SELECT sha256 FROM evidence")} <= kept
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        for opened in api.clients:
            opened.close()
