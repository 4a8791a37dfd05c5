"""The floods page: pictures that suddenly match many claims, each shown once, for one ruling on all its claims."""

from __future__ import annotations

import secrets
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.context import Context
from api.http.problems import validated
from api.http.repeats import Reply
from api.http.routes import floods as routes
from api.http.schemas.matches import FloodRulingRequest
from api.http.schemas.words import Id, PhotoId
from api.pages.failures import FORM_ERRORS, PageRoute
from api.pages.session import Adjuster, posted
from claims.store import floods

router = APIRouter(prefix="/floods", route_class=PageRoute)
_RULINGS: Final = ("common", "copies")
_RULED_SHOWN: Final = 10


@router.get("")
async def floods_page(visit: Adjuster, done: str = "") -> Response:
    shown = await _floods(visit.context)
    return visit.render("floods.html", **shown, done=done if done in _RULINGS else "", failure="")


@router.get("/{flood_id}/pictures/{photo_id}")
async def picture(visit: Adjuster, flood_id: Id, photo_id: PhotoId) -> Response:
    return await routes.get_flood_picture(visit.context, visit.principal, flood_id, photo_id)


@router.post("/{flood_id}/ruling")
async def rule(visit: Adjuster, flood_id: Id) -> Response:
    fields = await posted(visit)
    try:
        asked, sent = _asked(fields), visit.sent(fields)

        async def write(conn: AsyncConnection) -> Reply:
            now = visit.context.now()
            flood = await floods.rule(conn, flood_id, asked.ruling, asked.note, now, actor=sent.actor)
            return Reply(200, routes.flood_view(flood, []))

        await sent.once(asked, write)
    except FORM_ERRORS as error:
        shown = await _floods(visit.context)
        return visit.render("floods.html", status=409, **shown, done="", failure=visit.message_of(error))
    return RedirectResponse(f"/floods?done={asked.ruling}", 303)


def _asked(fields: dict[str, str]) -> FloodRulingRequest:
    return validated(FloodRulingRequest, {"ruling": fields.get("ruling", ""), "note": fields.get("note", "")})


async def _floods(context: Context) -> dict[str, Any]:
    async with context.engine.connect() as conn:
        waiting = await floods.list_floods(conn, state="open")
        shown = [(flood, await floods.pictures(conn, flood.id, routes.PICTURES)) for flood in waiting]
        ruled = await floods.list_floods(conn, state="ruled", limit=_RULED_SHOWN)
    return {"waiting": shown, "ruled": ruled, "new_key": lambda: secrets.token_urlsafe(24)}
