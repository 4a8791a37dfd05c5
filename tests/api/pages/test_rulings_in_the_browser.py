"""Rulings on matches and floods made in a real browser, by keyboard too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Browser, expect

from claims.evidence import MatchOwner, PhotoMatch, PhotoVerdict, Placement
from claims.floods import FloodLimits
from claims.store import floods
from claims.store.blobs import BlobStore
from claims.store.floods import SightedPicture
from tests.api.http.world import Api, jpeg
from tests.api.pages import seeding
from tests.api.pages.test_in_the_browser import a_visit, examine


def refer_for_copies(
    site: Api,
    claim_id: str,
    original: str,
    count: int,
    flood: str = "",
    verdict: str = "edited_copy",
    sure: float = 0.99,
) -> None:
    """Refers the claim: its photo is a copy of `count` pictures of another claim, each with its proving overlay."""
    overlay = BlobStore(site.settings.evidence_url).put(jpeg(3, 640))
    outline = ((-0.2, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.2, 1.1))

    def facts(file: Any, preview: str) -> dict[str, Any]:
        matches = tuple(
            PhotoMatch(
                f"photo-{number}", MatchOwner.OTHER_CLAIMANT, original, PhotoVerdict(verdict), sure, 65, "mirrored",
                seeding.PAIRS, preview, placement=Placement(0.62, 1.4, True, 0.52, 1.0, outline),
                overlay_sha256=overlay, claim_status="paid", flood=flood,
            )
            for number in range(count)
        )  # fmt: skip
        return {"photos": tuple(seeding.photo_facts(row, *matches) for row in file.evidence)}

    seeding.record(site, claim_id, facts)


def a_case(site: Api, name: str, seed: int, count: int = 3) -> str:
    """Refers a claim for copies and returns its id."""
    for claimant in (f"clm-{name}-1", f"clm-{name}-2"):
        seeding.register(site, claimant, f"pol-{claimant}")
    original = seeding.claim(site, f"clm-{name}-1", f"pol-clm-{name}-1", seed=seed)
    seeding.record(site, original)
    claim_id = seeding.claim(site, f"clm-{name}-2", f"pol-clm-{name}-2", seed=seed + 1)
    refer_for_copies(site, claim_id, original, count)
    return claim_id


def test_an_adjuster_rules_on_matches_by_keyboard_and_sees_the_proof(browser: Browser, site: Api) -> None:
    claim_id = a_case(site, "words", 51)
    with a_visit(browser, site, "adjuster", "he-jing") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        expect(page.locator(".rulings")).to_have_count(0)  # not before it is taken
        page.keyboard.press("t")
        expect(page.locator(".rulings")).to_have_count(3)
        expect(page.locator(".compare").first).to_contain_text("shows 52% of the original")
        page.locator(".proof summary").first.click()
        proof = page.locator(".proof img").first
        assert proof.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 640
        examine(page)
        page.evaluate("window.stayed = true")
        page.keyboard.press("c")
        expect(page.locator(".ruling .chip").first).to_have_text("confirmed as a copy")
        expect(page.locator(".rulings")).to_have_count(2)
        page.keyboard.press("x")  # the next one that nobody has said anything about
        expect(page.locator(".rulings")).to_have_count(1)
        page.locator(".rulings button", has_text="Common picture").click()
        expect(page.locator(".rulings")).to_have_count(0)
        assert page.evaluate("window.stayed"), "the page was loaded again instead of taking the word in place"
        expect(page.locator("#verdict")).to_be_visible()
        examine(page)
        page.reload()
        expect(page.locator(".ruling .chip")).to_have_text(
            ["confirmed as a copy", "ruled not a copy", "ruled a common picture"]
        )
    kept = seeding.rows(
        site, f"SELECT match_photo_id, ruling, ruled_by FROM match_rulings WHERE claim_id = '{claim_id}' ORDER BY 1"
    )
    assert kept == [
        ("photo-0", "confirm", "adjuster:he-jing"),
        ("photo-1", "reject", "adjuster:he-jing"),
        ("photo-2", "common", "adjuster:he-jing"),
    ]


def test_what_is_maybe_a_copy_is_shown_beside_the_other_picture_and_ruled_on(browser: Browser, site: Api) -> None:
    for claimant in ("clm-maybe-1", "clm-maybe-2"):
        seeding.register(site, claimant, f"pol-{claimant}")
    original = seeding.claim(site, "clm-maybe-1", "pol-clm-maybe-1", seed=55)
    seeding.record(site, original)
    claim_id = seeding.claim(site, "clm-maybe-2", "pol-clm-maybe-2", seed=56)
    refer_for_copies(site, claim_id, original, 1, verdict="similar", sure=0.71)
    with a_visit(browser, site, "adjuster", "he-jing") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        expect(page.get_by_text("a person compares the two").first).to_be_visible()
        shown = page.locator(".compare")
        expect(shown).to_contain_text("possible copy · mirrored")
        expect(shown).to_contain_text("71.00%")
        for image in shown.locator(".frame img").all():
            assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 320
        expect(page.get_by_role("heading", name="photo-1.jpg")).to_contain_text("possible copy")
        page.keyboard.press("t")
        expect(page.locator(".rulings")).to_have_count(1)
        page.keyboard.press("x")
        expect(page.locator(".ruling .chip")).to_have_text("ruled not a copy")
        examine(page)
    assert seeding.rows(site, f"SELECT ruling FROM match_rulings WHERE claim_id = '{claim_id}'") == [("reject",)]


def test_another_photo_of_the_scene_is_shown_beside_it_with_its_points_and_no_accusation(
    browser: Browser, site: Api
) -> None:
    for claimant in ("clm-scene-1", "clm-scene-2"):
        seeding.register(site, claimant, f"pol-{claimant}")
    others = seeding.claim(site, "clm-scene-1", "pol-clm-scene-1", seed=57)
    seeding.record(site, others)
    own = seeding.claim(site, "clm-scene-2", "pol-clm-scene-2", seed=58)
    seeding.record(site, own)
    claim_id = seeding.claim(site, "clm-scene-2", "pol-clm-scene-2", seed=59)

    def facts(file: Any, preview: str) -> dict[str, Any]:
        matches = (
            seeding.scene_of(others, preview, MatchOwner.OTHER_CLAIMANT),
            seeding.scene_of(own, preview, MatchOwner.SAME_EVENT),
        )
        return {"photos": tuple(seeding.photo_facts(row, *matches) for row in file.evidence)}

    seeding.record(site, claim_id, facts)
    with a_visit(browser, site, "adjuster", "he-jing") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        expect(page.get_by_text("a person compares if one damage is claimed twice").first).to_be_visible()
        expect(page.get_by_role("heading", name="photo-1.jpg")).to_contain_text("the same scene")
        expect(page.locator("h2 .chip.bad")).to_have_count(0)
        shown = page.locator(".compare")
        expect(shown).to_have_count(2)
        for figure in shown.all():
            expect(figure).to_contain_text("the same scene, photographed another time")
            expect(figure).to_contain_text("57 matching points · 54% of the points fit exactly")
            expect(figure).to_contain_text("Nobody is suspected for this.")
            expect(figure).not_to_contain_text("probability")
            expect(figure.locator(".links line")).to_have_count(len(seeding.PAIRS))
            for image in figure.locator(".frame img").all():
                assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 320
        page.keyboard.press("t")
        expect(page.locator(".rulings")).to_have_count(2)
        examine(page)


def test_a_word_said_by_mistake_is_taken_back_in_place_and_another_one_said(browser: Browser, site: Api) -> None:
    claim_id = a_case(site, "back", 91, count=2)
    with a_visit(browser, site, "adjuster", "sun-li", locale="zh-CN") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        page.keyboard.press("t")
        expect(page.locator(".rulings")).to_have_count(2)
        page.evaluate("window.stayed = true")
        page.keyboard.press("x")
        expect(page.locator(".ruling .chip")).to_have_text("人工认定不是复制件")
        examine(page)
        page.get_by_role("button", name="撤销认定").click()
        expect(page.locator(".rulings")).to_have_count(2)
        expect(page.locator(".ruling .chip")).to_have_count(0)
        page.keyboard.press("c")
        expect(page.locator(".ruling .chip")).to_have_text("人工认定为复制件")
        assert page.evaluate("window.stayed"), "the page was loaded again instead of taking the word back in place"
        page.locator("form[action$='/give-back'] button").click()
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        expect(page.locator(".ruling .chip")).to_have_count(1)
        expect(page.locator(".taking-back")).to_have_count(0)  # not before it is taken again
    query = f"SELECT ruling FROM match_rulings WHERE claim_id = '{claim_id}'"
    assert seeding.rows(site, query) == [("confirm",)]
    actions = f"SELECT action FROM audit WHERE subject = '{claim_id}' AND action LIKE 'match.%' ORDER BY seq"
    assert seeding.rows(site, actions) == [("match.ruled",), ("match.ruling_taken_back",), ("match.ruled",)]


def test_of_two_people_the_second_is_told_what_the_first_said(browser: Browser, site: Api) -> None:
    claim_id = a_case(site, "late", 61, count=1)
    with a_visit(browser, site, "adjuster", "qian-yi", locale="zh-CN") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        page.keyboard.press("t")
        expect(page.locator(".rulings")).to_have_count(1)
        (evidence,) = seeding.rows(site, f"SELECT id FROM evidence WHERE claim_id = '{claim_id}'")[0]
        body = {"evidence_id": evidence, "photo_id": "photo-0", "ruling": "reject"}
        other = seeding.apart(
            site.as_("adjuster", "other").post, f"/v1/claims/{claim_id}/rulings", json=body,
            headers={"Idempotency-Key": "from-elsewhere"},
        )  # fmt: skip
        assert other.status_code == 201
        page.keyboard.press("c")
        expect(page.locator(".ruling [role=status]")).to_have_text("已有人作出认定。")
        expect(page.locator(".ruling .chip")).to_have_text("人工认定不是复制件")


def test_a_flood_is_looked_at_once_and_leaves_the_queue_alone(browser: Browser, site: Api) -> None:
    claim_id = a_case(site, "flood", 71)
    seeding.register(site, "clm-held", "pol-held")
    held = seeding.claim(site, "clm-held", "pol-held", seed=79)
    preview = BlobStore(site.settings.evidence_url).put(jpeg(70))

    async def work(conn: Any) -> str:
        web, limits, now = SightedPicture("web:flood", "", preview), FloodLimits(claims_max=1), datetime.now(UTC)
        await floods.sight(conn, SightedPicture("p-1", claim_id, preview), [web], now, limits)
        return await floods.sight(conn, SightedPicture("p-2", held, preview), [web], now, limits)

    flood_id = seeding.stored(site, work)
    refer_for_copies(site, held, claim_id, 1, flood=flood_id)
    with a_visit(browser, site, "adjuster", "lu-min") as page:
        page.goto("/queue")
        expect(page.locator("#rows")).not_to_contain_text("suddenly appears")
        examine(page)
        page.get_by_role("link", name="Pictures that suddenly appear in many claims: 1.").click()
        expect(page.get_by_role("heading", name="In 2 claims")).to_contain_text("1 wait for this alone")
        for image in page.locator(".flood img").all():
            assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 320
        expect(page.locator(".flood img")).to_have_count(3)
        examine(page)
        page.get_by_label("Note").fill("A shop's icon.")
        page.get_by_role("button", name="Common picture").click()
        expect(page.get_by_role("status")).to_contain_text("Ruled a common picture")
        expect(page.get_by_role("heading", name="No picture is waiting for a ruling")).to_be_visible()
        expect(page.locator("tbody")).to_contain_text("A shop's icon.")
        examine(page)
        page.goto("/queue?cause=flood")
        expect(page.locator(".cases tbody tr")).to_have_count(1)
    told = seeding.rows(site, f"SELECT payload ->> 'ruling' FROM outbox WHERE topic = 'learn' AND key = '{flood_id}'")
    assert told == [("common",)]


def test_floods_are_no_page_of_an_insurer(browser: Browser, site: Api) -> None:
    with a_visit(browser, site, "partner", "anshun", expected="status of 403") as page:
        expect(page.locator("header nav")).not_to_contain_text("Picture floods")
        assert page.goto("/floods").status == 403  # type: ignore[union-attr]
