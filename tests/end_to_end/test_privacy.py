"""A photo's place, camera and author never leave the evidence store, whoever asks.

A photo with a position, serial numbers and names in every place that a file has for them goes through the whole stack
twice, as a paid claim and as a copy that is referred. Then every byte that leaves or is kept elsewhere is searched.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sqlalchemy import text

from api.client import ApiClient, FileToSend
from api.http.tokens import Role
from api.sandbox import Sandbox
from claims.store.engine import connect
from fixtures import demo_world
from tests.end_to_end.test_command_line import miaopei
from tests.waiting import PATIENCE_SECONDS

WORD = "GEHEIM0417"  # stands in every text that is planted
LATITUDE, LONGITUDE = ((31, 1), (14, 1), (16_739, 1000)), ((121, 1), (28, 1), (25_331, 1000))
NEEDLES = (
    WORD.encode(),
    WORD.encode("utf-16-le"),
    WORD.encode("utf-16-be"),
    struct.pack("<II", 16_739, 1000),
    struct.pack(">II", 16_739, 1000),
    b"31.2379",  # the position in decimal degrees, as a reader would write it
    b"121.4737",
)
PHOTO = demo_world.sample_photo("hubble_deep_field.jpg")  # of this file alone: the stack is shared


def planted(data: bytes, cut_px: int = 0) -> bytes:
    """Returns the picture with all the metadata of a phone and more; `cut_px` off each side."""
    picture, exif = Image.open(io.BytesIO(data)).convert("RGB"), Image.Exif()
    picture = picture.crop((cut_px, cut_px, picture.width - cut_px, picture.height - cut_px))
    exif[0x010F], exif[0x0110] = "Phone", "P-1"
    exif[0x013B] = exif[0x8298] = exif[0x010E] = WORD  # artist, copyright, description
    exif[0x9C9D] = WORD.encode("utf-16-le")  # XPAuthor
    inner = exif.get_ifd(0x8769)
    inner[0x9003] = f"{datetime.now(UTC):%Y:%m:%d %H:%M:%S}"
    inner[0xA430] = inner[0xA431] = inner[0xA435] = inner[0xA420] = WORD  # owner, body, lens serial, unique id
    inner[0x927C] = inner[0x9286] = b"ASCII\x00\x00\x00" + WORD.encode()  # maker note, user comment
    position = exif.get_ifd(0x8825)
    position[1], position[3] = "N", "E"
    position[2], position[4] = ([n / d for n, d in place] for place in (LATITUDE, LONGITUDE))
    position[27] = position[28] = b"ASCII\x00\x00\x00" + WORD.encode()  # method, area
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"'
        f' exif:GPSLatitude="31,14.16.739N" aux:SerialNumber="{WORD}" aux:OwnerName="{WORD}"/></rdf:RDF></x:xmpmeta>'
    )
    buffer = io.BytesIO()
    picture.save(
        buffer, "JPEG", quality=85 if cut_px else 90, exif=exif.tobytes(), xmp=xmp.encode(), comment=WORD.encode()
    )
    return buffer.getvalue() + WORD.encode()


SENT = {"privacy-1": planted(PHOTO), "privacy-2": planted(PHOTO, cut_px=60)}


def found_in(where: str, data: bytes) -> list[str]:
    return [f"{where}: {needle!r}" for needle in NEEDLES if needle in data]


def pages(sandbox: Sandbox, role: Role, subject: str, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yields the answer that a signed-in person gets at each path of the pages."""
    with httpx.Client(base_url=sandbox.api_url, follow_redirects=True, timeout=PATIENCE_SECONDS) as client:
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
        fields = {"token": sandbox.token(role, subject), "csrf": token[1] if token else ""}
        client.post("/sign-in", data=fields).raise_for_status()
        for path in paths:
            yield f"page {path} for {role}", client.get(path).content


async def store_dump(sandbox: Sandbox) -> bytes:
    """Returns every row of every table, as PostgreSQL and as Python write it."""
    assert sandbox.stack is not None
    engine = connect(sandbox.stack.settings.database_url, pool_size=1)
    whole = []
    try:
        async with engine.connect() as conn:
            tables = (await conn.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).scalars()
            for table in tables.all():
                for row in await conn.execute(text(f'SELECT * FROM "{table}"')):
                    whole += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    finally:
        await engine.dispose()
    return b"\n".join(whole)


