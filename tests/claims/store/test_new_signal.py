"""A fraud signal is one new file, one line of registration and its limit: added to a copy of the tree, the store counts
by it, the judge refers on it, and what was decided before replays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claims.fraud.signals.registry import SIGNALS
from tests.grown import grown, run_in

pytestmark = pytest.mark.anyio
SIGNAL = '''"""`words`: claims for one product that tell the event in the same words."""

from __future__ import annotations

from claims.fraud.signals.signal import Signal

SIGNAL = Signal(name="words", fields=("product", "description"), reason="words_repeated")
'''
REGISTERED = (
    (
        "from claims.fraud.signals.signal import Signal\n",
        "from claims.fraud.signals import words\nfrom claims.fraud.signals.signal import Signal\n",
    ),
    ("            claimant.SIGNAL,\n", "            claimant.SIGNAL,\n            words.SIGNAL,\n"),
)
LIMIT = (
    (
        '        WindowLimit(key="claimant", window_days=30, claims_max=10, claimants_max=1),\n',
        '        WindowLimit(key="claimant", window_days=30, claims_max=10, claimants_max=1),\n'
        '        WindowLimit(key="words", window_days=7, claims_max=2, claimants_max=1),\n',
    ),
)
WORDS = {
    "zh": ("多人用相同的文字描述事故[：{value}][（限 {threshold}）]", "描述"),
    "en": ("the same words in many claims[: {value}][ (limit: {threshold})]", "words"),
}


def words() -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        f"claims/texts/{language}.yaml": (
            ("\nreasons:\n", f'\nreasons:\n  words_repeated: "{reason}"\n'),
            ("\nshared:\n", f"\nshared:\n  words: {name}\n"),
        )
        for language, (reason, name) in WORDS.items()
    }


PROGRAM = """
import asyncio, json, os
from claims import explain
from claims.decide import replay
from claims.evidence import FraudFact
from claims.store import counts
from claims.store.engine import connect
from claims.wire import canonical
from fixtures.cases import in_order

async def count(claim_id):
    engine = connect(os.environ["DSN"], pool_size=1)
    async with engine.connect() as conn:
        made = await counts.window_counts(conn, claim_id)
    await engine.dispose()
    return made

told = {}
for claim_id in ("me", "quiet"):
    case = in_order("fresh_food_rot").with_facts(fraud=FraudFact(asyncio.run(count(claim_id))))
    stated = {"device_id": "", "address": "", "merchant_id": "", "description": "x" if claim_id == "me" else ""}
    decision = case.with_claim(**stated).decision()
    told[claim_id] = {
        "counts": [
            [made.window_days, made.claims, made.claimants]
            for made in case.facts.fraud.counts
            if made.key == "words"
        ],
        "outcome": decision.outcome,
        "first": decision.reasons[0].code,
        "words": [explain.reason_text(decision.reasons[0], lang) for lang in ("zh", "en")],
    }
rows = json.load(open("tests/claims/decisions_of_rules_2.json"))
told["replayed"] = sum(
    replay(canonical({**row["inputs"], "product": rows["products"][row["product"]], "rules": rows["rules"]}))
    == canonical(row["decision"])
    for row in rows["rows"]
)
print(json.dumps(told))
"""


async def test_a_signal_in_a_file_of_its_own_is_counted_and_judged(world: Any, database_url: str) -> None:
    for number, owner in enumerate(["ann", "bob", "bob"]):
        await world.submitted(f"c-{number}", owner, description="两箱都坏了", device_id=f"d-{number}")
    await world.submitted("other", "bob", description="一箱坏了", device_id="d-8")
    await world.submitted("me", description="两箱都坏了", device_id="d-9")
    await world.submitted("quiet", description="", device_id="d-10")
    changed = {
        "claims/fraud/signals/registry.py": REGISTERED,
        "claims/rules.py": LIMIT,
        **words(),
    }
    with grown({"claims/fraud/signals/words.py": SIGNAL}, changed) as tree:
        told = json.loads(run_in(tree, PROGRAM, DSN=database_url))
    assert told["me"] == {
        "counts": [[7, 3, 2], [30, 3, 2]],
        "outcome": "refer",
        "first": "words_repeated",
        "words": [
            "多人用相同的文字描述事故：7 天内 2 人申请 3 件（限 7 天内不超过 1 人、2 件）",
            "the same words in many claims: 3 claims of 2 people in 7 days"
            " (limit: at most 2 claims of 1 person in 7 days)",
        ],
    }
    assert told["quiet"]["counts"] == []  # what the claim leaves empty is not counted
    assert told["quiet"]["outcome"] == "pay"
    assert told["replayed"] == 88


def test_a_limit_on_a_signal_that_is_not_registered_is_refused_at_start() -> None:
    with grown({}, {"claims/rules.py": LIMIT}) as tree:
        code = (
            "from claims.errors import UnknownSignal\n"
            "try:\n    import claims.decide\nexcept UnknownSignal as error:\n    print(error)\n"
        )
        assert run_in(tree, code).startswith(f"no fraud signal 'words'; known: {', '.join(SIGNALS)}")
