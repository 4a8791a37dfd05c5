"""A photo in fifty claims of fifty people at once, in many rounds: at most one claim of a round is paid.

Real processes: the API over HTTP, two workers that drain one queue in small batches, settle, refer, PostgreSQL and the
sandbox bank. The rounds follow one another without a pause, each with a photo of its own, and all claims of a round
arrive together, so that both workers examine claims of one round at the same moment.

MIAOPEI_RACE_ROUNDS sets how many rounds (5; `make race` runs 100).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from api.http.tokens import Role
from api.processes import settle_config
from api.sandbox import Sandbox
from api.settings import Settings, WorkSettings
from claims.copies import COPIES
from claims.money import Money
from claims.policy import Policy
from claims.rules import RULES
from claims.store import intake
from claims.store.engine import connect
from fixtures import demo_world, edits
from fixtures.scenes import Pixels, scene
from flows.reconcile import reconcile
from tests.forked import launch
from tests.waiting import PATIENCE_SECONDS
from vision.copies.fingerprint import Fingerprint, Fingerprinter
from vision.decode.image import Decoder
from vision.examine import compare
from vision.library.search import candidate_from, nearness

ROUNDS = int(os.environ.get("MIAOPEI_RACE_ROUNDS", "5"))
EDITED_ROUNDS = max(2, ROUNDS // 5)
CLAIMS = 50
WAITING = ("submitted", "approved")
COPIED = frozenset({"photo_of_another_claim", "photo_in_flood", "photo_maybe_copied"})
# A claim of one small photo takes about a quarter of a second of two busy cores.
SECONDS_MAX = PATIENCE_SECONDS + 10.0 * CLAIMS * ROUNDS
EDITED_FROM = 1_000  # numbers of the scenes of the second test


@dataclass(frozen=True, slots=True)
class Entrant:
    """A claim of a round. `file`: the photo that it sends."""

    round: int
    policy: demo_world.DemoPolicy
    file: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """A claim's final state in the store."""

    round: int
    status: str
    codes: frozenset[str]
    copied_from: frozenset[str]  # claims that its photo was found to be a copy of
    worker: str
    published_at: datetime
    decided_at: datetime


@pytest.fixture(scope="module")
def racing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    settings = Settings(work=WorkSettings(cores=1, batch_max=8))
    home = tmp_path_factory.mktemp("race")
    with Sandbox(settings, home, prefect=False, workers=2, launch=launch) as running:
        yield running


def test_of_fifty_claims_with_one_photo_at_once_at_most_one_is_paid(racing: Sandbox) -> None:
    pictures = distinct(range(2 * ROUNDS), ROUNDS)
    entrants = [
        Entrant(number, policy_of(f"same-{number}-{place}"), edits.jpeg_bytes(picture))
        for number, picture in enumerate(pictures)
        for place in range(CLAIMS)
    ]
    outcomes = asyncio.run(run(racing, entrants))
    check(outcomes, ROUNDS)


def test_of_fifty_claims_half_of_them_with_the_photo_edited_at_most_one_is_paid(racing: Sandbox) -> None:
    """Every second file is cropped, at most a tenth off each side, and compressed anew."""
    pictures = distinct(range(EDITED_FROM, EDITED_FROM + 2 * EDITED_ROUNDS), EDITED_ROUNDS)
    entrants = [
        Entrant(number, policy_of(f"edited-{number}-{place}"), edited(picture, place) if place % 2 else plain)
        for number, picture in enumerate(pictures)
        for plain in [edits.jpeg_bytes(picture)]
        for place in range(CLAIMS)
    ]
    assert len({entrant.file for entrant in entrants if entrant.round == 0}) == 1 + CLAIMS // 2
    outcomes = asyncio.run(run(racing, entrants))
    check(outcomes, EDITED_ROUNDS)


