"""Bearer tokens: JWT (HS256) with a role, a subject, an id of their own, an audience and an expiry. The header names
the key that signed (`api.http.token_keys`); refusals are in `api.http.token_errors`.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from api.http.token_errors import TokenExpired, TokenInvalid, TokenRefused, TokenRevoked
from api.http.token_keys import KeyRing, key_id, load_key

__all__ = [
    "KeyRing", "Principal", "Role", "Token", "TokenExpired", "TokenInvalid", "TokenRefused", "TokenRevoked", "is_id",
    "issue", "load_key", "verify",
]  # fmt: skip

ISSUER = "miaopei"
AUDIENCE = "miaopei-api"  # the setting's default
SUBJECT_CHARACTERS_MAX = 200
_ID = re.compile(r"[0-9a-f]{16,64}")


class Role(StrEnum):
    CLAIMANT = "claimant"  # subject: claimant id
    ADJUSTER = "adjuster"  # subject: the person
    PARTNER = "partner"  # subject: key of the partner insurer
    OPERATOR = "operator"
    PLATFORM = "platform"  # the selling platform: registers policies and pets


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: its role and subject."""

    role: Role
    subject: str

    @property
    def partner(self) -> str | None:
        """Returns the key of the insurer whose person calls; None for everybody else, whose view is not narrowed to an
        insurer."""
        return self.subject if self.role is Role.PARTNER else None

    def __str__(self) -> str:
        return f"{self.role}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Token:
    """A token with a valid signature and valid times: its principal, its id, the id of its key, its times (UTC).
    Revocation is checked in the store."""

    principal: Principal
    id: str
    key_id: str
    issued_at: datetime
    expires_at: datetime


def issue(
    role: Role | str,
    subject: str,
    *,
    key: bytes,
    now: datetime,
    valid_for: timedelta = timedelta(hours=12),
    audience: str = AUDIENCE,
) -> str:
    """Returns a signed token. `key`: at least 32 bytes, from `KeyRing.signing`. Raises TokenInvalid for an unknown role
    or an unusable subject."""
    known = _role(role)
    if not subject or len(subject) > SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise TokenInvalid(f"a subject has 1 to {SUBJECT_CHARACTERS_MAX} printable characters")
    claims = {
        "iss": ISSUER,
        "aud": audience,
        "sub": subject,
        "role": known.value,
        # To the microsecond: a token issued just after its subject's tokens were revoked is none of those.
        "iat": now.timestamp(),
        "exp": int((now + valid_for).timestamp()),
        "jti": secrets.token_hex(8),
    }
    return jwt.encode({"alg": "HS256", "kid": key_id(key)}, claims, OctKey.import_key(key), algorithms=["HS256"])


def verify(token: str, *, keys: Mapping[str, bytes], now: datetime, audience: str = AUDIENCE) -> Token:
    """Returns the token if one of `keys` (by id) signed it for `audience` and it is in time. Raises TokenExpired or
    TokenInvalid; accepts only HS256, whatever its header states."""
    rules = jwt.JWTClaimsRegistry(
        now=math.ceil(now.timestamp()),  # `iat` has fractions
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": audience},
        sub={"essential": True},
        role={"essential": True},
        iat={"essential": True},
        exp={"essential": True},
        jti={"essential": True},
    )
    named = ""

    def find(part: Any) -> OctKey:
        nonlocal named
        named = str(part.headers().get("kid", ""))
        if named not in keys:
            raise TokenInvalid("the token names no key in force")
        return OctKey.import_key(keys[named])

    try:
        claims = jwt.decode(token, find, algorithms=["HS256"]).claims
        rules.validate(claims)
    except ExpiredTokenError as error:
        raise TokenExpired("the token has expired") from error
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenInvalid("the token is not one of ours") from error
    subject, token_id = claims["sub"], claims["jti"]
    if not isinstance(subject, str) or not subject:
        raise TokenInvalid("the token names nobody")
    if not isinstance(token_id, str) or not _ID.fullmatch(token_id):
        raise TokenInvalid("the token has no id")
    return Token(Principal(_role(claims["role"]), subject), token_id, named, _time(claims["iat"]), _time(claims["exp"]))


def is_id(text: str) -> bool:
    """True if `verify` accepts the text as the id of a token."""
    return _ID.fullmatch(text) is not None


def _role(value: object) -> Role:
    try:
        return Role(str(value))
    except ValueError as error:
        raise TokenInvalid(f"no such role: {value!r}") from error


def _time(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise TokenInvalid("the token's times are out of range") from error
