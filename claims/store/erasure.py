"""Erases a claim: its content is removed; the fact that it was decided and what was paid stays.

Gone: evidence with its previews, facts (texts and numbers of papers, hashes), words of the claimant and of those who
judged, account, device, address, merchant and order number, the contents behind the audit's commitments. Kept: ids,
product, peril, times and amounts, outcome and reason codes of every decision, payouts with the bank's reference, the
ledger, of a claim that was paid the digest of its order, which is not paid again, and the audit chain, which still
verifies and names the claimant by a pseudonym. The photo library's rows are erased beside it, in the same transaction,
by `flows.erasure`; files go afterwards, from the list that this transaction leaves, and then the free space of the
tables is cleaned (`claims.store.scrubbing`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.audit import ELSEWHERE
from claims.audit_actions import ERASED
from claims.claim import Status, check_transition
from claims.decision import Decision
from claims.errors import InFlight
from claims.store import audit, idempotency, links, rulings, statuses
from claims.store import payouts as payout_store
from claims.store.payouts import LIVE
from claims.store.referrals import OPEN
from claims.store.tables import (
    blob_deletions,
    claim_history,
    claim_orders,
    claim_overlays,
    claims,
    decisions,
    document_numbers,
    evidence,
    flood_claims,
    jobs,
    outbox,
    payout_findings,
    payouts,
    photo_sightings,
    recoveries,
    referrals,
    stage_results,
)
from claims.wire import canonical, from_plain

ACTION: Final = ERASED
_WORDS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Erased:
    """The result of an erasure. first: this call erased it; otherwise it was erased before, at `at`. files: keys in the
    evidence store to be deleted now, unless somebody else's row names them."""

    claim_id: str
    at: datetime
    first: bool
    files: tuple[str, ...]


async def erase(conn: AsyncConnection, claim_id: str, now: datetime, *, actor: str, reason: str) -> Erased:
    """Erase everything but the files, in the caller's transaction. Called again it changes nothing but finds files that
    are left.

    actor: `role:subject`, and reason: kept in the audit chain. Raises NotFound, and InFlight with its code (nothing is
    changed): `queued` or `leased` for adjudication, `paying`, `before_a_person`.
    """
    status, round_number = await statuses.lock(conn, claim_id)
    if status is Status.ERASED:
        at = await _erased_at(conn, claim_id)
        return Erased(claim_id, at, False, await files_left(conn, claim_id))
    await _check_at_rest(conn, claim_id)
    check_transition(status, Status.ERASED)
    files = await _files(conn, claim_id)
    files |= await _out_of_other_records(conn, claim_id, now, actor)
    photos = list((await conn.execute(select(evidence.c.id).where(evidence.c.claim_id == claim_id))).scalars())
    for table in (evidence, stage_results, document_numbers, claim_overlays, flood_claims):
        await conn.execute(delete(table).where(table.c.claim_id == claim_id))
    sighted = photo_sightings.c.claim_id == claim_id
    await conn.execute(delete(photo_sightings).where(sighted | photo_sightings.c.photo_id.in_(photos)))
    others = {*await links.naming(conn, claim_id), *await rulings.claims_about(conn, claim_id)} - {claim_id}
    elsewhere = await audit.erase_words_on(conn, others, photos)
    if claim_id not in await payout_store.paid_claims(conn, [claim_id]):
        await conn.execute(delete(claim_orders).where(claim_orders.c.claim_id == claim_id))
    await rulings.forget_claim(conn, claim_id)
    await idempotency.erase(conn, claim_id)
    await links.forget(conn, [claim_id])
    await _blank_words(conn, claim_id)
    await _strip_decisions(conn, claim_id, now)
    await _leave_to_delete(conn, claim_id, files, now)
    await audit.erase_contents(conn, claim_id)
    await conn.execute(update(claims).where(claims.c.id == claim_id).values(status=Status.ERASED))
    await conn.execute(
        insert(claim_history).values(claim_id=claim_id, status=Status.ERASED, actor=actor, note="", at=now)
    )
    content: dict[str, object] = {"reason": reason[:_WORDS_MAX], "was": status, "round": round_number}
    content |= {"files": len(files), ELSEWHERE: list(elsewhere)}
    await audit.append(conn, actor, ACTION, claim_id, content, now)
    return Erased(claim_id, now, True, tuple(sorted(files)))


