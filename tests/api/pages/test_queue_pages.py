"""The adjusters' page and API over more cases than one page holds."""

from __future__ import annotations

import asyncio
import re

import pytest

from api.pages.adjuster import QUEUE_ROWS
from claims.store.engine import connect
from tests.api.http.world import Api
from tests.api.pages import seeding
from tests.api.pages.test_pages_http import sign_in
from tests.claims.store.test_waiting import COUNT
from tests.claims.store.test_waiting import seed as seed_store

WAITING = COUNT + 4 - (COUNT + 4) // 50


@pytest.fixture(scope="module")
def crowded(site: Api) -> Api:
    seeding.register(site, "ann", "pol-ann")

    async def fill() -> None:
        engine = connect(site.settings.database_url)
        await seed_store(engine)
        await engine.dispose()

    seeding.apart(lambda: asyncio.run(fill()))
    return site


def cases(page: str) -> list[str]:
    return re.findall(r'<tr id="case-(r-\d+)"', page)


def test_the_page_finds_the_last_four_of_a_product_and_says_how_many_there_are(crowded: Api) -> None:
    seat = sign_in(crowded, "adjuster", "wang")
    page = seat.client.get("/queue?product=outpatient_medical").text
    assert cases(page) == [f"r-{COUNT + number}" for number in (1, 2, 3, 4)]
    assert "4 fit the filter" in page
    assert re.search(r'value="outpatient_medical" selected>[^<]+\(4\)<', page)
    assert f"{WAITING} waiting" in page


def test_every_case_is_on_exactly_one_page_and_the_table_alone_is_the_same(crowded: Api) -> None:
    seat = sign_in(crowded, "adjuster", "wang")
    shown, address = [], "/queue"
    while address:
        page = seat.client.get(address).text
        shown += cases(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        polled = re.search(r'hx-get="([^"]+)"', page)
        assert polled is not None
        assert cases(seat.client.get(polled[1].replace("&amp;", "&")).text) == cases(page)
        address = following[1].replace("&amp;", "&") if following is not None else ""
    assert len(shown) == len(set(shown)) == WAITING
    assert len(cases(seat.client.get("/queue?page=2").text)) == QUEUE_ROWS
    for odd in ("0", "-1", "x", "999999", "1" * 40):
        assert seat.client.get(f"/queue?page={odd}").status_code == 200
    assert cases(seat.client.get("/queue?cause=nonsense&who=nonsense").text) == shown[:QUEUE_ROWS]


def test_the_next_free_case_is_taken_behind_three_hundred_that_others_have(crowded: Api) -> None:
    seat = sign_in(crowded, "adjuster", "chen")
    answer = seat.post("/cases/next")
    assert answer.headers["location"] == "/cases/r-301"


def test_the_api_filters_counts_and_pages_likewise_and_an_insurer_sees_its_own_alone(crowded: Api) -> None:
    adjuster = crowded.as_("adjuster", "wang")
    queue = adjuster.get("/v1/queue?product=outpatient_medical").json()
    assert [case["referral_id"] for case in queue["cases"]] == [f"r-{COUNT + number}" for number in (1, 2, 3, 4)]
    assert (queue["fitting"], queue["counts"]["total"], queue["counts"]["by_product"]["outpatient_medical"]) == (
        4,
        WAITING,
        4,
    )
    last = adjuster.get(f"/v1/queue?offset={WAITING - 1}").json()
    assert [case["referral_id"] for case in last["cases"]] == [f"r-{COUNT + 4}"]
    assert adjuster.get("/v1/queue?holder=mine").json()["fitting"] == 0
    assert adjuster.get("/v1/queue?cause=flood").status_code == 422
    own = crowded.as_("partner", "heyuan").get("/v1/referrals?limit=200").json()
    assert own["fitting"] == adjuster.get("/v1/queue?partner=heyuan").json()["fitting"]
    assert 200 < own["fitting"] < WAITING
    assert "outpatient_medical" in {
        referral["product"]
        for referral in crowded.as_("partner", "heyuan")
        .get("/v1/referrals?product=outpatient_medical")
        .json()["referrals"]
    }
