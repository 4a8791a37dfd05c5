"""Rulings on matches and floods are kept once and looked up again; claims are held for a flood and released."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from claims.claim import Status
from claims.decision import Decision, Outcome
from claims.errors import FloodRuled, NotFound, RuledAlready
from claims.evidence import MatchRuling
from claims.floods import FloodLimits
from claims.reasons import reason
from claims.store import audit, figures, floods, outbox, referrals, rulings, views
from claims.store.floods import SightedPicture
from claims.store.tables import audit_contents, claims, flood_claims, jobs, match_rulings
from claims.store.tables import outbox as messages
from claims.store.waiting import Wanted
from tests.claims.store.conftest import World
from tests.claims.store.reads import audit_of, open_referral

pytestmark = pytest.mark.anyio
LIMITS = FloodLimits(claims_max=2, window_hours=24)
MEASURED = {"probability": 0.99, "inliers": 40, "verdict": "edited_copy", "transform": "mirrored"}


async def rule(
    world: World, photo: str, match: str, ruling: MatchRuling, actor: str = "adjuster:mei"
) -> rulings.Ruling:
    async with world.engine.begin() as conn:
        return await rulings.rule(conn, "c1", photo, match, "c0", ruling, "", MEASURED, world.now, actor=actor)


async def known_rulings(world: World, photo: str, pixels: str, matches: dict[str, str]) -> dict[str, MatchRuling]:
    async with world.engine.connect() as conn:
        return await rulings.of_photo(conn, photo, pixels, matches)


async def see(world: World, claim: str, *copies_of: str, hours: float = 0.0, limits: FloodLimits = LIMITS) -> str:
    """Records that the claim's photo is a copy of these."""
    async with world.engine.begin() as conn:
        mine = SightedPicture(f"{claim}-photo.jpg", claim, "")
        others = [SightedPicture(photo_id, "", "") for photo_id in copies_of]
        return await floods.sight(conn, mine, others, world.now + timedelta(hours=hours), limits)


def waiting(world: World, *flood_ids: str) -> Decision:
    reasons = tuple(reason("photo_in_flood", flood_id) for flood_id in flood_ids)
    return replace(world.decision(Outcome.REFER), reasons=reasons)


async def held(world: World, claim_id: str, flood_id: str) -> str:
    """Makes a claim wait for the flood; returns its referral's id."""
    await world.submitted(claim_id)
    (lease,) = await world.lease()
    return (await world.decide(lease, waiting(world, flood_id))).referral_id


async def a_flood(world: World, *claim_ids: str) -> str:
    """Opens a flood that these claims wait for; returns its id."""
    for number in range(LIMITS.claims_max):
        await world.submitted(f"early-{number}")
        await see(world, f"early-{number}", "web:a")
    await world.lease(limit=50)
    async with world.engine.begin() as conn:
        await conn.execute(text("UPDATE jobs SET state = 'done'"))
    await world.submitted("opener")
    async with world.engine.begin() as conn:
        await conn.execute(text("UPDATE jobs SET state = 'done'"))
    flood_id = await see(world, "opener", "web:a")
    assert flood_id
    for claim_id in claim_ids:
        await held(world, claim_id, flood_id)
    return flood_id


async def let_go(world: World, flood_id: str, limit: int = 20) -> int:
    async with world.engine.begin() as conn:
        return await floods.let_go(conn, flood_id, world.now, limit=limit)


async def rule_flood(world: World, flood_id: str, ruling: floods.FloodRuling, actor: str = "adjuster:mei") -> None:
    async with world.engine.begin() as conn:
        await floods.rule(conn, flood_id, ruling, "seen", world.now, actor=actor)


async def states(world: World) -> dict[str, str]:
    async with world.engine.connect() as conn:
        return {row.claim_id: row.state for row in await conn.execute(select(flood_claims))}


async def status(world: World, claim_id: str) -> str:
    async with world.engine.connect() as conn:
        return str((await conn.execute(select(claims.c.status).where(claims.c.id == claim_id))).scalar_one())


# Rulings


