"""A fraud signal: something that claims share, by which they are counted in windows of days.

A signal is one file beside this one, one line in `claims.fraud.signals.registry` and its limit in `claims.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from claims.claim import Claim
from claims.errors import InvalidSignal

# What a claim states in words, each a column of the store under the same name.
StatedField = Literal[
    "policy_id",
    "claimant_id",
    "product",
    "peril",
    "description",
    "payee_account",
    "device_id",
    "address",
    "merchant_id",
    "order_number",
]
WINDOW_DAYS: Final = (7, 30)


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal. Claims that state the same in all of `fields` are counted together; a claim that leaves a field empty
    is not counted.

    reason: the code under which a count above the limit of `claims.rules` goes to a person; it never declines.
    window_days: the windows that the store counts, whatever the rules ask for. Raises InvalidSignal.
    """

    name: str
    fields: tuple[StatedField, ...]
    reason: str
    window_days: tuple[int, ...] = WINDOW_DAYS

    def __post_init__(self) -> None:
        known = get_args(StatedField)
        if wrong := [field for field in self.fields if field not in known]:
            raise InvalidSignal(
                f"signal {self.name}: claims state no {', '.join(wrong)}; they state {', '.join(known)}"
            )
        if not self.fields:
            raise InvalidSignal(f"signal {self.name} names no field to count claims by")

    def carried_by(self, claim: Claim) -> bool:
        """Return True if the claim states every field that it is counted by."""
        return all(getattr(claim, field) for field in self.fields)
