"""Every change of state leaves its audit record: each step of a claim's life is driven and compared with its records,
and the database refuses the step without the record.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.audit_actions import ACTIONS, CHANGES
from claims.catalogue import product_of
from claims.claim import TRANSITIONS, Status
from claims.decide import UncheckedInputs, could_not_check
from claims.decision import Outcome
from claims.evidence import MatchRuling
from claims.rules import RULES
from claims.store import (
    adjudication,
    asked,
    audit,
    brakes,
    corrections,
    erasure,
    findings,
    floods,
    guard,
    heartbeats,
    intake,
    noses,
    payouts,
    rechecks,
    recording,
    recoveries,
    referrals,
    revocations,
    rulings,
)
from claims.store.noses import StoredTemplate
from claims.store.tables import audit as audit_rows
from claims.store.tables import jobs, metadata
from claims.wire import canonical
from tests.claims.store.conftest import World
from tests.claims.store.reads import open_referral
from tests.claims.store.test_rulings_and_floods import LIMITS, MEASURED, SightedPicture, waiting
from tests.claims.verdicts import record_verdict

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]
# Recorded, but no row of a guarded table changes with it.
UNGUARDED = {"pet.enrolment_requested", "claim.asked_again", "worker.drain_asked"}
Step = Callable[[AsyncConnection], Awaitable[object]]


class Life:
    """Steps that together make every kind of change; `records` are the actions that the newest step recorded."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.taken: list[tuple[str, tuple[str, ...]]] = []

    async def step(self, name: str, work: Step) -> Any:
        async with self.world.engine.connect() as conn:
            before = (await conn.execute(select(func.coalesce(func.max(audit_rows.c.seq), 0)))).scalar_one()
        async with self.world.engine.begin() as conn:
            done = await work(conn)
        async with self.world.engine.connect() as conn:
            rows = await conn.execute(
                select(audit_rows.c.action).where(audit_rows.c.seq > before).order_by(audit_rows.c.seq)
            )
            self.taken.append((name, tuple(rows.scalars())))
        return done

    async def submitted(self, claim_id: str, owner: str = "ann") -> None:
        world, actor = self.world, f"claimant:{owner}"
        claim = world.claim(claim_id, owner)
        await self.step("create", lambda conn: intake.create_claim(conn, claim, world.now, actor=actor))

        async def file(conn: AsyncConnection) -> object:
            return await world.file(conn, claim_id, "photo.jpg", owner)

        await self.step("add evidence", file)
        await self.step("submit", lambda conn: intake.submit(conn, claim_id, owner, world.now, actor=actor))

    async def decided(self, claim_id: str, outcome: Outcome, minor: int = 0, inputs: bytes = b"{}", *waits: str) -> Any:
        world = self.world
        (lease,) = await world.lease()
        decision = waiting(world, *waits) if waits else world.decision(outcome, minor)

        async def work(conn: AsyncConnection) -> object:
            file = await adjudication.load(conn, claim_id)
            return await recording.record_decision(
                conn,
                recording.NewDecision(lease, file, decision, inputs, world.now, "flow:adjudicate", partner="anshun"),
            )

        name = "wait" if waits else "offset" if claim_id == "offset" else outcome
        return await self.step(f"decide: {name}", work)

    async def judged(
        self, claim_id: str, verdict: referrals.Verdict, outcome: Outcome, minor: int = 0, *, recover: bool = False
    ) -> Any:
        world = self.world

        async def work(conn: AsyncConnection) -> object:
            waiting_one = await open_referral(conn, claim_id)
            return await record_verdict(
                conn,
                claim_id,
                waiting_one.id,
                world.decision(outcome, minor, "adjuster:li"),
                world.now,
                note="looked at",
                recover=recover,
            )

        return await self.step(f"verdict: {verdict}{' and recover' if recover else ''}", work)

    async def withdrawn(self, claim_id: str) -> None:
        world = self.world
        await self.step(
            "withdraw", lambda conn: intake.withdraw(conn, claim_id, "ann", world.now, actor="claimant:ann")
        )

    async def erased(self, claim_id: str) -> None:
        world = self.world
        await self.step(
            "erase", lambda conn: erasure.erase(conn, claim_id, world.later(60), actor="operator:eve", reason="asked")
        )

    async def master_data(self) -> None:
        world = self.world
        await self.step("claimant", lambda conn: intake.upsert_claimant(conn, "eve", "Eve", {}, world.now))
        await self.step("rename", lambda conn: intake.ensure_claimant(conn, "eve", "Eve B.", world.now))
        await self.step("pet", lambda conn: intake.upsert_pet(conn, "pet", "eve", "Rex", "dog", world.now))
        await self.step("rename pet", lambda conn: intake.upsert_pet(conn, "pet", "eve", "Max", "dog", world.now))
        await self.step(
            "ask for enrolment", lambda conn: intake.enrol(conn, "pet", "e1", ["a" * 64], world.now, actor="platform")
        )
        template = StoredTemplate("a" * 64, b"template", "nose@1")
        for name in ("enrol", "enrol again"):
            await self.step(
                name, lambda conn: noses.replace_templates(conn, "pet", [template], world.now, actor="flow:enrol")
            )

        async def longer(conn: AsyncConnection) -> object:
            policy = await adjudication.policy_of(conn, "pol-ann")
            changed = type(policy)(
                **{name: getattr(policy, name) for name in type(policy).__slots__ if name != "ends_at"},
                ends_at=policy.ends_at + timedelta(days=1),
            )
            return await intake.upsert_policy(conn, changed, world.now)

        await self.step("policy", longer)

    async def money(self) -> None:
        world = self.world
        await self.submitted("paid")
        payout_id = (await self.decided("paid", Outcome.PAY, 1_000)).payout_id
        await self.step("send", lambda conn: payouts.mark_sent(conn, payout_id, world.now))
        await self.step("send again", lambda conn: payouts.mark_sent(conn, payout_id, world.now))
        await self.step("pay", lambda conn: payouts.mark_paid(conn, payout_id, "BANK-1", world.now))
        await self.step(
            "appeal",
            lambda conn: intake.appeal(conn, "paid", "ann", "more", world.now, actor="claimant:ann", partner="anshun"),
        )
        async with world.engine.connect() as conn:
            referral_id = (await open_referral(conn, "paid")).id
        await self.step("deliver", lambda conn: referrals.deliver(conn, referral_id, world.now))
        await self.step("deliver again", lambda conn: referrals.deliver(conn, referral_id, world.now))
        await self.judged("paid", "approve", Outcome.PAY, 1_000)
        await self.submitted("failed", "bob")
        failing = (await self.decided("failed", Outcome.PAY, 900)).payout_id
        await self.step("send", lambda conn: payouts.mark_sent(conn, failing, world.now))
        await self.step(
            "fail", lambda conn: payouts.mark_failed(conn, failing, "closed account", world.now, partner="anshun")
        )
        await self.judged("failed", "refuse", Outcome.DECLINE)
        await self.step(
            "pay after all",
            lambda conn: corrections.paid_after_all(
                conn, failing, "BANK-2", world.now, partner="anshun", actor="flow:settle"
            ),
        )
        async with world.engine.connect() as conn:
            (finding,) = await findings.listed(conn)
        await self.step("lift", lambda conn: findings.lift(conn, finding.id, "seen", world.now, actor="operator:eve"))
        other = findings.Difference(failing, "failed", "amount_differs", "200 against 100")
        await self.step("find", lambda conn: findings.record(conn, other, world.now, actor="flow:settle"))
        await self.step(
            "compare again",
            lambda conn: findings.end_unmet(conn, (), world.later(1), world.now, actor="flow:settle"),
        )

    async def appealed(self, claim_id: str) -> None:
        world = self.world
        await self.step(
            "appeal",
            lambda conn: intake.appeal(
                conn, claim_id, "ann", "more", world.now, actor="claimant:ann", partner="anshun"
            ),
        )

    async def paid(self, claim_id: str, minor: int) -> None:
        world = self.world
        await self.submitted(claim_id)
        payout_id = (await self.decided(claim_id, Outcome.PAY, minor)).payout_id
        await self.step("send", lambda conn: payouts.mark_sent(conn, payout_id, world.now))
        await self.step("pay", lambda conn: payouts.mark_paid(conn, payout_id, f"of {claim_id}", world.now))

    async def back(self) -> None:
        world = self.world
        await self.paid("stands", 500)
        await self.appealed("stands")
        await self.step(
            "withdraw the appeal",
            lambda conn: intake.withdraw(conn, "stands", "ann", world.now, actor="claimant:ann"),
        )
        recovery_ids = []
        for claim_id in ("too much", "far too much"):
            await self.paid(claim_id, 1_000)
        for claim_id in ("too much", "far too much"):
            await self.appealed(claim_id)
            refused = await self.judged(claim_id, "refuse", Outcome.DECLINE, recover=True)
            recovery_ids.append(refused.recovery_id)
        await self.submitted("offset")
        await self.decided("offset", Outcome.PAY, 600)
        await self.step(
            "repay",
            lambda conn: recoveries.mark_repaid(conn, recovery_ids[0], "R-1", world.now, actor="operator:eve"),
        )
        await self.step(
            "write off",
            lambda conn: recoveries.write_off(conn, recovery_ids[1], "gone", world.now, actor="operator:eve"),
        )

    async def checked_again(self) -> None:
        world = self.world
        await self.submitted("unread")
        (lease,) = await world.lease()

        async def work(conn: AsyncConnection) -> object:
            file = await adjudication.load(conn, "unread")
            product = product_of(file.claim.product)
            inputs = UncheckedInputs(file.claim, file.policy, product, "papers", "Trouble", 3, RULES, world.now)
            decision = could_not_check(inputs)
            return await recording.record_decision(
                conn,
                recording.NewDecision(
                    lease, file, decision, canonical(inputs), world.now, "flow:adjudicate", partner="anshun"
                ),
            )

        await self.step("decide: refer", work)
        async with world.engine.connect() as conn:
            (waiting_one,) = await rechecks.unchecked(conn, lambda error: error == "Trouble")
        await self.step("check again", lambda conn: rechecks.send_back(conn, waiting_one, world.now))
        ask = partial(asked.decide_now, claim_id="unread", now=world.now, actor="operator:eve")
        assert (await self.step("decide what is due", ask)).answer == "due"
        async with world.engine.begin() as conn:
            await conn.execute(update(jobs).where(jobs.c.claim_id == "unread").values(due_at=world.later(1)))
        assert (await self.step("decide what was put off", ask)).answer == "made_due"
        async with world.engine.begin() as conn:
            await heartbeats.beat(conn, "worker@host:1", "worker", {}, world.now)
        drain = partial(heartbeats.ask_to_drain, name="worker@host:1", now=world.now, actor="operator:eve")
        assert (await self.step("drain", drain), await self.step("drain again", drain)) == (True, False)
        await self.withdrawn("unread")
        await self.step(
            "revoke",
            lambda conn: revocations.revoke(conn, "token", world.now, forget_at=world.later(9), actor="operator:eve"),
        )

    async def braked(self) -> None:
        world = self.world
        for step, limit in (("hold", 0), ("hold again", 0), ("limit", 2), ("let go", None), ("let go again", None)):
            await self.step(
                step,
                lambda conn, limit=limit: brakes.put(  # type: ignore[misc]
                    conn, "ocr", limit, world.now, source="command", actor="operator:eve"
                ),
            )

    async def people(self) -> None:
        world = self.world
        await self.submitted("asked")
        await self.decided("asked", Outcome.ASK)
        await self.step(
            "submit again", lambda conn: intake.submit(conn, "asked", "ann", world.now, actor="claimant:ann")
        )
        facts = {"facts": {"photos": [{"sha256": "a" * 64, "matches": [_match("paid")]}], "papers": []}}
        await self.decided("asked", Outcome.REFER, 0, canonical(facts))
        for word in (MatchRuling.CONFIRM, MatchRuling.REJECT):
            ruling = await self.step(
                "rule",
                lambda conn, word=word: rulings.rule(  # type: ignore[misc]
                    conn, "asked", "asked-photo.jpg", "paid-photo.jpg", "paid", word, "", MEASURED, world.now,
                    actor="adjuster:li",
                ),
            )  # fmt: skip
            if word is MatchRuling.CONFIRM:
                await self.step(
                    "take back",
                    lambda conn, ruling=ruling: rulings.take_back(  # type: ignore[misc]
                        conn, "asked", ruling.id, "", world.now, actor="adjuster:li"
                    ),
                )
        await self.withdrawn("asked")

    async def flooded(self) -> None:
        world = self.world
        for ruling in ("common", "copies"):
            flood_id = ""
            for number in range(LIMITS.claims_max + 1):
                name = f"{ruling}-{number}"
                await self.submitted(name)
                photo, others = SightedPicture(f"{name}-photo.jpg", name, ""), [SightedPicture(f"web:{ruling}", "", "")]
                flood_id = await self.step(
                    "sight",
                    lambda conn, photo=photo, others=others: floods.sight(  # type: ignore[misc]
                        conn, photo, others, world.now, LIMITS
                    ),
                )
                if number < LIMITS.claims_max:
                    await self.decided(name, Outcome.DECLINE)
            await self.decided(name, Outcome.REFER, 0, b"{}", flood_id)
            await self.step(
                f"rule on the flood: {ruling}",
                lambda conn, flood_id=flood_id, ruling=ruling: floods.rule(  # type: ignore[misc]
                    conn, flood_id, ruling, "seen", world.now, actor="adjuster:li"
                ),
            )
            await self.step(
                f"let go: {ruling}",
                lambda conn, flood_id=flood_id: floods.let_go(conn, flood_id, world.now),  # type: ignore[misc]
            )
            await self.withdrawn(name)

    async def whole(self) -> None:
        await self.master_data()
        await self.money()
        await self.people()
        await self.flooded()
        await self.back()
        await self.checked_again()
        await self.braked()
        await self.erased("paid")


