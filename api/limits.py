"""Limits of the HTTP interface. `api.settings.Settings` composes them; every number is a choice made here, not a
measurement."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits on requests a minute of one API process: by subject (role and subject of the token or session) and by
    address.

    Every number is a policy choice, far above what a person or an app does and below what one process can serve; 0: no
    limit. A minute slides: the last 60 seconds count, not the clock's minute. `by_machine`: platform, partner and
    operator tokens, which are few, known, and not limited by address.
    """

    sign_ins_by_subject: int = 60
    sign_ins_by_address: int = 240
    token_failures_by_address: int = 120
    claims_by_subject: int = 120
    claims_by_address: int = 1_200
    uploads_by_subject: int = 300
    uploads_by_address: int = 3_000
    requests_by_subject: int = 6_000
    requests_by_address: int = 30_000
    requests_by_machine: int = 30_000
    # Most subjects and addresses remembered; beyond it the minute starts anew for everybody, which the metrics show.
    counters_max: int = 100_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of requests and connections: sizes in bytes, times in seconds.

    `file_bytes_max` is 25 decimal megabytes, below the decoder's own 25 MiB, so that no accepted file is too large for
    the worker.
    """

    file_bytes_max: int = 25_000_000
    files_per_claim_max: int = 12
    files_per_enrolment_max: int = 8
    json_bytes_max: int = 64 * 1024
    # Twelve full files, the JSON part and the multipart framing.
    request_bytes_max: int = 12 * 25_000_000 + 1_000_000
    part_headers_max: int = 8
    part_header_bytes_max: int = 8192  # a name of 4 KB still fits; it is shortened, not refused
    name_characters_max: int = 100
    # Slow-upload guard: one silence, and the mean rate over the time spent waiting for the client once the grace is
    # over.
    body_idle_seconds_max: float = 20.0
    body_grace_seconds: float = 10.0
    body_bytes_per_second_min: int = 8 * 1024
    # After a refusal the rest of the body is read and thrown away, so that the client sees the answer instead of a
    # reset.
    drain_seconds_max: float = 5.0
    # A connection that has not sent a whole request head by then is closed (uvicorn itself has no such limit).
    head_seconds_max: float = 15.0
    head_bytes_max: int = 32 * 1024
    keep_alive_seconds: int = 15
    # A client that takes nothing of its answer for so long is cut off.
    write_idle_seconds_max: float = 60.0
    # Connections of one address (IPv6: of one /64; 0: no limit), and of all. Opening one more closes the connection of
    # that address, or of all, that has been idle longest; without an idle one the new connection is closed.
    connections_per_peer_max: int = 64
    connections_max: int = 512
    # Connections reserved for /healthz, /readyz and /metrics: other requests beyond the rest get 503 `too_busy`.
    connections_reserved: int = 32
    # Addresses or networks of proxies in front, separated by commas: their connections are not limited by peer. The
    # client's address is the `proxies_in_a_row`-th from the right in X-Forwarded-For, which is ignored from anybody
    # else.
    trusted_proxies: str = ""
    proxies_in_a_row: int = 1
    rates: RateLimits = RateLimits()
    shutdown_seconds_max: int = 20
    # Retry-After for a repeated request whose first is still in flight; the first may hold its key for
    # `in_flight_seconds_max`.
    retry_after_seconds: int = 2
    in_flight_seconds_max: int = 60
    # A claimant's clock may run ahead of ours by this much before an event counts as lying in the future.
    clock_skew_seconds_max: int = 300

    def __post_init__(self) -> None:
        self.proxies()
        if self.proxies_in_a_row < 1:
            raise ValueError("proxies_in_a_row must be at least 1")
        if not 0 <= self.connections_reserved < self.connections_max:
            raise ValueError("connections_reserved must be less than connections_max")

    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Returns `trusted_proxies` as networks. Raises ValueError for a part that is none."""
        return tuple(ipaddress.ip_network(part.strip()) for part in self.trusted_proxies.split(",") if part.strip())
