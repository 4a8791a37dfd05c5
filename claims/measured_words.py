"""Sentences that measuring leaves in facts, read again in both languages: why a photo, a paper or a nose could not be
used, what a check of a paper compared, why nobody vouches for a reading.

`vision` writes them in English, each of one form; a test lets it write them and finds them here. A sentence of
another version is nobody's reading: the reason around it is said without it.
"""

from __future__ import annotations

import re
from typing import Final

from claims.fact_words import CHECKS
from claims.paper_words import FIELDS, KINDS
from claims.readings import (
    Pair,
    Reader,
    Reading,
    counted,
    day,
    first_of,
    listed,
    named,
    number,
    own_name,
    paper_amount,
    paper_minor,
    percent,
    phrase,
    quote,
)

# What an insurer added beside them stands for itself.
FIELD: Final = first_of(named(FIELDS), own_name)
KIND: Final = first_of(named(KINDS), own_name)
CHECK: Final = named(CHECKS)
_DAYS: Final = counted("天", "day", "days")
_SIZE: Final = r"(?P<wide>\d+) x (?P<high>\d+) px"

# By the code of a refused file: what is wrong with it and, behind the bar, what to send instead.
REFUSALS: Final = {
    "empty_file": ("文件为空", "the file is empty"),
    "unknown_format": (
        "文件格式不受支持|请发送 JPEG、PNG 或 WebP 图片，单据也可为 PDF",
        "the file is of a kind that is not taken|send JPEG, PNG or WebP, of papers also PDF",
    ),
    "broken": ("图片已损坏", "the picture is damaged"),
    "truncated": ("图片不完整", "the picture is incomplete"),
    "too_many_pixels": ("图片尺寸过大|请发送较小的图片", "the picture has too many pixels|send a smaller one"),
    "file_too_large": ("文件过大|请发送较小的文件", "the file is too large|send a smaller one"),
    "decode_timeout": ("图片处理超时|请换一张发送", "the picture took too long to open|send another"),
    "decode_memory": ("图片占用内存过大，无法打开", "the picture asks for too much memory to be opened"),
    "decode_crashed": ("图片无法打开", "the picture cannot be opened"),
    "pdf_encrypted": (
        "电子单据带有密码或保护|请解除后发送",
        "the PDF is protected|send it without protection",
    ),
    "pdf_too_many_pages": (
        "电子单据页数过多|请只发送所需的页",
        "the PDF has too many pages|send those that are needed",
    ),
    "pdf_broken": ("电子单据无法读取|也可发送各页照片", "the PDF cannot be read|photos of its pages will do, too"),
}
_LEGIBLE: Final = "(?:no text|\\d+ characters at a mean confidence of [\\d.]+)"
_OF_FILES: Final = phrase(rf"(?P<code>{'|'.join(REFUSALS)})(?:: .*)?", "{code}", "{code}", code=named(REFUSALS))

