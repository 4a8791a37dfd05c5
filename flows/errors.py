"""Errors of the flows.

FlowsError
├── RailError                 the payout rail could not be used at all (not a payout's own outcome)
├── Postponed                 this message cannot be finished now; it is tried again after a pause
│   └── DeliveryFailed        a partner did not take a notice
└── UnknownPartner            a product routes to a partner that has no address or no secret
"""

from __future__ import annotations


class FlowsError(Exception):
    """Root of every error that the flows raise on purpose."""


class RailError(FlowsError): ...


class Postponed(FlowsError): ...


class DeliveryFailed(Postponed): ...


class UnknownPartner(FlowsError): ...
