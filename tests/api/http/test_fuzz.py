"""Malformed requests to every route are refused and never cause a server error.

Each value that a route takes (path, query, header, every member of its JSON) is replaced, one at a time, by values that
break naive code; then whole requests that Hypothesis makes up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.http.app import create_app
from api.http.schemas.claims import CLAIM_EXAMPLE
from api.http.schemas.insured import PET_EXAMPLE, POLICY_EXAMPLE
from api.http.tokens import Role
from api.limits import RateLimits
from api.pages import routes as page_routes
from api.settings import Settings
from claims.decision import Outcome
from tests.api.http.world import SUSPICION, Api, decide, jpeg, key, parts, policy, register, running, statement, submit

HUGE = 10**30
TEXTS = [
    "", " ", "a\x00b", "\x1f", "\ud800", "\U0001f43e" * 50, "a" * 5_000, "../..", "'; DROP TABLE claims; --", "NaN",
    "-1", "9" * 400,
]  # fmt: skip
PAGE_TEXTS = ["", "a\x00b", "\ud800", "9" * 400, "0001-01-01T00:00:00+14:00"]
VALUES: list[Any] = [
    *TEXTS, None, True, -1, 2**63, HUGE, 10**4_000, 0.5, float("nan"), float("inf"), [], {}, {"\x00": "\ud800"},
    {"a": HUGE}, "20261129", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
]  # fmt: skip
BODIES = [
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"\x00", b"{}" * 2, b"[" * 20_000, b'{"a":' * 10_000, b"NaN",
    b'{"note": "\xff"}', b'{"note": "\\ud800"}', b'{"note": 1' + b"0" * 5_000 + b"}", b'{"note": "a", "note": "b"}',
]  # fmt: skip
DOCUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/policies"): dict(POLICY_EXAMPLE),
    ("PUT", "/v1/policies/{policy_id}"): {name: value for name, value in POLICY_EXAMPLE.items() if name != "id"},
    ("POST", "/v1/pets"): PET_EXAMPLE | {"claimant": {"id": "c", "name": "n", "credit_attributes": {"age": 30}}},
    ("PUT", "/v1/pets/{pet_id}"): {name: value for name, value in PET_EXAMPLE.items() if name != "id"},
    ("POST", "/v1/claims"): dict(CLAIM_EXAMPLE),
    ("POST", "/v1/claims/{claim_id}/withdraw"): {"note": "x"},
    ("POST", "/v1/claims/{claim_id}/appeal"): {"note": "x"},
    ("POST", "/v1/claims/{claim_id}/rulings"): {"evidence_id": "E-1", "photo_id": "p-1", "ruling": "reject"},
    ("POST", "/v1/claims/{claim_id}/rulings/{ruling_id}/taking-back"): {"note": "x"},
    ("POST", "/v1/floods/{flood_id}/ruling"): {"ruling": "common", "note": ""},
    ("POST", "/v1/claims/{claim_id}/review"): {"verdict": "approve", "amount_minor": 10**12, "currency": "XXX"},
    ("POST", "/v1/referrals/{referral_id}/decision"): {"verdict": "refuse", "note": "x"},
    ("POST", "/v1/recoveries/{recovery_id}/repayment"): {"reference": "r"},
    ("POST", "/v1/recoveries/{recovery_id}/write-off"): {"note": "x"},
    ("POST", "/v1/findings/{finding_id}/lifting"): {"note": "x"},
}
JSON = {"Content-Type": "application/json"}


class Fuzzed:
    """A server with a claim before a person, and clients of every role that may be asked for anything."""

    def __init__(self, api: Api) -> None:
        self.api = api
        register(api)
        claim = submit(api)
        decide(api, claim["id"], Outcome.REFER, SUSPICION)
        self.clients = {role: api.as_(role, "clm-a" if role is Role.CLAIMANT else "anshun") for role in Role}
        case = self.clients[Role.ADJUSTER].get("/v1/queue").json()["cases"][0]
        self.names = {
            "claim_id": claim["id"],
            "referral_id": case["referral_id"],
            "policy_id": "pol-1",
            "name": "photo-1.jpg",
        }
        self.paths = create_app(api.settings).openapi()["paths"]
        self._let_in: dict[tuple[str, str], httpx.Client] = {}

    def operations(self) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
        for path, methods in self.paths.items():
            for method, operation in methods.items():
                if path not in ("/readyz", "/metrics"):  # they take nothing, and look at the whole store
                    yield method.upper(), path, operation.get("parameters", [])

    def address(self, path: str, **raw: str) -> str:
        """Returns the path with every parameter filled in; those in `raw` unescaped."""
        return re.sub(r"\{(\w+)\}", lambda name: raw.get(name[1], self.names.get(name[1], "x-1")), path)

    def let_in(self, method: str, path: str) -> httpx.Client:
        """Returns a client whose role the route accepts."""
        if (method, path) not in self._let_in:
            headers = key() | JSON
            self._let_in[method, path] = next(
                client
                for client in self.clients.values()
                if client.request(method, self.address(path), headers=headers, content=b"{").status_code != 403
            )
        return self._let_in[method, path]

    def ask(self, method: str, path: str, address: str = "", **content: Any) -> None:
        """Sends the request to the route (at `address` where given) and checks that the answer is no server error."""
        headers = key() | content.pop("headers", {})
        answer = self.let_in(method, path).request(method, address or self.address(path), headers=headers, **content)
        assert answer.status_code < 500, (method, path, address, content, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture(scope="module")
def fuzzed(postgres: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    folder = tmp_path_factory.mktemp("fuzz")
    postgres.execute(f"CREATE DATABASE fuzz TEMPLATE {migrated_template} STRATEGY FILE_COPY")
    made = Settings(
        home=folder / "home",
        database_url=postgres.dsn("fuzz"),
        evidence_url=f"file://{folder}/evidence",
        http={"rates": RateLimits(**dict.fromkeys(("claims_by_subject", "requests_by_subject", "requests_by_address",
              "requests_by_machine", "uploads_by_subject", "claims_by_address", "uploads_by_address"), 0))},
    )  # fmt: skip
    try:
        with running(made) as api:
            yield Fuzzed(api)
    finally:
        postgres.execute("DROP DATABASE fuzz WITH (FORCE)")


def sent(document: object) -> bytes:
    """JSON as lenient clients write it: NaN, halves of surrogate pairs and huge numbers included."""
    return json.dumps(document).encode()


def escaped(text: str) -> str:
    """As a part of an address: at most 3,000 characters, so that the head of the request is not too long."""
    return quote(text.encode(errors="surrogatepass"), safe="")[:3_000]


def places(document: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in document.items():
        yield (*at, name)
        if isinstance(value, dict):
            yield from places(value, (*at, name))


def put(document: dict[str, Any], at: tuple[str, ...], value: object) -> dict[str, Any]:
    changed = deepcopy(document)
    inner = changed
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = value
    return changed


@pytest.mark.parametrize(("method", "path"), list(DOCUMENTS))
def test_no_value_in_a_document_breaks_its_route(fuzzed: Fuzzed, method: str, path: str) -> None:
    document = DOCUMENTS[method, path]
    for at in (*places(document), ("more",)):
        for value in VALUES:
            fuzzed.ask(method, path, content=sent(put(document, at, value)), headers=JSON)
    for body in BODIES:
        fuzzed.ask(method, path, content=body, headers=JSON)


def test_every_route_with_a_document_is_tried(fuzzed: Fuzzed) -> None:
    with_body = {
        (method.upper(), path)
        for path, methods in fuzzed.paths.items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert with_body == set(DOCUMENTS)


def test_no_name_in_an_address_breaks_a_route(fuzzed: Fuzzed) -> None:
    for method, path, _ in fuzzed.operations():
        for name in re.findall(r"\{(\w+)\}", path):
            for text in TEXTS:
                fuzzed.ask(method, path, fuzzed.address(path, **{name: escaped(text) or "%20"}))


def test_no_query_breaks_a_route(fuzzed: Fuzzed) -> None:
    texts = [*TEXTS, *(str(value) for value in VALUES if isinstance(value, int | float))]
    for method, path, parameters in fuzzed.operations():
        for name in [parameter["name"] for parameter in parameters if parameter["in"] == "query"]:
            for text in texts:
                raw = escaped(text)
                fuzzed.ask(method, path, f"{fuzzed.address(path)}?{name}={raw}&{name}={raw}")


def test_no_header_breaks_a_route(fuzzed: Fuzzed) -> None:
    values = [text.encode(errors="surrogatepass") for text in PAGE_TEXTS if "\x00" not in text]
    values += [b"\xff\xfe", b"multipart/form-data", b"multipart/form-data; boundary=", b"a/b; q=x"]
    names = (b"Idempotency-Key", b"Accept-Language", b"Content-Type", b"traceparent", b"X-Forwarded-For", b"Cookie",
             b"Origin", b"Accept", b"X-CSRF-Token", b"Range", b"If-None-Match")  # fmt: skip
    client = fuzzed.clients[Role.CLAIMANT]
    for method, path in (("POST", "/v1/claims"), ("GET", "/v1/claims"), ("GET", "/claims"), ("POST", "/sign-in")):
        for name in names:
            for value in values:
                headers = {b"Idempotency-Key": b"k", name: value.strip()[:3_000]}
                answer = client.request(method, path, headers=headers, content=b"{}")
                assert answer.status_code < 500, (method, path, name, value, answer.text)


def test_no_part_of_a_form_breaks_an_upload(fuzzed: Fuzzed) -> None:
    client, photo = fuzzed.clients[Role.CLAIMANT], ("photo", ("a.jpg", jpeg(), "image/jpeg"))
    more = fuzzed.address("/v1/claims/{claim_id}/evidence")
    for body in (*BODIES, *(sent(put(statement(), ("description",), value)) for value in VALUES)):
        files: list[tuple[str, Any]] = [("claim", (None, body, "application/json")), photo]
        assert client.post("/v1/claims", files=files, headers=key()).status_code < 500
        note: list[tuple[str, Any]] = [("note", (None, body, "text/plain")), photo]
        assert client.post(more, files=note, headers=key()).status_code < 500
    for text in TEXTS:
        head = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="'
        form = head + text.encode(errors="surrogatepass") + b'"\r\n\r\n' + jpeg() + b"\r\n--b--"
        headers = key() | {"Content-Type": "multipart/form-data; boundary=b"}
        assert client.post("/v1/claims", content=form, headers=headers).status_code < 500


def pages(router: Any) -> Iterator[tuple[str, str]]:
    """Yields method and path of every route of the pages, including nested routers."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in sorted((route.methods or set()) - {"HEAD"}))
        else:
            yield from pages(route.original_router)


