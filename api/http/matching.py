"""Reads the recorded matches of a claim's photos, and keeps or takes back a person's ruling on one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.disclosure import disclosed
from api.http.problems import Problem
from api.http.repeats import KeyedRequest, Reply
from api.http.schemas import matches as wire
from claims.errors import NotFound
from claims.evidence import MatchOwner, MatchRuling, PhotoFact, PhotoMatch, UnmeasuredPhoto
from claims.store import rulings, views
from claims.store.views import DecisionRow
from claims.wire import from_plain

_Photos = tuple[PhotoFact | UnmeasuredPhoto, ...]
_CHECKED = frozenset({"photo", "unmeasured_photo"})


def recorded_photos(decisions: Sequence[DecisionRow]) -> tuple[PhotoFact, ...]:
    """Returns the photos that the newest automatic decision was based on; none where another version recorded them."""
    for row in reversed(decisions):
        plain = json.loads(row.inputs).get("facts")
        if plain is None:
            continue  # a person's decision has no facts of its own
        try:
            photos = from_plain(_Photos, _checked(plain))
        except ValidationError:
            return ()
        return tuple(photo for photo in photos if isinstance(photo, PhotoFact))
    return ()


def _checked(facts: Mapping[str, Any]) -> list[Any]:
    """Returns the photos of damage and of noses in recorded facts (plain JSON) that were checked as photos."""
    checked = [nose["photo"] for nose in facts.get("noses", ()) if nose.get("photo", {}).get("fact") in _CHECKED]
    return [*facts.get("photos", ()), *checked]


def match_of(photos: Sequence[PhotoFact], evidence_id: str, photo_id: str) -> tuple[PhotoFact, PhotoMatch]:
    """Returns a photo of the claim and the picture that it matched. Raises NotFound; a claim's own photos are no
    match."""
    for photo in photos:
        for match in photo.matches:
            named = (photo.evidence_id, match.photo_id) == (evidence_id, photo_id)
            if named and match.owner is not MatchOwner.SAME_CLAIM:
                return photo, match
    raise NotFound(f"photo {evidence_id} matched no picture {photo_id}")


async def rule(conn: AsyncConnection, sent: KeyedRequest, claim_id: str, asked: wire.RulingRequest) -> Reply:
    """Keep the principal's ruling on a match.

    Raises NotFound (also for a claim that the principal may not see) and RuledAlready.
    """
    view = await views.claim_view(conn, claim_id, partner=sent.principal.partner)
    _, match = match_of(recorded_photos(view.decisions), asked.evidence_id, asked.photo_id)
    if match.photo_id not in await disclosed(conn, sent.principal, [match]):
        raise NotFound(f"{sent.principal} may not see what photo {asked.evidence_id} matched, let alone rule on it")
    measured = {
        "probability": match.probability,
        "inliers": match.inliers,
        "tight_inliers": match.tight_inliers,
        "tight_ratio": match.tight_ratio,
        "rigid_ratio": match.rigid_ratio,
        "fine_ratio": match.fine_ratio,
        "fine_rigid_ratio": match.fine_rigid_ratio,
        "contained_ratio": match.contained_ratio,
        "verdict": match.verdict,
        "owner": match.owner,
        "transform": match.transform,
    }
    made = await rulings.rule(
        conn,
        claim_id,
        asked.evidence_id,
        asked.photo_id,
        match.claim_id,
        asked.ruling,
        asked.note,
        measured,
        sent.context.now(),
        actor=sent.actor,
    )
    body = wire.RulingTaken(
        id=made.id,
        claim_id=claim_id,
        evidence_id=made.photo_id,
        photo_id=made.match_photo_id,
        ruling=made.ruling,
        ruled_at=made.ruled_at,
    )
    return Reply(201, body)


async def take_back(
    conn: AsyncConnection, sent: KeyedRequest, claim_id: str, ruling_id: str, asked: wire.TakeBackRequest
) -> Reply:
    """Take back a ruling that was made in this claim: adjusters any, an insurer its own.

    Raises NotFound (also for a claim that the principal may not see) and Problem `forbidden`.
    """
    partner = sent.principal.partner
    await views.claim_view(conn, claim_id, partner=partner)
    if partner is not None and (await rulings.get(conn, ruling_id)).ruled_by != sent.actor:
        raise Problem("forbidden", "Only who said it, or an adjuster of the platform, takes a word back.")
    now = sent.context.now()
    gone = await rulings.take_back(conn, claim_id, ruling_id, asked.note, now, actor=sent.actor)
    body = wire.RulingTakenBack(
        id=gone.id,
        claim_id=claim_id,
        evidence_id=gone.photo_id,
        photo_id=gone.match_photo_id,
        ruling=gone.ruling,
        ruled_by=gone.ruled_by,
        ruled_at=gone.ruled_at,
        taken_back_at=now,
        unlearnt=gone.ruling is MatchRuling.COMMON,
    )
    return Reply(200, body)
