"""The signal `device`: claims sent from one device."""

from __future__ import annotations

from claims.fraud.signals.signal import Signal

SIGNAL = Signal(name="device", fields=("device_id",), reason="device_shared")