_OF_PAPERS: Final = (
    phrase(
        rf"too small to read: {_SIZE}; .*",
        "照片太小（{wide}×{high} 像素）|请靠近拍摄整页",
        "it is too small to read ({wide} by {high} pixels)|take the photo closer, with the whole page in it",
    ),
    phrase(
        rf"too blurred to read: edges are \d+ px wide, {_LEGIBLE}; .*",
        "照片模糊|请拿稳并对焦后拍摄",
        "it is too blurred to read|hold still and let the camera focus",
    ),
    phrase(
        rf"too dark to read: the brightest parts are at \d+ of 255, {_LEGIBLE}; .*",
        "照片太暗|请在光线充足处拍摄",
        "it is too dark to read|take the photo in more light",
    ),
    phrase(
        rf"no readable print was found: {_LEGIBLE}; .*",
        "未找到可辨认的文字|请摆正并对焦，拍摄整张单据",
        "no readable print was found|send a photo of the whole paper, upright and in focus",
    ),
    phrase(
        r"there are two papers in the picture \((?P<one>\w+) and (?P<other>\w+)\); photograph one at a time",
        "照片中有两份单据（{one}、{other}）|请分别拍摄",
        "there are two papers in the picture ({one} and {other})|photograph one at a time",
        one=KIND,
        other=KIND,
    ),
    phrase(
        r"the page could not be read to its end: .*",
        "单据未能读完",
        "the page could not be read to its end",
    ),
)
_OF_NOSES: Final = (
    phrase(
        r"nose too small: (?P<wide>\d+) pixels wide, at least (?P<least>\d+) are needed; .*",
        "鼻部太小（宽 {wide} 像素，至少需要 {least} 像素）|请靠近拍摄，使鼻部占画面一半",
        "the nose is too small: {wide} pixels wide, at least {least} are needed|move closer until it fills half of the"
        " picture",
    ),
    phrase(
        r"too dark: .*; turn towards a window or switch on a light",
        "照片太暗|请朝向窗户或开灯拍摄",
        "the photo is too dark|turn towards a window or switch on a light",
    ),
    phrase(
        r"too much glare: (?P<share>\d+)% of the nose is blown out, .*",
        "反光过强（鼻部 {share}% 过曝）|请擦干鼻部，关闭闪光灯，避开直射阳光",
        "there is too much glare ({share}% of the nose is blown out)|dab the nose dry, switch the flash off and step"
        " out of direct sun",
    ),
    phrase(
        r"nose partly covered: .*",
        "鼻部被遮挡|请擦净鼻部，移开手和玩具，从正前方拍摄",
        "the nose is partly covered|wipe it, keep hands and toys away and photograph it from straight ahead",
    ),
    phrase(
        r"nose seen from the side: .*",
        "鼻部不是正面|请从正前方拍摄，两个鼻孔同样清楚",
        "the nose is seen from the side|photograph it from straight ahead, both nostrils equally visible",
    ),
    phrase(
        r"too blurred: sharpness .*",
        "照片模糊|请点按鼻部对焦并拿稳",
        "the photo is too blurred|tap the nose on the screen to focus and hold still",
    ),
    phrase(
        r"no nose found: .*",
        "未找到鼻部|请从正前方拍摄未遮挡的鼻部，占画面一半，两个鼻孔都在画面内",
        "no nose was found|photograph the uncovered nose from straight ahead so that it fills half of the picture and"
        " both nostrils are in it",
    ),
    phrase(
        r"no enrolment: .*",
        "该宠物没有鼻纹档案",
        "this pet's nose was never recorded",
    ),
    phrase(
        r"too little of the nose is visible .*",
        "照片与档案中共同可见的鼻部太少|请从正前方重新拍摄",
        "too little of the nose is visible both in this photo and in the enrolled ones|take a new one from straight"
        " ahead",
    ),
)
_OF_PHOTOS: Final = (
    phrase(
        r"nothing to compare by: .*",
        "画面没有可比对的内容",
        "the picture has nothing to compare by",
    ),
)
_UNUSABLE: Final = first_of(_OF_FILES, *_OF_PAPERS, *_OF_NOSES, *_OF_PHOTOS)


def unusable(text: str, reader: Reader) -> str | None:
    """Why a photo, a paper or a nose could not be used, and what to send instead."""
    said = _UNUSABLE(text, reader)
    return None if said is None else said.replace("|", reader.choose(("，", "; ")))


def defect(text: str, reader: Reader) -> str | None:
    """Why it could not be used, where nothing is asked for."""
    said = _UNUSABLE(text, reader)
    return None if said is None else said.partition("|")[0]


