"""All pages as one router, for `api.http.app` to include."""

from __future__ import annotations

from fastapi import APIRouter

from api.pages import adjuster, amounts, claimant, files, floods, operator, session

router = APIRouter()
for _part in (session, files, amounts, claimant, adjuster, floods, operator):
    router.include_router(_part.router)
