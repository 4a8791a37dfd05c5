"""Measures what showing runs in Prefect costs: `miaopei bench flows`.

Claims with four 12 Mpx photos, put into the store directly and adjudicated in this process, in batches of 1 and of 64,
once with a real Prefect server that is shown every run and once without. prefect_share: the part of the time under load
that is gone with Prefect. idle_p95_growth: how much longer a claim that has the machine to itself takes, at the 95th
percentile, 0.1 for a tenth. server_cpu_ms_per_claim: CPU of Prefect's server (without its PostgreSQL, and without what
it spends when nobody asks) for a claim of a batch of one, and client_cpu_ms_per_claim what this process spends on
telling it; both on claims without photos. seconds_to_crashed: from the kill of a process to its run being Crashed.
seconds_to_hold: from a click in Prefect to nothing new being begun. rows_after_10000_claims: rows that retention leaves
of so many claims, a run each, without the events, which the server deletes by age (scaled from fewer runs).

The photos are made as for `miaopei bench throughput`; claimants and policies are invented.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy.ext.asyncio import AsyncEngine

from api.databases import upgrade
from api.postgres import Postgres
from api.processes import prefect_config, worker_config
from api.settings import Settings
from api.stack import open_prefect
from benchmarks.flows_brakes import seconds_to_hold
from benchmarks.flows_crash import seconds_to_crashed
from benchmarks.flows_rows import rows_after
from benchmarks.report import figures_table, machine
from benchmarks.throughput import ARCHIVE, PHOTOS_PER_CLAIM, made_photos
from claims.claim import Claim, EvidenceKind
from claims.credit import Scorecard
from claims.money import Money
from claims.policy import Policy
from claims.store import intake
from claims.store.blobs import BlobStore
from claims.store.engine import connect
from claims.store.intake import NewEvidence
from flows.adjudicate import Adjudication
from flows.config import LeaseLimits, PrefectConfig, StoreConfig
from flows.drain import LeasedBatch
from flows.prefect_api import open_api
from flows.queues import ClaimQueue
from flows.stage_context import StageContext
from flows.tracking import tracking
from flows.vision_pool import VisionPool, vision_pool
from models.registry import weights_path

BATCHES = (1, 64)
LOAD_CLAIMS, LOAD_CLAIMS_QUICK = 64, 4
IDLE_CLAIMS, IDLE_CLAIMS_QUICK = 20, 3
LIGHT_CLAIMS, LIGHT_CLAIMS_QUICK = 128, 16
ROWS_RUNS, ROWS_RUNS_QUICK = 300, 20  # shown to see what 10,000 leave
CLAIMS_AT_ONCE = 8
TEMPLATE = "flows_migrated"


@dataclass(slots=True)
class _Shop:
    """A database server, a store of files, loaded vision and Prefect's server."""

    server: Postgres
    folder: Path
    vision: VisionPool
    prefect: PrefectConfig
    prefect_process: psutil.Process
    photos: Sequence[Path]
    idle_cpu_share: float = 0.0  # of Prefect's server when nobody asks
    databases: int = 0
    taken: int = 0

    def database(self) -> str:
        """Returns the DSN of a fresh database."""
        self.databases += 1
        name = f"flows_{self.databases}"
        self.server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self.server.dsn(name)

    def busy_cpu_seconds(self) -> float:
        """Returns the CPU seconds of Prefect's server so far, without what it spends anyway."""
        return self._cpu_seconds() - self.idle_cpu_share * time.monotonic()

    def rest(self) -> None:
        """Measure what Prefect's server spends when nobody asks."""
        time.sleep(10.0)  # it has just started
        began, spent = time.monotonic(), self._cpu_seconds()
        time.sleep(10.0)
        self.idle_cpu_share = (self._cpu_seconds() - spent) / (time.monotonic() - began)

    def _cpu_seconds(self) -> float:
        processes = [self.prefect_process, *self.prefect_process.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)


@dataclass(slots=True)
class _Measured:
    seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    task_runs: int = 0


