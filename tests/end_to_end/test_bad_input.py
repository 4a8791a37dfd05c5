"""Bad input through the whole stack: nothing is paid, nothing breaks, the claimant is told the reason."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from api.client import ApiClient, ApiRefused, FileToSend
from api.http.tokens import Role
from api.sandbox import Sandbox
from claims.store.engine import connect
from fixtures import demo_world, hostile_files
from tests.waiting import PATIENCE_SECONDS

NOW = datetime.now(UTC)
# Pictures of this file alone: the stack is shared, and a photo of another test's claim would be a match.
PHOTO, LATE, ONCE = (demo_world.sample_photo(name) for name in ("rocket.jpg", "ihc.png", "motorcycle_left.png"))
DECIDED_SECONDS_MAX = PATIENCE_SECONDS
FILM = b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(400)


def white(width_px: int, height_px: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width_px, height_px), "white").save(buffer, "JPEG")
    return buffer.getvalue()


async def register(sandbox: Sandbox, policy: demo_world.DemoPolicy) -> None:
    async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "shop")) as platform:
        if policy.pet_id:
            await platform.post("/v1/pets", demo_world.pet_body(policy))
        await platform.post("/v1/policies", demo_world.policy_body(policy, NOW))
    await sandbox.age_policies()


async def send(
    sandbox: Sandbox, policy: demo_world.DemoPolicy, files: list[FileToSend], **changes: Any
) -> dict[str, Any]:
    """Sends a claim and returns it once it is decided."""
    claim = demo_world.DemoClaim("bad input", policy.id, "rot", 4_000, (), frozenset())
    body = demo_world.claim_body(claim, policy, NOW) | changes
    async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
        claim_id = await claimant.submit_claim(body, files)
        return await claimant.wait_while(
            claim_id, frozenset({"submitted"}), timeout_seconds=DECIDED_SECONDS_MAX, poll_seconds=0.2
        )


def codes(claim: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in claim["decision"]["reasons"]}


PICTURES = {
    "cut-short": hostile_files.jpeg()[:2000],
    "closed-early": hostile_files.jpeg_closed_early(),
    "text-bomb": hostile_files.png_text_bomb(),
}
BOMBS = {
    "header-bomb": hostile_files.jpeg_header_bomb(),
    "png-bomb": hostile_files.png_header_bomb(30_000, 30_000),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_cannot_be_decoded_is_asked_for_again(sandbox: Sandbox, name: str) -> None:
    policy = demo_world.DemoPolicy(f"pol-bad-{name}", "fresh_food_rot", f"bad-{name}", "张三")

    async def play() -> dict[str, Any]:
        await register(sandbox, policy)
        return await send(sandbox, policy, [FileToSend("photo", f"{name}.jpg", PICTURES[name])])

    claim = asyncio.run(play())
    assert claim["status"] == "awaiting_information"
    assert "photo_unreadable" in codes(claim)


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_would_cost_too_much_is_refused_at_the_door(sandbox: Sandbox, name: str) -> None:
    policy = demo_world.DemoPolicy(f"pol-bad-{name}", "fresh_food_rot", f"bad-{name}", "张三")

    async def play() -> None:
        await register(sandbox, policy)
        await send(sandbox, policy, [FileToSend("photo", f"{name}.jpg", BOMBS[name])])

    with pytest.raises(ApiRefused, match="picture_too_large") as refused:
        asyncio.run(play())
    assert refused.value.status == 413


def test_an_all_white_photo_proves_nothing_and_matches_nothing(sandbox: Sandbox) -> None:
    first = demo_world.DemoPolicy("pol-white-1", "fresh_food_rot", "white-1", "白一")
    second = demo_world.DemoPolicy("pol-white-2", "fresh_food_rot", "white-2", "白二")

    async def play() -> list[dict[str, Any]]:
        claims = []
        for policy, size in ((first, (800, 600)), (second, (801, 600))):
            await register(sandbox, policy)
            claims.append(await send(sandbox, policy, [FileToSend("photo", "white.jpg", white(*size))]))
        return claims

    for claim in asyncio.run(play()):
        assert claim["status"] == "awaiting_information"
        assert "photo_of_another_claim" not in codes(claim)


def test_a_pdf_of_ten_thousand_pages_is_asked_for_again(sandbox: Sandbox) -> None:
    policy = demo_world.DemoPolicy("pol-pages", "outpatient_medical", "pages", "页多")

    async def play() -> dict[str, Any]:
        await register(sandbox, policy)
        paper = FileToSend("paper", "bill.pdf", hostile_files.pdf(10_000), "application/pdf")
        return await send(sandbox, policy, [paper], peril="illness", amount_minor=40_000)

    claim = asyncio.run(play())
    assert claim["status"] == "awaiting_information"
    assert "paper_unreadable" in codes(claim)


def test_the_same_file_twelve_times_in_one_claim_is_one_photo_and_is_paid(sandbox: Sandbox) -> None:
    policy = demo_world.DemoPolicy("pol-twelve", "fresh_food_rot", "twelve", "十二")
    other = demo_world.DemoPolicy("pol-thirteen", "fresh_food_rot", "thirteen", "十三")

    async def play() -> tuple[dict[str, Any], list[str], dict[str, Any]]:
        await register(sandbox, policy)
        await register(sandbox, other)
        claim = await send(sandbox, policy, [FileToSend("photo", f"{n}.jpg", PHOTO) for n in range(12)])
        copy = await send(sandbox, other, [FileToSend("photo", f"{n}.jpg", PHOTO) for n in range(2)])
        return claim, await published(sandbox, claim["id"]), copy

    claim, photos, copy = asyncio.run(play())
    assert claim["status"] in ("approved", "paid")
    assert len(claim["evidence"]) == 12
    assert all(file["preview_href"] for file in claim["evidence"])
    assert photos == [claim["evidence"][0]["id"]], "in the library it is one picture"
    assert copy["status"] == "referred"
    assert copy["decision"]["reasons"][0]["code"] == "photo_of_another_claim"


async def published(sandbox: Sandbox, claim_id: str) -> list[str]:
    """Returns the ids of the claim's photos in the library."""
    assert sandbox.stack is not None
    engine = connect(sandbox.stack.settings.database_url, pool_size=1)
    try:
        async with engine.connect() as conn:
            rows = await conn.execute(
                text("SELECT photo_id FROM library_photos WHERE owner_claim = :claim"), {"claim": claim_id}
            )
            return [str(row.photo_id) for row in rows]
    finally:
        await engine.dispose()


