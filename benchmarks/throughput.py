"""Measures claims of four 12 Mpx photos through the whole stack on this machine: `miaopei bench throughput`.

Idle: one claim at a time, from the 202 to the decision. Sustained: many claims at once, through real HTTP, from the
first request to the last decision. The same load once with Prefect tracking every batch and once with the worker
calling the same functions plainly; the difference is Prefect's share. Peak memory: PSS of every process of the stack
(shared pages counted once), sampled; on a kernel without PSS, RSS.

The photos' subjects are real (Caltech 101); their size and fine detail are synthetic (fixtures.phone_photos). Claimants
and policies are invented.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from api.client import ApiClient, FileToSend
from api.http.tokens import Role
from api.sandbox import Sandbox
from api.settings import Settings
from benchmarks.report import machine
from fixtures import demo_world
from fixtures.phone_photos import distinct_sources, phone_photo
from vision.lifetime import end_with_parent

PHOTOS_PER_CLAIM = 4
IDLE_CLAIMS, IDLE_CLAIMS_QUICK = 20, 3
LOAD_CLAIMS, LOAD_CLAIMS_QUICK = 120, 8
SENDERS = 8  # claims in upload at the same time
SAMPLE_SECONDS = 2.0  # reading the shared pages of two dozen processes is work, too
CLAIM_SECONDS_MAX = 600.0
SEED = 20261122
ARCHIVE = Path(os.environ.get("MIAOPEI_BENCH_PHOTOS", "../shared/data/photos-caltech101.tar"))


@dataclass(slots=True)
class PeakMemory:
    """Peak of the summed memory of this process's children, sampled by a thread while the context lasts."""

    peak_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> PeakMemory:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(SAMPLE_SECONDS):
            total = 0
            for child in me.children(recursive=True):
                try:
                    full = child.memory_full_info()
                    total += getattr(full, "pss", full.rss)
                except psutil.Error:
                    continue
            self.peak_bytes = max(self.peak_bytes, total)


