"""Floods: pictures that suddenly match many claims, and the claims that wait for such a picture alone.

Without this, a picture that everybody sends (a shop's icon, a courier's label) would put hundreds of honest claims
before a person one by one; with it a person looks once (docs/decisions/0007-commons-and-floods.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from claims.copies import ABOUT_THE_PAIR, COPIES
from claims.decision import Decision, Outcome
from claims.evidence import MatchOwner, PhotoMatch

_OTHERS = frozenset({MatchOwner.OTHER_CLAIMANT, MatchOwner.WEB, MatchOwner.STOCK})


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """Limits of a flood. claims_max: up to this many claims that match one picture within `window_hours` are referred
    like any other; the next opens a flood.

    A choice, not a measurement: no portfolio with floods was at hand. Five cases are enough for a person to meet the
    picture and confirm or excuse it before it is a flood; three days is as long as a viral picture takes to go round.
    """

    claims_max: int = 5
    window_hours: float = 72.0


def counts(match: PhotoMatch) -> bool:
    """Return True for a match that may belong to a flood: a proven copy of somebody else's picture that nothing
    explains.

    The claimant's own earlier pictures do not count, and a confirmed copy waits for no ruling.
    """
    ruled = match.ruling in ABOUT_THE_PAIR
    return match.verdict in COPIES and match.owner in _OTHERS and not match.common and not ruled


def waits_for(decision: Decision) -> tuple[str, ...]:
    """Return the floods that this claim waits for, if nothing else brings it before a person; else none."""
    referring = [reason for reason in decision.reasons if reason.pulls in (Outcome.REFER, Outcome.DECLINE)]
    if decision.outcome is not Outcome.REFER or any(reason.code != "photo_in_flood" for reason in referring):
        return ()
    return tuple(sorted({reason.value for reason in referring}))
