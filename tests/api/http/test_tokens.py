from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from api.http import tokens
from api.http.tokens import Principal, Role

KEY = b"k" * 32
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def test_a_token_says_who_it_was_issued_to() -> None:
    token = tokens.issue("claimant", "clm-1", key=KEY, now=NOW)
    assert tokens.verify(token, key=KEY, now=NOW) == Principal(Role.CLAIMANT, "clm-1")


def test_a_token_is_refused_from_the_second_it_expires() -> None:
    token = tokens.issue(Role.ADJUSTER, "wang", key=KEY, now=NOW, valid_for=timedelta(minutes=5))
    tokens.verify(token, key=KEY, now=NOW + timedelta(minutes=4, seconds=59))
    with pytest.raises(tokens.TokenExpired):
        tokens.verify(token, key=KEY, now=NOW + timedelta(minutes=5, seconds=1))


def test_a_token_of_another_key_is_refused() -> None:
    token = tokens.issue("operator", "ops", key=b"x" * 32, now=NOW)
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, key=KEY, now=NOW)


@pytest.mark.parametrize(
    "changed", [{"role": "root"}, {"role": None}, {"sub": ""}, {"sub": 7}, {"iss": "other"}, {"exp": None}]
)
def test_a_signed_token_with_other_contents_is_refused(changed: dict[str, object]) -> None:
    claims = {"iss": "miaopei", "sub": "clm-1", "role": "claimant", "exp": int(NOW.timestamp()) + 60} | changed
    claims = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(KEY))
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, key=KEY, now=NOW)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "not a token",
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJtaWFvcGVpIiwic3ViIjoiYSIsInJvbGUiOiJhZGp1c3RlciIsImV4cCI6OTk5OTk5OTk5OX0.",
    ],
)
def test_what_is_no_token_or_unsigned_is_refused(token: str) -> None:
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, key=KEY, now=NOW)


def test_another_algorithm_with_the_same_key_is_refused() -> None:
    claims = {"iss": "miaopei", "sub": "clm-1", "role": "claimant", "exp": int(NOW.timestamp()) + 60}
    token = jwt.encode({"alg": "HS512"}, claims, OctKey.import_key(KEY * 2), algorithms=["HS512"])
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, key=KEY * 2, now=NOW)


@pytest.mark.parametrize(
    ("role", "subject"), [("root", "a"), ("claimant", ""), ("claimant", "a\nb"), ("claimant", "x" * 201)]
)
def test_no_token_is_issued_for_an_unknown_role_or_an_unusable_subject(role: str, subject: str) -> None:
    with pytest.raises(tokens.TokenInvalid):
        tokens.issue(role, subject, key=KEY, now=NOW)


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = tokens.load_key("", tmp_path / "home")
    assert tokens.load_key("", tmp_path / "home") == first
    assert len(first) >= 32
    assert (tmp_path / "home" / "token.key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["token.key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    keys: list[bytes] = []
    barrier = threading.Barrier(8)

    def load() -> None:
        barrier.wait()
        keys.append(tokens.load_key("", tmp_path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_short_configured_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(tokens.TokenInvalid, match="at least 32"):
        tokens.load_key("short", tmp_path)
