"""The signal `merchant`: claims against one shop."""

from __future__ import annotations

from claims.fraud.signals.signal import Signal

SIGNAL = Signal(name="merchant", fields=("merchant_id",), reason="merchant_over_limit")
