"""How fast claims are decided and replayed, and how a random book of claims comes out: `miaopei bench decisions`.

The book is `fixtures.cases.book`: about nine claims in ten in good order, made-up facts. Its outcomes say that rules
tell good from spoilt, nothing about how many claims of a real insurer would be paid. What is really measured is time,
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
    """One JSON-ready object; times are of one thread of this machine."""
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
    paid = [one for one in decisions if one.outcome is Outcome.PAY]
    return {
        "claims": count,
        "rules": RULES.version,
        "decide_p50_ms": round(1_000 * statistics.median(seconds), 3),
        "decide_p99_ms": round(1_000 * statistics.quantiles(seconds, n=100)[98], 3),
        "decisions_per_s": round(count / sum(seconds), 1),
        "record_and_replay_mean_ms": round(1_000 * replay_s, 3),
        "replays_that_agree": agreed,
        "outcomes": dict(sorted(Counter(one.outcome.value for one in decisions).items())),
        "deciding_reasons": dict(Counter(one.reasons[0].code for one in decisions).most_common()),
        "paid_with_a_doubt": sum(any(why.ground is not Ground.CLEAR for why in one.reasons) for one in paid),
        "declined_without_a_contract_ground": sum(
            one.reasons[0].ground is not Ground.CONTRACT for one in decisions if one.outcome is Outcome.DECLINE
        ),
        "paid_above_the_claim": sum(case.claim.amount < one.payout for case, one in zip(cases, decisions, strict=True)),
        "inputs_bytes_median": int(statistics.median(len(_inputs(case)) for case in cases)),
    }


def show(result: dict[str, Any]) -> None:
    """The same as a table."""
    table = Table("figure", "value", title=f"Decisions on {result['claims']} random claims, rules {result['rules']}")
    for name, value in result.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value))
    Console().print(table)


def _inputs(case: Case) -> bytes:
    return judging.inputs(case.claim, case.policy, case.product, case.facts, RULES, case.now)


def _replays(case: Case, decision: Decision) -> bool:
    return judging.replay(_inputs(case)) == canonical(decision)
