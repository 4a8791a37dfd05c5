"""Errors of bearer tokens that are refused.

TokenRefused            the base: 401
├── TokenInvalid        not ours, altered, for another audience, of an unknown role or key
├── TokenExpired        was valid, and its time has run out
└── TokenRevoked        ours and in time, but revoked
"""

from __future__ import annotations


class TokenRefused(Exception):
    """The token gives no access."""


class TokenInvalid(TokenRefused): ...


class TokenExpired(TokenRefused): ...


class TokenRevoked(TokenRefused): ...
