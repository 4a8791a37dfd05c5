"""Secrets of each process: the table names every setting that grants access to something."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr

from api import environments
from api.environments import OWN, SECRETS, of_process, variable_of
from api.settings import BankSettings, PartnerSettings, Settings

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
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_PASSWORD", f"{WORD}-server")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told = {
        "api": {"database", "token-key", "evidence"},
        "worker": {"database", "evidence", "cloud"},
        "worker-2": {"database", "evidence", "cloud"},
        "settle": {"database", "bank", "cloud"},
        "refer": {"database", "partner", "cloud"},
        "runner": {"database", "bank", "evidence", "cloud"},
        "prefect": {"cloud", "server"},
        "insurer-anshun": set[str](),
    }
    words = {"database", "migration", "token-key", "bank", "partner", "other", "evidence", "cloud", "server"}
    for name, expected in told.items():
        text = "\n".join(f"{variable}={value}" for variable, value in of_process(settings, name).items())
        assert {word for word in words if f"{WORD}-{word}" in text} == expected, name
        assert "OMP_NUM_THREADS=1" in text
        assert "PATH=" in text


def test_all_settings_that_open_nothing_reach_each_of_our_own_processes(settings: Settings) -> None:
    for kind in OWN:
        there = of_process(settings, kind)
        for name, value in settings:
            if name not in SECRETS and value is not None:
                assert variable_of(name) in there, (kind, name)
    assert environments.kind_of("worker-12") == "worker"
