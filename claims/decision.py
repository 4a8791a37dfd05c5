"""Decisions as records: the outcome, the amount, and every reason with its value and threshold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from claims.money import Money


class Outcome(StrEnum):
    PAY = "pay"
    REFER = "refer"
    ASK = "ask"  # more information from the claimant
    DECLINE = "decline"  # automatic only on a plain contract ground; otherwise a person's


class Ground(StrEnum):
    """The kind of a reason. Only CONTRACT reasons may decline automatically."""

    CONTRACT = "contract"
    EVIDENCE = "evidence"
    SUSPICION = "suspicion"
    LIMIT = "limit"  # too large or too unsure to pay without a person
    CLEAR = "clear"  # looked at and in order: why it could be paid
    PERSON = "person"  # an adjuster's own words


@dataclass(frozen=True, slots=True)
class Reason:
    """One fact that counted.

    code: stable, lower case with underscores, e.g. `photo_of_another_claim`; texts are in `claims.explain`.
    value, threshold: as text with units, e.g. "0.41", ">= 0.62". evidence_id is "" when it concerns the whole claim.
    clause: the product clause for CONTRACT reasons, else "".
    """

    code: str
    ground: Ground
    pulls: Outcome  # the outcome this reason alone would lead to
    value: str
    threshold: str
    evidence_id: str = ""
    clause: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BenefitLine:
    """One step of the calculation of the amount due, in order; the last line is the payout."""

    label: str  # a code, e.g. `claimed`, `deductible`, `co_pay`, `limit_left`, `payout`
    amount: Money
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """payout is zero unless the outcome is PAY. `reasons` puts those that carried the outcome first."""

    outcome: Outcome
    payout: Money
    benefit: tuple[BenefitLine, ...]
    reasons: tuple[Reason, ...]
    rules_version: str
    models: tuple[str, ...]  # name@sha256 prefix of every model that took part
    decided_at: datetime
    decided_by: str  # "rules" or the person's subject