def _match(claim_id: str) -> dict[str, object]:
    return {
        "photo_id": f"{claim_id}-photo.jpg",
        "claim_id": claim_id,
        "verdict": "same_bytes",
        "preview_sha256": "b" * 64,
        "overlay_sha256": "",
    }


EXPECTED: Mapping[str, tuple[str, ...]] = {
    "claimant": ("claimant.recorded",),
    "rename": ("claimant.recorded",),
    "pet": ("pet.recorded",),
    "rename pet": ("pet.recorded",),
    "ask for enrolment": ("pet.enrolment_requested",),
    "enrol": ("pet.enrolled",),
    "enrol again": ("pet.enrolled",),
    "policy": ("policy.recorded",),
    "create": ("claim.created",),
    "add evidence": (),  # the submission names every file
    "submit": ("claim.submitted",),
    "submit again": ("claim.submitted",),
    "decide: pay": ("claim.decided",),
    "decide: ask": ("claim.decided",),
    "decide: refer": ("claim.decided",),
    "decide: decline": ("claim.decided",),
    "decide: wait": ("claim.decided",),
    "verdict: approve": ("claim.decided",),
    "verdict: refuse": ("claim.decided",),
    "send": ("payout.sent",),
    "send again": (),
    "pay": ("payout.paid",),
    "fail": ("payout.failed",),
    "appeal": ("claim.appealed",),
    "deliver": ("referral.delivered",),
    "deliver again": (),
    "rule": ("match.ruled",),
    "take back": ("match.ruling_taken_back",),
    "rule on the flood: common": ("flood.ruled",),
    "rule on the flood: copies": ("flood.ruled",),
    "let go: common": ("claim.released",),
    "let go: copies": ("referral.handed_on",),
    "withdraw": ("claim.withdrawn",),
    "withdraw the appeal": ("claim.appeal_withdrawn",),
    "pay after all": ("payout.paid_after_all", "payout.finding_opened"),
    "lift": ("payout.finding_lifted",),
    "find": ("payout.finding_opened",),
    "compare again": ("payout.finding_over",),
    "verdict: refuse and recover": ("recovery.opened", "claim.decided"),
    "decide: offset": ("recovery.offset", "claim.decided"),
    "repay": ("recovery.repaid",),
    "write off": ("recovery.written_off",),
    "check again": ("claim.rechecked",),
    "decide what is due": (),
    "decide what was put off": ("claim.asked_again",),
    "drain": ("worker.drain_asked",),
    "drain again": (),
    "revoke": ("token.revoked",),
    "hold": ("brake.set",),
    "hold again": (),
    "limit": ("brake.set",),
    "let go": ("brake.released",),
    "let go again": (),
    "erase": ("claim.picture_erased", "claim.erased"),
}


