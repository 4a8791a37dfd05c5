"""Bank against books, payout by payout, both ways.

A ledger that sums to zero proves little: a payout made twice, or lost, sums to zero too. So every payout of ours is
looked up in the bank's list, every payment of the bank in ours, and each payout's ledger steps are held against its
state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from claims.currencies import with_code
from claims.money import Money
from claims.store import payouts
from claims.store.engine import connect
from claims.store.payouts import Payout
from claims.store.tables import ledger_entries, ledger_transactions
from flows.config import SettleConfig
from flows.rails.http import HttpRail
from flows.rails.rail import Paid

PAGE = 1_000

# The ledger steps that a payout in each state must have, exactly.
STEPS: Mapping[str, frozenset[str]] = {
    "reserved": frozenset({"reserve"}),
    "sent": frozenset({"reserve"}),
    "paid": frozenset({"reserve", "post"}),
    "failed": frozenset({"reserve", "void"}),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One payout on which bank and books disagree. code: lower case with underscores, stable."""

    payout_id: str
    claim_id: str  # "" when the books do not know the payout
    code: str
    detail: str

    def __str__(self) -> str:
        return f"payout {self.payout_id} (claim {self.claim_id or 'unknown'}): {self.code}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`open_payouts` are promised and not settled yet: no difference, but nothing that can be called done."""

    payouts: int
    payments: int
    open_payouts: int
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences


async def reconcile(config: SettleConfig) -> Reconciliation:
    """Compare the books at `config.store` with the bank at `config.bank`. Changes nothing.

    Raises RailError when the bank's list cannot be read in full: half a list would show losses that are none.
    """
    engine = connect(config.store.dsn, pool_size=2)
    try:
        async with HttpRail(config.bank) as rail:
            # The books first: what is settled in between is then still open in them, and no difference.
            async with engine.connect() as conn, conn.begin():
                await conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                books = [payout async for payout in _every(conn)]
                ledger = await _ledger(conn)
            payments = [payment async for payment in rail.payments()]
            # What was decided and paid in between is no stranger's payment.
            async with engine.connect() as conn:
                known = frozenset([payout.id async for payout in _every(conn)])
    finally:
        await engine.dispose()
    return compare(books, ledger, payments, known)


def compare(
    books: Sequence[Payout],
    ledger: Mapping[str, Mapping[str, tuple[Money, ...]]],
    payments: Sequence[Paid],
    known: frozenset[str],
) -> Reconciliation:
    """The pure part. ledger: by payout and step, the debits of the step. known: ids that are payouts of ours."""
    by_id = {payment.payout_id: payment for payment in payments}
    found = [
        Difference(payment_id, "", "paid_twice", f"the bank lists it {times} times")
        for payment_id, times in Counter(payment.payout_id for payment in payments).items()
        if times > 1
    ]
    found += [
        Difference(
            payment.payout_id, "", "unknown_payment", f"{_words(payment.amount)} to an id that the books never had"
        )
        for payment in by_id.values()
        if payment.payout_id not in known
    ]
    for payout in books:
        found += _against_bank(payout, by_id.get(payout.id))
        found += _against_ledger(payout, ledger.get(payout.id, {}))
    return Reconciliation(
        payouts=len(books),
        payments=len(payments),
        open_payouts=sum(payout.state in ("reserved", "sent") for payout in books),
        differences=tuple(found),
    )


def _against_bank(payout: Payout, payment: Paid | None) -> list[Difference]:
    if payment is None:
        if payout.state != "paid":
            return []
        return [_difference(payout, "not_at_bank", f"the books say {_words(payout.amount)} was paid")]
    found = []
    if payout.state == "failed":
        found.append(_difference(payout, "paid_though_failed", f"the bank paid {_words(payment.amount)}"))
    if payment.amount != payout.amount:
        found.append(
            _difference(payout, "amount_differs", f"books {_words(payout.amount)}, bank {_words(payment.amount)}")
        )
    # Of an erased claim the books no longer say to whom: amount and reference are compared all the same.
    if payout.payee_account and payment.account != payout.payee_account:
        found.append(_difference(payout, "account_differs", "the bank paid to another account"))
    if payout.state == "paid" and payment.reference != payout.bank_reference:
        found.append(_difference(payout, "reference_differs", f"{payout.bank_reference} against {payment.reference}"))
    return found


def _against_ledger(payout: Payout, steps: Mapping[str, tuple[Money, ...]]) -> list[Difference]:
    wanted = STEPS[payout.state]
    if steps.keys() != wanted:
        detail = f"{payout.state} with steps {', '.join(sorted(steps)) or 'none'}"
        return [_difference(payout, "ledger_steps_differ", detail)]
    return [
        _difference(payout, "ledger_amount_differs", f"{step}: {' '.join(_words(debit) for debit in debits)}")
        for step, debits in steps.items()
        if debits != (payout.amount,)
    ]


def _difference(payout: Payout, code: str, detail: str) -> Difference:
    return Difference(payout.id, payout.claim_id, code, detail)


def _words(amount: Money) -> str:
    return with_code(amount.minor, amount.currency)


async def _every(conn: AsyncConnection) -> AsyncIterator[Payout]:
    after = ""
    while True:
        page = await payouts.every(conn, after=after, limit=PAGE)
        for payout in page:
            yield payout
        if len(page) < PAGE:
            return
        after = page[-1].id


async def _ledger(conn: AsyncConnection) -> dict[str, dict[str, tuple[Money, ...]]]:
    """By payout and step, the debits."""
    rows = await conn.execute(
        select(
            ledger_transactions.c.payout_id,
            ledger_transactions.c.step,
            ledger_entries.c.amount_minor,
            ledger_entries.c.currency,
        )
        .join(ledger_entries, ledger_entries.c.transaction_id == ledger_transactions.c.id)
        .where(ledger_entries.c.amount_minor > 0)
    )
    found: dict[str, dict[str, tuple[Money, ...]]] = {}
    for payout_id, step, minor, currency in rows:
        steps = found.setdefault(payout_id, {})
        steps[step] = (*steps.get(step, ()), Money(minor, currency))
    return found
