"""The pages without a browser: signing in, form tokens, access to pictures, one case for one person."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.token_keys import key_id, load_key
from api.settings import Settings
from claims.store import sessions
from tests.api.http import world
from tests.api.http.world import Api, jpeg, running
from tests.api.pages import seeding


@dataclass
class Seat:
    """A signed-in person's client."""

    client: httpx.Client
    csrf: str

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf, "key": secrets.token_urlsafe(24), **fields})


@dataclass
class World:
    api: Api
    mine: str  # a paid claim of clm-a
    copied: str  # a referred claim of clm-b, whose photo is clm-a's
    referral: str


@pytest.fixture(scope="module")
def small_world(site: Api) -> World:
    seeding.register(site, "clm-a", "pol-a")
    seeding.register(site, "clm-b", "pol-b")
    mine = seeding.claim(site, "clm-a", "pol-a", seed=1)
    seeding.record(site, mine)
    copied = seeding.claim(site, "clm-b", "pol-b", seed=2)
    seeding.refer_for_copy(site, copied, mine)
    return World(site, mine, copied, seeding.referral_of(site, copied))


def browser_like(api: Api) -> httpx.Client:
    client = api.anonymous()
    client.headers["Accept-Language"] = "en"
    return client


def sign_in(api: Api, role: str, subject: str) -> Seat:
    client = browser_like(api)
    form = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
    assert form is not None
    answer = client.post("/sign-in", data={"csrf": form[1], "token": api.token(role, subject)})
    assert answer.status_code == 303, answer.text
    page = client.get(answer.headers["location"])
    csrf = re.search(r'action="/sign-out"><input type="hidden" name="csrf" value="([^"]+)"', page.text)
    assert csrf is not None, page.text
    return Seat(client, csrf[1])


def opened_by(api: Api) -> sessions.OpenedBy:
    """Returns the store's record of the token that opened the session."""
    key = load_key(api.settings.token_key, api.settings.home)
    return sessions.OpenedBy(secrets.token_hex(8), key_id(key), datetime.now(UTC))


def test_everybody_lands_on_their_own_page_and_on_no_other(small_world: World) -> None:
    homes = {"claimant": "/claims", "adjuster": "/queue", "partner": "/queue", "operator": "/operations"}
    for role, home in homes.items():
        seat = sign_in(small_world.api, role, "clm-a" if role == "claimant" else "anshun")
        assert seat.client.get("/").headers["location"] == home
        for other in {"/claims", "/queue", "/operations"} - {home}:
            assert seat.client.get(other).status_code == 403


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(small_world: World) -> None:
    client = browser_like(small_world.api)
    page = client.get("/sign-in")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]  # type: ignore[index]
    answer = client.post("/sign-in", data={"csrf": csrf, "token": small_world.api.token("operator", "ops")})
    cookie = next(header for header in answer.headers.get_list("set-cookie") if header.startswith("miaopei_session"))
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert small_world.api.token("operator", "ops")[:40] not in cookie


def test_only_good_tokens_open_a_session(small_world: World) -> None:
    client = browser_like(small_world.api)
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)[1]  # type: ignore[index]
    old = small_world.api.token("adjuster", "zhang", valid_for=timedelta(seconds=-5))
    for token, status in ((old, 401), ("nonsense", 401), (small_world.api.token("platform", "shop"), 403)):
        answer = client.post("/sign-in", data={"csrf": csrf, "token": token})
        assert answer.status_code == status
        assert 'role="alert"' in answer.text
        assert "miaopei_session" not in str(answer.headers)
    foreign = client.post("/sign-in", data={"csrf": "other", "token": small_world.api.token("adjuster", "zhang")})
    assert foreign.status_code == 403


def test_nobody_signed_in_is_led_to_the_sign_in_page(small_world: World) -> None:
    client = browser_like(small_world.api)
    for path in ("/", "/claims", "/queue", "/operations", f"/cases/{small_world.referral}"):
        assert client.get(path).headers["location"] == "/sign-in"


