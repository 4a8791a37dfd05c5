"""A machine that does at random what people, processes and the bank do to claims, and looks after every step whether
anything was paid twice, lost or left without a record.

    submit, pay, appeal, withdraw, resend, approve, refuse, ask, erase, recover; two at once; strangers; processes that
    die at a transaction or wake up after their lease; a bank that answers oddly

`tests.machine.running` starts it. What the product's interfaces are is known to `tests.machine.house` alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from claims.decide import replay
from claims.errors import InputsErased
from tests.machine import books, pool
from tests.machine.bank import ANSWERS
from tests.machine.house import Answer, House, Snapshot, policy_body
from tests.machine.model import Back, Cover, Filed, Model, Person, Violation
from tests.machine.pool import Item

T = TypeVar("T")

FOOD, CLINIC = "fresh_food_rot", "outpatient_medical"
PERILS: Final = {FOOD: "rot", CLINIC: "illness"}
ANN = Person("ann", "张伟", "phone-1", "6222-0001", "文三路 90 号 5-201")
TWIN = Person("ann-again", "张伟", "phone-1", "6222-0001", "文三路 90 号 5-201")
BOB = Person("bob", "李娜", "phone-2", "6222-0002", "学院路 7 号")
PEOPLE: Final = (ANN, TWIN, BOB)
FIRST_COVERS: Final = ((ANN, FOOD), (ANN, FOOD), (TWIN, FOOD), (BOB, FOOD), (ANN, CLINIC))
VALUE_MINOR, SUM_MINOR = 30_000, 50_000
CLINIC_SUM_MINOR = 100_000
# Of the goods' value; a claim for all of it is the commonest.
AMOUNTS: Final = (30_000, 30_000, 20_000, 10_000)
HOURS_AGO: Final = (5, 5, 6, 30, 60)
# As a claimant types it, and as what it is one order.
# OWN stands for an order that no other claim names.
OWN: Final = "own"
ORDERS: Final = ((OWN, OWN), (OWN, OWN), ("A-1001", "A1001"), ("a 1001", "A1001"), ("B-2002", "B2002"), ("", ""))
BILL_DAYS_AGO = 6
WORKER_WRITES: Final = ("", "", "stage_results", "decisions", "payouts", "referrals")
SETTLER_WRITES: Final = ("", "payouts", "ledger_transactions", "claims")
API_WRITES: Final = ("", "claims", "claim_history", "decisions", "payouts", "referrals")
REQUESTS: Final = ("claim", "withdraw", "appeal", "review")
DRAIN_ROUNDS_MAX = 8

indexes = st.integers(0, 11)
carries = st.sampled_from(("through", "through", "through", "decide", "wait"))
# The two that cost money when they are misread come more often.
oddities = st.sampled_from(("", "", "in_progress", "in_progress", "lost", "lost", *ANSWERS))


@dataclass
class Tally:
    """What all runs together have done."""

    runs: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    claims: int = 0
    payouts: int = 0
    paid_minor: int = 0


class Machine(RuleBasedStateMachine):
    """house, runner: started once for all runs. codes: violations that count; None: all of them do."""

    house: ClassVar[House]
    runner: ClassVar[asyncio.Runner]
    tally: ClassVar[Tally]
    codes: ClassVar[frozenset[str] | None] = None
    on_run: ClassVar[Any] = None

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.did: list[str] = []
        self.done: Counter[tuple[str, str]] = Counter()
        self.filed = 0
        self.failed = False
        self.killed = 0
        self.recovering: set[str] = set()
        self.before_appeal: dict[str, str] = {}
        self.now: Snapshot | None = None
        self.today = datetime.now(UTC)
        self._run(self.house.fresh())

    # Registering.

    @initialize(cover=indexes, picture=indexes, amount=indexes, hours=indexes, order=indexes, odd=oddities)
    def first_claim(self, cover: int, picture: int, amount: int, hours: int, order: int, odd: str) -> None:
        """Ann has two covers of one product and one of another; the same Ann under another id, and Bob, one each. And
        there is a claim to go on with."""
        self._run(self._first_covers())
        covers = ", ".join(
            f"cover-{number} {owner.id} {product}" for number, (owner, product) in enumerate(FIRST_COVERS)
        )
        self._run(self._after(covers))
        self._count("claim")
        words = self._run(self._file(cover, picture, amount, hours, order))
        self._run(self._carry("through", odd))
        self._run(self._after(f"{words}, {_carried('through', odd)}"))

    async def _first_covers(self) -> None:
        """Registered in the first run; every later one begins with them."""
        if not self.house.begin_with:
            for number, (owner, product) in enumerate(FIRST_COVERS):
                await self._register(owner, product, f"cover-{number}", recorded=timedelta(days=60))
            await self.house.begin_so(("claimants", "policies", "audit", "audit_contents"))
            return
        at = self.today - timedelta(days=60)
        for number, (owner, product) in enumerate(FIRST_COVERS):
            self._registered(owner, product, f"cover-{number}", at)

    @rule(who=indexes, late=st.booleans(), change=st.booleans())
    def register(self, who: int, late: bool, change: bool) -> None:
        """One more cover, or the same again with other terms; also after an event that it would cover."""
        owner = PEOPLE[who % len(PEOPLE)]
        known = [one for one in self.model.covers if one.owner == owner and one.product == FOOD]
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

    async def _register(
        self, owner: Person, product: str, cover_id: str, *, recorded: timedelta, change: bool = False
    ) -> None:
        changes = 1 + sum(one.changes for one in self.model.covers if one.id == cover_id) if change else 0
        total = CLINIC_SUM_MINOR if product == CLINIC else SUM_MINOR + 1_000 * changes
        value = 0 if product == CLINIC else VALUE_MINOR
        with self.house.at(recorded):
            at = self.house.now()
            starts = self.today - timedelta(days=90)
            body = policy_body(
                cover_id, owner.id, owner.name, product, starts_at=starts, sum_minor=total, value_minor=value
            )
            answer = await self.house.register(body, change=change)
        self._heard(answer)
        if answer.done:
            self._registered(owner, product, cover_id, at, total)

    def _registered(self, owner: Person, product: str, cover_id: str, at: datetime, total: int = 0) -> None:
        total = total or (CLINIC_SUM_MINOR if product == CLINIC else SUM_MINOR)
        value = 0 if product == CLINIC else VALUE_MINOR
        self.done["policy.recorded", cover_id] += 1
        self.done["claimant.recorded", owner.id] += 1
        known = next((one for one in self.model.covers if one.id == cover_id), None)
        if known is None:
            self.model.covers.append(Cover(cover_id, owner, product, at, total, value))
        else:
            known.recorded_at, known.sum_minor, known.changes = at, total, known.changes + 1

    @rule(who=indexes)
    def pet(self, who: int) -> None:
        """A pet, and photos of its nose to be enrolled."""
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
        """File a claim, and carry it through to the bank, to its decision, or not at all."""
        self._count("claim")
        words = self._run(self._file(cover, picture, amount, hours, order, closed=closed, twice=twice))
        self._run(self._carry(carry, odd))
        self._run(self._after(f"{words}, {_carried(carry, odd)}"))

    @rule(cover=indexes, picture=indexes, hours=indexes, other=indexes, apart=st.booleans())
    def two_claims_at_once(self, cover: int, picture: int, hours: int, other: int, apart: bool) -> None:
        """Two claims with one picture or bill, decided by two workers at the same moment."""
        self._count("two_claims_at_once")
        first = self._run(self._file(cover, picture, 0, hours, 0))
        second = self._run(self._file(other, picture + apart, 0, hours, 0))
        self._run(self._adjudicate(at_once=True))
        self._run(self.house.settle())
        self._run(self._after(f"{first}; {second}; decided by two workers at once, settled"))

    async def _file(
        self,
        cover: int,
        picture: int,
        amount: int,
        hours: int,
        order: int,
        *,
        closed: bool = False,
        twice: bool = False,
    ) -> str:
        policy = self.model.covers[cover % len(self.model.covers)]
        owner = policy.owner
        self.filed += 1
        number = self.filed
        clinic = policy.product == CLINIC
        item = self._item(policy.product, picture)
        ago = timedelta(days=BILL_DAYS_AGO) if clinic else timedelta(hours=HOURS_AGO[hours % len(HOURS_AGO)])
        written, normalised = (OWN, OWN) if clinic else ORDERS[order % len(ORDERS)]
        if written == OWN:
            written = normalised = f"own-{number}"
        minor = 40_000 if clinic else AMOUNTS[amount % len(AMOUNTS)]
        occurred_at = self.today - ago
        stated = {
            "policy_id": policy.id,
            "product": policy.product,
            "peril": PERILS[policy.product],
            "amount_minor": minor,
            "currency": "CNY",
            "occurred_at": occurred_at.isoformat(),
            "description": "坏了",
            "payee_account": "closed-6222" if closed else owner.account,
            "device_id": owner.device,
            "address": owner.address,
            "merchant_id": "m-fresh-204",
            "order_number": written,
        }
        files = [("paper" if clinic else "photo", item)]
        key = f"claim-{number}-{next(self.house.keys)}"
        before = await self.house.claim_ids()
        if twice:
            answers: Sequence[Answer] = await asyncio.gather(
                *(self.house.claim(owner.id, stated, files, key=key) for _ in range(2))
            )
        else:
            answers = [await self.house.claim(owner.id, stated, files, key=key)]
        for answer in answers:
            self._heard(answer)
        made = sorted(await self.house.claim_ids() - before)
        if len(made) > 1:
            self._broken("made_twice", f"one request under one key made {len(made)} claims")
        for claim_id in made:
            filed = Filed(claim_id, number, owner, policy, minor, occurred_at, normalised, {(item.thing, item.edited)})
            self.model.claims[claim_id] = filed
            for action in ("claim.created", "claim.submitted"):
                self.done[action, claim_id] += 1
        said = f" order {written}" if written else " no order"
        many = " (sent twice at once)" if twice else ""
        return f"claim {number}: {owner.id} claims {minor} under {policy.id}, {item.name}, {ago} ago{said}{many}"

    def _item(self, product: str, picture: int) -> Item:
        day = (self.today - timedelta(days=BILL_DAYS_AGO)).date()
        files = pool.bills(day) if product == CLINIC else pool.photos()
        return files[picture % len(files)]

    # The processes.

    @rule(
        cover=indexes, picture=indexes, hours=indexes, at_once=st.booleans(), dies=st.integers(0, 26),
        table=st.sampled_from(WORKER_WRITES),
    )  # fmt: skip
    def adjudicate(self, cover: int, picture: int, hours: int, at_once: bool, dies: int, table: str) -> None:
        """A worker takes a new claim and whatever else is due, and is killed: at its n-th transaction, or just before
        it commits what it wrote to a table."""
        self._count("adjudicate")
        words = self._run(self._file(cover, picture, 0, hours, 0))
        self.house.worker.arm(dies, table)
        self._run(self._adjudicate(at_once=at_once))
        died = self._revive()
        self._run(self._after(f"{words}; decided{' together with all that is due' if at_once else ''}{died}"))

    @rule(odd=st.lists(oddities, max_size=3), dies=st.integers(0, 6), table=st.sampled_from(SETTLER_WRITES))
    def settle(self, odd: list[str], dies: int, table: str) -> None:
        """A round of the settle process, which may be killed; the bank answers as drawn."""
        self._count("settle")
        self.house.settler.arm(dies, table)
        self._run(self.house.odd(odd))
        self._run(self.house.settle())
        died = self._revive()
        self._run(self._after(f"settle, the bank answers {[one or 'well' for one in odd]}{died}"))

    @rule(cover=indexes, picture=indexes, hours=indexes, wakes_first=st.booleans(), between=st.booleans())
    def late_worker(self, cover: int, picture: int, hours: int, wakes_first: bool, between: bool) -> None:
        """A worker stops in the middle of a claim, another takes the claim over, and the first wakes up: it writes
        nothing any more."""
        self._count("late_worker")
        words = self._run(self._file(cover, picture, 0, hours, 0))
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
        ids = [lease.claim_id for lease in leases if any(one.claim_id == lease.claim_id for one in again)]
        before = {claim_id: await self.house.touched_by_worker(claim_id) for claim_id in ids}
        gated.go_on.set()
        await hanging
        after = {claim_id: await self.house.touched_by_worker(claim_id) for claim_id in ids}
        if wakes_first:
            await self.house.adjudicate(again)
        return "; ".join(f"{before[one]} -> {after[one]}" for one in ids if before[one] != after[one])

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
        await self._after(f"{claim.owner.id} appeals {claim}: {_told(answer)}")

    async def _before_a_person(self, which: int) -> Filed | None:
        """A claim that a person may decide; where there is none, one is appealed."""
        claim = self._pick(which, "referred", "payout_failed", only=True) or self._pick(which, "paid", "declined")
        if claim is not None and self._status(claim) in ("paid", "declined"):
            await self._appeal(claim)
        return claim

    @rule(which=indexes, anything=st.booleans())
    def withdraw(self, which: int, anything: bool) -> None:
        """Also after an appeal of a paid claim; then it is the appeal that is taken back."""
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
        self._run(self._after(f"{claim.owner.id} withdraws {claim}: {_told(answer)}"))
        before = self.before_appeal.get(claim.id, "withdrawn")
        if done and self._status(claim) != before:
            words = f"{claim} was {before} before its appeal, and is {self._status(claim)} after it was taken back"
            self._broken("appeal_withdrawn_otherwise", words)

    @rule(which=indexes, picture=indexes, carry=carries, odd=oddities)
    def resend(self, which: int, picture: int, carry: str, odd: str) -> None:
        """What was asked for, and submitted again; where nothing was asked for, a person asks first."""
        claim = self._pick(which, "awaiting_information", only=True)
        if claim is None:
            claim = self._run(self._before_a_person(which))
            if claim is None:
                return
            answer = self._run(self.house.review("eva", claim.id, "ask", 0, knowing=False, recover=False))
            self._heard(answer)
            self._run(self._after(f"eva asks on {claim}: {_told(answer)}"))
        self._count("resend")
        item = self._item(claim.cover.product, picture)
        claim.resent += 1
        part = "paper" if claim.cover.product == CLINIC else "photo"
        answer = self._run(self.house.resend(claim.owner.id, claim.id, [(part, item)], claim.resent))
        if self._heard(answer):
            claim.things.add((item.thing, item.edited))
            self.done["claim.submitted", claim.id] += 1
        self._run(self._carry(carry, odd))
        words = f"{claim.owner.id} sends {item.name} for {claim}: {_told(answer)}"
        self._run(self._after(f"{words}, {_carried(carry, odd)}"))

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
        words += f"{', knowing' if knowing else ''}{', to be recovered' if recover else ''}: {_told(answer)}"
        if recover and answer.done:
            self.recovering.add(claim.id)
        self._run(self._judged(claim, answer, verdict, minor, knowing, words))
        self._run(self._carry(carry, odd))
        self._run(self._after(_carried(carry, odd)))

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
        back = _back(self.now).get(claim.id, Back()).asked_minor
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
        words = f"eva approves {claim} at once with {pair}: {[_told(one) for one in answers]}"
        self._run(self._after(words, {claim.id: knowing}))

    @rule(which=indexes, how=st.sampled_from(("repayment", "write-off")))
    def end_recovery(self, which: int, how: str) -> None:
        """What a claimant owes is paid back or given up; where nobody owes anything, a paid claim is lowered first."""
        if not self._owed():
            claim = self._pick(which, "paid", only=True)
            if claim is None:
                return
            self._run(self._lowered(claim))
        for recovery_id, number in self._owed()[:1]:
            self._count("end_recovery")
            answer = self._run(self.house.end_recovery(recovery_id, how))
            self._heard(answer)
            self._run(self._after(f"{how} of what is owed for claim {number}: {_told(answer)}"))

    def _owed(self) -> list[tuple[str, int]]:
        rows = self.now.recoveries if self.now is not None else []
        return [(row["id"], self.model.claims[row["claim_id"]].number) for row in rows if row["state"] == "open"]

    async def _lowered(self, claim: Filed) -> None:
        await self._appeal(claim)
        minor = claim.minor // 2
        answer = await self.house.review("eva", claim.id, "approve", minor, knowing=False, recover=True)
        if answer.done:
            self.recovering.add(claim.id)
        await self._judged(claim, answer, "approve", minor, False, f"eva lowers {claim} to {minor}: {_told(answer)}")

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
        """Somebody else's claim is not there, whatever is tried."""
        claim = self._pick(which, "paid", "referred", "declined", "submitted", "awaiting_information")
        if claim is None:
            return
        other = next(one.id for one in PEOPLE if one.id != claim.owner.id and one.name != claim.owner.name)
        self._count("stranger")
        through = self._run(self._tried(what, other, claim))
        if through:
            self._broken("stranger_got_through", f"{other} on {claim} of {claim.owner.id}: {through}")
        self._run(self._after(f"{other} tries to {what} on {claim}"))

    async def _tried(self, what: str, other: str, claim: Filed) -> str:
        """What went through, "" for nothing."""
        if what == "in the store":
            tries = (self.house.withdraw_in_store, self.house.appeal_in_store, self.house.submit_in_store)
            return ", ".join([one.__name__ for one in tries if await one(other, claim.id) != "NotFound"])
        if what == "resend":
            answer = await self.house.resend(other, claim.id, [("photo", pool.photos()[0])], 99)
        else:
            answer = await getattr(self.house, what)(other, claim.id)
        return "" if answer.status == 404 else f"{what} was answered {answer.status} {answer.code}"

    @rule(at=st.integers(1, 5), table=st.sampled_from(API_WRITES), which=indexes, what=st.sampled_from(REQUESTS))
    def api_dies(self, at: int, table: str, which: int, what: str) -> None:
        """The API is killed in the middle of a request: all of it was done, or nothing."""
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
        said = {claim.id: False} if what == "review" else {}
        self._run(self._after(f"{words}{died}", said))

    # The end of a run.

    def teardown(self) -> None:
        """Faults off, everything carried to its end; then books, bank and records are compared in full."""
        try:
            if not self.failed and self.did:
                self._run(self._drain())
        finally:
            self._tell()
            super().teardown()

    async def _drain(self) -> None:
        await self.house.odd(())
        self._revive()
        for _ in range(DRAIN_ROUNDS_MAX):
            await self._adjudicate(at_once=False)
            await self.house.settle()
            now = await self.house.snapshot()
            if not self._waiting(now):
                break
        await self._after("in the end everything is decided and settled")
        assert self.now is not None
        if left := self._waiting(self.now):
            self._broken("claim_lost", f"after {DRAIN_ROUNDS_MAX} rounds there is still work: {left}")
        if wrong := await self.house.verify_audit():
            self._broken("audit_chain_broken", wrong)
        for claim_id, inputs, decision in await self.house.inputs():
            try:
                if replay(inputs) != decision:
                    self._broken("replay_differs", f"a decision on claim {claim_id}")
            except InputsErased:
                continue

    def _waiting(self, now: Snapshot) -> list[str]:
        due = [f"claim {row['claim_id']} is due" for row in now.jobs if row["state"] in ("due", "leased")]
        return due + [f"payout {row['id']} is {row['state']}" for row in now.payouts if row["state"] in books.GOING]

    def _tell(self) -> None:
        self.tally.runs += 1
        if self.now is not None:
            self.tally.claims += len(self.now.claims)
            paid = [row["amount_minor"] for row in self.now.payouts if row["state"] == "paid"]
            self.tally.payouts += len(paid)
            self.tally.paid_minor += sum(paid)
            self.tally.statuses.update(row["status"] for row in self.now.claims.values())
        if type(self).on_run is not None:
            type(self).on_run(self.tally)

    # What all rules share.

    async def _adjudicate(self, *, at_once: bool) -> None:
        leases = await self.house.lease()
        if at_once:
            await asyncio.gather(*(self.house.adjudicate([lease]) for lease in leases))
        else:
            await self.house.adjudicate(leases)

    async def _carry(self, carry: str, odd: str) -> None:
        if carry == "wait":
            return
        await self._adjudicate(at_once=False)
        if carry == "through":
            # A bank that is still at it says so to the question after the order, too.
            await self.house.odd([odd] * (2 if odd == "still_in_progress" else 1) if odd else ())
            await self.house.settle()
            await self.house.odd(())

    async def _after(self, words: str, said: dict[str, bool] | None = None) -> None:
        """Look at everything. said: claims on which a person has just decided, and whether they said that they know of
        other payments; every other payout that is new comes from the rules."""
        if words:
            self.did.append(words)
        now = self.now = await self.house.snapshot()
        for row in now.payouts:
            knowing = (said or {}).get(row["claim_id"])
            self.model.promised(row["id"], row["claim_id"], by_person=knowing is not None, knowing=bool(knowing))
        promised = [row["id"] for row in now.payouts]
        claim_of = {row["id"]: row["claim_id"] for row in now.payouts}
        payments = await self.house.payments()
        rows = [
            (one.payout_id, claim_of[one.payout_id], one.amount.minor) for one in payments if one.payout_id in claim_of
        ]
        rows += [(row["id"], row["claim_id"], row["amount_minor"]) for row in now.payouts if row["recovery_id"]]
        rows.sort(key=lambda row: promised.index(row[0]))
        received: Counter[str] = Counter()
        for _, claim_id, minor in rows:
            received[claim_id] += minor
        back = _back(now)
        found = [*self.model.check_money(rows, back)]
        found += books.check_places(now)
        found += books.check_messages(now)
        lowered = {one: each.asked_minor + each.given_up_minor for one, each in back.items()}
        found += books.check_statuses(now, received, lowered)
        found += books.check_recoveries(now, self.recovering)
        found += books.check_stopped(now)
        found += books.check_ledger(now)
        found += books.check_audit(now, self.model, self.done)
        found += books.check_work(now, self.killed)
        reconciled = await self.house.books(payments)
        found += [(f"bank_differs_{one.code}", str(one)) for one in reconciled.differences]
        found += [("unhandled", trouble) for trouble in self.house.troubles]
        self.house.troubles.clear()
        for code, what in found:
            self._broken(code, what)

    def _broken(self, code: str, words: str) -> None:
        """Raises Violation, unless only other codes count."""
        counted = self.codes is None or any(code == one or code.startswith(f"{one}_") for one in self.codes)
        if counted:
            self.failed = True
            raise Violation(code, words, self.did)

    def _heard(self, answer: Answer) -> bool:
        if not answer.done:
            self.tally.refusals[answer.code] += 1
        return answer.done

    def _revive(self) -> str:
        """Start the dead again; who they were, in words."""
        mortals = {"worker": self.house.worker, "settle process": self.house.settler, "api": self.house.api}
        died = [name for name, mortal in mortals.items() if mortal.revive()]
        self.tally.deaths.update(died)
        self.killed += "worker" in died
        return f"; the {' and the '.join(died)} was killed" if died else ""

    def _in(self, statuses: Iterable[str]) -> list[Filed]:
        if self.now is None:
            return []
        wanted = set(statuses)
        return [
            claim
            for claim in self.model.claims.values()
            if self.now.claims.get(claim.id, {"status": ""})["status"] in wanted
        ]

    def _pick(self, which: int, *statuses: str, only: bool = False) -> Filed | None:
        """Of the claims in one of these statuses, the newest first. Of all where none is, unless `only`."""
        fitting = self._in(statuses) or ([] if only else list(self.model.claims.values()))
        return fitting[::-1][which % len(fitting)] if fitting else None

    def _status(self, claim: Filed) -> str:
        return str(self.now.claims[claim.id]["status"]) if self.now is not None else ""

    def _count(self, name: str) -> None:
        self.tally.steps[name] += 1

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def _back(now: Snapshot) -> dict[str, Back]:
    """By claim: what is to come back of it, and what has."""
    back: dict[str, Back] = {}
    for row in now.recoveries:
        known = back.get(row["claim_id"], Back())
        asked = row["amount_minor"] - row["written_off_minor"]
        come = row["offset_minor"] + row["repaid_minor"]
        given_up = known.given_up_minor + row["written_off_minor"]
        back[row["claim_id"]] = Back(known.asked_minor + asked, known.come_minor + come, given_up)
    return back


def _told(answer: Answer) -> str:
    return "done" if answer.done else answer.code


def _carried(carry: str, odd: str) -> str:
    if carry == "wait":
        return "nothing more happens"
    return "decided" if carry == "decide" else f"decided and settled, the bank answers {odd or 'well'}"
