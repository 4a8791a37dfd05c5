"""Who may call a route: a bearer token with one of the roles that the route names."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.http import tokens
from api.http.context import Ctx
from api.http.problems import Problem
from api.http.tokens import Principal, Role

_bearer = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token from `miaopei tokens issue`: role, subject, expiry."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def _principal(context: Ctx, credentials: Credentials) -> Principal:
    if credentials is None:
        raise Problem("unauthenticated", "Send `Authorization: Bearer TOKEN`.")
    try:
        return tokens.verify(credentials.credentials, key=context.token_key, now=context.now())
    except tokens.TokenExpired as error:
        raise Problem("token_expired", "Ask for a new token.") from error
    except tokens.TokenInvalid as error:
        raise Problem("token_invalid", "The token is not one of ours.") from error


def allow(*roles: Role) -> Any:
    """A dependency that yields the Principal when its role is among `roles`, and refuses with 401 or 403 otherwise."""

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
# Whoever has to do with a claim; which claims each of them sees is in the query.
Party = Annotated[Principal, allow(Role.CLAIMANT, Role.ADJUSTER, Role.PARTNER)]
Handler = Annotated[Principal, allow(Role.ADJUSTER, Role.PARTNER)]
Staff = Annotated[Principal, allow(Role.ADJUSTER, Role.OPERATOR)]
Owner = Annotated[Principal, allow(Role.CLAIMANT, Role.PLATFORM)]
