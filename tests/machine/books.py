"""Invariants of the store after every step: nothing lost, nothing in two places, every change with its record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from tests.machine.model import Model
from tests.machine.snapshot import Snapshot

OPEN: Final = ("open", "delivered")
LIVE: Final = ("reserved", "sent", "paid")
GOING: Final = ("reserved", "sent")
AT_REST: Final = ("paid", "declined", "withdrawn", "erased", "draft", "awaiting_information")
# Statuses that a claim may be shown in while the bank has paid for it. Referred and further: somebody looks again.
SHOWN_WHEN_PAID: Final = frozenset(
    {"paid", "approved", "referred", "payout_failed", "awaiting_information", "submitted", "erased"}
)
Violations = list[tuple[str, str]]


def by_claim(rows: list[dict[str, Any]], name: str = "claim_id") -> Mapping[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row[name]].append(row)
    return grouped


def check_places(now: Snapshot) -> Violations:
    """Checks that every claim is in exactly one place: at rest, due, before a person, or with its payout under way."""
    violations: Violations = []
    jobs, referrals, payouts = by_claim(now.jobs), by_claim(now.referrals), by_claim(now.payouts)
    for claim_id, claim in now.claims.items():
        status = claim["status"]
        due = [job for job in jobs[claim_id] if job["state"] in ("due", "leased")]
        asked = [referral for referral in referrals[claim_id] if referral["state"] in OPEN]
        going = [payout for payout in payouts[claim_id] if payout["state"] in GOING]
        places = {"due": len(due), "before a person": len(asked), "payout under way": len(going)}
        wanted = {
            "submitted": {"due": 1},
            "referred": {"before a person": 1},
            "payout_failed": {"before a person": 1},
            "approved": {"payout under way": 1},
        }.get(status, {})
        if status in AT_REST and any(places.values()):
            violations.append(("claim_in_two_places", f"claim {claim_id} is {status} and {_words(places)}"))
        elif status not in AT_REST:
            if not wanted:
                violations.append(("claim_lost", f"claim {claim_id} is {status}: nobody knows what comes next"))
            for place, count in wanted.items():
                if places[place] < count:
                    violations.append(("claim_lost", f"claim {claim_id} is {status} and not {place}"))
            if sum(places.values()) > 1:
                violations.append(("claim_in_two_places", f"claim {claim_id} is {status} and {_words(places)}"))
        if any(job["round"] != claim["round"] for job in due):
            violations.append(("claim_lost", f"claim {claim_id} is due in another round than its own"))
    return violations


def check_messages(now: Snapshot) -> Violations:
    """Checks that every promised payout has its message to the settle process, and the other way round."""
    waiting = {row["key"] for row in now.messages if row["topic"] == "settle" and row["state"] in ("due", "leased")}
    known = {row["id"]: row for row in now.payouts}
    lost = [row["id"] for row in now.payouts if row["state"] in GOING and row["id"] not in waiting]
    nobody = [row["key"] for row in now.messages if row["topic"] == "settle" and row["key"] not in known]
    return [
        *(("payout_without_message", f"payout {payout_id} is promised and nobody will send it") for payout_id in lost),
        *(
            ("message_without_payout", f"payout {payout_id} is to be sent and was never promised")
            for payout_id in nobody
        ),
    ]


def check_statuses(now: Snapshot, received: Mapping[str, int], lowered: Mapping[str, int]) -> Violations:
    """Checks that claims show as paid what they received. received: minor units by claim. lowered: minor units of it
    that a person has ruled not due, to come back or given up."""
    violations: Violations = []
    for claim_id, rows in by_claim(now.payouts).items():
        status = now.claims[claim_id]["status"]
        live = [row for row in rows if row["state"] in LIVE]
        if status == "withdrawn" and (live or received.get(claim_id)):
            violations.append(
                ("withdrawn_with_money", f"claim {claim_id} is withdrawn, and money was promised or paid")
            )
        elif received.get(claim_id, 0) > lowered.get(claim_id, 0) and status not in SHOWN_WHEN_PAID:
            violations.append(("paid_shown_otherwise", f"claim {claim_id} was paid and is shown as {status}"))
    return violations


def check_recoveries(now: Snapshot, asked: Collection[str]) -> Violations:
    """Checks recoveries against people's words. asked: claims whose overpayment a person has asked back."""
    violations = [
        ("recovery_unasked", f"claim {row['claim_id']}: {row['amount_minor']} are to come back, and nobody said so")
        for row in now.recoveries
        if row["claim_id"] not in asked
    ]
    return violations + [
        ("recovery_overdrawn", f"recovery {row['id']} of {row['amount_minor']}: {settled} were settled")
        for row in now.recoveries
        if (settled := row["offset_minor"] + row["repaid_minor"] + row["written_off_minor"]) > row["amount_minor"]
    ]