def test_a_photo_that_shows_another_thing_is_asked_for_again_and_a_fitting_one_is_paid(sandbox: Sandbox) -> None:
    policy = demo_world.DemoPolicy("pol-thing", "fresh_food_rot", "thing", "别物")

    async def play() -> tuple[dict[str, Any], dict[str, Any]]:
        await register(sandbox, policy)
        asked = await send(sandbox, policy, [FileToSend("photo", "cat.jpg", demo_world.sample_photo("chelsea.png"))])
        async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
            fitting = [FileToSend("photo", "flower.jpg", demo_world.sample_photo("flower.jpg"))]
            await claimant.upload(f"/v1/claims/{asked['id']}/evidence", fitting)
            settled = await claimant.wait_while(
                asked["id"], frozenset({"submitted", "awaiting_information"}), timeout_seconds=DECIDED_SECONDS_MAX
            )
        return asked, settled

    asked, settled = asyncio.run(play())
    assert asked["status"] == "awaiting_information"
    (reason,) = [reason for reason in asked["decision"]["reasons"] if reason["code"] == "photo_of_another_thing"]
    assert reason["evidence_id"] == asked["evidence"][0]["id"]
    assert settled["status"] in ("approved", "paid")
    assert "photo_beside_the_claim" in codes(settled)


def test_an_expired_policy_is_declined_with_its_clause(sandbox: Sandbox) -> None:
    policy = demo_world.DemoPolicy("pol-over", "fresh_food_rot", "over", "过期", began_days_ago=60, ends_in_days=-30)

    async def play() -> dict[str, Any]:
        await register(sandbox, policy)
        photo = FileToSend("photo", "late.jpg", LATE)
        return await send(sandbox, policy, [photo])

    claim = asyncio.run(play())
    assert claim["status"] == "declined"
    (reason,) = [reason for reason in claim["decision"]["reasons"] if reason["code"] == "cover_ended"]
    assert reason["clause"]


