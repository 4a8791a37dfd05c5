"""All pages as one router, and the pages added to the API's application."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.staticfiles import StaticFiles

from api.pages import adjuster, amounts, claimant, files, floods, operator, session

_STATIC = Path(__file__).parent / "static"  # scripts and styles, some of them filled in by `make setup`

router = APIRouter()
for _part in (session, files, amounts, claimant, adjuster, floods, operator):
    router.include_router(_part.router)


def add_pages(app: FastAPI) -> FastAPI:
    """Add the pages and their static files to `app`, outside its OpenAPI description; returns `app`."""
    app.include_router(router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    return app
