"""The insurer's half of each kind of paper, declared in YAML: one file a kind, ours in `claims/paper_kinds`, an
insurer's in the folder `claims` inside its folder of kinds. The file's name is the kind's. docs/papers.md says how to
write one.

The reader's half (`vision/documents/kinds`) says how a paper looks and which fields it has; this half says what they
mean for money. `flows.kinds` checks the two against each other when a worker starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from claims.errors import InvalidPaperTerms
from claims.evidence import KIND_PATTERN, UNKNOWN_KIND
from claims.paper_traits import Comparison, NotBefore, PaperTraits, SameAs, SameField
from claims.product import Text

OURS: Final = Path(__file__).parent / "paper_kinds"
#: Where an insurer's folder of kinds has this half of them.
SUBFOLDER: Final = "claims"
FILE_BYTES_MAX: Final = 65_536

Name = Annotated[str, Field(pattern=KIND_PATTERN, max_length=40)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Key(_Entry):
    fields: tuple[Name, ...] = Field(min_length=1)
    characters: int = Field(default=0, ge=0, le=60)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.characters and len(self.fields) != 1:
            raise ValueError("characters are those of one field's value: name one field")
        return self


def _key(entry: object) -> object:
    return {"fields": entry} if isinstance(entry, list | tuple) else entry


class _Number(_Entry):
    family: Name
    keys: tuple[Annotated[_Key, BeforeValidator(_key)], ...] = Field(min_length=1)


class _StateInsurance(_Entry):
    paid: Name
    cash: Name | None = None


class _Stay(_Entry):
    admitted: Name
    discharged: Name


class _NotBefore(_Entry):
    date: Name
    of: Name
    its: Name


class _Dates(_Entry):
    within_cover: tuple[Name, ...] = ()
    may_be_older: tuple[Name, ...] = ()
    before_event: tuple[Name, ...] = ()
    in_order: tuple[Name, ...] = ()
    not_before: tuple[_NotBefore, ...] = ()

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if both := sorted({*self.within_cover} & {*self.may_be_older}):
            raise ValueError(f"{', '.join(both)}: either within_cover or may_be_older")
        return self


class _Compared(_Entry):
    with_: Name = Field(alias="with")
    same: Mapping[Name, SameAs] = Field(min_length=1)


class _File(_Entry):
    kind: Name
    title: Text
    number: _Number | None = None
    counts_as: tuple[Name, ...] = ()
    state_insurance: _StateInsurance | None = None
    price: Name | None = None
    stay: _Stay | None = None
    dates: _Dates = _Dates()
    compared: tuple[_Compared, ...] = ()
    listed_by: Name | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.kind == UNKNOWN_KIND:
            raise ValueError(f"{UNKNOWN_KIND!r} is what the reader calls a paper it cannot place")
        return self


@dataclass(frozen=True, slots=True)
class PaperKey:
    """Fields that together identify a paper. characters: the key counts only if the value has this many, 0 for any."""

    fields: tuple[str, ...]
    characters: int = 0


@dataclass(frozen=True, slots=True)
class PaperTerms:
    """The insurer's half of one kind.

    title: in every language of the terms. family: kinds of one family share their numbers. keys: each is enough by
    itself; none for papers that may honestly come along with many claims. may_be_older: dates that may lie before the
    cover. path: the file that says all this.
    """

    kind: str
    title: Text
    family: str
    keys: tuple[PaperKey, ...]
    may_be_older: tuple[str, ...]
    traits: PaperTraits
    path: Path

    def fields_named(self) -> Iterator[tuple[str, str]]:
        """Yield each field that the file names, with the place in the file that names it."""
        traits = self.traits
        yield from (("number.keys", name) for key in self.keys for name in key.fields)
        yield from (("dates.may_be_older", name) for name in self.may_be_older)
        yield from (("dates.within_cover", name) for name in traits.within_cover)
        yield from (("dates.before_event", name) for name in traits.before_event)
        yield from (("dates.in_order", name) for name in traits.in_order)
        yield from (("dates.not_before", bound.date) for bound in traits.not_before)
        yield from (("compared", same.field) for comparison in traits.compared for same in comparison.fields)
        yield from (("stay", name) for name in traits.stay)
        single = {
            "state_insurance.paid": traits.state_paid,
            "state_insurance.cash": traits.cash_paid,
            "price": traits.price,
            "listed_by": traits.listed_by,
        }
        yield from ((where, name) for where, name in single.items() if name)


PaperKinds = Mapping[str, PaperTerms]


def read_terms(path: Path) -> PaperTerms:
    """Read one kind's half from its file. Raises InvalidPaperTerms that names the file, the key and what is wrong."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidPaperTerms(f"{path}: more than {FILE_BYTES_MAX} bytes")
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        file = _File.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidPaperTerms(f"{path}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise InvalidPaperTerms(f"{path}: {wrong}") from error
    if file.kind != path.stem:
        raise InvalidPaperTerms(f"{path}: kind: the file describes {file.kind!r}; its name must be the kind's")
    if absent := file.title.missing_languages:
        raise InvalidPaperTerms(f"{path}: title: no words in {', '.join(absent)}")
    return _terms(file, path)


@cache
def load_paper_kinds(further: Path | None = None) -> PaperKinds:
    """Return the insurer's half of our kinds and of those in the folder of kinds `further`, by name. Read once a
    process.

    Raises InvalidPaperTerms, also for a folder `further` that has no half of any kind in its subfolder, and for a kind
    that is there already.
    """
    folders = (OURS, *([further / SUBFOLDER] if further is not None else []))
    kinds: dict[str, PaperTerms] = {}
    for folder in folders:
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise InvalidPaperTerms(f"{folder}: no kind in it: write {folder}/KIND.yaml for each kind (docs/papers.md)")
        for path in files:
            terms = read_terms(path)
            if terms.kind in kinds:
                raise InvalidPaperTerms(f"{path}: kind: {terms.kind!r} is there already")
            kinds[terms.kind] = terms
    _check_roles(kinds)
    return MappingProxyType(kinds)


def traits_of_kind(kinds: PaperKinds, kind: str) -> PaperTraits:
    """Return the traits of that kind; for a paper that the reader could not place, empty traits. Raises KeyError."""
    return PaperTraits() if kind == UNKNOWN_KIND else kinds[kind].traits


def _terms(file: _File, path: Path) -> PaperTerms:
    state, dates = file.state_insurance, file.dates
    traits = PaperTraits(
        roles=file.counts_as,
        state_paid=state.paid if state is not None else "",
        cash_paid=(state.cash or "") if state is not None else "",
        price=file.price or "",
        stay=(file.stay.admitted, file.stay.discharged) if file.stay is not None else (),
        within_cover=dates.within_cover,
        before_event=dates.before_event,
        in_order=dates.in_order,
        not_before=tuple(NotBefore(bound.date, bound.of, bound.its) for bound in dates.not_before),
        compared=tuple(
            Comparison(comparison.with_, tuple(SameField(name, same_as) for name, same_as in comparison.same.items()))
            for comparison in file.compared
        ),
        listed_by=file.listed_by or "",
    )
    return PaperTerms(
        kind=file.kind,
        title=file.title,
        family=file.number.family if file.number is not None else "",
        keys=tuple(PaperKey(key.fields, key.characters) for key in file.number.keys) if file.number else (),
        may_be_older=dates.may_be_older,
        traits=traits,
        path=path,
    )


def _check_roles(kinds: PaperKinds) -> None:
    """Refuse a comparison with a role that no kind has: it would never be made, and that would go unnoticed."""
    roles = {role for terms in kinds.values() for role in terms.traits.roles}
    for terms in kinds.values():
        asked = {
            **{comparison.role: "compared" for comparison in terms.traits.compared},
            **{bound.role: "dates.not_before" for bound in terms.traits.not_before},
        }
        for role, where in asked.items():
            if role not in roles:
                raise InvalidPaperTerms(
                    f"{terms.path}: {where}: no kind counts as {role!r}; there are {', '.join(sorted(roles))} "
                    "(counts_as of the other kind's file)"
                )
