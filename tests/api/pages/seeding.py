"""Claims and decisions for the pages to show, made through the API and the store; no worker is needed.

Everything runs in a thread of its own: Playwright's loop holds the test's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from claims import decide
from claims.catalogue import product_of
from claims.decision import Decision
from claims.evidence import (
    Box,
    CoverFact,
    CreditFact,
    CreditReason,
    Facts,
    FraudFact,
    KeypointPair,
    MatchOwner,
    NoseFact,
    PaperCheck,
    PaperCurrency,
    PaperFact,
    PaperField,
    PaperItem,
    PhotoFact,
    PhotoMatch,
    PhotoVerdict,
    Placement,
    UnmeasuredFact,
    UnmeasuredPaper,
)
from claims.rules import RULES
from claims.store import adjudication, counts, heartbeats, payouts, queue, recording, views
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from fixtures.cases import diagnosis, stay
from tests.api.http import world
from tests.api.http.world import Api, jpeg

Result = TypeVar("Result")
PAIRS = tuple(
    KeypointPair(0.1 + 0.02 * i, 0.2 + 0.05 * (i % 7), 0.9 - 0.02 * i, 0.2 + 0.05 * (i % 7)) for i in range(20)
)


def apart(function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Runs `function` in a thread without an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments, **options).result()


def stored(api: Api, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Runs `work` in one transaction of the site's database."""

    async def run() -> Result:
        engine = connect(api.settings.database_url)
        try:
            async with engine.begin() as conn:
                return await work(conn)
        finally:
            await engine.dispose()

    return apart(lambda: asyncio.run(run()))


def register(api: Api, claimant_id: str, policy_id: str, **changed: Any) -> None:
    apart(world.register, api, policy_id=policy_id, claimant_id=claimant_id, **changed)


def claim(api: Api, claimant_id: str, policy_id: str, part: str = "photo", seed: int = 0, **changed: Any) -> str:
    """Submits a claim with one file and returns its id."""
    own = {"payee_account": f"62220202001{seed:05d}", "device_id": f"telephone-of-{claimant_id}"}
    own |= {"order_number": f"20261119{seed:05d}"}
    statement = world.statement(policy_id, **own | changed)
    parts = world.parts(statement, jpeg(seed), part=part)
    answer = apart(api.as_("claimant", claimant_id).post, "/v1/claims", files=parts, headers=world.key())
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def photo_facts(row: adjudication.EvidenceRow, *matches: PhotoMatch) -> PhotoFact:
    no_exif = UnmeasuredFact("no EXIF", retryable=False)
    verdict = matches[0].verdict if matches else PhotoVerdict.UNSEEN
    return PhotoFact(row.id, row.name, row.sha256, 320, 240, verdict, matches, no_exif, no_exif, "Apple iPhone 15")


def copy_of(claim_id: str, preview_sha256: str) -> PhotoMatch:
    return PhotoMatch(
        "photo-other", MatchOwner.OTHER_CLAIMANT, claim_id, PhotoVerdict.EDITED_COPY, 0.9987, 65,
        "mirrored, same scale, shows 52% of the original", PAIRS, preview_sha256,
    )  # fmt: skip


def scene_of(claim_id: str, preview_sha256: str, owner: MatchOwner, status: str = "approved") -> PhotoMatch:
    """Returns the match with another photo of the same scene, in that claim."""
    return PhotoMatch(
        f"photo-of-{owner}", owner, claim_id, PhotoVerdict.SAME_SCENE, 0.9951, 57, "", PAIRS, preview_sha256,
        placement=Placement(1.04, 2.0, False, 0.91, 0.93, ((0.0, 0.0), (0.9, 0.0), (0.9, 1.0), (0.0, 1.0))),
        claim_status=status, tight_inliers=31, tight_ratio=0.54, rigid_ratio=0.31, contained_ratio=0.93, pdq_bits=120,
    )  # fmt: skip


def invoice_facts(row: adjudication.EvidenceRow) -> PaperFact:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    read = {
        "hospital": "杭州市第一人民医院",
        "patient": "李晓雯",
        "date": yesterday,
        "number": f"33{row.sha256[:8]}",
        "total_minor": "94000",
        "capital_total_minor": "94000",
        "insurance_paid_minor": "0",
        "cash_paid_minor": "94000",
    }
    fields = tuple(
        PaperField(name, value, 0.97, Box(0.1, 0.1 * place, 0.4, 0.1 * place + 0.08))
        for place, (name, value) in enumerate(read.items())
    )
    checks = (
        PaperCheck("items_sum_to_total", False, "2 items sum to 170.00, the total says 940.00"),
        PaperCheck("date_is_plausible", True, "dated yesterday"),
    )
    items = (PaperItem("门诊诊查费", "甲", 5_000), PaperItem("血常规检验", "甲", 12_000))
    return PaperFact(
        row.id,
        row.name,
        row.sha256,
        "outpatient_invoice",
        fields,
        items,
        checks,
        0.97,
        (),
        (),
        currency=PaperCurrency("CNY", "script"),
    )


