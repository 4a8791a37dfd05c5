"""Checks who may call a route: a bearer token must have one of the roles that the route names."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.http import tokens
from api.http.context import Context, Ctx
from api.http.problems import Problem
from api.http.tokens import Principal, Role, Token
from claims.store import revocations

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token from `miaopei tokens issue`: role, subject, expiry."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def good_token(context: Context, written: str) -> Token:
    """Returns the verified token of this text. Raises TokenInvalid, TokenExpired, TokenRevoked."""
    token = _verified(context, written)
    await _check_revocation(context, token)
    return token


def _verified(context: Context, written: str) -> Token:
    now = context.now()
    return tokens.verify(written, keys=context.keys.verifying(now), now=now, audience=context.settings.token_audience)


async def _check_revocation(context: Context, token: Token) -> None:
    async with context.engine.connect() as conn:
        if await revocations.is_revoked(conn, token.id, str(token.principal), token.issued_at):
            raise tokens.TokenRevoked("the token was revoked")


async def _principal(context: Ctx, request: Request, credentials: Credentials) -> Principal:
    try:
        if credentials is None:
            raise Problem("unauthenticated", "Send `Authorization: Bearer TOKEN`.")
        token = _verified(context, credentials.credentials)
    except (Problem, tokens.TokenRefused) as refused:
        await context.rates.fails(request)
        raise _refusal(refused) from refused
    # Counted before the store is asked anything.
    await context.rates.asks(request, token.principal)
    try:
        await _check_revocation(context, token)
    except tokens.TokenRevoked as refused:
        await context.rates.fails(request)
        raise _refusal(refused) from refused
    return token.principal


def _refusal(refused: Problem | tokens.TokenRefused) -> Problem:
    match refused:
        case Problem():
            return refused
        case tokens.TokenExpired():
            return Problem("token_expired", "Ask for a new token.")
        case tokens.TokenRevoked():
            return Problem("token_revoked", "It was taken back. Ask whoever issued it.")
        case _:
            return Problem("token_invalid", "The token is not one of ours.")


def allow(*roles: Role) -> Any:
    """Returns a dependency that yields the Principal when its role is among `roles`, and refuses with 401 or 403
    otherwise."""

    def check(principal: Annotated[Principal, Depends(_principal)]) -> Principal:
        if principal.role not in roles:
            raise Problem("forbidden", f"Only for: {', '.join(roles)}.")
        return principal

    return Depends(check)


Claimant = Annotated[Principal, allow(Role.CLAIMANT)]
Adjuster = Annotated[Principal, allow(Role.ADJUSTER)]
Partner = Annotated[Principal, allow(Role.PARTNER)]
Operator = Annotated[Principal, allow(Role.OPERATOR)]
Platform = Annotated[Principal, allow(Role.PLATFORM)]
# Everybody who may be party to a claim; the query decides which claims each of them sees.
Party = Annotated[Principal, allow(Role.CLAIMANT, Role.ADJUSTER, Role.PARTNER)]
Handler = Annotated[Principal, allow(Role.ADJUSTER, Role.PARTNER)]
Staff = Annotated[Principal, allow(Role.ADJUSTER, Role.OPERATOR)]
Owner = Annotated[Principal, allow(Role.CLAIMANT, Role.PLATFORM)]