def run(*, quick: bool = False) -> dict[str, Any]:
    """Returns the figures. Raises FileNotFoundError without the archive of photos (MIAOPEI_BENCH_PHOTOS names
    another)."""
    if not ARCHIVE.exists():
        raise FileNotFoundError(f"{ARCHIVE}: set MIAOPEI_BENCH_PHOTOS to a tar of photos")
    load = LOAD_CLAIMS_QUICK if quick else LOAD_CLAIMS
    idle = IDLE_CLAIMS_QUICK if quick else IDLE_CLAIMS
    light = LIGHT_CLAIMS_QUICK if quick else LIGHT_CLAIMS
    folder = Path(tempfile.mkdtemp(prefix="miaopei-flows-"))
    try:
        photos = made_photos(folder / "photos", max(load, 2 * idle) * PHOTOS_PER_CLAIM)
        with _open(folder, photos) as shop:
            figures = asyncio.run(_figures(shop, load, idle, light))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    left = rows_after(10_000, runs=ROWS_RUNS_QUICK if quick else ROWS_RUNS)
    return {
        **figures,
        "seconds_to_crashed": round(seconds_to_crashed(), 1),
        **seconds_to_hold(),
        "rows_after_10000_claims": left["rows_after_without_events"],
        "rows_of_10000_claims": left["rows"],
        "prefect_megabytes_of_10000_claims": round(left["bytes"] / 1e6),
        "prefect_rows": left,
    }


