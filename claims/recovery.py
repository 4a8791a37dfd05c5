"""Settles a decision against money that was paid already: pay the rest, leave it, or ask for what was too much.

Never silently: where less is due than the claimant holds, whoever decides says that the rest is to be recovered, or the
decision is refused (docs/decisions/0018-recoveries.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from claims.decision import Outcome
from claims.errors import NothingToRecover, RecoveryNeeded

State = Literal["open", "offset", "repaid", "written_off"]


@dataclass(frozen=True, slots=True)
class Settling:
    """The money that follows from a decision. At most one of the two is above zero."""

    pay_minor: int
    recover_minor: int


def settling(outcome: Outcome, due_minor: int, held_minor: int, *, recover: bool) -> Settling:
    """Return the money that follows from a decision. due_minor: the whole amount that the decision says is due for the
    claim; held_minor: what the claimant was paid or promised and need not give back.

    Raises RecoveryNeeded when less is due than is held and `recover` is not set, NothingToRecover when it is set for
    nothing.
    """
    decides = outcome in (Outcome.PAY, Outcome.DECLINE)
    left_minor = (due_minor if outcome is Outcome.PAY else 0) - held_minor if decides else 0
    if recover and left_minor >= 0:
        raise NothingToRecover(f"{held_minor} minor units were paid, {due_minor} are due: there is nothing to recover")
    if left_minor < 0 and not recover:
        words = f"{held_minor} minor units were paid, {held_minor + left_minor} would be due"
        raise RecoveryNeeded(words, held_minor, held_minor + left_minor)
    return Settling(max(0, left_minor), max(0, -left_minor))


def split(pay_minor: int, owed: Iterable[tuple[str, int]]) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return what is offset against each recovery (id and minor units owed, oldest first), and what is left to send."""
    parts: list[tuple[str, int]] = []
    for recovery_id, owed_minor in owed:
        part_minor = min(pay_minor, owed_minor)
        if part_minor > 0:
            parts.append((recovery_id, part_minor))
            pay_minor -= part_minor
    return tuple(parts), pay_minor
