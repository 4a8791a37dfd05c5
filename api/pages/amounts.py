"""Shows how a typed amount is read: beside the field while people type, and before the claim's form is sent, so that
the pages need no reading of amounts of their own."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.http.problems import Problem
from api.pages import texts
from api.pages.failures import PageRoute
from api.pages.session import Party
from claims import currencies
from claims.errors import AmountUnreadable

router = APIRouter(route_class=PageRoute)
_HEADERS: Final = {"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"}


@router.get("/amounts")
async def read_amount(
    visit: Party,
    typed: Annotated[str, Query(max_length=200)] = "",
    currency: Annotated[str, Query(max_length=3)] = "",
) -> JSONResponse:
    """Returns `{minor, text}`: minor units and the written amount; or `{code, message}` where the amount is ambiguous
    or unreadable, which is a valid answer and not an error."""
    if not currencies.is_known(currency):
        raise Problem("invalid_request", "/query/currency: no currency of ISO 4217")
    try:
        minor = currencies.read(typed, currency)
    except AmountUnreadable as error:
        message = texts.say(visit.lang, f"problem.{error.code}")
        return JSONResponse({"code": error.code, "message": message}, 200, _HEADERS)
    return JSONResponse({"minor": minor, "text": currencies.written(minor, currency)}, 200, _HEADERS)
