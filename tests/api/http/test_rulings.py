"""Rulings on matches and floods over the API: roles, once only, own cases only, and the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from claims.evidence import MatchOwner, PhotoMatch, PhotoVerdict, Placement
from claims.floods import FloodLimits
from claims.store import floods
from claims.store.blobs import BlobStore
from claims.store.floods import SightedPicture
from tests.api.http.world import Api, jpeg, key, register, rows
from tests.api.pages import seeding

OUTLINE = ((-0.1, -0.1), (1.1, -0.1), (1.1, 1.1), (-0.1, 1.1))


@pytest.fixture
def case(api: Api) -> dict[str, str]:
    """Files Ann's claim, whose photo is a copy of Bob's; returns the ids and the match as shown."""
    register(api, policy_id="pol-1", claimant_id="clm-a")
    register(api, policy_id="pol-2", claimant_id="clm-b")
    original = seeding.claim(api, "clm-b", "pol-2", seed=1)
    seeding.record(api, original)
    claim_id = seeding.claim(api, "clm-a", "pol-1", seed=2)
    overlay = BlobStore(api.settings.evidence_url).put(jpeg(7))

    def facts(file: Any, preview: str) -> dict[str, Any]:
        match = PhotoMatch(
            "photo-other", MatchOwner.OTHER_CLAIMANT, original, PhotoVerdict.EDITED_COPY, 0.9987, 65, "mirrored",
            seeding.PAIRS, preview, placement=Placement(0.8, 1.5, True, 0.55, 1.0, OUTLINE), overlay_sha256=overlay,
            claim_status="approved",
        )  # fmt: skip
        web = replace(match, photo_id="web:1", owner=MatchOwner.WEB, claim_id="", claim_status="")
        return {"photos": tuple(seeding.photo_facts(row, match, web) for row in file.evidence)}

    seeding.record(api, claim_id, facts)
    (evidence,) = rows(api, f"SELECT id FROM evidence WHERE claim_id = '{claim_id}'")[0]
    return {"claim": claim_id, "original": original, "evidence": str(evidence)}


def ruling(case: dict[str, str], word: str = "reject", **changed: str) -> dict[str, str]:
    return {"evidence_id": case["evidence"], "photo_id": "photo-other", "ruling": word} | changed


def test_adjusters_and_the_insurer_read_the_match_in_numbers(api: Api, case: dict[str, str]) -> None:
    for role, subject in (("adjuster", "mei"), ("partner", "anshun")):
        answer = api.as_(role, subject).get(f"/v1/claims/{case['claim']}/matches")
        assert answer.status_code == 200, answer.text
        (photo,) = answer.json()["photos"]
        match, web = photo["matches"]
        assert (web["photo_id"], web["owner"], web["claim_id"]) == ("web:1", "web", "")
        assert match["placement"]["mirrored"] is True
        assert (match["placement"]["scale"], match["placement"]["shown_ratio"]) == (0.8, 0.55)
        assert (match["ruling"], match["owner"]) == ("", "other_claimant")
        # An insurer learns nothing of a claim that was not referred to it.
        told = (case["original"], "approved") if role == "adjuster" else ("", "")
        assert (match["claim_id"], match["claim_status"]) == told


def test_the_proof_is_shown_to_who_judges_and_to_nobody_else(api: Api, case: dict[str, str]) -> None:
    href = f"/v1/claims/{case['claim']}/matches/{case['evidence']}/photo-other/overlay"
    shown = api.as_("adjuster", "mei").get(href)
    assert (shown.status_code, shown.headers["content-type"], shown.content) == (200, "image/jpeg", jpeg(7))
    assert api.as_("claimant", "clm-a").get(href).status_code == 403
    assert api.as_("claimant", "clm-a").get(f"/v1/claims/{case['claim']}/matches").status_code == 403
    assert api.as_("partner", "other-insurer").get(href).status_code == 404
    assert api.as_("partner", "other-insurer").get(f"/v1/claims/{case['claim']}/matches").status_code == 404


def test_a_word_on_a_match_is_kept_once_and_repeats_with_its_key(api: Api, case: dict[str, str]) -> None:
    adjuster, path, own = api.as_("adjuster", "mei"), f"/v1/claims/{case['claim']}/rulings", key()
    first = adjuster.post(path, json=ruling(case), headers=own)
    assert (first.status_code, first.json()["ruling"]) == (201, "reject")
    again = adjuster.post(path, json=ruling(case), headers=own)
    assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (201, first.json(), "true")
    other = adjuster.post(path, json=ruling(case, "confirm"), headers=key())
    assert (other.status_code, other.json()["code"]) == (409, "ruled_already")
    (photo,) = adjuster.get(f"/v1/claims/{case['claim']}/matches").json()["photos"]
    assert photo["matches"][0]["ruling"] == "reject"
    assert rows(api, "SELECT ruling, ruled_by FROM match_rulings") == [("reject", "adjuster:mei")]
    assert ("match.ruled",) in rows(api, f"SELECT action FROM audit WHERE subject = '{case['claim']}'")


def test_the_insurer_rules_on_its_own_referrals_alone(api: Api, case: dict[str, str]) -> None:
    path = f"/v1/claims/{case['claim']}/rulings"
    foreign = api.as_("partner", "other-insurer").post(path, json=ruling(case), headers=key())
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    insurer = api.as_("partner", "anshun")
    unseen = insurer.post(path, json=ruling(case, "common"), headers=key())
    assert unseen.status_code == 404  # the other claim was not referred to it: it may not see the picture
    own = insurer.post(path, json=ruling(case, "common", photo_id="web:1"), headers=key())
    assert own.status_code == 201, own.text
    assert rows(api, "SELECT match_photo_id, ruled_by FROM match_rulings") == [("web:1", "partner:anshun")]


def taking_back(case: dict[str, str], ruling_id: str) -> str:
    return f"/v1/claims/{case['claim']}/rulings/{ruling_id}/taking-back"


def test_a_word_is_taken_back_once_repeats_with_its_key_and_the_pair_is_ruled_on_anew(
    api: Api, case: dict[str, str]
) -> None:
    adjuster, own = api.as_("adjuster", "mei"), key()
    made = adjuster.post(f"/v1/claims/{case['claim']}/rulings", json=ruling(case, "common"), headers=key()).json()
    (photo,) = adjuster.get(f"/v1/claims/{case['claim']}/matches").json()["photos"]
    assert photo["matches"][0]["ruling_id"] == made["id"]
    other = api.as_("adjuster", "lin")
    gone = other.post(taking_back(case, made["id"]), json={"note": "the wrong photo"}, headers=own)
    assert gone.status_code == 200, gone.text
    told = gone.json()
    assert (told["ruling"], told["ruled_by"], told["unlearnt"]) == ("common", "adjuster:mei", True)
    again = other.post(taking_back(case, made["id"]), json={"note": "the wrong photo"}, headers=own)
    assert (again.json(), again.headers["idempotent-replayed"]) == (told, "true")
    late = adjuster.post(taking_back(case, made["id"]), json={}, headers=key())
    assert (late.status_code, late.json()["code"]) == (404, "not_found")
    (photo,) = adjuster.get(f"/v1/claims/{case['claim']}/matches").json()["photos"]
    assert (photo["matches"][0]["ruling"], photo["matches"][0]["ruling_id"]) == ("", "")
    anew = adjuster.post(f"/v1/claims/{case['claim']}/rulings", json=ruling(case, "confirm"), headers=key())
    assert (anew.status_code, anew.json()["ruling"]) == (201, "confirm")
    assert anew.json()["id"] != made["id"]
    actions = rows(api, f"SELECT action, actor FROM audit WHERE subject = '{case['claim']}' ORDER BY seq")
    assert actions[-3:] == [
        ("match.ruled", "adjuster:mei"), ("match.ruling_taken_back", "adjuster:lin"), ("match.ruled", "adjuster:mei"),
    ]  # fmt: skip


def test_an_insurer_takes_back_its_own_word_alone_and_an_adjuster_anybodys(api: Api, case: dict[str, str]) -> None:
    adjuster, insurer, path = api.as_("adjuster", "mei"), api.as_("partner", "anshun"), f"/v1/claims/{case['claim']}"
    ours = adjuster.post(f"{path}/rulings", json=ruling(case, photo_id="web:1"), headers=key()).json()["id"]
    refused = insurer.post(taking_back(case, ours), json={}, headers=key())
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    foreign = api.as_("partner", "other-insurer").post(taking_back(case, ours), json={}, headers=key())
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert rows(api, "SELECT ruled_by FROM match_rulings") == [("adjuster:mei",)]
    assert adjuster.post(taking_back(case, ours), json={}, headers=key()).status_code == 200
    for client in (insurer, adjuster):
        theirs = insurer.post(f"{path}/rulings", json=ruling(case, photo_id="web:1"), headers=key()).json()["id"]
        assert client.post(taking_back(case, theirs), json={}, headers=key()).status_code == 200
    assert rows(api, "SELECT count(*) FROM match_rulings") == [(0,)]


def test_a_word_of_another_claim_is_not_taken_back_through_this_one(api: Api, case: dict[str, str]) -> None:
    adjuster = api.as_("adjuster", "mei")
    ruling_id = adjuster.post(f"/v1/claims/{case['claim']}/rulings", json=ruling(case), headers=key()).json()["id"]
    wrong = adjuster.post(f"/v1/claims/{case['original']}/rulings/{ruling_id}/taking-back", json={}, headers=key())
    assert (wrong.status_code, wrong.json()["code"]) == (404, "not_found")
    without = adjuster.post(taking_back(case, ruling_id), json={})
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    odd = adjuster.post(taking_back(case, ruling_id), json={"note": "x", "extra": 1}, headers=key())
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_request")
    assert rows(api, "SELECT count(*) FROM match_rulings") == [(1,)]


@pytest.mark.parametrize("role", ["claimant", "operator", "platform"])
def test_nobody_else_rules(api: Api, case: dict[str, str], role: str) -> None:
    answer = api.as_(role, "clm-a").post(f"/v1/claims/{case['claim']}/rulings", json=ruling(case), headers=key())
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"photo_id": "photo-none"}, 404, "not_found"),
        ({"evidence_id": "E-none"}, 404, "not_found"),
        ({"ruling": "maybe"}, 422, "invalid_request"),
        ({"photo_id": ""}, 422, "invalid_request"),
        ({"photo_id": "a b"}, 422, "invalid_request"),
        ({"extra": "x"}, 422, "invalid_request"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    api: Api, case: dict[str, str], changed: dict[str, str], status: int, code: str
) -> None:
    adjuster = api.as_("adjuster", "mei")
    answer = adjuster.post(f"/v1/claims/{case['claim']}/rulings", json=ruling(case, **changed), headers=key())
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    without = adjuster.post(f"/v1/claims/{case['claim']}/rulings", json=ruling(case))
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    unknown = adjuster.post("/v1/claims/C-none/rulings", json=ruling(case), headers=key())
    assert unknown.status_code == 404
    assert rows(api, "SELECT count(*) FROM match_rulings") == [(0,)]


def a_flood(api: Api, case: dict[str, str]) -> str:
    """Opens a flood: both claims' photos match a web picture, and one claim is enough for a flood here."""

    async def work(conn: Any) -> str:
        preview = BlobStore(api.settings.evidence_url).put(jpeg(9))
        limits, now = FloodLimits(claims_max=1), seeding.datetime.now(seeding.UTC)
        web = SightedPicture("web:abc", "", preview)
        await floods.sight(conn, SightedPicture("p-b", case["original"], preview), [web], now, limits)
        return await floods.sight(conn, SightedPicture("p-a", case["claim"], ""), [web], now, limits)

    return seeding.stored(api, work)