def test_no_form_and_no_address_breaks_a_page(fuzzed: Fuzzed) -> None:
    """Signed in as everybody who can be; the fields are those that any page has."""
    fields = ("note", "key", "amount", "verdict", "ruling", "although_copy_paid", "evidence_id", "photo_id", "back")
    queries = ("before", "policy", "done", "seen", "product", "cause", "who", "hours", "ended", "back")
    tried = set()
    for role in (Role.CLAIMANT, Role.ADJUSTER, Role.OPERATOR):
        client, csrf = signed_in(fuzzed.api, role)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": csrf}
        for method, path in pages(page_routes.router):
            own = fuzzed.address(path)
            if path == "/sign-out" or client.request(method, own, headers=headers | key()).status_code == 403:
                continue
            tried.add((method, path))
            for text in PAGE_TEXTS:
                raw = escaped(text)[:300]
                form = "&".join(f"{name}={raw}" for name in fields).encode() + f"&csrf={csrf}".encode()
                content = form if method == "POST" else b""
                query = "&".join(f"{name}={raw}" for name in queries)
                for address in (re.sub(r"\{\w+\}", raw or "x", path), f"{own}?{query}"):
                    answer = client.request(method, address, content=content, headers=headers | key())
                    assert answer.status_code < 500, (method, address, text, answer.text[:500])
    assert len(tried) >= 15, tried


