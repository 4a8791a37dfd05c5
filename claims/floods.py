"""A picture that suddenly matches many claims: what that is, and which claims wait for it alone.

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
    """claims_max: so many claims that match one picture within `window_hours` are referred like any other; the next
    opens a flood.

    A choice, not a measurement: no portfolio with floods was at hand. Five cases are enough for a person to meet the
    picture and confirm or excuse it before it is a flood; three days is as long as a viral picture takes to go round.
    """

    claims_max: int = 5
    window_hours: float = 72.0


def counts(match: PhotoMatch) -> bool:
    """Whether this match may be one of a flood: a proven copy of somebody else's picture that nothing explains.

    What the claimant sent before is their own affair, and a confirmed copy waits for nobody.
    """
    ruled = match.ruling in ABOUT_THE_PAIR
    return match.verdict in COPIES and match.owner in _OTHERS and not match.common and not ruled


def waits_for(decision: Decision) -> tuple[str, ...]:
    """The floods that this claim waits for, when nothing else brings it before a person; else none."""
    referring = [one for one in decision.reasons if one.pulls in (Outcome.REFER, Outcome.DECLINE)]
    if decision.outcome is not Outcome.REFER or any(one.code != "photo_in_flood" for one in referring):
        return ()
    return tuple(sorted({one.value for one in referring}))