def check_stopped(now: Snapshot) -> Violations:
    """Checks that no claim is stopped: the machine's bank answers oddly but always pays as told."""
    return [("stopped_for_nothing", f"claim {row['claim_id']}: {row['code']}: {row['detail']}") for row in now.findings]


def check_ledger(now: Snapshot) -> Violations:
    sums: Counter[tuple[str, str]] = Counter()
    total: Counter[str] = Counter()
    for row in now.ledger:
        if row["amount_minor"] is not None:
            sums[row["payout_id"], row["currency"]] += row["amount_minor"]
            total[row["currency"]] += row["amount_minor"]
    violations = [("ledger_not_zero", f"{currency} sums to {minor}") for currency, minor in total.items() if minor]
    return violations + [
        ("ledger_not_zero", f"payout {payout}: {currency} sums to {minor}")
        for (payout, currency), minor in sums.items()
        if minor
    ]


# What the store's own rows say has happened, and the record that each such thing has. A function gives the subjects,
# one for each time that it happened.
EXPECTED: Final[Mapping[str, Callable[[Snapshot], list[str]]]] = {
    "claim.created": lambda now: list(now.claims),
    "claim.submitted": lambda now: [
        row["claim_id"] for row in now.history if row["status"] == "submitted" and not row["actor"].startswith("flow:")
    ],
    "claim.decided": lambda now: [row["claim_id"] for row in now.decisions],
    "claim.appealed": lambda now: [row["claim_id"] for row in now.referrals if row["cause"] == "appeal"],
    "claim.withdrawn": lambda now: [row["claim_id"] for row in now.history if row["status"] == "withdrawn"],
    "claim.erased": lambda now: [row["claim_id"] for row in now.history if row["status"] == "erased"],
    "claim.appeal_withdrawn": lambda now: [
        row["claim_id"]
        for row in now.history
        if row["actor"].startswith("claimant") and row["status"] in ("paid", "declined", "approved")
    ],
    "payout.sent": lambda now: [row["claim_id"] for row in now.payouts if row["attempts"]],
    "payout.paid": lambda now: [
        row["claim_id"] for row in now.payouts if row["state"] == "paid" and not row["recovery_id"]
    ],
    "payout.failed": lambda now: [row["claim_id"] for row in now.payouts if row["state"] == "failed"],
    "recovery.opened": lambda now: [row["claim_id"] for row in now.recoveries],
    "recovery.offset": lambda now: [
        back["claim_id"] for back in now.recoveries for row in now.payouts if row["recovery_id"] == back["id"]
    ],
    "recovery.repaid": lambda now: [row["claim_id"] for row in now.recoveries if row["repaid_minor"]],
    "recovery.written_off": lambda now: [row["claim_id"] for row in now.recoveries if row["written_off_minor"]],
    "match.ruled": lambda now: [row["claim_id"] for row in now.rulings],
}


def check_audit(now: Snapshot, model: Model, done: Mapping[tuple[str, str], int]) -> Violations:
    """Checks that every change has its record, with its contents unless the claim was erased. done: counts of the
    actions that the machine was told had succeeded, by action and subject."""
    there: Counter[tuple[str, str]] = Counter((row["action"], row["subject"]) for row in now.audit)
    wanted: Counter[tuple[str, str]] = Counter()
    for (action, subject), count in done.items():
        wanted[action, now.pseudonyms.get(subject, subject) if action == "claimant.recorded" else subject] += count
    for action, subjects in EXPECTED.items():
        for key, count in Counter((action, subject) for subject in subjects(now)).items():
            wanted[key] = max(wanted[key], count)
    violations = [
        ("audit_missing", f"{action} of {subject}: {there[action, subject]} records of {count}")
        for (action, subject), count in wanted.items()
        if there[action, subject] < count
    ]
    erased = {row["subject"] for row in now.audit if row["action"] == "claim.erased"}
    violations += [
        ("audit_content_missing", f"record {row['seq']} ({row['action']}) has lost its contents")
        for row in now.audit
        if not row["has_content"] and row["subject"] not in erased
    ]
    violations += [
        ("audit_missing", f"claim.erased of {claim_id}: its claim was erased")
        for claim_id, claim in model.claims.items()
        if claim.erased and claim_id not in erased
    ]
    return violations


def check_work(now: Snapshot, killed: int) -> Violations:
    """Checks that nothing failed for an unknown reason. killed: number of workers killed in this run; a claim that
    several died on may go to a person unchecked.
    """
    violations = [
        ("unhandled", f"claim {row['claim_id']}: {row['last_error']}")
        for row in now.jobs
        if row["last_error"] and "Died" not in row["last_error"]
    ]
    return violations + [
        ("unhandled", f"claim {row['claim_id']} could not be checked")
        for row in now.decisions
        if row["unchecked"] and not killed
    ]


def _words(places: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {place}" for place, count in places.items() if count)
