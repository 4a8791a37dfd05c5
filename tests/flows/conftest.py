"""Real sandbox servers in processes of their own, and claims with real files in a real store."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skimage.data
from PIL import Image
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.claim import Claim, EvidenceKind, Status
from claims.decision import Decision, Outcome
from claims.money import Money
from claims.policy import Policy
from claims.reasons import reason
from claims.store import adjudication, intake, queue, recording
from claims.store.blobs import BlobStore
from claims.store.intake import NewEvidence
from claims.store.tables import claims
from flows.config import LeaseLimits, PartnerConfig, ReferConfig, SettleConfig, StoreConfig, WorkerConfig
from flows.rails.registry import chosen
from models.ocr_build import default_target
from tests.forked import Forked
from tests.waiting import until
from tests.waiting import wait_until as wait_until_so
from vision.decode.image import sniff

ROOT = Path(__file__).resolve().parents[2]

# As in production, but impatient: a test that waits for a lease to run out waits two seconds.
LIMITS = LeaseLimits(
    lease_seconds=2, heartbeat_seconds=0.5, poll_seconds=0.05, backoff_seconds=0.1, shutdown_seconds=15
)


# Over http: certificates of authorities, which take 30 ms to load, are not asked for.
PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}


@dataclass
class Server:
    """A sandbox server that can be killed and restarted on the same port with the same state."""

    module: str
    folder: Path
    options: tuple[str, ...]
    secrets: dict[str, str]  # by environment variable
    port: int = 0
    process: Forked | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        ready = self.folder / "url"
        ready.unlink(missing_ok=True)
        state = self.folder / "state.sqlite3"
        arguments = ("--port", str(self.port), "--state", str(state), "--ready-file", str(ready), *self.options)
        process = self.process = Forked([self.module, *arguments], variables=self.secrets)

        def started() -> bool:
            assert process.poll() is None, f"{self.module} ended with {process.poll()}"
            return ready.exists()

        wait_until_so(started)
        self.port = int(ready.read_text().rsplit(":", 1)[1])

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def faults(self, **faults: object) -> None:
        httpx.post(f"{self.url}/faults", json=faults, **PLAIN).raise_for_status()

    def get(self, path: str) -> Any:
        headers = {"Authorization": "Bearer bank-token"}
        return httpx.get(f"{self.url}{path}", headers=headers, **PLAIN).raise_for_status().json()

    def tally(self) -> dict[str, dict[str, int]]:
        tally: dict[str, dict[str, int]] = self.get("/tally")
        return tally


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "bank"
    folder.mkdir()
    server = Server("fixtures.sandbox_bank", folder, (), {"SANDBOX_BANK_TOKEN": "bank-token"})
    server.start()
    yield server
    server.kill()


NOSE_KEYS = (b"a key for nose templates of tests",)
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four b").decode()


@pytest.fixture
def insurer(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "insurer"
    folder.mkdir()
    server = Server("fixtures.sandbox_insurer", folder, ("--name", "anshun"), {"SANDBOX_INSURER_SECRET": SECRET})
    server.start()
    yield server
    server.kill()


@dataclass
class World:
    """A store with claimants who have policies; `claim` files one with real evidence, ready for adjudication."""

    engine: AsyncEngine
    dsn: str
    blobs: BlobStore
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def policy(self, claimant: str, product: str = "fresh_food_rot", pet_id: str = "", **changes: Any) -> Policy:
        now = datetime.now(UTC)
        number = next(self.numbers)
        values: dict[str, Any] = {
            "id": f"pol_{number}",
            "number": f"P-{number:06}",
            "product": product,
            "claimant_id": claimant,
            "insured_name": "张伟",
            "pet_id": pet_id,
            "starts_at": now - timedelta(days=60),
            "ends_at": now + timedelta(days=300),
            "sum_insured": Money(500_000, "CNY"),
            "insured_value": Money(20_000, "CNY"),
        }
        policy = Policy(**(values | changes))
        async with self.engine.begin() as conn:
            await intake.upsert_claimant(conn, claimant, "张伟", {}, now)
            if pet_id:
                await intake.upsert_pet(conn, pet_id, claimant, "豆豆", "dog", now)
            await intake.upsert_policy(conn, policy, policy.starts_at)
        return policy

    async def claim(
        self, policy: Policy, files: dict[str, tuple[EvidenceKind, bytes]], minor: int = 3_000, **changes: Any
    ) -> str:
        """Creates a claim with its evidence and submits it; returns its id."""
        now = datetime.now(UTC)
        number = next(self.numbers)
        claim = Claim(
            **{
                "id": f"clm_{number}",
                "policy_id": policy.id,
                "claimant_id": policy.claimant_id,
                "product": policy.product,
                "peril": "rot",
                "amount": Money(minor, "CNY"),
                "occurred_at": now - timedelta(hours=5),
                "submitted_at": now,
                "description": "坏了",
                "payee_account": f"6222{policy.claimant_id}",
                "device_id": f"device-{policy.claimant_id}",
                "address": "",
                "merchant_id": "",
                "order_number": "",
            }
            | changes
        )
        async with self.engine.begin() as conn:
            await intake.create_claim(conn, claim, now, actor="test")
            for name, (kind, data) in files.items():
                sha256 = self.blobs.put(data)
                row = NewEvidence(f"ev_{number}_{name}", name, kind, sniff(data[:64]), len(data), sha256)
                await intake.add_evidence(conn, claim.id, claim.claimant_id, row, now)
            await intake.submit(conn, claim.id, claim.claimant_id, now, actor="test")
        return claim.id

    async def photo_claim(self, claimant: str, data: bytes, minor: int = 3_000) -> str:
        return await self.claim(await self.policy(claimant), {"damage.jpg": (EvidenceKind.PHOTO, data)}, minor)

    async def approve(self, claimant: str, minor: int = 3_000, account: str = "") -> tuple[str, str]:
        """Makes a claim that the rules approved; returns its id and its payout's."""
        changes = {"payee_account": account} if account else {}
        claim_id = await self.claim(await self.policy(claimant), {}, minor, **changes)
        pay = Decision(
            Outcome.PAY, Money(minor, "CNY"), (), (reason("within_auto_pay"),), "test", (), datetime.now(UTC), "rules"
        )
        return claim_id, (await self.decide(claim_id, pay)).payout_id

    async def refer(self, claimant: str, *codes: str) -> tuple[str, str]:
        """Makes a claim with one file that the rules referred; returns its id and its referral's."""
        files = {"损坏 1.jpg": (EvidenceKind.PHOTO, photo(0))}
        claim_id = await self.claim(await self.policy(claimant), files)
        reasons = tuple(reason(code, "李四", "张伟") for code in codes)
        refer = Decision(Outcome.REFER, Money(0, "CNY"), (), reasons, "test", (), datetime.now(UTC), "rules")
        return claim_id, (await self.decide(claim_id, refer)).referral_id

    async def decide(self, claim_id: str, decision: Decision) -> recording.DecisionRecorded:
        now = datetime.now(UTC)
        async with self.engine.begin() as conn:
            (lease,) = await queue.lease(conn, "test", 1, 30, now)
            assert lease.claim_id == claim_id
            file = await adjudication.load(conn, claim_id)
            return await recording.record_decision(
                conn, recording.NewDecision(lease, file, decision, b"{}", now, "test", partner="anshun")
            )

    def refer_config(self, insurer_url: str, secret: str = SECRET) -> ReferConfig:
        partner = PartnerConfig("anshun", f"{insurer_url}/webhooks", secret)
        store = StoreConfig(self.dsn, self.blobs.url)
        return ReferConfig("refer-1", store, {"anshun": partner}, "http://api.example", lease=LIMITS)

    async def status(self, claim_id: str) -> Status:
        async with self.engine.connect() as conn:
            return (await adjudication.load(conn, claim_id)).status

    async def statuses(self) -> dict[str, str]:
        async with self.engine.connect() as conn:
            return {row.id: row.status for row in await conn.execute(select(claims.c.id, claims.c.status))}

    def worker_config(self, name: str = "worker-1", **changes: Any) -> WorkerConfig:
        values: dict[str, Any] = {"lease": LIMITS, "ocr_models": default_target(), "nose_keys": NOSE_KEYS} | changes
        return WorkerConfig(name=name, store=StoreConfig(self.dsn, self.blobs.url), **values)

    def settle_config(self, bank_url: str) -> SettleConfig:
        rail = chosen("http", {"url": bank_url, "token": "bank-token", "reply_timeout_seconds": 1})
        return SettleConfig(name="settle-1", store=StoreConfig(self.dsn, self.blobs.url), rail=rail, lease=LIMITS)


