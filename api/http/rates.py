"""Limits how often requests come: by caller and by address, in a sliding minute each, in this process's memory
(`limits`, MIT).

Several API processes count separately, so the effective limit is multiplied by their number.
"""

from __future__ import annotations

import math
import time
from enum import StrEnum
from typing import Final

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.http.metrics import Metrics, route_template
from api.http.peers import Peers
from api.http.problems import Problem
from api.http.tokens import Principal, Role
from api.limits import HttpLimits, RateLimits

MACHINES: Final = frozenset({Role.PLATFORM, Role.PARTNER, Role.OPERATOR})
_PURGE_SECONDS: Final = 10.0


class RateKind(StrEnum):
    """Kinds of requests, each with counters of its own."""

    SIGN_IN = "sign_ins"
    TOKEN_FAILURE = "token_failures"
    CLAIM = "claims"
    UPLOAD = "uploads"
    REQUEST = "requests"


_KINDS: Final = {
    ("POST", "/v1/claims"): RateKind.CLAIM,
    ("POST", "/claims"): RateKind.CLAIM,
    ("PUT", "/v1/claims/{claim_id}/evidence/{name}"): RateKind.UPLOAD,
    ("POST", "/v1/claims/{claim_id}/evidence"): RateKind.UPLOAD,
    ("POST", "/claims/{claim_id}/evidence"): RateKind.UPLOAD,
    ("POST", "/v1/pets/{pet_id}/noses"): RateKind.UPLOAD,
}


class Rates:
    """The counters of one application. Every method raises Problem `too_many_requests` with Retry-After."""

    def __init__(self, limits: HttpLimits, metrics: Metrics) -> None:
        self._limits: RateLimits = limits.rates
        self._metrics = metrics
        self._peers = Peers(limits)
        self._storage = _Counters(limits.rates.counters_max)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    async def asks(self, request: Request, principal: Principal) -> None:
        """Count a request of a known caller."""
        kind = _kind(request)
        await self._count(kind, "subject", str(principal), self._of_subject(kind, principal.role))
        if principal.role not in MACHINES:
            await self._count(kind, "address", self._address(request), self._of_address(kind))

    async def asks_unnamed(self, request: Request) -> None:
        """Count a request that needs no token and costs a query."""
        await self._count(RateKind.REQUEST, "address", self._address(request), self._of_address(RateKind.REQUEST))

    async def signs_in(self, request: Request) -> None:
        """Count an attempt to sign in."""
        await self._count(RateKind.SIGN_IN, "address", self._address(request), self._limits.sign_ins_by_address)

    async def signed_in(self, principal: Principal) -> None:
        """Count a session about to be opened for a known caller."""
        await self._count(RateKind.SIGN_IN, "subject", str(principal), self._limits.sign_ins_by_subject)

    async def fails(self, request: Request) -> None:
        """Count a missing or refused token. Good tokens from the same address are not held up by that."""
        allowed = self._limits.token_failures_by_address
        await self._count(RateKind.TOKEN_FAILURE, "address", self._address(request), allowed)

    def _address(self, request: Request) -> str:
        return self._peers.address(request.scope)

    def _of_subject(self, kind: RateKind, role: Role) -> int:
        if role in MACHINES:
            return self._limits.requests_by_machine
        if kind is RateKind.CLAIM:
            return self._limits.claims_by_subject
        return self._limits.uploads_by_subject if kind is RateKind.UPLOAD else self._limits.requests_by_subject

    def _of_address(self, kind: RateKind) -> int:
        if kind is RateKind.CLAIM:
            return self._limits.claims_by_address
        return self._limits.uploads_by_address if kind is RateKind.UPLOAD else self._limits.requests_by_address

    async def _count(self, kind: RateKind, by: str, who: str, allowed: int) -> None:
        if not allowed:
            return
        item = RateLimitItemPerMinute(allowed)
        if await self._limiter.hit(item, kind, by, who):
            return
        self._metrics.throttled.labels(kind, by).inc()
        stats = await self._limiter.get_window_stats(item, kind, by, who)
        seconds = min(60, max(1, math.ceil(stats.reset_time - time.time())))
        counted = "you" if by == "subject" else "your address"
        detail = f"At most {allowed} {kind.replace('_', ' ')} a minute are taken from {counted}."
        raise Problem("too_many_requests", detail, {"Retry-After": str(seconds)})


class _Counters(MemoryStorage):
    """In-memory counters with a bound. `limits` scans all of its counters at every hit; these are scanned once in a
    while. One event loop uses them, and nothing is awaited in between, so no lock is needed."""

    def __init__(self, counters_max: int) -> None:
        super().__init__()
        self._counters_max = counters_max
        self._purge_at = 0.0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        now = time.time()
        if now >= self._purge_at or len(self.storage) >= self._counters_max:
            self._purge(now)
        if self.expirations.get(key, 0.0) <= now:
            self.storage.pop(key, None)
            self.expirations[key] = now + expiry
        self.storage[key] += amount
        return self.storage[key]

    async def decr(self, key: str, amount: int = 1) -> int:
        self.storage[key] = max(self.storage[key] - amount, 0)
        return self.storage[key]

    def _purge(self, now: float) -> None:
        self._purge_at = now + _PURGE_SECONDS
        for key in [key for key, until in self.expirations.items() if until <= now]:
            self.storage.pop(key, None)
            del self.expirations[key]
        if len(self.storage) >= self._counters_max:
            self.storage.clear()
            self.expirations.clear()


def _kind(request: Request) -> RateKind:
    return _KINDS.get((request.method, route_template(request.scope)), RateKind.REQUEST)
