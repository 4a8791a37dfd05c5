"""Kinds of papers, declared in YAML: one short file a kind, ours in `vision/documents/kinds`, an insurer's in its own
folder. docs/papers.md explains how to write one.

A file states which words point to the kind, which fields it has and beside which labels they stand, what is required,
what money rests on, and which checks hold within the paper. `vision.documents.fields.engine` turns rows of text into
fields by it. Files are read once, when a reader is made; a mistake in one is an error that names the file and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from vision.documents.text.page import UNKNOWN, CheckName, Standing
from vision.errors import InvalidPaperKind

OURS: Final = Path(__file__).parent
FILE_BYTES_MAX: Final = 65_536
KINDS_MAX: Final = 200
PATTERN_CHARACTERS_MAX: Final = 1_000

Format = Literal[
    "name",  # of a person: 张三, 张*, John Smith, any script
    "institution",  # 杭州市第一医院: ends in one of `endings`
    "text",
    "choice",  # one of `values`, wherever its pattern is found
    "number",  # letters and `digits`, as a key
    "tracking_number",
    "amount",
    "capital_amount",  # 壹佰元整
    "date",
    "weight",
    "count",  # 5天
]
# The ending of a name says what its values look like.
_FORMATS_BY_ENDING: Final = (("_minor", ("amount", "capital_amount")), ("_g", ("weight",)), ("date", ("date",)))
# The fields that a check compares. The reader's own checks (codes, text layer, date) need no particular fields.
_COMPARED: Final[Mapping[str, tuple[str, ...]]] = {
    "items_sum_to_total": ("total_minor",),
    "capital_amount_equals_total": ("capital_total_minor", "total_minor"),
    "insurance_and_cash_equal_total": ("insurance_paid_minor", "cash_paid_minor", "total_minor"),
    "net_and_tax_equal_total": ("net_minor", "tax_minor", "total_minor"),
    "price_less_discount_equals_total": ("price_minor", "discount_minor", "total_minor"),
    "stay_days_match_dates": ("admitted_date", "discharged_date", "stay_days"),
}
#: Checks that a kind chooses. The others are made for every paper.
CHOSEN_CHECKS: Final = tuple(_COMPARED)


def _expression(pattern: str) -> str:
    """Return the pattern if it compiles and cannot match the empty string."""
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise ValueError(f"a pattern of {len(pattern)} characters; at most {PATTERN_CHARACTERS_MAX}")
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if compiled.search("") is not None:
        raise ValueError(f"{pattern!r} matches an empty text, so it would be found everywhere")
    return pattern


# Tokens of an expression: an escaped character, a set of characters, a look behind (of fixed width), characters of a
# word, and any other character on its own.
_SET = r"\[\^?\]?(?:\\.|[^\]\\])*\]"
_TOKEN = re.compile(
    rf"\\.|{_SET}|\(\?<[=!](?:\\.|{_SET}|[^()\\])*\)|(?P<word>[\u4e00-\u9fff]{{2,}}(?![?*+{{]))|.", re.DOTALL
)


def set_wide(pattern: str) -> str:
    """Extend the expression of a label or heading to match words that are set wide (品 种), which the reader splits
    into one cell per character: the first must then stand alone, so that no word ends in another cell (发货 物品 is no
    货物)."""

    def widened(token: re.Match[str]) -> str:
        word = token["word"]
        return rf"(?:{word}|(?<![^\W\d_])" + r"\s{0,3}".join(word) + ")" if word else token[0]

    return _TOKEN.sub(widened, pattern)


# Words for any sum, day or number: what stands directly before one makes it another (统筹合计, 打印时间, 原发票号码).
_ANY_SUM: Final = (
    r"[合总共]\s{0,3}计|金\s{0,3}额|总?额|总价|费用|小写|现金|支付|自[付费理]|应[收付]|实[收付]|结算|报销|统筹|基金"
    r"|余额"
)
_ANY_DAY: Final = r"日\s{0,3}期|时\s{0,3}间"
# What says no more than the word for a sum behind it, or ends what stands before the label.
_SAME_SUM: Final = (
    "元", "圆", "整", "币", "本次", "本单", "本票", "订单", "医疗", "门诊", "急诊", "住院", "费用", "金额", "收费",
    "消费", "票据", "全部", "各项", "实际", "发生", "最终", "合计", "总计", "共计", "个人应付",
)  # fmt: skip
_OTHER_DAY: Final = ("打印", "补打", "制表", "出生", "到期", "截止", "有效", "生产", "预约", "复诊", "复查", "下次")
_OTHER_NUMBER: Final = ("原", "蓝字", "对应", "红字")


def whole_word(pattern: str, format_name: str) -> str:
    """Extend the expression of a label to match only where it is not the end of a word for something else."""
    if format_name == "amount":
        same = "|".join(["(?<![\u3400-\u9fff])", *(f"(?<={word})" for word in _SAME_SUM)])
        return f"(?:(?!{_ANY_SUM})|{same})(?:{pattern})"
    if format_name == "date":
        return f"(?:(?!{_ANY_DAY})|{_not_behind(_OTHER_DAY)})(?:{pattern})"
    return f"{_not_behind(_OTHER_NUMBER)}(?:{pattern})" if format_name == "number" else pattern


def _not_behind(words: Sequence[str]) -> str:
    return "".join(f"(?<!{word})" for word in words)


Expression = Annotated[str, AfterValidator(_expression)]
WideExpression = Annotated[Expression, AfterValidator(set_wide)]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldLabel(_Entry):
    """One label and how its value is found.

    nth: which of the values beside this label, from 1, in reading order. of: only if there are so many. in_row: nth and
    of count the values right of the label in one row, whatever stands between (合计 100.00 13.00). within: only in the
    part of the paper below such a heading, in its column (姓名 below 收件信息). before: the value stands left of it in
    the same cell (张三 收).
    """

    label: WideExpression
    nth: int = Field(default=1, ge=1, le=9)
    of: int = Field(default=0, ge=0, le=9)
    in_row: bool = False
    within: WideExpression | None = None
    before: bool = False

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.before and (self.in_row or self.nth > 1 or self.of):
            raise ValueError("before goes with one value, directly left of the label: not with nth, of or in_row")
        return self


def _label(entry: object) -> object:
    return {"label": entry} if isinstance(entry, str) else entry


class FieldRule(_Entry):
    """Rule for finding one field. `labels` are tried in order; the value stands right of a label in the same row, or
    else under one. A label that is the end of a longer word is another label (`whole_word`).

    anywhere: also without a label, if the format identifies the value. endings: of an institution. digits: least and
    most digits of a number. values: of a choice, each with the pattern that means it. spaces: a text may contain
    spaces. minus: the amount may be printed with a minus before it, as discounts are, and counts without it. once: a
    paper has the first label once; two different values beside it come from two papers, and neither is taken.
    signed: a name that people sign by hand on honest papers, which proves nothing and is not judged for it.
    not_printing: a date beside a word for printing is doubted, as the paper may be printed again later.
    further: labels of further amounts that belong to the field and are added to the first, such as other funds of the
    state insurance. whole: labels of all of them in one sum.
    """

    format: Format
    labels: tuple[Annotated[FieldLabel, BeforeValidator(_label)], ...] = ()
    anywhere: bool = False
    endings: tuple[Expression, ...] = ()
    digits: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=40)]] = (6, 25)
    values: Mapping[str, Expression] = {}
    spaces: bool = False
    minus: bool = False
    once: bool = False
    signed: bool = False
    not_printing: bool = False
    further: tuple[Annotated[FieldLabel, BeforeValidator(_label)], ...] = ()
    whole: tuple[Annotated[FieldLabel, BeforeValidator(_label)], ...] = ()

    @field_validator("labels", "further", "whole")
    @classmethod
    def _whole_words(cls, labels: tuple[FieldLabel, ...], info: ValidationInfo) -> tuple[FieldLabel, ...]:
        name = str(info.data.get("format"))
        return tuple(
            label if label.before else label.model_copy(update={"label": whole_word(label.label, name)})
            for label in labels
        )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.format == "institution" and not self.endings:
            raise ValueError("an institution needs endings, such as 医院")
        if (self.format == "choice") != bool(self.values):
            raise ValueError("values belong to a choice, and a choice needs them")
        if self.anywhere and self.format not in ("institution", "choice", "tracking_number", "date", "capital_amount"):
            raise ValueError(f"a {self.format} cannot be told without a label")
        if (self.further or self.whole) and self.format != "amount":
            raise ValueError("further and whole belong to an amount")
        if self.digits[0] > self.digits[1]:
            raise ValueError("digits: the least is above the most")
        return self


class ItemTable(_Entry):
    """The lines of a bill, between a heading with `amount` in it and the totals.

    names: heading of the column of names. amount: heading of the column of amounts. end: a row that is no item any
    more. amount_column: the amount is the one below its heading, not the last of its row. classes: 甲乙丙 stand in a
    column or before the name. sums_to: the field that the amounts add up to.
    """

    names: Expression = "项目|名称|收费"
    amount: Expression = "金额"
    end: Expression = r"大\s?写|小\s?写|^\W*(?:金额)?(?:合\s{0,3}计|总计|总金额)"
    amount_column: bool = False
    classes: bool = False
    sums_to: FieldName = "total_minor"


class Settled(_Entry):
    """Conditions under which the fast model's reading suffices."""

    checks: tuple[CheckName, ...] = ()
    fields: tuple[FieldName, ...] = ()


