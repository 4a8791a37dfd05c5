"""The product as the machine drives it: the one file that knows its interfaces.

People come through the HTTP API (the real application, in this process); workers and the settle process are the real
flows, over PostgreSQL and over HTTP to a bank in a process of its own. Each of the three has its own connections and
can be made to die at any of its transactions: as it begins one, or just before it commits what it wrote.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.http import tokens
from api.http.problems import KINDS
from api.http.schemas.work import VerdictRequest
from api.settings import Settings
from claims.credit import Scorecard
from claims.errors import ClaimsError, LeaseLost
from claims.money import Money
from claims.store import audit, intake, outbox, queue
from claims.store.blobs import BlobStore
from claims.store.scrubbing import ScrubLimits
from fixtures.demo_world import GOOD_STANDING
from flows import erasure, reconcile
from flows.adjudicate import Adjudication
from flows.config import LeaseLimits
from flows.drain import LeasedBatch
from flows.errors import Postponed
from flows.rails.http import HttpRail
from flows.rails.rail import Instruction, NotKnown, Paid, Refused, Unclear
from flows.sending import Sending
from flows.settle import Settlement
from flows.stage_context import StageContext
from tests.machine.eyes import Gated, Remembering
from tests.machine.mortal import Died, Mortal
from tests.machine.pool import Item
from tests.machine.snapshot import Snapshot, snapshot

LIMITS: Final = LeaseLimits(lease_seconds=60, heartbeat_seconds=30, backoff_seconds=0.1, attempts_max=3)
NAMED: Final = frozenset(KINDS) - {"internal_error", "bad_request"}
# Vacuumed and not written anew: what is left in the database's files is tested elsewhere.
SCRUB: Final = ScrubLimits(rewrite_bytes_max=0)


@dataclass(frozen=True, slots=True)
class Answer:
    """An API's answer. status: 0 if the process died. code: the refusal's, "" for none. claim_id: the claim
    concerned.
    """

    status: int
    code: str
    body: Any

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class House:
    """The running product, shared by all runs of a process. `fresh` empties it for the next run."""

    folder: Path
    settings: Settings
    dsn: str
    engine: AsyncEngine  # the machine's own: it reads and empties, and never dies
    worker: Mortal
    settler: Mortal
    api: Mortal
    http: httpx.AsyncClient
    rail: HttpRail
    bank: httpx.AsyncClient
    eyes: Remembering
    blobs: BlobStore
    scorecard: Scorecard
    tracker: Any
    tables: tuple[str, ...] = ()
    begin_with: tuple[str, ...] = ()
    bank_after: int = 0
    hours: Any = field(default_factory=lambda: itertools.count(1))
    keys: Any = field(default_factory=lambda: itertools.count(1))
    offset: timedelta = timedelta()  # of the clock by which the API writes
    troubles: list[str] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)
    _alone: set[tuple[int, int]] = field(default_factory=set)  # job and fence

    # The clock and the runs.

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    @contextlib.contextmanager
    def at(self, ago: timedelta) -> Any:
        """Sets the API's clock back by `ago` while the context lasts."""
        self.offset = -ago
        try:
            yield
        finally:
            self.offset = timedelta()

    def later(self) -> datetime:
        """Returns a time for leases, an hour later at every call, so that every earlier lease has expired."""
        return datetime.now(UTC) + timedelta(hours=next(self.hours))

    async def fresh(self) -> None:
        """Empties the store. The bank's book goes on; its present entries are ignored from here on."""
        for mortal in (self.worker, self.settler, self.api):
            mortal.revive()
        self.troubles.clear()
        self._alone.clear()
        await self.odd(())
        deletions = [f'DELETE FROM "{name}"' for name in self.tables]
        again = [f'INSERT INTO "{name}" SELECT * FROM begin_with."{name}"' for name in self.begin_with]
        await self._script("SET LOCAL session_replication_role = replica", *deletions, *again)
        self.bank_after = max([self.bank_after, *(row["seq"] for row in await self._bank_rows())])

    async def begin_so(self, tables: Sequence[str]) -> None:
        """Keeps the present contents of these tables as the start of every later run."""
        copies = [f'CREATE TABLE begin_with."{name}" AS SELECT * FROM "{name}"' for name in tables]
        await self._script("CREATE SCHEMA begin_with", *copies)
        self.begin_with = tuple(tables)

    async def _script(self, *statements: str) -> None:
        """Runs statements in one transaction and one round trip. The first may bypass the append-only triggers."""
        async with self.engine.connect() as conn:
            raw = (await conn.get_raw_connection()).driver_connection
            assert raw is not None
            await raw.execute("; ".join(("BEGIN", *statements, "COMMIT")))

    # What people ask for, over HTTP.

    async def ask(self, role: str, subject: str, method: str, path: str, **options: Any) -> Answer:
        """Sends one request, with a fresh Idempotency-Key unless `key` is given. Notes any answer that is not the
        API's own as a trouble.
        """
        key = options.pop("key", None) or f"key-{next(self.keys)}"
        headers = {"Authorization": f"Bearer {self._token(role, subject)}", "Idempotency-Key": key}
        try:
            response = await self.http.request(method, path, headers=headers, **options)
        except Died:
            return Answer(0, "died", None)
        if self.api.dead:
            return Answer(0, "died", None)
        body = response.json() if "json" in response.headers.get("content-type", "") else None
        code = "" if response.is_success else str((body or {}).get("code", ""))
        if not response.is_success and code not in NAMED:
            self.troubles.append(f"{method} {path}: {response.status_code} {code or 'without a code'}")
        return Answer(response.status_code, code, body)

    def _token(self, role: str, subject: str) -> str:
        who = f"{role}:{subject}"
        if who not in self._tokens:
            key = tokens.load_key(self.settings.token_key, self.settings.home)
            # Good for the times at which the machine registers covers, too.
            now, hours = datetime.now(UTC) - timedelta(days=100), timedelta(days=200)
            self._tokens[who] = tokens.issue(role, subject, key=key, now=now, valid_for=hours)
        return self._tokens[who]

    async def register(self, body: dict[str, Any], *, change: bool = False) -> Answer:
        if change:
            terms = {name: value for name, value in body.items() if name != "id"}
            return await self.ask("platform", "shop", "PUT", f"/v1/policies/{body['id']}", json=terms)
        return await self.ask("platform", "shop", "POST", "/v1/policies", json=body)

    async def pet(self, owner: str, name: str, pet_id: str) -> Answer:
        body = {"id": pet_id, "claimant": {"id": owner, "name": name}, "name": "豆豆", "species": "dog"}
        return await self.ask("platform", "shop", "POST", "/v1/pets", json=body)

    async def enrol(self, pet_id: str, files: Sequence[Item]) -> Answer:
        parts = [("nose", (item.name, item.data, "image/jpeg")) for item in files]
        return await self.ask("platform", "shop", "POST", f"/v1/pets/{pet_id}/noses", files=parts)

    async def claim(
        self, claimant: str, stated: dict[str, Any], files: Sequence[tuple[str, Item]], **options: Any
    ) -> Answer:
        parts: list[Any] = [("claim", (None, json.dumps(stated).encode(), "application/json"))]
        parts += [(part, (item.name, item.data, "image/jpeg")) for part, item in files]
        return await self.ask("claimant", claimant, "POST", "/v1/claims", files=parts, **options)

    async def resend(self, claimant: str, claim_id: str, files: Sequence[tuple[str, Item]], number: int) -> Answer:
        parts: list[Any] = [("note", (None, b"again", "text/plain"))]
        parts += [(part, (f"{number}-{item.name}", item.data, "image/jpeg")) for part, item in files]
        return await self.ask("claimant", claimant, "POST", f"/v1/claims/{claim_id}/evidence", files=parts)

    async def withdraw(self, claimant: str, claim_id: str) -> Answer:
        return await self.ask("claimant", claimant, "POST", f"/v1/claims/{claim_id}/withdraw", json={"note": "no"})

    async def appeal(self, claimant: str, claim_id: str) -> Answer:
        return await self.ask(
            "claimant", claimant, "POST", f"/v1/claims/{claim_id}/appeal", json={"note": "look again"}
        )

    async def submit(self, claimant: str, claim_id: str) -> Answer:
        return await self.ask("claimant", claimant, "POST", f"/v1/claims/{claim_id}/submit")

    async def look(self, claimant: str, claim_id: str) -> Answer:
        return await self.ask("claimant", claimant, "GET", f"/v1/claims/{claim_id}")

    async def review(
        self, who: str, claim_id: str, verdict: str, minor: int, *, knowing: bool, recover: bool, partner: str = ""
    ) -> Answer:
        """Reviews a claim. knowing: acknowledge other payments in every way the schema has. recover: ask back money
        that was paid already, where the schema allows it.
        """
        known = VerdictRequest.model_fields
        body: dict[str, Any] = {"verdict": verdict, "note": "as seen"}
        if verdict == "approve":
            body |= {"amount_minor": minor, "currency": "CNY"}
            body |= {name: True for name in known if knowing and name.startswith("although_")}
        body |= {name: True for name in known if recover and name == "recover"}
        if not partner:
            return await self.ask("adjuster", who, "POST", f"/v1/claims/{claim_id}/review", json=body)
        async with self.engine.connect() as conn:
            rows = await conn.execute(
                text("SELECT id FROM referrals WHERE claim_id = :claim AND state IN ('open', 'delivered')"),
                {"claim": claim_id},
            )
            referral_id = rows.scalars().first()
        path = f"/v1/referrals/{referral_id or 'none'}/decision"
        return await self.ask("partner", partner, "POST", path, json=body)

    # What strangers try, past the routes' own queries.

    async def withdraw_in_store(self, claimant: str, claim_id: str) -> str:
        """Withdraws in the store, past the API; returns the name of the error, "" on success."""
        return await self._in_store(intake.withdraw, claim_id, claimant, actor=f"claimant:{claimant}")

    async def appeal_in_store(self, claimant: str, claim_id: str) -> str:
        return await self._in_store(
            intake.appeal, claim_id, claimant, "mine", actor=f"claimant:{claimant}", partner="anshun"
        )

    async def submit_in_store(self, claimant: str, claim_id: str) -> str:
        return await self._in_store(intake.submit, claim_id, claimant, actor=f"claimant:{claimant}")

    async def _in_store(self, function: Any, claim_id: str, claimant: str, *words: str, **options: Any) -> str:
        try:
            async with self.engine.begin() as conn:
                await function(conn, claim_id, claimant, *words, self.now(), **options)
        except ClaimsError as error:
            return type(error).__name__
        except SQLAlchemyError as error:
            self._refused_by_the_database(f"{function.__name__} in the store", error)
        return ""

    def _refused_by_the_database(self, what: str, error: SQLAlchemyError) -> None:
        """Notes that the database refused a change, for instance one without its audit record."""
        self.troubles.append(f"{what}: {type(error).__name__}: {str(getattr(error, 'orig', error))[:200]}")

    async def erase(self, claim_id: str) -> str:
        """Erases the claim; returns the refusal's code, "" on success."""
        try:
            await erasure.erase(
                self.engine, self.blobs, claim_id, actor="operator:olga", reason="asked for", now=self.now, scrub=SCRUB
            )
        except ClaimsError as error:
            return type(error).__name__
        except SQLAlchemyError as error:
            self._refused_by_the_database("erase", error)
            return type(error).__name__
        return ""

    async def end_recovery(self, recovery_id: str, how: str) -> Answer:
        """Ends a recovery. how: `repayment` or `write-off`."""
        body = {"reference": "R-1"} if how == "repayment" else {"note": "gone abroad"}
        return await self.ask("operator", "olga", "POST", f"/v1/recoveries/{recovery_id}/{how}", json=body)

    # What the processes do.

    async def lease(self, limit: int = 64) -> list[Any]:
        """Leases everything due to one worker: first claims that may run together, then those that must run alone."""
        at, owner = self.later(), f"worker-{next(self.keys)}"
        async with self.engine.begin() as conn:
            leases = list(await queue.lease(conn, owner, limit, 60.0, at))
            while alone := await queue.lease_alone(conn, owner, 60.0, at):
                leases += alone
                self._alone.update((lease.row_id, lease.fence) for lease in alone)
        return leases

    def adjudication(self, eyes: Any = None) -> Adjudication:
        context = StageContext(self.worker.engine, eyes or self.eyes, self.scorecard, now=self.now)
        return Adjudication(context, self.tracker, LIMITS, claims_at_once=8)

    async def adjudicate(self, leases: Sequence[Any], eyes: Any = None) -> None:
        """Adjudicates a batch of the claims that may run together, and each of the others alone. A killed worker
        begins no further batch, silently.
        """
        alone = [lease for lease in leases if (lease.row_id, lease.fence) in self._alone]
        together = [lease for lease in leases if lease not in alone]
        with contextlib.suppress(Died):
            for batch in (together, *([lease] for lease in alone)):
                if batch:
                    await self.adjudication(eyes).work(LeasedBatch(batch))

    def gated(self) -> Gated:
        return Gated(self.eyes)

    async def messages(self) -> list[Any]:
        async with self.engine.begin() as conn:
            return list(await outbox.lease(conn, "settle", "machine", 64, 60.0, self.later()))

    async def settle(self) -> None:
        """Settles every waiting payout once."""
        messages = await self.messages()
        settlement = Settlement(self.settler.engine, self.rail)

        async def handle(message: Any) -> tuple[str, str]:
            try:
                return await settlement.settle(message)
            except (Postponed, LeaseLost, Died):
                raise
            except Exception as error:
                self.troubles.append(f"settle {message.key}: {type(error).__name__}: {error}")
                raise

        for message in messages:  # one by one, so that the bank's odd answers fall where they were drawn
            with contextlib.suppress(Died):
                await Sending("settle", self.settler.engine, self.tracker, handle, LIMITS).work(LeasedBatch([message]))
            if self.settler.dead:
                break

    async def reconcile(self) -> None:
        """Reconciles as the settle process does on its timer, ignoring payments of earlier runs."""
        with contextlib.suppress(Died):
            await reconcile.Reconciler(self.settler.engine, Since(self)).reconcile()

    async def odd(self, answers: Sequence[str]) -> None:
        """Sets the bank's answers to its next requests about single payouts."""
        (await self.bank.post("/odd", json={"answers": list(answers)})).raise_for_status()

    # What is looked at.

    async def payments(self) -> list[Paid]:
        """Returns the payments of this run by the bank's own book."""
        return [
            Paid(row["id"], row["reference"], Money(row["amount_minor"], row["currency"]), row["account"])
            for row in await self._bank_rows()
            if row["state"] == "paid"
        ]

    async def _bank_rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        after: int | None = self.bank_after
        while after is not None:
            page = (await self.bank.get("/payouts", params={"after": after})).raise_for_status().json()
            rows += page["payouts"]
            after = page["next"]
        return rows

    async def snapshot(self) -> Snapshot:
        return await snapshot(self.engine)

    async def claim_ids(self) -> frozenset[str]:
        async with self.engine.connect() as conn:
            return frozenset((await conn.execute(text("SELECT id FROM claims"))).scalars())

    async def touched_by_worker(self, claim_id: str) -> str:
        """Returns, for comparison, everything a worker may write about a claim except previews and the library."""
        queries = (
            "SELECT status, round FROM claims WHERE id = :id",
            "SELECT id, outcome FROM decisions WHERE claim_id = :id ORDER BY seq",
            "SELECT id, state FROM payouts WHERE claim_id = :id ORDER BY id",
            "SELECT id, state FROM referrals WHERE claim_id = :id ORDER BY id",
            "SELECT stage, round, finished_at FROM stage_results WHERE claim_id = :id ORDER BY stage, round",
            "SELECT action FROM audit WHERE subject = :id ORDER BY seq",
            "SELECT round, state, fence FROM jobs WHERE claim_id = :id ORDER BY round",
        )
        async with self.engine.connect() as conn:
            rows = [(await conn.execute(text(query), {"id": claim_id})).all() for query in queries]
        return repr(rows)

    async def books(self, payments: Sequence[Paid]) -> reconcile.Reconciliation:
        """Compares the books with the bank. payments: as `payments` returned them."""
        async with self.engine.connect() as conn, conn.begin():
            held = await reconcile._books(conn)
        return reconcile.compare(held, payments, frozenset(payout.id for payout in held.payouts))

    async def verify_audit(self) -> str:
        """Returns the fault of the audit chain, "" for none."""
        async with self.engine.connect() as conn:
            try:
                checked = await audit.check(conn)
            except ClaimsError as error:
                return str(error)
        return "" if checked.whole else f"contents are missing: {checked.missing}"

    async def inputs(self) -> list[tuple[str, bytes, bytes]]:
        """Returns (claim, inputs, decision) of every recorded decision."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(text("SELECT claim_id, inputs, decision FROM decisions"))
            return [(row.claim_id, bytes(row.inputs), bytes(row.decision)) for row in rows]


@dataclass(frozen=True, slots=True)
class Since:
    """The rail, listing only payments of this run."""

    house: House

    async def send(self, instruction: Instruction) -> Paid | Refused | Unclear:
        return await self.house.rail.send(instruction)

    async def ask(self, payout_id: str) -> Paid | Refused | NotKnown | Unclear:
        return await self.house.rail.ask(payout_id)

    async def payments(self) -> AsyncIterator[Paid]:
        for payment in await self.house.payments():
            yield payment


def policy_body(
    policy_id: str, claimant: str, name: str, product: str, *, starts_at: datetime, sum_minor: int, value_minor: int
) -> dict[str, Any]:
    """Returns the body of `POST /v1/policies`."""
    return {
        "id": policy_id,
        "number": f"N-{policy_id}",
        "product": product,
        "claimant": {"id": claimant, "name": name, "credit_attributes": dict(GOOD_STANDING)},
        "insured_name": name,
        "starts_at": starts_at.isoformat(),
        "ends_at": (starts_at + timedelta(days=365)).isoformat(),
        "currency": "CNY",
        "sum_insured_minor": sum_minor,
        "insured_value_minor": value_minor,
    }