def test_a_session_ends_by_time_and_by_signing_out(small_world: World) -> None:
    api, now = small_world.api, datetime.now(UTC)

    async def short(conn: AsyncConnection) -> None:
        await sessions.create(conn, "short", "adjuster", "zhang", "c", now - timedelta(hours=2), now, opened_by(api))

    seeding.stored(api, short)
    client = browser_like(api)
    client.cookies.set("miaopei_session", "short")
    assert client.get("/queue").headers["location"] == "/sign-in?ended=1"
    assert "has ended" in client.get("/sign-in?ended=1").text
    polled = client.get("/queue/rows", headers={"HX-Request": "true"})
    assert (polled.status_code, polled.headers["hx-redirect"]) == (401, "/sign-in?ended=1")

    seat = sign_in(api, "adjuster", "zhang")
    kept = dict(seat.client.cookies)
    assert seat.post("/sign-out").headers["location"] == "/sign-in"
    again = browser_like(api)
    again.cookies.update(kept)
    assert again.get("/queue").headers["location"] == "/sign-in?ended=1"


def test_a_form_without_its_token_or_from_another_site_changes_nothing(small_world: World) -> None:
    seat = sign_in(small_world.api, "claimant", "clm-b")
    path = f"/claims/{small_world.copied}/withdraw"
    fields = {"key": secrets.token_urlsafe(24)}
    assert seat.client.post(path, data=fields).status_code == 403
    assert seat.client.post(path, data=fields | {"csrf": "wrong"}).status_code == 403
    elsewhere = seat.client.post(path, data=fields | {"csrf": seat.csrf}, headers={"Origin": "https://evil.example"})
    assert elsewhere.status_code == 403
    upload = world.parts(world.statement("pol-b"), jpeg(3))
    assert seat.client.post("/claims", files=upload, headers=world.key()).status_code == 403
    assert seeding.status_of(small_world.api, small_world.copied) == "referred"


def test_a_foreign_claim_is_not_there(small_world: World) -> None:
    seat = sign_in(small_world.api, "claimant", "clm-b")
    for path in ("", "/live", "/files/photo-1.jpg", "/files/photo-1.jpg/preview"):
        assert seat.client.get(f"/claims/{small_world.mine}{path}").status_code == 404
    for action in ("appeal", "withdraw", "submit"):
        assert seat.post(f"/claims/{small_world.mine}/{action}", note="why").status_code == 404


def test_the_matched_picture_is_for_those_who_judge_the_case(small_world: World) -> None:
    path = f"/claims/{small_world.copied}/matches/photo-other"
    assert sign_in(small_world.api, "claimant", "clm-b").client.get(path).status_code == 403
    assert sign_in(small_world.api, "partner", "heyuan").client.get(path).status_code == 404
    # Another claimant's photo: not the insurer's to see, who has only this claim before it.
    assert sign_in(small_world.api, "partner", "anshun").client.get(path).status_code == 404
    answer = sign_in(small_world.api, "adjuster", "zhang").client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")


def test_the_page_tells_the_claimant_nothing_of_whose_photo_it_was(small_world: World) -> None:
    page = sign_in(small_world.api, "claimant", "clm-b").client.get(f"/claims/{small_world.copied}").text
    assert "A person is reviewing your claim" in page
    assert small_world.mine not in page
    assert "copy" not in page.split("<main")[1]


def test_a_claim_in_every_status_has_its_page(small_world: World) -> None:
    api = small_world.api
    seeding.register(api, "clm-all", "pol-all")
    claims = [seeding.claim(api, "clm-all", "pol-all", seed=50 + number) for number in range(3)]
    seeding.record(api, claims[0])
    seeding.fail_payout(api, claims[0])
    draft = api.as_("claimant", "clm-all").post("/v1/claims", json=world.statement("pol-all"), headers=world.key())
    seat = sign_in(api, "claimant", "clm-all")
    assert seat.post(f"/claims/{claims[1]}/withdraw").status_code == 303
    shown = {
        claims[0]: "the payment did not go through",
        claims[1]: "You have withdrawn this claim",
        claims[2]: "We are reviewing your claim",
        draft.json()["id"]: "Not sent yet",
    }
    for claim_id, words in shown.items():
        page = seat.client.get(f"/claims/{claim_id}")
        assert (page.status_code, words in page.text) == (200, True), claim_id
    assert "Your ¥59.80 are reserved" in seat.client.get(f"/claims/{claims[0]}").text
    failed = sign_in(api, "adjuster", "zhang").client.get(f"/cases/{seeding.referral_of(api, claims[0])}")
    assert "payment failed" in failed.text
    assert seat.post(f"/claims/{claims[1]}/appeal", note="why").status_code == 422


