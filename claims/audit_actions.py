"""Every change of state that the audit chain must record, and the actions that record it.

`claims.store.guard` makes the database hold to this list: a transaction that makes one of these changes and adds no
record of that subject with one of these actions is refused at its commit. A new state, table or action is a line here;
the guard is brought up to date by the next migration run (`claims.store.migrate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

ERASED: Final = "claim.erased"  # also covers contents of earlier records that are missing (`claims.audit.Missing`)

# Each action in a few words.
ACTIONS: Final[Mapping[str, str]] = {
    "claim.created": "a draft was made",
    "claim.submitted": "it was sent in, with these files",
    "claim.decided": "the rules or a person decided",
    "claim.withdrawn": "the claimant took it back",
    "claim.appealed": "the claimant asked for a person",
    "claim.appeal_withdrawn": "the claimant took the appeal back: the decision before it stands",
    "claim.released": "the flood that it waited for was ruled on, and it is decided anew",
    "claim.rechecked": "it could not be checked before a person came to it, and is checked again",
    ERASED: "what it was about is gone",
    "claim.picture_erased": "another claim's picture was taken out of what is recorded of this one",
    "payout.sent": "the bank was asked for the first time",
    "payout.paid": "the bank confirmed",
    "payout.failed": "the bank refused for good",
    "payout.paid_after_all": "the bank made a payout that the books had given up",
    "payout.finding_opened": "bank and books disagree about a payout: its claim stops",
    "payout.finding_lifted": "a person let the claim go on",
    "payout.finding_over": "a later comparison no longer met the disagreement",
    "recovery.opened": "less is due than was paid: the claimant owes the rest",
    "recovery.offset": "a part was taken off another payout",
    "recovery.repaid": "the claimant paid it back",
    "recovery.written_off": "the rest is given up",
    "referral.delivered": "the partner insurer has the notice",
    "referral.handed_on": "it waited for a flood and is now a case like any other",
    "match.ruled": "a person said what two pictures are",
    "match.ruling_taken_back": "and took the word back",
    "flood.opened": "one picture matches many claims",
    "flood.ruled": "a person said what that picture is",
    "policy.recorded": "a policy was recorded or changed",
    "claimant.recorded": "a claimant was recorded or changed",
    "pet.recorded": "a pet was recorded or changed",
    "pet.enrolment_requested": "nose photos were sent in",
    "pet.enrolled": "nose templates were replaced",
    "claim.asked_again": "an operator asked for it to be decided now",
    "worker.drain_asked": "an operator asked a worker to finish what it has and to end",
    "token.revoked": "a bearer token, or all of a subject, is no longer taken",
    "brake.set": "work of this name is held, or limited to so many at once",
    "brake.released": "it goes on without a limit",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of change of a table's rows and the actions of which one must be recorded with it.

    column: for updates, the column whose value changes; value: the new value, "" for any. Of a column that is listed
    with values, any other value is refused. actions: empty where the change is never made. subjects: columns of the row
    (after an update, the new row), one of which names the record's subject.
    """

    table: str
    on: Literal["insert", "update", "delete"]
    actions: tuple[str, ...]
    subjects: tuple[str, ...] = ("claim_id",)
    column: str = ""
    value: str = ""

    def __str__(self) -> str:
        if self.on != "update":
            return f"{self.on} {self.table}"
        return f"{self.table}.{self.column}" + (f" = {self.value}" if self.value else "")


def _states(
    table: str, column: str, by_value: Mapping[str, tuple[str, ...]], subjects: tuple[str, ...] = ("claim_id",)
) -> Iterator[Change]:
    for value, actions in by_value.items():
        yield Change(table, "update", actions, subjects, column, value)


def _columns(
    table: str, columns: str, actions: tuple[str, ...] = (), subjects: tuple[str, ...] = ("claim_id",)
) -> Iterator[Change]:
    for column in columns.split():
        yield Change(table, "update", actions, subjects, column)


