"""The signal `claimant`: claims of one claimant."""

from __future__ import annotations

from claims.fraud.signals.signal import Signal

SIGNAL = Signal(name="claimant", fields=("claimant_id",), reason="claimant_over_limit")
