"""Limits of the HTTP door. `api.settings.Settings` composes them; every number is a choice of this page, not a
measurement.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Sizes in bytes, times in seconds.

    `file_bytes_max` is 25 decimal megabytes, below the decoder's own 25 MiB, so that no file that the door lets in is
    too large for the worker.
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
    connections_max: int = 512
    shutdown_seconds_max: int = 20
    # A repeated request that finds its first still in flight is told to wait this long; the first may hold its key for
    # `in_flight_seconds_max`.
    retry_after_seconds: int = 2
    in_flight_seconds_max: int = 60
    # A claimant's clock may run ahead of ours by this much before an event counts as lying in the future.
    clock_skew_seconds_max: int = 300
