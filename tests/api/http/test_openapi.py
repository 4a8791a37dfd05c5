from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.http import openapi
from api.http.problems import KINDS
from api.http.schemas.claims import CLAIM_EXAMPLE, ClaimRequest
from api.http.schemas.insured import PET_EXAMPLE, POLICY_EXAMPLE, PetRequest, PolicyRequest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(openapi.document())
    return described


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_description_in_the_docs_is_current() -> None:
    kept = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert kept == openapi.document(), "run: python -m api.http.openapi docs/openapi.json"


def test_every_operation_has_a_summary_its_own_id_and_its_refusals(document: dict[str, Any]) -> None:
    listed = operations(document)
    assert all(operation["summary"] and operation["tags"] for _, operation in listed)
    assert len({operation["operationId"] for _, operation in listed}) == len(listed)
    for name, operation in listed:
        if " /v1/" not in name:
            continue
        assert {"401", "403", "503"} <= set(operation["responses"]), name
        refused = [answer for status, answer in operation["responses"].items() if status >= "400"]
        for answer in refused:
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for code, example in content["examples"].items():
                assert (example["value"]["code"], example["value"]["status"]) == (code, KINDS[code].status)


def test_every_post_that_creates_documents_its_key(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if name.startswith("POST "):
            assert any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]), name


def test_the_examples_are_requests_that_the_schemas_take() -> None:
    ClaimRequest.model_validate_json(json.dumps(CLAIM_EXAMPLE))
    PolicyRequest.model_validate_json(json.dumps(POLICY_EXAMPLE))
    PetRequest.model_validate_json(json.dumps(PET_EXAMPLE))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    wanted = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert wanted <= set(document["components"]["schemas"])


def test_the_docs_name_every_code_that_a_door_refusal_can_have() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [code for code in KINDS if f"`{code}`" not in page] == []
