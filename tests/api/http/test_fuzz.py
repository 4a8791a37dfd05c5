"""What no client should send, to every route: a refusal, never an error of ours.

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
from api.http.limits import RateLimits
from api.http.schemas.claims import CLAIM_EXAMPLE
from api.http.schemas.insured import PET_EXAMPLE, POLICY_EXAMPLE
from api.http.tokens import Role
from api.settings import Settings
from claims.decision import Outcome
from tests.api.http.world import SUSPICION, Api, decide, jpeg, key, parts, policy, register, running, statement, submit

HUGE = 10**30
TEXTS = ["", " ", "\x00", "a\x00b", "\x1f", "\x7f", "\u202e", "\ud800", "\udfff", "\U0001f43e" * 50, "a" * 5_000, "../..", "%00",
         "'; DROP TABLE claims; --", "{{7*7}}", "NaN", "null", "-1", "0x10", "１２", "9" * 400]  # fmt: skip
VALUES: list[Any] = [
    *TEXTS, None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, HUGE, -HUGE, 10**4_000, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), [], [[]], {}, {"a": {"b": None}}, {"\x00": "\ud800"}, {"": HUGE},
    "20261129", "2026-11-29", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-02-30T00:00:00Z",
]  # fmt: skip
BODIES = [
    b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"\x00", b"{}" * 2, b"[" * 20_000, b'{"a":' * 10_000, b"NaN",
    b'{"note": "\xff"}', b'{"note": "\\ud800"}', b'{"note": 1' + b"0" * 5_000 + b"}", b'{"note": "a", "note": "b"}',
]  # fmt: skip
DOCUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/policies"): dict(POLICY_EXAMPLE),
    ("PUT", "/v1/policies/{policy_id}"): {name: value for name, value in POLICY_EXAMPLE.items() if name != "id"},
    ("POST", "/v1/pets"): dict(PET_EXAMPLE),
    ("PUT", "/v1/pets/{pet_id}"): {name: value for name, value in PET_EXAMPLE.items() if name != "id"},
    ("POST", "/v1/claims"): dict(CLAIM_EXAMPLE),
    ("POST", "/v1/claims/{claim_id}/withdraw"): {"note": "x"},
    ("POST", "/v1/claims/{claim_id}/appeal"): {"note": "x"},
    ("POST", "/v1/claims/{claim_id}/rulings"): {"evidence_id": "E-1", "photo_id": "p-1", "ruling": "reject", "note": ""},
    ("POST", "/v1/claims/{claim_id}/rulings/{ruling_id}/taking-back"): {"note": "x"},
    ("POST", "/v1/floods/{flood_id}/ruling"): {"ruling": "common", "note": ""},
    ("POST", "/v1/claims/{claim_id}/review"): {"verdict": "approve", "amount_minor": 10**12, "currency": "XXX", "note": "x"},
    ("POST", "/v1/referrals/{referral_id}/decision"): {"verdict": "refuse", "note": "x"},
}  # fmt: skip


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

    def operations(self) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
        for path, methods in self.paths.items():
            for method, operation in methods.items():
                yield method.upper(), path, operation.get("parameters", [])

    def address(self, path: str, **changed: str) -> str:
        return re.sub(
            r"\{(\w+)\}", lambda name: quote(changed.get(name[1], self.names.get(name[1], "x-1")), safe=""), path
        )

    def ask(self, method: str, path: str, **content: Any) -> None:
        """Everybody sends it; nobody gets an error of ours."""
        headers = key() | content.pop("headers", {})
        for client in self.clients.values():
            answer = client.request(method, path, headers=headers, **content)
            assert answer.status_code < 500, (method, path, content, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture(scope="module")
def fuzzed(postgres: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    folder = tmp_path_factory.mktemp("fuzz")
    postgres.execute(f"CREATE DATABASE fuzz TEMPLATE {migrated_template}")
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
    role = next(
        role
        for role in Role
        if fuzzed.clients[role].request(method, fuzzed.address(path), headers=key(), json={"x": 1}).status_code != 403
    )
    client = fuzzed.clients[role]
    for at in (*places(document), ("more",)):
        for value in VALUES:
            answer = client.request(
                method,
                fuzzed.address(path),
                content=sent(put(document, at, value)),
                headers=key() | {"Content-Type": "application/json"},
            )
            assert answer.status_code < 500, (at, value, answer.text)
    for body in BODIES:
        fuzzed.ask(method, fuzzed.address(path), content=body, headers={"Content-Type": "application/json"})


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
                if text and text not in ("../..",):
                    written = text.encode(errors="surrogatepass").decode("latin-1")
                    address = fuzzed.address(path, **{name: "\0"}).replace(
                        "%00", quote(written.encode("latin-1"), safe="")
                    )
                    fuzzed.ask(method, address[:8_000])


def test_no_query_breaks_a_route(fuzzed: Fuzzed) -> None:
    texts = [*TEXTS, *(str(value) for value in VALUES if isinstance(value, int | float))]
    for method, path, parameters in fuzzed.operations():
        for name in [one["name"] for one in parameters if one["in"] == "query"]:
            for text in texts:
                raw = quote(text.encode(errors="surrogatepass"), safe="")
                fuzzed.ask(method, f"{fuzzed.address(path)}?{name}={raw}&{name}={raw}"[:8_000])


def test_no_header_breaks_a_route(fuzzed: Fuzzed) -> None:
    values = [text.encode(errors="surrogatepass") for text in TEXTS if "\x00" not in text and "\x1f" not in text]
    values = [
        value.strip()
        for value in (*values, b"\xff\xfe", b"multipart/form-data", b"multipart/form-data; boundary=", b"a/b; q=x")
    ]
    names = (b"Idempotency-Key", b"Accept-Language", b"Content-Type", b"traceparent", b"X-Forwarded-For", b"Cookie",
             b"Origin", b"Accept", b"X-CSRF-Token", b"Accept-Encoding", b"Range", b"If-None-Match")  # fmt: skip
    for method, path in (
        ("POST", "/v1/claims"),
        ("GET", "/v1/claims"),
        ("GET", "/claims"),
        ("POST", "/sign-in"),
        ("POST", "/claims"),
    ):
        for name in names:
            for value in values:
                headers = {b"Idempotency-Key": b"k", name: value[:4_000]}
                answer = httpx.Client(base_url=fuzzed.api.url, trust_env=False).request(method, path, headers=headers)
                assert answer.status_code < 500, (method, path, name, value, answer.text)
                client = fuzzed.clients[Role.CLAIMANT]
                answer = client.request(method, path, headers=headers, content=b"{}")
                assert answer.status_code < 500, (method, path, name, value, answer.text)


def test_no_part_of_a_form_breaks_an_upload(fuzzed: Fuzzed) -> None:
    client = fuzzed.clients[Role.CLAIMANT]
    for body in (*BODIES, *(sent(put(statement(), ("description",), value)) for value in VALUES)):
        files: list[tuple[str, Any]] = [
            ("claim", (None, body, "application/json")),
            ("photo", ("a.jpg", jpeg(), "image/jpeg")),
        ]
        assert client.post("/v1/claims", files=files, headers=key()).status_code < 500
        note = [("note", (None, body, "text/plain")), ("photo", ("a.jpg", jpeg(), "image/jpeg"))]
        path = f"/v1/claims/{fuzzed.names['claim_id']}/evidence"
        assert client.post(path, files=note, headers=key()).status_code < 500
    for text in TEXTS:
        name = text.encode(errors="surrogatepass")
        body = (
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="'
            + name
            + b'"\r\n\r\n'
            + jpeg()
            + b"\r\n--b--"
        )
        headers = key() | {"Content-Type": "multipart/form-data; boundary=b"}
        assert client.post("/v1/claims", content=body, headers=headers).status_code < 500


def test_no_form_and_no_address_breaks_a_page(fuzzed: Fuzzed) -> None:
    """Signed in as everybody who can be; the fields are those that any page has."""
    pages = [
        route
        for route in create_app(fuzzed.api.settings).routes
        if isinstance(route, APIRoute) and not route.include_in_schema
    ]
    assert len(pages) > 20
    fields = (
        "note",
        "key",
        "amount",
        "verdict",
        "ruling",
        "although_copy_paid",
        "evidence_id",
        "photo_id",
        "token",
        "back",
    )
    queries = ("before", "policy", "done", "seen", "product", "cause", "who", "hours", "ended", "back")
    for role in (Role.CLAIMANT, Role.ADJUSTER, Role.PARTNER, Role.OPERATOR):
        client, csrf = signed_in(fuzzed.api, role)
        for route in pages:
            for method in route.methods - {"HEAD"}:
                if route.path in ("/sign-out", "/sign-in"):
                    continue
                for text in TEXTS:
                    raw = quote(text.encode(errors="surrogatepass"), safe="")[:4_000]
                    path = re.sub(r"\{\w+\}", raw or "x", route.path)
                    own = fuzzed.address(route.path)
                    form = "&".join(f"{name}={raw}" for name in fields).encode() + f"&csrf={csrf}".encode()
                    query = "&".join(f"{name}={raw[:300]}" for name in queries)
                    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-CSRF-Token": csrf} | key()
                    content = form if method == "POST" else b""
                    for address in (path, f"{own}?{query}"):
                        answer = client.request(method, address, content=content, headers=headers)
                        assert answer.status_code < 500, (method, address, text, answer.text[:500])


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


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_document_that_can_be_made_up_breaks_a_route(fuzzed: Fuzzed, data: st.DataObject) -> None:
    method, path = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    document: Any = DOCUMENTS[method, path]
    for _ in range(data.draw(st.integers(1, 3))):
        document = put(document, (data.draw(st.sampled_from(sorted(document))),), data.draw(anything))
    fuzzed.ask(method, fuzzed.address(path), content=sent(document), headers={"Content-Type": "application/json"})


def test_an_honest_client_is_served_after_all_that(fuzzed: Fuzzed) -> None:
    platform = fuzzed.clients[Role.PLATFORM]
    terms = policy("pol-honest", "clm-honest", number="NO-honest")
    assert platform.post("/v1/policies", json=terms, headers=key()).status_code == 201
    claimant = fuzzed.api.as_("claimant", "clm-honest")
    files = parts(statement("pol-honest"), jpeg(3))
    assert claimant.post("/v1/claims", files=files, headers=key()).status_code == 202
