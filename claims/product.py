"""Products: the terms of a cover, declared in YAML, one file a product in `claims/products`. The file's name is the
product's key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from claims.errors import InvalidProduct, UnknownProduct
from claims.evidence import PaperKind
from claims.money import Money
from claims.subject import Subject

CATALOGUE = Path(__file__).parent / "products"

Language = Literal["zh", "en"]
ItemClass = Literal["甲", "乙", "丙", "own", ""]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
MinorUnits = Annotated[int, Field(ge=0, le=10**12)]

# Every CONTRACT reason quotes one of these; a product without the clause could not be declined on it.
CLAUSE_KEYS = ("cover", "perils", "waiting", "claim_window", "limit", "deductible")


class _Terms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Text(_Terms):
    """The same words in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def in_language(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class Clause(Text):
    """A clause of the terms, quoted by its number."""

    number: str = Field(pattern=r"^\d+(\.\d+)*$")


class Evidence(_Terms):
    """What a claim must bring. `photo_or_paper`: `photos_min` photos or `papers_min` papers, either will do; otherwise
    both are needed."""

    photos_min: int = Field(default=0, ge=0, le=12)
    papers: tuple[PaperKind, ...] = ()  # kinds that count, any of them
    papers_min: int = Field(default=0, ge=0, le=12)
    photo_or_paper: bool = False
    nose: bool = False
    patient_is_insured: bool = False  # the paper must name the insured as the patient
    # What a photo may show; one that surely shows something else is asked for again. Empty: anything may be shown.
    expected_subjects: tuple[Subject, ...] = ()


class Product(_Terms):
    """The terms. Amounts are minor units of `currency`; days are whole days of the product's own time zone."""

    key: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: Text
    summary: Text
    partner: str = Field(pattern=r"^[a-z][a-z0-9_]*$")  # the insurer that carries the risk and takes referrals
    perils: Mapping[str, Text] = Field(min_length=1)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    utc_offset_minutes: int = Field(
        default=480, ge=-720, le=840
    )  # paper dates and waiting days are local; China has no summer time
    evidence: Evidence
    benefit: Literal["stated_amount", "paper_total"]
    waiting_days: int = Field(ge=0, le=365)
    claim_within_days: int = Field(ge=1, le=3650)  # after the event
    deductible_minor: MinorUnits = 0  # of each claim
    pays_basis_points: Mapping[ItemClass, BasisPoints]  # the insurer's share by item class; "" for what has no class
    per_claim_max_minor: Annotated[int, Field(gt=0, le=10**12)]
    auto_pay_max_minor: MinorUnits  # the most that is paid with no person looking, for a claimant in good standing
    clauses: Mapping[str, Clause]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        missing = [key for key in CLAUSE_KEYS if key not in self.clauses]
        if missing:
            raise ValueError(f"clauses missing: {', '.join(missing)}")
        if "" not in self.pays_basis_points:
            raise ValueError('pays_basis_points needs a share for items of no class: ""')
        if self.benefit == "paper_total" and self.evidence.papers_min == 0:
            raise ValueError("a benefit from the paper's total needs papers_min >= 1")
        if self.evidence.papers_min and not self.evidence.papers:
            raise ValueError("papers_min without any kind in papers")
        if self.auto_pay_max_minor > self.per_claim_max_minor:
            raise ValueError("auto_pay_max_minor above per_claim_max_minor")
        if not (self.evidence.photos_min or self.evidence.papers_min):
            raise ValueError("a product that asks for neither photo nor paper could pay on words alone")
        return self

    def money(self, minor: int) -> Money:
        return Money(minor, self.currency)

    @property
    def deductible(self) -> Money:
        return self.money(self.deductible_minor)

    @property
    def per_claim_max(self) -> Money:
        return self.money(self.per_claim_max_minor)

    @property
    def auto_pay_max(self) -> Money:
        return self.money(self.auto_pay_max_minor)

    def clause_text(self, number: str, language: Language) -> str:
        """The words of the clause of that number, "" where the terms have none."""
        return next((clause.in_language(language) for clause in self.clauses.values() if clause.number == number), "")


def read_product(text: str, key: str) -> Product:
    """One product from YAML. Raises InvalidProduct that names the file's key and what is wrong."""
    try:
        product = Product.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidProduct(f"product {key}: {error}") from error
    if product.key != key:
        raise InvalidProduct(f"product {key}: its file says key {product.key!r}")
    return product


@cache
def load_catalogue(folder: Path = CATALOGUE) -> Mapping[str, Product]:
    """Every product of the folder by key, in order of key. Raises InvalidProduct. Read once a process: a change of
    terms is a new release."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InvalidProduct(f"no product files in {folder}")
    return MappingProxyType({file.stem: read_product(file.read_text(encoding="utf-8"), file.stem) for file in files})


def product_of(key: str) -> Product:
    """Raises UnknownProduct."""
    try:
        return load_catalogue()[key]
    except KeyError:
        raise UnknownProduct(f"no product {key!r}; known: {', '.join(load_catalogue())}") from None
