"""The common part of every run of the machine: checks after each step, draining at the end, and counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from claims.decide import replay
from claims.errors import InputsErased
from tests.machine import books
from tests.machine.house import Answer, House
from tests.machine.model import Back, Filed, Model, Violation
from tests.machine.snapshot import Snapshot

T = TypeVar("T")
DRAIN_ROUNDS_MAX: Final = 8


@dataclass
class Tally:
    """Counts over all runs."""

    runs: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)  # outcome and first reason
    claims: int = 0
    payouts: int = 0
    paid_minor: int = 0


class Watched(RuleBasedStateMachine):
    """A run with its checks. house, runner: started once for all runs. codes: violations that count; None: all."""

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

    # The end of a run.

    def teardown(self) -> None:
        """Switches faults off and drains everything, then compares books, bank and records in full."""
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
            self.tally.decisions.update(f"{row['outcome']} {row['first_reason']}" for row in self.now.decisions)
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

    async def _after(self, words: str, knowing_by_claim: dict[str, bool] | None = None) -> None:
        """Checks everything. knowing_by_claim: claims on which a person has just decided, True if they acknowledged
        other payments; every other new payout comes from the rules.
        """
        if words:
            self.did.append(words)
        now = self.now = await self.house.snapshot()
        for row in now.payouts:
            knowing = (knowing_by_claim or {}).get(row["claim_id"])
            self.model.promised(row["id"], row["claim_id"], by_person=knowing is not None, knowing=bool(knowing))
        promised = [row["id"] for row in now.payouts]
        claim_of = {row["id"]: row["claim_id"] for row in now.payouts}
        payments = await self.house.payments()
        rows = [
            (payment.payout_id, claim_of[payment.payout_id], payment.amount.minor)
            for payment in payments
            if payment.payout_id in claim_of
        ]
        rows += [(row["id"], row["claim_id"], row["amount_minor"]) for row in now.payouts if row["recovery_id"]]
        rows.sort(key=lambda row: promised.index(row[0]))
        received: Counter[str] = Counter()
        for _, claim_id, minor in rows:
            received[claim_id] += minor
        back = back_of(now)
        violations = [*self.model.check_money(rows, back)]
        violations += books.check_places(now)
        violations += books.check_messages(now)
        lowered = {claim_id: each.asked_minor + each.given_up_minor for claim_id, each in back.items()}
        violations += books.check_statuses(now, received, lowered)
        violations += books.check_recoveries(now, self.recovering)
        violations += books.check_stopped(now)
        violations += books.check_ledger(now)
        violations += books.check_audit(now, self.model, self.done)
        violations += books.check_work(now, self.killed)
        reconciled = await self.house.books(payments)
        violations += [(f"bank_differs_{difference.code}", str(difference)) for difference in reconciled.differences]
        violations += [("unhandled", trouble) for trouble in self.house.troubles]
        self.house.troubles.clear()
        for code, what in violations:
            self._broken(code, what)

    def _broken(self, code: str, words: str) -> None:
        """Raises Violation, unless only other codes count."""
        counted = self.codes is None or any(code == wanted or code.startswith(f"{wanted}_") for wanted in self.codes)
        if counted:
            self.failed = True
            raise Violation(code, words, self.did)

    def _heard(self, answer: Answer) -> bool:
        if not answer.done:
            self.tally.refusals[answer.code] += 1
        return answer.done

    def _revive(self) -> str:
        """Revives dead processes; returns their names in words."""
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
        """Picks a claim in one of these statuses, newest first; any claim if there is none, unless `only`."""
        fitting = self._in(statuses) or ([] if only else list(self.model.claims.values()))
        return fitting[::-1][which % len(fitting)] if fitting else None

    def _status(self, claim: Filed) -> str:
        return str(self.now.claims[claim.id]["status"]) if self.now is not None else ""

    def _count(self, name: str) -> None:
        self.tally.steps[name] += 1

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)


def back_of(now: Snapshot) -> dict[str, Back]:
    """Returns recoveries by claim: owed, returned and written off."""
    back: dict[str, Back] = {}
    for row in now.recoveries:
        known = back.get(row["claim_id"], Back())
        asked = row["amount_minor"] - row["written_off_minor"]
        come = row["offset_minor"] + row["repaid_minor"]
        given_up = known.given_up_minor + row["written_off_minor"]
        back[row["claim_id"]] = Back(known.asked_minor + asked, known.come_minor + come, given_up)
    return back


def told(answer: Answer) -> str:
    return "done" if answer.done else answer.code


def carried(carry: str, odd: str) -> str:
    if carry == "wait":
        return "nothing more happens"
    return "decided" if carry == "decide" else f"decided and settled, the bank answers {odd or 'well'}"
