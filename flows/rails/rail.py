"""The answers of a payout rail, the protocol that every rail keeps, and the record that registers a kind of rail.

A kind of rail is one file beside this one and one line in `flows.rails.registry`; the setting `rail.kind` names it.

The payout id is the only key of a payment: the same on every attempt, so that a rail can pay at most once for it. A
rail never raises for the fate of a payout: it answers Paid, Refused, NotKnown or Unclear, and Unclear is resolved by
asking, never by sending again blindly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from claims.money import Money


@dataclass(frozen=True, slots=True)
class Instruction:
    """One payment to make."""

    payout_id: str
    amount: Money
    account: str
    note: str  # shown to the payee; names the claim, nothing else


@dataclass(frozen=True, slots=True)
class Paid:
    """The money left. `reference` is the rail's own; the amount and account are as the rail recorded them."""

    payout_id: str
    reference: str
    amount: Money
    account: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The money did not leave and never will under this id. code: one of the rail's final refusals, nothing else."""

    payout_id: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class NotKnown:
    """The rail has never seen this id, as of the moment of asking."""

    payout_id: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """No reply, or a reply that says nothing about the payment: it may or may not have happened.

    wait_seconds: the pause that the rail asks for; 0 where it asks for none.
    """

    payout_id: str
    detail: str
    wait_seconds: float = 0.0


class PayoutRail(Protocol):
    """A bank, a wallet or a card scheme. Implementations are safe to use from several tasks at once."""

    async def send(self, instruction: Instruction) -> Paid | Refused | Unclear:
        """Ask for the payment. At most one payment per payout id, however often it is called."""
        ...

    async def ask(self, payout_id: str) -> Paid | Refused | NotKnown | Unclear:
        """Ask for the state of a payout. Never moves money.

        A refusal given by `send` counts only when this repeats it; a rail that cannot repeat one answers Unclear, since
        NotKnown would leave the payout open.
        """
        ...

    def payments(self) -> AsyncIterator[Paid]:
        """Yields every payment that the rail has made for us, oldest first. Raises RailError when the list cannot be
        read in full."""
        ...


class RailSettings(BaseModel):
    """Base of a rail's own settings: frozen, and an unknown name is an error. Secrets are SecretStr."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=RailSettings)


@dataclass(frozen=True, slots=True)
class RailKind(Generic[SettingsT]):
    """A kind of rail: the class of its settings, and the function that opens a rail with them for the life of a
    process."""

    name: str
    settings: type[SettingsT]
    open: Callable[[SettingsT], AbstractAsyncContextManager[PayoutRail]]


@dataclass(frozen=True, slots=True)
class ChosenRail:
    """The kind of rail that an installation pays by, with its settings (`flows.rails.registry.chosen`)."""

    kind: RailKind[Any]
    settings: RailSettings

    def open(self) -> AbstractAsyncContextManager[PayoutRail]:
        return self.kind.open(self.settings)
