"""The application over real HTTP, and the requests of tests."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from skimage import data
from sqlalchemy import text

from api.http import tokens
from api.serve import Server
from api.settings import Settings
from claims.catalogue import product_of
from claims.decision import Decision, Ground, Outcome, Reason
from claims.store import adjudication, queue, recording
from claims.store.engine import connect
from claims.wire import canonical

_keys = itertools.count(1)


@dataclass
class Api:
    """A running server and its clients."""

    url: str
    settings: Settings
    clients: list[httpx.Client] = field(default_factory=list)

    def token(self, role: str, subject: str, **options: Any) -> str:
        key = tokens.load_key(self.settings.token_key, self.settings.home)
        return tokens.issue(role, subject, key=key, now=datetime.now(UTC), **options)

    def as_(self, role: str, subject: str) -> httpx.Client:
        client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token(role, subject)}"},
            timeout=600,
            trust_env=False,
            verify=False,
        )
        self.clients.append(client)
        return client

    def anonymous(self) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=600, trust_env=False, verify=False)
        self.clients.append(client)
        return client

    def blobs(self) -> list[Path]:
        """Returns every file of the evidence store, drafts included."""
        root = Path(self.settings.evidence_url.removeprefix("file://"))
        return sorted(path for path in root.rglob("*") if path.is_file()) if root.exists() else []


class running:
    """A context manager: the application of `settings` on a free port, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> Api:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.server = Server(self.settings)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        self.api = Api(f"http://127.0.0.1:{self.socket.getsockname()[1]}", self.settings)
        return self.api

    def __exit__(self, *_: object) -> None:
        for client in self.api.clients:
            client.close()
        self.server.should_exit = True
        self.thread.join(10)
        self.socket.close()


def key() -> dict[str, str]:
    """A fresh Idempotency-Key header."""
    return {"Idempotency-Key": f"key-{next(_keys)}"}


@cache
def jpeg(seed: int = 0, width_px: int = 320) -> bytes:
    """Returns a real photograph (scikit-image's cat), a different crop for every seed."""
    picture = Image.fromarray(data.chelsea())
    cut = picture.crop((seed % 90, seed % 50, 330 + seed % 90, 240 + seed % 50)).resize((width_px, width_px * 3 // 4))
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=80)
    return out.getvalue()


def policy(policy_id: str = "pol-1", claimant_id: str = "clm-a", **changed: Any) -> dict[str, Any]:
    terms = {
        "id": policy_id,
        "number": f"NO-{policy_id}",
        "product": "fresh_food_rot",
        "claimant": {"id": claimant_id, "name": "李晓雯", "credit_attributes": {"duration_months": 12}},
        "insured_name": "李晓雯",
        "starts_at": (datetime.now(UTC) - timedelta(days=100)).isoformat(),
        "ends_at": (datetime.now(UTC) + timedelta(days=200)).isoformat(),
        "currency": "CNY",
        "sum_insured_minor": 500_000,
        "insured_value_minor": 5_980,
    }
    return terms | changed


def statement(policy_id: str = "pol-1", **changed: Any) -> dict[str, Any]:
    """Returns the JSON of a claim."""
    claim = {
        "policy_id": policy_id,
        "product": "fresh_food_rot",
        "peril": "rot",
        "amount_minor": 5_980,
        "currency": "CNY",
        "occurred_at": (datetime.now(UTC) - timedelta(hours=5)).isoformat(),
        "description": "到货时半箱草莓已经发霉。",
        "payee_account": "6222020200112233",
        "device_id": "ios-3f9a",
        "merchant_id": "m-fresh-204",
        "order_number": "2026111900417",
    }
    return {name: value for name, value in (claim | changed).items() if value is not None}


def parts(claim: dict[str, Any] | None, *photos: bytes, part: str = "photo") -> list[tuple[str, Any]]:
    """Returns the `files` of a multipart request: the JSON part and the photos."""
    first = [("claim", (None, json.dumps(claim), "application/json"))] if claim is not None else []
    return [*first, *((part, (f"photo-{number}.jpg", data, "image/jpeg")) for number, data in enumerate(photos, 1))]


def register(api: Api, **changed: Any) -> dict[str, Any]:
    """Registers a policy in the store, as the platform did when its cover began."""
    answer = api.as_("platform", "shop").post("/v1/policies", json=policy(**changed), headers=key())
    assert answer.status_code == 201, answer.text
    registered: dict[str, Any] = answer.json()
    asyncio.run(_recorded_when_begun(api.settings.database_url, registered["id"]))
    return registered


async def _recorded_when_begun(dsn: str, policy_id: str) -> None:
    engine = connect(dsn)
    try:
        async with engine.begin() as conn:
            query = text("UPDATE policies SET created_at = starts_at WHERE id = :id")
            await conn.execute(query, {"id": policy_id})
    finally:
        await engine.dispose()


def submit(api: Api, claimant_id: str = "clm-a", *photos: bytes, **changed: Any) -> dict[str, Any]:
    """Submits a claim of that claimant, by default for an order of its own."""
    changed = {"order_number": secrets.token_hex(8)} | changed
    files = parts(statement(**changed), *(photos or (jpeg(),)))
    answer = api.as_("claimant", claimant_id).post("/v1/claims", files=files, headers=key())
    assert answer.status_code == 202, answer.text
    claim: dict[str, Any] = answer.json()
    return claim


def decide(api: Api, claim_id: str, outcome: Outcome, *reasons: Reason, payout_minor: int = 0) -> None:
    """Records a decision on a submitted claim under its lease, as a worker does."""
    asyncio.run(_decide(api.settings.database_url, claim_id, outcome, reasons, payout_minor))


async def _decide(dsn: str, claim_id: str, outcome: Outcome, reasons: tuple[Reason, ...], payout_minor: int) -> None:
    engine, now = connect(dsn), datetime.now(UTC)
    product = product_of("fresh_food_rot")
    try:
        async with engine.begin() as conn:
            leases = await queue.lease(conn, "test", 10, 30.0, now)
        lease = next(lease for lease in leases if lease.claim_id == claim_id)
        async with engine.begin() as conn:
            file = await adjudication.load(conn, claim_id)
            facts = {"photos": [{"matches": [{"photo_id": "p-1", "preview_sha256": ""}]}]}
            decision = Decision(outcome, product.money(payout_minor), (), reasons, "1.0", ("photo@abc",), now, "rules")
            await recording.record_decision(
                conn,
                recording.NewDecision(
                    lease, file, decision, canonical({"facts": facts}), now, "flow:adjudicate", partner=product.partner
                ),
            )
    finally:
        await engine.dispose()


def rows(api: Api, query: str) -> list[tuple[Any, ...]]:
    """Returns the rows of a query on the store."""

    async def ask() -> list[tuple[Any, ...]]:
        engine = connect(api.settings.database_url)
        async with engine.connect() as conn:
            result = [tuple(row) for row in await conn.execute(text(query))]
        await engine.dispose()
        return result

    return asyncio.run(ask())


SUSPICION = Reason(
    "photo_of_another_claim", Ground.SUSPICION, Outcome.REFER, "0.99", "<= 0.50", "E-1", detail="claim C20260101-aa"
)