async def test_every_step_of_a_life_leaves_exactly_its_records_and_together_they_are_all_there_are(
    world: World,
) -> None:
    life = Life(world)
    await life.whole()
    for name, recorded in life.taken:
        if name == "sight":
            assert recorded in ((), ("flood.opened",))
        else:
            assert (name, recorded) == (name, EXPECTED[name])
    assert {name for name, _ in life.taken} == {*EXPECTED, "sight"}
    assert {action for _, recorded in life.taken for action in recorded} == set(ACTIONS)
    async with world.engine.connect() as conn:
        checked = await audit.check(conn)
    assert checked.whole
    assert checked.erased > 0


@pytest.mark.parametrize("action", sorted(set(ACTIONS) - UNGUARDED))
async def test_a_transaction_whose_record_is_left_out_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    honest = audit.append

    async def forgetful(conn: AsyncConnection, actor: str, done: str, *rest: Any) -> None:
        if done != action:
            await honest(conn, actor, done, *rest)

    monkeypatch.setattr(audit, "append", forgetful)
    life = Life(world)
    with pytest.raises(IntegrityError, match="no audit record of this change"):
        await life.whole()
    whole = [name for name, recorded in EXPECTED.items() if action in recorded]
    assert not set(whole) & {name for name, _ in life.taken}, "a step of this action went through"


