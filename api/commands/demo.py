"""`miaopei demo`: the whole stack on this machine, claims with known outcomes over HTTP, a table, an exit code."""

from __future__ import annotations

import asyncio
import signal
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.client import ApiClient, FileToSend
from api.commands.opening import print_json
from api.http.tokens import Role
from api.postgres import Postgres
from api.sandbox import Sandbox
from api.settings import Settings
from claims.currencies import digits
from fixtures import demo_world
from fixtures.demo_world import DemoClaim, File, World

ENROL_SECONDS_MAX = 600.0  # ends a demo whose claims are never decided; long enough for a busy machine
CLAIM_SECONDS_MAX = 600.0
OPEN = frozenset({"submitted", "approved"})  # statuses that a claim leaves by itself
ADJUSTER = "zhang-li"
WIDE_COLUMNS = 240
CURRENCY = "CNY"  # of every product of the demonstration


@dataclass(frozen=True, slots=True)
class Told:
    """The result of one claim. `seconds`: from the 202 to the first decision. `problem` is "" when all is as
    expected."""

    claim: DemoClaim
    id: str
    product: str
    status: str
    paid_minor: int
    seconds: float
    first_reason: str
    flow_run_id: str
    problem: str


def run(base: Settings, *, keep: bool, as_json: bool) -> int:
    """Run the demo. Returns 0 if every outcome is as expected and every payout left exactly once, else another exit
    code."""
    out, err = _wide(), Console(stderr=True)
    home = base.home / "demo"
    Postgres(home).discard()
    now = datetime.now(UTC)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        rendering = progress.add_task("rendering papers, noses and photos", total=1)
        world = demo_world.build(now)
        progress.advance(rendering)
        starting = progress.add_task("starting PostgreSQL, Prefect, API, worker, bank, insurers", total=1)
        sandbox = Sandbox(base, home)
        with sandbox:
            progress.advance(starting)
            deciding = progress.add_task("claims decided", total=len(world.claims))
            told = asyncio.run(_play(sandbox, world, now, lambda: progress.advance(deciding)))
            books = asyncio.run(_reconcile(sandbox))
            progress.stop()
            _report(out, sandbox, told, books, as_json)
            failed = [claim for claim in told if claim.problem] or books
            if keep:
                _wait(out, sandbox)
    return 1 if failed else 0


async def _play(sandbox: Sandbox, world: World, now: datetime, advance: Any) -> list[Told]:
    await _seed(sandbox, world, now)
    told: list[Told] = []
    for wave in sorted({claim.wave for claim in world.claims}):
        batch = [claim for claim in world.claims if claim.wave == wave]
        results = await asyncio.gather(*(_follow(sandbox, world, claim, now, advance) for claim in batch))
        told += results
    order = {claim.title: place for place, claim in enumerate(world.claims)}
    told.sort(key=lambda result: order[result.claim.title])
    return _never_both(told)


async def _seed(sandbox: Sandbox, world: World, now: datetime) -> None:
    """Register policies, pets and enrolment as the platform does, and import the web library as an operator does."""
    from api.commands.importing import import_folder

    folder = sandbox.home / "web-photos"
    folder.mkdir()
    for name, data in world.web_photos.items():
        (folder / name).write_bytes(data)
    assert sandbox.stack is not None
    await import_folder(sandbox.stack.settings.database_url, sandbox.settings, [folder], source="web")
    async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "demo-shop")) as platform:
        for policy in world.policies:
            if policy.pet_id:
                await platform.post("/v1/pets", demo_world.pet_body(policy))
                await platform.upload(f"/v1/pets/{policy.pet_id}/noses", _uploads(world.pet_noses[policy.pet_id]))
            await platform.post("/v1/policies", demo_world.policy_body(policy, now))
        await sandbox.age_policies()
        for pet_id in {policy.pet_id for policy in world.policies if policy.pet_id}:
            await _enrolled(platform, pet_id)


async def _enrolled(platform: ApiClient, pet_id: str) -> None:
    deadline = asyncio.get_running_loop().time() + ENROL_SECONDS_MAX
    while asyncio.get_running_loop().time() < deadline:
        state = (await platform.get(f"/v1/pets/{pet_id}"))["enrolment"]
        if state["state"] == "enrolled":
            return
        if state["state"] == "refused":
            raise RuntimeError(f"the enrolment of {pet_id} was refused: {state['problem']}")
        await asyncio.sleep(0.2)
    raise TimeoutError(f"the enrolment of {pet_id} took more than {ENROL_SECONDS_MAX:.0f} s")


async def _follow(sandbox: Sandbox, world: World, claim: DemoClaim, now: datetime, advance: Any) -> Told:
    policy = next(policy for policy in world.policies if policy.id == claim.policy)
    async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
        body = demo_world.claim_body(claim, policy, now)
        claim_id = await claimant.submit_claim(body, _uploads(claim.files))
        sent = asyncio.get_running_loop().time()
        view = await claimant.wait_while(claim_id, frozenset({"submitted"}), timeout_seconds=CLAIM_SECONDS_MAX)
        seconds = asyncio.get_running_loop().time() - sent
        first_reason = _first_reason(view)
        if claim.supply and view["status"] == "awaiting_information":
            await claimant.upload(f"/v1/claims/{claim_id}/evidence", _uploads(claim.supply))
        if claim.appeal and view["status"] == "declined":
            await claimant.post(f"/v1/claims/{claim_id}/appeal", {"note": claim.appeal})
            await _review(sandbox, claim_id, claim)
        view = await claimant.wait_while(claim_id, OPEN, timeout_seconds=CLAIM_SECONDS_MAX)
    async with ApiClient(sandbox.api_url, sandbox.token(Role.ADJUSTER, ADJUSTER)) as adjuster:
        view = await adjuster.claim(claim_id)
    advance()
    paid = sum(payout["amount_minor"] for payout in view["payouts"] if payout["state"] == "paid")
    return Told(
        claim, claim_id, view["product"], view["status"], paid, seconds, first_reason, view["flow_run_id"],
        _problem(claim, view["status"], paid, first_reason),
    )  # fmt: skip