def test_adjusters_see_a_flood_with_its_pictures_and_rule_once(api: Api, case: dict[str, str]) -> None:
    flood_id, adjuster = a_flood(api, case), api.as_("adjuster", "mei")
    (flood,) = adjuster.get("/v1/floods").json()["floods"]
    assert (flood["id"], flood["claims_seen"], flood["claims_held"]) == (flood_id, 2, 0)
    first = flood["pictures"][0]
    assert (first["photo_id"], first["matched"], first["claim_id"]) == ("web:abc", False, "")
    assert adjuster.get(first["href"]).content == jpeg(9)
    assert adjuster.get(f"/v1/floods/{flood_id}/pictures/p-none").status_code == 404
    assert adjuster.get(f"/v1/floods/{flood_id}/pictures/p-a").json()["code"] == "preview_pending"
    metrics = api.anonymous().get("/metrics").text
    assert "miaopei_floods_open 1.0" in metrics
    assert "miaopei_claims_held 0.0" in metrics

    path, word = f"/v1/floods/{flood_id}/ruling", {"ruling": "common", "note": "an icon"}
    own = key()
    ruled = adjuster.post(path, json=word, headers=own)
    assert (ruled.status_code, ruled.json()["state"], ruled.json()["ruled_by"]) == (200, "ruled", "adjuster:mei")
    assert adjuster.post(path, json=word, headers=own).json() == ruled.json()
    again = adjuster.post(path, json={"ruling": "copies"}, headers=key())
    assert (again.status_code, again.json()["code"]) == (409, "ruled_already")
    assert adjuster.get("/v1/floods").json()["floods"] == []
    assert adjuster.get("/v1/floods?state=ruled").json()["floods"][0]["ruling"] == "common"
    assert "miaopei_floods_open 0.0" in api.anonymous().get("/metrics").text


