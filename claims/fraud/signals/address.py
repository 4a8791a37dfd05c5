"""The signal `address`: claims from one address."""

from __future__ import annotations

from claims.fraud.signals.signal import Signal

SIGNAL = Signal(name="address", fields=("address",), reason="address_shared")
