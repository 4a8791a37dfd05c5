"""Problem details (RFC 9457). Every refusal has a stable `code`; clients branch on the code, never on the words.

HTTPException (starlette)
└── Problem      one refusal: code, detail, extra members
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.http.headers import SECURITY_HEADERS
from claims.errors import (
    ClaimErased,
    ClaimsError,
    ClaimStopped,
    Conflict,
    CurrencyMismatch,
    InvalidDecision,
    InvalidTransition,
    NotFound,
    NothingToRecover,
    OrderSpent,
    OrderValuePaid,
    RecoveryNeeded,
    RuledAlready,
    TooManyFiles,
)
from claims.store.away import STORE_ERRORS, retry_seconds

MEDIA_TYPE = "application/problem+json"
Model = TypeVar("Model", bound=BaseModel)
log = structlog.get_logger("api.http")


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """The fixed part of a code: the HTTP status and the title."""

    status: int
    title: str


KINDS: dict[str, ProblemKind] = {
    "bad_request": ProblemKind(400, "The request cannot be read"),
    "malformed_multipart": ProblemKind(400, "The multipart body is broken"),
    "idempotency_key_missing": ProblemKind(400, "This request needs an Idempotency-Key"),
    "idempotency_key_invalid": ProblemKind(400, "The Idempotency-Key is not usable"),
    "unauthenticated": ProblemKind(401, "A bearer token is needed"),
    "token_invalid": ProblemKind(401, "The bearer token is not valid"),
    "token_expired": ProblemKind(401, "The bearer token has expired"),
    "token_revoked": ProblemKind(401, "The bearer token was revoked"),
    "forbidden": ProblemKind(403, "This role may not do that"),
    "not_found": ProblemKind(404, "Not found"),
    "preview_pending": ProblemKind(404, "The clean preview is not made yet"),
    "method_not_allowed": ProblemKind(405, "Method not allowed"),
    "slow_upload": ProblemKind(408, "The body came too slowly"),
    "in_flight": ProblemKind(409, "The first request with this key is still in flight"),
    "invalid_transition": ProblemKind(409, "The claim's status does not allow that"),
    "conflict": ProblemKind(409, "The record changed or exists already"),
    "ruled_already": ProblemKind(409, "A person has ruled on this already"),
    "recovery_needed": ProblemKind(409, "Less is due than was paid: say what becomes of the rest"),
    "nothing_to_recover": ProblemKind(409, "No more was paid than is due"),
    "claim_stopped": ProblemKind(409, "Bank and books disagree about a payout of this claim"),
    "copy_paid": ProblemKind(409, "Another claim with the same photo, paper, order or event has been paid"),
    "order_value_paid": ProblemKind(409, "Other claims were paid for the order: so much of its value is not left"),
    "erased": ProblemKind(410, "The claim was erased"),
    "file_too_large": ProblemKind(413, "A file is too large"),
    "picture_too_large": ProblemKind(413, "A picture has too many pixels to be opened"),
    "request_too_large": ProblemKind(413, "The request is too large"),
    "json_too_large": ProblemKind(413, "The JSON is too large"),
    "unsupported_media": ProblemKind(415, "This kind of file is not accepted"),
    "unsupported_content_type": ProblemKind(415, "This content type is not accepted here"),
    "invalid_request": ProblemKind(422, "The request does not fit the schema"),
    "idempotency_key_reused": ProblemKind(422, "This Idempotency-Key belongs to another request"),
    "unknown_product": ProblemKind(422, "No such product"),
    "unknown_pet": ProblemKind(422, "The claimant has no such pet"),
    "product_mismatch": ProblemKind(422, "The policy is of another product"),
    "peril_not_of_product": ProblemKind(422, "The product knows no such peril"),
    "currency_mismatch": ProblemKind(422, "The policy is in another currency"),
    "amount_missing": ProblemKind(422, "An amount is missing"),
    "amount_ambiguous": ProblemKind(422, "The amount can be read in two ways"),
    "amount_too_precise": ProblemKind(422, "The amount has more decimals than its currency"),
    "amount_negative": ProblemKind(422, "The amount is negative"),
    "amount_too_large": ProblemKind(422, "The amount is too large"),
    "amount_unreadable": ProblemKind(422, "The amount is no number"),
    "event_in_future": ProblemKind(422, "The event lies in the future"),
    "claim_part_missing": ProblemKind(422, "The part `claim` is missing"),
    "unknown_part": ProblemKind(422, "A part has a name that is not known here"),
    "empty_file": ProblemKind(422, "A file is empty"),
    "no_files": ProblemKind(422, "No file was sent"),
    "too_many_files": ProblemKind(422, "Too many files"),
    "evidence_name_invalid": ProblemKind(422, "The evidence name is not usable"),
    "decision_not_allowed": ProblemKind(422, "The contract does not allow that decision"),
    "too_many_requests": ProblemKind(429, "Too many requests"),
    "internal_error": ProblemKind(500, "Something went wrong here"),
    "too_busy": ProblemKind(503, "Too many requests are being answered"),
    "store_unavailable": ProblemKind(503, "The store cannot be reached"),
}


class Problem(HTTPException):
    """A refusal with one of the codes in KINDS. `members` are further members of the problem object."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(KINDS[code].status, detail, dict(headers) if headers else None)
        self.code = code
        self.members = members


