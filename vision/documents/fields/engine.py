"""Extracts the fields that a kind describes from rows of text. Knows formats, not papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from vision.documents.fields import capital, names, receipt
from vision.documents.fields.formats import BARE_WEIGHT, SHAPES, tracking_without_label
from vision.documents.fields.names import unlike_a_name
from vision.documents.fields.values import FieldResult, date_by_rule, from_found, unlabelled_dates
from vision.documents.kinds.catalogue import FieldLabel, FieldRule, PaperKind
from vision.documents.text.compiled import compiled
from vision.documents.text.layout import PLACE, FoundText, Row, ahead, beside, labelled, piece, under
from vision.documents.text.normalise import AMOUNT_MINOR_END, NEGATIVE, amounts
from vision.documents.text.page import FieldReading, PageBox, RefusedField
from vision.documents.text.parts import OTHER_PART, parts
from vision.measurement import Unmeasured

_Search = Callable[[Sequence[Row], FieldLabel, str], list[FoundText]]
# Endings of headings, which no name or text in a field has.
_LABEL_END = re.compile(
    r"(?:日期|时间|名称|编号|号码|批号|签[名字章]|盖章|电话|地址|住址|金额|数量|备注|证明|信息|资料|详情|情况|说明|须知|方式|意见|建议|医嘱|要求)$"
)
# Marks that a sentence goes on (患者双眼红痒、流泪); a name is followed by the sex, if by anything.
_GOES_ON = re.compile(r"、|,(?!\s?(?:性别|[男女\d]))")
# Headings that stand beside those that a kind asks for.
_COMMON_HEADING = re.compile(
    r"(?:性\s{0,3}别|年\s{0,3}龄|科\s?[室别]|床\s?[号位]|病\s{0,3}区|民\s{0,3}族|职\s{0,3}业|医\s?[生师]|费\s{0,3}别|[住就]院号|门诊号|病[历案]号|处\s{0,3}理|治\s{0,3}疗|登记号|人员类[别型]"
    r"|(?:医保|患者)类[别型]|结算方式|进店\S{0,2}|联系(?:商家|客服|卖家)|单\s{0,3}位|规\s{0,3}格|单\s{0,3}价|品\s?[种系]|种\s{0,3}类|体\s{0,3}重|毛\s{0,3}色|序\s{0,3}号|[\u4e00-\u9fff]{1,3}员|签?章|(?:纳税人识别|统一社会信用|开户行).*)\W*"
)
# What follows a number that is no amount: a share, and behind a whole number a day or a count; a word that begins with
# such a character is none (1000.00 日期, 1000 月结).
_SHARE = re.compile(r"\s?[%‰]")
_OTHER_UNIT = re.compile(r"(?:[年月日天次岁]|个月|[-/.]\d)|\s(?:[年月日天次岁]|个月)(?![\u4e00-\u9fff])")
_DECIMALS = re.compile(r"\.\s?\d{2}\W*$")
_YEAR = re.compile(r"(?:19|20)\d\d")
# Labels of long numbers that are not the carrier's.
_OTHER_NUMBER = re.compile(r"订单|身份证|客服|电话|[账帐]号|卡号")


def extract(rows: Sequence[Row], kind: PaperKind) -> tuple[list[FieldReading], list[RefusedField]]:
    """Return every field, at most one a name, in the kind's order; and those that were read but not believed."""
    outcomes: list[FieldResult] = receipt.fields(rows) if kind.extractor == "till_receipt" else []
    headings, parts_headed = _headed(kind)
    by_name = {name: _find(rows, name, rule, headings, parts_headed) for name, rule in kind.fields.items()}
    outcomes += [_unclaimed(rows, kind, name, outcome, by_name) for name, outcome in by_name.items()]
    return (
        [outcome for outcome in outcomes if isinstance(outcome, FieldReading)],
        [outcome for outcome in outcomes if isinstance(outcome, RefusedField)],
    )


