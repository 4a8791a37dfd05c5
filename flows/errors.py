"""Errors of the flows.

FlowsError
├── RailError                 the payout rail could not be used at all (not a payout's own outcome)
├── InvalidRail               settings that the chosen payout rail does not understand
│   └── UnknownRail           no payout rail of that name
├── Postponed                 this message cannot be finished now; it is tried again after a pause
│   └── DeliveryFailed        a partner did not take a notice
├── NoticeRefused             nobody took a notice of an alert; it is tried again after a pause
├── InvalidNotices            settings of notices that this Prefect server does not understand
├── PrefectAway               the Prefect server could not be used; the work itself is not affected
├── CutOffTooLow              an operator's descriptor needs a higher cut-off than the rules have
├── UnknownPaperKind          a product asks for a kind of paper that the reader does not know
├── PaperHalvesDiffer         what the reader and the insurer say of a kind of paper does not fit together
├── ImportStopped             batches of a library import fail one after another: it is not the pictures' doing
├── RunLost                   the Prefect server lost a run; the work itself is not affected
├── ChangedTooOften           the facts of a claim were out of date again at every attempt to decide it
├── NotDue                    a claim that cannot be leased on demand now, with the reason in words
├── KillsWorkers              processes died again and again with this claim alone in hand
├── JobRefused                a job that an operator asked for cannot be done: `code` says why
├── TaskTimedOut              a task of a flow took longer than it declares, by the clock
└── ComputedTooLong           a file of a claim kept this process computing for longer than any file may

Which errors are our machines' trouble and no fault of the claim's: `flows.trouble`.
"""

from __future__ import annotations


class FlowsError(Exception):
    """Root of every error that the flows raise on purpose."""


class RailError(FlowsError): ...


class InvalidRail(FlowsError): ...


class UnknownRail(InvalidRail): ...


class Postponed(FlowsError):
    """The message is to be tried again later. wait_seconds: the shortest pause that the other side asked for; 0 for
    none."""

    def __init__(self, message: str, wait_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class DeliveryFailed(Postponed): ...


class NoticeRefused(FlowsError): ...


class InvalidNotices(FlowsError): ...


class PrefectAway(FlowsError): ...


class CutOffTooLow(FlowsError): ...


class UnknownPaperKind(FlowsError): ...


class PaperHalvesDiffer(FlowsError): ...


class ImportStopped(FlowsError): ...


class RunLost(FlowsError): ...


class TaskTimedOut(FlowsError): ...


class ComputedTooLong(FlowsError): ...


class JobRefused(FlowsError):
    """A job cannot be done as it was asked for. code: lower case with underscores, stable; the words hold ids and
    codes, nobody's data, since Prefect shows them."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code
        self.words = words


class ChangedTooOften(FlowsError): ...


class NotDue(FlowsError): ...


class KillsWorkers(FlowsError): ...