async def _review(sandbox: Sandbox, claim_id: str, claim: DemoClaim) -> None:
    """Find the appeal in the adjuster's queue and decide it there."""
    async with ApiClient(sandbox.api_url, sandbox.token(Role.ADJUSTER, ADJUSTER)) as adjuster:
        queue = await adjuster.get("/v1/queue")
        if claim_id not in {case["claim_id"] for case in queue["cases"]}:
            raise RuntimeError(f"the appeal of {claim_id} did not reach the queue")
        verdict = {
            "verdict": "approve",
            "amount_minor": claim.review_minor,
            "currency": CURRENCY,
            "note": "物流记录属实。",
        }
        await adjuster.post(f"/v1/claims/{claim_id}/review", verdict)


def _problem(claim: DemoClaim, status: str, paid_minor: int, first_reason: str) -> str:
    if status not in claim.expected:
        return f"expected {' or '.join(sorted(claim.expected))}"
    if claim.reason and first_reason != claim.reason:
        return f"expected reason {claim.reason}"
    if claim.paid_minor and paid_minor != claim.paid_minor:
        return f"expected {digits(claim.paid_minor, CURRENCY)}"
    return ""


def _never_both(told: list[Told]) -> list[Told]:
    """Mark claims that sent one photo in the same second where more than one was paid."""
    twins = [result for result in told if "one second" in result.claim.title and result.status == "paid"]
    if len(twins) < 2:
        return told
    return [replace(result, problem="both were paid") if result in twins else result for result in told]


async def _reconcile(sandbox: Sandbox) -> list[str]:
    """Returns the differences between the bank's book and ours, payout by payout; empty when each left exactly once."""
    from api.processes import settle_config
    from flows.reconcile import reconcile

    assert sandbox.stack is not None
    report = await reconcile(settle_config(sandbox.stack.settings))
    return [str(difference) for difference in report.differences]


def _report(out: Console, sandbox: Sandbox, told: list[Told], books: list[str], as_json: bool) -> None:
    urls = sandbox.stack.urls() if sandbox.stack is not None else {}
    prefect = urls.get("Prefect", "")
    if as_json:
        for result in told:
            print_json({"claim": result.id, "title": result.claim.title, "product": result.product,
                        "expected": sorted(result.claim.expected),
                        "outcome": result.status, "paid_minor": result.paid_minor, "seconds": round(result.seconds, 2),
                        "first_reason": result.first_reason, "problem": result.problem,
                        "flow_run": _link(prefect, result)})  # fmt: skip
        print_json(
            {"claims": len(told), "problems": sum(bool(result.problem) for result in told), "differences": books}
        )
        return
    wide = out.width >= WIDE_COLUMNS
    table = Table("claim", "product", "expected", "outcome", "amount", "seconds", "first reason", "flow run")
    for result in told:
        if not result.claim.listed and not result.problem:
            continue
        colour = "red" if result.problem else "green"
        outcome = f"[{colour}]{result.status}[/{colour}]" + (f" ({result.problem})" if result.problem else "")
        link = _link(prefect, result)
        table.add_row(
            result.claim.title, result.product, " or ".join(sorted(result.claim.expected)), outcome,
            digits(result.paid_minor, CURRENCY), f"{result.seconds:.1f}", result.first_reason,
            f"[link={link}]{link if wide else result.flow_run_id[:8]}[/link]" if link else "-",
        )  # fmt: skip
    out.print(table)
    wrong = sum(bool(result.problem) for result in told)
    out.print(f"{len(told)} claims, {wrong} not as expected; " + ("; ".join(books) or "every payout left exactly once"))
    out.print(f"flow runs: {prefect}/runs", highlight=False)


def _link(prefect: str, result: Told) -> str:
    return f"{prefect}/runs/flow-run/{result.flow_run_id}" if prefect and result.flow_run_id else ""


def _wait(out: Console, sandbox: Sandbox) -> None:
    assert sandbox.stack is not None
    for name, url in sandbox.stack.urls().items():
        out.print(f"{name:<14} {url}", highlight=False)
    if "prefect" in sandbox.stack.processes:
        out.print(f"{'':<14} its pages ask for what is in {sandbox.stack.prefect_auth}", highlight=False)
    tokens = ((Role.CLAIMANT, "li-xiaowen"), (Role.ADJUSTER, ADJUSTER), (Role.OPERATOR, "ops"))
    for role, subject in tokens:
        out.print(f"{role:<10} {subject}: {sandbox.token(role, subject)}", highlight=False, soft_wrap=True)
    out.print("Ctrl-C stops everything.")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


def _wide() -> Console:
    """Returns a console that is wide enough for whole links where the output is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE_COLUMNS)


def _first_reason(view: dict[str, Any]) -> str:
    reasons = (view["decision"] or {}).get("reasons", [])
    return str(reasons[0]["code"]) if reasons else ""


def _uploads(files: tuple[File, ...]) -> list[FileToSend]:
    return [FileToSend(file.part, file.name, file.data) for file in files]
