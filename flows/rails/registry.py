"""The kinds of rail, by the name that the setting `rail.kind` gives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from flows.errors import InvalidRail, UnknownRail
from flows.rails import http
from flows.rails.rail import ChosenRail, RailKind

RAILS: Mapping[str, RailKind[Any]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (  # one line a kind
            http.KIND,
        )
    }
)


def chosen(name: str, settings: Mapping[str, Any]) -> ChosenRail:
    """Returns the rail of that name with these settings, not opened yet.

    Raises UnknownRail that names the known kinds, and InvalidRail that names the wrong settings, never their values.
    """
    try:
        kind = RAILS[name]
    except KeyError:
        raise UnknownRail(
            f"no payout rail {name!r} (MIAOPEI_RAIL, kind); known: {', '.join(sorted(RAILS))} (flows/rails/registry.py)"
        ) from None
    try:
        return ChosenRail(kind, kind.settings.model_validate(dict(settings)))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    raise InvalidRail(f"settings of the payout rail {name!r}: {wrong}")
