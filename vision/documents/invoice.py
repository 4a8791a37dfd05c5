"""Fields and items of a Chinese outpatient invoice (门诊收费票据)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from vision.documents import capital
from vision.documents.fields import first_amount, first_date, first_text, from_found
from vision.documents.layout import Cell, Row, labelled, piece
from vision.documents.normalise import AMOUNT, amounts
from vision.documents.page import PaperField, PaperItem
from vision.measurement import Unmeasured

REQUIRED = ("hospital", "patient", "date", "number", "total_minor")

_NAME = (
    r"[\u4e00-\u9fff·*]{2,6}?(?=\s|$|[^\u4e00-\u9fff·*]|性别|年龄|医保|电话|科室|人员|病历)|[A-Za-z][A-Za-z .]{2,30}"
)
_INSTITUTION = (
    r"[\u4e00-\u9fff()·]{2,24}?(?:医院|卫生服务中心|卫生服务站|保健院|卫生院|诊所|门诊部|医疗中心|诊疗中心)"
    r"(?:[\u4e00-\u9fff()]{0,6}(?:分院|院区))?"
)
_NUMBER = r"[A-Za-z]{0,3}[\dOo](?:\s?-?[\dOo]){5,24}"
_MONEY = rf"[¥Y]?\s?{AMOUNT}"
_END_OF_ITEMS = re.compile(r"大\s?写|小\s?写|^\W*(?:金额)?(?:合\s{0,3}计|总计|总金额)")
_UNITS = frozenset("次盒瓶支袋片项张个粒贴日天组套件人份剂付")

# What the reader makes of a lone class character, by what was printed; only looked up below a class heading.
_CLASSES = {
    "甲": "甲",
    "申": "甲",
    "由": "甲",
    "田": "甲",
    "乙": "乙",
    "己": "乙",
    "Z": "乙",
    "z": "乙",
    "丙": "丙",
    "内": "丙",
    "两": "丙",
}


def fields(rows: Sequence[Row]) -> list[PaperField]:
    """Every field found, at most one a name."""
    found = [
        _hospital(rows),
        first_text(rows, "patient", (r"交款人(?!统一)|缴款人|患者姓名|病人姓名|就诊人", r"姓\s?名|患者"), _NAME),
        first_date(rows, ("开票日期|收费日期|结算日期|就诊日期", "日期|时间")),
        _number(rows),
        _total(rows),
        _capital_total(rows),
        first_amount(
            rows,
            "insurance_paid_minor",
            (
                "(?:医保)?统筹(?:基金)?支付(?:金额)?|医保(?:基金)?支付(?:金额)?|医保报销(?:金额)?|基金支付(?:金额)?|医保记账",
            ),
            _MONEY,
        ),
        first_amount(
            rows,
            "cash_paid_minor",
            (
                "个人现金支付|个人自付现金|现金支付|个人支付(?:金额)?|个人应付(?:金额)?|自付现金",
                "现金|个人自付(?:金额)?",
            ),
            _MONEY,
        ),
        first_amount(rows, "account_paid_minor", ("个人[账帐]户支付|[账帐]户支付|个人[账帐]户",), _MONEY),
        first_text(
            rows,
            "diagnosis",
            ("临床诊断|门诊诊断|初步诊断|诊断(?:名称)?",),
            r"[\u4e00-\u9fffA-Za-z][\u4e00-\u9fffA-Za-z0-9()、,·]{1,30}",
        ),
    ]
    return [field for field in found if field is not None]


def _hospital(rows: Sequence[Row]) -> PaperField | None:
    label = r"收款单位(?:\s?[(\[]?章[)\]]?)?|医疗机构(?:名称)?|收费单位|医院名称|就诊医院|开票单位"
    for found in labelled(rows, label, _INSTITUTION):
        return from_found("hospital", found)
    # No label, or a seal over it: the title carries the name on most papers.
    for index, row in enumerate(rows):
        match = re.search(_INSTITUTION, row.text)
        if match:
            return from_found("hospital", piece(rows, index, *match.span()))
    return None


def _number(rows: Sequence[Row]) -> PaperField | None:
    labels = (r"(?:票据号码?|发票号码?|收据号码?|票\s?号|票据编号)(?:\s*:?\s*N[Oo0]\s?[.:])?", r"\bN[Oo0]\s?[.:°º]?")
    return first_text(rows, "number", labels, _NUMBER, normalise=number_key)


def number_key(text: str) -> str:
    """A paper number as the key that claims are compared by: capitals and digits, an O among digits read as 0."""
    letters = re.match(r"[A-Z]*?(?=[\dO]{4})", text.upper())
    prefix = letters[0] if letters else ""
    return prefix + re.sub(r"[^0-9A-Z]", "", text.upper()[len(prefix) :]).replace("O", "0")


def _total(rows: Sequence[Row]) -> PaperField | None:
    small = first_amount(rows, "total_minor", (r"[(\[]?\s?小\s?写\s?[)\]]?",), _MONEY)
    if small is not None:
        return small
    return first_amount(rows, "total_minor", (r"(?:金额)?合\s{0,3}计(?:金额)?|总\s?计|总金额",), _MONEY)


def _capital_total(rows: Sequence[Row]) -> PaperField | None:
    for index, row in enumerate(rows):
        mark = re.search(r"大\s?写\s?[)\]]?", row.text)
        offset = mark.end() if mark else 0
        stretch = row.text[offset:]
        start, end = capital.find(stretch)
        if end - start < 3:
            continue
        minor = capital.parse(stretch[start:end])
        if not isinstance(minor, Unmeasured):
            return from_found("capital_total_minor", piece(rows, index, offset + start, offset + end), str(minor))
    return None


def _is_heading(text: str) -> bool:
    named = "金额" in text and re.search(r"项目|名称|收费", text) is not None
    return named and re.search(r"\d\.\d{2}", text) is None


def items(rows: Sequence[Row]) -> list[PaperItem]:
    """The item list: what stands between the heading with 金额 and the totals. Empty when there is no such heading."""
    heading = next((index for index, row in enumerate(rows) if _is_heading(row.text)), None)
    if heading is None:
        return []
    blocks = _blocks(rows[heading])
    class_middles = [_middle(cell) for cell in rows[heading].cells if re.search(r"类别|等级|类型|甲乙", cell.text)]
    found = []
    for row in rows[heading + 1 :]:
        if _END_OF_ITEMS.search(row.text):
            break
        for left, right in blocks:
            cells = [cell for cell in row.cells if left <= _middle(cell) < right]
            item = _item(cells, class_middles)
            if item is not None:
                found.append(item)
    return found


def _middle(cell: Cell) -> float:
    return (cell.left + cell.right) / 2


def _blocks(heading: Row) -> list[tuple[float, float]]:
    """(left, right) of each column of items: a heading with 金额 twice means two items a row."""
    ends = [cell.right for cell in heading.cells if "金额" in cell.text]
    starts = [cell.left for cell in heading.cells if re.search(r"项目|名称", cell.text)]
    if len(ends) < 2:
        return [(float("-inf"), float("inf"))]
    edges = [float("-inf")]
    for end in ends[:-1]:
        after = [start for start in starts if start > end]
        edges.append((end + min(after)) / 2 if after else end)
    edges.append(float("inf"))
    return list(pairwise(edges))


def _item(cells: Sequence[Cell], class_middles: Sequence[float]) -> PaperItem | None:
    priced = [(cell, amounts(cell.text, decimals_required=True)) for cell in cells]
    with_amount = [(cell, found) for cell, found in priced if found]
    if not with_amount:
        return None
    last, found = with_amount[-1]
    amount_minor = found[-1][2]
    item_class, text = "", ""
    for cell in cells:
        content = cell.text[: found[-1][0]].strip() if cell is last else cell.text
        prefix = re.match(r"[\[(]\s?([甲乙丙])\s?[\])]\s?", content)
        if prefix:
            item_class, content = prefix[1], content[prefix.end() :]
        below_heading = any(abs(_middle(cell) - middle) < 2 * cell.height for middle in class_middles)
        if content in _CLASSES and (content in "甲乙丙" or below_heading):
            item_class = item_class or _CLASSES[content]
        elif content in ("自费", "丙类", "乙类", "甲类"):
            item_class = item_class or content.removesuffix("类")
        elif not text and content not in _UNITS and re.search(r"[\u4e00-\u9fff]|[A-Za-z]{2}", content):
            text = re.sub(r"^\d{1,2}\s+", "", content)
    return PaperItem(text, item_class, amount_minor) if text else None
