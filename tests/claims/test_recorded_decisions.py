"""Decisions that were recorded under earlier rules replay byte for byte.

`decisions_of_rules_2.json` was written by the code of rules 2.0: its products and rules, and for each claim the inputs
without them and the decision. `decisions_without_traits.json` was written by the last code whose facts did not carry
the traits of each paper's kind: for each of our kinds, and for a copy under an insurer's name, three decisions.
`decisions_of_rules_3_3.json` was written by the last code that judged a photo's likeness by its probability alone: for
each owner and kind of match a decision, with and without a person's ruling. `decisions_of_rules_3_5.json` was written
by the last code that compared noses with the pet's templates and looked at nothing else of the photo. None is ever
written again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from claims.decide import replay
from claims.paper_kind import OURS
from claims.wire import canonical

RECORDED = Path(__file__).parent / "decisions_of_rules_2.json"
KINDS = {"outpatient_invoice", "parcel_slip", "receipt", "unknown"}


@cache
def recorded() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("place", range(88))
def test_a_decision_of_rules_2_replays_byte_for_byte(place: int) -> None:
    row = recorded()["rows"][place]
    inputs = {**row["inputs"], "product": recorded()["products"][row["product"]], "rules": recorded()["rules"]}
    assert replay(canonical(inputs)) == canonical(row["decision"])


def test_the_record_holds_every_outcome_every_kind_of_paper_and_every_way_to_decide() -> None:
    rows = recorded()["rows"]
    assert len(rows) == 88
    assert {row["decision"]["outcome"] for row in rows} == {"pay", "refer", "ask", "decline"}
    assert {row["inputs"]["by"] for row in rows} == {"rules", "person", "unchecked"}
    papers = [paper for row in rows for paper in row["inputs"].get("facts", {}).get("papers", ())]
    assert {paper["kind"] for paper in papers if paper["fact"] == "paper"} == KINDS
    assert not any("accepted" in paper for paper in papers)
    codes = {reason["code"] for row in rows for reason in row["decision"]["reasons"]}
    assert {"paper_claimed_before", "patient_is_not_insured", "papers_disagree", "paper_set_aside"} <= codes


WITHOUT_TRAITS = Path(__file__).parent / "decisions_without_traits.json"


@cache
def without_traits() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(WITHOUT_TRAITS.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("place", range(60))
def test_a_decision_on_papers_that_carry_no_traits_replays_byte_for_byte(place: int) -> None:
    record = without_traits()
    row = record["rows"][place]
    product = {**record["products"][row["product"]], "evidence": row["evidence"]}
    assert replay(canonical({**row["inputs"], "product": product, "rules": record["rules"]})) == canonical(
        row["decision"]
    )


KINDS_THEN = 10  # when the record was written; kinds that came later are not in it


def test_the_record_without_traits_holds_every_kind_under_two_names() -> None:
    papers = [paper for row in without_traits()["rows"] for paper in row["inputs"]["facts"]["papers"]]
    kinds = {paper["kind"] for paper in papers}
    then = {kind for kind in kinds if f"clinic_{kind}" in kinds}
    assert len(then) == KINDS_THEN
    assert then <= {path.stem for path in OURS.glob("*.yaml")}
    assert not any("traits" in paper for paper in papers)


OF_RULES_3_3 = Path(__file__).parent / "decisions_of_rules_3_3.json"
SINCE_3_4 = {"tight_inliers", "tight_ratio", "rigid_ratio", "contained_ratio", "pdq_bits", "fit_agreement"}


@cache
def of_rules_3_3() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(OF_RULES_3_3.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("place", range(48))
def test_a_decision_on_matches_of_rules_3_3_replays_byte_for_byte(place: int) -> None:
    base, row = of_rules_3_3()["inputs"], of_rules_3_3()["rows"][place]
    inputs = {**base, "facts": {**base["facts"], "photos": row["photos"]}}
    assert replay(canonical(inputs)) == canonical(row["decision"])


def test_the_record_of_rules_3_3_holds_every_way_to_weigh_a_match_and_no_later_measure() -> None:
    rows = of_rules_3_3()["rows"]
    assert len(rows) == 48
    assert of_rules_3_3()["inputs"]["rules"]["version"] == "3.3"
    matches = [match for row in rows for photo in row["photos"] for match in photo["matches"]]
    assert not any(SINCE_3_4 & set(match) for match in matches)
    codes = {reason["code"] for row in rows for reason in row["decision"]["reasons"]}
    assert codes >= {"photo_of_another_claim", "photo_from_web", "photo_of_own_earlier_claim", "photo_maybe_copied"}
    assert codes >= {"same_event_claimed_before", "photo_copy_rejected", "photo_similar"}


OF_RULES_3_5 = Path(__file__).parent / "decisions_of_rules_3_5.json"


@cache
def of_rules_3_5() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(OF_RULES_3_5.read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("place", range(13))
def test_a_decision_on_noses_of_rules_3_5_replays_byte_for_byte(place: int) -> None:
    base, row = of_rules_3_5()["inputs"], of_rules_3_5()["rows"][place]
    inputs = {**base, "facts": {**base["facts"], "noses": row["noses"]}}
    assert replay(canonical(inputs)) == canonical(row["decision"])


def test_the_record_of_rules_3_5_holds_every_verdict_on_a_nose_and_no_check_of_its_photo() -> None:
    record = of_rules_3_5()
    assert len(record["rows"]) == 13
    assert record["inputs"]["rules"]["version"] == "3.5"
    assert "pet" not in record["inputs"]["policy"]
    assert not any({"photo", "species"} & set(nose) for row in record["rows"] for nose in row["noses"])
    codes = {reason["code"] for row in record["rows"] for reason in row["decision"]["reasons"]}
    assert codes >= {"nose_recognised", "nose_unsure", "nose_of_another_pet", "nose_unreadable", "nose_missing"}