async def test_a_word_on_two_pictures_is_kept_once_whoever_of_them_came_first(world: World) -> None:
    await world.submitted("c1")
    made = await rule(world, "p1", "p0", MatchRuling.REJECT)
    assert (made.ruling, made.measured["inliers"], made.ruled_by) == (MatchRuling.REJECT, 40, "adjuster:mei")
    for photo, match in (("p1", "p0"), ("p0", "p1")):
        with pytest.raises(RuledAlready):
            await rule(world, photo, match, MatchRuling.CONFIRM)
    assert await known_rulings(world, "p1", "", {"p0": ""}) == {"p0": MatchRuling.REJECT}
    assert await known_rulings(world, "p0", "", {"p1": "", "p9": ""}) == {"p1": MatchRuling.REJECT}
    async with world.engine.connect() as conn:
        learning = (await conn.execute(select(messages.c.payload).where(messages.c.topic == "learn"))).scalars().all()
        assert [entry.action for entry in await audit_of(conn, "c1")][-1] == "match.ruled"
    assert [row["ruling_id"] for row in learning] == [made.id]


async def test_of_two_people_at_once_one_rules(world: World) -> None:
    await world.submitted("c1")
    words = (MatchRuling.CONFIRM, MatchRuling.REJECT)
    done = await asyncio.gather(*(rule(world, "p1", "p0", word) for word in words), return_exceptions=True)
    assert sum(isinstance(outcome, RuledAlready) for outcome in done) == 1
    async with world.engine.connect() as conn:
        assert (await conn.execute(select(func.count()).select_from(match_rulings))).scalar_one() == 1


async def test_files_of_the_same_pixels_are_the_same_pair(world: World) -> None:
    await world.submitted("c1")
    made = await rule(world, "p1", "p0", MatchRuling.REJECT)
    async with world.engine.begin() as conn:
        await rulings.set_pixels(conn, made.id, "aa", "bb")
    assert await known_rulings(world, "p7", "aa", {"p8": "bb"}) == {"p8": MatchRuling.REJECT}
    assert await known_rulings(world, "p7", "bb", {"p8": "aa"}) == {"p8": MatchRuling.REJECT}
    assert await known_rulings(world, "p7", "aa", {"p8": "cc", "p9": ""}) == {}
    assert await known_rulings(world, "p7", "", {"p8": "bb"}) == {}


async def take_back(world: World, ruling_id: str, claim: str = "c1", actor: str = "adjuster:lin") -> rulings.Ruling:
    async with world.engine.begin() as conn:
        return await rulings.take_back(conn, claim, ruling_id, "the wrong photo", world.now, actor=actor)


async def test_a_word_taken_back_holds_no_longer_and_who_said_it_and_who_took_it_back_stays_on_record(
    world: World,
) -> None:
    await world.submitted("c1")
    made = await rule(world, "p1", "p0", MatchRuling.CONFIRM)
    assert await take_back(world, made.id) == made
    assert await known_rulings(world, "p1", "", {"p0": ""}) == {}
    with pytest.raises(NotFound):
        await take_back(world, made.id)
    async with world.engine.connect() as conn:
        last = (await audit_of(conn, "c1"))[-1]
        assert await rulings.of_claim(conn, "c1") == {}
        kept = select(audit_contents.c.content).where(audit_contents.c.seq == last.seq)
        content = json.loads((await conn.execute(kept)).scalar_one())
    assert (last.action, last.actor) == ("match.ruling_taken_back", "adjuster:lin")
    assert content == {
        "photo_id": "p1",
        "match_photo_id": "p0",
        "ruling": "confirm",
        "ruled_by": "adjuster:mei",
        "ruled_at": world.now.isoformat(),
        "note": "the wrong photo",
    }


async def test_a_pair_whose_word_was_taken_back_is_ruled_on_anew_and_learnt_from_anew(world: World) -> None:
    await world.submitted("c1")
    first = await rule(world, "p1", "p0", MatchRuling.REJECT)
    await take_back(world, first.id)
    world.now += timedelta(seconds=1)
    second = await rule(world, "p1", "p0", MatchRuling.CONFIRM)
    assert await known_rulings(world, "p1", "", {"p0": ""}) == {"p0": MatchRuling.CONFIRM}
    async with world.engine.connect() as conn:
        learning = (await conn.execute(select(messages.c.payload).order_by(messages.c.id))).scalars().all()
    assert [(row["kind"], row["ruling_id"]) for row in learning if row["kind"] in ("pair", "taken_back")] == [
        ("pair", first.id), ("taken_back", first.id), ("pair", second.id),
    ]  # fmt: skip


