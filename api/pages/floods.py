"""Floods: pictures that suddenly match many claims, each shown once, with one word to say about all its claims."""

from __future__ import annotations

import secrets
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.context import Context, Ctx
from api.http.problems import validated
from api.http.repeats import Reply, once
from api.http.routes import floods as routes
from api.http.schemas.matches import FloodRulingRequest
from api.http.schemas.words import Id, PhotoId
from api.http.upload import fingerprint
from api.pages.claimant import form_key
from api.pages.failures import FORM_ERRORS, PageRoute, message_of
from api.pages.rendering import render
from api.pages.session import Adjuster, posted
from claims.store import floods

router = APIRouter(prefix="/floods", route_class=PageRoute)
_RULINGS: Final = ("common", "copies")
_RULED_SHOWN: Final = 10


@router.get("")
async def floods_page(context: Ctx, visitor: Adjuster, request: Request, done: str = "") -> Response:
    shown = await _floods(context)
    return render(request, "floods.html", visitor, **shown, done=done if done in _RULINGS else "", failure="")


@router.get("/{flood_id}/pictures/{photo_id}")
async def picture(context: Ctx, visitor: Adjuster, flood_id: Id, photo_id: PhotoId) -> Response:
    return await routes.get_flood_picture(context, visitor.principal, flood_id, photo_id)


@router.post("/{flood_id}/ruling")
async def rule(context: Ctx, visitor: Adjuster, request: Request, flood_id: Id) -> Response:
    fields = await posted(request, visitor)
    principal = visitor.principal
    try:
        asked = _asked(fields)

        async def write(conn: AsyncConnection) -> Reply:
            flood = await floods.rule(conn, flood_id, asked.ruling, asked.note, context.now(), actor=str(principal))
            return Reply(200, routes.flood_view(flood, []))

        mark = fingerprint("POST", request.url.path, asked.model_dump(mode="json"))
        await once(context, principal, form_key(fields), mark, write)
    except FORM_ERRORS as error:
        shown = await _floods(context)
        return render(request, "floods.html", visitor, status=409, **shown, done="", failure=message_of(request, error))
    return RedirectResponse(f"/floods?done={asked.ruling}", 303)


def _asked(fields: dict[str, str]) -> FloodRulingRequest:
    return validated(FloodRulingRequest, {"ruling": fields.get("ruling", ""), "note": fields.get("note", "")})


async def _floods(context: Context) -> dict[str, Any]:
    async with context.engine.connect() as conn:
        waiting = await floods.list_floods(conn, state="open")
        shown = [(one, await floods.pictures(conn, one.id, routes.PICTURES)) for one in waiting]
        ruled = await floods.list_floods(conn, state="ruled", limit=_RULED_SHOWN)
    return {"waiting": shown, "ruled": ruled, "new_key": lambda: secrets.token_urlsafe(24)}