def check(outcomes: dict[str, Outcome], rounds: int) -> None:
    by_round: dict[int, dict[str, Outcome]] = defaultdict(dict)
    for claim_id, outcome in outcomes.items():
        by_round[outcome.round][claim_id] = outcome
    assert sorted(by_round) == list(range(rounds))
    for number, entered in by_round.items():
        assert len(entered) == CLAIMS
        paid = [claim_id for claim_id, outcome in entered.items() if outcome.status == "paid"]
        assert len(paid) <= 1, f"round {number}: all paid: {[(claim_id, entered[claim_id]) for claim_id in paid]}"
        assert {outcome.status for outcome in entered.values()} <= {"paid", "referred"}
        for claim_id, entry in entered.items():
            if claim_id in paid:
                continue
            assert entry.codes & COPIED, (number, claim_id, entry)
            # Of this round only: the paid one, or one another.
            assert entry.copied_from, (number, claim_id)
            assert entry.copied_from <= entered.keys() - {claim_id}, (number, claim_id, entry.copied_from)
        # It was a race: both workers ran in it, and several photos were published before the first claim was decided.
        assert len({outcome.worker for outcome in entered.values()}) == 2, number
    races = Counter(sum(outcome.status == "paid" for outcome in entered.values()) for entered in by_round.values())
    abreast = [at_once(entered) for entered in by_round.values()]
    assert np.median(abreast) >= 2, abreast
    sys.stdout.write(
        f"{rounds} rounds of {CLAIMS}: one paid in {races[1]}, none in {races[0]};"
        f" {min(abreast)} to {max(abreast)} claims of a round under way at once, median {np.median(abreast):.0f}\n"
    )


def at_once(entered: dict[str, Outcome]) -> int:
    """Returns the number of a round's claims that had published their photo before the first of them was decided."""
    first = min(outcome.decided_at for outcome in entered.values())
    return sum(outcome.published_at < first for outcome in entered.values())


async def run(sandbox: Sandbox, entrants: list[Entrant]) -> dict[str, Outcome]:
    """Sends every round, waits until no claim waits for a machine, and compares the books with the bank."""
    now = datetime.now(UTC)
    began = time.monotonic()
    limits = httpx.Limits(max_connections=CLAIMS, max_keepalive_connections=CLAIMS)
    async with httpx.AsyncClient(base_url=sandbox.api_url, timeout=PATIENCE_SECONDS, limits=limits) as http:
        await register(sandbox, entrants, now)
        await sandbox.age_policies()
        registered = time.monotonic()
        numbers: dict[str, int] = {}
        for number in sorted({entrant.round for entrant in entrants}):
            entering = [entrant for entrant in entrants if entrant.round == number]
            sent = await asyncio.gather(*(send(http, sandbox, entrant, now) for entrant in entering))
            numbers |= dict.fromkeys(sent, number)
    submitted = time.monotonic()
    assert len(numbers) == len(entrants)
    await decided(sandbox, list(numbers))
    assert sandbox.stack is not None
    books = await reconcile(settle_config(sandbox.stack.settings))
    assert books.differences == ()
    outcomes = await read(sandbox, numbers)
    assert books.payments >= sum(outcome.status == "paid" for outcome in outcomes.values())
    sys.stdout.write(
        f"registered in {registered - began:.0f} s, submitted in {submitted - registered:.0f} s,"
        f" all decided {time.monotonic() - submitted:.0f} s later\n"
    )
    return outcomes


async def register(sandbox: Sandbox, entrants: list[Entrant], now: datetime) -> None:
    """Records the policies by what `POST /v1/policies` calls: how they come in is no part of the race."""
    assert sandbox.stack is not None
    engine = connect(sandbox.stack.settings.database_url, pool_size=1)
    try:
        for start in range(0, len(entrants), CLAIMS):
            async with engine.begin() as conn:
                for entrant in entrants[start : start + CLAIMS]:
                    policy, stated = entrant.policy, demo_world.policy_body(entrant.policy, now)
                    await intake.upsert_claimant(
                        conn, policy.claimant_id, policy.insured_name, dict(policy.standing), now
                    )
                    sum_insured = Money(policy.sum_insured_minor, "CNY")
                    insured_value = Money(policy.insured_value_minor, "CNY")
                    terms = Policy(
                        policy.id, stated["number"], policy.product, policy.claimant_id, policy.insured_name,
                        policy.pet_id, datetime.fromisoformat(stated["starts_at"]),
                        datetime.fromisoformat(stated["ends_at"]), sum_insured, insured_value,
                    )  # fmt: skip
                    await intake.upsert_policy(conn, terms, now)
    finally:
        await engine.dispose()


