"""A benefit formula is one new file and one line of registration: added to a copy of the tree, it decides a claim."""

from __future__ import annotations

import json
from pathlib import Path

from claims.catalogue import CATALOGUE
from claims.formulas.registry import FORMULAS
from tests.grown import grown, run_in

FORMULA = '''"""`fixed_amount`: the same sum whenever the event is covered."""

from __future__ import annotations

from claims.benefit import Benefit, Given, after_deductibles, claimable, cost_part, insurers_share, line, within_limits
from claims.benefit_lines import CLAIMED, LineKind, Slot
from claims.formulas.formula import Formula
from claims.product import MinorUnits, Terms


FIXED_AMOUNT = LineKind("fixed_amount", (Slot("days", "days"), Slot("agreed", "minor")), beside="{days}")


class FixedAmountTerms(Terms):
    amount_minor: MinorUnits


def calculate(given: Given, terms: FixedAmountTerms) -> Benefit:
    product = given.product
    cost = (cost_part(product.pays_basis_points, "", terms.amount_minor),)
    loss, elsewhere = claimable(given, cost)
    left, deducted = after_deductibles(given, loss)
    due, borne = insurers_share(product, left)
    limited = within_limits(given, due)
    fixed = line(FIXED_AMOUNT, product.money(terms.amount_minor), f"1 {terms.amount_minor}")
    stated = (line(CLAIMED, given.claim.amount), fixed)
    return Benefit(limited.due, (*stated, *elsewhere, *deducted, *borne, *limited.lines))


FORMULA = Formula(
    name="fixed_amount",
    terms=FixedAmountTerms,
    calculate=calculate,
    pays_on_papers=False,
    limited_to_insured_value=False,
    lines=(FIXED_AMOUNT,),
)
'''
REGISTERED = (
    (
        "from claims.formulas.formula import Formula\n",
        "from claims.formulas import fixed_amount\nfrom claims.formulas.formula import Formula\n",
    ),
    ("            paper_total.FORMULA,\n", "            paper_total.FORMULA,\n            fixed_amount.FORMULA,\n"),
)
WORDS = {
    "zh": ("定额给付", "按约定的 {agreed} 给付。"),
    "en": ("fixed amount", "The {agreed} that were agreed."),
}
PROGRAM = """
import json
from claims import explain
from claims.decide import inputs, replay
from fixtures.cases import NOW, RULES, in_order
case = in_order("fresh_food_fixed", claimed_minor=8_000)
decision = case.decision()
recorded = inputs(case.insured, case.facts, RULES, NOW)
again = json.loads(replay(recorded))
print(json.dumps({
    "outcome": decision.outcome,
    "payout": decision.payout.minor,
    "lines": [[line.label, line.amount.minor] for line in decision.benefit],
    "words": [[[row.label, row.words] for row in explain.explanation(decision, lang)] for lang in ("zh", "en")],
    "replayed": again["payout"]["minor"],
    "less": in_order("fresh_food_fixed", claimed_minor=1_000).decision().payout.minor,
}))
"""


def product(terms: str) -> str:
    food = (CATALOGUE / "fresh_food_rot.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("key: fresh_food_rot", "key: fresh_food_fixed"),
        ("benefit: stated_amount\n", f"benefit: fixed_amount\n{terms}"),
        ("order_covers: goods\nclaims_per_order_max: 1\n", ""),
    ):
        assert food.count(old) == 1
        food = food.replace(old, new)
    return food


def changed() -> dict[str, tuple[tuple[str, str], ...]]:
    words = {
        f"claims/texts/{language}.yaml": (
            ("\nbenefits:\n", f"\nbenefits:\n  fixed_amount: {label}\n"),
            ("\nbenefit_sentences:\n", f"\nbenefit_sentences:\n  fixed_amount: {sentence}\n"),
        )
        for language, (label, sentence) in WORDS.items()
    }
    return {"claims/formulas/registry.py": REGISTERED, **words}


def test_a_formula_in_a_file_of_its_own_decides_a_claim_to_the_end() -> None:
    new = {
        "claims/formulas/fixed_amount.py": FORMULA,
        "claims/products/fresh_food_fixed.yaml": product("terms: {amount_minor: 2500}\n"),
    }
    with grown(new, changed()) as tree:
        told = json.loads(run_in(tree, PROGRAM))
    words = told.pop("words")
    assert told == {
        "outcome": "pay",
        "payout": 2_500,
        "lines": [["claimed", 8_000], ["fixed_amount", 2_500], ["loss", 2_500], ["due", 2_500], ["payout", 2_500]],
        "replayed": 2_500,
        "less": 1_000,
    }
    assert words[0][1] == ["定额给付（1 天）", "按约定的 ¥25.00 给付。"]
    assert words[1][1] == ["fixed amount (1 day)", "The ¥25.00 that were agreed."]


def test_its_terms_are_checked_when_the_product_is_read_and_its_name_when_it_is_not_registered() -> None:
    code = (
        "from claims.catalogue import load_catalogue\nfrom claims.errors import InvalidProduct\n"
        "try:\n    load_catalogue()\nexcept InvalidProduct as error:\n    print(error)\n"
    )
    path = "claims/products/fresh_food_fixed.yaml"
    with grown({"claims/formulas/fixed_amount.py": FORMULA, path: product("")}, changed()) as tree:
        assert "amount_minor" in run_in(tree, code)
        (tree / path).write_text(product("terms: {amount_minor: 2500, days: 3}\n"), encoding="utf-8")
        assert "days" in run_in(tree, code)
        unregister(tree)
        refused = run_in(tree, code)
    known = ", ".join(sorted(FORMULAS))
    assert f"product fresh_food_fixed: no benefit formula 'fixed_amount'; known: {known}" in refused


def test_a_line_that_it_does_not_declare_is_refused_before_anybody_is_paid_by_it() -> None:
    undeclared = FORMULA.replace("    lines=(FIXED_AMOUNT,),\n", "")
    new = {
        "claims/formulas/fixed_amount.py": undeclared,
        "claims/products/fresh_food_fixed.yaml": product("terms: {amount_minor: 2500}\n"),
    }
    code = (
        "from claims.errors import InvalidLineKind\nfrom fixtures.cases import in_order\n"
        "try:\n    in_order('fresh_food_fixed').decision()\nexcept InvalidLineKind as error:\n    print(error)\n"
    )
    with grown(new, changed()) as tree:
        assert "benefit formula fixed_amount: line 'fixed_amount' is not among its `lines`" in run_in(tree, code)


def unregister(tree: Path) -> None:
    path = tree / "claims/formulas/registry.py"
    path.write_text(
        path.read_text(encoding="utf-8").replace("            fixed_amount.FORMULA,\n", ""), encoding="utf-8"
    )
