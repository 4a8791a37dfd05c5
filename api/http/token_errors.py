"""Why a bearer token lets nobody in.

TokenRefused            the base: 401
├── TokenInvalid        not ours, altered, for another audience, of an unknown role or key
├── TokenExpired        was ours, once
└── TokenRevoked        ours and in time, and taken back
"""

from __future__ import annotations


class TokenRefused(Exception):
    """A token that does not let anybody in."""


class TokenInvalid(TokenRefused): ...


class TokenExpired(TokenRefused): ...


class TokenRevoked(TokenRefused): ...
