"""Adds to the OpenAPI document what schemas do not tell: problem responses, request bodies that stream, headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from api.http.problems import KINDS, MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]
PROBLEM_REF = "#/components/schemas/Problem"


class SchemaError(BaseModel):
    """A part of the request that is wrong."""

    pointer: str = Field(examples=["/body/amount_minor"])
    code: str = Field(examples=["greater_than"])
    detail: str


class ProblemView(BaseModel):
    """A problem document (RFC 9457). `code` is stable; `errors` comes with `invalid_request`."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(examples=["urn:miaopei:problem:not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str
    trace_id: str = Field(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])
    errors: list[SchemaError] = []


def refusals(*codes: str) -> Responses:
    """Returns the `responses` of a route: one problem response for each status, with an example for each code."""
    by_status: Responses = {}
    for code in codes:
        kind = KINDS[code]
        entry = by_status.setdefault(
            kind.status,
            {"description": "", "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM_REF}, "examples": {}}}},
        )
        entry["description"] = " / ".join(filter(None, [entry["description"], kind.title]))
        entry["content"][MEDIA_TYPE]["examples"][code] = {
            "value": {
                "type": f"urn:miaopei:problem:{code}",
                "title": kind.title,
                "status": kind.status,
                "code": code,
                "detail": kind.title + ".",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            }
        }
    return by_status


SIGNED_IN = (
    "unauthenticated",
    "token_invalid",
    "token_expired",
    "token_revoked",
    "forbidden",
    "too_many_requests",
    "too_busy",
    "store_unavailable",
)
READS = (*SIGNED_IN, "not_found", "invalid_request")
REPEATABLE = ("in_flight", "idempotency_key_reused", "idempotency_key_invalid", "conflict")
CREATES = (*SIGNED_IN, "invalid_request", "json_too_large", "slow_upload", "idempotency_key_missing", *REPEATABLE)
VERDICTS = (
    "not_found",
    "invalid_transition",
    "copy_paid",
    "order_value_paid",
    "recovery_needed",
    "nothing_to_recover",
    "claim_stopped",
    "decision_not_allowed",
    "currency_mismatch",
)
UPLOADS = (
    "malformed_multipart",
    "file_too_large",
    "picture_too_large",
    "request_too_large",
    "unsupported_media",
    "unsupported_content_type",
    "empty_file",
    "too_many_files",
    "unknown_part",
)


def multipart(fields: Mapping[str, dict[str, Any]], files: Mapping[str, str], required: list[str]) -> dict[str, Any]:
    """Returns the `content` entry of a multipart request body: `fields` with their schemas, `files` with their
    descriptions."""
    binary = {"type": "string", "contentMediaType": "application/octet-stream"}
    properties = dict(fields) | {
        name: {"type": "array", "items": binary, "description": description} for name, description in files.items()
    }
    return {"multipart/form-data": {"schema": {"type": "object", "properties": properties, "required": required}}}


def body(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the `openapi_extra` of a route with this request body."""
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI, *streamed: type[BaseModel]) -> None:
    """Add to `app.openapi()` the schemas that FastAPI does not collect: Problem, which no route returns as its own
    answer, and `streamed`, the documents that handlers read from the body themselves."""
    generate = app.openapi

    def with_problem() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            problem = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs"))
            schemas["Problem"] = problem
            for kind in streamed:
                schemas[kind.__name__] = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        return document

    app.openapi = with_problem  # type: ignore[method-assign]
