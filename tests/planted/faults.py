"""Faults to plant: small changes of the source, each with the violations by which the state machine must find it.

A change names the text that it replaces; text that is not there, or is there twice, is an error, so that the list
cannot rot. The faults that leave out an audit record are made from the calls that the source has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


class DoesNotApply(Exception):
    """The source has changed: the fault cannot be planted as it is written."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `old`, which must be there exactly once, by `new`."""

    path: str
    old: str
    new: str

    def apply(self, source: str) -> str:
        """Raises DoesNotApply."""
        count = source.count(self.old)
        if count != 1:
            raise DoesNotApply(f"{self.path}: the text to replace is there {count} times: {self.old!r}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Fault:
    """codes: the violations that count as finding it. No edits: the tree has the fault itself, and `why` says so."""

    name: str
    what: str
    edits: tuple[Edit, ...]
    codes: tuple[str, ...]
    why: str = ""

    @property
    def where(self) -> str:
        return ", ".join(dict.fromkeys(edit.path for edit in self.edits)) or "the tree itself"


_CLAIMS_ROUTE: Final = "api/http/routes/claims.py"
_ANYBODY: Final = Edit(
    "claims/store/statuses.py",
    "    if claimant_id is not None:\n",
    "    if claimant_id is not None and not claimant_id:\n",
)

FAULTS: Final = (
    Fault(
        "payout-key-per-attempt",
        "each attempt sends the payout under another id",
        (
            Edit(
                "flows/settle.py",
                "instruction = Instruction(payout.id, ",
                'instruction = Instruction(f"{payout.id[:30]}-{payout.attempts}", ',
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
                'return table.c.id == held.id, table.c.fence == held.fence, table.c.state == "leased"',
                'return table.c.id == held.id, table.c.state == "leased"',
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
                ", note=note)\n        row = await views.claim_row(conn, claim_id, claimant_id=principal.subject)\n",
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
                "        row = await views.claim_row(conn, claim_id, claimant_id=principal.subject)\n"
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
        (Edit("claims/store/adjudication.py", "        await _check_cover(conn, file.policy, left)\n", ""),),
        ("cover_overpaid",),
    ),
    Fault(
        "copy-not-checked-again",
        "a person is not told that a claim with the same picture was paid",
        (
            Edit(
                "claims/store/adjudication.py",
                "        await links.check_unpaid(conn, claim.id, paid_elsewhere)\n",
                "",
            ),
        ),
        ("photo_paid_again", "paper_paid_again"),
    ),
    Fault(
        "409-as-final",
        "the bank's 409 is taken for a refusal for good",
        (),
        ("bank_differs_paid_though_failed",),
        "every 409 in the bank's words is among REFUSALS of flows/rails/http.py",
    ),
    Fault(
        "withdrawn-as-unpaid",
        "a claim that was withdrawn counts as unpaid",
        (),
        ("withdrawn_with_money", "photo_paid_again"),
        "an appeal of a paid claim is withdrawn as the claim, and the photo is free again",
    ),
)

# Records of what the machine does not do; they are left to the tests that are named in docs/safety.md.
NOT_BY_THE_MACHINE: Final = frozenset(
    {"flood.opened", "flood.ruled", "claim.released", "match.ruled", "match.ruling_taken_back", "pet.enrolled"}
)


def audit_faults(root: Path = ROOT) -> Iterator[Fault]:
    """One for each record that the store appends and the machine causes: the record is left out."""
    for path in sorted((root / "claims" / "store").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        lines = source.splitlines(keepends=True)
        for node in ast.walk(tree):
            call = _append(node)
            if call is None:
                continue
            named = call.args[2]
            action = constants[named.id] if isinstance(named, ast.Name) else ast.literal_eval(named)
            if action in NOT_BY_THE_MACHINE:
                continue
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
            yield Fault(name, f"{action} leaves no record", (Edit(relative, old, new),), ("audit_missing", "unhandled"))


def _append(node: ast.AST) -> ast.Call | None:
    """The call of `audit.append` that this statement is."""
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
    """All faults, in the order in which they are planted."""
    return (*FAULTS, *audit_faults(root))