class PaperKind(_Entry):
    """One kind. words: pattern and weight of words that point to it (or, below zero, away from it), each counted once;
    see `vision.documents.kinds.classify`. title: a heading that only such a paper has.

    keys: fields that differ between two such papers in one picture; each entry is enough on its own, and is one of the
    keys that the insurer's half of the kind names. extractor: `labels`, or the name of code that finds the fields if
    labels are not enough. shows_state: the page of an app, whose first state (待付款, 交易成功) is the whole order's.
    state_on_screen: printed papers of the kind show no state, but the pages of apps do. honest_standings: what paid
    papers of the kind say as well: a slip of returned goods speaks of refunds. paid_signs: what shows on such a paper
    that it was paid; a page with none of it is no paid bill. None: such papers need not show it.
    """

    kind: FieldName
    words: Mapping[WideExpression, Annotated[int, Field(ge=-20, le=20)]] = Field(min_length=1)
    title: WideExpression
    fields: Mapping[FieldName, FieldRule] = Field(min_length=1)
    required: tuple[FieldName, ...] = Field(min_length=1)
    money: tuple[FieldName, ...] = ()
    keys: tuple[tuple[FieldName, ...], ...] = ()
    items: ItemTable | None = None
    checks: tuple[CheckName, ...] = ()
    settled_by: Settled | None = None
    extractor: Literal["labels", "till_receipt"] = "labels"
    shows_state: bool = False
    state_on_screen: bool = False
    paid_signs: tuple[Expression, ...] = ()
    honest_standings: tuple[Standing, ...] = ()

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.kind == UNKNOWN:
            raise ValueError(f"{UNKNOWN} is the name of what is of no kind")
        named = {
            "required": self.required,
            "money": self.money,
            "keys": tuple(name for key in self.keys for name in key),
            "settled_by": self.settled_by.fields if self.settled_by else (),
            "items.sums_to": (self.items.sums_to,) if self.items else (),
        }
        for where, names in named.items():
            unknown = [name for name in names if name not in self.fields]
            if unknown:
                raise ValueError(f"{where} names fields that are not described: {', '.join(unknown)}")
        for name, rule in self.fields.items():
            for ending, formats in _FORMATS_BY_ENDING:
                if name.endswith(ending) != (rule.format in formats):
                    raise ValueError(f"fields.{name}: a name ends in {ending} exactly when its format is {formats[0]}")
            if not rule.labels and not rule.anywhere and self.extractor == "labels":
                raise ValueError(f"fields.{name}: without labels it is found only with anywhere: true")
        for check in self.checks:
            if check not in CHOSEN_CHECKS:
                raise ValueError(f"checks: {check} is made of every paper and need not be named")
            lacking = [name for name in _COMPARED[check] if name not in self.fields]
            if lacking or (check == "items_sum_to_total" and self.items is None):
                raise ValueError(f"checks: {check} compares {', '.join(lacking) or 'items'}, which this kind has not")
        return self

    def dates(self) -> tuple[str, ...]:
        """Names of its date fields."""
        return tuple(name for name, rule in self.fields.items() if rule.format == "date")