REFUSED_AT_THE_DOOR = {
    "thirteen files": ({}, [FileToSend("photo", f"{n}.jpg", PHOTO) for n in range(13)], 422, "too_many_files"),
    "sixty files": ({}, [FileToSend("photo", f"{n}.jpg", PHOTO) for n in range(60)], 422, "too_many_files"),
    "a film": ({}, [FileToSend("photo", "IMG_1.MOV", FILM, "video/quicktime")], 415, "unsupported_media"),
    "an animated GIF": ({}, [FileToSend("photo", "x.gif", b"GIF89a" + bytes(400))], 415, "unsupported_media"),
    "26 MB": ({}, [FileToSend("photo", "big.jpg", PHOTO + bytes(26_000_000))], 413, "file_too_large"),
    "empty": ({}, [FileToSend("photo", "empty.jpg", b"")], 422, "empty_file"),
    "svg named jpg": ({}, [FileToSend("photo", "x.jpg", hostile_files.SVG)], 415, "unsupported_media"),
    "unknown product": ({"product": "moon_travel"}, [FileToSend("photo", "a.jpg", PHOTO)], 422, "unknown_product"),
    "negative amount": ({"amount_minor": -5}, [FileToSend("photo", "a.jpg", PHOTO)], 422, "invalid_request"),
    "another currency": ({"currency": "USD"}, [FileToSend("photo", "a.jpg", PHOTO)], 422, "currency_mismatch"),
    "somebody else's policy": (
        {"policy_id": "pol-of-another"}, [FileToSend("photo", "a.jpg", PHOTO)], 404, "not_found",
    ),
}  # fmt: skip


def test_what_cannot_be_a_claim_is_refused_at_the_door_and_leaves_nothing(sandbox: Sandbox) -> None:
    policy = demo_world.DemoPolicy("pol-door", "fresh_food_rot", "door", "门外")
    pet = demo_world.DemoPolicy("pol-of-another", "pet_medical", "another", "别人", pet_id="pet-of-another")

    async def play() -> tuple[dict[str, tuple[int, str]], list[Any]]:
        await register(sandbox, policy)
        await register(sandbox, pet)
        claim = demo_world.DemoClaim("bad input", policy.id, "rot", 4_000, (), frozenset())
        body = demo_world.claim_body(claim, policy, NOW)
        answers = {}
        async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
            for name, (changes, files, _, _) in REFUSED_AT_THE_DOOR.items():
                with pytest.raises(ApiRefused) as refused:
                    await claimant.submit_claim(body | changes, files)
                answers[name] = (refused.value.status, refused.value.code)
            return answers, (await claimant.get("/v1/claims"))["claims"]

    answers, claims = asyncio.run(play())
    assert answers == {name: (status, code) for name, (_, _, status, code) in REFUSED_AT_THE_DOOR.items()}
    assert claims == []


def test_a_repeated_key_gives_the_first_answer_and_another_body_is_refused(sandbox: Sandbox) -> None:
    policy = demo_world.DemoPolicy("pol-key", "fresh_food_rot", "key", "重复")

    async def play() -> tuple[Any, Any, ApiRefused]:
        await register(sandbox, policy)
        claim = demo_world.DemoClaim("bad input", policy.id, "rot", 4_000, (), frozenset())
        body = demo_world.claim_body(claim, policy, NOW)
        photo = [FileToSend("photo", "a.jpg", ONCE)]
        async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, policy.claimant_id)) as claimant:
            first = await claimant.upload("/v1/claims", photo, {"claim": body}, key="once")
            again = await claimant.upload("/v1/claims", photo, {"claim": body}, key="once")
            with pytest.raises(ApiRefused) as refused:
                await claimant.upload("/v1/claims", photo, {"claim": body | {"amount_minor": 3_999}}, key="once")
        return first, again, refused.value

    first, again, refused = asyncio.run(play())
    assert first == again
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")
