"""`miaopei flows alerts` and `flows automations` by command, and settings that are refused."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from api.cli import app
from api.processes import refer_config, settle_config, watch_config
from api.settings import AlertSettings, MailSettings, NoticeSettings, Settings
from claims.alerts import KINDS, Met
from claims.store import alerts
from claims.store.alerts import AlertPolicy
from claims.store.engine import connect
from flows.config import MailConfig
from tests.receiver import receiving

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.setenv("MIAOPEI_DATABASE_URL", database_url)
    monkeypatch.setenv("MIAOPEI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["flows", *arguments])


def opened(dsn: str, *met: Met, seconds: float = 0.0) -> None:
    async def keep() -> None:
        engine = connect(dsn)
        policy = AlertPolicy({}, resolve_after_seconds=60.0, repeat_seconds=86_400.0)
        async with engine.begin() as conn:
            await alerts.keep(conn, met, (), NOW + timedelta(seconds=seconds), policy, ("webhook",))
        await engine.dispose()

    asyncio.run(keep())


def test_open_alerts_are_listed_with_their_notices_and_ended_ones_when_asked_for(
    run: Callable[..., Any], database_url: str
) -> None:
    assert "no alert is open" in run("alerts").stdout
    unclear = Met(KINDS["payout.unclear"], "p1", {"age_seconds": 7_200, "claim": "clm_1"})
    opened(database_url, unclear, Met(KINDS["backlog.old"], "settle", {"due": 3}))
    first, second = (json.loads(line) for line in run("alerts", "--json").stdout.splitlines())
    assert (first["name"], first["subject"], second["name"]) == ("payout.unclear", "p1", "backlog.old")
    assert [(each["way"], each["state"]) for each in first["notices"]] == [("webhook", "due")]
    assert "payout.unclear" in run("alerts").stdout
    opened(database_url, unclear, seconds=100)
    assert len(run("alerts", "--json").stdout.splitlines()) == 1
    assert len(run("alerts", "--all", "--json").stdout.splitlines()) == 2


def test_a_test_notice_goes_by_each_way_and_the_exit_code_says_if_one_was_not_taken(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "no way is set" in run("alerts", "test").stdout
    with receiving(tmp_path) as receiver:
        mail = {"host": "127.0.0.1", "port": receiver.smtp_port, "security": "none"}
        mail |= {"sender": "m@x.example", "recipients": ["ops@x.example"]}
        monkeypatch.setenv("MIAOPEI_NOTICES__WEBHOOK_URL", receiver.url)
        monkeypatch.setenv("MIAOPEI_NOTICES__MAIL", json.dumps(mail))
        told = run("alerts", "test", "--json")
        assert told.exit_code == 0, told.output
        assert [(each["way"], each["taken"]) for each in json.loads(told.stdout)] == [("webhook", True), ("mail", True)]
        assert (len(receiver.posts()), len(receiver.mails())) == (1, 1)
        receiver.answer(500)
        told = run("alerts", "test", "--json")
        assert told.exit_code == 1
        webhook, mailed = json.loads(told.stdout)
        assert webhook["detail"] == "webhook: answered 500"
        assert "451" in mailed["detail"]


def test_automations_need_a_server_that_answers(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    told = run("automations", "apply")
    assert (told.exit_code, "PREFECT_API_URL" in told.output) == (2, True)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    told = run("automations", "list")
    assert (told.exit_code, "does not answer" in told.output) == (1, True)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"webhook_url": "ftp://x"}, "https://"),
        ({"webhook_url": "http://"}, "name a host"),
        ({"webhook_secret": "whsec_***"}, "whsec_"),
        ({"block": "slack-webhook"}, "slack-webhook/ops"),
        ({"language": "tlh"}, "one of"),
        ({"mail": {"host": "mx", "sender": "a@x.example"}}, "recipients"),
        ({"mail": {"host": "mx", "sender": "nobody", "recipients": ["a@x.example"]}}, "'nobody' is no mail address"),
        ({"mail": {"host": "mx", "sender": "a@x.example", "recipients": ["a@x\r\nBcc: b@x"]}}, "no mail address"),
        (
            {"mail": {"host": "mx", "sender": "a@x.example", "recipients": ["b@x.example"], "user": "u",
                      "security": "none"}},
            "in the clear",
        ),
        ({"mail": {"port": 0}}, "greater than or equal to 1"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_in_words(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        NoticeSettings.model_validate(wrong)


def test_settings_reach_both_processes_that_watch(tmp_path: Path) -> None:
    mail = MailSettings(host="mx", sender="a@x.example", recipients=("b@x.example",), password="pass")  # type: ignore[arg-type]
    settings = Settings(
        home=tmp_path,
        notices=NoticeSettings(webhook_url="https://x.example/hook", webhook_secret=SECRET, mail=mail, language="zh"),  # type: ignore[arg-type]
        alerts=AlertSettings(payout_unclear_minutes=5, backlog_minutes=1),
    )
    config = watch_config(settings)
    assert refer_config(settings).watch == settle_config(settings).watch == config
    assert (config.limits.payout_unclear_seconds, config.limits.backlog_seconds) == (300, 60)
    assert config.limits.reconciled_seconds == 3 * settings.bank.reconcile_seconds
    assert config.notices.mail == MailConfig("mx", 587, "a@x.example", ("b@x.example",), password="pass")
    for shown in (repr(config), repr(settings)):
        assert SECRET not in shown
        assert "pass" not in shown.replace("password", "")