# Actions that put a claim before a person because of its payouts.
_STOPPED: Final = ("payout.failed", "payout.paid", "payout.paid_after_all", "payout.finding_opened")
CHANGES: Final[tuple[Change, ...]] = (
    Change("claims", "insert", ("claim.created",), ("id",)),
    *_states(
        "claims",
        "status",
        {
            "submitted": ("claim.submitted", "claim.released", "claim.rechecked"),
            "awaiting_information": ("claim.decided",),
            "referred": ("claim.decided", "claim.appealed", *_STOPPED),
            "approved": ("claim.decided", "claim.appeal_withdrawn"),
            "paid": ("payout.paid", "claim.decided", "claim.appeal_withdrawn"),
            "payout_failed": ("payout.failed",),
            "declined": ("claim.decided", "claim.appeal_withdrawn"),
            "withdrawn": ("claim.withdrawn",),
            "erased": (ERASED,),
        },
        ("id",),
    ),
    *_columns(
        "claims", "description payee_account device_id address merchant_id order_number trace_id", (ERASED,), ("id",)
    ),
    *_columns("claims", "policy_id claimant_id product peril amount_minor currency occurred_at", (), ("id",)),
    Change("claims", "delete", (), ("id",)),
    *_columns("claim_history", "status actor note at", (ERASED,)),
    Change("claim_history", "delete", ()),
    Change("decisions", "insert", ("claim.decided",)),
    *_columns("decisions", "inputs decision", (ERASED, "claim.picture_erased")),
    *_columns("decisions", "outcome payout_minor currency rules_version decided_by decided_at"),
    Change("decisions", "delete", ()),
    Change("payouts", "insert", ("claim.decided",)),
    *_states(
        "payouts",
        "state",
        {"sent": ("payout.sent",), "paid": ("payout.paid", "payout.paid_after_all"), "failed": ("payout.failed",)},
    ),
    *_columns("payouts", "bank_reference settled_at", ("payout.paid", "payout.failed", "payout.paid_after_all")),
    *_columns("payouts", "payee_account", (ERASED,)),
    *_columns("payouts", "claim_id decision_id amount_minor currency recovery_id"),
    Change("payouts", "delete", ()),
    Change("referrals", "insert", ("claim.decided", "claim.appealed", *_STOPPED)),
    *_states(
        "referrals",
        "state",
        {
            "delivered": ("referral.delivered",),
            "decided": ("claim.decided",),
            "closed": ("claim.withdrawn", "claim.appeal_withdrawn", "claim.released", "claim.rechecked"),
        },
    ),
    *_columns("referrals", "cause partner", ("referral.handed_on", *_STOPPED)),
    *_columns("referrals", "verdict decided_by", ("claim.decided",)),
    *_columns("referrals", "note", ("claim.decided", "claim.rechecked", *_STOPPED, ERASED)),
    Change("referrals", "delete", ()),
    Change("match_rulings", "insert", ("match.ruled",)),
    *_columns("match_rulings", "ruling note measured ruled_by ruled_at"),
    Change("match_rulings", "delete", ("match.ruling_taken_back", ERASED), ("claim_id", "match_claim_id")),
    Change("floods", "insert", ("flood.opened",), ("id",)),
    *_columns("floods", "state ruling note ruled_by ruled_at", ("flood.ruled",), ("id",)),
    Change("floods", "delete", (), ("id",)),
    Change("flood_claims", "insert", ("claim.decided",)),
    *_states(
        "flood_claims",
        "state",
        {
            "held": ("claim.decided",),
            "released": ("claim.released",),
            "kept": ("referral.handed_on",),
            # The event that ended the wait has a record of its own, perhaps in another transaction.
            "over": ("*",),
        },
    ),
    Change("flood_claims", "delete", (ERASED,)),
    Change("recoveries", "insert", ("recovery.opened",)),
    *_states(
        "recoveries",
        "state",
        {
            "offset": ("recovery.offset",),
            "repaid": ("recovery.repaid",),
            "written_off": ("recovery.written_off",),
        },
    ),
    *_columns("recoveries", "offset_minor", ("recovery.offset",)),
    *_columns("recoveries", "repaid_minor reference", ("recovery.repaid", ERASED)),
    *_columns("recoveries", "written_off_minor", ("recovery.written_off",)),
    *_columns("recoveries", "note", ("recovery.written_off", ERASED)),
    *_columns("recoveries", "claim_id decision_id claimant_id amount_minor currency opened_at opened_by"),
    Change("recoveries", "delete", ()),
    Change("payout_findings", "insert", ("payout.finding_opened",), ("claim_id", "payout_id")),
    *_states(
        "payout_findings",
        "state",
        {"lifted": ("payout.finding_lifted",), "over": ("payout.finding_over",)},
        ("claim_id", "payout_id"),
    ),
    Change("payout_findings", "delete", ()),
    Change("token_revocations", "insert", ("token.revoked",), ("what",)),
    *_columns("token_revocations", "issued_until", ("token.revoked",), ("what",)),
    Change("policies", "insert", ("policy.recorded",), ("id",)),
    *_columns(
        "policies",
        "number product claimant_id insured_name pet_id starts_at ends_at currency sum_insured_minor"
        " insured_value_minor",
        ("policy.recorded",),
        ("id",),
    ),
    Change("claimants", "insert", ("claimant.recorded",), ("pseudonym",)),
    *_columns("claimants", "name credit_attributes", ("claimant.recorded",), ("pseudonym",)),
    Change("pets", "insert", ("pet.recorded",), ("id",)),
    *_columns("pets", "claimant_id name species born_on", ("pet.recorded",), ("id",)),
    Change("nose_templates", "insert", ("pet.enrolled",), ("pet_id",)),
    Change("nose_templates", "delete", ("pet.enrolled",), ("pet_id",)),
    Change("brakes", "insert", ("brake.set",), ("name",)),
    *_columns("brakes", "at_once_max source actor reason at", ("brake.set", "brake.released"), ("name",)),
    Change("brakes", "delete", (), ("name",)),
)