_ITEMS: Final = counted("项", "item", "items")
_SIGNS: Final = named(
    {
        "the paper's noise around it": ("周围纸面的噪点", "the paper's noise around it"),
        "the sharpness of its edges": ("边缘的清晰度", "the sharpness of its edges"),
        "the depth of its ink": ("墨色的深浅", "the depth of its ink"),
        "the colour of its ink": ("墨色的色调", "the colour of its ink"),
        "a step in the paper's brightness around it": (
            "周围纸面亮度的突变",
            "a step in the paper's brightness around it",
        ),
        "a trace of another JPEG compression": ("另一次压缩的痕迹", "a trace of another compression"),
        "a digit elsewhere that is the same to the pixel": (
            "与别处一个数字逐点相同",
            "a digit elsewhere that is the same to the pixel",
        ),
    }
)


def _shown(name: str, value: str, reader: Reader) -> str | None:
    """A field's value as it stands in facts: minor units, an ISO date, or what the paper prints."""
    if name.endswith("_minor"):
        return paper_minor(value, reader)
    return day(value, reader) if name == "date" or name.endswith("_date") else quote(value, reader)


def _two_sides(pattern: str, words: Pair) -> Reading:
    """A field with its value on either side."""
    compiled = re.compile(pattern, re.DOTALL)

    def read(text: str, reader: Reader) -> str | None:
        found = compiled.fullmatch(text)
        if found is None or (field := FIELD(found["field"], reader)) is None:
            return None
        sides = [_shown(found["field"], found[side], reader) or found[side] for side in ("one", "other")]
        return reader.choose(words).format(field=field, one=sides[0], other=sides[1])

    return read


_STATED: Final = _two_sides(
    r"(?P<field>\w+): the (?:bar )?code says (?P<one>.*), the print (?P<other>.*)",
    ("{field}：码内为“{one}”，印刷为“{other}”", "{field}: the code says “{one}”, the print “{other}”"),
)
_LAYERED: Final = _two_sides(
    r"(?P<field>\w+): the text layer says (?P<one>.*), the picture (?P<other>.*)",
    ("{field}：文字为“{one}”，画面为“{other}”", "{field}: the text says “{one}”, the picture “{other}”"),
)
_DATED: Final = phrase(r"dated (?P<day>\S+)", "单据日期 {day}", "dated {day}", day=day)
_DATED_AS: Final = tuple(
    phrase(rf"{name.removesuffix('_date')} (?P<day>\S+)", f"{words[0]} {{day}}", f"{words[1]} {{day}}", day=day)
    for name, words in FIELDS.items()
    if name.endswith("_date")
)
# What a check of a paper compared, both sides.
COMPARED: Final = first_of(
    phrase(
        r"(?P<items>\d+) items sum to (?P<sum>\S+), the total says (?P<total>\S+)",
        "{items}合计 {sum}，单据合计 {total}",
        "{items} with a sum of {sum}, the total says {total}",
        items=_ITEMS,
        sum=paper_amount,
        total=paper_amount,
    ),
    phrase(
        r"(?P<items>\d+) items sum to (?P<sum>\S+), (?P<field>\w+) says (?P<total>\S+)",
        "{items}合计 {sum}，{field} {total}",
        "{items} with a sum of {sum}, {field} says {total}",
        items=_ITEMS,
        sum=paper_amount,
        total=paper_amount,
        field=lambda text, reader: FIELD(f"{text}_minor", reader),
    ),
    phrase(
        r"in capitals (?P<words>\S+), in digits (?P<total>\S+)",
        "大写 {words}，小写 {total}",
        "in words {words}, in digits {total}",
        words=paper_amount,
        total=paper_amount,
    ),
    phrase(
        r"insurance (?P<insurance>\S+) \+ account (?P<account>\S+) \+ cash (?P<cash>\S+),"
        r" the total says (?P<total>\S+)",
        "医保 {insurance}、个人账户 {account}、个人现金 {cash}，合计 {total}",
        "insurance {insurance}, account {account} and cash {cash}, the total says {total}",
        insurance=paper_amount,
        account=paper_amount,
        cash=paper_amount,
        total=paper_amount,
    ),
    phrase(
        r"net (?P<net>\S+) \+ tax (?P<tax>\S+), the total says (?P<total>\S+)",
        "不含税金额 {net}、税额 {tax}，价税合计 {total}",
        "net {net} and tax {tax}, the total says {total}",
        net=paper_amount,
        tax=paper_amount,
        total=paper_amount,
    ),
    phrase(
        r"price (?P<price>\S+) - discount (?P<discount>\S+) \+ freight (?P<freight>\S+), paid (?P<paid>\S+)",
        "价格 {price}、优惠 {discount}、运费 {freight}，实付 {paid}",
        "price {price}, discount {discount} and freight {freight}, paid {paid}",
        price=paper_amount,
        discount=paper_amount,
        freight=paper_amount,
        paid=paper_amount,
    ),
    phrase(
        r"from (?P<first>\S+) to (?P<last>\S+): discharged before admitted",
        "出院日期 {last} 早于入院日期 {first}",
        "discharged on {last}, before the admission on {first}",
        first=day,
        last=day,
    ),
    phrase(
        r"from (?P<first>\S+) to (?P<last>\S+), the paper says (?P<days>\d+) days",
        "{first}至{last}，单据载明 {days}",
        "from {first} to {last}, the paper says {days}",
        first=day,
        last=day,
        days=_DAYS,
    ),
    phrase(
        r"(?P<dates>.+), read on (?P<today>\S+)",
        "{dates}（识别日 {today}）",
        "{dates}, read on {today}",
        dates=listed(first_of(_DATED, *_DATED_AS), ", ", ("、", ", ")),
        today=day,
    ),
    listed(_STATED, "; ", ("；", "; ")),
    listed(_LAYERED, "; ", ("；", "; ")),
    phrase(
        r"the text layer is longer than any paper",
        "电子文字超出任何单据的长度",
        "the stored text is longer than any paper's",
    ),
    phrase(
        r"(?P<field>\w+): the digit at (?P<across>\d+)% from the left, (?P<down>\d+)% from the top differs in"
        r" (?P<sign>.+) \([\d.]+\)",
        "{field}，距左边 {across}%、距顶部 {down}% 处的数字，疑点：{sign}",
        "{field}, the digit at {across}% from the left and {down}% from the top, suspect for {sign}",
        field=FIELD,
        sign=_SIGNS,
    ),
)