@pytest.fixture
def world(engine: AsyncEngine, database_url: str, tmp_path: Path) -> World:
    return World(engine, database_url, BlobStore((tmp_path / "evidence").as_uri()))


# None that surely shows what is no fresh food: such a claim would be asked for another photo.
_PICTURES = ("coffee", "astronaut", "immunohistochemistry", "rocket", "retina")


def photo(number: int, quality: int = 90) -> bytes:
    """Returns a JPEG of a real photograph, another picture for each number."""
    pixels = np.asarray(getattr(skimage.data, _PICTURES[number % len(_PICTURES)])())
    shown = Image.fromarray(pixels)
    if number >= len(_PICTURES):
        # Another scene altogether: tiles of the photograph in an order of its own.
        rng = np.random.default_rng(number)
        tiles = [
            np.rot90(tile, rng.integers(4)) for row in np.split(_square(pixels), 4) for tile in np.split(row, 4, 1)
        ]
        order = rng.permutation(len(tiles))
        rows = [np.concatenate([tiles[i] for i in order[start : start + 4]], 1) for start in range(0, 16, 4)]
        shown = Image.fromarray(np.concatenate(rows))
    target = io.BytesIO()
    shown.save(target, "JPEG", quality=quality)
    return target.getvalue()


def _square(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    edge = min(pixels.shape[:2]) // 4 * 4
    return pixels[:edge, :edge]


@pytest.fixture
def photograph() -> Any:
    return photo


@asynccontextmanager
async def running(start: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs a process of the flows inside this one, stopped as SIGTERM stops it."""
    stop = asyncio.Event()
    task = asyncio.create_task(start(stop))
    try:
        yield task
    finally:
        stop.set()
        await task


@pytest.fixture
def wait_until() -> Any:
    return until


@pytest.fixture
def run_process() -> Any:
    return running


@pytest.fixture(scope="session")
def worker_limits() -> Callable[[str], WorkerConfig]:
    """Returns a factory of worker limits over an evidence store without a database, enough to load vision."""
    return lambda url: WorkerConfig(
        "worker", StoreConfig("postgresql+asyncpg://nowhere", url), default_target(), nose_keys=NOSE_KEYS
    )


@pytest.fixture
def closed_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
