"""Signs of a photo's origin: one alone is noted and pays; two without a common innocent cause are referred."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from itertools import combinations

import pytest

from claims.decision import Decision, Outcome
from claims.evidence import PhotoFact, ProvenanceSign, SignKind
from claims.explain import claimant_texts, reason_text
from claims.judge.signs import INNOCENT_CAUSES, combined, counted
from claims.readings.signs import kind_text
from claims.rules import RULES
from claims.wire import from_plain, to_plain
from fixtures.cases import in_order, photo

STRONGEST = {SignKind.C2PA: "invalid", SignKind.GENERATOR: "generated"}


def sign(kind: SignKind, value: str = "", state: str = "found") -> ProvenanceSign:
    return ProvenanceSign(kind, state, value or STRONGEST.get(kind, "x"), f"words about {kind}")  # type: ignore[arg-type]


def decided(*signs: ProvenanceSign) -> Decision:
    return in_order("fresh_food_rot").with_facts(photos=(replace(photo(), signs=signs),)).decision()


def codes(decision: Decision) -> set[str]:
    return {reason.code for reason in decision.reasons}


@pytest.mark.parametrize("kind", SignKind)
def test_a_single_sign_is_noted_and_the_claim_is_paid(kind: SignKind) -> None:
    decision = decided(sign(kind))
    assert decision.outcome is Outcome.PAY
    assert "photo_sign_noted" in codes(decision)


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (SignKind.GENERATOR, SignKind.SCREENSHOT),
        (SignKind.GENERATOR, SignKind.C2PA),
        (SignKind.EXIF_THUMBNAIL, SignKind.SCREENSHOT),
        (SignKind.EXIF_THUMBNAIL, SignKind.GENERATOR),
        (SignKind.EXIF_DATES, SignKind.SCREENSHOT),
        (SignKind.C2PA, SignKind.SCREENSHOT),
    ],
)
def test_two_signs_that_no_one_cause_explains_go_to_a_person(kind: SignKind, other: SignKind) -> None:
    decision = decided(sign(kind), sign(other))
    assert decision.outcome is Outcome.REFER
    (reason,) = (reason for reason in decision.reasons if reason.code == "photo_signs_combined")
    assert set(reason.value.split(" + ")) == {kind, other}
    assert decision.reasons[0].code == "photo_signs_combined"


@pytest.mark.parametrize(
    ("kind", "other", "cause"),
    [
        (SignKind.EXIF_SOFTWARE, SignKind.SCREENSHOT, "an editor's name is on honest photos, too"),
        (SignKind.EXIF_DATES, SignKind.EXIF_THUMBNAIL, "cropped in an app"),
        (SignKind.EXIF_THUMBNAIL, SignKind.C2PA, "cropped in an app"),
        (SignKind.DOUBLE_JPEG, SignKind.SCREENSHOT, "every messenger compresses again"),
    ],
)
def test_two_signs_that_one_innocent_cause_explains_are_noted_only(kind: SignKind, other: SignKind, cause: str) -> None:
    assert decided(sign(kind), sign(other)).outcome is Outcome.PAY, cause


BEFORE = replace(RULES, photo_signs_noted_only=())  # as rules were before 3.4


@pytest.mark.parametrize("noted", sorted(RULES.photo_signs_noted_only))
def test_a_sign_that_fires_too_often_on_honest_photos_is_noted_and_refers_nothing(noted: str) -> None:
    name, _, value = noted.partition(" ")
    kind = SignKind(name)
    for other in set(SignKind) - {kind}:
        signs = (sign(kind, value), sign(other))
        case = in_order("fresh_food_rot").with_facts(photos=(replace(photo(), signs=signs),))
        assert case.decision().outcome is Outcome.PAY, other
        assert "photo_sign_noted" in codes(case.decision())


@pytest.mark.parametrize(
    ("kind", "other", "outcome"),
    [
        (SignKind.GENERATOR, SignKind.RECAPTURE, Outcome.REFER),
        (SignKind.EXIF_THUMBNAIL, SignKind.COPY_MOVE, Outcome.REFER),
        (SignKind.SCREENSHOT, SignKind.RECAPTURE, Outcome.PAY),
        (SignKind.SCREENSHOT, SignKind.COPY_MOVE, Outcome.PAY),
        (SignKind.RECAPTURE, SignKind.COPY_MOVE, Outcome.PAY),
    ],
)
def test_under_earlier_rules_every_sign_counts_as_it_did(kind: SignKind, other: SignKind, outcome: Outcome) -> None:
    case = in_order("fresh_food_rot").with_facts(photos=(replace(photo(), signs=(sign(kind), sign(other))),))
    assert case.decision(BEFORE).outcome is outcome


def test_kinds_that_are_noted_only_are_kinds_of_signs() -> None:
    assert {noted.split(" ")[0] for noted in RULES.photo_signs_noted_only} <= set(SignKind)


def test_a_kind_of_which_one_value_is_noted_only_counts_with_another_value() -> None:
    assert not counted(sign(SignKind.EXIF_DATES, "changed_later"), RULES)
    assert counted(sign(SignKind.EXIF_DATES, "digitized"), RULES)


@pytest.mark.parametrize("value", ["trusted", "untrusted", "expired"])
def test_credentials_that_are_not_invalid_never_count(value: str) -> None:
    decision = decided(sign(SignKind.C2PA, value), sign(SignKind.SCREENSHOT))
    assert decision.outcome is Outcome.PAY


def test_a_trusted_signature_is_not_noted_as_a_doubt() -> None:
    assert "photo_sign_noted" not in codes(decided(sign(SignKind.C2PA, "trusted")))


def test_a_photo_retouched_by_the_phone_is_not_a_generated_one() -> None:
    assert decided(sign(SignKind.GENERATOR, "retouched"), sign(SignKind.SCREENSHOT)).outcome is Outcome.PAY


def test_signs_of_two_photos_do_not_add_up() -> None:
    first = replace(photo("photo-0"), signs=(sign(SignKind.GENERATOR),))
    second = replace(photo("photo-1"), signs=(sign(SignKind.SCREENSHOT),))
    assert in_order("fresh_food_rot").with_facts(photos=(first, second)).decision().outcome is Outcome.PAY


def test_a_check_that_died_goes_to_a_person_and_one_with_nothing_to_look_at_does_not() -> None:
    died = decided(sign(SignKind.C2PA, "crashed", "unmeasured"))
    assert died.outcome is Outcome.REFER
    assert died.reasons[0].code == "photo_sign_unmeasured"
    assert decided(sign(SignKind.C2PA, "not_applicable", "unmeasured")).outcome is Outcome.PAY


def test_what_was_not_found_leaves_no_reason() -> None:
    clean = decided(*(sign(kind, state="not_found") for kind in SignKind))
    assert clean.reasons == decided().reasons


def test_more_signs_never_turn_a_referral_back() -> None:
    kinds = list(SignKind)
    for chosen in combinations(kinds, 3):
        whole = combined([sign(kind) for kind in chosen], RULES)
        for pair in combinations(chosen, 2):
            assert set(combined([sign(kind) for kind in pair], RULES)) <= set(whole)


def test_every_sign_that_counts_has_its_innocent_causes_written_down() -> None:
    assert all(INNOCENT_CAUSES[kind] for kind in SignKind if counted(sign(kind), RULES))


def test_the_claimant_is_not_told_which_signs_were_found() -> None:
    decision = decided(sign(SignKind.GENERATOR), sign(SignKind.SCREENSHOT))
    for lang in ("zh", "en"):
        told = " ".join(claimant_texts(decision, lang))  # type: ignore[arg-type]
        assert "words about" not in told
        assert kind_text("screenshot", lang) not in told  # type: ignore[arg-type]
        assert kind_text("screenshot", lang) in reason_text(decision.reasons[0], lang)  # type: ignore[arg-type]


def test_facts_stored_before_there_were_signs_read_back_without_any() -> None:
    plain = to_plain(photo())
    del plain["signs"]
    assert from_plain(PhotoFact, plain).signs == ()
    kept = replace(photo(), signs=(replace(sign(SignKind.RECAPTURE), said=(("fine_pattern", "1.20"),)),))
    assert from_plain(PhotoFact, to_plain(kept)) == kept


def test_the_order_in_which_signs_come_changes_nothing() -> None:
    signs = [sign(SignKind.GENERATOR), sign(SignKind.SCREENSHOT), sign(SignKind.EXIF_DATES)]
    assert decided(*signs).reasons == decided(*reversed(signs)).reasons


@pytest.mark.parametrize("hours_from_utc", range(-12, 15))
@pytest.mark.parametrize("hour", [0, 6, 12, 18, 23])
def test_a_time_without_a_zone_makes_no_photo_of_the_event_older_than_it(hours_from_utc: int, hour: int) -> None:
    case = in_order("fresh_food_rot")
    event = case.claim.occurred_at.replace(hour=hour)
    # The camera shows its own local time; without a zone it is read as China's.
    shown = event.astimezone(timezone(timedelta(hours=hours_from_utc))).replace(tzinfo=timezone(timedelta(hours=8)))
    taken = case.with_claim(occurred_at=event).with_facts(photos=(replace(photo(), taken_at=shown),))
    assert "photo_older_than_event" not in codes(taken.decision())