def _unclaimed(
    rows: Sequence[Row], kind: PaperKind, name: str, outcome: FieldResult, by_name: Mapping[str, FieldResult]
) -> FieldResult:
    """Replace a date that was found without its label, but belongs to another field by that one's label, by the next
    date."""
    if not isinstance(outcome, FieldReading) or kind.fields[name].format != "date" or not kind.fields[name].anywhere:
        return outcome
    claimed = claimed_dates(kind, name, [other for other in by_name.values() if isinstance(other, FieldReading)])
    if outcome.box not in claimed:
        return outcome
    return next(unlabelled_dates(rows, name, claimed), None)


def claimed_dates(kind: PaperKind, name: str, fields: Sequence[FieldReading]) -> frozenset[PageBox]:
    """Return the places of dates that other fields found by their labels alone."""
    return frozenset(
        field.box
        for field in fields
        if field.name != name
        and (rule := kind.fields.get(field.name)) is not None
        and rule.format == "date"
        and not rule.anywhere
    )


def by_rule(rows: Sequence[Row], kind: PaperKind, name: str, rule: FieldRule) -> FieldResult:
    """Return the field of that name by `rule`, on a paper of that kind; None if it is not there."""
    return _find(rows, name, rule, *_headed(kind))


def _headed(kind: PaperKind) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return what is a label on a paper of that kind, and the headings of the parts that it searches."""
    labels = [label for rule in kind.fields.values() for label in rule.labels]
    headings = compiled("|".join(f"(?:{label.label})" for label in labels))
    return headings, (*dict.fromkeys(label.within for label in labels if label.within), OTHER_PART)


def _find(
    rows: Sequence[Row], name: str, rule: FieldRule, headings: re.Pattern[str], parts_headed: Sequence[str]
) -> FieldResult:
    if not rule.labels and not rule.anywhere:
        return None
    if rule.format in _FINDERS:
        return _FINDERS[rule.format](rows, name, rule)
    if rule.further or rule.whole:
        return _in_parts(rows, name, rule, headings, parts_headed)
    field = _by_shape(rows, name, rule, headings, parts_headed)
    return _weight_by_heading(rows, name, rule) if field is None and rule.format == "weight" else field


def _where(rows: Sequence[Row], label: FieldLabel, parts_headed: Sequence[str]) -> Sequence[Sequence[Row]]:
    """Return the whole page, or the parts of it that a label counts in. parts_headed: headings of all parts of the
    kind."""
    return parts(rows, label.within, parts_headed) if label.within else [rows]


def _candidates(rows: Sequence[Row], label: FieldLabel, pattern: str) -> list[FoundText]:
    """Return values right of the label, or left of it."""
    if label.before:
        return ahead(rows, label.label, pattern)
    if label.in_row:
        return _in_row(rows, label, pattern)
    values = labelled(rows, label.label, pattern)
    if label.of and len(values) != label.of:
        return []
    return values[label.nth - 1 :] if label.nth > 1 or label.of else [*values, *beside(rows, label.label, pattern)]


def _under(rows: Sequence[Row], label: FieldLabel, pattern: str) -> list[FoundText]:
    """Return values under the label. If the values stand side by side (`FieldLabel.nth`), only those right of it count,
    so none."""
    return [] if label.in_row or label.before or label.nth > 1 or label.of else under(rows, label.label, pattern)


def _in_row(rows: Sequence[Row], label: FieldLabel, pattern: str) -> list[FoundText]:
    for index, row in enumerate(rows):
        mark = compiled(label.label, re.IGNORECASE).search(row.text)
        spans = [match.span() for match in compiled(pattern).finditer(row.text[mark.end() :])] if mark else []
        if mark and len(spans) >= label.nth and (not label.of or len(spans) == label.of):
            start, end = spans[label.nth - 1]
            return [piece(rows, index, mark.end() + start, mark.end() + end)]
    return []


def _by_shape(
    rows: Sequence[Row], name: str, rule: FieldRule, headings: re.Pattern[str], parts_headed: Sequence[str]
) -> FieldResult:
    """Return the first value beside any of the labels, or else under one, trying the labels in order. A value that is
    itself a label is the heading of another column."""
    shape = SHAPES[rule.format]
    pattern = shape.pattern(rule)
    if rule.once:
        values = {shape.value(hit.text, rule) for hit in _candidates(rows, rule.labels[0], pattern)}
        told = sorted(value for value in values if isinstance(value, str) and value)
        if len(told) > 1:
            return RefusedField(name, f"two of them on one paper: {told[0]} and {told[1]}")
    unlikely: FieldResult = None
    for outcome in _told(rows, name, rule, headings, parts_headed, (_candidates, _under)):
        if isinstance(outcome, RefusedField) or rule.format != "name" or not unlike_a_name(outcome.value):
            return outcome
        unlikely = unlikely or outcome  # another label may stand beside a name
    return unlikely or (next(unlabelled(rows, name, rule), None) if rule.anywhere else None)


def _in_parts(
    rows: Sequence[Row], name: str, rule: FieldRule, headings: re.Pattern[str], parts_headed: Sequence[str]
) -> FieldResult:
    """Return an amount that the paper states in several parts, in one sum, or both; refuse it if these differ. Without
    the first part, further ones may be in the sum or beside it, so neither is taken."""

    def of(labels: tuple[FieldLabel, ...]) -> FieldResult:
        alone = rule.model_copy(update={"labels": labels, "further": (), "whole": ()})
        return _by_shape(rows, name, alone, headings, parts_headed) if labels else None

    first, whole = of(rule.labels), of(rule.whole)
    further = [part for label in rule.further if (part := of((label,))) is not None]
    refused = next((part for part in (first, whole, *further) if isinstance(part, RefusedField)), None)
    if refused is not None:
        return refused
    told = [part for part in further if isinstance(part, FieldReading) and int(part.value)]
    if not isinstance(first, FieldReading):
        if isinstance(whole, FieldReading) and told:
            return RefusedField(name, f"the paper says {_units(whole.value)} and {_units(told[0].value)}")
        return whole
    summed = int(first.value) + sum(int(part.value) for part in told)
    if isinstance(whole, FieldReading) and int(whole.value) != summed:
        return RefusedField(name, f"the paper says {_units(str(summed))} and {_units(whole.value)}")
    confidence = min(part.confidence for part in (first, *told))
    return replace(first, value=str(summed), confidence=confidence) if told else first


def _units(minor: str) -> str:
    return f"{int(minor) // 100}.{int(minor) % 100:02d}"


def _told(
    rows: Sequence[Row],
    name: str,
    rule: FieldRule,
    headings: re.Pattern[str],
    parts_headed: Sequence[str],
    searches: Sequence[_Search],
) -> Iterator[FieldReading | RefusedField]:
    """Yield every value beside a label of the field, and every one under a label, the surest label first."""
    shape = SHAPES[rule.format]
    pattern = shape.pattern(rule)
    for search in searches:
        for label in rule.labels:
            for hit in (hit for part in _where(rows, label, parts_headed) for hit in search(part, label, pattern)):
                value = shape.value(hit.text, rule)
                if isinstance(value, Unmeasured):
                    yield RefusedField(name, value.reason)  # another amount of the page would be a guess
                    continue
                if rule.format == "name" and (
                    PLACE.fullmatch(hit.text) or _GOES_ON.match(hit.behind) or names.of_a_thing(hit.text)
                ):
                    continue
                if rule.format == "amount" and _no_amount(rows, hit):
                    continue
                if value and not (rule.format in ("name", "text") and _heads(hit, headings)):
                    yield from_found(name, hit, value)


def _no_amount(rows: Sequence[Row], hit: FoundText) -> bool:
    """True if a number is a year, a day, a count or a share, or a bare year where other amounts have their decimals."""
    if _SHARE.match(hit.behind) or (not _DECIMALS.search(hit.text) and _OTHER_UNIT.match(hit.behind)):
        return True
    return _YEAR.fullmatch(hit.text.strip()) is not None and any(amounts(row.text, True) for row in rows)


def texts_told(rows: Sequence[Row], kind: PaperKind, name: str, rule: FieldRule) -> frozenset[str]:
    """Return all texts beside the surest label that has any on this paper."""
    headings, parts_headed = _headed(kind)
    for label in rule.labels:
        one_label = rule.model_copy(update={"labels": (label,)})
        told = _told(rows, name, one_label, headings, parts_headed, (_candidates,))
        texts = frozenset(field.value for field in told if isinstance(field, FieldReading))
        if texts:
            return texts
    return frozenset()


def _heads(hit: FoundText, headings: re.Pattern[str]) -> bool:
    """True if a text is a label or the rest of one, not a value: a single character, one of the kind's labels, a text
    that ends as labels do, or one followed by a colon."""
    if (
        len(hit.text) < 2
        or headings.match(hit.text)
        or _LABEL_END.search(hit.text)
        or _COMMON_HEADING.fullmatch(hit.text)
    ):
        return True
    return hit.behind.lstrip(" ")[:1] == ":"


def unlabelled(rows: Sequence[Row], name: str, rule: FieldRule) -> Iterator[FieldReading]:
    """Yield every value that its format identifies without a label, in reading order. Tracking numbers must be long
    enough and not belong to another label."""
    shape, tracking = SHAPES[rule.format], rule.format == "tracking_number"
    pattern = shape.pattern(rule)
    if tracking:
        pattern = rf"(?<![A-Z0-9*]){pattern}(?![\d*])"
    for index, row in enumerate(rows):
        for match in compiled(pattern).finditer(row.text):
            if tracking and (not tracking_without_label(match[0]) or _OTHER_NUMBER.search(row.text[: match.start()])):
                continue
            read = shape.value(match[0], rule)
            if isinstance(read, str) and read:
                yield from_found(name, piece(rows, index, *match.span()), read)


def _choice(rows: Sequence[Row], name: str, rule: FieldRule) -> FieldResult:
    """Return the first value, in reading order, whose pattern stands beside a label or anywhere."""
    for label in rule.labels:
        for value, pattern in rule.values.items():
            for hit in _candidates(rows, label, pattern) or _under(rows, label, pattern):
                return from_found(name, hit, value)
    for index, row in enumerate(rows if rule.anywhere else ()):
        for value, pattern in rule.values.items():
            match = compiled(pattern).search(row.text)
            if match:
                return from_found(name, piece(rows, index, *match.span()), value)
    return None


def _weight_by_heading(rows: Sequence[Row], name: str, rule: FieldRule) -> FieldResult:
    """Return a bare number beside or under a label that states the unit: 重量(kg) 1.20."""
    for label in rule.labels:
        for unit in ("kg", "公斤", "千克", "g", "克"):
            stated = label.model_copy(update={"label": rf"(?:{label.label})\s?[(\[/]\s?{unit}\s?[)\]]?(?![^\W\d_])"})
            for hit in _candidates(rows, stated, BARE_WEIGHT) or _under(rows, stated, BARE_WEIGHT):
                value = SHAPES["weight"].value(hit.text + unit, rule)
                if isinstance(value, str):
                    return from_found(name, hit, value)
    return None


def _capital(rows: Sequence[Row], name: str, rule: FieldRule) -> FieldResult:
    """Return the first run of capital numerals that is an amount: right of a label in its row, or alone."""
    labels = "|".join(label.label for label in rule.labels)
    for index, row in enumerate(rows):
        mark = compiled(labels, re.IGNORECASE).search(row.text) if labels else None
        offset = mark.end() if mark else 0
        stretch = row.text[offset:]
        start, end = capital.find(stretch)
        if end - start < 3 or not (mark or rule.anywhere):
            continue
        if capital.negative(stretch, start):
            return RefusedField(name, NEGATIVE)
        minor = capital.parse(stretch[start:end])
        if isinstance(minor, Unmeasured):
            continue
        if minor >= AMOUNT_MINOR_END:
            return RefusedField(name, f"{stretch[start:end]} is more than any paper here is for")
        return from_found(name, piece(rows, index, offset + start, offset + end), str(minor))
    return None


_FINDERS: dict[str, Callable[[Sequence[Row], str, FieldRule], FieldResult]] = {
    "choice": _choice,
    "capital_amount": _capital,
    "date": date_by_rule,
}