def show(result: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    figures_table(result["machine"], {name: value for name, value in result.items() if name != "machine"})


async def _figures(shop: _Shop, load: int, idle: int, light: int) -> dict[str, Any]:
    share: dict[str, float] = {}
    task_runs: dict[str, float] = {}
    server: dict[str, float] = {}
    client: dict[str, float] = {}
    for batch in BATCHES:
        plain = await _play(shop, light, batch, shown=False, photos=0)
        shown = await _play(shop, light, batch, shown=True, photos=0)
        task_runs[str(batch)] = round(shown.task_runs / light, 2)
        server[str(batch)] = round(1e3 * shown.server_cpu_seconds / light, 1)
        client[str(batch)] = round(1e3 * (shown.client_cpu_seconds - plain.client_cpu_seconds) / light, 1)
        # Half of each, twice, in the other order: a machine that others use changes meanwhile.
        first = [await _play(shop, load // 2, batch, shown=shown_, photos=PHOTOS_PER_CLAIM) for shown_ in (False, True)]
        later = [await _play(shop, load // 2, batch, shown=shown_, photos=PHOTOS_PER_CLAIM) for shown_ in (True, False)]
        plain_seconds = first[0].seconds + later[1].seconds
        share[str(batch)] = round(1 - plain_seconds / (first[1].seconds + later[0].seconds), 3)
    alone = {
        shown_: await _play(shop, idle, 1, shown=shown_, photos=PHOTOS_PER_CLAIM, pause_seconds=0.5)
        for shown_ in (False, True)
    }
    p95 = {shown_: statistics.quantiles(alone[shown_].each, n=20, method="inclusive")[-1] for shown_ in alone}
    return {
        "task_runs_per_claim": task_runs,
        "prefect_share": share,
        "idle_p95_growth": round(p95[True] / p95[False] - 1, 3),
        "server_cpu_ms_per_claim": server["1"],
        "server_cpu_ms_per_claim_by_batch": server,
        "client_cpu_ms_per_claim": client,
        "idle_p95_s": {"plain": round(p95[False], 3), "shown": round(p95[True], 3)},
        "load_claims": load,
        "idle_claims": idle,
        "light_claims": light,
        "machine": machine(),
    }


async def _play(
    shop: _Shop, count: int, batch: int, *, shown: bool, photos: int, pause_seconds: float = 0.0
) -> _Measured:
    """Adjudicate `count` claims that are due from the start, in batches of `batch`, in a database of their own."""
    engine = connect(shop.database(), pool_size=10)
    measured = _Measured()
    try:
        await _fill(shop, engine, count, photos)
        scorecard = Scorecard.from_json(weights_path("credit_scorecard").read_bytes())
        config = shop.prefect if shown else PrefectConfig()
        before = await _task_runs(config)
        async with tracking(config) as tracker:
            await tracker.warm()
            context = StageContext(engine, shop.vision, scorecard)
            work = Adjudication(context, tracker, LeaseLimits(), CLAIMS_AT_ONCE)
            queue = ClaimQueue(engine, "bench", 600.0)
            server, client, began = shop.busy_cpu_seconds(), time.process_time(), time.perf_counter()
            while leases := await queue.lease(batch):
                each = time.perf_counter()
                await work.work(LeasedBatch(leases))
                measured.each.append(time.perf_counter() - each)
                if pause_seconds:
                    await asyncio.sleep(pause_seconds)
            measured.seconds = time.perf_counter() - began
            await tracker.close()
        measured.client_cpu_seconds = time.process_time() - client
        if shown:
            measured.task_runs = await _settled(config) - before
            measured.server_cpu_seconds = shop.busy_cpu_seconds() - server
    finally:
        await engine.dispose()
    return measured


async def _task_runs(config: PrefectConfig) -> int:
    if not config.api_url:
        return 0
    async with open_api(config, 60.0) as client:
        return int((await client.post("/task_runs/count", json={})).json())


async def _settled(config: PrefectConfig) -> int:
    """Returns the number of task runs once the server has written all that it was told."""
    count, same = await _task_runs(config), 0
    while same < 3:
        await asyncio.sleep(2.0)  # its writers wait up to 5 s for more to write
        now = await _task_runs(config)
        count, same = now, same + 1 if now == count else 0
    return count


async def _fill(shop: _Shop, engine: AsyncEngine, count: int, photos: int) -> None:
    blobs, now = BlobStore((shop.folder / "evidence").as_uri()), datetime.now(UTC)
    for number in range(count):
        shop.taken += 1
        who = f"claimant-{shop.taken}"
        policy = Policy(
            id=f"pol-{shop.taken}", number=f"P-{shop.taken:06}", product="fresh_food_rot", claimant_id=who,
            insured_name="bench", pet_id="", starts_at=now - timedelta(days=60), ends_at=now + timedelta(days=300),
            sum_insured=Money(500_000, "CNY"), insured_value=Money(20_000, "CNY"),
        )  # fmt: skip
        claim = Claim(
            id=f"C-{shop.taken}", policy_id=policy.id, claimant_id=who, product=policy.product, peril="rot",
            amount=Money(3_000, "CNY"), occurred_at=now - timedelta(hours=5), submitted_at=now, description="",
            payee_account=f"6222{shop.taken}", device_id=f"device-{shop.taken}", address="",
            merchant_id=f"shop-{shop.taken}", order_number="",
        )  # fmt: skip
        async with engine.begin() as conn:
            await intake.upsert_claimant(conn, who, "bench", {}, now)
            await intake.upsert_policy(conn, policy, policy.starts_at)
            await intake.create_claim(conn, claim, now, actor="bench")
            for place in range(photos):
                data = shop.photos[(number * photos + place) % len(shop.photos)].read_bytes()
                sha256 = blobs.put(data)
                file = NewEvidence(
                    f"E-{shop.taken}-{place}", f"{place}.jpg", EvidenceKind.PHOTO, "image/jpeg", len(data), sha256
                )
                await intake.add_evidence(conn, claim.id, who, file, now)
            await intake.submit(conn, claim.id, who, now, actor="bench")


@contextmanager
def _open(folder: Path, photos: Sequence[Path]) -> Iterator[_Shop]:
    with Postgres(folder / "postgres") as server:
        dsn = server.ensure_database(TEMPLATE)
        upgrade(dsn)
        settings = Settings(home=folder / "home", database_url=server.dsn("postgres"), prefect_api_url="")
        config = replace(worker_config(settings), store=StoreConfig("", (folder / "evidence").as_uri()))
        with open_prefect(settings, server.dsn("postgres")) as opened, vision_pool(config) as vision:
            vision.warm_photos()
            shop = _Shop(server, folder, vision, prefect_config(opened), _server_process(), photos)
            shop.rest()
            yield shop


def _server_process() -> psutil.Process:
    """Returns the process of the Prefect server that this process started."""
    for child in psutil.Process().children(recursive=True):
        if {"api.prefect_command", "server"} <= set(child.cmdline()):
            return child
    raise ProcessLookupError("Prefect's server is not among the children of this process")