def test_originals_leave_as_attachments_only(small_world: World) -> None:
    answer = sign_in(small_world.api, "adjuster", "zhang").client.get(f"/claims/{small_world.mine}/files/photo-1.jpg")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.content == jpeg(1)


def test_a_partner_sees_the_cases_referred_to_it_and_no_others(small_world: World) -> None:
    assert small_world.referral in sign_in(small_world.api, "partner", "anshun").client.get("/queue").text
    other = sign_in(small_world.api, "partner", "heyuan")
    assert small_world.referral not in other.client.get("/queue").text
    assert other.client.get(f"/cases/{small_world.referral}").status_code == 404
    assert other.post(f"/cases/{small_world.referral}/take").status_code == 404
    assert other.post(f"/cases/{small_world.referral}/verdict", verdict="refuse", note="no").status_code == 404


def test_of_fifty_takers_of_one_case_one_wins(small_world: World) -> None:
    api, now, takers = small_world.api, datetime.now(UTC), 50

    async def seats(conn: AsyncConnection) -> None:
        for number in range(takers):
            until = now + timedelta(hours=1)
            await sessions.create(
                conn, f"t-{number}", "adjuster", f"adjuster-{number}", f"c-{number}", now, until, opened_by(api)
            )

    seeding.stored(api, seats)

    def take(number: int) -> int:
        with httpx.Client(base_url=api.url, trust_env=False, timeout=600, verify=False) as client:
            client.cookies.set("miaopei_session", f"t-{number}")
            # "Not now" of a busy machine answers nothing: ask again, as whoever sits there would.
            while True:
                answer = client.post(f"/cases/{small_world.referral}/take", data={"csrf": f"c-{number}"})
                if answer.status_code != 503:
                    return answer.status_code
                time.sleep(float(answer.headers["retry-after"]))

    with ThreadPoolExecutor(takers) as pool:
        answers = list(pool.map(take, range(takers)))
    assert sorted(answers) == [303] + [409] * (takers - 1)
    winner = answers.index(303)
    loser = (winner + 1) % takers
    with httpx.Client(base_url=api.url, trust_env=False, timeout=600, verify=False) as client:
        client.cookies.set("miaopei_session", f"t-{loser}")
        client.headers["Accept-Language"] = "en"
        assert f"adjuster-{winner} is working on it" in client.get(f"/cases/{small_world.referral}").text
        fields = {"csrf": f"c-{loser}", "key": secrets.token_urlsafe(24), "verdict": "refuse", "note": "no"}
        assert client.post(f"/cases/{small_world.referral}/verdict", data=fields).status_code == 422
        client.cookies.set("miaopei_session", f"t-{winner}")
        back = client.post(f"/cases/{small_world.referral}/give-back", data={"csrf": f"c-{winner}"})
        assert back.headers["location"] == "/queue"
    assert seeding.status_of(api, small_world.copied) == "referred"


def test_a_verdict_that_is_refused_keeps_what_was_typed(small_world: World) -> None:
    seat = sign_in(small_world.api, "adjuster", "zhang")
    seat.post(f"/cases/{small_world.referral}/take")
    too_much = seat.post(
        f"/cases/{small_world.referral}/verdict", verdict="approve", amount="9999", currency="CNY", note="generous"
    )
    assert too_much.status_code == 422
    assert "generous</textarea>" in too_much.text
    assert "The policy does not allow this" in too_much.text
    wordless = seat.post(f"/cases/{small_world.referral}/verdict", verdict="refuse")
    assert "The claimant needs a reason" in wordless.text
    assert seeding.status_of(small_world.api, small_world.copied) == "referred"
    seat.post(f"/cases/{small_world.referral}/give-back")


