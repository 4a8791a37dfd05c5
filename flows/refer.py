"""Delivers referrals from the outbox to the partner insurers: one signed notice each, repeated until the partner has
taken it. Also notes the audit chain's tips where the database cannot change them (`flows.tips`), and watches for what
operators must hear of (`flows.operations.watch`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from claims.disclosure import without_claims
from claims.store import adjudication, outbox, referrals
from claims.store.outbox import Message
from claims.store.referrals import Referral
from claims.store.tables import decisions
from flows.config import PartnerConfig, ReferConfig
from flows.errors import DeliveryFailed
from flows.operations.brakes import keep_in_step
from flows.operations.crashed import keep_truth
from flows.operations.watch import alerting
from flows.partners.notice import EvidenceLink, Notice, deliver
from flows.queues import utc_now
from flows.register import StoredRegister
from flows.sending import Duty, send_until_stopped
from flows.tips import TipKeeper

# Reasons whose value quotes a paper or names the insured: the partner reads those in the referral, not in a notice.
QUOTING = frozenset({"patient_is_not_insured", "papers_disagree"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers one referral at a time."""

    engine: AsyncEngine
    client: httpx.AsyncClient
    partners: Mapping[str, PartnerConfig]
    public_url: str

    async def deliver(self, message: Message) -> tuple[str, str]:
        """Returns ("delivered", partner) or ("settled before", state). Raises DeliveryFailed to be tried again."""
        async with self.engine.begin() as conn:
            referral = await referrals.get(conn, message.key)
            if referral.state != "open":
                await outbox.finish(conn, message, utc_now())
                return "settled before", referral.state
            notice = await self._notice(conn, referral)
        partner = self.partners.get(referral.partner)
        if partner is None:
            # Configured tomorrow, it is delivered tomorrow; the adjusters' queue has it meanwhile.
            raise DeliveryFailed(f"no address and secret for partner {referral.partner!r}")
        await deliver(self.client, partner, notice, utc_now())
        async with self.engine.begin() as conn:
            await referrals.deliver(conn, referral.id, utc_now())
            await outbox.finish(conn, message, utc_now())
        return "delivered", referral.partner

    async def _notice(self, conn: AsyncConnection, referral: Referral) -> Notice:
        file = await adjudication.load(conn, referral.claim_id)
        base = self.public_url.rstrip("/")
        return Notice(
            referral_id=referral.id,
            claim_id=file.claim.id,
            product=file.claim.product,
            peril=file.claim.peril,
            amount=file.claim.amount,
            cause=referral.cause,
            reasons=await _reasons(conn, referral.decision_id),
            evidence=tuple(
                EvidenceLink(row.id, row.kind, f"{base}/v1/claims/{file.claim.id}/evidence/{quote(row.name, safe='')}")
                for row in file.evidence
            ),
            claim_url=f"{base}/v1/claims/{file.claim.id}",
            decision_url=f"{base}/v1/referrals/{referral.id}/decision",
            created_at=referral.created_at,
            due_at=referral.due_at,
        )


async def _reasons(conn: AsyncConnection, decision_id: str) -> tuple[dict[str, str], ...]:
    """Returns codes, values and thresholds of a recorded decision, without the details, which may quote a paper."""
    recorded = (
        await conn.execute(select(decisions.c.decision).where(decisions.c.id == decision_id))
    ).scalar_one_or_none()
    if recorded is None:
        return ()
    told: list[dict[str, str]] = []
    for reason in json.loads(recorded)["reasons"]:
        if reason["pulls"] == "pay":
            continue
        keys = ("code", "evidence_id") if reason["code"] in QUOTING else ("code", "evidence_id", "value", "threshold")
        told.append({key: without_claims(str(reason[key])) for key in keys})
    return tuple(told)


async def run(config: ReferConfig, stop: asyncio.Event | None = None) -> None:
    """Deliver, and note the audit chain's tips where that is configured, until SIGTERM or `stop`."""

    @asynccontextmanager
    async def duty(engine: AsyncEngine, stop: asyncio.Event, register: StoredRegister) -> AsyncIterator[Duty]:
        timeout = config.timeout_seconds
        async with httpx.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False) as client:
            deliver = Delivery(engine, client, config.partners, config.public_url).deliver
            truth = keep_truth(engine, config.prefect, register, stop)
            async with alerting(engine, config.watch, config.prefect, stop) as watching:
                beside = [truth, keep_in_step(engine, config.prefect, stop), *watching]
                if config.tips is None:
                    yield Duty(deliver, beside=beside)
                else:
                    keeper = TipKeeper(engine, config.tips, client)
                    yield Duty(deliver, beside=[*beside, keeper.keep(stop)], figures=keeper.report)

    await send_until_stopped("refer", config, duty, stop)
