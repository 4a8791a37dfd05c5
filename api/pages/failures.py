"""Shows refusals and failures as pages: the codes of the API, in words for people."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from api.http.problems import CODES_BY_ERROR, KINDS, Problem, not_now, trace_id
from api.pages import texts
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
)
from claims.store.away import STORE_ERRORS

log = structlog.get_logger("api.pages")
_CODES: Final[dict[type[ClaimsError], str]] = {
    ClaimErased: "erased",  # before its parent
    NotFound: "not_found",
    **CODES_BY_ERROR,
}
# Refusals that a form shows beside itself, keeping what was typed.
FORM_ERRORS: Final = (Problem, AmountUnreadable, Conflict, CurrencyMismatch, InvalidDecision, InvalidTransition)


class SignInNeeded(Exception):
    """Nobody is signed in; `ended`: somebody was, and the session has expired."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__("signed out" if ended else "not signed in")
        self.ended = ended


class FormRefused(Exception):
    """The form does not carry the token of the page that it claims to come from."""


class PageRoute(APIRoute):
    """A route that shows refusals as pages. Scripts that ask for JSON get `{code, message}`; htmx gets a redirect or
    the plain status, which leaves the page as it is."""

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
            except (Problem, ClaimsError, RequestValidationError, *STORE_ERRORS) as error:
                code = code_of(error)
                away = not_now(error)
                if away is not None:
                    log.warning(code, error=error, trace_id=trace_id(request))
                    return _refusal(request, code, away.status_code, {}, away.headers)
                status = KINDS[code].status
                if status >= 500:
                    log.error(code, error=error, trace_id=trace_id(request))
                answer = _refusal(request, code, status, error.members if isinstance(error, Problem) else {})
                if isinstance(error, Problem) and error.headers:
                    answer.headers.update(error.headers)  # Retry-After
                return answer

        return handle


def code_of(error: Exception) -> str:
    """Returns the problem code of a refusal or of a store that is away. Raises `error` itself when it is a fault of
    ours."""
    if isinstance(error, Problem | AmountUnreadable):
        return error.code
    if isinstance(error, RequestValidationError):
        return "invalid_request"
    if not_now(error) is not None:
        return "store_unavailable"
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "")
    if not code:
        raise error
    return code


def message_of(request: Request, error: Exception) -> str:
    """Returns the message for the person at the page."""
    return texts.say(language(request), f"problem.{code_of(error)}")


def _to_sign_in(request: Request, needed: SignInNeeded) -> Response:
    target = "/sign-in?ended=1" if needed.ended else "/sign-in"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": target})
    if _wants_json(request):
        content = {"code": "unauthenticated", "message": texts.say(language(request), "problem.unauthenticated")}
        return JSONResponse(content | {"href": target}, 401)
    return RedirectResponse(target, 303)


def _refusal(
    request: Request, code: str, status: int, members: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    message = texts.say(language(request), f"problem.{code}")
    answer: Response
    if _wants_json(request):
        answer = JSONResponse({"code": code, "message": message, **members}, status)
    else:
        answer = render(request, "error.html", status=status, code=code, message=message, trace=trace_id(request))
    answer.headers.update(headers or {})
    return answer


def _wants_json(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")