async def test_a_word_is_taken_back_in_the_claim_that_it_was_said_in_and_by_one_of_two_at_once(world: World) -> None:
    for claim in ("c1", "c2"):
        await world.submitted(claim)
    made = await rule(world, "p1", "p0", MatchRuling.REJECT)
    with pytest.raises(NotFound):
        await take_back(world, made.id, claim="c2")
    assert await known_rulings(world, "p1", "", {"p0": ""}) == {"p0": MatchRuling.REJECT}
    done = await asyncio.gather(*(take_back(world, made.id) for _ in range(2)), return_exceptions=True)
    assert sum(isinstance(outcome, NotFound) for outcome in done) == 1
    async with world.engine.connect() as conn:
        actions = [entry.action for entry in await audit_of(conn, "c1")]
    assert actions.count("match.ruling_taken_back") == 1


async def test_a_word_that_is_being_learnt_from_is_taken_back_only_after(world: World) -> None:
    await world.submitted("c1")
    made = await rule(world, "p1", "p0", MatchRuling.COMMON)
    async with world.engine.begin() as conn:
        await rulings.hold(conn, made.id)
        taking = asyncio.create_task(take_back(world, made.id))
        await asyncio.sleep(0.3)
        assert not taking.done()
    await taking
    with pytest.raises(NotFound):
        async with world.engine.begin() as conn:
            await rulings.hold(conn, made.id)


async def test_rejecting_two_files_of_one_picture_excuses_no_further_copy_of_it(world: World) -> None:
    await world.submitted("c1")
    made = await rule(world, "p1", "p0", MatchRuling.REJECT)
    async with world.engine.begin() as conn:
        await rulings.set_pixels(conn, made.id, "aa", "aa")
    assert await known_rulings(world, "p1", "aa", {"p0": "aa"}) == {"p0": MatchRuling.REJECT}
    assert await known_rulings(world, "p7", "aa", {"p0": "aa", "p1": "aa"}) == {}


async def test_where_people_disagree_about_the_same_pixels_a_confirmed_copy_stays_one(world: World) -> None:
    await world.submitted("c1")
    for photo, match, word in (("p1", "p0", MatchRuling.CONFIRM), ("p3", "p2", MatchRuling.REJECT)):
        made = await rule(world, photo, match, word)
        async with world.engine.begin() as conn:
            await rulings.set_pixels(conn, made.id, "aa", "bb")
    assert await known_rulings(world, "p7", "aa", {"p8": "bb"}) == {"p8": MatchRuling.CONFIRM}


async def test_rulings_go_with_either_claim_that_they_are_about(world: World) -> None:
    await world.submitted("c1")
    await rule(world, "p1", "p0", MatchRuling.CONFIRM)
    async with world.engine.begin() as conn:
        assert [ruling.match_photo_id async for ruling in rulings.every(conn)] == ["p0"]
        assert await rulings.forget_claim(conn, "c0") == 1
        assert [ruling async for ruling in rulings.every(conn)] == []
        await audit.append(conn, "operator:eve", "claim.erased", "c0", {}, world.now)


# Floods


async def test_the_first_claims_are_cases_of_their_own_and_the_next_opens_a_flood(world: World) -> None:
    for name in ("c1", "c2", "c3", "c4"):
        await world.submitted(name)
    assert [await see(world, name, "web:a") for name in ("c1", "c2")] == ["", ""]
    assert await see(world, "c2", "web:a") == ""  # the same photo again is no new claim
    flood_id = await see(world, "c3", "web:a", "c1-photo.jpg")
    assert flood_id.startswith("F-")
    assert await see(world, "c4", "c2-photo.jpg") == flood_id  # a copy of a copy is of the same flood
    async with world.engine.connect() as conn:
        (flood,) = await floods.list_floods(conn)
        shown = await floods.pictures(conn, flood_id)
    assert (flood.claims_seen, flood.claims_held, flood.state) == (4, 0, "open")
    assert [sight.picture.photo_id for sight in shown] == ["web:a", *(f"c{n}-photo.jpg" for n in (1, 2, 3, 4))]
    assert [sight.matched for sight in shown] == [False, True, True, True, True]


