"""Covers and claims as people send them, each reported to the model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tests.machine import pool
from tests.machine.house import Answer, policy_body
from tests.machine.model import Cover, Filed, Person
from tests.machine.pool import Item
from tests.machine.watching import Watched

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


class Filing(Watched):
    """Registers covers and files claims; the rules are those of `tests.machine.machine`."""

    async def _first_covers(self) -> None:
        """Registers the first covers in the first run; every later run begins with them."""
        if not self.house.begin_with:
            for number, (owner, product) in enumerate(FIRST_COVERS):
                await self._register(owner, product, f"cover-{number}", recorded=timedelta(days=60))
            await self.house.begin_so(("claimants", "policies", "audit", "audit_contents"))
            return
        at = self.today - timedelta(days=60)
        for number, (owner, product) in enumerate(FIRST_COVERS):
            self._registered(owner, product, f"cover-{number}", at)

    async def _register(
        self, owner: Person, product: str, cover_id: str, *, recorded: timedelta, change: bool = False
    ) -> None:
        changes = 1 + sum(cover.changes for cover in self.model.covers if cover.id == cover_id) if change else 0
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
        known = next((cover for cover in self.model.covers if cover.id == cover_id), None)
        if known is None:
            self.model.covers.append(Cover(cover_id, owner, product, at, total, value))
        else:
            known.recorded_at, known.sum_minor, known.changes = at, total, known.changes + 1

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
        order_words = f" order {written}" if written else " no order"
        many = " (sent twice at once)" if twice else ""
        return f"claim {number}: {owner.id} claims {minor} under {policy.id}, {item.name}, {ago} ago{order_words}{many}"

    def _unused(self, picture: int) -> int:
        """Returns a photo that no claim shows yet, as long as there is one."""
        shown = {thing for claim in self.model.claims.values() for thing, _ in claim.things}
        unused = [at for at, item in enumerate(pool.photos()) if not item.edited and item.thing not in shown]
        return unused[picture % len(unused)] if unused else picture

    def _item(self, product: str, picture: int) -> Item:
        day = (self.today - timedelta(days=BILL_DAYS_AGO)).date()
        files = pool.bills(day) if product == CLINIC else pool.photos()
        return files[picture % len(files)]
