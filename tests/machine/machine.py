"""A state machine that acts at random as people, processes and the bank do, and checks after every step that nothing
was paid twice, lost or left without a record.

    submit, pay, appeal, withdraw, resend, approve, refuse, ask, lower, recover, erase; two at once; strangers;
    processes that die at a transaction or wake up after their lease; a bank that answers oddly

`tests.machine.running` starts it. Only `tests.machine.house` knows the product's interfaces.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.machine import books, pool
from tests.machine.bank import ANSWERS
from tests.machine.filing import CLINIC, FIRST_COVERS, FOOD, ORDERS, PEOPLE, Filing
from tests.machine.house import Answer
from tests.machine.model import Back, Filed
from tests.machine.watching import back_of, carried, told

WORKER_WRITES: Final = ("", "", "stage_results", "decisions", "payouts", "referrals")
SETTLER_WRITES: Final = ("", "payouts", "ledger_transactions", "claims")
API_WRITES: Final = ("", "claims", "claim_history", "decisions", "payouts", "referrals")
REQUESTS: Final = ("claim", "withdraw", "appeal", "review")

indexes = st.integers(0, 11)
carries = st.sampled_from(("through", "through", "through", "decide", "wait"))
# The two that cost money when they are misread come more often.
oddities = st.sampled_from(("", "", "in_progress", "in_progress", "lost", "lost", *ANSWERS))


class Machine(Filing):
    """All actions, chosen at random. `tests.machine.running` starts it."""

    # Registering.

    @initialize(cover=indexes, picture=indexes, amount=indexes, hours=indexes, order=indexes, odd=oddities)
    def first_claim(self, cover: int, picture: int, amount: int, hours: int, order: int, odd: str) -> None:
        """Gives Ann two covers of one product and one of another, the same Ann under another id and Bob one each,
        and files a first claim.
        """
        self._run(self._first_covers())
        covers = ", ".join(
            f"cover-{number} {owner.id} {product}" for number, (owner, product) in enumerate(FIRST_COVERS)
        )
        self._run(self._after(covers))
        self._count("claim")
        words = self._run(self._file(cover, picture, amount, hours, order))
        self._run(self._carry("through", odd))
        self._run(self._after(f"{words}, {carried('through', odd)}"))

    @rule(who=indexes, late=st.booleans(), change=st.booleans())
    def register(self, who: int, late: bool, change: bool) -> None:
        """Registers another cover, or the same with other terms, possibly after an event that it would cover."""
        owner = PEOPLE[who % len(PEOPLE)]
        known = [cover for cover in self.model.covers if cover.owner == owner and cover.product == FOOD]
        changed = known[who % len(known)] if change and known else None
        cover_id = changed.id if changed else f"cover-{len(self.model.covers)}"
        late = late or (
            changed is not None and self.today - changed.recorded_at < timedelta(days=1)
        )  # no clock goes back
        recorded = timedelta() if late else timedelta(days=60)
        self._count("register")
        self._run(self._register(owner, FOOD, cover_id, recorded=recorded, change=change))
        when = "only now" if late else "long ago"
        self._run(self._after(f"{owner.id} {'changes' if change else 'buys'} {cover_id}, recorded {when}"))

    @rule(who=indexes)
    def pet(self, who: int) -> None:
        """Registers a pet, with photos of its nose to be enrolled."""
        owner = PEOPLE[who % len(PEOPLE)]
        self._count("pet")
        pet_id = f"pet-{next(self.house.keys)}"
        if self._heard(self._run(self.house.pet(owner.id, owner.name, pet_id))):
            self.done["pet.recorded", pet_id] += 1
            self.done["claimant.recorded", owner.id] += 1
        if self._heard(self._run(self.house.enrol(pet_id, pool.photos()[:3]))):
            self.done["pet.enrolment_requested", pet_id] += 1
        self._run(self._after(f"{owner.id} has a pet"))

    # Claiming.

    @rule(
        cover=indexes, picture=indexes, amount=indexes, hours=indexes, order=indexes, carry=carries, odd=oddities,
        closed=st.sampled_from((False, False, False, False, True)), twice=st.booleans(),
    )  # fmt: skip
    def claim(
        self,
        cover: int,
        picture: int,
        amount: int,
        hours: int,
        order: int,
        carry: str,
        odd: str,
        closed: bool,
        twice: bool,
    ) -> None:
        """Files a claim and carries it through to the bank, to its decision, or not at all."""
        self._count("claim")
        words = self._run(self._file(cover, picture, amount, hours, order, closed=closed, twice=twice))
        self._run(self._carry(carry, odd))
        self._run(self._after(f"{words}, {carried(carry, odd)}"))

    @rule(
        cover=indexes, picture=indexes, hours=indexes, other=indexes,
        shared=st.sampled_from(("picture", "order", "event", "cover")),
    )  # fmt: skip
    def two_claims_at_once(self, cover: int, picture: int, hours: int, other: int, shared: str) -> None:
        """Files two claims that share something, decided by two workers at the same moment. Uses new pictures while
        there are any: pictures shown before go to a person anyway.
        """
        self._count("two_claims_at_once")
        order = ORDERS.index(("A-1001", "A1001")) if shared == "order" else 0
        other_cover = cover if shared in ("event", "cover") else other
        picture = self._unused(picture)
        other_hours = hours if shared == "event" else hours + 2
        first = self._run(self._file(cover, picture, 0, hours, order))
        other_picture = picture if shared == "picture" else self._unused(picture)
        second = self._run(self._file(other_cover, other_picture, 0, other_hours, order))
        self._run(self._adjudicate(at_once=True))
        self._run(self.house.settle())
        self._run(self._after(f"{first}; {second}; decided by two workers at once, settled"))

    # The processes.

    @rule(
        cover=indexes, picture=indexes, hours=indexes, at_once=st.booleans(), dies=st.integers(0, 26),
        table=st.sampled_from(WORKER_WRITES),
    )  # fmt: skip
    def adjudicate(self, cover: int, picture: int, hours: int, at_once: bool, dies: int, table: str) -> None:
        """A worker takes a new claim and everything else due, and is killed at its n-th transaction, or just before it
        commits a write to a table."""
        self._count("adjudicate")
        words = self._run(self._file(cover, self._unused(picture), 0, hours, 0))
        self.house.worker.arm(dies, table)
        self._run(self._adjudicate(at_once=at_once))
        died = self._revive()
        self._run(self._after(f"{words}; decided{' together with all that is due' if at_once else ''}{died}"))

    @rule(
        odd=st.lists(oddities, max_size=3), dies=st.integers(0, 6), table=st.sampled_from(SETTLER_WRITES),
        reconciles=st.booleans(),
    )  # fmt: skip
    def settle(self, odd: list[str], dies: int, table: str, reconciles: bool) -> None:
        """A round of the settle process, which may be killed, and a reconciliation beside it; the bank answers as
        drawn."""
        self._count("settle")
        self.house.settler.arm(dies, table)
        self._run(self.house.odd(odd))

        async def both() -> None:
            await asyncio.gather(self.house.settle(), self.house.reconcile())

        self._run(both() if reconciles else self.house.settle())
        died = self._revive()
        beside = ", reconciled beside it" if reconciles else ""
        self._run(self._after(f"settle, the bank answers {[fault or 'well' for fault in odd]}{beside}{died}"))

    @rule(cover=indexes, picture=indexes, hours=indexes, wakes_first=st.booleans(), between=st.booleans())
    def late_worker(self, cover: int, picture: int, hours: int, wakes_first: bool, between: bool) -> None:
        """A worker stops in the middle of a claim, another takes the claim over; when the first wakes up, it must write
        nothing."""
        self._count("late_worker")
        words = self._run(self._file(cover, self._unused(picture), 0, hours, 0))
        wrote = self._run(self._late(wakes_first))
        if wrote:
            self._broken("late_worker_wrote", f"{words}: a worker that had lost its lease wrote {wrote}")
        if between:
            self._run(self.house.settle())
        how = "before the other was done" if wakes_first else "after the other was done"
        self._run(self._after(f"{words}; its worker hangs, another takes over, the first wakes {how}"))

    async def _late(self, wakes_first: bool) -> str:
        leases = await self.house.lease()
        if not leases:
            return ""
        gated = self.house.gated()
        hanging = asyncio.create_task(self.house.adjudicate(leases, gated))
        reached = asyncio.create_task(gated.reached.wait())
        await asyncio.wait([hanging, reached], return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        again = await self.house.lease()
        if not wakes_first:
            await self.house.adjudicate(again)
        ids = [lease.claim_id for lease in leases if any(other.claim_id == lease.claim_id for other in again)]
        before = {claim_id: await self.house.touched_by_worker(claim_id) for claim_id in ids}
        gated.go_on.set()
        await hanging
        after = {claim_id: await self.house.touched_by_worker(claim_id) for claim_id in ids}
        if wakes_first:
            await self.house.adjudicate(again)
        return "; ".join(
            f"{before[claim_id]} -> {after[claim_id]}" for claim_id in ids if before[claim_id] != after[claim_id]
        )

    # What claimants do.

    @rule(which=indexes)
    def appeal(self, which: int) -> None:
        claim = self._pick(which, "paid", "declined")
        if claim is None:
            return
        self._count("appeal")
        self._run(self._appeal(claim))

    async def _appeal(self, claim: Filed) -> None:
        before = self._status(claim)
        answer = await self.house.appeal(claim.owner.id, claim.id)
        if self._heard(answer):
            self.done["claim.appealed", claim.id] += 1
            self.before_appeal[claim.id] = before
        await self._after(f"{claim.owner.id} appeals {claim}: {told(answer)}")

    async def _before_a_person(self, which: int) -> Filed | None:
        """Returns a claim that a person may decide, after an appeal if there is none."""
        claim = self._pick(which, "referred", "payout_failed", only=True) or self._pick(which, "paid", "declined")
        if claim is not None and self._status(claim) in ("paid", "declined"):
            await self._appeal(claim)
        return claim

    @rule(which=indexes, anything=st.booleans())
    def withdraw(self, which: int, anything: bool) -> None:
        """Withdraws a claim; after an appeal of a paid claim this takes back the appeal."""
        if anything:
            claim = self._pick(which)
        else:
            claim = self._pick(which, "awaiting_information", "submitted", only=True)
            claim = claim or self._run(self._before_a_person(which))
        if claim is None:
            return
        self._count("withdraw")
        answer = self._run(self.house.withdraw(claim.owner.id, claim.id))
        done = self._heard(answer)
        self._run(self._after(f"{claim.owner.id} withdraws {claim}: {told(answer)}"))
        before = self.before_appeal.get(claim.id, "withdrawn")
        if done and self._status(claim) != before:
            words = f"{claim} was {before} before its appeal, and is {self._status(claim)} after it was taken back"
            self._broken("appeal_withdrawn_otherwise", words)

    @rule(which=indexes, picture=indexes, carry=carries, odd=oddities)
    def resend(self, which: int, picture: int, carry: str, odd: str) -> None:
        """Sends the requested files and submits again; if nothing was requested, a person asks first."""
        claim = self._pick(which, "awaiting_information", only=True)
        if claim is None:
            claim = self._run(self._before_a_person(which))
            if claim is None:
                return
            answer = self._run(self.house.review("eva", claim.id, "ask", 0, knowing=False, recover=False))
            self._heard(answer)
            self._run(self._after(f"eva asks on {claim}: {told(answer)}"))
        self._count("resend")
        item = self._item(claim.cover.product, picture)
        claim.resent += 1
        part = "paper" if claim.cover.product == CLINIC else "photo"
        answer = self._run(self.house.resend(claim.owner.id, claim.id, [(part, item)], claim.resent))
        if self._heard(answer):
            claim.things.add((item.thing, item.edited))
            self.done["claim.submitted", claim.id] += 1
        self._run(self._carry(carry, odd))
        words = f"{claim.owner.id} sends {item.name} for {claim}: {told(answer)}"
        self._run(self._after(f"{words}, {carried(carry, odd)}"))

    # What people of the house do.

    @rule(
        which=indexes, verdict=st.sampled_from(("approve", "approve", "approve", "refuse", "ask")),
        share=st.sampled_from((1.0, 1.0, 0.5, 1.5)), knowing=st.booleans(), recover=st.booleans(),
        partner=st.booleans(), carry=carries, odd=oddities,
    )  # fmt: skip
    def review(
        self,
        which: int,
        verdict: str,
        share: float,
        knowing: bool,
        recover: bool,
        partner: bool,
        carry: str,
        odd: str,
    ) -> None:
        """A person approves in full, less or more, refuses or asks; saying that they know of another payment or not,
        and that paid money is to come back or not."""
        claim = self._run(self._before_a_person(which))
        if claim is None:
            return
        self._count("review")
        minor = int(claim.minor * share)
        company = {FOOD: "anshun", CLINIC: "heyuan"}[claim.cover.product] if partner else ""
        answer = self._run(
            self.house.review("eva", claim.id, verdict, minor, knowing=knowing, recover=recover, partner=company)
        )
        words = f"{company or 'eva'} {verdict}s{f' {minor}' if verdict == 'approve' else ''} on {claim}"
        words += f"{', knowing' if knowing else ''}{', to be recovered' if recover else ''}: {told(answer)}"
        if recover and answer.done:
            self.recovering.add(claim.id)
        self._run(self._judged(claim, answer, verdict, minor, knowing, words))
        self._run(self._carry(carry, odd))
        self._run(self._after(carried(carry, odd)))

    async def _judged(self, claim: Filed, answer: Answer, verdict: str, minor: int, knowing: bool, words: str) -> None:
        done = self._heard(answer)
        await self._after(words, {claim.id: knowing})
        assert self.now is not None
        if not done or verdict == "ask":
            return
        due = minor if verdict == "approve" else 0
        live = sum(
            row["amount_minor"]
            for row in self.now.payouts
            if row["claim_id"] == claim.id and row["state"] in books.LIVE
        )
        back = back_of(self.now).get(claim.id, Back()).asked_minor
        if live - back != due:
            words = f"{claim}: a person said {due}, {live} is paid or promised and {back} is to come back"
            self._broken("decision_without_effect", words)

    @rule(which=indexes, knowing=st.booleans(), pair=st.sampled_from(("two people", "withdrawn", "settled")))
    def at_once(self, which: int, knowing: bool, pair: str) -> None:
        """A person approves while another refuses, while the claimant withdraws, or while payouts are settled."""
        claim = self._run(self._before_a_person(which))
        if claim is None:
            return
        self._count("at_once")

        async def both() -> list[Answer]:
            first = self.house.review("eva", claim.id, "approve", claim.minor, knowing=knowing, recover=False)
            if pair == "two people":
                other = self.house.review("max", claim.id, "approve", claim.minor // 2, knowing=knowing, recover=False)
                return list(await asyncio.gather(first, other))
            if pair == "withdrawn":
                return list(await asyncio.gather(first, self.house.withdraw(claim.owner.id, claim.id)))
            return [(await asyncio.gather(first, self.house.settle()))[0]]

        answers = self._run(both())
        for answer in answers:
            self._heard(answer)
        if len(answers) > 1 and all(answer.done for answer in answers):
            self._broken("decided_twice", f"{claim}: both went through ({pair})")
        words = f"eva approves {claim} at once with {pair}: {[told(answer) for answer in answers]}"
        self._run(self._after(words, {claim.id: knowing}))

    @rule(which=indexes, how=st.sampled_from(("repayment", "write-off")))
    def end_recovery(self, which: int, how: str) -> None:
        """Repays or writes off a claimant's debt; if nobody owes anything, lowers a paid claim first."""
        if not self._owed():
            claim = self._pick(which, "paid", only=True)
            if claim is None:
                return
            self._run(self._lowered(claim))
        for recovery_id, number in self._owed()[:1]:
            self._count("end_recovery")
            answer = self._run(self.house.end_recovery(recovery_id, how))
            self._heard(answer)
            self._run(self._after(f"{how} of what is owed for claim {number}: {told(answer)}"))

    def _owed(self) -> list[tuple[str, int]]:
        rows = self.now.recoveries if self.now is not None else []
        return [(row["id"], self.model.claims[row["claim_id"]].number) for row in rows if row["state"] == "open"]

    async def _lowered(self, claim: Filed) -> None:
        await self._appeal(claim)
        minor = claim.minor // 2
        answer = await self.house.review("eva", claim.id, "approve", minor, knowing=False, recover=True)
        if answer.done:
            self.recovering.add(claim.id)
        await self._judged(claim, answer, "approve", minor, False, f"eva lowers {claim} to {minor}: {told(answer)}")

    @rule(which=indexes)
    def erase(self, which: int) -> None:
        claim = self._pick(which, "paid", "declined", "withdrawn")
        if claim is None:
            return
        self._count("erase")
        refusal = self._run(self.house.erase(claim.id))
        if refusal:
            self.tally.refusals[refusal] += 1
        else:
            claim.erased = True
        self._run(self._after(f"{claim} is erased: {refusal or 'done'}"))

    @rule(which=indexes, what=st.sampled_from(("look", "withdraw", "appeal", "submit", "resend", "in the store")))
    def stranger(self, which: int, what: str) -> None:
        """Checks that a stranger's every action on somebody else's claim answers "not found"."""
        claim = self._pick(which, "paid", "referred", "declined", "submitted", "awaiting_information")
        if claim is None:
            return
        other = next(person.id for person in PEOPLE if person.id != claim.owner.id and person.name != claim.owner.name)
        self._count("stranger")
        through = self._run(self._tried(what, other, claim))
        if through:
            self._broken("stranger_got_through", f"{other} on {claim} of {claim.owner.id}: {through}")
        self._run(self._after(f"{other} tries to {what} on {claim}"))

    async def _tried(self, what: str, other: str, claim: Filed) -> str:
        """Returns the actions that succeeded, "" for none."""
        if what == "in the store":
            tries = (self.house.withdraw_in_store, self.house.appeal_in_store, self.house.submit_in_store)
            return ", ".join([attempt.__name__ for attempt in tries if await attempt(other, claim.id) != "NotFound"])
        if what == "resend":
            answer = await self.house.resend(other, claim.id, [("photo", pool.photos()[0])], 99)
        else:
            answer = await getattr(self.house, what)(other, claim.id)
        return "" if answer.status == 404 else f"{what} was answered {answer.status} {answer.code}"

    @rule(at=st.integers(1, 5), table=st.sampled_from(API_WRITES), which=indexes, what=st.sampled_from(REQUESTS))
    def api_dies(self, at: int, table: str, which: int, what: str) -> None:
        """Kills the API in the middle of a request: it must be done wholly or not at all."""
        claim = self._pick(which, "referred", "paid")
        if claim is None:
            return
        self._count("api_dies")
        self.house.api.arm(at, table)
        if what == "claim":
            words = self._run(self._file(which, which, 0, which, 0))
        else:
            words = f"{what} on {claim}"
            match what:
                case "withdraw":
                    request = self.house.withdraw(claim.owner.id, claim.id)
                case "appeal":
                    self.before_appeal[claim.id] = self._status(claim)
                    request = self.house.appeal(claim.owner.id, claim.id)
                case _:
                    request = self.house.review("eva", claim.id, "approve", claim.minor, knowing=False, recover=False)
            self._heard(self._run(request))
        died = self._revive()
        knowing = {claim.id: False} if what == "review" else {}
        self._run(self._after(f"{words}{died}", knowing))
