"""Links between claims that share a photo or a paper, as found when they were decided.

Publish-then-search ensures that of two such claims at least one knows of the other; the link makes that knowledge
mutual. It answers two questions: has another claim with this photo been paid already, and whose records still hold an
erased claim's picture?
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.copies import counts_as_copy
from claims.errors import CopyPaid
from claims.store import payouts
from claims.store.tables import claim_links, claim_overlays, evidence

# A claim is linked directly to at most so many others with the same file; the rest are linked through them.
SAME_FILE_MAX: Final = 50
# Stages whose results name other claims' pictures, and what the facts call them.
STAGES_WITH_MATCHES: Final = MappingProxyType({"photos": "photos", "nose": "noses"})


def photos_in(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every photo in recorded facts (plain JSON), of damage and of noses."""
    noses = (nose.get("photo", {}) for nose in facts.get("noses", ()))
    return [*facts.get("photos", ()), *noses]


def matches_in(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every match of every photo in recorded facts (plain JSON), to change in place."""
    for photo in photos_in(facts):
        yield from photo.get("matches", ())


def claims_in(facts: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of all other claims that recorded facts (plain JSON) name."""
    named = {str(match.get("claim_id", "")) for match in matches_in(facts)}
    for paper in facts.get("papers", ()):
        named.update(paper.get("number_claimed_before", ()))
    return frozenset(named - {""})


async def record(conn: AsyncConnection, claim_id: str, facts: Mapping[str, Any]) -> None:
    """Record what the facts of a decision say about other claims. Idempotent; a later round brings it up to date."""
    copied = {str(match["claim_id"]) for match in matches_in(facts) if _counts(match)}
    for paper in facts.get("papers", ()):
        copied.update(paper.get("number_claimed_before", ()))
    files = [photo["sha256"] for photo in photos_in(facts) if any(_counts(match) for match in photo.get("matches", ()))]
    if files:
        same = select(evidence.c.claim_id).where(evidence.c.sha256.in_(files)).distinct().limit(SAME_FILE_MAX)
        copied.update((await conn.execute(same)).scalars())
    overlays = {str(match.get("overlay_sha256", "")) for match in matches_in(facts)} - {""}
    if overlays:
        rows = [{"claim_id": claim_id, "sha256": sha256} for sha256 in sorted(overlays)]
        await conn.execute(insert(claim_overlays).values(rows).on_conflict_do_nothing())
    others = sorted((claims_in(facts) | copied) - {claim_id, ""})
    if not others:
        return
    new = insert(claim_links).values(
        [{"claim_id": claim_id, "other_claim_id": other, "copied": other in copied} for other in others]
    )
    await conn.execute(
        new.on_conflict_do_update(index_elements=["claim_id", "other_claim_id"], set_={"copied": new.excluded.copied})
    )


# Matches that a person has explained (two photos of their own, a known picture) lead no further.
_SHARING: Final = text(
    """
    WITH RECURSIVE sharing (id) AS (
        SELECT CAST(:claim_id AS text)
        UNION
        SELECT CASE WHEN link.claim_id = sharing.id THEN link.other_claim_id ELSE link.claim_id END
        FROM claim_links AS link JOIN sharing ON sharing.id IN (link.claim_id, link.other_claim_id)
        WHERE link.copied AND NOT EXISTS (
            SELECT FROM match_rulings AS said
            WHERE said.ruling <> 'confirm' AND (said.claim_id, said.match_claim_id) IN (
                (link.claim_id, link.other_claim_id), (link.other_claim_id, link.claim_id)
            )
        ) AND NOT EXISTS (
            SELECT FROM flood_claims AS held JOIN floods ON floods.id = held.flood_id
            WHERE floods.ruling = 'common' AND held.claim_id = link.claim_id
        )
    )
    SELECT id FROM sharing WHERE id <> :claim_id ORDER BY id
    """
)


async def sharing(conn: AsyncConnection, claim_id: str) -> tuple[str, ...]:
    """Return the ids of all claims with a copy of the claim's photo or paper, found from either side, through others
    too."""
    return tuple((await conn.execute(_SHARING, {"claim_id": claim_id})).scalars())


async def paid(conn: AsyncConnection, claim_id: str) -> tuple[str, ...]:
    """Return those of the sharing claims that have been paid or promised money."""
    return tuple(sorted(await payouts.paid_claims(conn, await sharing(conn, claim_id))))


async def check_unpaid(conn: AsyncConnection, claim_id: str, known: Collection[str]) -> None:
    """Raise CopyPaid if a claim with a copy of the photo or paper was paid that is not among `known`."""
    paid_since = tuple(other for other in await paid(conn, claim_id) if other not in known)
    if paid_since:
        raise CopyPaid(
            f"money was promised already for the same photo or paper, in claim {', '.join(paid_since)}", paid_since
        )


async def naming(conn: AsyncConnection, claim_id: str) -> tuple[str, ...]:
    """Return the ids of claims whose recorded facts name this claim."""
    rows = await conn.execute(
        select(claim_links.c.claim_id).where(claim_links.c.other_claim_id == claim_id).order_by(claim_links.c.claim_id)
    )
    return tuple(rows.scalars())


async def forget(conn: AsyncConnection, claim_ids: Iterable[str]) -> None:
    """Remove erased claims."""
    gone = list(claim_ids)
    await conn.execute(
        claim_links.delete().where(or_(claim_links.c.claim_id.in_(gone), claim_links.c.other_claim_id.in_(gone)))
    )


def blank(facts: Mapping[str, Any], claim_ids: Iterable[str]) -> frozenset[str]:
    """Take the pictures of these claims out of facts (plain JSON), in place. Returns the keys of the overlays among
    them.

    No decision depends on either: a replay gives the same bytes.
    """
    gone = frozenset(claim_ids)
    overlays: set[str] = set()
    for match in matches_in(facts):
        if match.get("claim_id") in gone:
            overlays.add(match.get("overlay_sha256", ""))
            match["preview_sha256"] = ""
            if "overlay_sha256" in match:
                match["overlay_sha256"] = ""
    return frozenset(overlays - {""})


def _counts(match: Mapping[str, Any]) -> bool:
    """Return True for a proven or confirmed copy of another claim's picture, unless a person or a known picture
    explains it."""
    if not match.get("claim_id") or match.get("common") or match.get("ruling") == "reject":
        return False
    return counts_as_copy(match["verdict"], match.get("ruling", ""))
