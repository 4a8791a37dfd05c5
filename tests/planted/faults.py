"""Faults to plant: small changes of the source, each with the violations by which the state machine must find it.

A change names the text that it replaces; text that is not there, or is there twice, is an error, so that the list
cannot rot. The faults that leave out an audit record are made from the calls that the source has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


class DoesNotApply(Exception):
    """The source has changed: the fault cannot be planted as it is written."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of `old`, which must be there exactly once, by `new`."""

    path: str
    old: str
    new: str

    def apply(self, source: str) -> str:
        """Returns the edited source. Raises DoesNotApply."""
        count = source.count(self.old)
        if count != 1:
            raise DoesNotApply(f"{self.path}: the text to replace is there {count} times: {self.old!r}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. codes: violations that count as finding it. test: a test that must fail instead, for actions that the
    machine does not take. No edits: the unchanged tree."""

    name: str
    what: str
    edits: tuple[Edit, ...]
    codes: tuple[str, ...] = ()
    test: str = ""

    @property
    def where(self) -> str:
        return ", ".join(dict.fromkeys(edit.path for edit in self.edits)) or "the tree itself"


_CLAIMS_ROUTE: Final = "api/http/routes/claims.py"
_ANYBODY: Final = Edit(
    "claims/store/statuses.py",
    "    if claimant_id is not None:\n",
    "    if claimant_id is not None and not claimant_id:\n",
)

_ANY_409: Final = Edit(
    "flows/rails/http.py",
    '        if problem.code in self._config.final_refusals and problem.id in ("", payout_id):\n',
    "        if response.status_code == 409 or problem.code in self._config.final_refusals:\n",
)
_UNASKED: Final = Edit(
    "flows/settle.py",
    "        if isinstance(reply, Paid) and _same(reply, payout):\n            return reply\n",
    "        if isinstance(reply, Refused) or (isinstance(reply, Paid) and _same(reply, payout)):\n"
    "            return reply\n",
)
_ALL_WITHDRAWN: Final = Edit(
    "claims/store/intake.py",
    "    stands = await _stands(conn, claim_id)\n",
    "    stands = None\n",
)

FAULTS: Final = (
    Fault(
        "payout-key-per-attempt",
        "each further attempt sends the payout under another id",
        (
            Edit(
                "flows/settle.py",
                "instruction = Instruction(payout.id, ",
                'again = f"{payout.id[:30]}-{payout.attempts}"\n'
                "        instruction = Instruction(again if payout.attempts else payout.id, ",
            ),
        ),
        ("bank_differs_unknown_payment",),
    ),
    Fault(
        "outbox-outside-the-transaction",
        "the message to the settle process is committed by itself, before what it speaks of",
        (
            Edit(
                "claims/store/payouts.py",
                '    await outbox.put(conn, "settle", payout_id, {"claim_id": claim_id}, now)\n',
                "    async with conn.engine.begin() as apart:\n"
                '        await outbox.put(apart, "settle", payout_id, {"claim_id": claim_id}, now)\n',
            ),
        ),
        ("message_without_payout",),
    ),
    Fault(
        "no-message-in-the-outbox",
        "a payout is promised and nobody is told to send it",
        (
            Edit(
                "claims/store/payouts.py",
                '    await outbox.put(conn, "settle", payout_id, {"claim_id": claim_id}, now)\n',
                "",
            ),
        ),
        ("payout_without_message",),
    ),
    Fault(
        "no-fence",
        "whoever holds a lease may write, however late",
        (
            Edit(
                "claims/store/leasing.py",
                'return columns.id == lease.row_id, columns.fence == lease.fence, columns.state == "leased"',
                'return columns.id == lease.row_id, columns.state == "leased"',
            ),
        ),
        ("late_worker_wrote",),
    ),
    Fault(
        "anybody-reads",
        "a claimant reads any claim",
        (Edit(_CLAIMS_ROUTE, '        return {"claimant_id": principal.subject}\n', "        return {}\n"),),
        ("stranger_got_through",),
    ),
    Fault(
        "anybody-in-the-store",
        "the store does not ask whose claim it changes",
        (_ANYBODY,),
        ("stranger_got_through",),
    ),
    Fault(
        "anybody-withdraws",
        "a claimant withdraws any claim",
        (
            _ANYBODY,
            Edit(
                _CLAIMS_ROUTE,
                ", note=note)\n        row = await views.claim_row(conn, claim_id, claimant_id=claimant_id)\n",
                ", note=note)\n        row = await views.claim_row(conn, claim_id)\n",
            ),
        ),
        ("stranger_got_through",),
    ),
    Fault(
        "anybody-appeals",
        "a claimant appeals any claim",
        (
            _ANYBODY,
            Edit(
                _CLAIMS_ROUTE,
                "        row = await views.claim_row(conn, claim_id, claimant_id=claimant_id)\n"
                "        await intake.appeal(\n",
                "        row = await views.claim_row(conn, claim_id)\n        await intake.appeal(\n",
            ),
        ),
        ("stranger_got_through",),
    ),
    Fault(
        "ledger-not-posted",
        "a payment is marked as paid and not entered in the ledger",
        (
            Edit(
                "claims/store/payouts.py",
                "    await ledger_store.write(conn, ledger.post(payout_id, payout.amount), now)\n",
                "",
            ),
        ),
        ("bank_differs_ledger_steps_differ",),
    ),
    Fault(
        "cover-not-checked-again",
        "of two claims that are decided at once both use the same rest of a cover",
        (Edit("claims/store/recording.py", "    await promises.check_cover(conn, new.file.policy, pay_minor)\n", ""),),
        ("cover_overpaid",),
    ),
    Fault(
        "copy-not-checked-again",
        "a person is not told that a claim with the same picture was paid",
        (
            Edit(
                "claims/store/recording.py",
                "    await links.check_unpaid(conn, claim.id, new.paid_elsewhere)\n",
                "",
            ),
        ),
        ("photo_paid_again", "paper_paid_again"),
    ),
    Fault(
        "order-not-checked-again",
        "other claims for the order or about the event are not looked for when money is promised",
        (
            Edit(
                "claims/store/recording.py",
                "    await repeats.check_unpaid(conn, insured, payout, new.paid_elsewhere, RULES, "
                "by_rules=new.lease is not None)\n",
                "",
            ),
        ),
        ("order_paid_again", "event_paid_again", "order_over_value"),
    ),
    Fault(
        "late-cover-unnoticed",
        "nobody asks when the house was told of a cover",
        (Edit("claims/judge/cover.py", "    reasons += _told_too_late(claim, policy, rules)\n", ""),),
        ("late_cover_paid",),
    ),
    Fault(
        "lowered-in-silence",
        "a person lowers what was paid, and nothing comes of it",
        (
            Edit("claims/recovery.py", "    if left_minor < 0 and not recover:\n", "    if False:\n"),
            Edit(
                "claims/recovery.py",
                "Settling(max(0, left_minor), max(0, -left_minor))",
                "Settling(max(0, left_minor), 0)",
            ),
        ),
        ("decision_without_effect",),
    ),
    Fault(
        "offset-and-sent",
        "what is taken off for an older debt is sent to the claimant all the same",
        (Edit("claims/store/recoveries.py", "    rest = Money(rest_minor, due.currency)\n", "    rest = due\n"),),
        ("decision_without_effect", "claim_overpaid", "cover_overpaid", "bank_differs_paid_more_than_due"),
    ),
    Fault(
        "409-as-final",
        "the bank's 409 is taken for a refusal for good, and nobody asks again",
        (_ANY_409, _UNASKED),
        ("bank_differs_paid_though_failed",),
    ),
    Fault(
        "refusal-unconfirmed",
        "a refusal is recorded without asking the bank about the payout",
        (_UNASKED,),
        ("bank_differs_paid_though_failed",),
    ),
    Fault(
        "in-progress-as-final",
        "a payout that the bank is still at is taken for refused",
        (
            Edit(
                "flows/rails/http.py",
                '        if record.state == "refused" and record.code in self._config.final_refusals:\n',
                '        if record.state != "paid":\n',
            ),
        ),
        ("bank_differs_paid_though_failed",),
    ),
    Fault(
        "appeal-withdrawn-as-the-claim",
        "who takes back the appeal of a paid claim takes back the claim",
        (_ALL_WITHDRAWN,),
        ("withdrawn_with_money",),
    ),
    Fault(
        "withdrawn-as-unpaid",
        "a claim that was withdrawn after it was paid counts as unpaid",
        (
            _ALL_WITHDRAWN,
            Edit(
                "claims/store/payouts.py",
                "        .where(payouts.c.claim_id.in_(sorted(set(claim_ids))), payouts.c.state.in_(LIVE))\n",
                "        .where(payouts.c.claim_id.in_(sorted(set(claim_ids))), payouts.c.state.in_(LIVE))\n"
                "        .where(payouts.c.claim_id.not_in("
                'select(claims.c.id).where(claims.c.status == "withdrawn")))\n',
            ),
        ),
        ("photo_paid_again", "paper_paid_again", "order_paid_again", "event_paid_again"),
    ),
)

# What is recorded of steps that are none of the machine's: the test that drives them must miss the record.
LIFE: Final = "tests/claims/store/test_audit_actions.py"
NOT_BY_THE_MACHINE: Final = frozenset(
    {
        "claim.rechecked",
        "claim.released",
        "flood.opened",
        "flood.ruled",
        "match.ruled",
        "match.ruling_taken_back",
        "payout.finding_lifted",
        "payout.finding_opened",
        "payout.finding_over",
        "payout.paid_after_all",
        "pet.enrolled",
        "recovery.offset",  # a debt and a later payout of one claimant are too rare within a run's steps
        "referral.delivered",
        "referral.handed_on",
        "token.revoked",
    }
)


def audit_faults(root: Path = ROOT) -> Iterator[Fault]:
    """Yields a fault for each audit record that the store appends, which leaves that record out."""
    listed = _constants(ast.parse((root / "claims" / "audit_actions.py").read_text(encoding="utf-8")), {})
    for path in sorted((root / "claims" / "store").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        constants = _constants(tree, listed)
        lines = source.splitlines(keepends=True)
        for node in ast.walk(tree):
            call = _append(node)
            if call is None:
                continue
            named = call.args[2]
            action = constants[named.id] if isinstance(named, ast.Name) else ast.literal_eval(named)
            assert isinstance(node, ast.Expr)
            assert node.end_lineno is not None
            # With the line before it, which tells two equal calls apart.
            start = node.lineno - 2
            old = "".join(lines[start : node.end_lineno])
            new = lines[start] + " " * node.col_offset + "pass\n"
            relative = str(path.relative_to(root))
            name = f"no-record-{action}"
            if action == "claimant.recorded":
                name += "" if "values" in old else "-renamed"
            edits = (Edit(relative, old, new),)
            if action in NOT_BY_THE_MACHINE:
                yield Fault(name, f"{action} leaves no record", edits, test=LIFE)
            else:
                yield Fault(name, f"{action} leaves no record", edits, ("audit_missing", "unhandled"))


def _constants(tree: ast.Module, known: Mapping[str, str]) -> dict[str, str]:
    """Returns the module's names of string constants, including aliases of `known` names."""
    constants = dict(known)
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text = value.value
        elif isinstance(value, ast.Name) and value.id in constants:
            text = constants[value.id]
        else:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        constants |= {target.id: text for target in targets if isinstance(target, ast.Name)}
    return constants


def _append(node: ast.AST) -> ast.Call | None:
    """Returns the call if this statement calls `audit.append`."""
    if not (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Await) and isinstance(node.value.value, ast.Call)
    ):
        return None
    call = node.value.value
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr == "append" and isinstance(function.value, ast.Name):
        return call if function.value.id == "audit" else None
    return None


def every(root: Path = ROOT) -> tuple[Fault, ...]:
    """Returns all faults, in the order in which they are planted."""
    return (*FAULTS, *audit_faults(root))
