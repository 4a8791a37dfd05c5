"""Counts and their limits: how many claims and claimants share a device, an account, an address or a merchant in a
window of days.

The store counts (`WINDOWS` lists what), and this module compares. A count over its limit refers the claim; it never
declines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claims.evidence import WindowCount
from claims.fraud.signals.registry import SIGNALS, signal_named

# Every (signal, days) that the rules may ask for; the store counts all of them.
WINDOWS: tuple[tuple[str, int], ...] = tuple(
    (signal.name, days) for signal in SIGNALS.values() for days in signal.window_days
)


@dataclass(frozen=True, slots=True)
class WindowLimit:
    """The most claims and distinct claimants that may share what the signal `key` counts by, in the window before a
    claim, that claim not counted. Raises UnknownSignal, also where a recorded set of rules is read."""

    key: str
    window_days: int
    claims_max: int
    claimants_max: int

    def __post_init__(self) -> None:
        signal_named(self.key)


def count_of(counts: Sequence[WindowCount], key: str, window_days: int) -> tuple[WindowCount, ...]:
    """Return the counts of that window: none where the claim carries no such key or it was not counted."""
    return tuple(count for count in counts if count.key == key and count.window_days == window_days)


def over_limits(
    counts: Sequence[WindowCount], limits: Sequence[WindowLimit]
) -> tuple[tuple[WindowCount, WindowLimit], ...]:
    """Return each count that is over its limit, with the limit."""
    return tuple(
        (count, limit)
        for limit in limits
        for count in count_of(counts, limit.key, limit.window_days)
        if count.claims > limit.claims_max or count.claimants > limit.claimants_max
    )


def uncounted(counts: Sequence[WindowCount], limits: Sequence[WindowLimit], present: frozenset[str]) -> tuple[str, ...]:
    """Return the keys that the claim carries and a limit asks about, but that were not counted. That is not the same as
    a count of zero."""
    return tuple(
        limit.key for limit in limits if limit.key in present and not count_of(counts, limit.key, limit.window_days)
    )