async def test_claims_that_come_slowly_are_no_flood(world: World) -> None:
    for number in range(6):
        await world.submitted(f"c{number}")
        assert await see(world, f"c{number}", "web:a", hours=13 * number) == ""


async def test_other_pictures_are_another_matter(world: World) -> None:
    for number in range(6):
        await world.submitted(f"c{number}")
        assert await see(world, f"c{number}", f"web:{number % 3}") == ""


async def test_workers_that_meet_a_flood_at_once_open_one(world: World) -> None:
    names = [f"c{number}" for number in range(12)]
    for name in names:
        await world.submitted(name)
    flood_ids = await asyncio.gather(*(see(world, name, "web:a") for name in names))
    assert sorted(flood_ids)[: LIMITS.claims_max] == [""] * LIMITS.claims_max
    assert len({flood_id for flood_id in flood_ids if flood_id}) == 1
    async with world.engine.connect() as conn:
        assert len(await floods.list_floods(conn)) == 1
        opened = await audit_of(conn, next(flood_id for flood_id in flood_ids if flood_id))
    assert [entry.action for entry in opened] == ["flood.opened"]


async def test_a_claim_that_waits_for_a_flood_alone_is_held_and_nobody_is_told(world: World) -> None:
    flood_id = await a_flood(world)
    referral_id = await held(world, "late", flood_id)
    async with world.engine.connect() as conn:
        assert await views.queue_rows(conn, Wanted(), world.now) == []
        (row,) = await views.queue_rows(conn, Wanted(cause="flood"), world.now)
        assert (row.referral.id, row.referral.cause) == (referral_id, "flood")
        told = await conn.execute(select(func.count()).where(messages.c.topic == "refer"))
        assert told.scalar_one() == 0
        assert (await floods.get(conn, flood_id)).claims_held == 1
        operator = await figures.operator_figures(conn, world.now)
    assert (operator.floods_open, operator.claims_held, operator.referrals_open) == (1, 1, 0)


