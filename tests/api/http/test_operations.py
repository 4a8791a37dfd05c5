from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from api.settings import Settings
from claims.alerts import KINDS, Met
from claims.decision import Ground, Outcome, Reason
from claims.store import alerts, brakes, queue
from claims.store.alerts import AlertPolicy
from claims.store.engine import connect
from tests.api.http.world import SUSPICION, Api, decide, register, running, submit

ROOT = Path(__file__).parents[3]
CLEAR = Reason("photo_unseen", Ground.CLEAR, Outcome.PAY, "", "")


def series(api: Api) -> dict[tuple[str, ...], float]:
    """Returns every sample of /metrics by its name and label values."""
    answer = api.anonymous().get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_operators_see_the_figures_and_prometheus_the_same(api: Api) -> None:
    operator = api.as_("operator", "ops")
    empty = operator.get("/v1/operations").json()
    assert (empty["submitted"], empty["straight_through_rate"], empty["decision_seconds_p50"]) == (0, None, None)
    assert ("miaopei_straight_through_ratio",) not in series(api)
    register(api)
    for outcome, reason in ((Outcome.PAY, CLEAR), (Outcome.REFER, SUSPICION)):
        decide(api, submit(api)["id"], outcome, reason, payout_minor=100 if outcome is Outcome.PAY else 0)
    waiting = submit(api)
    figures = operator.get("/v1/operations").json()
    assert figures["decisions_by_outcome"] == {"pay": 1, "refer": 1}
    assert figures["payouts_by_state"] == {"reserved": 1}
    assert (figures["adjudication"]["due"], figures["referrals_open"]) == (1, 1)
    api.anonymous().get("/v1/nothing-here")
    samples = series(api)
    assert samples["miaopei_store_up",] == 1
    assert samples["miaopei_claims_decided", "pay"] == 1
    assert samples["miaopei_payouts", "reserved"] == 1
    assert samples["miaopei_backlog_due", "adjudication"] == 1
    assert samples["miaopei_backlog_oldest_seconds", "adjudication"] >= 0
    assert samples["miaopei_http_requests_total", "POST", "/v1/claims", "202"] == 3
    assert samples["miaopei_http_requests_total", "any", "unmatched", "404"] == 1
    assert samples["miaopei_http_request_seconds_count", "POST", "/v1/claims"] == 3
    assert waiting["id"] not in api.anonymous().get("/metrics").text


async def _put_off(dsn: str, resource: str) -> None:
    engine, now = connect(dsn), datetime.now(UTC)
    try:
        async with engine.begin() as conn:
            (lease,) = await queue.lease(conn, "test", 1, 30.0, now)
            await queue.postpone(conn, lease, resource, "no space left on device", now)
    finally:
        await engine.dispose()


def test_claims_that_wait_for_our_machines_are_shown_by_what_is_missing(api: Api) -> None:
    register(api)
    submit(api)
    assert api.as_("operator", "ops").get("/v1/operations").json()["waiting_for_resources"] == {}
    asyncio.run(_put_off(api.settings.database_url, "disk"))
    assert api.as_("operator", "ops").get("/v1/operations").json()["waiting_for_resources"] == {"disk": 1}
    assert series(api)["miaopei_claims_waiting_for_resources", "disk"] == 1


async def _opened(dsn: str, *met: Met) -> None:
    engine, policy = connect(dsn), AlertPolicy({}, resolve_after_seconds=0.0, repeat_seconds=86_400.0)
    try:
        async with engine.begin() as conn:
            await alerts.keep(conn, met, (), datetime.now(UTC), policy, ())
    finally:
        await engine.dispose()


def test_open_alerts_are_shown_to_operators_and_to_prometheus(api: Api) -> None:
    operator = api.as_("operator", "ops")
    assert operator.get("/v1/operations").json()["alerts"] == []
    assert series(api)["miaopei_alerts_open", "payout.unclear"] == 0
    figures = {"claim": "clm_1", "age_seconds": 7_200}
    asyncio.run(_opened(api.settings.database_url, Met(KINDS["payout.unclear"], "p1", figures)))
    (shown,) = operator.get("/v1/operations").json()["alerts"]
    assert (shown["name"], shown["subject"], shown["severity"], shown["figures"]) == (
        "payout.unclear",
        "p1",
        "critical",
        figures,
    )
    assert series(api)["miaopei_alerts_open", "payout.unclear"] == 1
    asyncio.run(_opened(api.settings.database_url))
    assert operator.get("/v1/operations").json()["alerts"] == []


def test_readiness_names_what_does_not_answer_and_claims_get_a_503(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/none"})
    with running(away) as api:
        client = api.anonymous()
        assert client.get("/healthz").json() == {"status": "ok"}
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "unavailable", "evidence": "ok"})
        answer = api.as_("claimant", "clm-a").get("/v1/claims")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert answer.headers["Retry-After"]
        assert series(api)["miaopei_store_up",] == 0


def test_a_server_that_is_ready_says_so(api: Api) -> None:
    ready = api.anonymous().get("/readyz")
    checks = {"database": "ok", "evidence": "ok", "role": "too_powerful"}  # the tests' own role is a superuser
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "checks": checks})


def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path, status in (("/healthz", 200), ("/v1/claims", 401), ("/v1/nothing", 404)):
        answer = api.anonymous().get(path)
        assert answer.status_code == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "server" not in answer.headers
    assert api.anonymous().get("/v1/claims").headers["Cache-Control"] == "no-store"


def test_the_app_starts_without_vision_torch_or_prefect() -> None:
    heavy = "('torch', 'torchvision', 'prefect', 'vision', 'models', 'flows', 'cv2', 'onnxruntime', 'fixtures')"
    script = f"import sys, api.serve, api.http.openapi\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def _brake(dsn: str, name: str, at_once_max: int | None) -> None:
    engine, now = connect(dsn), datetime.now(UTC)
    try:
        async with engine.begin() as conn:
            await brakes.put(conn, name, at_once_max, now, source="command", actor="operator:eve", reason="drill")
    finally:
        await engine.dispose()


def test_what_people_hold_is_among_the_metrics_while_they_hold_it(api: Api) -> None:
    register(api)
    submit(api)
    dsn = api.settings.database_url
    for name, at_once_max in (("adjudicate", 0), ("ocr", 4)):
        asyncio.run(_brake(dsn, name, at_once_max))
    samples = series(api)
    assert (samples["miaopei_brake_limit", "adjudicate"], samples["miaopei_brake_limit", "ocr"]) == (0, 4)
    assert (samples["miaopei_brake_waiting", "adjudicate"], samples["miaopei_brake_waiting", "ocr"]) == (1, 0)
    for name in ("adjudicate", "ocr"):
        asyncio.run(_brake(dsn, name, None))
    assert not [sample for sample in series(api) if sample[0].startswith("miaopei_brake")]