@pytest.mark.parametrize("role", ["claimant", "partner", "operator", "platform"])
def test_floods_are_for_adjusters_alone(api: Api, case: dict[str, str], role: str) -> None:
    flood_id, other = a_flood(api, case), api.as_(role, "anshun")
    assert other.get("/v1/floods").status_code == 403
    assert other.get(f"/v1/floods/{flood_id}/pictures/web:abc").status_code == 403
    ruled = other.post(f"/v1/floods/{flood_id}/ruling", json={"ruling": "common"}, headers=key())
    assert ruled.status_code == 403


def test_a_flood_that_does_not_exist_or_a_word_that_does_not_is_refused(api: Api, case: dict[str, str]) -> None:
    flood_id, adjuster = a_flood(api, case), api.as_("adjuster", "mei")
    none = adjuster.post("/v1/floods/F-none/ruling", json={"ruling": "common"}, headers=key())
    assert (none.status_code, none.json()["code"]) == (404, "not_found")
    odd = adjuster.post(f"/v1/floods/{flood_id}/ruling", json={"ruling": "pay all"}, headers=key())
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_request")


@pytest.fixture
def scene(api: Api) -> dict[str, str]:
    """Files Ann's claim, whose photo shows the scene of Bob's; returns the ids."""
    register(api, policy_id="pol-1", claimant_id="clm-a")
    register(api, policy_id="pol-2", claimant_id="clm-b")
    original = seeding.claim(api, "clm-b", "pol-2", seed=1)
    seeding.record(api, original)
    claim_id = seeding.claim(api, "clm-a", "pol-1", seed=2)

    def facts(file: Any, preview: str) -> dict[str, Any]:
        match = seeding.scene_of(original, preview, MatchOwner.OTHER_CLAIMANT)
        return {"photos": tuple(seeding.photo_facts(row, match) for row in file.evidence)}

    seeding.record(api, claim_id, facts)
    return {"claim": claim_id, "original": original}


