"""Drafts and their files are private to the claimant: every route with a claim's id is called by everybody else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import httpx
from fastapi.routing import APIRoute

from api import pages as api_pages
from claims.decision import Outcome
from tests.api.http.test_access import MATRIX
from tests.api.http.world import Api, decide, jpeg, key, register, rows, statement, submit

# Whole requests, so that whoever gets past the door is not turned away for a misspelt body first.
BODIES: dict[str, dict[str, Any]] = {
    "/rulings": {"evidence_id": "E-1", "photo_id": "p-1", "ruling": "confirm", "note": ""},
    "/taking-back": {"note": ""},
    "/review": {"verdict": "refuse", "note": "no"},
    "/appeal": {"note": "mine"},
    "/withdraw": {"note": "mine"},
}
OTHERS = (("claimant", "clm-b"), ("adjuster", "wang"), ("partner", "anshun"), ("operator", "ops"), ("platform", "shop"))


def draft(api: Api) -> tuple[str, str]:
    """A draft of claimant A with one file: the claim's id and the file's."""
    register(api)
    register(api, policy_id="pol-b", claimant_id="clm-b")
    mine = api.as_("claimant", "clm-a")
    made = mine.post("/v1/claims", json=statement(), headers=key()).json()["id"]
    sent = mine.put(f"/v1/claims/{made}/evidence/rot.jpg", params={"kind": "photo"}, content=jpeg())
    assert sent.is_success, sent.text
    return made, sent.json()["id"]


def _body(path: str) -> dict[str, Any] | None:
    return next((body for end, body in BODIES.items() if path.endswith(end)), None)


def _ask(client: httpx.Client, method: str, template: str, claim: str, file: str) -> httpx.Response:
    names = {"claim_id": claim, "name": "rot.jpg", "evidence_id": file, "photo_id": file, "ruling_id": "R-1"}
    path = template.format(**names)
    headers = key() if method == "POST" else {}
    if method == "PUT":
        return client.put(path, params={"kind": "photo"}, content=jpeg(3))
    if template.endswith("/evidence") and method == "POST":
        return client.post(path, files=[("photo", ("x.jpg", jpeg(4), "image/jpeg"))], headers=headers)
    return client.request(method, path, json=_body(template), headers=headers)


def test_a_draft_does_not_exist_for_anybody_but_its_claimant_on_any_route_of_the_api(api: Api) -> None:
    claim, file = draft(api)
    asked = [(method, template) for method, template in MATRIX if "{claim_id}" in template]
    assert len(asked) >= 14
    wrong = []
    for method, template in asked:
        for role, subject in OTHERS:
            answer = _ask(api.as_(role, subject), method, template, claim, file)
            if answer.status_code not in (403, 404):
                wrong.append((method, template, role, answer.status_code))
    assert wrong == []
    mine = api.as_("claimant", "clm-a")
    shown = mine.get(f"/v1/claims/{claim}").json()
    assert (shown["status"], [file["name"] for file in shown["evidence"]]) == ("draft", ["rot.jpg"])
    assert mine.get(f"/v1/claims/{claim}/evidence/rot.jpg").content == jpeg()


def test_once_submitted_it_is_an_adjusters_to_read(api: Api) -> None:
    claim, _ = draft(api)
    adjuster = api.as_("adjuster", "wang")
    assert adjuster.get(f"/v1/claims/{claim}").status_code == 404
    assert api.as_("claimant", "clm-a").post(f"/v1/claims/{claim}/submit").is_success
    assert adjuster.get(f"/v1/claims/{claim}").status_code == 200
    assert adjuster.get(f"/v1/claims/{claim}/evidence/rot.jpg").status_code == 200


def test_a_withdrawn_draft_was_never_anybody_elses(api: Api) -> None:
    claim, _ = draft(api)
    assert api.as_("claimant", "clm-a").post(f"/v1/claims/{claim}/withdraw", json={"note": ""}).is_success
    adjuster = api.as_("adjuster", "wang")
    assert adjuster.get(f"/v1/claims/{claim}").status_code == 404
    assert adjuster.get(f"/v1/claims/{claim}/evidence/rot.jpg").status_code == 404


def test_a_file_for_a_claim_that_waits_for_more_is_seen_once_it_is_submitted(api: Api) -> None:
    register(api)
    claim = submit(api)["id"]
    decide(api, claim, Outcome.ASK)
    mine, adjuster = api.as_("claimant", "clm-a"), api.as_("adjuster", "wang")
    sent = mine.put(f"/v1/claims/{claim}/evidence/bill.jpg", params={"kind": "paper"}, content=jpeg(7))
    assert sent.is_success, sent.text

    def named(client: httpx.Client) -> list[str]:
        return sorted(file["name"] for file in client.get(f"/v1/claims/{claim}").json()["evidence"])

    assert named(mine) == ["bill.jpg", "photo-1.jpg"]
    assert named(adjuster) == ["photo-1.jpg"]
    for name in ("bill.jpg", sent.json()["id"]):
        assert adjuster.get(f"/v1/claims/{claim}/evidence/{name}").status_code == 404
        assert adjuster.get(f"/v1/claims/{claim}/evidence/{name}/preview").json()["code"] == "not_found"
    assert mine.post(f"/v1/claims/{claim}/submit").is_success
    assert named(adjuster) == ["bill.jpg", "photo-1.jpg"]
    assert adjuster.get(f"/v1/claims/{claim}/evidence/bill.jpg").status_code == 200


def _signed_in(api: Api, role: str, subject: str) -> httpx.Client:
    client = api.anonymous()
    form = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
    assert form is not None
    answer = client.post("/sign-in", data={"csrf": form[1], "token": api.token(role, subject)})
    assert answer.status_code == 303, answer.text
    return client


def test_a_draft_is_on_no_page_of_anybody_else(api: Api) -> None:
    claim, file = draft(api)
    templates = sorted(route.path for route in _page_routes() if "GET" in route.methods and "{claim_id}" in route.path)
    assert {"/claims/{claim_id}", "/claims/{claim_id}/files/{name}"} <= set(templates)
    wrong = []
    for role, subject in OTHERS[:-1]:
        client = _signed_in(api, role, subject)
        for template in templates:
            answer = _ask(client, "GET", template, claim, file)
            if answer.status_code not in (403, 404) or b"clm-a" in answer.content:
                wrong.append((template, role, answer.status_code))
        for path in ("/claims", "/queue", "/queue/rows", "/operations", "/operations/figures"):
            if claim in client.get(path).text:
                wrong.append((path, role, 200))
    assert wrong == []
    assert claim in _signed_in(api, "claimant", "clm-a").get(f"/claims/{claim}").text


def _page_routes() -> list[APIRoute]:
    """Returns the routes of every module of the pages that has a router."""
    routes: list[APIRoute] = []
    for module in pkgutil.iter_modules(api_pages.__path__):
        router = getattr(importlib.import_module(f"api.pages.{module.name}"), "router", None)
        routes += [route for route in getattr(router, "routes", ()) if isinstance(route, APIRoute)]
    return routes


def test_the_store_itself_finds_no_draft_without_its_claimant(api: Api) -> None:
    claim, _ = draft(api)
    assert rows(api, f"SELECT submitted_at FROM claims WHERE id = '{claim}'") == [(None,)]
    for path in ("/v1/queue", "/v1/floods"):
        assert claim not in api.as_("adjuster", "wang").get(path).text