async def at_work(conn: AsyncConnection, claim_id: str, others: Iterable[str] = ()) -> frozenset[str]:
    """Keep a claim, and those of `others`, from being erased before this transaction ends, for whoever is about to
    write what they found in the claims' files.

    Returns those of `others` that have been erased: nothing of them may be written any more. Raises InFlight (`erased`)
    when the claim itself has been.
    """
    named = frozenset(others) - {""}
    status_by_claim = await statuses.lock_all(conn, {claim_id, *named})
    if status_by_claim.get(claim_id) is Status.ERASED:
        raise InFlight(f"claim {claim_id} was erased while it was looked at", "erased")
    return frozenset(other for other in named if status_by_claim.get(other) is Status.ERASED)


async def files_left(conn: AsyncConnection, claim_id: str = "") -> tuple[str, ...]:
    """Return the keys that erasures have left to be deleted, of one claim or of all."""
    query = select(blob_deletions.c.sha256).order_by(blob_deletions.c.created_at, blob_deletions.c.sha256)
    if claim_id:
        query = query.where(blob_deletions.c.claim_id == claim_id)
    return tuple((await conn.execute(query)).scalars())


async def file_done(conn: AsyncConnection, sha256: str) -> None:
    """Record that the file is gone, or that somebody's row names it again."""
    await conn.execute(delete(blob_deletions).where(blob_deletions.c.sha256 == sha256))


async def leave_to_delete(conn: AsyncConnection, claim_id: str, sha256s: Iterable[str], now: datetime) -> None:
    """Record files to be deleted that were made of an erased claim's evidence after its erasure."""
    await _leave_to_delete(conn, claim_id, frozenset(sha256s) - {""}, now)


async def _check_at_rest(conn: AsyncConnection, claim_id: str) -> None:
    working = (
        await conn.execute(
            select(jobs.c.state).where(jobs.c.claim_id == claim_id, jobs.c.state.in_(("due", "leased"))).limit(1)
        )
    ).scalar_one_or_none()
    if working is not None:
        code = "queued" if working == "due" else "leased"
        raise InFlight(f"claim {claim_id} is {code} for adjudication: wait, or have it withdrawn", code)
    going = LIVE[:-1]  # reserved, sent
    paying = await conn.execute(select(func.count()).where(payouts.c.claim_id == claim_id, payouts.c.state.in_(going)))
    if paying.scalar_one():
        raise InFlight(f"money of claim {claim_id} is on its way: wait until the bank has answered", "paying")
    judged = await conn.execute(
        select(func.count()).where(referrals.c.claim_id == claim_id, referrals.c.state.in_(OPEN))
    )
    if judged.scalar_one():
        raise InFlight(f"claim {claim_id} is before a person: decide it, or have it withdrawn", "before_a_person")


async def _erased_at(conn: AsyncConnection, claim_id: str) -> datetime:
    at = await conn.execute(
        select(func.max(claim_history.c.at)).where(
            claim_history.c.claim_id == claim_id, claim_history.c.status == Status.ERASED
        )
    )
    erased_at: datetime = at.scalar_one()
    return erased_at


async def _files(conn: AsyncConnection, claim_id: str) -> frozenset[str]:
    """Return the claim's own files, previews and overlays, whether others use them or not."""
    rows = await conn.execute(
        select(evidence.c.sha256, evidence.c.preview_sha256).where(evidence.c.claim_id == claim_id)
    )
    overlays = await conn.execute(select(claim_overlays.c.sha256).where(claim_overlays.c.claim_id == claim_id))
    return frozenset(key for row in rows for key in row if key) | frozenset(overlays.scalars())


