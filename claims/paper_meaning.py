"""The traits of a paper: those that its fact carries, or, for facts recorded before facts carried any, those that the
kinds had then, from a table that never changes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from claims.evidence import PaperFact
from claims.paper_traits import Comparison, NotBefore, PaperTraits
from claims.wire import from_plain

EARLIER: Final = Path(__file__).parent / "paper_kinds" / "earlier" / "facts_without_traits.yaml"


def traits_of(paper: PaperFact) -> PaperTraits:
    """Return what the kind of this paper means to the insurer."""
    return paper.traits if paper.traits.declared else _earlier(paper.kind, paper.may_show)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Traits of a kind's name, or of every kind that can show the fields of `shows`."""

    roles: tuple[str, ...] = ()
    state_paid: str = ""
    cash_paid: str = ""
    price: str = ""
    before_event: tuple[str, ...] = ()
    in_order: tuple[str, ...] = ()
    not_before: tuple[NotBefore, ...] = ()
    compared: tuple[Comparison, ...] = ()
    listed_by: str = ""
    older_than_cover: bool = False
    shows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Every:
    stay: tuple[str, ...]
    within_cover: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    every: _Every
    by_kind: dict[str, _Entry] = field(default_factory=dict)
    by_fields: tuple[_Entry, ...] = ()


@cache
def _table() -> _Table:
    read: Any = yaml.load(EARLIER.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return from_plain(_Table, read)


@cache
def _earlier(kind: str, may_show: tuple[str, ...]) -> PaperTraits:
    table = _table()
    named = [table.by_kind[kind]] if kind in table.by_kind else []
    entries = [*named, *(entry for entry in table.by_fields if set(entry.shows) <= set(may_show))]
    older = any(entry.older_than_cover for entry in entries)
    traits = PaperTraits(stay=table.every.stay, within_cover=() if older else table.every.within_cover)
    for entry in entries:
        traits = replace(
            traits,
            roles=tuple(dict.fromkeys((*traits.roles, *entry.roles))),
            state_paid=traits.state_paid or entry.state_paid,
            cash_paid=traits.cash_paid or entry.cash_paid,
            price=traits.price or entry.price,
            before_event=traits.before_event or entry.before_event,
            in_order=traits.in_order or entry.in_order,
            not_before=(*traits.not_before, *entry.not_before),
            compared=tuple(dict.fromkeys((*traits.compared, *entry.compared))),
            listed_by=traits.listed_by or entry.listed_by,
        )
    return traits
