"""The fraud signals, by the name that limits (`claims.rules`) and counts (`claims.evidence.WindowCount`) give."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from claims.errors import UnknownSignal
from claims.fraud.signals import address, claimant, device, merchant, payee
from claims.fraud.signals.signal import Signal

# In order of weight: of two counts above their limits the earlier is named first.
SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        signal.name: signal
        for signal in (
            device.SIGNAL,
            payee.SIGNAL,
            address.SIGNAL,
            merchant.SIGNAL,
            claimant.SIGNAL,
        )
    }
)


def signal_named(name: str) -> Signal:
    """Return the signal of this name. Raises UnknownSignal that names those there are."""
    try:
        return SIGNALS[name]
    except KeyError:
        raise UnknownSignal(
            f"no fraud signal {name!r}; known: {', '.join(SIGNALS)} (claims/fraud/signals/registry.py)"
        ) from None