def body(code: str, detail: str, trace_id: str, **members: Any) -> dict[str, Any]:
    """Returns the problem object of one refusal."""
    kind = KINDS[code]
    return {
        "type": f"urn:miaopei:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": detail,
        "trace_id": trace_id,
        **members,
    }


def response(request: Request, problem: Problem) -> JSONResponse:
    """Returns the response for `problem`."""
    headers = dict(problem.headers or {})
    if problem.status_code == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="miaopei"')
    content = body(problem.code, problem.detail, trace_id(request), **problem.members)
    return JSONResponse(content, problem.status_code, headers, media_type=MEDIA_TYPE)


def trace_id(request: Request) -> str:
    """Returns the W3C trace id of the request: 32 hex digits."""
    value: str = getattr(request.state, "trace_id", "")
    return value


def _pointer(location: tuple[int | str, ...]) -> str:
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in location)


def invalid_request(errors: list[dict[str, Any]]) -> Problem:
    """Returns pydantic's errors as one problem, with a pointer to each place. The values sent are not repeated: they
    may be personal."""
    listed = [{"pointer": _pointer(error["loc"]), "code": error["type"], "detail": error["msg"]} for error in errors]
    return Problem(
        "invalid_request", "; ".join(f"{e['pointer']}: {e['detail']}" for e in listed[:3]), errors=listed[:20]
    )


def of_schema(error: ValidationError) -> Problem:
    """Returns the problem `invalid_request` for a document that was validated by hand."""
    return invalid_request([dict(entry) for entry in error.errors(include_input=False, include_url=False)])


def validated(kind: type[Model], document: object) -> Model:
    """Returns `document` validated as `kind`. Raises Problem `invalid_request`."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise of_schema(error) from error


# Starlette's own refusals (no route, wrong method, broken body) come as plain HTTPExceptions.
_CODES_BY_STATUS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if not isinstance(error, Problem):
        code = _CODES_BY_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")
        error = Problem(code, KINDS[code].title, error.headers)
    return response(request, error)


async def _on_validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return response(request, invalid_request([dict(entry) for entry in error.errors()]))


# Refusals by the domain and the store; other ClaimsErrors are faults of ours.
CODES_BY_ERROR: dict[type[ClaimsError], str] = {
    RuledAlready: "ruled_already",  # before its parent, and so are these
    OrderSpent: "order_value_paid",
    OrderValuePaid: "order_value_paid",
    RecoveryNeeded: "recovery_needed",
    NothingToRecover: "nothing_to_recover",
    ClaimStopped: "claim_stopped",
    Conflict: "conflict",
    CurrencyMismatch: "currency_mismatch",
    InvalidDecision: "decision_not_allowed",
    InvalidTransition: "invalid_transition",
    TooManyFiles: "too_many_files",
}


async def _on_not_found(request: Request, error: Exception) -> JSONResponse:
    log.info("not_found", error=error, trace_id=trace_id(request))
    return response(request, Problem("not_found", "No such thing, or not yours."))


async def _on_erased(request: Request, error: Exception) -> JSONResponse:
    log.info("erased", error=error, trace_id=trace_id(request))
    return response(request, Problem("erased", "What the claim was about has been erased."))


async def _on_refused(request: Request, error: Exception) -> JSONResponse:
    code = next(code for kind, code in CODES_BY_ERROR.items() if isinstance(error, kind))
    return response(request, Problem(code, str(error)))


async def _on_disconnect(request: Request, _: Exception) -> JSONResponse:
    """Answer a client that went away in the middle of its body. Nobody reads this answer; the metrics count it as a
    400."""
    log.info("client_gone", trace_id=trace_id(request))
    return response(request, Problem("bad_request", "The body ended early."))


def not_now(error: BaseException) -> Problem | None:
    """Returns the problem for an error of the store or the evidence store while it is away; None for a fault of
    ours."""
    seconds = retry_seconds(error)
    if not seconds:
        return None
    return Problem("store_unavailable", "The store cannot be used just now. Try again.", {"Retry-After": str(seconds)})


async def _on_store(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of the store: one log line while it is away; any other error is a fault of ours."""
    problem = not_now(error)
    if problem is None:
        log.error("internal_error", trace_id=trace_id(request), exc_info=error)
        return response(request, _broken())
    log.warning("store_unavailable", error=error, trace_id=trace_id(request))
    return response(request, problem)


async def _on_crash(request: Request, error: Exception) -> JSONResponse:
    log.error("internal_error", error=error, trace_id=trace_id(request))  # uvicorn logs the places
    return response(request, _broken())


def _broken() -> Problem:
    # The outermost layer may answer here, outside the middleware that sets these headers elsewhere.
    return Problem("internal_error", "Quote the trace id when you report this.", SECURITY_HEADERS)


def install(app: FastAPI) -> None:
    """Turn every refusal and failure of `app` into a problem response."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(NotFound, _on_not_found)
    app.add_exception_handler(ClaimErased, _on_erased)
    for refusal in CODES_BY_ERROR:
        app.add_exception_handler(refusal, _on_refused)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    for kind in STORE_ERRORS:
        app.add_exception_handler(kind, _on_store)
    app.add_exception_handler(Exception, _on_crash)