async def test_common_has_the_held_claims_decided_anew_once(world: World) -> None:
    flood_id = await a_flood(world, "l1", "l2", "l3")
    await rule_flood(world, flood_id, "common")
    assert [await let_go(world, flood_id, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await states(world) == dict.fromkeys(("l1", "l2", "l3"), "released")
    async with world.engine.connect() as conn:
        view = await views.claim_view(conn, "l1")
        due = await conn.execute(select(jobs.c.round).where(jobs.c.claim_id == "l1", jobs.c.state == "due"))
        assert due.scalars().all() == [2]
        await audit.check(conn)
        actions = [entry.action for entry in await audit_of(conn, "l1")]
    assert (view.claim.status, view.claim.round, view.claim.touched) == (Status.SUBMITTED, 2, True)
    assert [referral.state for referral in view.referrals] == ["closed"]
    assert actions.count("claim.released") == 1


async def test_copies_puts_each_held_claim_before_a_person_and_tells_the_partner(world: World) -> None:
    flood_id = await a_flood(world, "l1", "l2")
    await rule_flood(world, flood_id, "copies")
    assert [await let_go(world, flood_id) for _ in range(2)] == [2, 0]
    assert set((await states(world)).values()) == {"kept"}
    async with world.engine.connect() as conn:
        rows = await views.queue_rows(conn, Wanted(), world.now)
        assert {row.claim.id: row.referral.cause for row in rows} == {"l1": "refer", "l2": "refer"}
        assert (await outbox.backlog(conn, "refer", world.now)).due == 2
    # A person has seen these pictures: a further claim is a case of its own and opens no flood.
    await world.submitted("l9")
    assert await see(world, "l9", "web:a") == ""


async def test_after_common_as_many_unexplained_copies_again_open_another_flood(world: World) -> None:
    flood_id = await a_flood(world)
    await rule_flood(world, flood_id, "common")
    flood_ids = []
    for number in range(LIMITS.claims_max + 1):
        await world.submitted(f"n{number}")
        flood_ids.append(await see(world, f"n{number}", "web:a", hours=1))
    assert flood_ids[:-1] == [""] * LIMITS.claims_max
    assert flood_ids[-1] not in ("", flood_id)


async def test_a_flood_is_ruled_on_once_and_an_unknown_one_never(world: World) -> None:
    flood_id = await a_flood(world)
    done = await asyncio.gather(
        *(rule_flood(world, flood_id, word) for word in ("common", "copies")), return_exceptions=True
    )
    assert sum(isinstance(outcome, RuledAlready) for outcome in done) == 1
    with pytest.raises(NotFound):
        await rule_flood(world, "F-none", "common")


async def test_a_claim_decided_on_a_flood_that_was_ruled_on_meanwhile_is_looked_at_again(world: World) -> None:
    flood_id = await a_flood(world)
    await world.submitted("late")
    (lease,) = await world.lease()
    await rule_flood(world, flood_id, "common")
    with pytest.raises(FloodRuled):
        await world.decide(lease, waiting(world, flood_id))
    assert await status(world, "late") == Status.SUBMITTED
    assert await states(world) == {}


async def test_rulings_and_decisions_at_the_same_moment_leave_no_claim_behind(world: World) -> None:
    flood_id = await a_flood(world)
    names = [f"l{number}" for number in range(6)]
    for name in names:
        await world.submitted(name)
    leases = await world.lease(limit=10)

    async def rule_soon() -> None:
        await asyncio.sleep(0.01)
        await rule_flood(world, flood_id, "common")

    async def decide(lease: object) -> None:
        await world.decide(lease, waiting(world, flood_id))  # type: ignore[arg-type]

    done = await asyncio.gather(rule_soon(), *(decide(lease) for lease in leases), return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, FloodRuled) for outcome in done)
    while await let_go(world, flood_id):
        pass
    assert {await status(world, name) for name in names} == {Status.SUBMITTED}
    assert set((await states(world)).values()) <= {"released"}


async def test_a_held_claim_that_somebody_is_judging_stays_theirs(world: World) -> None:
    flood_id = await a_flood(world, "l1", "l2")
    async with world.engine.begin() as conn:
        referral = await open_referral(conn, "l1")
        await referrals.take(conn, referral.id, "mei", world.now)
    await rule_flood(world, flood_id, "common")
    await let_go(world, flood_id)
    assert await states(world) == {"l1": "kept", "l2": "released"}
    assert await status(world, "l1") == Status.REFERRED


async def test_a_held_claim_that_was_withdrawn_is_left_alone(world: World) -> None:
    from claims.store import intake

    flood_id = await a_flood(world, "l1")
    async with world.engine.begin() as conn:
        await intake.withdraw(conn, "l1", "ann", world.now, actor="claimant:ann")
    await rule_flood(world, flood_id, "common")
    await let_go(world, flood_id)
    assert await states(world) == {"l1": "over"}
    assert await status(world, "l1") == Status.WITHDRAWN


async def test_a_claim_that_waits_for_two_floods_is_let_go_by_the_second_ruling(world: World) -> None:
    first = await a_flood(world)
    for number in range(LIMITS.claims_max + 1):
        second = await see(world, f"early-{number}" if number < LIMITS.claims_max else "opener", "web:b")
    async with world.engine.begin() as conn:  # two clusters of their own
        await conn.execute(text("UPDATE photo_sightings SET cluster_id = 'x' WHERE photo_id = 'web:b'"))
        await conn.execute(
            text("INSERT INTO floods (id, cluster_id, state, opened_at) VALUES ('F-b', 'x', 'open', now())")
        )
        await audit.append(conn, "flow:adjudicate", "flood.opened", "F-b", {}, world.now)
    assert second == first
    await world.submitted("late")
    (lease,) = await world.lease()
    await world.decide(lease, waiting(world, first, "F-b"))
    await rule_flood(world, first, "common")
    await let_go(world, first)
    assert await status(world, "late") == Status.REFERRED
    await rule_flood(world, "F-b", "common")
    await let_go(world, "F-b")
    assert await status(world, "late") == Status.SUBMITTED
