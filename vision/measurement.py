"""What every measurement in vision may be instead of a value: not taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """The measurement could not be taken; `reason` says why in words a claimant could act on."""

    reason: str