async def _out_of_other_records(conn: AsyncConnection, claim_id: str, now: datetime, actor: str) -> frozenset[str]:
    """Take this claim's pictures out of the facts of those that matched them. Returns the overlays that showed them."""
    overlays: set[str] = set()
    for other in await links.naming(conn, claim_id):
        changed = 0
        # Decisions are added, never changed, but for this: no lock on the other claim is needed.
        for row in await conn.execute(select(decisions.c.id, decisions.c.inputs).where(decisions.c.claim_id == other)):
            plain = json.loads(row.inputs)
            if blanked := _blanked(plain.get("facts", {}), claim_id):
                overlays |= blanked
                changed += 1
                await conn.execute(update(decisions).where(decisions.c.id == row.id).values(inputs=canonical(plain)))
        if changed:
            content = {"erased": claim_id, "decisions": changed}
            await audit.append(conn, actor, "claim.picture_erased", other, content, now)
        stages = await conn.execute(
            select(stage_results).where(
                stage_results.c.claim_id == other, stage_results.c.stage.in_(links.STAGES_WITH_MATCHES)
            )
        )
        for row in stages:
            if _blanked({links.STAGES_WITH_MATCHES[row.stage]: row.result}, claim_id):
                await conn.execute(
                    update(stage_results)
                    .where(
                        stage_results.c.claim_id == other,
                        stage_results.c.round == row.round,
                        stage_results.c.stage == row.stage,
                    )
                    .values(result=row.result)
                )
        await conn.execute(
            delete(claim_overlays).where(claim_overlays.c.claim_id == other, claim_overlays.c.sha256.in_(overlays))
        )
    return frozenset(overlays - {""})


def _blanked(facts: dict[str, object], claim_id: str) -> frozenset[str]:
    """Blank the claim's pictures in facts. Returns the overlays; empty when the facts do not name the claim, with "" in
    it when they do and there was no overlay."""
    if claim_id not in links.claims_in(facts):
        return frozenset()
    return links.blank(facts, [claim_id]) | {""}


async def _blank_words(conn: AsyncConnection, claim_id: str) -> None:
    fields = (
        *("description", "payee_account", "device_id", "address", "merchant_id", "order_number"),
        *("trace_id", "flow_run_id"),  # they point to logs and runs
    )
    await conn.execute(update(claims).where(claims.c.id == claim_id).values(dict.fromkeys(fields, "")))
    by_claimant = claim_history.c.actor.startswith("claimant:")
    await conn.execute(
        update(claim_history)
        .where(claim_history.c.claim_id == claim_id)
        .values(note="", actor=case((by_claimant, "claimant"), else_=claim_history.c.actor))
    )
    await conn.execute(update(referrals).where(referrals.c.claim_id == claim_id).values(note=""))
    await conn.execute(update(jobs).where(jobs.c.claim_id == claim_id).values(last_error=""))
    await conn.execute(update(outbox).where(outbox.c.payload["claim_id"].astext == claim_id).values(last_error=""))
    # What is owed back stays, with its amounts; why, and what people wrote about it, goes.
    await conn.execute(update(recoveries).where(recoveries.c.claim_id == claim_id).values(note=""))
    await conn.execute(update(payout_findings).where(payout_findings.c.claim_id == claim_id).values(note=""))
    # To whom it was paid stands in the bank's books, under the reference that is kept.
    await conn.execute(update(payouts).where(payouts.c.claim_id == claim_id).values(payee_account="", last_error=""))


async def _strip_decisions(conn: AsyncConnection, claim_id: str, now: datetime) -> None:
    """Remove values, details, words and all inputs; outcome, codes, clauses and amounts stay."""
    nothing = canonical({"by": "erased", "erased_at": now.isoformat()})
    for row in await conn.execute(select(decisions.c.id, decisions.c.decision).where(decisions.c.claim_id == claim_id)):
        decided = from_plain(Decision, json.loads(row.decision))
        reasons = (replace(reason, value="", threshold="", detail="", evidence_id="") for reason in decided.reasons)
        stripped = replace(
            decided,
            reasons=tuple(dict.fromkeys(reasons)),
            # The days of a stay still count against the days that the cover pays for.
            benefit=tuple(
                line if line.label == "days_counted" else replace(line, detail="") for line in decided.benefit
            ),
        )
        await conn.execute(
            update(decisions).where(decisions.c.id == row.id).values(inputs=nothing, decision=canonical(stripped))
        )


async def _leave_to_delete(conn: AsyncConnection, claim_id: str, files: Iterable[str], now: datetime) -> None:
    rows = [{"sha256": sha256, "claim_id": claim_id, "created_at": now} for sha256 in sorted(files)]
    if rows:
        await conn.execute(upsert(blob_deletions).values(rows).on_conflict_do_nothing(index_elements=["sha256"]))