Catalogue = Mapping[str, PaperKind]


def read_kind(path: Path) -> PaperKind:
    """Read one kind from its file. Raises InvalidPaperKind."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidPaperKind(f"{path}: more than {FILE_BYTES_MAX} bytes")
        content: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPaperKind(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidPaperKind(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise InvalidPaperKind(f"{path}: a kind is a mapping of keys, not {type(content).__name__}")
    try:
        described = PaperKind.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'] if part != '[key]') or 'the file'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise InvalidPaperKind(f"{path}: {wrong}") from error
    if described.kind != path.stem:
        raise InvalidPaperKind(f"{path}: kind: the file describes {described.kind!r}; its name must be the kind's")
    return described


def load_catalogue(further: Path | None = None) -> Catalogue:
    """Return our kinds and those of the folder `further`, by name. Raises InvalidPaperKind for an invalid kind, a
    missing folder, a folder without a kind, or a kind that exists already."""
    if further is not None and not further.is_dir():
        raise InvalidPaperKind(f"{further}: there is no such folder of kinds")
    kinds: dict[str, PaperKind] = {}
    for folder in (OURS, *([further] if further is not None else [])):
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise InvalidPaperKind(f"{folder}: no kind in it (a kind is a file KIND.yaml)")
        for path in files:
            described = read_kind(path)
            if described.kind in kinds:
                raise InvalidPaperKind(f"{path}: kind: {described.kind!r} is there already")
            kinds[described.kind] = described
    if len(kinds) > KINDS_MAX:
        raise InvalidPaperKind(f"{further}: more than {KINDS_MAX} kinds")
    return MappingProxyType(kinds)
