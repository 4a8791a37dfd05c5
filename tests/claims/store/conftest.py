"""A small insured world in the store, with the steps of a claim's life that tests share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.claim import Claim, EvidenceKind
from claims.decision import Decision, Ground, Outcome, Reason
from claims.money import Money
from claims.policy import Policy
from claims.store import adjudication, intake, queue, recording
from claims.store.intake import NewEvidence
from claims.store.recording import DecisionRecorded

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
LEASE_SECONDS = 30.0


def cny(minor: int) -> Money:
    return Money(minor, "CNY")


@dataclass
class World:
    """Two claimants, `ann` with policy `pol-ann` over 1,000.00 and `bob` with `pol-bob`. Time stands at `now`."""

    engine: AsyncEngine
    now: datetime = NOW
    made: int = 0

    def later(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def decision(self, outcome: Outcome, minor: int = 0, by: str = "rules") -> Decision:
        ground = Ground.CLEAR if outcome is Outcome.PAY else Ground.EVIDENCE
        reason = Reason(code="photo_unseen", ground=ground, pulls=outcome, value="unseen", threshold="unseen")
        return Decision(outcome, cny(minor), (), (reason,), "2026.1", (), self.now, by)

    def claim(self, claim_id: str, owner: str = "ann", **changes: object) -> Claim:
        """Returns a claim, by default about an event and an order of its own."""
        self.made += 1
        made = Claim(
            id=claim_id,
            policy_id=f"pol-{owner}",
            claimant_id=owner,
            product="fresh_food_rot",
            peril="rot",
            amount=cny(5980),
            occurred_at=self.now - timedelta(hours=20, minutes=2 * self.made),
            submitted_at=self.now,
            description="霉变",
            payee_account="6222020200112233",
            device_id="ios-1",
            address="",
            merchant_id="m-1",
            order_number=f"order-of-{claim_id}",
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    async def seed(self) -> None:
        async with self.engine.begin() as conn:
            for person in ("ann", "bob"):
                await intake.upsert_claimant(conn, person, person.title(), {"age": 30}, self.now)
                policy = Policy(
                    id=f"pol-{person}",
                    number=f"N-{person}",
                    product="fresh_food_rot",
                    claimant_id=person,
                    insured_name=person.title(),
                    pet_id="",
                    starts_at=self.now - timedelta(days=30),
                    ends_at=self.now + timedelta(days=335),
                    sum_insured=cny(100_000),
                    insured_value=cny(5980),
                )
                await intake.upsert_policy(conn, policy, policy.starts_at)

    async def file(self, conn: AsyncConnection, claim_id: str, name: str, owner: str = "ann", sha: str = "a") -> str:
        new = NewEvidence(f"{claim_id}-{name}", name, EvidenceKind.PHOTO, "image/jpeg", 1000, sha * 64)
        return await intake.add_evidence(conn, claim_id, owner, new, self.now)

    async def submitted(self, claim_id: str, owner: str = "ann", **changes: object) -> str:
        """Submits a claim with one photo, due for adjudication."""
        async with self.engine.begin() as conn:
            claim = self.claim(claim_id, owner, **changes)
            await intake.create_claim(conn, claim, self.now, actor=f"claimant:{owner}")
            await self.file(conn, claim_id, "photo.jpg", owner)
            await intake.submit(conn, claim_id, owner, self.now, actor=f"claimant:{owner}")
        return claim_id

    async def lease(self, owner: str = "w1", limit: int = 1, seconds: float = 0.0) -> list[queue.Lease]:
        async with self.engine.begin() as conn:
            now = self.later(seconds)
            return await queue.lease(conn, owner, limit, LEASE_SECONDS, now) or await queue.lease_alone(
                conn, owner, LEASE_SECONDS, now
            )

    async def decide(self, lease: queue.Lease, decision: Decision, partner: str = "anshun") -> DecisionRecorded:
        async with self.engine.begin() as conn:
            file = await adjudication.load(conn, lease.claim_id)
            return await recording.record_decision(
                conn,
                recording.NewDecision(lease, file, decision, b"{}", self.now, "flow:adjudicate", partner=partner),
            )

    async def decided(self, claim_id: str, outcome: Outcome, minor: int = 0, **changes: object) -> DecisionRecorded:
        """Submits a claim and records that the rules decided it so."""
        await self.submitted(claim_id, **changes)  # type: ignore[arg-type]
        leases: Sequence[queue.Lease] = await self.lease()
        assert [lease.claim_id for lease in leases] == [claim_id]
        return await self.decide(leases[0], self.decision(outcome, minor))


@pytest.fixture
async def world(engine: AsyncEngine) -> World:
    made = World(engine)
    await made.seed()
    return made
