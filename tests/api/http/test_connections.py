"""A client with hundreds of silent connections does not shut out other clients."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.limits import HttpLimits
from api.settings import Settings
from tests.api.http.world import Api, running

CROWD = 600
SLOWER_MAX = 5.0  # how much longer others may wait for an answer, as a ratio of what they wait without the crowd


@contextmanager
def limited(settings: Settings, **changes: Any) -> Iterator[Api]:
    http = replace(settings.http, **changes)
    with running(settings.model_copy(update={"http": http})) as api:
        yield api


def port(api: Api) -> int:
    return int(api.url.rsplit(":", 1)[1])


def opened(api: Api, source: str = "127.0.0.2") -> socket.socket:
    """Opens a connection from that address and sends nothing."""
    return socket.create_connection(("127.0.0.1", port(api)), timeout=10, source_address=(source, 0))


def waiting(api: Api) -> bytes:
    """Returns the head of a request whose body the route awaits, which keeps its connection busy."""
    signed_in = api.token("claimant", "clm-a")
    return (
        f"POST /v1/claims HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {signed_in}\r\nIdempotency-Key: k\r\n"
        "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    ).encode()


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def closed_by_us(api: Api) -> dict[str, float]:
    return {
        sample.labels["why"]: sample.value
        for family in text_string_to_metric_families(api.anonymous().get("/metrics").text)
        for sample in family.samples
        if sample.name == "miaopei_http_connections_closed_total"
    }


def seconds_for_answers(api: Api) -> float:
    """Returns the seconds that another client waits for thirty answers, each on a connection of its own."""
    headers = {"Authorization": f"Bearer {api.token('claimant', 'clm-a')}"}
    started = time.monotonic()
    for path in ("/healthz", "/readyz", "/v1/claims") * 10:
        assert httpx.get(api.url + path, headers=headers, trust_env=False, timeout=30).status_code == 200
    return time.monotonic() - started


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"])
def test_six_hundred_silent_connections_of_one_address_shut_nobody_out(settings: Settings, source: str) -> None:
    with limited(settings) as api, ExitStack() as crowd:
        quiet = seconds_for_answers(api)
        for _ in range(CROWD):
            crowd.enter_context(opened(api, source))
        assert seconds_for_answers(api) < quiet * SLOWER_MAX
        assert closed_by_us(api)["peer_limit"] >= CROWD - HttpLimits().connections_per_peer_max


def test_silent_connections_of_many_addresses_displace_each_other_and_no_request(settings: Settings) -> None:
    changes = {"connections_max": 40, "connections_reserved": 8, "connections_per_peer_max": 10}
    with limited(settings, **changes) as api, ExitStack() as crowd:
        busy = crowd.enter_context(opened(api, "127.0.0.9"))
        busy.sendall(waiting(api))
        time.sleep(0.2)
        for number in range(200):
            crowd.enter_context(opened(api, f"127.0.1.{number // 8 + 1}"))
        assert api.anonymous().get("/healthz").is_success
        assert api.as_("claimant", "clm-a").get("/v1/claims").is_success
        busy.sendall(b"0123456789")
        assert busy.recv(12) == b"HTTP/1.1 422"
        assert closed_by_us(api)["total_limit"] >= 200 - 40


def test_where_all_are_busy_machines_are_answered_and_others_told_to_come_back(settings: Settings) -> None:
    changes = {"connections_max": 8, "connections_reserved": 4, "connections_per_peer_max": 0}
    with limited(settings, **changes) as api, ExitStack() as crowd:
        for _ in range(4):
            crowd.enter_context(opened(api)).sendall(waiting(api))
        time.sleep(0.2)
        answer = api.as_("claimant", "clm-b").get("/v1/claims")
        assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "too_busy", "2")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert api.anonymous().get(path).is_success


def test_an_address_whose_connections_are_all_busy_is_told_so(settings: Settings) -> None:
    with limited(settings, connections_per_peer_max=2) as api, ExitStack() as crowd:
        for _ in range(2):
            crowd.enter_context(opened(api, "127.0.0.3")).sendall(waiting(api))
        time.sleep(0.2)
        third = crowd.enter_context(opened(api, "127.0.0.3"))
        head_of_answer, _, body = third.makefile("rb").read().partition(b"\r\n\r\n")
        assert head_of_answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: " in head_of_answer
        assert json.loads(body)["code"] == "too_many_requests"
        assert api.anonymous().get("/healthz").is_success


def test_a_trusted_proxy_may_open_more(settings: Settings) -> None:
    changes = {"connections_per_peer_max": 2, "trusted_proxies": "127.0.0.2"}
    with limited(settings, **changes) as api, ExitStack() as crowd:
        own = [crowd.enter_context(opened(api)) for _ in range(20)]
        others = [crowd.enter_context(opened(api, "127.0.0.3")) for _ in range(20)]
        assert api.anonymous().get("/healthz").is_success
        assert not any(is_closed(connection) for connection in own)
        assert sum(is_closed(connection) for connection in others) == 18


def test_a_head_that_comes_byte_by_byte_is_cut_off(settings: Settings) -> None:
    with limited(settings, head_seconds_max=0.5) as api, opened(api) as slow:
        head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 200
        taken = 0
        try:
            for byte in head:
                slow.sendall(bytes([byte]))
                taken += 1
                time.sleep(0.05)
        except OSError:
            pass
        assert taken < len(head)
        assert closed_by_us(api)["slow_head"] == 1


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(settings: Settings) -> None:
    with limited(settings, write_idle_seconds_max=0.3) as api, opened(api) as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Many answers are asked for on one connection, and none is read.
        try:
            for _ in range(10_000):
                greedy.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        except OSError:
            pass
        assert closed_by_us(api)["slow_reader"] == 1


def test_who_is_refused_before_the_body_is_read_hears_why_and_goes_on_with_the_connection(settings: Settings) -> None:
    with limited(settings) as api, httpx.Client(base_url=api.url, trust_env=False, timeout=30) as client:
        for _ in range(20):
            answer = client.post("/v1/claims", content=bytes(1_000_000), headers={"Idempotency-Key": "k"})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert client.get("/healthz").is_success


def test_a_body_that_nobody_wants_is_not_swallowed_for_ever(settings: Settings) -> None:
    with limited(settings, drain_seconds_max=0.3) as api, opened(api) as endless:
        endless.sendall(b"POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        sent = 0
        try:
            while sent < 2_000:
                endless.sendall(b"-" * 1_000)
                time.sleep(0.005)
                sent += 1
        except OSError:
            pass
        assert sent < 2_000
        assert closed_by_us(api)["unwanted_body"] == 1


def test_machines_have_a_listener_of_their_own_that_answers_nothing_else(settings: Settings) -> None:
    own = settings.model_copy(update={"http_machines_port": 0})
    starting = running(own)
    with starting as api, httpx.Client(base_url=f"http://127.0.0.1:{starting.server.machines_port}") as machine:
        assert machine.get("/healthz").json() == {"status": "ok"}
        assert machine.get("/readyz").is_success
        assert "miaopei_store_up 1.0" in machine.get("/metrics").text
        for path in ("/v1/claims", "/sign-in", "/", "/healthz/"):
            assert machine.get(path).status_code == 404
        assert api.anonymous().get("/healthz").is_success
        with ExitStack() as crowd:
            for _ in range(CROWD):
                crowd.enter_context(opened(api))
            assert machine.get("/healthz").is_success
