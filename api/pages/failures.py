"""Refusals and failures as pages: the same codes as the API, in words for people."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from api.http.problems import KINDS, Problem, trace_id
from api.pages import words
from api.pages.rendering import language, render
from claims.errors import (
    AmountUnreadable,
    ClaimErased,
    ClaimsError,
    Conflict,
    CurrencyMismatch,
    InvalidDecision,
    InvalidTransition,
    NotFound,
    RuledAlready,
    TooManyFiles,
)

log = structlog.get_logger("api.pages")
_CODES: Final[dict[type[ClaimsError], str]] = {
    ClaimErased: "erased",  # before its parent
    NotFound: "not_found",
    RuledAlready: "ruled_already",  # before its parent
    Conflict: "conflict",
    CurrencyMismatch: "currency_mismatch",
    InvalidDecision: "decision_not_allowed",
    InvalidTransition: "invalid_transition",
    TooManyFiles: "too_many_files",
}
# Refusals that a form shows beside itself, with what was typed still in it.
FORM_ERRORS: Final = (Problem, AmountUnreadable, Conflict, CurrencyMismatch, InvalidDecision, InvalidTransition)


class SignInNeeded(Exception):
    """Nobody is signed in; `ended`: somebody was, and their time has run out."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__("signed out" if ended else "not signed in")
        self.ended = ended


class FormRefused(Exception):
    """A form without the token of the page it claims to come from."""


class PageRoute(APIRoute):
    """A route whose refusals are pages. Scripts that ask for JSON get `{code, message}`; htmx gets a redirect or the
    plain status, which leaves what is on the page as it is.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInNeeded as needed:
                return _to_sign_in(request, needed)
            except FormRefused as refused:
                log.warning("form_refused", why=str(refused), trace_id=trace_id(request))
                return _refusal(request, "form_refused", 403, {})
            except (Problem, ClaimsError, RequestValidationError, DBAPIError, OSError) as error:
                code = code_of(error)
                status = KINDS[code].status
                if status >= 500:
                    log.error(code, error=str(error), trace_id=trace_id(request))
                return _refusal(request, code, status, error.members if isinstance(error, Problem) else {})

        return handle


def code_of(error: Exception) -> str:
    """The problem code of a refusal or of a store that is away. Raises `error` itself when it is a fault of ours."""
    if isinstance(error, Problem | AmountUnreadable):
        return error.code
    if isinstance(error, RequestValidationError):
        return "invalid_request"
    if isinstance(error, OSError | OperationalError | InterfaceError) or getattr(
        error, "connection_invalidated", False
    ):
        return "store_unavailable"
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "")
    if not code:
        raise error
    return code


def message_of(request: Request, error: Exception) -> str:
    """What the person at the page is told."""
    return words.say(language(request), f"problem.{code_of(error)}")


def _to_sign_in(request: Request, needed: SignInNeeded) -> Response:
    target = "/sign-in?ended=1" if needed.ended else "/sign-in"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": target})
    if _wants_json(request):
        content = {"code": "unauthenticated", "message": words.say(language(request), "problem.unauthenticated")}
        return JSONResponse(content | {"href": target}, 401)
    return RedirectResponse(target, 303)


def _refusal(request: Request, code: str, status: int, members: Mapping[str, Any]) -> Response:
    message = words.say(language(request), f"problem.{code}")
    if _wants_json(request):
        return JSONResponse({"code": code, "message": message, **members}, status)
    return render(request, "error.html", status=status, code=code, message=message, trace=trace_id(request))


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")
