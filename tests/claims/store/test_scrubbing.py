"""Traces of erased data in the database's own files, searched byte by byte: heap, TOAST, indexes, statistics."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.postgres import Postgres
from claims.claim import EvidenceKind
from claims.decision import Outcome
from claims.errors import ClaimErased
from claims.store import adjudication, audit, erasure, idempotency, intake, recording, scrubbing, stage_results
from claims.store.engine import connect
from claims.store.idempotency import Response
from claims.store.intake import NewEvidence
from claims.store.scrubbing import ScrubLimits
from claims.wire import canonical
from tests.claims.store.conftest import World
from tests.claims.store.reads import audit_of, claims_to_scrub

pytestmark = pytest.mark.anyio
PLACES = {
    "account": "canary-account-6222",
    "device": "canary-device-ios",
    "address": "canary-address-street",
    "merchant": "canary-merchant-shop",
    "order": "canary-order-number",
    "words": "canary-words-mouldy",
    "patient": "canary-patient-name",
    "file": "canary-file-name.jpg",
    "answer": "canary-answer-kept",
}
LIMITS = ScrubLimits(older_seconds_max=0.5)
ONLY_VACUUM = ScrubLimits(rewrite_bytes_max=0)


async def decided_with_canaries(world: World) -> None:
    """Makes a claim at rest with a canary in every field, among others, and takes statistics while it is there."""
    for number in range(12):
        await world.submitted(f"other-{number}", "bob", payee_account=f"account-{number:04}", device_id=f"d-{number}")
    claim = world.claim(
        "c-1",
        payee_account=PLACES["account"],
        device_id=PLACES["device"],
        address=PLACES["address"],
        merchant_id=PLACES["merchant"],
        order_number=PLACES["order"],
        description=PLACES["words"],
    )
    async with world.engine.begin() as conn:
        await idempotency.begin(conn, "claimant:ann", "key-1", "f" * 64, world.now)
        await intake.create_claim(conn, claim, world.now, actor="claimant:ann")
        new = NewEvidence("c-1-file", PLACES["file"], EvidenceKind.PHOTO, "image/jpeg", 9, "c" * 64)
        await intake.add_evidence(conn, "c-1", "ann", new, world.now)
        await intake.submit(conn, "c-1", "ann", world.now, actor="claimant:ann", note=PLACES["words"])
        body = canonical({"id": "c-1", "name": PLACES["answer"]})
        await idempotency.finish(conn, "claimant:ann", "key-1", Response(202, {"Location": "/v1/claims/c-1"}, body))
    leases = await world.lease(limit=20)
    (lease,) = [lease for lease in leases if lease.claim_id == "c-1"]
    # Random, so that TOAST stores it as it is instead of compressing it.
    paper = {"patient": PLACES["patient"], "noise": secrets.token_urlsafe(9_000)}
    async with world.engine.begin() as conn:
        await stage_results.save(conn, lease, "papers", paper, {}, world.now)
        file = await adjudication.load(conn, "c-1")
        inputs = canonical({"facts": {"photos": [], "papers": []}, "paper": paper})
        await recording.record_decision(
            conn,
            recording.NewDecision(lease, file, world.decision(Outcome.DECLINE), inputs, world.now, "flow:adjudicate"),
        )
    await run(world.engine, "ANALYZE", "CHECKPOINT")


async def run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.connect() as opened:
        conn = await opened.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            await conn.exec_driver_sql(statement)


async def erase(world: World) -> None:
    async with world.engine.begin() as conn:
        await erasure.erase(conn, "c-1", world.later(60), actor="operator:eve", reason="asked")
        await scrubbing.note(conn, "c-1", world.later(60))


async def hits(world: World, needles: Sequence[str]) -> dict[str, set[str]]:
    """Returns the words by relation of this database whose files hold them; "wal" is the server's log."""
    async with world.engine.connect() as conn:
        rows = await conn.execute(
            text(
                "SELECT pg_relation_filepath(oid) AS path, relname FROM pg_class WHERE relfilenode <> 0 OR relisshared"
            )
        )
        names = {str(row.path): str(row.relname) for row in rows if row.path}
        folder = (
            await conn.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()"))
        ).scalar_one()
    data = Path(await setting(world.engine, "data_directory"))
    canaries: dict[str, set[str]] = {}
    files = [*(data / "base" / str(folder)).iterdir(), *(data / "pg_wal").iterdir()]
    for path in files:
        if not path.is_file():
            continue
        content = path.read_bytes()
        held = {needle for needle in needles if needle.encode() in content}
        if held:
            where = str(path.relative_to(data)).partition(".")[0]
            name = "wal" if path.parent.name == "pg_wal" else names.get(where.partition("_")[0], where)
            canaries.setdefault(name, set()).update(held)
    return canaries


async def setting(engine: AsyncEngine, name: str) -> str:
    async with engine.connect() as conn:
        return str((await conn.execute(text(f"SHOW {name}"))).scalar_one())


