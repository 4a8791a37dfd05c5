"""A claim's page in Prefect: Markdown, for operators. Codes, amounts, seconds and links; no name, no file's name and no
words of people. What the links lead to is shown by our own pages to those who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from claims.currencies import with_code
from claims.decision import Outcome
from claims.evidence import PhotoFact, UnmeasuredPhoto
from claims.store.recording import DecisionRecorded, NewDecision
from flows.run_record import RunRecord, TaskCall

_STATES = {"Cached": "stored before", "Completed": "done", "Failed": "failed", "Running": "under way"}


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
