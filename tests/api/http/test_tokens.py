from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from api.http import tokens
from api.http.token_keys import key_id, rotate
from api.http.tokens import KeyRing, Principal, Role

KEY = b"k" * 32
KEYS = {key_id(KEY): KEY}
HEADER = {"alg": "HS256", "kid": key_id(KEY)}
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


CLAIMS: dict[str, object] = {
    "iss": "miaopei",
    "aud": "miaopei-api",
    "sub": "clm-1",
    "role": "claimant",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 60,
    "jti": "0123456789abcdef",
}


def test_the_contents_that_are_altered_below_are_good_as_they_are() -> None:
    token = jwt.encode(HEADER, CLAIMS, OctKey.import_key(KEY))
    assert tokens.verify(token, keys=KEYS, now=NOW).id == "0123456789abcdef"


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"alg": "HS256", "kid": ""}, {"alg": "HS256", "kid": "../x"}])
def test_a_token_that_names_no_key_in_force_is_refused(header: dict[str, str]) -> None:
    token = jwt.encode(header, CLAIMS, OctKey.import_key(KEY))
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, keys=KEYS, now=NOW)


def test_a_token_for_another_installation_is_refused_though_the_key_is_shared() -> None:
    token = tokens.issue("operator", "ops", key=KEY, now=NOW, audience="staging")
    assert tokens.verify(token, keys=KEYS, now=NOW, audience="staging").principal.subject == "ops"
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, keys=KEYS, now=NOW, audience="production")


def test_every_token_has_an_id_of_its_own_and_says_when_it_was_issued_and_ends() -> None:
    first, second = (
        tokens.verify(tokens.issue("operator", "ops", key=KEY, now=NOW), keys=KEYS, now=NOW) for _ in range(2)
    )
    assert first.id != second.id
    assert (first.key_id, first.issued_at, first.expires_at) == (key_id(KEY), NOW, NOW + timedelta(hours=12))


def test_after_a_rotation_the_new_key_signs_and_the_old_one_verifies_until_its_time(tmp_path: Path) -> None:
    ring = KeyRing("", (), tmp_path)
    before = tokens.issue("operator", "ops", key=ring.signing(), now=NOW)
    new, old = rotate(tmp_path, NOW, timedelta(hours=20))
    after = tokens.issue("operator", "ops", key=ring.signing(), now=NOW)
    assert tokens.verify(after, keys=ring.verifying(NOW), now=NOW).key_id == new
    assert tokens.verify(before, keys=ring.verifying(NOW), now=NOW).key_id in old
    assert set(ring.verifying(NOW + timedelta(hours=20))) == {new}
    assert (tmp_path / "token.key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["token.key"]


def test_a_rotation_without_keeping_ends_the_old_keys_at_once_in_a_running_process(tmp_path: Path) -> None:
    ring = KeyRing("", (), tmp_path)
    before = tokens.issue("operator", "ops", key=ring.signing(), now=NOW)
    rotate(tmp_path, NOW, timedelta(hours=20))
    rotate(tmp_path, NOW, timedelta(0))
    assert len(ring.verifying(NOW)) == 1
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(before, keys=ring.verifying(NOW), now=NOW)


def test_a_second_rotation_gives_no_old_key_more_time(tmp_path: Path) -> None:
    ring = KeyRing("", (), tmp_path)
    first = key_id(ring.signing())
    rotate(tmp_path, NOW, timedelta(hours=1))
    rotate(tmp_path, NOW, timedelta(hours=20))
    assert first in ring.verifying(NOW)
    assert first not in ring.verifying(NOW + timedelta(hours=1))
    assert len(ring.verifying(NOW + timedelta(hours=1))) == 2


def test_a_key_file_of_before_that_holds_one_key_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.touch(0o600)
    path.write_bytes(b"a" * 64)
    assert KeyRing("", (), tmp_path).signing() == b"a" * 64


def test_a_key_file_that_others_may_read_or_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    path.write_bytes(b"a" * 64)
    path.chmod(0o640)
    with pytest.raises(tokens.TokenInvalid, match="chmod 600"):
        KeyRing("", (), tmp_path)
    path.chmod(0o600)
    for content in (b"", b"\n", b"a" * 64 + b" tomorrow\n"):
        path.write_bytes(content)
        with pytest.raises(tokens.TokenInvalid):
            KeyRing("", (), tmp_path)


def test_keys_given_by_setting_verify_as_long_as_they_are_given(tmp_path: Path) -> None:
    before = tokens.issue("operator", "ops", key=b"o" * 32, now=NOW)
    ring = KeyRing("n" * 32, ("o" * 32,), tmp_path)
    assert tokens.verify(before, keys=ring.verifying(NOW), now=NOW).principal.subject == "ops"
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(before, keys=KeyRing("n" * 32, (), tmp_path).verifying(NOW), now=NOW)
    with pytest.raises(tokens.TokenInvalid, match="at least 32"):
        KeyRing("n" * 32, ("short",), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_token_says_who_it_was_issued_to() -> None:
    token = tokens.issue("claimant", "clm-1", key=KEY, now=NOW)
    assert tokens.verify(token, keys=KEYS, now=NOW).principal == Principal(Role.CLAIMANT, "clm-1")


def test_a_token_is_refused_from_the_second_it_expires() -> None:
    token = tokens.issue(Role.ADJUSTER, "wang", key=KEY, now=NOW, valid_for=timedelta(minutes=5))
    tokens.verify(token, keys=KEYS, now=NOW + timedelta(minutes=4, seconds=59))
    with pytest.raises(tokens.TokenExpired):
        tokens.verify(token, keys=KEYS, now=NOW + timedelta(minutes=5, seconds=1))


def test_a_token_of_another_key_is_refused() -> None:
    token = tokens.issue("operator", "ops", key=b"x" * 32, now=NOW)
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, keys=KEYS, now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"role": "root"},
        {"role": None},
        {"sub": ""},
        {"sub": 7},
        {"iss": "other"},
        {"iss": None},
        {"aud": "another-installation"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e30},
        {"iat": None},
        {"jti": None},
        {"jti": "'; DROP"},
        {"jti": 7},
    ],
)
def test_a_signed_token_with_other_contents_is_refused(changed: dict[str, object]) -> None:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    token = jwt.encode(HEADER, claims, OctKey.import_key(KEY))
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, keys=KEYS, now=NOW)


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
        tokens.verify(token, keys=KEYS, now=NOW)


def test_another_algorithm_with_the_same_key_is_refused() -> None:
    long = KEY * 2
    token = jwt.encode({"alg": "HS512", "kid": key_id(long)}, CLAIMS, OctKey.import_key(long), algorithms=["HS512"])
    with pytest.raises(tokens.TokenInvalid):
        tokens.verify(token, keys={key_id(long): long}, now=NOW)


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