async def test_a_record_of_another_claim_or_of_an_earlier_transaction_is_no_record(world: World) -> None:
    await world.submitted("c-1")
    await world.submitted("c-2")
    async with world.engine.begin() as conn:
        await audit.append(conn, "x", "claim.withdrawn", "c-1", {}, world.now)  # before its time

    async def withdraw() -> None:
        async with world.engine.begin() as conn:
            await conn.execute(text("UPDATE claims SET status = 'withdrawn' WHERE id = 'c-1'"))
            await audit.append(conn, "x", "claim.withdrawn", "c-2", {}, world.now)

    with pytest.raises(IntegrityError, match=r"claims\.status = withdrawn"):
        await withdraw()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payouts SET amount_minor = amount_minor + 1",
        "UPDATE payouts SET payee_account = 'mine'",
        "UPDATE claims SET payee_account = 'mine'",
        "UPDATE claims SET amount_minor = 1",
        "UPDATE claims SET status = 'forgotten'",
        "UPDATE decisions SET outcome = 'decline'",
        "UPDATE policies SET sum_insured_minor = sum_insured_minor * 2",
        "UPDATE claimants SET credit_attributes = '{}'",
        "DELETE FROM claim_history",
    ],
)
async def test_what_no_action_does_is_refused_whoever_does_it(world: World, statement: str) -> None:
    await world.decided("c-1", Outcome.PAY, 1_000)
    with pytest.raises(IntegrityError, match="no audit record"):
        async with world.engine.begin() as conn:
            await conn.execute(text(statement))


