"""The signal `payee`: claims whose money goes to one account."""

from __future__ import annotations

from claims.fraud.signals.signal import Signal

SIGNAL = Signal(name="payee", fields=("payee_account",), reason="payee_shared")
