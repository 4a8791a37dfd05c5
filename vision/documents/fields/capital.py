"""Converts capital numerals (大写金额) of Chinese bills to minor units."""

from __future__ import annotations

import re

from vision.documents.text.normalise import NEGATIVE
from vision.measurement import Unmeasured

_DIGITS = {
    character: value
    for value, characters in enumerate(
        ("零〇○", "壹一弌壱", "贰二贰弍貳两", "叁三参參叄弎", "肆四", "伍五", "陆六陸", "柒七", "捌八", "玖九")
    )
    for character in characters
}
_UNITS = {"拾": 10, "十": 10, "佰": 100, "百": 100, "仟": 1000, "千": 1000}
_SAME = str.maketrans({"萬": "万", "億": "亿", "圆": "元", "圓": "元", "园": "元", "正": "整", "參": "叁"})

#: Every character that may be part of such an amount, for finding one in a line of text.
CHARACTERS = "".join(_DIGITS) + "".join(_UNITS) + "万萬亿億元圆圓园角分整正"
_MINUS = re.compile(r"(?:\(\s?负数?\s?\)|负数?|(?<!-)-)\s*:?\s*(?:人民币)?\s*$")
_IN_TEXT = re.compile(rf"[{CHARACTERS}\s]*[元圆圓园角分][{CHARACTERS}\s]*")


def find(text: str) -> tuple[int, int]:
    """Return the span of the longest run in `text` that looks like a capital amount; (0, 0) if there is none."""
    runs = [match.span() for match in _IN_TEXT.finditer(text)]
    return max(runs, key=lambda span: span[1] - span[0], default=(0, 0))


def negative(text: str, start: int) -> bool:
    """Return True if the capital amount at `start` of `text` has 负, (负) or a minus before it, also before 人民币: the
    bill takes back another one. A rule of dashes that fills the line is no minus."""
    return _MINUS.search(text[:start]) is not None


def parse(text: str) -> int | Unmeasured:
    """Parse an amount such as 壹仟零贰拾元伍角整 to minor units; 人民币 before it is allowed, spaces are ignored. A
    negative one (负壹佰元整) is Unmeasured(NEGATIVE).

    Strict: units must descend, a digit needs its unit, 角 and 分 hold one digit each. Anything else is Unmeasured,
    because an amount guessed from half of its characters would defeat the check that needs it.
    """
    cleaned = re.sub(r"\s", "", text).translate(_SAME)
    if re.match(r"(?:人民币)?(?:\(负数?\)|负数?|-)", cleaned):
        return Unmeasured(NEGATIVE)
    cleaned = cleaned.removeprefix("人民币").removesuffix("整")
    if not cleaned:
        return Unmeasured("no capital amount")
    whole, mark, rest = cleaned.partition("元")
    if not mark:
        whole, rest = "", cleaned
    yuan = _whole(whole) if mark else 0
    if isinstance(yuan, Unmeasured):
        return yuan
    match = re.fullmatch(rf"零?(?:([{''.join(_DIGITS)}])角)?零?(?:([{''.join(_DIGITS)}])分)?", rest)
    if match is None or (not mark and not rest):
        return Unmeasured(f"not a capital amount: {text!r}")
    return yuan * 100 + _DIGITS.get(match[1] or "零", 0) * 10 + _DIGITS.get(match[2] or "零", 0)


def _whole(text: str) -> int | Unmeasured:
    """Parse whole yuan: sections of up to four places, each followed by 亿, 万 or nothing, in that order."""
    if not text:
        return Unmeasured("no number before 元")
    total = 0
    rest = text
    for unit, worth in (("亿", 100_000_000), ("万", 10_000)):
        head, mark, tail = rest.partition(unit)
        if not mark:
            continue
        section = _section(head)
        if isinstance(section, Unmeasured):
            return section
        total += section * worth
        rest = tail
    if not rest:
        return total
    section = _section(rest)
    return section if isinstance(section, Unmeasured) else total + section


def _section(text: str) -> int | Unmeasured:
    total, lowest, digit, zeros = 0, 10_000, -1, 0
    for position, character in enumerate(text):
        if character in _DIGITS:
            value = _DIGITS[character]
            if digit > 0 or (digit == 0 and value == 0 and zeros):
                return Unmeasured(f"a digit without its unit in {text!r}")
            zeros = zeros + 1 if value == 0 else 0
            digit = value
        elif character in _UNITS:
            unit = _UNITS[character]
            if digit == -1 and position == 0 and unit == 10:
                digit = 1  # 拾伍 for 15, as people write it
            if unit >= lowest or digit == -1:
                return Unmeasured(f"units out of order in {text!r}")
            total, lowest, digit, zeros = total + digit * unit, unit, -1, 0
        else:
            return Unmeasured(f"{character!r} is not part of a capital amount")
    if digit > 0:
        if lowest == 1:
            return Unmeasured(f"units out of order in {text!r}")
        total += digit
    elif digit == -1 and not text:
        return Unmeasured("no number before a unit")
    return total