@pytest.fixture(scope="module")
def claims(sandbox: Sandbox) -> dict[str, str]:
    """Returns, by claimant, a paid claim and a referred one with a copy of its photo."""
    now = datetime.now(UTC)

    async def play() -> dict[str, str]:
        made = {}
        for who in ("privacy-1", "privacy-2"):
            policy = demo_world.DemoPolicy(f"pol-{who}", "fresh_food_rot", who, "私密")
            async with ApiClient(sandbox.api_url, sandbox.token(Role.PLATFORM, "shop")) as platform:
                await platform.post("/v1/policies", demo_world.policy_body(policy, now))
            await sandbox.age_policies()
            claim = demo_world.DemoClaim("privacy", policy.id, "rot", 4_000, (), frozenset())
            body = demo_world.claim_body(claim, policy, now) | {"merchant_id": f"shop-{who}"}
            async with ApiClient(sandbox.api_url, sandbox.token(Role.CLAIMANT, who)) as claimant:
                made[who] = await claimant.submit_claim(body, [FileToSend("photo", "rot.jpg", SENT[who])])
                open_ = frozenset({"submitted", "approved"})
                shown = await claimant.wait_while(made[who], open_, timeout_seconds=PATIENCE_SECONDS, poll_seconds=0.3)
                assert shown["status"] == ("paid" if who == "privacy-1" else "referred"), shown["decision"]
        return made

    return asyncio.run(play())


def test_nothing_that_leaves_the_evidence_store_says_where_and_with_what_it_was_taken(
    sandbox: Sandbox, claims: dict[str, str]
) -> None:
    paid, referred = claims["privacy-1"], claims["privacy-2"]
    for file in SENT.values():
        assert {needle for needle in NEEDLES[:5] if needle in file} >= {NEEDLES[0], NEEDLES[1]}
    leaks: list[str] = []
    answered = 0
    with httpx.Client(base_url=sandbox.api_url, timeout=PATIENCE_SECONDS) as client:
        callers = [
            (Role.CLAIMANT, "privacy-2"), (Role.ADJUSTER, "zhang"), (Role.PARTNER, "anshun"), (Role.OPERATOR, "ops"),
        ]  # fmt: skip
        adjuster = {"Authorization": f"Bearer {sandbox.token(Role.ADJUSTER, 'zhang')}"}
        matched = client.get(f"/v1/claims/{referred}/matches", headers=adjuster).json()["photos"]
        ids = [(photo["evidence_id"], match["photo_id"]) for photo in matched for match in photo["matches"]]
        assert ids
        paths = ["/v1/claims", "/v1/queue", "/v1/referrals", "/v1/operations", "/metrics", "/readyz"]
        for claim in (paid, referred):
            paths += [
                f"/v1/claims/{claim}",
                f"/v1/claims/{claim}/matches",
                f"/v1/claims/{claim}/evidence/rot.jpg/preview",
            ]
        paths += [f"/v1/claims/{referred}/matches/{photo}/preview" for _, photo in ids]
        paths += [f"/v1/claims/{referred}/matches/{own}/{photo}/overlay" for own, photo in ids]
        paths += [f"/v1/claims/{claim}/evidence/rot.jpg" for claim in (paid, referred)]
        for role, subject in callers:
            headers = {"Authorization": f"Bearer {sandbox.token(role, subject)}"}
            for path in paths:
                if role is Role.CLAIMANT and path == f"/v1/claims/{referred}/evidence/rot.jpg":
                    # Their own file, as they sent it: theirs to have.
                    assert client.get(path, headers=headers).content == SENT["privacy-2"]
                    continue
                answer = client.get(path, headers=headers)
                answered += answer.is_success
                leaks += found_in(
                    f"{path} for {role}: {answer.status_code}", answer.content + str(answer.headers).encode()
                )
        referral = next(
            case["referral_id"]
            for case in client.get("/v1/queue?limit=200", headers=adjuster).json()["cases"]
            if case["claim_id"] == referred
        )
    case = [
        f"/cases/{referral}",
        "/queue",
        f"/claims/{referred}/files/rot.jpg",
        f"/claims/{referred}/files/rot.jpg/preview",
    ]
    shown = [*pages(sandbox, Role.ADJUSTER, "zhang", case), *pages(sandbox, Role.PARTNER, "anshun", case)]
    shown += pages(sandbox, Role.CLAIMANT, "privacy-2", ["/claims", f"/claims/{referred}"])
    shown += pages(sandbox, Role.OPERATOR, "ops", ["/operations"])
    for where, content in shown:
        leaks += found_in(where, content)
    assert any(referred.encode() in content for where, content in shown if "/cases/" in where), "nobody was signed in"
    assert answered >= 20
    leaks += found_in("a table", asyncio.run(store_dump(sandbox)))
    for folder, _, names in os.walk(sandbox.home):
        for name in names:
            path = Path(folder, name)
            if "pg" in path.relative_to(sandbox.home).parts[0] or "postgres" in str(path.relative_to(sandbox.home)):
                continue  # the tables were read as rows
            if path.is_file() and path.read_bytes() in SENT.values():
                assert "evidence" in path.parts
                continue
            leaks += found_in(str(path), path.read_bytes() if path.is_file() else b"")
    assert leaks == []


