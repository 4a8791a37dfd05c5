"""Claimants, policies and pets on the wire: what the selling platform registers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from api.http.schemas.words import (
    CoverEnd,
    CoverStart,
    Currency,
    Id,
    Incoming,
    Minor,
    MinorOrZero,
    Name,
    Outgoing,
    storable,
)

POLICY_EXAMPLE: dict[str, JsonValue] = {
    "id": "pol-2026-000017",
    "number": "ASH-2026-000017",
    "product": "fresh_food_rot",
    "claimant": {"id": "clm-0042", "name": "李晓雯", "credit_attributes": {"duration_months": 12}},
    "insured_name": "李晓雯",
    "pet_id": "",
    "starts_at": "2026-01-01T00:00:00+08:00",
    "ends_at": "2027-01-01T00:00:00+08:00",
    "currency": "CNY",
    "sum_insured_minor": 500000,
    "insured_value_minor": 5980,
}
PET_EXAMPLE: dict[str, JsonValue] = {
    "id": "pet-0007",
    "claimant": {"id": "clm-0042", "name": "李晓雯"},
    "name": "豆豆",
    "species": "dog",
    "born_on": "2024-05-01",
}
_ATTRIBUTES_MAX = 64
_NUMBER_MAX = 10**12


class ClaimantRequest(Incoming):
    """The insured person. `credit_attributes` that are left out stay as they are (docs: claims.credit names them)."""

    id: Id
    name: Name
    credit_attributes: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _attributes_are_few_and_plain(self) -> Self:
        attributes = self.credit_attributes or {}
        if len(attributes) > _ATTRIBUTES_MAX:
            raise ValueError(f"at most {_ATTRIBUTES_MAX} credit attributes")
        for name, value in attributes.items():
            if len(name) > 100 or isinstance(value, list | dict) or (isinstance(value, str) and len(value) > 200):
                raise ValueError("credit attributes are short names with a number, a truth value, a short text or null")
            if isinstance(value, int | float) and not -_NUMBER_MAX <= value <= _NUMBER_MAX:  # NaN is in no range
                raise ValueError("a number of a credit attribute lies within 10^12")
            for text in (name, value):
                if isinstance(text, str):
                    storable(text)
        return self


class PolicyTerms(Incoming):
    """A cover: claimant, product, period (`ends_at` exclusive) and sums insured."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{key: value for key, value in POLICY_EXAMPLE.items() if key != "id"}]}
    )

    number: Name
    product: Name
    claimant: ClaimantRequest
    insured_name: Name
    pet_id: Id | Literal[""] = ""
    starts_at: CoverStart
    ends_at: CoverEnd
    currency: Currency
    sum_insured_minor: Minor
    insured_value_minor: MinorOrZero = 0

    @model_validator(mode="after")
    def _cover_has_length(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class PolicyRequest(PolicyTerms):
    model_config = ConfigDict(json_schema_extra={"examples": [POLICY_EXAMPLE]})

    id: Id


class PolicyView(Outgoing):
    id: str
    number: str
    product: str
    claimant_id: str
    insured_name: str
    pet_id: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    sum_insured_minor: int
    insured_value_minor: int


class PetTerms(Incoming):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{key: value for key, value in PET_EXAMPLE.items() if key != "id"}]}
    )

    claimant: ClaimantRequest
    name: Name
    species: Literal["dog", "cat"]
    born_on: date | None = Field(
        default=None, description="Day of birth, if it is known; left out, the day that is known stays."
    )


class PetRequest(PetTerms):
    model_config = ConfigDict(json_schema_extra={"examples": [PET_EXAMPLE]})

    id: Id


class EnrolmentView(Outgoing):
    """State of the nose enrolment. `none`: no photos yet; `pending`: photos are being measured; `enrolled`: templates
    are stored; `refused`: `problem` gives the reason."""

    state: Literal["none", "pending", "enrolled", "refused"]
    templates: int
    problem: str


class PetView(Outgoing):
    id: str
    claimant_id: str
    name: str
    species: str
    born_on: date | None
    enrolment: EnrolmentView


class EnrolmentAccepted(Outgoing):
    """The photos are stored and will be measured; follow `GET /v1/pets/{pet_id}`."""

    pet_id: str
    sha256s: list[str] = Field(description="The photos, in the order sent")
    state: Literal["pending"] = "pending"