def test_another_photo_of_the_scene_is_shown_with_its_measures_and_judged_by_nobody(
    api: Api, scene: dict[str, str]
) -> None:
    (photo,) = api.as_("adjuster", "mei").get(f"/v1/claims/{scene['claim']}/matches").json()["photos"]
    (match,) = photo["matches"]
    assert (photo["verdict"], match["verdict"], match["claim_id"]) == ("same_scene", "same_scene", scene["original"])
    assert (match["tight_inliers"], match["tight_ratio"], match["contained_ratio"]) == (31, 0.54, 0.93)
    claim = api.as_("adjuster", "mei").get(f"/v1/claims/{scene['claim']}").json()
    assert claim["status"] == "approved"
    (noted,) = [why for why in claim["decision"]["reasons"] if why["code"] == "photo_of_same_scene"]
    assert (noted["ground"], noted["pulls"]) == ("clear", "pay")
    assert rows(api, "SELECT copied FROM claim_links") == [(False,)]


def test_a_claimant_is_not_told_that_somebody_else_photographed_the_scene(api: Api, scene: dict[str, str]) -> None:
    ann, bob = api.as_("claimant", "clm-a"), api.as_("claimant", "clm-b")
    told = ann.get(f"/v1/claims/{scene['claim']}")
    assert "scene" not in told.text
    assert scene["original"] not in told.text
    alone = bob.get(f"/v1/claims/{scene['original']}").json()["decision"]
    codes = sorted(why["code"] for why in told.json()["decision"]["reasons"])
    assert codes == sorted(why["code"] for why in alone["reasons"])
