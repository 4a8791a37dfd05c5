"""The presentation of claims' runs in Prefect: label, table, and a page for each claim in Markdown.

Codes, amounts, seconds and links, for operators; no name, no file's name and no words of people. What the links lead to
is shown by our own pages to those who may see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from claims.currencies import with_code
from claims.decision import Outcome
from claims.evidence import PhotoFact, UnmeasuredPhoto
from claims.store.queue import Lease
from claims.store.recording import DecisionRecorded, NewDecision
from flows.run_record import RunRecord, TaskCall
from flows.runs import Row, RunLabel, RunPage, Summary, artifact_key, summarise

_STATES = {"Cached": "stored before", "Completed": "done", "Failed": "failed", "Running": "under way"}


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The outcome of one claim, as the flow run's table shows it, and its page in Markdown ("" for none)."""

    claim_id: str
    outcome: str
    amount: str
    reason: str
    seconds: float
    markdown: str = ""

    def row(self) -> Row:
        return {
            "claim": self.claim_id,
            "outcome": self.outcome,
            "amount": self.amount,
            "first reason": self.reason,
            "seconds": round(self.seconds, 3),
        }


def claim_page(
    new: NewDecision,
    recorded: DecisionRecorded,
    photos: Sequence[PhotoFact | UnmeasuredPhoto],
    record: RunRecord,
    public_url: str,
) -> str:
    """Returns the page of a claim that was decided just now. public_url: of our own API; "" leaves the links out."""
    decision, claim = new.decision, new.claim
    lines = [f"# Claim {claim.id}", "", f"Outcome: **{decision.outcome}**", ""]
    lines.append(f"- claimed: {with_code(claim.amount.minor, claim.amount.currency)}")
    if decision.outcome is Outcome.PAY:
        lines.append(f"- payout: {with_code(decision.payout.minor, decision.payout.currency)}")
    lines += [f"- {name}: {value}" for name, value in _ids(recorded) if value]
    lines.append(f"- rules: {decision.rules_version}")
    if decision.benefit:
        lines += ["", "| amount | |", "|---|---|"]
        lines += [
            f"| {line.label} | {with_code(line.amount.minor, line.amount.currency)} |" for line in decision.benefit
        ]
    lines += ["", "| reason | ground | leads to |", "|---|---|---|"]
    lines += [f"| {reason.code} | {reason.ground} | {reason.pulls} |" for reason in decision.reasons]
    lines += ["", "| task | | wall s | CPU s |", "|---|---|---|---|"]
    lines += [_row(call) for call in record.calls if call.subject == claim.id]
    if decision.models:
        lines += ["", "Models: " + ", ".join(f"`{model}`" for model in decision.models)]
    if public_url:
        lines += ["", *_links(public_url.rstrip("/"), claim.id, recorded, photos)]
    sent = f", of the claim's intake `trace_id={new.file.trace_id}`" if new.file.trace_id else ""
    return "\n".join([*lines, "", f"Our own log of this run: `trace_id={record.trace_id}`{sent}"])


def _ids(recorded: DecisionRecorded) -> tuple[tuple[str, str], ...]:
    return (
        ("status", str(recorded.status)),
        ("decision", recorded.decision_id),
        ("payout id", recorded.payout_id),
        ("referral", recorded.referral_id),
        ("recovery", recorded.recovery_id),
    )


def _row(call: TaskCall) -> str:
    again = f" (again, {call.number})" if call.number else ""
    return (
        f"| {call.task.name}{again} | {_STATES.get(call.last.state, call.last.state)} | {call.wall_seconds:.3f} |"
        f" {call.cpu_seconds:.3f} |"
    )


def _links(
    base: str, claim_id: str, recorded: DecisionRecorded, photos: Sequence[PhotoFact | UnmeasuredPhoto]
) -> list[str]:
    case = f"{base}/cases/{recorded.referral_id}" if recorded.referral_id else f"{base}/v1/claims/{claim_id}"
    proofs = [
        f"{base}/claims/{claim_id}/matches/{photo.evidence_id}/{quote(match.photo_id, safe='')}/overlay"
        for photo in photos
        if isinstance(photo, PhotoFact)
        for match in photo.matches
        if match.overlay_sha256
    ]
    return [
        f"[The case]({case}), for those who may see it",
        *(f"- [proof of match {number}]({url})" for number, url in enumerate(proofs, start=1)),
    ]


def claims_summary(results: Sequence[ClaimResult]) -> Summary:
    """Returns what stays of a run in Prefect: the counts by outcome, a row for each claim, and a page for each."""
    pages = [
        RunPage(artifact_key("claim", result.claim_id, "page"), result.markdown, f"{result.claim_id}: {result.outcome}")
        for result in results
        if result.markdown
    ]
    return summarise(results, pages)


def claims_label(leases: Sequence[Lease]) -> RunLabel:
    """Returns the presentation of a batch's run."""
    ids = tuple(lease.claim_id for lease in leases)
    single = len(ids) == 1
    return RunLabel(
        flow="adjudicate",
        run=f"claim {ids[0]}" if single else f"batch of {len(ids)} from {ids[0]}",
        tags=(*(f"claim:{claim}" for claim in ids), *(() if single else ("batch",))),
        items=ids,
        artifact_key=artifact_key("claim", ids[0]) if single else "adjudicate-batch",
        parameter="claim_ids",
    )
