"""Secrets of each process: the table names every setting that grants access to something."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from api import environments
from api.environments import OWN, SECRETS, of_process, variable_of
from api.processes import prefect_config
from api.settings import BankSettings, PartnerSettings, Settings
from api.stack import PREFECT_AUTH, PREFECT_URL, beside_up, prefect_on_this_machine, tell_url

WORD = "KANARI"


def _holds_a_secret(kind: Any) -> bool:
    if kind is SecretStr:
        return True
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any(_holds_a_secret(field.annotation) for field in kind.model_fields.values())
    return any(_holds_a_secret(part) for part in get_args(kind))


def test_every_setting_that_opens_something_is_in_the_table() -> None:
    sensitive = {
        name
        for name, field in Settings.model_fields.items()
        if not field.repr or _holds_a_secret(field.annotation) or "password" in (field.description or "")
    }
    assert sensitive == set(SECRETS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=f"postgresql://u:{WORD}-database@h/x",
        migration_database_url=f"postgresql://u:{WORD}-migration@h/x",
        prefect_database_url=f"postgresql://u:{WORD}-prefect@h/x",
        prefect_auth_string=SecretStr(f"miaopei:{WORD}-runs"),
        token_key=f"{WORD}-token-key-token-key-token-key",
        bank=BankSettings(url="http://bank", token=SecretStr(f"{WORD}-bank")),
        partners={"anshun": PartnerSettings(webhook_url="http://a", secret=SecretStr(f"{WORD}-partner"))},
    )


def test_each_process_is_told_what_it_needs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_BANK", f'{{"token": "{WORD}-bank"}}')  # as the caller may have given them
    monkeypatch.setenv("MIAOPEI_TOKEN_KEY", f"{WORD}-token-key")
    monkeypatch.setenv("SOMEBODYS_SECRET", f"{WORD}-other")
    monkeypatch.setenv("PGPASSWORD", f"{WORD}-other")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{WORD}-evidence")
    monkeypatch.setenv("PREFECT_API_KEY", f"{WORD}-cloud")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"miaopei:{WORD}-runs")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", f"{WORD}-level")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_PASSWORD", f"{WORD}-server")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told = {
        "api": {"database", "token-key", "evidence"},
        "worker": {"database", "evidence", "runs", "level"},
        "worker-2": {"database", "evidence", "runs", "level"},
        "settle": {"database", "bank", "runs", "level"},
        "refer": {"database", "partner", "runs", "level"},
        "runner": {"database", "bank", "evidence", "runs", "level"},
        "prefect": {"server", "level"},
        "insurer-anshun": set[str](),
    }
    words = {
        "database",
        "migration",
        "token-key",
        "bank",
        "partner",
        "other",
        "evidence",
        "cloud",
        "runs",
        "server",
        "level",
    }
    for name, expected in told.items():
        text = "\n".join(f"{variable}={value}" for variable, value in of_process(settings, name).items())
        assert {word for word in words if f"{WORD}-{word}" in text} == expected, name
        assert "OMP_NUM_THREADS=1" in text
        assert "PATH=" in text


def test_a_key_and_a_password_of_prefect_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="PREFECT_API_KEY and PREFECT_API_AUTH_STRING are both set"):
        Settings(home=tmp_path, prefect_api_key=SecretStr("pnu_key"), prefect_auth_string=SecretStr("user:password"))
    with pytest.raises(ValidationError, match="must be `user:password`"):
        Settings(home=tmp_path, prefect_auth_string=SecretStr("password"))


def test_every_process_that_shows_runs_reaches_prefect_the_same_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorities = settings.home / "ca.pem"
    told = settings.model_copy(
        update={"prefect_api_url": "https://prefect.example/tools/api", "prefect_ssl_cert_file": authorities}
    )
    configs = []
    for kind in ("worker", "settle", "refer"):
        for variable in [name for name in os.environ if name.startswith(("MIAOPEI_", "PREFECT_"))]:
            monkeypatch.delenv(variable)
        for variable, value in of_process(told, kind).items():
            monkeypatch.setenv(variable, value)
        configs.append(prefect_config(Settings()))
    assert configs[0] == configs[1] == configs[2]
    assert configs[0].auth_string == f"miaopei:{WORD}-runs"
    assert configs[0].ssl_cert_file == authorities
    assert configs[0].ui_url == "https://prefect.example/tools"
    assert WORD not in repr(configs[0])


def test_the_prefect_server_of_the_stack_asks_for_a_password_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", f"{WORD}-cloud")  # of another server
    here = prefect_on_this_machine(settings)
    opened_by = (settings.home / PREFECT_AUTH).read_text(encoding="utf-8")
    assert (settings.home / PREFECT_AUTH).stat().st_mode & 0o077 == 0
    assert here.prefect_auth_string.get_secret_value() == opened_by
    assert opened_by.startswith("miaopei:")
    assert len(opened_by) > 30
    assert prefect_on_this_machine(settings).prefect_auth_string == here.prefect_auth_string, (
        "the next start has it, too"
    )
    assert here.prefect_pages == here.prefect_api_url.removesuffix("/api") + "/v2", "the pages that ask for it"
    theirs = settings.model_copy(update={"prefect_ui_url": "https://prefect.example"})
    assert prefect_on_this_machine(theirs).prefect_pages == "https://prefect.example"
    worker = of_process(here, "worker")
    assert worker["PREFECT_API_AUTH_STRING"] == opened_by
    assert worker["PREFECT_API_KEY"] == ""
    server = of_process(here, "prefect")
    assert not [name for name, value in server.items() if opened_by in value or WORD in value]
    for kind in ("api", "insurer-anshun"):
        assert opened_by not in of_process(here, kind).values(), kind


def test_a_command_beside_the_stack_finds_its_prefect_server_and_believes_no_dead_one(settings: Settings) -> None:
    alone = settings.model_copy(update={"prefect_api_url": "", "prefect_auth_string": SecretStr("")})
    assert beside_up(alone) == alone, "no stack runs here"
    up = prefect_on_this_machine(alone)
    told = tell_url(up)
    assert (alone.home / PREFECT_URL).stat().st_mode & 0o077 == 0
    beside = beside_up(alone.model_copy(update={"prefect_api_key": SecretStr(f"{WORD}-cloud")}))
    assert beside.prefect_api_url == up.prefect_api_url
    assert beside.prefect_auth_string == up.prefect_auth_string
    assert beside.prefect_api_key.get_secret_value() == ""
    other = alone.model_copy(update={"prefect_api_url": "https://prefect.example/api"})
    assert beside_up(other) == other, "the setting is the operator's word"
    told.close()  # as the kernel does for a killed process
    assert (alone.home / PREFECT_URL).exists()
    assert beside_up(alone) == alone, "whoever has the port now gets no password"


def test_all_settings_that_open_nothing_reach_each_of_our_own_processes(settings: Settings) -> None:
    for kind in OWN:
        there = of_process(settings, kind)
        for name, value in settings:
            if name not in SECRETS and value is not None:
                assert variable_of(name) in there, (kind, name)
    assert environments.kind_of("worker-12") == "worker"