def test_who_sent_the_other_photo_is_told_to_adjusters_alone(sandbox: Sandbox, claims: dict[str, str]) -> None:
    paid, referred = claims["privacy-1"], claims["privacy-2"]
    with httpx.Client(base_url=sandbox.api_url, timeout=PATIENCE_SECONDS) as client:

        def get(role: Role, subject: str, path: str) -> httpx.Response:
            return client.get(path, headers={"Authorization": f"Bearer {sandbox.token(role, subject)}"})

        matches = get(Role.ADJUSTER, "zhang", f"/v1/claims/{referred}/matches").json()["photos"][0]
        match = next(match for match in matches["matches"] if match["claim_id"] == paid)
        own, other = matches["evidence_id"], match["photo_id"]
        pictures = (
            f"/v1/claims/{referred}/matches/{other}/preview",
            f"/v1/claims/{referred}/matches/{own}/{other}/overlay",
        )
        names = (paid.encode(), other.encode(), b"privacy-1")
        assert get(Role.ADJUSTER, "zhang", pictures[0]).status_code == 200
        assert get(Role.ADJUSTER, "zhang", pictures[1]).status_code == 200
        for path in ("", "/evidence/rot.jpg", "/evidence/rot.jpg/preview", "/matches"):
            for role, subject in ((Role.CLAIMANT, "privacy-2"), (Role.OPERATOR, "ops"), (Role.PARTNER, "anshun")):
                assert get(role, subject, f"/v1/claims/{paid}{path}").status_code in (403, 404), (role, path)
        for role, subject in ((Role.CLAIMANT, "privacy-2"), (Role.OPERATOR, "ops"), (Role.PARTNER, "anshun")):
            assert {get(role, subject, path).status_code for path in pictures} <= {403, 404}, role
        told = [get(Role.CLAIMANT, "privacy-2", path).content for path in (f"/v1/claims/{referred}", "/v1/claims")]
        told += [
            content for _, content in pages(sandbox, Role.CLAIMANT, "privacy-2", [f"/claims/{referred}", "/claims"])
        ]
        assert [name for name in names for content in told if name in content] == []
        told = [get(Role.PARTNER, "anshun", path).content for path in (f"/v1/claims/{referred}", "/v1/referrals")]
        told.append(get(Role.PARTNER, "anshun", f"/v1/claims/{referred}/matches").content.replace(other.encode(), b""))
        told.append((sandbox.home / "anshun.sqlite3").read_bytes())
        assert [name for name in names for content in told if name in content] == []


def test_an_erased_claim_is_shown_as_erased_and_its_pictures_are_gone(sandbox: Sandbox, claims: dict[str, str]) -> None:
    paid, referred = claims["privacy-1"], claims["privacy-2"]
    code, (refused,), _ = miaopei(sandbox, "erase", "--claim", referred, "--json")
    assert (code, refused["code"]) == (1, "before_a_person")
    code, (done,), _ = miaopei(sandbox, "erase", "--claim", paid, "--reason", "asked for", "--json")
    assert code == 0
    assert (done["erased"], done["first"], done["library_photos"]) == (True, True, 1)
    code, (again,), _ = miaopei(sandbox, "erase", "--claim", paid, "--json")
    assert (code, again["first"], again["erased_at"]) == (0, False, done["erased_at"])
    assert miaopei(sandbox, "erase", "--claim", "C-nowhere")[0] == 2
    code, rows, error = miaopei(sandbox, "claims", "replay", paid, "--json")
    assert code == 2
    assert rows[0]["erased"] is True
    assert "erased" in error
    assert miaopei(sandbox, "audit", "verify", "--json")[0] == 0
    assert miaopei(sandbox, "reconcile", "--json")[0] == 0
    with httpx.Client(base_url=sandbox.api_url, timeout=PATIENCE_SECONDS) as client:
        own = {"Authorization": f"Bearer {sandbox.token(Role.CLAIMANT, 'privacy-1')}"}
        shown = client.get(f"/v1/claims/{paid}", headers=own).json()
        assert (shown["status"], shown["evidence"], shown["description"]) == ("erased", [], "")
        assert shown["payout_minor"] == 4_000
        gone = client.get(f"/v1/claims/{paid}/evidence/rot.jpg", headers=own)
        assert (gone.status_code, gone.json()["code"]) == (410, "erased")
        assert paid in {row["id"] for row in client.get("/v1/claims", headers=own).json()["claims"]}
    ((_, page),) = pages(sandbox, Role.CLAIMANT, "privacy-1", [f"/claims/{paid}"])
    assert b"erased" in page or "已删除".encode() in page
