"""Every page in a real browser, also by keyboard: no serious finding of axe in light or dark, no sideways scrolling at
360 px, nothing refused by the content security policy, no error in the console.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

import api.pages
from fixtures.cases import INSURED
from tests.api.http.world import Api, jpeg
from tests.api.pages import seeding
from tests.waiting import PATIENCE_SECONDS

AXE = Path(api.pages.__file__).parent / "static" / "vendor" / "axe.min.js"
WIDTH_MIN_PX = 360


@contextmanager
def a_visit(
    browser: Browser, site: Api, role: str, subject: str, locale: str = "en-GB", expected: str = ""
) -> Iterator[Page]:
    """Opens a signed-in browser and fails on console messages and refused resources; `expected` is part of the only
    message allowed.
    """
    context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900}, base_url=site.url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto("/sign-in")
    page.fill("#token", site.token(role, subject))
    page.click("button.primary")
    expect(page.locator("header .who")).to_have_text(subject)
    try:
        yield page
        assert [text for text in wrong if not expected or expected not in text] == []
    finally:
        context.close()


def examine(page: Page) -> None:
    """Checks that axe has no serious finding in either colour scheme and that a narrow phone does not scroll
    sideways.
    """
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate(AXE.read_text())
        violations = page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)"
        )
        serious = [
            (violation["id"], [node["html"][:120] for node in violation["nodes"]])
            for violation in violations
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == [], f"{scheme} {page.url}"
    wide = page.viewport_size
    assert wide is not None
    page.set_viewport_size({"width": WIDTH_MIN_PX, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH_MIN_PX, page.url
    page.set_viewport_size(wide)


def picture(name: str, seed: int) -> dict[str, object]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": jpeg(seed)}


def test_a_claimant_sends_a_claim_and_watches_it_being_paid(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-web", "pol-web")
    with a_visit(browser, site, "claimant", "clm-web") as page:
        expect(page.get_by_role("heading", name="No claims yet")).to_be_visible()
        examine(page)
        page.get_by_role("main").get_by_role("link", name="Make a claim").click()
        examine(page)
        page.get_by_label("rotten or spoiled").check(force=True)
        page.fill("#occurred", page.locator("#occurred").get_attribute("max") or "")
        page.fill("#amount", "59,80")
        page.keyboard.press("Tab")
        expect(page.locator("#amount-read")).to_contain_text("(amount_ambiguous)")
        page.fill("#amount", "¥59.8")
        page.keyboard.press("Tab")
        expect(page.locator("#amount-read")).to_have_text("¥59.80")
        page.set_input_files("#files-photo", [picture("strawberries.jpg", 11), picture("box.jpg", 12)])  # type: ignore[list-item]
        expect(page.locator(".thumbs img")).to_have_count(2)
        page.fill("#description", "到货时半箱草莓已经发霉。")
        page.fill("#payee", "6222020200112233")
        page.get_by_role("button", name="Send the claim").dblclick()

        expect(page.get_by_role("heading", name="We are reviewing your claim")).to_be_visible()
        claim_id = page.url.rpartition("/")[2]
        assert seeding.rows(site, "SELECT count(*) FROM claims WHERE claimant_id = 'clm-web'")[0] == (1,)
        assert seeding.rows(site, f"SELECT count(*) FROM evidence WHERE claim_id = '{claim_id}'")[0] == (2,)
        examine(page)
        page.evaluate("window.stayed = true")
        seeding.record(site, claim_id)
        expect(page.get_by_role("heading", name="Approved, ¥59.80")).to_be_visible()
        seeding.pay_out(site, claim_id)
        expect(page.get_by_role("heading", name="Paid, ¥59.80")).to_be_visible()
        assert page.evaluate("window.stayed"), "the page was loaded again instead of following the claim"
        expect(page.locator(".benefit .total")).to_contain_text("¥59.80")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(2_200)
        assert asked == [], "the page goes on asking after a claim that is settled"
        expect(page.locator(".files img")).to_have_count(2)
        examine(page)
        page.goto("/claims")
        expect(page.locator(".claims .chip")).to_have_text("paid")
        page.get_by_role("link", name="中文").click()
        expect(page.get_by_role("heading", name="我的理赔")).to_be_visible()
        examine(page)


def test_a_declined_claimant_reads_the_clause_and_appeals(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-late", "pol-late")
    claim_id = seeding.claim(site, "clm-late", "pol-late", seed=13, occurred_at=seeding.late_event())
    seeding.record(site, claim_id)
    with a_visit(browser, site, "claimant", "clm-late", locale="zh-CN") as page:
        page.goto(f"/claims/{claim_id}")
        expect(page.get_by_role("heading", name="本次申请不予赔付")).to_be_visible()
        expect(page.locator("blockquote")).to_contain_text("条款 3.1")
        examine(page)
        page.fill("#appeal-note", "快递晚到三天。")
        page.get_by_role("button", name="提交复核").click()
        expect(page.get_by_role("heading", name="已转人工审核")).to_be_visible()
        expect(page.locator(".timeline q").first).to_have_text("快递晚到三天。")
    assert seeding.status_of(site, claim_id) == "referred"


def test_files_that_cannot_be_taken_are_refused_in_words(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-gif", "pol-gif")
    gif = io.BytesIO()
    Image.new("RGB", (8, 8)).save(gif, "GIF")
    with a_visit(browser, site, "claimant", "clm-gif", expected="status of 415") as page:
        page.goto("/claims/new")
        page.get_by_label("thawed").check(force=True)
        page.fill("#occurred", page.locator("#occurred").get_attribute("max") or "")
        page.fill("#amount", "12")
        page.fill("#payee", "62220202")
        page.set_input_files(
            "#files-photo", [{"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": gif.getvalue()}]
        )
        page.get_by_role("button", name="Send the claim").click()
        expect(page.locator(".failure")).to_contain_text("Photos must be JPEG, HEIC, PNG, WebP or AVIF")
        expect(page.get_by_role("button", name="Send the claim")).to_be_enabled()
    assert seeding.rows(site, "SELECT count(*) FROM claims WHERE claimant_id = 'clm-gif'")[0] == (0,)


def test_a_claimant_supplies_what_was_asked_for(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-ask", "pol-ask", product="outpatient_medical")
    claim_id = seeding.claim(
        site, "clm-ask", "pol-ask", "paper", seed=15, product="outpatient_medical", peril="illness",
        amount_minor=40_000,
    )  # fmt: skip
    seeding.ask_for_paper(site, claim_id)
    with a_visit(browser, site, "claimant", "clm-ask") as page:
        page.goto(f"/claims/{claim_id}")
        expect(page.locator(".why")).to_contain_text("please photograph it again")
        examine(page)
        page.set_input_files("#files-paper", [picture("clear.jpg", 16)])  # type: ignore[list-item]
        page.fill("#supply-note", "Photographed again by daylight.")
        page.get_by_role("button", name="Send and have it checked again").click()
        expect(page.get_by_role("heading", name="We are reviewing your claim")).to_be_visible()
        expect(page.locator(".timeline q").first).to_have_text("Photographed again by daylight.")


def test_an_adjuster_decides_case_after_case_by_keyboard(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-first", "pol-first")
    seeding.register(site, "clm-copy", "pol-copy")
    first = seeding.claim(site, "clm-first", "pol-first", seed=21)
    seeding.record(site, first)
    seeding.pay_out(site, first)
    copied = seeding.claim(site, "clm-copy", "pol-copy", seed=22)
    seeding.refer_for_copy(site, copied, first)
    seeding.register(site, "clm-bill", "pol-bill", product="outpatient_medical")
    billed = seeding.claim(
        site,
        "clm-bill",
        "pol-bill",
        "paper",
        seed=23,
        product="outpatient_medical",
        peril="illness",
        amount_minor=94_000,
    )
    seeding.refer_for_paper(site, billed)
    with a_visit(browser, site, "adjuster", "zhang-li") as page:
        page.goto("/queue?product=fresh_food_rot&cause=refer")
        examine(page)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        expect(page.locator(".open").first).to_be_focused()
        page.keyboard.press("Enter")

        expect(page.get_by_text("Yours until")).to_be_visible()
        assert first in page.locator(".compare").inner_text()
        for image in page.locator(".compare img").all():
            assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 320
        expect(page.locator(".links line")).to_have_count(len(seeding.PAIRS))
        page.keyboard.press("o")
        expect(page.locator(".overlay")).to_be_visible()
        page.keyboard.press("o")
        page.keyboard.press("l")
        expect(page.locator(".links line")).to_have_count(0)
        examine(page)

        page.keyboard.press("r")
        page.keyboard.type("The photo was used in another claim.")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_text("Refused. Here is the next.")).to_be_visible()
        assert seeding.status_of(site, copied) == "declined"


def test_an_adjuster_reads_a_paper_and_pays_what_is_due(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-paper", "pol-paper", product="outpatient_medical")
    claim_id = seeding.claim(
        site, "clm-paper", "pol-paper", "paper", seed=31, product="outpatient_medical", peril="illness",
        amount_minor=94_000,
    )  # fmt: skip
    seeding.refer_for_paper(site, claim_id)
    with a_visit(browser, site, "adjuster", "wang-fang") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        expect(page.locator("#verdict")).to_have_count(0)  # not before it is taken
        page.keyboard.press("t")
        page.locator("tr[data-field=total_minor]").hover()
        expect(page.locator("rect.lit")).to_have_count(1)
        expect(page.locator(".checks .failed")).to_contain_text("Items add up to the total")
        doubtful = page.locator("tr.doubtful")
        expect(doubtful).to_have_attribute("data-field", "total_minor")
        expect(doubtful.locator(".chip")).to_have_text("doubtful")
        expect(page.locator("rect.doubtful")).to_have_count(1)
        cut = page.locator("svg.piece image")  # each field, cut out of the page's own picture
        expect(cut).to_have_count(page.locator("tr[data-field]").count())
        expect(page.locator("aside .benefit .total")).to_contain_text("Amount due", ignore_case=True)
        examine(page)
        amount = page.locator("#amount")
        page.keyboard.press("a")
        expect(amount).to_be_focused()
        prefilled = amount.input_value()
        assert 0 < float(prefilled) < 940
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("status")).to_contain_text("Approved.")
    paid = seeding.rows(site, f"SELECT amount_minor FROM payouts WHERE claim_id = '{claim_id}'")
    assert paid == [(round(float(prefilled) * 100),)]


def test_a_claimant_reads_in_plain_words_how_the_amount_of_a_stay_comes_about(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-stay", "pol-stay", product="inpatient_medical", insured_name=INSURED)
    claim_id = seeding.claim(
        site, "clm-stay", "pol-stay", "paper", seed=51, product="inpatient_medical", peril="illness",
        amount_minor=500_000, other_insurance_minor=50_000,
    )  # fmt: skip
    seeding.pay_for_stay(site, claim_id)
    seeding.pay_out(site, claim_id)
    with a_visit(browser, site, "claimant", "clm-stay") as page:
        page.goto(f"/claims/{claim_id}")
        rows = page.locator(".benefit tr")
        expect(rows.filter(has_text="Already paid by another insurer")).to_contain_text("-¥500.00")
        expect(rows.filter(has_text="daily hospital allowance")).to_contain_text("¥100.00 a day for 2 days.")
        expect(page.locator(".benefit .total")).to_contain_text("The amount paid out.")
        examine(page)
        page.get_by_role("link", name="中文").click()
        expect(rows.filter(has_text="住院津贴")).to_contain_text("每天 ¥100.00，共 2 天。")
        examine(page)


def test_an_adjuster_sees_a_nose_against_its_thresholds(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-nose", "pol-nose")
    claim_id = seeding.claim(site, "clm-nose", "pol-nose", seed=17, amount_minor=5_000)
    seeding.refer_for_nose(site, claim_id)
    with a_visit(browser, site, "adjuster", "sun-mei", locale="zh-CN") as page:
        page.goto(f"/cases/{seeding.referral_of(site, claim_id)}")
        expect(page.locator(".gauge .needle")).to_be_visible()
        expect(page.locator(".gauge")).to_have_accessible_name("相似度 0.210")
        examine(page)


def test_an_operator_sees_rates_backlog_processes_and_flow_runs(browser: Browser, site: Api) -> None:
    seeding.register(site, "clm-ops", "pol-ops")
    claim_id = seeding.claim(site, "clm-ops", "pol-ops", seed=41)
    seeding.record(site, claim_id)
    seeding.pay_out(site, claim_id)
    with a_visit(browser, site, "operator", "ops") as page:
        expect(page.locator(".tile").first).to_contain_text("%")
        expect(page.get_by_text("No process has sent a heartbeat")).to_be_visible()
        link = page.locator(f"tr:has-text('{claim_id}') a")
        expect(link).to_have_attribute(
            "href", "http://prefect.example:4200/runs/flow-run/0f0e0d0c-0000-4000-8000-000000000001"
        )
        examine(page)
        seeding.beat(site, "worker")
        expect(page.get_by_text("worker@host:1")).to_be_visible()  # by itself
        examine(page)


def test_an_expired_session_leads_back_to_the_sign_in_page(browser: Browser, site: Api) -> None:
    with a_visit(browser, site, "adjuster", "li-na", expected="status of 401") as page:
        page.goto("/queue")
        page.context.clear_cookies(name="miaopei_session")
        page.wait_for_url("**/sign-in")
        examine(page)