def test_every_status_and_every_table_with_a_state_is_guarded() -> None:
    reached = {target for targets in TRANSITIONS.values() for target in targets}
    assert {change.value for change in CHANGES if (change.table, change.column) == ("claims", "status")} == reached
    assert Status.DRAFT not in reached
    queues = {"jobs", "outbox", "idempotency_keys", "alert_notices"}  # work to do, not what was decided
    with_state = {table.name for table in metadata.sorted_tables if {"state", "status"} & set(table.c.keys())}
    assert with_state - queues <= {change.table for change in CHANGES}
    named = {action for change in CHANGES for action in change.actions} - {"*"}
    assert named == set(ACTIONS) - UNGUARDED
    for change in CHANGES:
        columns = set(metadata.tables[change.table].c.keys())
        assert {*change.subjects, *([change.column] if change.column else [])} <= columns, str(change)


def test_every_action_that_the_code_records_is_in_the_list_and_every_listed_one_is_recorded() -> None:
    written: set[str] = set()
    for path in (*ROOT.glob("claims/**/*.py"), *ROOT.glob("flows/**/*.py"), *ROOT.glob("api/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.append":
                action = node.args[2]
                written.add(action.value if isinstance(action, ast.Constant) else erasure.ACTION)
    assert written == set(ACTIONS)


async def test_the_guard_is_installed_once_and_mended_where_it_differs(world: World) -> None:
    def installed(connection: Connection) -> tuple[bool, bool]:
        return guard.install(connection), guard.install(connection)

    async with world.engine.begin() as conn:
        assert await conn.run_sync(installed) == (False, False)
        await conn.execute(text("DROP FUNCTION require_audit(text[], text[], text)"))
        assert await conn.run_sync(installed) == (True, False)
    await world.submitted("c-1")
    with pytest.raises(IntegrityError, match="no audit record"):
        async with world.engine.begin() as conn:
            await conn.execute(text("UPDATE claims SET status = 'withdrawn' WHERE id = 'c-1'"))
