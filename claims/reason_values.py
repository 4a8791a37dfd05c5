"""How value, threshold and detail of every reason are read, so that they can be said in the reader's language.

A new code: its words in `claims.wording`, with each of {value}, {threshold} and {detail} inside [brackets] that can be
left out, and here a line with a reading for every slot that the words use. A test lists the codes that have none, and
says what the judges recorded that no reading recognised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from claims import sign_words
from claims.decision import Reason
from claims.fact_words import CREDIT, LOOKS, SHARED, STAGES, SUBJECTS
from claims.fraud.signals.registry import SIGNALS
from claims.measured_words import CHECK, COMPARED, FIELD, KIND, NO_BENEFIT, NOT_VOUCHED, UNSCORED, defect, unusable
from claims.readings import (
    Phrase,
    Reader,
    Reading,
    bound,
    counted,
    day,
    first_of,
    listed,
    moment,
    money,
    named,
    number,
    only,
    paper_minor,
    percent,
    peril,
    phrase,
    quote,
)


@dataclass(frozen=True, slots=True)
class Values:
    """The readings of one code; None for what its words never say."""

    value: Reading | None = None
    threshold: Reading | None = None
    detail: Reading | None = None


def said(reason: Reason, reader: Reader) -> dict[str, str]:
    """Value, threshold and detail in words; without those that are blank or that nothing recognises."""
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


DAYS: Final = counted("天", "day", "days")
_DAYS: Final = phrase(r"(?P<n>-?\d+) days", "{n}", "{n}", n=DAYS)
_CLAIMS: Final = counted("件", "claim", "claims")
_PEOPLE: Final = counted("人", "person", "people")
_DAYS_BETWEEN: Final = phrase(
    r"(?P<first>\S+) - (?P<last>\S+)", "{first}至{last}", "{first} to {last}", first=day, last=day
)


def _span(text: str, reader: Reader) -> str | None:
    """A cover whose first day lies behind its last, as in a waiting period, has no span to tell."""
    first, _, last = text.partition(" - ")
    return _DAYS_BETWEEN(text, reader) if first <= last else None


_PERILS: Final = listed(peril, ", ")
_FIELDS: Final = listed(FIELD)
_KINDS: Final = listed(KIND)
_CODES: Final = listed(quote)

# ---- photos

_LIKENESS: Final = phrase(
    r"(?P<look>\w+), probability (?P<probability>[\d.]+), (?P<points>\d+) points agree(?:, .*)?",
    "{look}，复制概率 {probability}，{points}特征点一致",
    "{look}, {probability} probability, {points}",
    look=named(LOOKS),
    probability=percent,
    points=counted("处", "point agrees", "points agree"),
)
_LOOK: Final = named(LOOKS)


def _step(pattern: str, chinese: str, english: str) -> Phrase:
    return phrase(pattern, chinese, english)


TRANSFORM: Final = listed(
    first_of(
        _step("the same file", "同一文件", "the same file"),
        _step("the same pixels in another file", "另一文件中的同一画面", "the same pixels in another file"),
        _step("mirrored", "左右镜像", "mirrored"),
        _step("same scale", "大小不变", "same scale"),
        _step(r"scaled to (?P<n>\d+)%", "缩放至 {n}%", "scaled to {n}%"),
        _step("not rotated", "未旋转", "not rotated"),
        _step(r"rotated (?P<n>-?\d+) degrees", "旋转 {n} 度", "rotated {n} degrees"),
        _step(r"cropped to (?P<n>\d+)% of the original", "裁剪至原图的 {n}%", "cropped to {n}% of the original"),
        _step(r"shows (?P<n>\d+)% of the original", "显示原图的 {n}%", "shows {n}% of the original"),
        _step("whole original shown", "显示原图全部", "whole original shown"),
        _step(r"it fills (?P<n>\d+)% of this picture", "占本图的 {n}%", "it fills {n}% of this picture"),
        _step("the whole picture", "整体画面", "the whole picture"),
        _step("recognised by its appearance", "凭外观辨认", "recognised by its appearance"),
        _step("confirmed by a person", "经人工确认", "confirmed by a person"),
    ),
    ", ",
    ("，", ", "),
)
_OWNERS: Final = named(
    {
        "another claim": ("另一理赔案件", "another claim"),
        "web": ("网络图片", "the web"),
        "stock": ("图库图片", "stock"),
        "other_claimant": ("他人的照片", "another claimant's photo"),
        "own_earlier_claim": ("本人先前的照片", "the claimant's own earlier photo"),
        "same_event": ("本人就同一事故的照片", "the claimant's photo of the same event"),
        "same_claim": ("本案的另一照片", "another photo of this claim"),
    }
)
_WHOSE: Final = first_of(phrase(r"claim (?P<id>\S+)", "理赔案件 {id}", "claim {id}"), _OWNERS)
_ORIGIN: Final = first_of(
    phrase(
        r"(?P<whose>claim [^\s:;,]+|[a-z_ ]+)(?:: |, )(?P<how>.+)",
        "{whose}：{how}",
        "{whose}: {how}",
        whose=_WHOSE,
        how=TRANSFORM,
    ),
    _WHOSE,
    # A transform of a later version is left out, not whose the other picture is.
    phrase(r"(?P<whose>claim [^\s:;,]+|[a-z_ ]+)(?:: |, ).+", "{whose}", "{whose}", whose=_WHOSE),
)
_CLAIM_IS: Final = phrase(
    r"(?:claim )?(?P<id>another claim|\S+) is (?P<status>[a-z_ ]+)",
    "{id}（{status}）",
    "{id} ({status})",
    id=first_of(named({"another claim": ("另一理赔案件", "another claim")}), quote),
    status=named(
        {
            "draft": ("草稿", "draft"),
            "submitted": ("审核中", "being looked at"),
            "awaiting_information": ("待补充材料", "waiting for more"),
            "referred": ("人工审核中", "with a person"),
            "approved": ("已通过", "approved"),
            "paid": ("已赔付", "paid"),
            "payout_failed": ("打款未成功", "its payment failed"),
            "declined": ("不予赔付", "declined"),
            "withdrawn": ("已撤回", "withdrawn"),
            "erased": ("资料已删除", "erased"),
            "of unknown status": ("状态未知", "status unknown"),
        }
    ),
)
_COPY: Final = Values(_LIKENESS, None, _ORIGIN)
_SHOWS: Final = phrase(
    r"(?P<what>\w+) (?P<share>[\d.]+)",
    "{what}，可能性 {share}",
    "{what}, {share} likely",
    what=named(SUBJECTS),
    share=percent,
)
_OTHER_THING: Final = Values(_SHOWS)


def _signs(text: str, reader: Reader) -> str | None:
    kinds = [sign_words.KINDS.get(kind) for kind in text.split(" + ")]  # type: ignore[call-overload]
    return reader.choose(("、", ", ")).join(reader.choose(words) for words in kinds if words) if all(kinds) else None


def _phrases(text: str, reader: Reader) -> str | None:
    """Only what is recorded as phrases that this version knows; older records hold an English sentence."""
    try:
        signs = json.loads(text)
        known = all(phrase[0] in sign_words.PHRASES for phrases in signs for phrase in phrases)
    except (ValueError, TypeError, IndexError, KeyError):
        return only(_sentence)(text, reader)
    return sign_words.detail_text(text, reader.lang) if known else None


def _sentence(text: str, reader: Reader) -> str | None:
    """An English sentence, unless it looks like a record for programs."""
    return None if re.search(r"[<>={}\[\]]|\w_\w", text) else quote(text, reader)


_SIGNS: Final = Values(_signs, None, _phrases)

# ---- papers

_TWO: Final = phrase(r"(?P<one>.+?) / (?P<other>.+)", "“{one}”与“{other}”", "“{one}” and “{other}”")
_TWO_DAYS: Final = phrase(r"(?P<one>\S+) / (?P<other>\S+)", "{one}、{other}", "{one}, {other}", one=day, other=day)
_SIDES: Final = Values(COMPARED)
_PERSONS: Final = Values(quote, quote)
_UNUSABLE: Final = Values(unusable)
_DEFECT: Final = Values(defect)

# ---- noses, standing

_NOSE: Final = phrase(
    r"similarity (?P<similarity>-?[\d.]+), (?P<points>\d+) points agree",
    "相似度 {similarity}，{points}特征点一致",
    "similarity {similarity}, {points}",
    similarity=number,
    points=counted("处", "point agrees", "points agree"),
)
_NOSE_RULE: Final = phrase(
    r">= (?P<similarity>[\d.]+), >= (?P<points>\d+) points",
    "相似度不低于 {similarity}，一致的特征点不少于 {points}",
    "a similarity of at least {similarity} and at least {points}",
    similarity=number,
    points=counted("处", "point", "points"),
)
_SHARED: Final = phrase(
    r"(?P<key>\w+): (?P<claims>\d+) claims of (?P<people>\d+) in (?P<days>\d+) days",
    "{days}内 {people}提出 {claims}申请",
    "{claims} of {people} in {days}",
    key=named(SHARED),
    claims=_CLAIMS,
    people=_PEOPLE,
    days=DAYS,
)
_SHARED_RULE: Final = phrase(
    r"<= (?P<claims>\d+) claims of (?P<people>\d+) in (?P<days>\d+) days",
    "{days}内至多 {people}、{claims}申请",
    "at most {claims} of {people} in {days}",
    claims=_CLAIMS,
    people=_PEOPLE,
    days=DAYS,
)
_OVER: Final = Values(_SHARED, _SHARED_RULE)
BIN: Final = first_of(
    phrase(r"<= (?P<n>\S+)", "不高于 {n}", "at most {n}", n=number),
    phrase(r"> (?P<n>\S+)", "高于 {n}", "above {n}", n=number),
    phrase(r"(?P<low>\S+) to (?P<high>\S+)", "{low} 至 {high}", "{low} to {high}", low=number, high=number),
    named({"any": ("任意", "any")}),
)
_LOST: Final = listed(
    phrase(
        r"(?P<name>\w+) (?P<bin>.+) -(?P<points>\d+)",
        "{name}（{bin}）扣 {points} 分",
        "{name} ({bin}) costs {points} points",
        name=named(CREDIT),
        bin=BIN,
        points=number,
    ),
    ", ",
    ("，", ", "),
)
_SCORE: Final = Values(number, bound(">=", number))
_LOW_AND_MANY: Final = Values(
    phrase(
        r"(?P<score>\d+), (?P<claims>\d+) claims in (?P<days>\d+) days",
        "信用分 {score}，{days}内 {claims}申请",
        "score {score}, {claims} in {days}",
        score=number,
        claims=_CLAIMS,
        days=DAYS,
    ),
    phrase(
        r">= (?P<score>\d+) or <= (?P<claims>\d+) claims in (?P<days>\d+) days",
        "信用分不低于 {score}，或 {days}内至多 {claims}申请",
        "a score of at least {score}, or at most {claims} in {days}",
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
        "photo_in_flood": Values(quote, None, _ORIGIN),
        "photo_copy_unattributed": Values(_LOOK),
        "paper_claimed_before": Values(number, None, _CODES),
        "nose_of_another_pet": Values(_NOSE, bound(">=", number)),
        "pet_not_insured": Values(quote, quote),
        "patient_is_not_insured": _PERSONS,
        "owner_is_not_insured": _PERSONS,
        "buyer_is_not_insured": _PERSONS,
        "recipient_is_not_insured": _PERSONS,
        "sender_is_not_insured": _PERSONS,
        "order_of_another_claimant": Values(_CLAIMS),
        "claimant_under_two_ids": Values(listed(named(SHARED))),
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
        "paper_of_other_kind": Values(KIND, _KINDS),
        "paper_fields_missing": Values(_FIELDS),
        "paper_read_unsure": Values(percent, bound(">=", percent)),
        "paper_doubtful": Values(_FIELDS, None, NOT_VOUCHED),
        "nose_unreadable": _UNUSABLE,
        # other doubts
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
        "papers_disagree": Values(listed(paper_minor, " / ")),
        "paper_date_outside_cover": Values(day, _span, _FIELDS),
        "photo_maybe_copied": _COPY,
        "photo_older_than_event": Values(_DAYS, bound("<=", _DAYS)),
        "event_after_claim": Values(moment, bound("<=", moment)),
        "nose_unsure": Values(_NOSE, _NOSE_RULE),
        "nose_enrolment_missing": Values(),
        "same_event_claimed_before": Values(_CLAIM_IS, None, _ORIGIN),
        "order_claimed_before": Values(_CLAIMS),
        "order_value_paid": Values(money, bound("<", money)),
        "cover_recorded_after_event": Values(moment, bound("<=", moment)),
        "cover_changed_after_event": Values(moment, bound("<=", moment)),
        "could_not_check": Values(
            named(STAGES),
            None,
            phrase(r"[\w: ]+, attempt (?P<n>\d+)", "已尝试 {n} 次", "attempt {n}", n=number),
        ),
        "photo_unmeasured": _DEFECT,
        "photo_sign_unmeasured": _SIGNS,
        "paper_unmeasured": _DEFECT,
        "nose_unmeasured": _DEFECT,
        "fraud_unmeasured": Values(
            phrase(r"(?P<key>\w+) not counted", "未统计{key}", "{key} not counted", key=named(SHARED))
        ),
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