def run(*, quick: bool = False) -> dict[str, Any]:
    """Returns the figures. Raises FileNotFoundError without the archive of photos (MIAOPEI_BENCH_PHOTOS names
    another).
    """
    if not ARCHIVE.exists():
        raise FileNotFoundError(f"{ARCHIVE}: set MIAOPEI_BENCH_PHOTOS to a tar of photos")
    idle, load = (IDLE_CLAIMS_QUICK, LOAD_CLAIMS_QUICK) if quick else (IDLE_CLAIMS, LOAD_CLAIMS)
    folder = Path(tempfile.mkdtemp(prefix="miaopei-throughput-"))
    try:
        photos = made_photos(folder / "photos", (idle + load) * PHOTOS_PER_CLAIM)
        bytes_per_claim = sum(path.stat().st_size for path in photos) * PHOTOS_PER_CLAIM / len(photos)
        with PeakMemory() as memory:
            tracked = _measure(folder / "tracked", photos, idle, load, prefect=True)
        plain = _measure(folder / "plain", photos, 0, load, prefect=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    idle_seconds = sorted(tracked.idle_seconds)
    return {
        "claims_per_minute": round(60 * load / tracked.load_seconds, 1),
        "claims_per_minute_plain": round(60 * load / plain.load_seconds, 1),
        "idle_p50_s": round(statistics.median(idle_seconds), 2),
        "idle_p95_s": round(statistics.quantiles(idle_seconds, n=20, method="inclusive")[-1], 2),
        "prefect_share": round(1 - plain.load_seconds / tracked.load_seconds, 3),
        "peak_memory_mib": round(memory.peak_bytes / 2**20),
        "outcomes": tracked.outcomes,
        "outcomes_plain": plain.outcomes,
        "idle_claims": idle,
        "load_claims": load,
        "photos_per_claim": PHOTOS_PER_CLAIM,
        "megabytes_per_claim": round(bytes_per_claim / 1e6, 1),
        "senders": SENDERS,
        "machine": machine(),
        "data": f"{len(photos)} photos of 12 Mpx made from {ARCHIVE.name}; detail, claimants and policies synthetic",
    }


def show(result: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    table = Table("figure", "value", "aim", title=f"{result['data']}; {result['machine']}")
    aims = {
        "claims_per_minute": ">= 100",
        "idle_p95_s": "<= 3",
        "prefect_share": "<= 0.20",
        "peak_memory_mib": "<= 4096",
    }
    for name, value in result.items():
        if name not in ("data", "machine"):
            table.add_row(name, str(value), aims.get(name, ""))
    Console().print(table)


@dataclass(frozen=True, slots=True)
class _Measured:
    idle_seconds: list[float]
    load_seconds: float
    outcomes: dict[str, int]


def made_photos(folder: Path, count: int) -> list[Path]:
    """Returns the files of so many photos as a phone takes them, each of another subject, made in this folder."""
    folder.mkdir(parents=True)
    sources = distinct_sources(ARCHIVE, count, SEED)
    paths = [folder / f"{index:04d}.jpg" for index in range(count)]
    with ProcessPoolExecutor(initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        made = pool.map(phone_photo, (data for _, data in sources), range(SEED, SEED + count), chunksize=4)
        for path, data in track(
            zip(paths, made, strict=True), "making photos", total=count, console=Console(stderr=True)
        ):
            path.write_bytes(data)
    os.sync()  # a gigabyte on its way to the disk would slow every fsync that is measured
    return paths


def _measure(home: Path, photos: Sequence[Path], idle: int, load: int, *, prefect: bool) -> _Measured:
    with Sandbox(Settings(), home, prefect=prefect) as sandbox:
        return asyncio.run(_play(sandbox, photos, idle, load))


async def _play(sandbox: Sandbox, photos: Sequence[Path], idle: int, load: int) -> _Measured:
    now = datetime.now(UTC)
    policies = [
        demo_world.DemoPolicy(f"pol-{number}", "fresh_food_rot", f"claimant-{number}", f"claimant {number}")
        for number in range(idle + load)
    ]
    async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "bench")) as platform_client:
        for policy in policies:
            await platform_client.post("/v1/policies", demo_world.policy_body(policy, now))
    await sandbox.age_policies()
    groups = [photos[start : start + PHOTOS_PER_CLAIM] for start in range(0, len(photos), PHOTOS_PER_CLAIM)]
    work = list(zip(policies, groups, strict=False))
    idle_seconds = [await _idle(sandbox, policy, group, now) for policy, group in work[:idle]]
    gate = asyncio.Semaphore(SENDERS)
    started = time.monotonic()
    async with ApiClient(sandbox.api_url, sandbox.token(Role.OPERATOR, "bench")) as operator:
        sent = asyncio.gather(*(_send(sandbox, policy, group, now, gate) for policy, group in work[idle:]))
        figures = await _all_decided(operator, idle + load)
        load_seconds = time.monotonic() - started
        await sent
    return _Measured(idle_seconds, load_seconds, dict(figures["decisions_by_outcome"]))


async def _all_decided(operator: ApiClient, count: int) -> dict[str, Any]:
    """Returns the operator's figures as soon as `count` claims are decided. Polls the figures, not each claim, so that
    polling a hundred claims is not the load that is measured."""
    deadline = time.monotonic() + CLAIM_SECONDS_MAX
    while time.monotonic() < deadline:
        figures: dict[str, Any] = await operator.get("/v1/operations")
        if sum(figures["decisions_by_outcome"].values()) >= count:
            return figures
        await asyncio.sleep(0.25)
    raise TimeoutError(f"{count} claims were not decided within {CLAIM_SECONDS_MAX:.0f} s")


async def _send(
    sandbox: Sandbox, policy: demo_world.DemoPolicy, group: Sequence[Path], now: datetime, gate: asyncio.Semaphore
) -> str:
    claim = demo_world.DemoClaim("measured", policy.id, "rot", 5_000, (), frozenset())
    body = demo_world.claim_body(claim, policy, now) | {"merchant_id": f"shop-{policy.id}"}
    async with gate, ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
        uploads = [FileToSend("photo", path.name, path.read_bytes()) for path in group]
        return await claimant.submit_claim(body, uploads)


async def _idle(sandbox: Sandbox, policy: demo_world.DemoPolicy, group: Sequence[Path], now: datetime) -> float:
    """Returns the seconds from the 202 to the decision of a claim that has the machine to itself."""
    claim_id = await _send(sandbox, policy, group, now, asyncio.Semaphore(1))
    sent = time.monotonic()
    async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
        await claimant.wait_while(
            claim_id, frozenset({"submitted"}), timeout_seconds=CLAIM_SECONDS_MAX, poll_seconds=0.02
        )
    return time.monotonic() - sent
