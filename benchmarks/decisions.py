"""Measures how fast claims are decided and replayed, and the outcomes of random claims: `miaopei bench decisions`.

The book is `fixtures.cases.book`: about nine claims in ten in good order, made-up facts. Its outcomes show that the
rules tell good claims from spoilt ones, not how many claims of a real insurer would be paid. Measured are the time,
that every replay agrees byte for byte, and that no claim with something wrong in it was paid.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from claims import decide as judging
from claims.decision import Decision, Ground, Outcome
from claims.rules import RULES
from claims.wire import canonical
from fixtures.cases import Case, book

SEED = 20261122


def run(*, quick: bool = False) -> dict[str, Any]:
    """Returns one JSON-ready object; times are of one thread of this machine."""
    count = 300 if quick else 5_000
    cases = list(book(SEED, count))
    seconds, decisions = [], []
    for case in cases:
        started = time.perf_counter()
        decisions.append(case.decision())
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    agreed = sum(_replays(case, decision) for case, decision in zip(cases, decisions, strict=True))
    replay_s = (time.perf_counter() - started) / count
    paid = [decision for decision in decisions if decision.outcome is Outcome.PAY]
    return {
        "claims": count,
        "rules": RULES.version,
        "decide_p50_ms": round(1_000 * statistics.median(seconds), 3),
        "decide_p99_ms": round(1_000 * statistics.quantiles(seconds, n=100)[98], 3),
        "decisions_per_s": round(count / sum(seconds), 1),
        "record_and_replay_mean_ms": round(1_000 * replay_s, 3),
        "replays_that_agree": agreed,
        "outcomes": dict(sorted(Counter(decision.outcome.value for decision in decisions).items())),
        "deciding_reasons": dict(Counter(decision.reasons[0].code for decision in decisions).most_common()),
        "paid_with_a_doubt": sum(any(why.ground is not Ground.CLEAR for why in decision.reasons) for decision in paid),
        "declined_without_a_contract_ground": sum(
            decision.reasons[0].ground is not Ground.CONTRACT
            for decision in decisions
            if decision.outcome is Outcome.DECLINE
        ),
        "paid_above_the_claim": sum(
            case.claim.amount < decision.payout for case, decision in zip(cases, decisions, strict=True)
        ),
        "inputs_bytes_median": int(statistics.median(len(_inputs(case)) for case in cases)),
    }


def show(result: dict[str, Any]) -> None:
    """Prints the figures as a table."""
    table = Table("figure", "value", title=f"Decisions on {result['claims']} random claims, rules {result['rules']}")
    for name, value in result.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value))
    Console().print(table)


def _inputs(case: Case) -> bytes:
    return judging.inputs(case.insured, case.facts, RULES, case.now)


def _replays(case: Case, decision: Decision) -> bool:
    return judging.replay(_inputs(case)) == canonical(decision)
