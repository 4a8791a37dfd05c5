"""Orders and events that several claims name: published first, then searched, and searched once more under a lock
before money is promised."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.catalogue import paying_for_the_same
from claims.claim import Claim, Status
from claims.errors import OrderSpent, RepeatPaid
from claims.events import same_event
from claims.evidence import OtherIdentity, RepeatFact, SharingClaim
from claims.insured_claim import InsuredClaim
from claims.judge.repeats import beyond_event, beyond_order
from claims.money import Money
from claims.names import same_person_name
from claims.orders import order_key, order_left
from claims.product import Product
from claims.rules import Rules
from claims.store import payouts
from claims.store.tables import claim_orders, claimants, claims

# A decision carries at most so many other claims; sums are over all of them.
LISTED_MAX: Final = 20
_IDENTITIES_MAX: Final = 500


async def publish_orders(
    conn: AsyncConnection, claim_id: str, orders: Iterable[tuple[str, int]], now: datetime
) -> None:
    """Publish the (order key, price in minor units or 0 for unknown) pairs of a submitted claim. Commit before
    searching.

    Idempotent; a price that becomes known is kept, the lowest of several.
    """
    prices: dict[str, int] = {}
    for key, price_minor in orders:
        if key:
            prices[key] = min(filter(None, (prices.get(key, 0), price_minor)), default=0)
    if not prices:
        return
    new = insert(claim_orders).values(
        [
            {"order_key": key, "claim_id": claim_id, "price_minor": price, "first_seen_at": now}
            for key, price in sorted(prices.items())
        ]
    )
    known, given = claim_orders.c.price_minor, new.excluded.price_minor
    lowest = func.coalesce(func.least(func.nullif(known, 0), func.nullif(given, 0)), 0)
    await conn.execute(
        new.on_conflict_do_update(index_elements=["order_key", "claim_id"], set_={"price_minor": lowest})
    )


async def publish_stated(conn: AsyncConnection, claim_id: str, now: datetime) -> None:
    """Publish the order that the claim states; part of its submission."""
    row = (await conn.execute(select(claims.c.order_number, claims.c.merchant_id).where(claims.c.id == claim_id))).one()
    await publish_orders(conn, claim_id, [(order_key(row.order_number, row.merchant_id), 0)], now)


async def of_claim(conn: AsyncConnection, claim: Claim, product: Product, rules: Rules) -> RepeatFact:
    """Return other submitted claims for the claim's orders or about its event, and other ids of its claimant."""
    return replace(await sharing(conn, claim, product, rules), identities=await _identities(conn, claim, rules))


async def sharing(conn: AsyncConnection, claim: Claim, product: Product, rules: Rules) -> RepeatFact:
    """Return the other claims alone, which is what money depends on.

    A withdrawn claim that was paid nothing does not count. Of claims submitted at one instant each counts the other.
    """
    mine = await _orders(conn, [claim.id])
    keys = frozenset(mine.get(claim.id, ()))
    by_order = await _sharing_orders(conn, claim, keys, product)
    by_event = await _same_event(conn, claim, keys, rules)
    rows = {row.id: row for row in (*by_order, *by_event)}
    promised = await payouts.promised_by_claim(conn, list(rows))
    of_order, of_event = {row.id for row in by_order}, {row.id for row in by_event}
    others = [
        SharingClaim(
            claim_id=row.id,
            order=row.id in of_order,
            event=row.id in of_event,
            status=row.status,
            paid_minor=promised.get(row.id, 0),
            earlier=row.submitted_at <= claim.submitted_at,
            same_claimant=row.claimant_id == claim.claimant_id,
        )
        for row in rows.values()
        if row.status != Status.WITHDRAWN or row.id in promised
    ]
    others.sort(key=lambda other: (-other.paid_minor, not other.earlier, other.claim_id))
    return RepeatFact(
        claims=tuple(others[:LISTED_MAX]),
        order_paid_minor=sum(other.paid_minor for other in others if other.order),
        order_price_minor=await _price(conn, keys),
    )


async def lock_orders(conn: AsyncConnection, claim_id: str) -> None:
    """Keep others from promising money for the claim's orders before the transaction ends. Lock the claims' rows
    before, the policy's after: in one order there is no deadlock."""
    keys = (await _orders(conn, [claim_id])).get(claim_id, ())
    for key in sorted(keys):
        await conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


async def check_unpaid(
    conn: AsyncConnection,
    insured: InsuredClaim,
    due: Money,
    known: Collection[str],
    rules: Rules,
    *,
    by_rules: bool,
) -> None:
    """Check before `due` in all is promised for a claim. Call with the orders locked, and the policy.

    known: claims that are known to be paid. by_rules: also check against the price that a paper showed, which a person
    may know better. Raises RepeatPaid when another claim for the order or about the event was paid and the terms allow
    no further one, OrderSpent when all together would be more than the order's value.
    """
    product = insured.product
    repeats = await sharing(conn, insured.claim, product, rules)
    beyond = _paid(product, repeats)
    unknown = tuple(claim_id for claim_id in beyond if claim_id not in known)
    if unknown:
        raise RepeatPaid(
            f"money was promised already for the same order or event, in claim {', '.join(unknown)}", unknown
        )
    price = repeats.order_price_minor if by_rules else 0
    left = order_left(insured.policy, product, repeats.order_paid_minor, price)
    if repeats.order_paid_minor and left is not None and due > left:
        raise OrderSpent(f"of the order's value {left.minor} minor units are left, {due.minor} would be paid")


