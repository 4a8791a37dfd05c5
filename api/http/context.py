"""The values that every route needs, made once at start: store, evidence files, catalogue, keys, clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from api.http.rates import Rates
from api.http.tokens import KeyRing
from api.limits import HttpLimits
from api.settings import Settings
from claims.paper_kind import PaperKinds
from claims.product import Product
from claims.store.blobs import BlobStore


@dataclass(frozen=True, slots=True)
class Context:
    """The values that every route needs. `now` returns UTC; tests may pass their own clock to `create_app`."""

    settings: Settings
    limits: HttpLimits
    engine: AsyncEngine
    blobs: BlobStore
    catalogue: Mapping[str, Product]
    paper_kinds: PaperKinds
    keys: KeyRing
    rates: Rates
    now: Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
