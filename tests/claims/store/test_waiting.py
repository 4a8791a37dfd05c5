"""A queue with more than a thousand open cases: filters find and count cases anywhere in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.store import referrals, views, waiting
from claims.store.waiting import Wanted
from tests.claims.store.conftest import NOW, World

pytestmark = pytest.mark.anyio
COUNT = 1_519
# Rows as they would have come about; how they do is not what is tested here. A superuser leaves the triggers out.
_SEED = (
    "SET LOCAL session_replication_role = replica",
    """
    INSERT INTO policies (id, number, product, claimant_id, insured_name, starts_at, ends_at, currency,
        sum_insured_minor, insured_value_minor, created_at)
    SELECT 'pol-' || key, 'N-' || key, key, 'ann', 'Ann', :now, :later, 'CNY', 100000, 100, :now
    FROM unnest(ARRAY['outpatient_medical', 'account_security']) AS key
    """,
    """
    INSERT INTO claims (id, policy_id, claimant_id, product, peril, amount_minor, currency, occurred_at, payee_account,
        status, round, created_at, submitted_at)
    SELECT 'q-' || n, 'pol-ann', 'ann',
        CASE WHEN n > :count THEN 'outpatient_medical' WHEN n % 10 = 0 THEN 'account_security'
            ELSE 'fresh_food_rot' END,
        'rot', 100 + n, 'CNY', :now, '6222', 'referred', 1, :now, :now
    FROM generate_series(1, :count + 4) AS n
    """,
    """
    INSERT INTO referrals (id, claim_id, decision_id, partner, state, cause, due_at, created_at, assigned_to,
        assigned_until)
    SELECT 'r-' || n, 'q-' || n, '', CASE WHEN n % 3 = 0 THEN 'heyuan' ELSE 'anshun' END,
        CASE WHEN n % 2 = 0 THEN 'open' ELSE 'delivered' END,
        CASE WHEN n % 50 = 0 THEN 'flood' WHEN n % 7 = 0 THEN 'appeal' ELSE 'refer' END,
        -- In pairs due at the same moment.
        CAST(:now AS timestamptz) + (n / 2) * interval '1 second', :now,
        CASE WHEN n <= 300 THEN 'li' ELSE '' END, CASE WHEN n <= 300 THEN CAST(:later AS timestamptz) END
    FROM generate_series(1, :count + 4) AS n
    """,
    "ANALYZE claims",
    "ANALYZE referrals",
)


async def seed(engine: AsyncEngine) -> None:
    """Opens 1,523 cases: the last four are of one product, the first 300 are taken by li."""
    async with engine.begin() as conn:
        for statement in _SEED:
            values = {"now": NOW, "later": NOW + timedelta(days=30), "count": COUNT}
            named = {name: value for name, value in values.items() if f":{name}" in statement}
            await conn.execute(text(statement), named)


async def test_the_last_four_of_one_product_are_found_and_counted(world: World) -> None:
    await seed(world.engine)
    wanted = Wanted(product="outpatient_medical")
    async with world.engine.connect() as conn:
        rows = await views.queue_rows(conn, wanted, NOW, limit=50)
        counted = await waiting.counts(conn, wanted, NOW)
    assert [row.claim.id for row in rows] == [f"q-{COUNT + number}" for number in (1, 2, 3, 4)]
    floods = (COUNT + 4) // 50
    assert (counted.fitting, counted.total) == (4, COUNT + 4 - floods)
    assert counted.by_product["outpatient_medical"] == 4
    assert sum(counted.by_product.values()) == sum(counted.by_partner.values()) == counted.total
    assert counted.by_cause["flood"] == floods
    assert sum(counted.by_cause.values()) == COUNT + 4


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(partner="heyuan"),
        Wanted(cause="appeal"),
        Wanted(cause="flood"),
        Wanted(holder="free"),
        Wanted(holder="mine", me="li"),
        Wanted(holder="free_or_mine", me="wang"),
        Wanted(partner="anshun", product="account_security", cause="appeal", holder="free"),
    ],
)
async def test_pages_put_together_are_what_a_look_at_every_row_finds_and_as_many_as_counted(
    world: World, wanted: Wanted
) -> None:
    await seed(world.engine)
    async with world.engine.connect() as conn:
        rows = (
            await conn.execute(
                text(
                    "SELECT referrals.*, claims.product FROM referrals JOIN claims ON claims.id = claim_id"
                    " ORDER BY due_at, referrals.id"
                )
            )
        ).all()
        expected = [
            row.id
            for row in rows
            if wanted.partner in (None, row.partner)
            and wanted.product in ("", row.product)
            and (row.cause == wanted.cause if wanted.cause else row.cause != "flood")
            and {
                "": True,
                "free": not row.assigned_to,
                "mine": row.assigned_to == wanted.me,
                "free_or_mine": row.assigned_to in ("", wanted.me),
            }[wanted.holder]
        ]
        assert expected
        by_offset = [
            claim_id
            for start in range(0, len(rows), 97)
            for claim_id in await waiting.ids(conn, wanted, NOW, limit=97, offset=start)
        ]
        by_key: list[str] = []
        due = {row.id: row.due_at for row in rows}
        while page := await waiting.ids(
            conn, wanted, NOW, limit=97, after=(due[by_key[-1]], by_key[-1]) if by_key else None
        ):
            by_key += page
        counted = await waiting.counts(conn, wanted, NOW)
    assert by_offset == by_key == expected
    assert counted.fitting == len(expected)


async def test_a_case_that_is_free_behind_three_hundred_taken_ones_is_the_next(world: World) -> None:
    await seed(world.engine)
    async with world.engine.connect() as conn:
        (first,) = await waiting.ids(conn, Wanted(holder="free_or_mine", me="wang"), NOW, limit=1)
        assert (await referrals.get(conn, first)).claim_id == "q-301"
        # When their time is up, those are free again.
        late = NOW + timedelta(days=31)
        (first,) = await waiting.ids(conn, Wanted(holder="free", me="wang"), late, limit=1)
        assert first == "r-1"


async def test_an_open_case_is_found_by_an_index_and_not_by_looking_at_every_decided_one(world: World) -> None:
    await seed(world.engine)
    async with world.engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(text("UPDATE referrals SET state = 'decided' WHERE id NOT IN ('r-7', 'r-8')"))
    async with world.engine.begin() as conn:
        await conn.execute(text("ANALYZE referrals"))
        query = "SELECT id FROM referrals WHERE state IN ('open', 'delivered') {} ORDER BY due_at, id LIMIT 50"
        for more, index in (("", "ix_referrals_open"), ("AND partner = 'anshun'", "ix_referrals_open")):
            plan = (await conn.execute(text("EXPLAIN " + query.format(more)))).scalars().all()
            assert index in "\n".join(plan), plan
        assert await waiting.ids(conn, Wanted(), NOW, limit=50) == ["r-7", "r-8"]
