"""The formats of fields: patterns of the values on paper, and how they are normalised. Kinds refer to them by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vision.documents.fields import names
from vision.documents.kinds.catalogue import FieldRule
from vision.documents.text.normalise import (
    AMOUNT,
    CURRENCY,
    MINUS_BEHIND,
    NEGATIVE,
    amount_minor,
    negative,
    number_key,
    tracking_key,
    weight_g,
)
from vision.measurement import Unmeasured

# Words that follow a name without a space and are no part of it.
_AFTER_NAMES = "性别|年龄|医保|电话|手机|地址|科室|人员|病历|住院|门诊|身份|联系"
_CHINESE_NAME = rf"[\u3400-\u9fff·*]{{2,6}}?(?=[\s\x00-\x29\x2b-\x7f、《》〈〉“”…]|$|{_AFTER_NAMES})"
_LATIN_NAME = r"[A-Za-z](?>[A-Za-z .'-]{1,30})(?![^\x00-\x7f\u3400-\u9fff、。])"
# Any other script, emoji included, up to the next mark or gap between cells.
_OTHER_NAME = r"(?=[^\s:;,()|]*[^\x00-\x7f\u3400-\u9fff·*、。])[^\s:;,()|\d](?:[^\s:;,()|]| (?=[^\s]))" + r"{0,38}"
_NAME = rf"{_CHINESE_NAME}|{_LATIN_NAME}|{_OTHER_NAME}"

_TRACKING = r"[A-Z]{0,4}\s?[\dO](?:[\s-]?[\dO]){9,19}"
#: A weight without its unit.
BARE_WEIGHT: Final = r"\d+(?:\s?\.\s?\d+)?"
_MOBILE = re.compile(r"1[3-9]\d{9}")
# Types of institution (医疗机构类型: 综合医院), not names.
_SORT_OF_INSTITUTION = re.compile(
    "(?:综合|专科|公立|民营|私立|定点|医保|中医|中西医结合|妇幼|儿童|[一二三]级|[甲乙丙]等|基层|社区|宠物|动物|兽医|性|类)*"
    "(?:医院|卫生服务中心|卫生服务站|保健院|卫生院|诊所|门诊部|医疗中心|诊疗中心)"
)
_WORD = r"[^\W\d_]"


# Marks behind the name of a buyer that is no firm.
_PRIVATE = re.compile(r"\s?\((?:个人|自然人)\)$")
# Number before the first of several (1. 高血压病).
_FIRST_OF_SEVERAL = r"[(]?\d{1,2}\s?[.、)]\s?(?=[^\W\d])"


def _text(rule: FieldRule) -> str:
    if not rule.spaces:
        return rf"(?:{_FIRST_OF_SEVERAL})?(?:\d{{1,2}}(?=[\u4e00-\u9fff]))?{_WORD}[\w()、,·&*/.+-]{{0,39}}"
    # Up to the gap between two cells, or to the next label of the same one.
    return r"(?=[^\s:;|]*\w)[^\s:;|,、。.!?)](?:[^\s|]| (?=\S)(?!\S{1,8}:)){0,79}"


def _text_value(text: str) -> str:
    return _PRIVATE.sub("", re.sub(f"^{_FIRST_OF_SEVERAL}", "", text)).strip(" ,.、·-*/")


def _number(rule: FieldRule) -> str:
    least, most = rule.digits
    return rf"(?:[A-Za-z]{{1,6}}-?)?[\dOo](?:\s?-?[\dOo]){{{least - 1},{most - 1}}}(?![\dOo])"


def _institution(rule: FieldRule) -> str:
    endings = "|".join(rule.endings)
    return rf"[\u4e00-\u9fff()·]{{2,24}}?(?:{endings})(?:[\u4e00-\u9fff()]{{0,6}}(?:分院|院区))?"


def _institution_value(text: str) -> str:
    return "" if _SORT_OF_INSTITUTION.fullmatch(text.strip()) else text.strip()


_MINUS = r"(?:(?:-|负数?)\s?)?"


def _amount(_rule: FieldRule) -> str:
    signed = rf"{_MINUS}(?:{CURRENCY}\s{{0,2}})?\s?{_MINUS}{AMOUNT}"
    return rf"(?:\+\s?)?(?:\(\s?{signed}\s?\)|{signed}{MINUS_BEHIND}?)"


def _amount_value(text: str, rule: FieldRule) -> str | Unmeasured:
    """Return minor units; NEGATIVE for an amount printed as negative, unless the rule has a minus for a discount."""
    bare = re.search(AMOUNT, text)
    if bare is None:
        return Unmeasured(f"no amount in {text!r}")
    if not rule.minus and negative(text, *bare.span()):
        return Unmeasured(NEGATIVE)
    minor = amount_minor(bare[0])
    return minor if isinstance(minor, Unmeasured) else str(minor)


def _plainly(value: Callable[[str], str]) -> Callable[[str, FieldRule], str]:
    """Return the normaliser of a format that looks the same under every rule."""
    return lambda text, _rule: value(text)


def _weight_value(text: str, _rule: FieldRule) -> str | Unmeasured:
    grams = weight_g(text)
    return grams if isinstance(grams, Unmeasured) else str(grams)


def tracking_without_label(text: str) -> bool:
    """True if a number is long enough for a tracking number, and is no mobile telephone number."""
    key = tracking_key(text)
    return len(re.sub(r"\D", "", key)) >= 11 and _MOBILE.fullmatch(key) is None


@dataclass(frozen=True, slots=True)
class Shape:
    """A format. pattern: regular expression of the value as printed. value: normalises what it matched by the field's
    rule; "" for nothing, Unmeasured for a value that is not believed."""

    pattern: Callable[[FieldRule], str]
    value: Callable[[str, FieldRule], str | Unmeasured]


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "name": Shape(lambda _rule: _NAME, _plainly(names.person)),
        "text": Shape(_text, _plainly(_text_value)),
        "institution": Shape(_institution, _plainly(_institution_value)),
        "number": Shape(_number, _plainly(number_key)),
        "tracking_number": Shape(lambda _rule: _TRACKING, _plainly(tracking_key)),
        "amount": Shape(_amount, _amount_value),
        "weight": Shape(lambda _rule: rf"{BARE_WEIGHT}\s?(?:kg|千克|公斤|g|克|斤)", _weight_value),
        "count": Shape(lambda _rule: r"\d{1,4}(?=\s{0,3}(?:天|日|次|件|days?)?(?:\s|$|[^\d.]))", _plainly(str.strip)),
    }
)
