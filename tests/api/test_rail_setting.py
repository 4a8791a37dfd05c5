"""The payout rail is chosen by a setting; an unknown rail is refused at start with a helpful message."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from api.cli import app
from api.processes import settle_config
from api.settings import Settings
from flows.errors import InvalidRail, UnknownRail
from flows.rails.http import FINAL_REFUSALS, HttpRailSettings
from flows.rails.registry import RAILS, chosen


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_HOME", str(tmp_path))


@pytest.mark.parametrize("command", ["settle", "up", "reconcile"])
def test_a_rail_that_there_is_not_is_refused_at_start(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_RAIL__KIND", "pigeon")
    monkeypatch.setenv("MIAOPEI_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    done = CliRunner().invoke(app, [command])
    assert done.exit_code == 2
    refused = f"no payout rail 'pigeon' (MIAOPEI_RAIL, kind); known: {', '.join(sorted(RAILS))}"
    assert refused in " ".join(done.output.split())


def test_an_option_that_the_rail_does_not_know_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_RAIL", '{"options": {"tokn": "KANARI"}}')
    done = CliRunner().invoke(app, ["settle"])
    assert done.exit_code == 2
    assert "payout rail 'http': tokn: Extra inputs are not permitted" in " ".join(done.output.split())
    assert "KANARI" not in done.output
    with pytest.raises(InvalidRail, match="reply_timeout_seconds"):
        chosen("http", {"reply_timeout_seconds": -1})
    with pytest.raises(UnknownRail, match=f"known: {', '.join(sorted(RAILS))}"):
        chosen("", {})


def test_without_a_word_the_rail_is_the_banks_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settle_config(Settings()).rail.settings == HttpRailSettings()
    monkeypatch.setenv("MIAOPEI_BANK__URL", "https://bank.example/rail")
    monkeypatch.setenv("MIAOPEI_BANK__TOKEN", "KANARI")
    monkeypatch.setenv("MIAOPEI_BANK__FINAL_REFUSALS", '["no_such_iban"]')
    monkeypatch.setenv("MIAOPEI_BANK__RECONCILE_SECONDS", "60")
    config = settle_config(Settings())
    assert config.reconcile_seconds == 60
    assert config.rail.settings == HttpRailSettings(
        url="https://bank.example/rail", token=SecretStr("KANARI"), final_refusals=frozenset({"no_such_iban"})
    )
    assert "KANARI" not in repr(config)
    assert "account_closed" in FINAL_REFUSALS
    monkeypatch.setenv("MIAOPEI_RAIL", '{"options": {"url": "https://other.example", "token": "KANARI"}}')
    assert "KANARI" not in repr(Settings())
    assert getattr(settle_config(Settings()).rail.settings, "url", "") == "https://other.example"
