"""Errors of the flows.

FlowsError
├── RailError                 the payout rail could not be used as configured (not a payout's own outcome)
├── DeliveryFailed            a partner did not take a notice; it is tried again
└── UnknownPartner            a product routes to a partner that has no address or no secret
"""

from __future__ import annotations


class FlowsError(Exception):
    """Root of every error that the flows raise on purpose."""


class RailError(FlowsError): ...


class DeliveryFailed(FlowsError): ...


class UnknownPartner(FlowsError): ...