def signed_in(api: Api, role: Role) -> tuple[httpx.Client, str]:
    client = api.anonymous()
    form = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
    assert form is not None
    token = api.token(role, "clm-a" if role is Role.CLAIMANT else "anshun")
    answer = client.post("/sign-in", data={"csrf": form[1], "token": token})
    page = client.get(answer.headers["location"])
    csrf = re.search(r'action="/sign-out"><input type="hidden" name="csrf" value="([^"]+)"', page.text)
    assert csrf is not None
    return client, csrf[1]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(codec=None), max_size=20)
    | st.sampled_from(VALUES[: len(TEXTS)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_document_that_can_be_made_up_breaks_a_route(fuzzed: Fuzzed, data: st.DataObject) -> None:
    method, path = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    document: Any = DOCUMENTS[method, path]
    for _ in range(data.draw(st.integers(1, 3))):
        document = put(document, (data.draw(st.sampled_from(sorted(document))),), data.draw(anything))
    fuzzed.ask(method, path, content=sent(document), headers=JSON)


def test_an_honest_client_is_served_after_all_that(fuzzed: Fuzzed) -> None:
    platform = fuzzed.clients[Role.PLATFORM]
    terms = policy("pol-honest", "clm-honest", number="NO-honest")
    assert platform.post("/v1/policies", json=terms, headers=key()).status_code == 201
    claimant = fuzzed.api.as_("claimant", "clm-honest")
    files = parts(statement("pol-honest"), jpeg(3))
    assert claimant.post("/v1/claims", files=files, headers=key()).status_code == 202
