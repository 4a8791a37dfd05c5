"""Keys that sign bearer tokens: one signs, several verify, so that a key can be replaced while its tokens are in use.

`home`/token.key has a line for each key, the signing one first; an older line holds the time until which its key
verifies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from api.http.token_errors import TokenInvalid

KEY_BYTES = 32
FILE_NAME = "token.key"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key. `until`: from then on (UTC) an old key verifies nothing; None for the key that signs."""

    secret: bytes
    until: datetime | None = None


def key_id(secret: bytes) -> str:
    """Returns the name of a key in the header of its tokens: 16 hex digits that do not reveal the key."""
    return hashlib.sha256(b"miaopei token key\0" + secret).hexdigest()[:16]


class KeyRing:
    """The keys in force. `configured` and `old`: the settings' keys, where any are given; else those of the file in
    `home` apply, which is made on first use and read again whenever it changes, so that a rotation reaches a running
    process.

    Raises TokenInvalid for a key of less than 32 bytes (HS256 is only as strong as its key) and for a file that others
    than its owner may read.
    """

    def __init__(self, configured: str, old: Sequence[str], home: Path) -> None:
        self._path = home / FILE_NAME
        self._fixed = bool(configured)
        self._mark: tuple[int, int, int] | None = None
        self._keys: tuple[TokenKey, ...] = ()
        if configured:
            # Configured old keys verify until the operator removes them from the settings.
            self._keys = tuple(TokenKey(_strong(key.encode())) for key in (configured, *old))
        elif old:
            raise TokenInvalid("old token keys are given without a signing key")
        else:
            self._refresh()

    def signing(self) -> bytes:
        """Returns the secret that new tokens are signed with."""
        self._refresh()
        return self._keys[0].secret

    def verifying(self, now: datetime) -> Mapping[str, bytes]:
        """Returns every secret that verifies at `now`, by key id."""
        self._refresh()
        return {key_id(key.secret): key.secret for key in self._keys if key.until is None or key.until > now}

    def _refresh(self) -> None:
        if self._fixed:
            return
        if not self._path.exists():
            _make(self._path)
        status = self._path.stat()
        mark = (status.st_mtime_ns, status.st_ino, status.st_size)
        if mark != self._mark:
            self._keys = _read(self._path)
            self._mark = mark


def load_key(configured: str, home: Path) -> bytes:
    """Returns the signing key: `configured` where set, else the one in `home`. Raises TokenInvalid."""
    return KeyRing(configured, (), home).signing()


def rotate(home: Path, now: datetime, keep: timedelta) -> tuple[str, tuple[str, ...]]:
    """Make a new signing key in the file of `home`; earlier keys verify for `keep` longer, at most. Returns the new
    key's id and the ids of earlier keys that still verify. Raises TokenInvalid."""
    path = home / FILE_NAME
    home.mkdir(parents=True, exist_ok=True)
    with _locked(home):
        before = _read(path) if path.exists() else ()
        until = now + keep
        old = tuple(
            TokenKey(key.secret, until if key.until is None else min(key.until, until))
            for key in before
            if keep and (key.until is None or key.until > now)
        )
        new = TokenKey(_new_secret())
        draft = _draft(path, (new, *old))
        draft.replace(path)
        _sync_folder(home)
    return key_id(new.secret), tuple(key_id(key.secret) for key in old)


def _strong(secret: bytes) -> bytes:
    if len(secret) < KEY_BYTES:
        raise TokenInvalid(f"the token key has {len(secret)} bytes; at least {KEY_BYTES} are needed")
    return secret


def _new_secret() -> bytes:
    return secrets.token_hex(KEY_BYTES).encode()


def _make(path: Path) -> None:
    """Make the key file. Several processes may start at once: a complete file is linked into place, and a process that
    comes second reads the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path, (TokenKey(_new_secret()),))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _draft(path: Path, keys: Sequence[TokenKey]) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(_line(key) for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return draft


def _line(key: TokenKey) -> bytes:
    return key.secret + (f" {key.until.isoformat()}".encode() if key.until is not None else b"") + b"\n"


def _read(path: Path) -> tuple[TokenKey, ...]:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise TokenInvalid(f"{path} may be read by others than its owner: chmod 600, and make a new key")
    keys = []
    for line in path.read_bytes().splitlines():
        secret, _, until = line.strip().partition(b" ")
        if not secret:
            continue
        try:
            keys.append(TokenKey(_strong(secret), datetime.fromisoformat(until.decode()) if until else None))
        except ValueError as error:
            raise TokenInvalid(f"{path} has a line that is no key") from error
    if not keys:
        raise TokenInvalid(f"{path} has no key")
    return tuple(keys)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
