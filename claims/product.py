"""Products: the terms of a cover. `claims.catalogue` reads them; what only one formula needs stands in `terms` and is
typed in the formula's own file (`claims.formulas`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from claims.currencies import is_known
from claims.evidence import KIND_PATTERN, UNKNOWN_KIND
from claims.money import Money
from claims.subject import Subject
from claims.texts import DEFAULT, Language, required_in_terms

ItemClass = Literal["甲", "乙", "丙", "own", ""]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
MinorUnits = Annotated[int, Field(ge=0, le=10**12)]

# Fields of papers that may have to name the insured.
PersonField = Literal["patient", "owner", "buyer", "recipient", "sender"]

# Every CONTRACT reason quotes one of these; a product without the clause could not be declined on it.
CLAUSE_KEYS = ("cover", "perils", "waiting", "claim_window", "limit", "deductible")

# Terms of `paper_total` that stood beside `benefit`, not in `terms`, with the values that had no effect. Recorded
# decisions and product files of then are still read.
_ONCE_BESIDE: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "undesignated_pays_basis_points": None,
        "designated_hospitals": [],
        "excluded_hospitals": [],
        "rounds_once": False,
        "stay": None,
    }
)


def _kind(name: str) -> str:
    if name == UNKNOWN_KIND:
        raise ValueError(f"{UNKNOWN_KIND!r} is what the reader calls a paper it cannot place: nothing can ask for it")
    return name


def _currency(code: str) -> str:
    if not is_known(code):  # one that was withdrawn may still be that of recorded terms
        raise ValueError(f"no currency of ISO 4217: {code!r}")
    return code


PaperKind = Annotated[str, Field(pattern=KIND_PATTERN), AfterValidator(_kind)]


class Terms(BaseModel):
    """Base of everything that a product file declares: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Text(Terms):
    """The same words in several languages, each by its code, the default language among them: `zh: ...`, `en: ...`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Language, Annotated[str, Field(min_length=1)]]

    @model_validator(mode="after")
    def _in_default_language(self) -> Self:
        if DEFAULT not in self.languages:
            raise ValueError(f"no words in the language {DEFAULT!r}")
        if odd := [code for code in self.languages if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", code)]:
            raise ValueError(f"no code of a language: {', '.join(sorted(odd))}")
        return self

    @property
    def languages(self) -> frozenset[Language]:
        return frozenset(self.__pydantic_extra__)

    @property
    def missing_languages(self) -> tuple[Language, ...]:
        """Languages that every file of the terms must have and this text lacks, in order."""
        return tuple(sorted(required_in_terms() - self.languages))

    def in_language(self, language: Language) -> str:
        """Return the words in that language, else in the default one."""
        return self.__pydantic_extra__.get(language, self.__pydantic_extra__[DEFAULT])


class Clause(Text):
    """A clause of the terms, quoted by its number."""

    number: str = Field(pattern=r"^\d+(\.\d+)*$")


class EvidenceTerms(Terms):
    """The evidence that a claim must bring. `photo_or_paper`: `photos_min` photos or `papers_min` papers, either will
    do; otherwise both are needed.

    papers: kinds that count towards `papers_min` and are paid on, any of them. supporting: kinds of which one each must
    be there as well; they prove and are not paid on. may_bring: kinds that are welcome, looked at and compared.
    """

    photos_min: int = Field(default=0, ge=0, le=12)
    papers: tuple[PaperKind, ...] = ()
    papers_min: int = Field(default=0, ge=0, le=12)
    photo_or_paper: bool = False
    nose: bool = False
    supporting: tuple[PaperKind, ...] = ()
    may_bring: tuple[PaperKind, ...] = ()
    patient_is_insured: bool = False  # the paper must name the insured as the patient
    insured_is: tuple[PersonField, ...] = ()  # and, where the paper shows it, as these
    # What a photo may show; one that surely shows something else is asked for again. Empty: anything may be shown.
    expected_subjects: tuple[Subject, ...] = ()


class AnimalTerms(Terms):
    """The animals that the terms insure. Ages are full months on the first day of the cover: a pet that grows old in it
    stays insured."""

    species: tuple[Literal["dog", "cat"], ...] = Field(min_length=1)
    age_months_min: int = Field(ge=0, le=600)
    age_months_max: int = Field(ge=0, le=600)

    @model_validator(mode="after")
    def _ages_in_order(self) -> Self:
        if self.age_months_max < self.age_months_min:
            raise ValueError("age_months_max below age_months_min")
        return self


class Product(Terms):
    """The terms. Amounts are minor units of `currency`; days are whole days of the product's own time zone."""

    key: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: Text
    summary: Text
    partner: str = Field(pattern=r"^[a-z][a-z0-9_]*$")  # the insurer that carries the risk and takes referrals
    perils: Mapping[str, Text] = Field(min_length=1)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_currency)]
    utc_offset_minutes: int = Field(
        default=480, ge=-720, le=840
    )  # paper dates and waiting days are local; China has no summer time
    evidence: EvidenceTerms
    benefit: str = Field(pattern=r"^[a-z][a-z0-9_]*$")  # name of a formula of `claims.formulas.registry`
    terms: Mapping[str, JsonValue] = {}  # what that formula alone needs
    waiting_days: int = Field(ge=0, le=365)
    claim_within_days: int = Field(ge=1, le=3650)  # after the event
    deductible_minor: MinorUnits = 0  # of each claim
    deductible_cover_minor: MinorUnits = 0  # beside it, of all claims of one cover (a year) together
    pays_basis_points: Mapping[ItemClass, BasisPoints]  # the insurer's share by item class; "" for what has no class
    # What is paid of an order. Claims of products that pay for the same share the order's value; "": bills, no orders.
    order_covers: Literal["", "goods", "freight"] = ""
    # As many claims are paid with no person looking; None: the terms do not limit it.
    claims_per_order_max: Annotated[int, Field(ge=1, le=100)] | None = None
    claims_per_event_max: Annotated[int, Field(ge=1, le=100)] | None = None  # of one cover
    per_claim_max_minor: Annotated[int, Field(gt=0, le=10**12)]
    auto_pay_max_minor: MinorUnits  # the most that is paid with no person looking, for a claimant in good standing
    pet: AnimalTerms | None = None  # None: the terms do not limit which animals
    clauses: Mapping[str, Clause]

    @model_validator(mode="before")
    @classmethod
    def _gather_terms(cls, stated: Any) -> Any:
        """Move keys that stand beside `terms`, as they once did, into `terms`."""
        if not isinstance(stated, dict) or not isinstance(stated.get("terms", {}), dict):
            return stated
        rest = {name: value for name, value in stated.items() if name not in _ONCE_BESIDE}
        beside = {
            name: stated[name]
            for name, nothing in _ONCE_BESIDE.items()
            if stated.get(name, nothing) not in (nothing, ())
        }
        return {**rest, "terms": {**beside, **stated.get("terms", {})}}

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        missing = [key for key in CLAUSE_KEYS if key not in self.clauses]
        if missing:
            raise ValueError(f"clauses missing: {', '.join(missing)}")
        if "" not in self.pays_basis_points:
            raise ValueError('pays_basis_points needs a share for items of no class: ""')
        paid_on = set(self.evidence.papers)
        others = [*self.evidence.supporting, *self.evidence.may_bring]
        if len({*paid_on, *others}) != len(self.evidence.papers) + len(others):
            raise ValueError("a kind of paper stands in one list: papers, supporting or may_bring, and there once")
        if self.evidence.supporting and self.evidence.photo_or_paper:
            raise ValueError("supporting papers make no sense where a photo will do instead")
        if bool(self.order_covers) != (self.claims_per_order_max is not None):
            raise ValueError("order_covers and claims_per_order_max come together")
        if self.evidence.papers_min and not self.evidence.papers:
            raise ValueError("papers_min without any kind in papers")
        if self.auto_pay_max_minor > self.per_claim_max_minor:
            raise ValueError("auto_pay_max_minor above per_claim_max_minor")
        if not (self.evidence.photos_min or self.evidence.papers_min):
            raise ValueError("a product that asks for neither photo nor paper could pay on words alone")
        return self

    @property
    def kinds(self) -> frozenset[str]:
        """Return every kind of paper that this product has any use for."""
        return frozenset({*self.evidence.papers, *self.evidence.supporting, *self.evidence.may_bring})

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
        """Return the words of the clause of that number, "" where the terms have none."""
        return next((clause.in_language(language) for clause in self.clauses.values() if clause.number == number), "")
