"""Judges signs of a photo's origin. One sign is noted and decides nothing; two that no single innocent cause explains
are referred (docs/decisions/0008-provenance-signs.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

from claims.decision import Reason
from claims.evidence import PhotoFact, ProvenanceSign, SignKind
from claims.reasons import reason
from claims.rules import Rules

CRASHED = "crashed"  # value of an unmeasured sign whose check died

# Innocent causes of each sign. Two signs count together when they have none in common.
INNOCENT_CAUSES: Mapping[SignKind, frozenset[str]] = MappingProxyType(
    {
        SignKind.EXIF_SOFTWARE: frozenset({"edited_in_an_app"}),
        SignKind.EXIF_DATES: frozenset({"edited_in_an_app", "wrong_clock"}),
        SignKind.EXIF_THUMBNAIL: frozenset({"edited_in_an_app"}),
        SignKind.C2PA: frozenset({"edited_in_an_app"}),
        SignKind.GENERATOR: frozenset({"made_by_a_generator"}),
        SignKind.SCREENSHOT: frozenset({"shows_a_screen"}),
        SignKind.RECAPTURE: frozenset({"shows_a_screen", "repeated_texture"}),
        SignKind.COPY_MOVE: frozenset({"repeated_texture", "shows_a_screen"}),
    }
)
# Common on honest photos, or no cause for doubt: noted, never counted.
_NEVER_COUNTED = frozenset({SignKind.EXIF_SOFTWARE, SignKind.DOUBLE_JPEG})
_COUNTED_VALUES: Mapping[SignKind, frozenset[str]] = MappingProxyType(
    {
        # Untrusted and expired say who signed and when, not that the picture was changed.
        SignKind.C2PA: frozenset({"invalid"}),
        # A photo retouched by a phone's own assistant is still a photo.
        SignKind.GENERATOR: frozenset({"generated"}),
    }
)
# A trusted signature over an unchanged photo is the opposite of a doubt.
_NOT_NOTED: Mapping[SignKind, frozenset[str]] = MappingProxyType({SignKind.C2PA: frozenset({"trusted"})})


def counted(sign: ProvenanceSign, rules: Rules) -> bool:
    """Return True if the sign may stand beside another as a reason to look."""
    if sign.state != "found" or sign.kind in _NEVER_COUNTED:
        return False
    if {str(sign.kind), f"{sign.kind} {sign.value}"} & set(rules.photo_signs_noted_only):
        return False
    return sign.value in _COUNTED_VALUES.get(sign.kind, frozenset({sign.value}))


def independent(first: ProvenanceSign, second: ProvenanceSign) -> bool:
    """Return True if no innocent cause explains both signs."""
    return not INNOCENT_CAUSES[first.kind] & INNOCENT_CAUSES[second.kind]


def combined(signs: Sequence[ProvenanceSign], rules: Rules) -> tuple[ProvenanceSign, ...]:
    """Return every sign that stands beside an independent one, in the order of their kinds; () where none do."""
    strong = sorted((sign for sign in signs if counted(sign, rules)), key=lambda sign: sign.kind)
    kinds = {sign.kind for pair in combinations(strong, 2) if independent(*pair) for sign in pair}
    return tuple(sign for sign in strong if sign.kind in kinds)


def kinds_value(signs: Sequence[ProvenanceSign]) -> str:
    """Return the value of a reason about these signs."""
    return " + ".join(sign.kind for sign in signs)


def detail(signs: Sequence[ProvenanceSign]) -> str:
    """Return the detail of a reason about these signs: their phrases as JSON; sentences where one of them has no
    phrases."""
    if all(sign.said for sign in signs):
        return json.dumps([sign.said for sign in signs], ensure_ascii=False, separators=(",", ":"))
    return "; ".join(sign.detail for sign in signs)


def shows_a_screen(signs: Sequence[ProvenanceSign]) -> bool:
    """Return True if the sign of a photographed screen was found."""
    return any(sign.kind is SignKind.RECAPTURE and sign.state == "found" for sign in signs)


def judge(photo: PhotoFact, rules: Rules) -> list[Reason]:
    """Return the reasons of one photo's signs: those noted, those that refer together, and checks that crashed."""
    reasons = [
        reason("photo_sign_noted", sign.kind, "none", evidence_id=photo.evidence_id, detail=detail([sign]))
        for sign in photo.signs
        if sign.state == "found" and sign.value not in _NOT_NOTED.get(sign.kind, frozenset())
    ]
    together = combined(photo.signs, rules)
    if together:
        reasons.append(
            reason(
                "photo_signs_combined",
                kinds_value(together),
                "no two that one cause does not explain",
                evidence_id=photo.evidence_id,
                detail=detail(together),
            )
        )
    reasons += [
        reason("photo_sign_unmeasured", sign.kind, "looked for", evidence_id=photo.evidence_id, detail=detail([sign]))
        for sign in photo.signs
        if sign.state == "unmeasured" and sign.value == CRASHED
    ]
    return reasons
