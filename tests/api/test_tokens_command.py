"""`miaopei tokens`: issue, revoke, rotate, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import app


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAOPEI_HOME", str(tmp_path))
    monkeypatch.setenv("MIAOPEI_DATABASE_URL", database_url)


def run(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["tokens", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[0]) if done.stdout.strip() else {}
    return read


def wrong(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["tokens", *arguments])
    assert done.exit_code == 2, done.output
    return done.output


def test_a_token_is_issued_with_its_id_and_revoked_by_it() -> None:
    made = run("issue", "--role", "adjuster", "--subject", "wang", "--hours", "2")
    assert made["token"].count(".") == 2
    assert run("revoke", made["id"], "--reason", "lost")["revoked"] == made["id"]
    assert run("revoke", "--role", "adjuster", "--subject", "wang")["revoked"] == "adjuster:wang"
    listed = CliRunner().invoke(app, ["tokens", "revoked", "--json"]).stdout.splitlines()
    assert [json.loads(line)["revoked"] for line in listed] == ["adjuster:wang", made["id"]]


def test_a_rotation_says_which_keys_still_verify() -> None:
    first = run("issue", "--role", "operator", "--subject", "ops")["key"]
    rotated = run("rotate")
    assert rotated["verifying"] == [rotated["signing"], first]
    assert run("issue", "--role", "operator", "--subject", "ops")["key"] == rotated["signing"]
    again = run("rotate", "--keep-hours", "0")
    assert again["verifying"] == [again["signing"]]


def test_what_makes_no_sense_is_told_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "at most" in wrong("issue", "--role", "adjuster", "--subject", "wang", "--hours", "9000")
    assert "no such role" in wrong("issue", "--role", "root", "--subject", "wang")
    for arguments in (
        ("revoke",),
        ("revoke", "--role", "adjuster"),
        ("revoke", "abc"),
        ("revoke", "a" * 16, "--role", "x"),
    ):
        wrong(*arguments)
    assert "no such role" in wrong("revoke", "--role", "root", "--subject", "wang")
    monkeypatch.setenv("MIAOPEI_TOKEN_KEY", "k" * 32)
    assert "MIAOPEI_TOKEN_KEYS_OLD" in wrong("rotate")
