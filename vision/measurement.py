"""The result of a measurement that could not be taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """The measurement could not be taken; `reason` says why in words a claimant could act on."""

    reason: str