# Why a field is doubted, or was printed and not taken as read. What is quoted is the paper's.
_DOUBT: Final = first_of(
    phrase(
        r"(?P<value>.*) is told from its like by its place alone",
        "“{value}”仅凭位置判断",
        "“{value}” is told from its like by its place alone",
    ),
    phrase(
        r"(?P<value>.*) is read as (?P<field>\w+), too",
        "“{value}”同时被读作{field}",
        "“{value}” is read as {field}, too",
        field=FIELD,
    ),
    phrase(
        r"(?P<count>\d+) dates stand on the paper and none beside its label",
        "单据上有 {count} 个日期，均无标注",
        "{count} dates stand on the paper and none beside its label",
        count=number,
    ),
    phrase(
        r"(?P<count>\d+) long numbers stand on the paper and none beside a label of it",
        "单据上有 {count} 个长号码，均无标注",
        "{count} long numbers stand on the paper and none beside a label",
        count=number,
    ),
    phrase(
        r"the receipt states it nowhere else",
        "小票上没有其他地方可以印证",
        "the receipt states it nowhere else",
    ),
    phrase(
        r"not the last sum of the receipt: (?P<value>.*)",
        "不是小票上的最后一笔金额（“{value}”）",
        "it is not the last sum of the receipt (“{value}”)",
    ),
    phrase(
        r"(?P<value>.*) is one word in Latin letters, as labels are",
        "“{value}”像标签而非姓名",
        "“{value}” is one word in Latin letters, as labels are",
    ),
    phrase(
        r"(?P<value>.*) does not begin with a usual surname",
        "“{value}”不以常见姓氏开头",
        "“{value}” does not begin with a usual surname",
    ),
    phrase(r"(?P<value>.*) is no usual name", "“{value}”不像姓名", "“{value}” is no usual name"),
    phrase(
        r"two of them on one paper: (?P<one>.*) and (?P<other>.*)",
        "一份单据上有两个：“{one}”和“{other}”",
        "two of them stand on one paper: “{one}” and “{other}”",
    ),
    phrase(
        r"(?P<value>.*) is more than any paper here is for(?: \(under [\d,]+\))?",
        "“{value}”超出此类单据的金额范围",
        "“{value}” is more than any paper here is for",
    ),
    phrase(
        r"(?P<value>.*) is no day of the calendar",
        "“{value}”不是日历上的日期",
        "“{value}” is no day of the calendar",
    ),
    phrase(r"no amount at the start of '?(?P<value>.*?)'?", "“{value}”不是金额", "“{value}” is no amount"),
    phrase(r"no weight with a unit in '?(?P<value>.*?)'?", "“{value}”不是重量", "“{value}” is no weight"),
    phrase(
        r"the paper says (?P<value>.*) and (?P<other>.*)",
        "单据上既有“{value}”又有“{other}”",
        "the paper says “{value}” and “{other}”",
    ),
)
# Why the reader does not vouch for a paper.
NOT_VOUCHED: Final = first_of(
    phrase(r"the kind of paper is not known", "单据类型未能识别", "the kind of paper is not known"),
    phrase(
        r"the words point to (?P<other>\w+) besides (?P<kind>\w+)",
        "既像{kind}，又像{other}",
        "the words point to another kind, {other}, besides {kind}",
        other=KIND,
        kind=KIND,
    ),
    phrase(
        r"not found: (?P<fields>.+)",
        "未找到：{fields}",
        "not found: {fields}",
        fields=listed(FIELD, ", "),
    ),
    phrase(
        r"read in one way only: (?P<fields>.+)",
        "仅有一种读法印证：{fields}",
        "read in one way only: {fields}",
        fields=listed(FIELD, ", "),
    ),
    phrase(
        r"(?P<field>\w+) was read at a confidence of (?P<read>[\d.]+), below (?P<least>[\d.]+)",
        "{field}的识别可信度为 {read}，低于 {least}",
        "{field} was read with {read} confidence, below {least}",
        field=FIELD,
        read=percent,
        least=percent,
    ),
    phrase(
        rf"(?P<check>{'|'.join(CHECKS)}): (?P<sides>.+)",
        "核对“{check}”未通过：{sides}",
        "the check “{check}” failed: {sides}",
        check=CHECK,
        sides=COMPARED,
    ),
    phrase(r"(?P<field>\w+): (?P<doubt>.+)", "{field}：{doubt}", "{field}: {doubt}", field=FIELD, doubt=_DOUBT),
)
DOUBT: Final = _DOUBT

# Why no amount due could be worked out.
NO_BENEFIT: Final = first_of(
    phrase(r"no paper shows the amount", "没有单据载明金额", "no paper shows the amount"),
    phrase(
        r"(?P<paper>.*): the dates of the stay were not read",
        "“{paper}”的入院、出院日期未能读到",
        "the dates of the stay were not read on “{paper}”",
    ),
    phrase(
        r"(?P<paper>.*): a stay from (?P<first>\S+) to (?P<last>\S+)",
        "“{paper}”载明的住院期间不合理（{first}至{last}）",
        "the stay on “{paper}” is not plausible ({first} to {last})",
        first=day,
        last=day,
    ),
    phrase(
        r"(?P<paper>.*): (?P<field>\w+) reads .*",
        "“{paper}”上的{field}未能读作金额",
        "{field} on “{paper}” could not be read as an amount",
        field=FIELD,
    ),
)
UNSCORED: Final = first_of(
    phrase(
        r"the platform supplied no credit attributes",
        "平台未提供信用信息",
        "the platform supplied no credit attributes",
    ),
    phrase(
        r"credit attribute (?P<name>\w+) is .*",
        "平台提供的信用信息不完整或有误",
        "the platform's credit attributes are incomplete or wrong",
    ),
)
