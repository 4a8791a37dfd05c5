"""Bearer tokens: JWT (HS256) with a role, a subject and an expiry.

TokenRefused            the base: 401
├── TokenInvalid        not ours, altered, or of an unknown role
└── TokenExpired        was ours, once
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

ISSUER = "miaopei"
KEY_BYTES = 32
SUBJECT_CHARACTERS_MAX = 200


class TokenRefused(Exception):
    """A token that does not let anybody in."""


class TokenInvalid(TokenRefused): ...


class TokenExpired(TokenRefused): ...


class Role(StrEnum):
    CLAIMANT = "claimant"  # subject: claimant id
    ADJUSTER = "adjuster"  # subject: the person
    PARTNER = "partner"  # subject: key of the partner insurer
    OPERATOR = "operator"
    PLATFORM = "platform"  # the selling platform: registers policies and pets


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    role: Role
    subject: str

    def __str__(self) -> str:
        return f"{self.role}:{self.subject}"


def issue(
    role: Role | str, subject: str, *, key: bytes, now: datetime, valid_for: timedelta = timedelta(hours=12)
) -> str:
    """A signed token. `key`: at least 32 bytes, from `load_key`. Raises TokenInvalid for an unknown role or an
    unusable subject.
    """
    known = _role(role)
    if not subject or len(subject) > SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise TokenInvalid(f"a subject has 1 to {SUBJECT_CHARACTERS_MAX} printable characters")
    claims = {
        "iss": ISSUER,
        "sub": subject,
        "role": known.value,
        "iat": int(now.timestamp()),
        "exp": int((now + valid_for).timestamp()),
        "jti": secrets.token_hex(8),
    }
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(key), algorithms=["HS256"])


def verify(token: str, *, key: bytes, now: datetime) -> Principal:
    """Who the token speaks for. Raises TokenExpired or TokenInvalid; only HS256, whatever its header says."""
    rules = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        iss={"essential": True, "value": ISSUER},
        sub={"essential": True},
        role={"essential": True},
        exp={"essential": True},
    )
    try:
        claims = jwt.decode(token, OctKey.import_key(key), algorithms=["HS256"]).claims
        rules.validate(claims)
    except ExpiredTokenError as error:
        raise TokenExpired("the token has expired") from error
    except (JoseError, ValueError) as error:
        raise TokenInvalid("the token is not one of ours") from error
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise TokenInvalid("the token names nobody")
    return Principal(_role(claims["role"]), subject)


def load_key(configured: str, home: Path) -> bytes:
    """The signing key: `configured` where set, else `home`/token.key, made on first use and readable by its owner
    alone.

    Raises TokenInvalid when the key is shorter than 32 bytes: HS256 is only as strong as its key.
    """
    key = configured.encode() if configured else _stored_key(home / "token.key")
    if len(key) < KEY_BYTES:
        raise TokenInvalid(f"the token key has {len(key)} bytes; at least {KEY_BYTES} are needed")
    return key


def _stored_key(path: Path) -> bytes:
    """Several processes may start at once: a complete key is linked into place, and whoever comes second reads the
    first one's.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(KEY_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes().strip()


def _role(value: object) -> Role:
    try:
        return Role(str(value))
    except ValueError as error:
        raise TokenInvalid(f"no such role: {value!r}") from error
