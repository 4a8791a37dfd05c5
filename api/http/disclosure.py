"""Decides which pictures of other claims a caller may see (docs/decisions/0009-privacy-of-matches.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.tokens import Principal, Role
from claims.evidence import MatchOwner, PhotoMatch
from claims.store import referrals

# Of no claim of somebody else's: web and stock, the claim's own, and the enrolment of the very pet that is insured.
_NOBODYS = frozenset({MatchOwner.SAME_CLAIM, MatchOwner.WEB, MatchOwner.STOCK, MatchOwner.OWN_ENROLMENT})


async def disclosed(conn: AsyncConnection, principal: Principal, matches: Iterable[PhotoMatch]) -> frozenset[str]:
    """Returns the photo ids of the matches whose picture, and whose claim's id, `principal` may see.

    Adjusters of the platform: all. A partner insurer: pictures that belong to no claim (web, stock, the insured pet's
    enrolment), and those of claims that were referred to it as well. Nobody else: none.
    """
    listed = tuple(matches)
    if principal.role is Role.ADJUSTER:
        return frozenset(match.photo_id for match in listed)
    if principal.role is not Role.PARTNER:
        return frozenset()
    theirs = await referrals.referred_to(conn, principal.subject, {match.claim_id for match in listed} - {""})
    return frozenset(match.photo_id for match in listed if _free(match, theirs))


def _free(match: PhotoMatch, theirs: Collection[str]) -> bool:
    return match.claim_id in theirs if match.claim_id else match.owner in _NOBODYS