def record(
    api: Api, claim_id: str, facts_of: Callable[[adjudication.ClaimFile, str], dict[str, Any]] | None = None
) -> Decision:
    """Records previews, facts and the rules' decision on them, as a worker does."""
    preview = BlobStore(api.settings.evidence_url).put(jpeg(1))

    async def work(conn: AsyncConnection) -> Decision:
        now = datetime.now(UTC)
        leases = await queue.lease(conn, "test", 50, 30.0, now)
        lease = next(lease for lease in leases if lease.claim_id == claim_id)
        await queue.release(conn, [candidate for candidate in leases if candidate is not lease])
        file = await adjudication.load(conn, claim_id)
        for row in file.evidence:
            await adjudication.set_preview(conn, row.id, preview)
        reasons = (CreditReason("repaid_mean_6m_minor", "0 to 95020", 31.0),)
        facts = Facts(
            CoverFact(0, "CNY", 0, file.claim.occurred_at.date()),
            tuple(photo_facts(row) for row in file.evidence if row.kind == "photo"),
            (),
            (),
            CreditFact(639, reasons, "credit@1"),
            FraudFact(await counts.window_counts(conn, claim_id)),
        )
        if facts_of is not None:
            facts = replace(facts, **facts_of(file, preview))
        product = product_of(file.claim.product)
        terms = (file.under(product), facts, RULES, now, ("copy_fusion@4eaee48eac95",))
        decision = decide.decide(*terms)
        await recording.record_decision(
            conn,
            recording.NewDecision(
                lease, file, decision, decide.inputs(*terms), now, "flow:adjudicate", partner=product.partner
            ),
        )
        await adjudication.set_flow_run(conn, [claim_id], "0f0e0d0c-0000-4000-8000-000000000001")
        return decision

    return stored(api, work)


def refer_for_copy(api: Api, claim_id: str, original: str) -> Decision:
    """Refers the claim: its photo is an edited copy of a photo of another claimant's claim `original`."""

    def facts(file: adjudication.ClaimFile, preview: str) -> dict[str, Any]:
        return {"photos": tuple(photo_facts(row, copy_of(original, preview)) for row in file.evidence)}

    return record(api, claim_id, facts)


def refer_for_paper(api: Api, claim_id: str) -> Decision:
    def facts(file: adjudication.ClaimFile, _: str) -> dict[str, Any]:
        return {"papers": tuple(invoice_facts(row) for row in file.evidence)}

    return record(api, claim_id, facts)


def pay_for_stay(api: Api, claim_id: str) -> Decision:
    """Pays for a hospital bill and its diagnosis page, both in order; two days that ended yesterday."""
    last = (datetime.now(UTC) - timedelta(days=1)).date()
    days = ((last - timedelta(days=2)).isoformat(), last.isoformat())

    def facts(file: adjudication.ClaimFile, _: str) -> dict[str, Any]:
        row = file.evidence[0]
        bill = stay(500_000, 100_000, [("甲", 300_000), ("乙", 200_000)], evidence_id=row.id, days=days)
        return {"papers": (replace(bill, name=row.name, sha256=row.sha256), diagnosis(date=last.isoformat()))}

    return record(api, claim_id, facts)


def ask_for_paper(api: Api, claim_id: str) -> Decision:
    """Asks for the paper again because it cannot be read."""

    def facts(file: adjudication.ClaimFile, _: str) -> dict[str, Any]:
        blurred = [UnmeasuredPaper(row.id, row.name, row.sha256, "too blurred", True) for row in file.evidence]
        return {"papers": tuple(blurred)}

    return record(api, claim_id, facts)


def refer_for_nose(api: Api, claim_id: str) -> Decision:
    """Refers the claim for a copied photo and a nose far from the enrolled ones."""

    def facts(file: adjudication.ClaimFile, _: str) -> dict[str, Any]:
        return {
            "photos": tuple(photo_facts(row, copy_of("", "")) for row in file.evidence),
            "noses": tuple(NoseFact(row.id, "pet-1", 0.21, 2, 3, "nose_print@1") for row in file.evidence),
        }

    return record(api, claim_id, facts)


def pay_out(api: Api, claim_id: str) -> None:
    """Marks the claim's payout as confirmed by the bank."""

    async def work(conn: AsyncConnection) -> None:
        for payout in await payouts.of_claim(conn, claim_id):
            await payouts.mark_sent(conn, payout.id, datetime.now(UTC))
            await payouts.mark_paid(conn, payout.id, f"bank-{payout.id[:8]}", datetime.now(UTC))

    stored(api, work)


def fail_payout(api: Api, claim_id: str) -> None:
    """Marks the claim's payout as refused by the bank for good."""

    async def work(conn: AsyncConnection) -> None:
        for payout in await payouts.of_claim(conn, claim_id):
            await payouts.mark_failed(conn, payout.id, "account closed", datetime.now(UTC), partner="anshun")

    stored(api, work)


def beat(api: Api, kind: str) -> None:
    async def work(conn: AsyncConnection) -> None:
        await heartbeats.beat(conn, f"{kind}@host:1", kind, {"batch_size": 4, "prefect": True}, datetime.now(UTC))

    stored(api, work)


def referral_of(api: Api, claim_id: str) -> str:
    async def work(conn: AsyncConnection) -> str:
        return (await views.claim_view(conn, claim_id)).referrals[-1].id

    return stored(api, work)


def status_of(api: Api, claim_id: str) -> str:
    async def work(conn: AsyncConnection) -> str:
        return str((await views.claim_row(conn, claim_id)).status)

    return stored(api, work)


def late_event() -> str:
    """Returns a time too long ago for fresh food."""
    return (datetime.now(UTC) - timedelta(days=6)).isoformat()


def rows(api: Api, query: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a query on the store."""
    return apart(world.rows, api, query)