async def paid(conn: AsyncConnection, claim: Claim, product: Product, rules: Rules) -> tuple[str, ...]:
    """Return the ids of the other claims for the order or about the event that were paid and that a person should know
    of."""
    return _paid(product, await sharing(conn, claim, product, rules))


def _paid(product: Product, repeats: RepeatFact) -> tuple[str, ...]:
    beyond = (*beyond_order(product, repeats), *beyond_event(product, repeats))
    return tuple(dict.fromkeys(other.claim_id for other in beyond if other.paid_minor))


async def _orders(conn: AsyncConnection, claim_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    rows = await conn.execute(
        select(claim_orders.c.claim_id, claim_orders.c.order_key).where(claim_orders.c.claim_id.in_(claim_ids))
    )
    keys: dict[str, frozenset[str]] = {}
    for claim_id, key in rows:
        keys[claim_id] = keys.get(claim_id, frozenset()) | {key}
    return keys


async def _sharing_orders(
    conn: AsyncConnection, claim: Claim, keys: frozenset[str], product: Product
) -> list[Row[Any]]:
    """Return claims of products that pay for the same part of an order."""
    like = paying_for_the_same(product)
    if not keys or not like:
        return []
    named = select(claim_orders.c.claim_id).where(claim_orders.c.order_key.in_(sorted(keys)))
    return await _others(conn, claim, claims.c.id.in_(named), claims.c.product.in_(sorted(like)))


async def _same_event(conn: AsyncConnection, claim: Claim, keys: frozenset[str], rules: Rules) -> list[Row[Any]]:
    """Return claims under the same policy whose events lie near."""
    apart = timedelta(hours=rules.same_event_hours_max)
    near = await _others(
        conn,
        claim,
        claims.c.policy_id == claim.policy_id,
        claims.c.occurred_at.between(claim.occurred_at - apart, claim.occurred_at + apart),
    )
    orders = await _orders(conn, [row.id for row in near])
    return [
        row
        for row in near
        if same_event(claim.occurred_at, row.occurred_at, keys, orders.get(row.id, frozenset()), rules)
    ]


async def _others(conn: AsyncConnection, claim: Claim, *conditions: ColumnElement[bool]) -> list[Row[Any]]:
    columns = (claims.c.id, claims.c.claimant_id, claims.c.status, claims.c.submitted_at, claims.c.occurred_at)
    submitted = claims.c.submitted_at.is_not(None)
    return list(await conn.execute(select(*columns).where(claims.c.id != claim.id, submitted, *conditions)))


async def _price(conn: AsyncConnection, keys: frozenset[str]) -> int:
    """Return the least price known of a claim's one order; of several orders in one claim no single price is their
    value."""
    if len(keys) != 1:
        return 0
    least = select(func.min(claim_orders.c.price_minor)).where(
        claim_orders.c.order_key.in_(keys), claim_orders.c.price_minor > 0
    )
    return int((await conn.execute(least)).scalar_one() or 0)


async def _identities(conn: AsyncConnection, claim: Claim, rules: Rules) -> tuple[OtherIdentity, ...]:
    """Return other claimant ids of the same name with the same account or the same device, by their claims in the days
    before.

    A couple shares account and device under two names, a parcel station its address, strangers a name: none of these
    alone is enough (docs/decisions/0016-one-person-two-ids.md).
    """
    same = {"payee": claims.c.payee_account == claim.payee_account}
    if claim.device_id:
        same["device"] = claims.c.device_id == claim.device_id
    name = (await conn.execute(select(claimants.c.name).where(claimants.c.id == claim.claimant_id))).scalar_one()
    rows = await conn.execute(
        select(
            claims.c.claimant_id,
            claimants.c.name,
            *(condition.label(shared) for shared, condition in same.items()),
        )
        .join(claimants, claimants.c.id == claims.c.claimant_id)
        .where(
            or_(*same.values()),
            claims.c.claimant_id != claim.claimant_id,
            claims.c.submitted_at <= claim.submitted_at,
            claims.c.submitted_at > claim.submitted_at - timedelta(days=rules.same_person_window_days),
        )
        .order_by(claims.c.submitted_at.desc(), claims.c.id)
        .limit(_IDENTITIES_MAX)
    )
    counted: dict[str, tuple[frozenset[str], int]] = {}
    for row in rows:
        if same_person_name(name, row.name, rules):
            shares, count = counted.get(row.claimant_id, (frozenset(), 0))
            shares |= {shared for shared in same if getattr(row, shared)}
            counted[row.claimant_id] = (shares, count + 1)
    return tuple(
        OtherIdentity(other, tuple(sorted(shares)), count) for other, (shares, count) in sorted(counted.items())
    )
