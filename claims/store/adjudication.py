"""Loads what a worker needs to decide a claim: everything that was submitted, as of its round. `claims.store.recording`
records the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Claim, EvidenceKind, Status
from claims.errors import Conflict, NotFound
from claims.insured_claim import InsuredClaim
from claims.money import Money
from claims.policy import InsuredPet, Policy
from claims.product import Product
from claims.store.tables import claimants, claims, evidence, pets, policies


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One file of a claim.

    sha256 is its key in the evidence store; preview_sha256 that of the clean preview, "" until the flow has made it.
    """

    id: str
    name: str
    kind: EvidenceKind
    media_type: str
    size_bytes: int
    sha256: str
    preview_sha256: str
    round: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """Everything that was submitted, as of this round."""

    claim: Claim
    policy: Policy
    evidence: tuple[EvidenceRow, ...]
    round: int
    status: Status
    claimant_name: str
    credit_attributes: Mapping[str, Any]
    trace_id: str

    def under(self, product: Product) -> InsuredClaim:
        """Return the claim with its policy, under the product's terms."""
        return InsuredClaim(self.claim, self.policy, product)


async def load(conn: AsyncConnection, claim_id: str) -> ClaimFile:
    """Load the claim with its policy and evidence. Raises NotFound; Conflict for a draft, which has not been
    submitted."""
    row = (
        await conn.execute(
            select(claims, claimants.c.name.label("claimant_name"), claimants.c.credit_attributes)
            .join(claimants, claimants.c.id == claims.c.claimant_id)
            .where(claims.c.id == claim_id)
        )
    ).first()
    if row is None:
        raise NotFound(f"no claim {claim_id}")
    if row.submitted_at is None:
        raise Conflict(f"claim {claim_id} is a draft")
    claim = Claim(
        id=row.id,
        policy_id=row.policy_id,
        claimant_id=row.claimant_id,
        product=row.product,
        peril=row.peril,
        amount=Money(row.amount_minor, row.currency),
        occurred_at=row.occurred_at,
        submitted_at=row.submitted_at,
        description=row.description,
        payee_account=row.payee_account,
        device_id=row.device_id,
        address=row.address,
        merchant_id=row.merchant_id,
        order_number=row.order_number,
        other_insurance_minor=row.other_insurance_minor,
    )
    files = await conn.execute(
        select(evidence)
        .where(evidence.c.claim_id == claim_id, evidence.c.round <= row.round)  # no files of a round that has not begun
        .order_by(evidence.c.received_at, evidence.c.name)
    )
    return ClaimFile(
        claim=claim,
        policy=await policy_of(conn, row.policy_id),
        evidence=tuple(
            EvidenceRow(
                id=file.id,
                name=file.name,
                kind=EvidenceKind(file.kind),
                media_type=file.media_type,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                preview_sha256=file.preview_sha256,
                round=file.round,
                received_at=file.received_at,
            )
            for file in files
        ),
        round=row.round,
        status=Status(row.status),
        claimant_name=row.claimant_name,
        credit_attributes=row.credit_attributes,
        trace_id=row.trace_id,
    )


async def policy_of(conn: AsyncConnection, policy_id: str, claimant_id: str | None = None) -> Policy:
    """Return the policy. Raises NotFound, also when the policy is not `claimant_id`'s."""
    query = (
        select(policies, pets.c.species, pets.c.born_on)
        .join(pets, pets.c.id == policies.c.pet_id, isouter=True)
        .where(policies.c.id == policy_id)
    )
    if claimant_id is not None:
        query = query.where(policies.c.claimant_id == claimant_id)
    row = (await conn.execute(query)).first()
    if row is None:
        raise NotFound(f"no policy {policy_id}")
    return Policy(
        id=row.id,
        number=row.number,
        product=row.product,
        claimant_id=row.claimant_id,
        insured_name=row.insured_name,
        pet_id=row.pet_id,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        sum_insured=Money(row.sum_insured_minor, row.currency),
        insured_value=Money(row.insured_value_minor, row.currency),
        recorded_at=row.created_at,
        terms_changed_at=row.terms_changed_at,
        pet=InsuredPet(row.species, row.born_on) if row.species is not None else None,
    )


async def set_preview(conn: AsyncConnection, evidence_id: str, preview_sha256: str) -> None:
    """Record where the clean preview of an evidence file is stored."""
    await conn.execute(update(evidence).where(evidence.c.id == evidence_id).values(preview_sha256=preview_sha256))


async def set_flow_run(conn: AsyncConnection, claim_ids: Sequence[str], flow_run_id: str) -> None:
    """Record which flow run works on these claims, for the operator's link."""
    await conn.execute(update(claims).where(claims.c.id.in_(claim_ids)).values(flow_run_id=flow_run_id))