@pytest.mark.parametrize(
    ("amount", "code"),
    [("47,50", "amount_ambiguous"), ("1.234,50", "amount_ambiguous"), ("47.505", "amount_too_precise"),
     ("1e3", "amount_unreadable"), ("-5", "amount_negative"), ("", "amount_missing")],
)  # fmt: skip
def test_an_amount_that_can_be_misread_is_refused_by_its_code_and_changes_nothing(
    small_world: World, amount: str, code: str
) -> None:
    seat = sign_in(small_world.api, "adjuster", "zhang")
    seat.post(f"/cases/{small_world.referral}/take")
    answer = seat.post(f"/cases/{small_world.referral}/verdict", verdict="approve", amount=amount, currency="CNY")
    assert answer.status_code == 422
    assert f"({code})" in answer.text
    assert f'value="{amount}"' in answer.text
    assert seeding.status_of(small_world.api, small_world.copied) == "referred"
    assert seeding.rows(small_world.api, f"SELECT 1 FROM payouts WHERE claim_id = '{small_world.copied}'") == []
    seat.post(f"/cases/{small_world.referral}/give-back")


def test_pages_ask_how_an_amount_is_read(small_world: World) -> None:
    seat = sign_in(small_world.api, "claimant", "clm-a")

    def ask(typed: str, currency: str, language: str = "en") -> httpx.Response:
        headers = {"Accept": "application/json", "Accept-Language": language}
        return seat.client.get("/amounts", params={"typed": typed, "currency": currency}, headers=headers)

    assert ask("１，２３４．５", "CNY").json() == {"minor": 123_450, "text": "¥1,234.50"}
    assert ask("1,000", "JPY").json() == {"minor": 1_000, "text": "JP¥1,000"}
    assert ask("1.5", "KWD").json() == {"minor": 1_500, "text": "KWD 1.500"}
    refused = ask("47,50", "CNY", "zh")
    assert (refused.status_code, refused.json()["code"]) == (200, "amount_ambiguous")
    assert "1234.50" in refused.json()["message"]
    assert ask("1", "XYZ").status_code == 422
    assert browser_like(small_world.api).get("/amounts", headers={"Accept": "application/json"}).status_code == 401


def test_a_case_in_chinese_shows_no_raw_values(small_world: World) -> None:
    seat = sign_in(small_world.api, "adjuster", "zhang")
    seat.client.headers["Accept-Language"] = "zh"
    page = seat.client.get(f"/cases/{small_world.referral}").text
    assert "编辑过的复制件" in page or "照片" in page
    shown = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<script.*?</script>|<head.*?</head>", " ", page))
    assert re.findall(r"probability|matching points|similar or unseen|&lt;=|&gt;=|>=|<=", shown) == []


def test_the_language_follows_the_browser_until_one_is_chosen(small_world: World) -> None:
    client = browser_like(small_world.api)
    client.headers["Accept-Language"] = "zh-CN,zh;q=0.9,en;q=0.5"
    assert '<html lang="zh-CN">' in client.get("/sign-in").text
    assert client.get("/language/en", params={"back": "/sign-in"}).headers["location"] == "/sign-in"
    assert '<html lang="en">' in client.get("/sign-in").text
    for unsafe in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        assert client.get("/language/en", params={"back": unsafe}).headers["location"] == "/"


def test_every_page_forbids_foreign_and_inline_code(small_world: World) -> None:
    policy = browser_like(small_world.api).get("/sign-in").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.fixture
def homeless(tmp_path: Path) -> Iterator[Api]:
    """Runs the application with nothing listening at its database's address."""
    url = "postgresql+asyncpg://nobody:x@127.0.0.1:9/none"
    settings = Settings(home=tmp_path, database_url=url, evidence_url=f"file://{tmp_path}/evidence")
    with running(settings) as api:
        yield api


def test_a_store_that_is_away_is_said_on_a_page(homeless: Api) -> None:
    client = browser_like(homeless)
    client.cookies.set("miaopei_session", "whatever")
    answer = client.get("/queue")
    assert answer.status_code == 503
    assert "Nothing was lost" in answer.text
    assert 'href="/queue"' in answer.text