async def send(http: httpx.AsyncClient, sandbox: Sandbox, entrant: Entrant, now: datetime) -> str:
    """Sends the claim in one multipart request and returns its id."""
    claim = demo_world.DemoClaim("race", entrant.policy.id, "rot", 4_000, (), frozenset())
    # Nothing but the photo is shared: no address, device, account or shop.
    body = demo_world.claim_body(claim, entrant.policy, now) | {"merchant_id": f"shop-{entrant.policy.id}"}
    headers = {
        "Authorization": f"Bearer {sandbox.token(Role.CLAIMANT, entrant.policy.claimant_id)}",
        "Idempotency-Key": "the-only-one",
    }
    parts = [
        ("claim", (None, json.dumps(body).encode(), "application/json")),
        ("photo", ("rot.jpg", entrant.file, "image/jpeg")),
    ]
    answer = await answered(lambda: http.post("/v1/claims", files=parts, headers=headers))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def answered(request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Repeats the request with the same key while the API says that it is overloaded, as an app does."""
    while True:
        answer = await request()
        if answer.status_code not in (409, 503):
            return answer
        await asyncio.sleep(1.0)


async def decided(sandbox: Sandbox, claim_ids: list[str]) -> None:
    assert sandbox.stack is not None
    engine = connect(sandbox.stack.settings.database_url, pool_size=1)
    deadline = time.monotonic() + SECONDS_MAX
    query = text("SELECT count(*) FROM claims WHERE id = ANY(:ids) AND status = ANY(:waiting)")
    try:
        while True:
            async with engine.connect() as conn:
                left = (await conn.execute(query, {"ids": claim_ids, "waiting": list(WAITING)})).scalar_one()
            if not left:
                return
            assert time.monotonic() < deadline, f"{left} of {len(claim_ids)} claims are not decided"
            await asyncio.sleep(0.5)
    finally:
        await engine.dispose()


async def read(sandbox: Sandbox, numbers: dict[str, int]) -> dict[str, Outcome]:
    assert sandbox.stack is not None
    engine = connect(sandbox.stack.settings.database_url, pool_size=1)
    query = text(
        "SELECT c.id, c.status, d.decision, d.inputs, d.decided_at, j.leased_by, l.published_at FROM claims AS c"
        " JOIN decisions AS d ON d.claim_id = c.id JOIN jobs AS j ON j.claim_id = c.id"
        " JOIN library_photos AS l ON l.owner_claim = c.id WHERE c.id = ANY(:ids)"
    )
    try:
        async with engine.connect() as conn:
            rows = (await conn.execute(query, {"ids": list(numbers)})).all()
    finally:
        await engine.dispose()
    assert len(rows) == len(numbers), "a claim without a decision, or with two"
    return {
        row.id: Outcome(
            numbers[row.id],
            row.status,
            frozenset(reason["code"] for reason in json.loads(row.decision)["reasons"]),
            frozenset(
                match["claim_id"]
                for photo in json.loads(row.inputs)["facts"]["photos"]
                for match in photo["matches"]
                if match["verdict"] in COPIES or match["probability"] >= RULES.photo_maybe_copied_min
            ),
            row.leased_by,
            row.published_at,
            row.decided_at,
        )
        for row in rows
    }


def policy_of(name: str) -> demo_world.DemoPolicy:
    return demo_world.DemoPolicy(f"pol-{name}", "fresh_food_rot", f"who-{name}", f"Claimant {name}")


def edited(picture: Pixels, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    top, bottom = (int(height * share) for share in rng.uniform(0, 0.1, 2))
    left, right = (int(width * share) for share in rng.uniform(0, 0.1, 2))
    return edits.jpeg_bytes(picture[top : height - bottom, left : width - right], int(rng.integers(50, 85)))


def distinct(numbers: range, count: int) -> list[Pixels]:
    """Returns the first `count` scenes that the pipeline does not take for copies of each other, not even maybe:
    look-alikes in different rounds would disturb each other.
    """
    fingerprinter = Fingerprinter(threads=1)
    kept: list[Pixels] = []
    known: list[Fingerprint] = []
    with Decoder(processes=1) as decoder:
        for number in numbers:
            pixels = scene(number)
            file = edits.jpeg_bytes(pixels)
            fingerprint = fingerprinter.fingerprint(decoder.decode(file), hashlib.sha256(file).hexdigest())
            if not alike(fingerprint, known):
                kept.append(pixels)
                known.append(fingerprint)
            if len(kept) == count:
                return kept
    raise AssertionError(f"only {len(kept)} of {len(numbers)} scenes are distinct")


def alike(fingerprint: Fingerprint, known: list[Fingerprint]) -> bool:
    cosines = [float(fingerprint.descriptor @ other.descriptor) for other in known]
    nearest = np.argsort(cosines)[::-1][:8]
    candidates = [
        candidate_from(str(place), known[place], fingerprint, nearness(fingerprint, known[place].descriptor))
        for place in nearest
    ]
    relations = compare(fingerprint, candidates, "")
    return any(relation.probability >= RULES.photo_maybe_copied_min for relation in relations)
