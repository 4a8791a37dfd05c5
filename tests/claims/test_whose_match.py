"""Owners of a matching picture and the consequences: same event, common pictures, people's rulings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from claims.claim import Status
from claims.decision import Decision, Ground, Outcome
from claims.events import OtherClaim, owner_of
from claims.evidence import MatchOwner, MatchRuling, PhotoFact, PhotoMatch, PhotoVerdict
from claims.floods import counts, waits_for
from claims.rules import RULES
from fixtures.cases import Case, in_order, match, photo

CASE = in_order("fresh_food_rot")
CLAIM = CASE.claim
LIMIT = timedelta(hours=RULES.same_event_hours_max)


def other(**changes: object) -> OtherClaim:
    made = OtherClaim("claim-0", CLAIM.claimant_id, CLAIM.policy_id, CLAIM.occurred_at, Status.PAID)
    return replace(made, **changes)  # type: ignore[arg-type]


def with_match(*matches: PhotoMatch, common: str = "") -> Case:
    verdict = matches[0].verdict if matches else PhotoVerdict.UNSEEN
    return CASE.with_facts(photos=(replace(photo("photo-0", verdict, matches), common=common),))


def decided(*matches: PhotoMatch, common: str = "") -> Decision:
    return with_match(*matches, common=common).decision()


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_one_event_is_one_claimant_one_policy_and_nearly_one_time() -> None:
    assert owner_of(CLAIM, other(), RULES) is MatchOwner.SAME_EVENT
    assert owner_of(CLAIM, other(occurred_at=CLAIM.occurred_at - LIMIT), RULES) is MatchOwner.SAME_EVENT
    assert owner_of(CLAIM, other(occurred_at=CLAIM.occurred_at + LIMIT), RULES) is MatchOwner.SAME_EVENT
    just_over = CLAIM.occurred_at - LIMIT - timedelta(microseconds=1)
    assert owner_of(CLAIM, other(occurred_at=just_over), RULES) is MatchOwner.OWN_EARLIER_CLAIM
    assert owner_of(CLAIM, other(policy_id="policy-2"), RULES) is MatchOwner.OWN_EARLIER_CLAIM
    assert owner_of(CLAIM, other(claimant_id="claimant-2"), RULES) is MatchOwner.OTHER_CLAIMANT
    assert owner_of(CLAIM, other(id=CLAIM.id), RULES) is MatchOwner.SAME_CLAIM


@pytest.mark.parametrize("status", [status_ for status_ in Status if status_ is not Status.WITHDRAWN])
def test_damage_that_was_claimed_for_before_is_never_paid_again_without_a_person(status: Status) -> None:
    decision = decided(replace(match(MatchOwner.SAME_EVENT), claim_status=status))
    assert decision.outcome is Outcome.REFER
    assert codes(decision)[0] == "same_event_claimed_before"


def test_standing_of_the_earlier_claim_that_is_not_known_counts_as_open() -> None:
    assert decided(match(MatchOwner.SAME_EVENT)).outcome is Outcome.REFER


def test_photos_of_a_withdrawn_claim_about_the_event_may_be_sent_again() -> None:
    again = replace(match(MatchOwner.SAME_EVENT, PhotoVerdict.SAME_BYTES), claim_status=Status.WITHDRAWN)
    decision = decided(again)
    assert decision.outcome is Outcome.PAY
    assert "photo_of_withdrawn_claim" in codes(decision)


def test_who_withdraws_and_tries_again_and_again_meets_a_person() -> None:
    again = replace(match(MatchOwner.SAME_EVENT), claim_status=Status.WITHDRAWN)
    many = [replace(again, photo_id=f"p-{n}") for n in range(RULES.same_event_withdrawn_max + 1)]
    assert decided(*many[:-1]).outcome is Outcome.PAY
    assert codes(decided(*many))[0] == "same_event_claimed_before"


def test_anothers_photo_counts_beside_a_withdrawn_claim_of_ones_own() -> None:
    own = replace(match(MatchOwner.SAME_EVENT), claim_status=Status.WITHDRAWN)
    assert codes(decided(own, match(MatchOwner.OTHER_CLAIMANT)))[0] == "photo_of_another_claim"


def test_what_everybody_photographs_refers_nobody_by_itself_and_stays_on_record() -> None:
    decision = decided(replace(match(MatchOwner.OTHER_CLAIMANT), common="label-1"))
    assert decision.outcome is Outcome.PAY
    shown = next(reason for reason in decision.reasons if reason.code == "photo_shows_common")
    assert "label-1" in shown.value
    both = decided(replace(match(MatchOwner.OTHER_CLAIMANT), common="label-1"), match(MatchOwner.WEB))
    assert codes(both)[0] == "photo_from_web"


def test_a_picture_that_everybody_has_is_no_photo_of_the_damage() -> None:
    icon = replace(match(MatchOwner.OTHER_CLAIMANT, PhotoVerdict.SAME_PICTURE), common="icon-1")
    for decision in (decided(icon, common="icon-1"), decided(common="icon-1")):
        assert (decision.outcome, codes(decision)[0]) == (Outcome.ASK, "photos_missing")
        assert "photo_is_common" in codes(decision)


def test_a_rejected_match_is_not_raised_and_a_confirmed_one_is_marked() -> None:
    rejected = decided(replace(match(MatchOwner.OTHER_CLAIMANT), ruling=MatchRuling.REJECT))
    assert rejected.outcome is Outcome.PAY
    assert "photo_copy_rejected" in codes(rejected)
    confirmed = decided(replace(match(MatchOwner.OTHER_CLAIMANT), ruling=MatchRuling.CONFIRM))
    assert codes(confirmed)[0] == "photo_of_another_claim"
    assert confirmed.reasons[0].detail.endswith("confirmed by a person")


def test_a_confirmed_copy_is_excused_by_nothing() -> None:
    sure = replace(match(MatchOwner.OTHER_CLAIMANT), ruling=MatchRuling.CONFIRM, common="label-1", flood="F-1")
    assert codes(decided(sure))[0] == "photo_of_another_claim"


def maybe(owner: MatchOwner, probability: float = RULES.photo_maybe_copied_min, **changes: object) -> PhotoMatch:
    similar = replace(match(owner, PhotoVerdict.SIMILAR), probability=probability)
    return replace(similar, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("owner", [kind for kind in MatchOwner if kind is not MatchOwner.SAME_CLAIM])
def test_what_is_maybe_a_copy_is_a_doubt_and_no_suspicion(owner: MatchOwner) -> None:
    decision = decided(maybe(owner))
    assert (decision.outcome, decision.payout.minor) == (Outcome.REFER, 0)
    assert [reason.code for reason in decision.reasons if reason.pulls is not Outcome.PAY] == ["photo_maybe_copied"]
    assert decision.reasons[0].ground is Ground.EVIDENCE
    assert (decision.reasons[0].value, decision.reasons[0].threshold) == (
        "similar, probability 0.5000, 143 points agree",
        "probability < 0.5",
    )
    assert decided(maybe(owner, RULES.photo_maybe_copied_min - 0.001)).outcome is Outcome.PAY


def test_a_person_settles_what_is_maybe_a_copy_either_way() -> None:
    rejected = decided(maybe(MatchOwner.OTHER_CLAIMANT, ruling=MatchRuling.REJECT))
    assert (rejected.outcome, "photo_copy_rejected" in codes(rejected)) == (Outcome.PAY, True)
    confirmed = decided(maybe(MatchOwner.OTHER_CLAIMANT, ruling=MatchRuling.CONFIRM))
    assert (codes(confirmed)[0], confirmed.reasons[0].ground) == ("photo_of_another_claim", Ground.SUSPICION)
    assert decided(maybe(MatchOwner.OTHER_CLAIMANT, common="label-1")).outcome is Outcome.PAY


def test_what_is_maybe_of_ones_own_withdrawn_claim_about_the_event_may_be_sent_again() -> None:
    again = maybe(MatchOwner.SAME_EVENT, claim_status=Status.WITHDRAWN)
    assert decided(again).outcome is Outcome.PAY
    many = [replace(again, photo_id=f"p-{n}") for n in range(RULES.same_event_withdrawn_max + 1)]
    assert codes(decided(*many))[0] == "photo_maybe_copied"


def test_a_proven_copy_weighs_more_than_one_that_is_maybe_one() -> None:
    both = decided(maybe(MatchOwner.OTHER_CLAIMANT), match(MatchOwner.WEB))
    assert codes(both)[:2] == ["photo_from_web", "photo_maybe_copied"]


def test_under_rules_before_3_1_nothing_was_maybe_a_copy() -> None:
    before = replace(RULES, version="3.0", photo_maybe_copied_min=1.01)
    surely_alike = with_match(maybe(MatchOwner.OTHER_CLAIMANT, 0.89))
    assert surely_alike.decision(before).outcome is Outcome.PAY


def test_a_claim_in_a_flood_waits_for_the_flood_alone() -> None:
    held = replace(match(MatchOwner.OTHER_CLAIMANT), flood="F-1")
    decision = decided(held)
    assert (decision.outcome, codes(decision)[0], decision.payout.minor) == (Outcome.REFER, "photo_in_flood", 0)
    assert waits_for(decision) == ("F-1",)
    two = decided(held, replace(match(MatchOwner.WEB), flood="F-2"))
    assert waits_for(two) == ("F-1", "F-2")


def test_a_claim_with_another_doubt_does_not_wait_for_a_flood() -> None:
    held = replace(match(MatchOwner.OTHER_CLAIMANT), flood="F-1")
    assert waits_for(decided(held, match(MatchOwner.STOCK))) == ()
    old = replace(with_match(held).facts.photos[0], taken_at=datetime(2026, 11, 1, 12, 0))
    assert codes(CASE.with_facts(photos=(old,)).decision())[:2] == ["photo_in_flood", "photo_older_than_event"]
    assert waits_for(CASE.with_facts(photos=(old,)).decision()) == ()
    assert waits_for(CASE.decision()) == ()


@pytest.mark.parametrize(
    ("changes", "one_of_a_flood"),
    [
        ({}, True),
        ({"owner": MatchOwner.WEB}, True),
        ({"owner": MatchOwner.OWN_EARLIER_CLAIM}, False),
        ({"owner": MatchOwner.SAME_EVENT}, False),
        ({"verdict": PhotoVerdict.SIMILAR}, False),
        ({"common": "label-1"}, False),
        ({"ruling": MatchRuling.REJECT}, False),
        ({"ruling": MatchRuling.CONFIRM}, False),
    ],
)
def test_only_unexplained_copies_of_other_peoples_pictures_make_a_flood(
    changes: dict[str, object], one_of_a_flood: bool
) -> None:
    changed = replace(match(MatchOwner.OTHER_CLAIMANT), **changes)  # type: ignore[arg-type]
    assert counts(changed) is one_of_a_flood


def test_facts_recorded_before_there_were_rulings_still_read() -> None:
    from claims.wire import from_plain, to_plain

    plain = to_plain(photo("photo-0", PhotoVerdict.EDITED_COPY, [match(MatchOwner.WEB)]))
    for name in ("placement", "overlay_sha256", "claim_status", "common", "flood", "ruling"):
        del plain["matches"][0][name]
    assert from_plain(PhotoFact, plain) == photo("photo-0", PhotoVerdict.EDITED_COPY, [match(MatchOwner.WEB)])
