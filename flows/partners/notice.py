"""Notices of referrals to partner insurers: a signed webhook (standardwebhooks.com) that says what to look at and why.

A notice carries the claim's product, amounts, reasons and links; no names, account, device, address or free text of the
claimant. The partner reads those, where it needs them, through the links, with its own token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from claims.faults import fault
from claims.money import Money
from flows.config import PartnerConfig
from flows.errors import DeliveryFailed
from flows.webhooks import signed_headers

EVENT = "referral.created"


@dataclass(frozen=True, slots=True)
class EvidenceLink:
    """One file of the claim: its kind and where the partner fetches it."""

    id: str
    kind: str
    url: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The content of one notice to a partner about a referral. `reasons` are codes with value and threshold, as
    decided."""

    referral_id: str
    claim_id: str
    product: str
    peril: str
    amount: Money
    cause: str
    reasons: tuple[dict[str, str], ...]
    evidence: tuple[EvidenceLink, ...]
    claim_url: str
    decision_url: str
    created_at: datetime
    due_at: datetime

    def body(self) -> bytes:
        """Returns the body, the same bytes on every attempt, so that one signature scheme and one message id name one
        notice."""
        data: dict[str, Any] = {
            "referral_id": self.referral_id,
            "claim_id": self.claim_id,
            "product": self.product,
            "peril": self.peril,
            "amount_minor": self.amount.minor,
            "currency": self.amount.currency,
            "cause": self.cause,
            "reasons": list(self.reasons),
            "evidence": [{"id": link.id, "kind": link.kind, "url": link.url} for link in self.evidence],
            "claim_url": self.claim_url,
            "decision_url": self.decision_url,
            "due_at": self.due_at.isoformat(),
        }
        event = {"type": EVENT, "timestamp": self.created_at.isoformat(), "data": data}
        return json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def headers(notice: Notice, secret: str, at: datetime) -> dict[str, str]:
    """Returns the webhook headers of a notice; its message id is the referral's id."""
    return signed_headers(notice.referral_id, notice.body(), secret, at)


async def deliver(client: httpx.AsyncClient, partner: PartnerConfig, notice: Notice, at: datetime) -> None:
    """Send one notice. Raises DeliveryFailed unless the partner answers 2xx; redirects are not followed."""
    try:
        response = await client.post(
            partner.webhook_url, content=notice.body(), headers=headers(notice, partner.secret, at)
        )
    except httpx.HTTPError as error:
        raise DeliveryFailed(f"{partner.key}: {fault(error)}") from error
    if not response.is_success:
        raise DeliveryFailed(f"{partner.key} answered {response.status_code}")
