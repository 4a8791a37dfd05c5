"""Intake: policies, claimants and pets from the platform; claims, evidence, submissions and appeals from claimants.

A claimant's functions take `claimant_id` and put it into the SQL: another claimant's row is NotFound, as if it did not
exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.claim import Claim, EvidenceKind, Status, standing_decision
from claims.errors import Conflict, CurrencyMismatch, InvalidTransition, NotFound, TooManyFiles
from claims.policy import Policy, widens
from claims.store import audit, outbox, payouts, queue, recoveries, referrals, repeats, statuses
from claims.store.adjudication import policy_of
from claims.store.tables import claim_history, claimants, claims, decisions, evidence, jobs, pets, policies

FILES_MAX = 12
OPEN_TO_WITHDRAW = (Status.SUBMITTED, Status.AWAITING_INFORMATION, Status.REFERRED)
_OPEN_FOR_EVIDENCE = (Status.DRAFT, Status.AWAITING_INFORMATION)


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """A file that lies in the evidence store already. media_type: as sniffed, not as declared."""

    id: str
    name: str
    kind: EvidenceKind
    media_type: str
    size_bytes: int
    sha256: str


async def upsert_claimant(
    conn: AsyncConnection,
    claimant_id: str,
    name: str,
    credit_attributes: Mapping[str, object],
    now: datetime,
    *,
    actor: str = "platform",
) -> None:
    """Make the claimant known, or replace name and credit attributes (`claims.credit` says which there are)."""
    values = {"name": name, "credit_attributes": dict(credit_attributes)}
    known_as = await conn.execute(
        upsert(claimants)
        .values(id=claimant_id, created_at=now, **values)
        .on_conflict_do_update(index_elements=["id"], set_=values)
        .returning(claimants.c.pseudonym)
    )
    content = {"claimant_id": claimant_id, **values}
    await audit.append(conn, actor, "claimant.recorded", known_as.scalar_one(), content, now)


async def ensure_claimant(
    conn: AsyncConnection, claimant_id: str, name: str, now: datetime, *, actor: str = "platform"
) -> None:
    """Make the claimant known, or rename them; credit attributes stay as they are."""
    known_as = await conn.execute(
        upsert(claimants)
        .values(id=claimant_id, name=name, created_at=now)
        .on_conflict_do_update(index_elements=["id"], set_={"name": name})
        .returning(claimants.c.pseudonym)
    )
    content = {"claimant_id": claimant_id, "name": name}
    await audit.append(conn, actor, "claimant.recorded", known_as.scalar_one(), content, now)


async def enrol(
    conn: AsyncConnection, pet_id: str, enrolment_id: str, photo_sha256s: Sequence[str], now: datetime, *, actor: str
) -> None:
    """Have a worker measure these nose photos and put their templates in place of the pet's old ones. The message in
    the outbox is `{"pet_id": .., "sha256s": [..]}`; its failure for good says what was wrong with the photos.

    Raises NotFound for an unknown pet.
    """
    known = await conn.execute(select(pets.c.id).where(pets.c.id == pet_id))
    if known.first() is None:
        raise NotFound(f"no pet {pet_id}")
    payload = {"pet_id": pet_id, "sha256s": list(photo_sha256s)}
    await outbox.put(conn, "enrol", enrolment_id, payload, now)
    await audit.append(conn, actor, "pet.enrolment_requested", pet_id, {"photos": list(photo_sha256s)}, now)


async def upsert_pet(
    conn: AsyncConnection,
    pet_id: str,
    claimant_id: str,
    name: str,
    species: str,
    now: datetime,
    *,
    born_on: date | None = None,
    actor: str = "platform",
) -> None:
    """Make the pet known, or rename it. born_on: None leaves the day that is known.

    Raises NotFound for an unknown claimant, Conflict when the pet is somebody else's.
    """
    await _known_claimant(conn, claimant_id)
    new = upsert(pets).values(
        id=pet_id, claimant_id=claimant_id, name=name, species=species, born_on=born_on, created_at=now
    )
    done = await conn.execute(
        new.on_conflict_do_update(
            index_elements=["id"],
            set_={
                "name": name,
                "species": species,
                "born_on": func.coalesce(new.excluded.born_on, pets.c.born_on),
            },
            where=pets.c.claimant_id == claimant_id,
        ).returning(pets.c.id)
    )
    if done.first() is None:
        raise Conflict(f"pet {pet_id} belongs to another claimant")
    content: dict[str, object] = {"claimant_id": claimant_id, "name": name, "species": species}
    if born_on is not None:
        content["born_on"] = born_on.isoformat()
    await audit.append(conn, actor, "pet.recorded", pet_id, content, now)


async def upsert_policy(conn: AsyncConnection, policy: Policy, now: datetime, *, actor: str = "platform") -> None:
    """Record a policy, or change its dates, sums and insured name; when it was first recorded, and last widened, is
    kept (`policy.recorded_at` and `terms_changed_at` are not taken from the caller).

    Raises NotFound for an unknown claimant or a pet that is not theirs, Conflict when product, claimant, currency or
    number would change or the number is another policy's.
    """
    await _known_claimant(conn, policy.claimant_id)
    if policy.pet_id:
        pet = await conn.execute(
            select(pets.c.id).where(pets.c.id == policy.pet_id, pets.c.claimant_id == policy.claimant_id)
        )
        if pet.first() is None:
            raise NotFound(f"claimant {policy.claimant_id} has no pet {policy.pet_id}")
    if policy.insured_value.currency != policy.sum_insured.currency:
        raise CurrencyMismatch(f"{policy.sum_insured.currency} against {policy.insured_value.currency}")
    fixed = {
        "number": policy.number,
        "product": policy.product,
        "claimant_id": policy.claimant_id,
        "currency": policy.sum_insured.currency,
    }
    changing = {
        "insured_name": policy.insured_name,
        "pet_id": policy.pet_id,
        "starts_at": policy.starts_at,
        "ends_at": policy.ends_at,
        "sum_insured_minor": policy.sum_insured.minor,
        "insured_value_minor": policy.insured_value.minor,
    }
    taken = await conn.execute(
        select(policies.c.id).where(policies.c.number == policy.number, policies.c.id != policy.id)
    )
    if taken.first() is not None:
        raise Conflict(f"policy number {policy.number} is taken")
    same = [policies.c[name] == value for name, value in fixed.items()]
    known = select(policies.c.id).where(policies.c.id == policy.id).with_for_update(key_share=True)
    before = (await conn.execute(known)).first()
    widened = before is not None and widens(await policy_of(conn, policy.id), policy)
    changing |= {"terms_changed_at": now} if widened else {}
    done = await conn.execute(
        upsert(policies)
        .values(id=policy.id, created_at=now, **fixed, **changing)
        .on_conflict_do_update(index_elements=["id"], set_=changing, where=same[0] & same[1] & same[2] & same[3])
        .returning(policies.c.id)
    )
    if done.first() is None:
        raise Conflict(f"policy {policy.id} exists with another number, product, claimant or currency")
    content: dict[str, object] = {**fixed, **changing}
    content |= {"starts_at": policy.starts_at.isoformat(), "ends_at": policy.ends_at.isoformat()}
    if widened:
        content["terms_changed_at"] = now.isoformat()
    await audit.append(conn, actor, "policy.recorded", policy.id, content, now)


async def create_claim(conn: AsyncConnection, claim: Claim, now: datetime, *, actor: str, trace_id: str = "") -> None:
    """Create a draft under the claimant's own policy; `claim.submitted_at` is not stored, `submit` sets it.

    Raises NotFound (no such policy of this claimant), CurrencyMismatch, Conflict (the id exists, or the product is not
    the policy's).
    """
    policy = await policy_of(conn, claim.policy_id, claim.claimant_id)
    if policy.product != claim.product:
        raise Conflict(f"policy {policy.number} covers {policy.product}, the claim is for {claim.product}")
    if policy.sum_insured.currency != claim.amount.currency:
        raise CurrencyMismatch(f"policy in {policy.sum_insured.currency}, claim in {claim.amount.currency}")
    done = await conn.execute(
        upsert(claims)
        .values(
            id=claim.id,
            policy_id=claim.policy_id,
            claimant_id=claim.claimant_id,
            product=claim.product,
            peril=claim.peril,
            amount_minor=claim.amount.minor,
            currency=claim.amount.currency,
            occurred_at=claim.occurred_at,
            description=claim.description,
            payee_account=claim.payee_account,
            device_id=claim.device_id,
            address=claim.address,
            merchant_id=claim.merchant_id,
            order_number=claim.order_number,
            other_insurance_minor=claim.other_insurance_minor,
            status=Status.DRAFT,
            trace_id=trace_id,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(claims.c.id)
    )
    if done.first() is None:
        raise Conflict(f"claim {claim.id} exists")
    await conn.execute(
        insert(claim_history).values(claim_id=claim.id, status=Status.DRAFT, actor=actor, note="", at=now)
    )
    content = {"policy_id": claim.policy_id, "peril": claim.peril, "amount_minor": claim.amount.minor}
    await audit.append(conn, actor, "claim.created", claim.id, content, now)


async def add_evidence(
    conn: AsyncConnection,
    claim_id: str,
    claimant_id: str,
    file: NewEvidence,
    now: datetime,
    *,
    files_max: int = FILES_MAX,
) -> str:
    """Add a file to a draft, or to a claim that waits for more; returns its evidence id.

    A name that is there already: the same bytes change nothing, other bytes replace a file of the round to come. Raises
    NotFound, InvalidTransition (the claim takes no evidence now), Conflict (the name is a file that was judged
    already), TooManyFiles.
    """
    status, round_number = await statuses.lock(conn, claim_id, claimant_id)
    if status not in _OPEN_FOR_EVIDENCE:
        raise InvalidTransition(f"a claim that is {status} takes no evidence")
    coming = round_number + 1
    there = (
        await conn.execute(select(evidence).where(evidence.c.claim_id == claim_id, evidence.c.name == file.name))
    ).first()
    if there is not None and there.sha256 == file.sha256 and there.kind == file.kind:
        return str(there.id)
    if there is not None and there.round != coming:
        raise Conflict(f"evidence {file.name!r} was judged already; send the new file under another name")
    if there is not None:
        await conn.execute(delete(evidence).where(evidence.c.id == there.id))
    count = await conn.execute(select(func.count()).where(evidence.c.claim_id == claim_id))
    if count.scalar_one() >= files_max:
        raise TooManyFiles(f"a claim has at most {files_max} files")
    await conn.execute(
        insert(evidence).values(
            id=file.id,
            claim_id=claim_id,
            name=file.name,
            kind=file.kind,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            round=coming,
            received_at=now,
        )
    )
    return file.id


async def submit(
    conn: AsyncConnection, claim_id: str, claimant_id: str, now: datetime, *, actor: str, note: str = ""
) -> int:
    """Make the claim due for adjudication and return the round; `note` goes into the history. Raises NotFound,
    InvalidTransition.
    """
    status, round_number = await statuses.lock(conn, claim_id, claimant_id)
    if status not in _OPEN_FOR_EVIDENCE:
        # A referred claim can be decided anew, too, but that is not the claimant's to ask for.
        raise InvalidTransition(f"a claim that is {status} cannot be submitted")
    await statuses.move(conn, claim_id, status, Status.SUBMITTED, actor=actor, note=note, now=now)
    coming = round_number + 1
    await conn.execute(
        update(claims)
        .where(claims.c.id == claim_id)
        .values(round=coming, submitted_at=func.coalesce(claims.c.submitted_at, now))
    )
    await repeats.publish_stated(conn, claim_id, now)
    await queue.put(conn, claim_id, coming, now)
    files = await conn.execute(
        select(evidence.c.sha256).where(evidence.c.claim_id == claim_id).order_by(evidence.c.name)
    )
    await audit.append(
        conn, actor, "claim.submitted", claim_id, {"round": coming, "evidence": list(files.scalars())}, now
    )
    return coming


async def withdraw(
    conn: AsyncConnection, claim_id: str, claimant_id: str, now: datetime, *, actor: str, note: str = ""
) -> None:
    """Withdraw the claim, or the appeal where one is open: its job ends (a worker on it finds its lease lost), an open
    referral closes.

    A claim that was paid, or declined, once is never withdrawn any more: the decision stands as before the appeal.
    Raises NotFound, InvalidTransition (money is on its way, or nothing is open).
    """
    status, _ = await statuses.lock(conn, claim_id, claimant_id)
    stands = await _stands(conn, claim_id)
    if stands is not None and status not in OPEN_TO_WITHDRAW:
        raise InvalidTransition(f"a claim that is {status} has no appeal to withdraw")
    await statuses.move(conn, claim_id, status, stands or Status.WITHDRAWN, actor=actor, note=note, now=now)
    await conn.execute(
        update(jobs)
        .where(jobs.c.claim_id == claim_id, jobs.c.state.in_(("due", "leased")))
        .values(state="done", finished_at=now, leased_until=None)
    )
    await referrals.close_of_claim(conn, claim_id, now)
    if stands is None:
        await audit.append(conn, actor, "claim.withdrawn", claim_id, {"note": note}, now)
        return
    await audit.append(conn, actor, "claim.appeal_withdrawn", claim_id, {"note": note, "status": stands}, now)


async def appeal(
    conn: AsyncConnection,
    claim_id: str,
    claimant_id: str,
    note: str,
    now: datetime,
    *,
    actor: str,
    partner: str,
    sla: timedelta = referrals.SLA,
) -> str:
    """Put a declined or paid claim before a person again. Returns the referral's id. Raises NotFound,
    InvalidTransition."""
    status, _ = await statuses.lock(conn, claim_id, claimant_id)
    if status not in (Status.DECLINED, Status.PAID):
        raise InvalidTransition(f"a claim that is {status} cannot be appealed")
    await statuses.move(conn, claim_id, status, Status.REFERRED, actor=actor, note=note, now=now)
    newest = await conn.execute(
        select(decisions.c.id).where(decisions.c.claim_id == claim_id).order_by(decisions.c.seq.desc()).limit(1)
    )
    # A decision may be appealed again after an appeal was taken back.
    before = await referrals.count_of_claim(conn, claim_id)
    again = str(before) if before else ""
    referral_id = await referrals.open_referral(
        conn, claim_id, newest.scalar_one(), partner, "appeal", now, note=note, sla=sla, again=again
    )
    await audit.append(conn, actor, "claim.appealed", claim_id, {"note": note, "referral_id": referral_id}, now)
    return referral_id


async def _stands(conn: AsyncConnection, claim_id: str) -> Status | None:
    """Return the decision that an open appeal is against."""
    history = await conn.execute(
        select(claim_history.c.status).where(claim_history.c.claim_id == claim_id).order_by(claim_history.c.seq)
    )
    live = [payout.state for payout in await payouts.of_claim(conn, claim_id) if payout.state in payouts.LIVE]
    kept_minor = await recoveries.wanted_minor(conn, claim_id)
    return standing_decision([Status(status) for status in history.scalars()], live, kept_minor=kept_minor)


async def _known_claimant(conn: AsyncConnection, claimant_id: str) -> None:
    known = await conn.execute(select(claimants.c.id).where(claimants.c.id == claimant_id))
    if known.first() is None:
        raise NotFound(f"no claimant {claimant_id}")
