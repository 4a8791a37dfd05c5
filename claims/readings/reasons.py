"""The readings of value, threshold and detail of every reason, which say them in the reader's language.

To add a code: write its words in each catalogue's `reasons` (`claims/texts`), with each of {value}, {threshold} and
{detail} inside [brackets] that can be left out, and here a line with a reading for every slot that the words use. A
test lists the codes that have none, and reports what the judges recorded that no reading recognised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from claims.decision import Reason
from claims.fraud.signals.registry import SIGNALS
from claims.readings import signs
from claims.readings.measured import CHECK, COMPARED, FIELD, KIND, NO_BENEFIT, NOT_VOUCHED, UNSCORED, defect, unusable
from claims.readings.strings import (
    Reading,
    TextReader,
    bound,
    counted,
    day,
    first_of,
    listed,
    moment,
    money,
    named,
    number,
    paper_minor,
    percent,
    peril,
    phrase,
    printed,
    quote,
    recorded,
    within,
)


@dataclass(frozen=True, slots=True)
class Values:
    """The readings of one code; None for a slot that its words never use."""

    value: Reading | None = None
    threshold: Reading | None = None
    detail: Reading | None = None


def said(reason: Reason, reader: TextReader) -> dict[str, str]:
    """Return value, threshold and detail in words, without those that are blank or that no reading recognises."""
    readings = VALUES.get(reason.code, Values())
    pairs = (
        ("value", readings.value, reason.value),
        ("threshold", readings.threshold, reason.threshold),
        ("detail", readings.detail, reason.detail),
    )
    return {
        name: words
        for name, reading, text in pairs
        if reading is not None and text and (words := reading(text, reader)) is not None
    }


DAYS: Final = counted("days")
_DAYS: Final = within(r"(?P<n>-?\d+) days", DAYS)
_CLAIMS: Final = counted("claims")
_PEOPLE: Final = counted("people")
_DAYS_BETWEEN: Final = phrase("cover.span", r"(?P<first>\S+) - (?P<last>\S+)", first=day, last=day)


def _span(text: str, reader: TextReader) -> str | None:
    """Read the span of a cover. One whose first day lies behind its last, as in a waiting period, has none to tell."""
    first, _, last = text.partition(" - ")
    return _DAYS_BETWEEN(text, reader) if first <= last else None


_PERILS: Final = listed(peril, ", ")
_FIELDS: Final = listed(FIELD)
_KINDS: Final = listed(KIND)
_CODES: Final = listed(quote)

# ---- photos

_LIKENESS: Final = phrase(
    "photo.likeness",
    r"(?P<look>\w+), probability (?P<probability>[\d.]+), (?P<points>\d+) points agree(?:, .*)?",
    look=named("looks"),
    probability=percent,
    points=counted("points_agree"),
)
_LOOK: Final = named("looks")
TRANSFORM: Final = listed(
    first_of(
        phrase("transforms.same_file", "the same file"),
        phrase("transforms.same_pixels", "the same pixels in another file"),
        phrase("transforms.mirrored", "mirrored"),
        phrase("transforms.same_scale", "same scale"),
        phrase("transforms.scaled", r"scaled to (?P<n>\d+)%"),
        phrase("transforms.not_rotated", "not rotated"),
        phrase("transforms.rotated", r"rotated (?P<n>-?\d+) degrees"),
        phrase("transforms.cropped", r"cropped to (?P<n>\d+)% of the original"),
        phrase("transforms.shows", r"shows (?P<n>\d+)% of the original"),
        phrase("transforms.shows_all", "whole original shown"),
        phrase("transforms.fills", r"it fills (?P<n>\d+)% of this picture"),
        phrase("transforms.whole_picture", "the whole picture"),
        phrase("transforms.by_appearance", "recognised by its appearance"),
        phrase("transforms.by_person", "confirmed by a person"),
    ),
    ", ",
    "lists.parts",
)
_WHOSE: Final = first_of(phrase("photo.claim", r"claim (?P<id>\S+)"), named("owners"))
_ORIGIN: Final = first_of(
    phrase("photo.origin", r"(?P<whose>claim [^\s:;,]+|[a-z_ ]+)(?:: |, )(?P<how>.+)", whose=_WHOSE, how=TRANSFORM),
    _WHOSE,
    # A transform of a later version is left out, not whose the other picture is.
    within(r"(?P<whose>claim [^\s:;,]+|[a-z_ ]+)(?:: |, ).+", _WHOSE),
)
_SCENE: Final = phrase(
    "photo.scene",
    r"(?P<whose>[a-z_]+), (?P<points>\d+) points agree",
    whose=named("owners"),
    points=counted("points_agree"),
)
_CLAIM_IS: Final = phrase(
    "other_claim.is",
    r"(?:claim )?(?P<id>another claim|\S+) is (?P<status>[a-z_ ]+)",
    id=first_of(phrase("other_claim.unnamed", "another claim"), quote),
    status=named("other_claim_statuses"),
)
_COPY: Final = Values(_LIKENESS, None, _ORIGIN)
_SHOWS: Final = phrase(
    "photo.shows",
    r"(?P<what>\w+) (?P<share>[\d.]+)",
    what=named("subjects"),
    share=percent,
)
_OTHER_THING: Final = Values(_SHOWS)


_KINDS_OF_SIGNS: Final = listed(named("sign_kinds"), signs.BETWEEN_KINDS)


def _phrases(text: str, reader: TextReader) -> str | None:
    """Read what is recorded as phrases that this version knows; older records hold a sentence."""
    try:
        codes = [phrase[0] for phrases in json.loads(text) for phrase in phrases]
        known = all(reader.texts.get("sign_phrases", code) is not None for code in codes)
    except (ValueError, TypeError, IndexError, KeyError):
        return recorded(_sentence)(text, reader)
    return signs.detail_text(text, reader.lang) if known else None


def _sentence(text: str, reader: TextReader) -> str | None:
    """Read a sentence, unless it looks like a record for programs."""
    return None if re.search(r"[<>={}\[\]]|\w_\w", text) else quote(text, reader)


_SIGNS: Final = Values(_KINDS_OF_SIGNS, None, _phrases)

# ---- papers

_TWO: Final = phrase("papers.two_values", r"(?P<one>.+?) / (?P<other>.+)")
_TWO_DAYS: Final = phrase("papers.two_days", r"(?P<one>\S+) / (?P<other>\S+)", one=day, other=day)
_SIDES: Final = Values(COMPARED)
_PERSONS: Final = Values(quote, quote)
_STANDING: Final = Values(named("standings"), None, printed)
_UNUSABLE: Final = Values(unusable)
_DEFECT: Final = Values(defect)

# ---- noses, standing

_NOSE: Final = phrase(
    "nose.likeness",
    r"similarity (?P<similarity>-?[\d.]+), (?P<points>\d+) points agree",
    similarity=number,
    points=counted("points_agree"),
)
_NOSE_RULE: Final = phrase(
    "nose.rule",
    r">= (?P<similarity>[\d.]+), >= (?P<points>\d+) points",
    similarity=number,
    points=counted("points"),
)
_PIECES: Final = phrase(
    "nose.pieces", r"alike (?P<alike>[\d.]+), unlike (?P<unlike>[\d.]+)", alike=percent, unlike=percent
)
_OFF_A_SCREEN: Final = phrase("nose.off_a_screen", "photographed off a screen")
_SPECIES: Final = named("species")
_MONTHS: Final = counted("months")
_MONTHS_BETWEEN: Final = phrase("pet.ages", r"(?P<least>\d+) - (?P<most>\d+) months", least=number, most=_MONTHS)
_SHARED: Final = phrase(
    "fraud.count",
    r"(?P<key>\w+): (?P<claims>\d+) claims of (?P<people>\d+) in (?P<days>\d+) days",
    key=named("shared"),
    claims=_CLAIMS,
    people=_PEOPLE,
    days=DAYS,
)
_SHARED_RULE: Final = phrase(
    "fraud.limit",
    r"<= (?P<claims>\d+) claims of (?P<people>\d+) in (?P<days>\d+) days",
    claims=_CLAIMS,
    people=_PEOPLE,
    days=DAYS,
)
_OVER: Final = Values(_SHARED, _SHARED_RULE)
BIN: Final = first_of(
    phrase("bins.at_most", r"<= (?P<n>\S+)", n=number),
    phrase("bins.above", r"> (?P<n>\S+)", n=number),
    phrase("bins.between", r"(?P<low>\S+) to (?P<high>\S+)", low=number, high=number),
    phrase("bins.any", "any"),
)
_LOST: Final = listed(
    phrase("score.lost", r"(?P<name>\w+) (?P<bin>.+) -(?P<points>\d+)", name=named("credit"), bin=BIN, points=number),
    ", ",
    "lists.parts",
)
_SCORE: Final = Values(number, bound(">=", number))
_LOW_AND_MANY: Final = Values(
    phrase(
        "score.low_and_many",
        r"(?P<score>\d+), (?P<claims>\d+) claims in (?P<days>\d+) days",
        score=number,
        claims=_CLAIMS,
        days=DAYS,
    ),
    phrase(
        "score.low_and_many_rule",
        r">= (?P<score>\d+) or <= (?P<claims>\d+) claims in (?P<days>\d+) days",
        score=number,
        claims=_CLAIMS,
        days=DAYS,
    ),
    _LOST,
)

VALUES: Mapping[str, Values] = MappingProxyType(
    {
        # contract
        "peril_not_covered": Values(peril, _PERILS),
        "cover_not_begun": Values(day, bound(">=", day)),
        "cover_ended": Values(day, bound("<=", day)),
        "waiting_period_not_over": Values(day, bound(">=", day), _DAYS),
        "claimed_too_late": Values(_DAYS, bound("<=", _DAYS)),
        "limit_exhausted": Values(money, bound("<", money)),
        "days_exhausted": Values(None, bound("<=", _DAYS)),
        "hospital_excluded": Values(quote),
        "below_deductible": Values(money, bound(">", money)),
        # suspicion
        "photo_of_another_claim": _COPY,
        "photo_from_web": _COPY,
        "photo_from_stock": _COPY,
        "photo_of_own_earlier_claim": _COPY,
        "photo_of_an_enrolment": _COPY,
        "photo_in_flood": Values(quote, None, _ORIGIN),
        "photo_copy_unattributed": Values(_LOOK),
        "paper_claimed_before": Values(number, None, _CODES),
        "nose_replayed": Values(first_of(_NOSE, _PIECES, _OFF_A_SCREEN, _LIKENESS), bound("<", number), _ORIGIN),
        "nose_of_another_pet": Values(_NOSE, bound(">=", number)),
        "pet_not_insured": Values(quote, quote),
        "patient_is_not_insured": _PERSONS,
        "owner_is_not_insured": _PERSONS,
        "buyer_is_not_insured": _PERSONS,
        "recipient_is_not_insured": _PERSONS,
        "sender_is_not_insured": _PERSONS,
        "order_of_another_claimant": Values(_CLAIMS),
        "claimant_under_two_ids": Values(listed(named("shared"))),
        "digits_look_edited": _SIDES,
        **{signal.reason: _OVER for signal in SIGNALS.values()},
        "photo_signs_combined": _SIGNS,
        # what to send
        "photos_missing": Values(number, bound(">=", number)),
        "paper_missing": Values(number, bound(">=", number), _KINDS),
        "paper_kind_missing": Values(KIND),
        "nose_missing": Values(),
        "photo_unreadable": _UNUSABLE,
        "photo_of_another_thing": _OTHER_THING,
        "paper_unreadable": _UNUSABLE,
        "paper_no_paid_bill": _STANDING,
        "paper_of_other_kind": Values(KIND, _KINDS),
        "paper_fields_missing": Values(_FIELDS),
        "paper_read_unsure": Values(percent, bound(">=", percent)),
        "paper_doubtful": Values(_FIELDS, None, NOT_VOUCHED),
        "nose_unreadable": _UNUSABLE,
        "nose_unlike": Values(_NOSE, bound(">=", number)),
        # other doubts
        "paper_reversed": _STANDING,
        "paper_is_a_copy": _STANDING,
        "paper_state_unread": _STANDING,
        "items_do_not_sum": _SIDES,
        "capital_amount_differs": _SIDES,
        "insurance_and_cash_do_not_sum": _SIDES,
        "net_and_tax_do_not_sum": _SIDES,
        "price_and_discount_do_not_fit": _SIDES,
        "stay_days_differ": _SIDES,
        "paper_code_differs": _SIDES,
        "paper_text_layer_differs": _SIDES,
        "paper_date_implausible": _SIDES,
        "paper_check_failed": Values(CHECK, None, COMPARED),
        "papers_contradict": Values(_TWO, None, _FIELDS),
        "paper_dates_out_of_order": Values(_TWO_DAYS, None, _FIELDS),
        "order_number_differs": _PERSONS,
        "paper_not_accepted": Values(NOT_VOUCHED),
        "paper_currency_differs": Values(quote, quote, money),
        "paper_currency_unknown": Values(quote, quote),
        "papers_disagree": Values(listed(paper_minor, " / ")),
        "paper_date_outside_cover": Values(day, _span, _FIELDS),
        "photo_maybe_copied": _COPY,
        "photo_older_than_event": Values(_DAYS, bound("<=", _DAYS)),
        "event_after_claim": Values(moment, bound("<=", moment)),
        "nose_unsure": Values(_NOSE, _NOSE_RULE),
        "nose_species_differs": Values(_SPECIES, _SPECIES),
        "pet_species_not_covered": Values(_SPECIES, listed(_SPECIES, ", ")),
        "pet_age_not_covered": Values(within(r"(?P<n>-?\d+) months", _MONTHS), _MONTHS_BETWEEN),
        "nose_enrolment_missing": Values(),
        "same_event_claimed_before": Values(_CLAIM_IS, None, _ORIGIN),
        "same_scene_claimed_before": Values(_CLAIM_IS, None, _ORIGIN),
        "order_claimed_before": Values(_CLAIMS),
        "order_value_paid": Values(money, bound("<", money)),
        "cover_recorded_after_event": Values(moment, bound("<=", moment)),
        "cover_changed_after_event": Values(moment, bound("<=", moment)),
        "could_not_check": Values(
            named("stages"),
            None,
            phrase("checking.attempts", r"[\w: ]+, attempt (?P<n>\d+)", n=number),
        ),
        "photo_unmeasured": _DEFECT,
        "photo_sign_unmeasured": _SIGNS,
        "paper_unmeasured": _DEFECT,
        "nose_unmeasured": _DEFECT,
        "fraud_unmeasured": Values(phrase("fraud.not_counted", r"(?P<key>\w+) not counted", key=named("shared"))),
        "asked_enough": Values(number),
        "benefit_unknown": Values(NO_BENEFIT),
        "policy_does_not_fit": Values(),
        "currency_differs": Values(_CODES, quote),
        "insured_value_missing": Values(),
        "low_credit_many_claims": _LOW_AND_MANY,
        "above_auto_pay": Values(money, bound("<=", money)),
        # in order
        "nose_recognised": Values(_NOSE, _NOSE_RULE),
        "paper_in_order": Values(percent, bound(">=", percent), KIND),
        "photo_beside_the_claim": _OTHER_THING,
        "photo_unseen": Values(),
        "photo_similar": Values(),
        "cover_in_force": Values(day, _span),
        "within_auto_pay": Values(money, bound("<=", money)),
        "counts_in_order": Values(),
        "credit_in_order": _SCORE,
        "credit_low": Values(number, bound(">=", number), _LOST),
        "credit_unscored": Values(UNSCORED),
        "photo_of_withdrawn_claim": Values(_CLAIM_IS, None, _ORIGIN),
        "photo_sign_noted": _SIGNS,
        "photo_shows_common": _COPY,
        "photo_of_same_scene": Values(_SCENE, None, _ORIGIN),
        "photo_is_common": Values(),
        "photo_copy_rejected": _COPY,
        "photo_set_aside": _DEFECT,
        "paper_set_aside": Values(),
        "nose_set_aside": _DEFECT,
        "name_shown_masked": Values(quote, None, _FIELDS),
        "hospital_designated": Values(quote),
        "hospital_undesignated": Values(quote),
        "paper_of_excluded_hospital": Values(quote),
        # people
        "paid_more_already": Values(money, bound("<=", money)),
        "claim_stopped": Values(),
        "person_approved": Values(money, bound("<=", money), quote),
        "person_refused": Values(None, None, quote),
        "person_asked": Values(None, None, quote),
    }
)