async def test_after_an_erasure_no_file_of_the_database_holds_a_byte_of_it_but_the_log(world: World) -> None:
    await decided_with_canaries(world)
    before = await hits(world, list(PLACES.values()))
    tables = {"claims", "claim_history", "evidence", "idempotency_keys", "pg_statistic"}
    indexes = {"ix_claims_payee_submitted", "ix_claims_device_submitted", "uq_evidence_claim_id_name"}
    assert tables | indexes <= set(before)
    assert {name for name in before if name.startswith("pg_toast_")}, "nothing was stored out of line"
    assert set().union(*before.values()) == set(PLACES.values())
    await erase(world)
    await run(world.engine, "CHECKPOINT")
    assert set(await hits(world, list(PLACES.values()))) - {"wal"} >= tables
    done = await scrubbing.scrub(world.engine, LIMITS)
    assert (done.claims, done.vacuumed, done.refused, done.held_back) == (("c-1",), (), (), False)
    assert done.checkpointed
    assert {'"claims"', '"decisions"', scrubbing.STATISTICS} <= set(done.rewritten)
    after = await hits(world, list(PLACES.values()))
    assert set(after) <= {"wal"}, after
    async with world.engine.connect() as conn:
        assert await claims_to_scrub(conn) == ()
        assert (await audit.check(conn)).whole
    assert (await scrubbing.scrub(world.engine, LIMITS)).claims == ()


async def test_vacuum_alone_leaves_bytes_in_free_space_and_says_so(world: World) -> None:
    await decided_with_canaries(world)
    await erase(world)
    done = await scrubbing.scrub(world.engine, ONLY_VACUUM)
    assert done.rewritten == ()
    assert '"claims"' in done.vacuumed
    assert set(await hits(world, list(PLACES.values()))) - {"wal"}
    async with world.engine.connect() as conn:
        stored = await conn.execute(text("SELECT count(*) FROM pg_stats WHERE most_common_vals::text LIKE '%canary%'"))
        assert stored.scalar_one() == 0
        assert await claims_to_scrub(conn) == ()


async def test_an_older_transaction_that_may_still_read_the_rows_is_named_and_the_next_round_finishes(
    world: World,
) -> None:
    await decided_with_canaries(world)
    async with world.engine.connect() as reader:
        await reader.execution_options(isolation_level="REPEATABLE READ")
        await reader.execute(text("SELECT count(*) FROM claims"))
        await erase(world)
        done = await scrubbing.scrub(world.engine, ScrubLimits(older_seconds_max=0.2, lock_seconds_max=0.2))
        assert done.held_back
        assert done.still_due
        await reader.rollback()
    done = await scrubbing.scrub(world.engine, LIMITS)
    assert not done.still_due
    assert set(await hits(world, list(PLACES.values()))) <= {"wal"}


async def test_a_table_that_somebody_is_reading_is_vacuumed_and_nobody_waits_long(world: World) -> None:
    await decided_with_canaries(world)
    await erase(world)
    async with world.engine.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM referrals"))
        await reader.execute(text("LOCK TABLE claims IN ACCESS SHARE MODE"))
        quick = ScrubLimits(older_seconds_max=0.2, lock_seconds_max=0.2)
        done = await asyncio.wait_for(scrubbing.scrub(world.engine, quick), 60)
    assert '"claims"' in done.vacuumed
    assert '"evidence"' in done.rewritten


async def test_a_role_that_may_do_less_does_that_and_names_the_rest(world: World, postgres: Postgres) -> None:
    await decided_with_canaries(world)
    await erase(world)
    name = f"weak_{secrets.token_hex(4)}"
    database = str(world.engine.url.database)
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'weak'")
    try:
        for statement in (
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
            f"GRANT MAINTAIN ON claims TO {name}",
        ):
            postgres.execute(statement, database=database)
        weak = connect(world.engine.url.set(username=name, password="weak").render_as_string(hide_password=False))
        try:
            done = await scrubbing.scrub(weak, LIMITS)
        finally:
            await weak.dispose()
        assert done.rewritten == ('"claims"',)
        assert {'"decisions"', scrubbing.STATISTICS} <= set(done.refused)
        assert not done.checkpointed
        assert done.still_due
        assert not (await scrubbing.scrub(world.engine, LIMITS)).still_due
    finally:
        postgres.execute(f"DROP OWNED BY {name}", database=database)
        postgres.execute(f"DROP ROLE {name}")


async def test_the_chain_and_the_keys_name_the_claimant_by_a_pseudonym_and_old_records_still_verify(
    world: World,
) -> None:
    await decided_with_canaries(world)
    async with world.engine.connect() as conn:
        pseudonym = await conn.execute(text("SELECT pseudonym FROM claimants WHERE id = 'ann'"))
        known_as = f"claimant:{pseudonym.scalar_one()}"
        actors = {record.actor for record in await audit_of(conn, "c-1")}
        assert actors == {known_as, "flow:adjudicate"}
        held = await conn.execute(text("SELECT principal FROM idempotency_keys"))
        assert held.scalars().all() == [known_as]
        content = await conn.execute(
            text("SELECT convert_from(content, 'UTF8') FROM audit_contents JOIN audit USING (seq) WHERE action = :one"),
            {"one": "claim.created"},
        )
        assert '"actor":"claimant:ann"' in content.scalars().all()[-1]
    await erase(world)
    async with world.engine.connect() as conn:
        for table in ("audit", "claim_history", "idempotency_keys", "outbox", "jobs", "referrals"):
            rows = (await conn.execute(text(f"SELECT * FROM {table}"))).all()
            assert "claimant:ann" not in repr(rows), table
        assert (await audit.check(conn)).whole


async def test_a_request_about_an_erased_claim_that_is_repeated_makes_no_second_claim(world: World) -> None:
    await decided_with_canaries(world)
    await erase(world)
    with pytest.raises(ClaimErased):
        async with world.engine.begin() as conn:
            await idempotency.begin(conn, "claimant:ann", "key-1", "f" * 64, world.now)
