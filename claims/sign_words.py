"""Words for signs of a photo's origin (docs/provenance.md), in Chinese and English.

A sign's fact says what was seen as phrases: a code each and its values, in no language. A reason keeps the phrases of
its signs as one line of JSON in its detail, and its value names their kinds; here both become words. What was recorded
before there were phrases, or by a version that knows more of them, is shown as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from claims.evidence import ProvenanceSign, SignKind
from claims.product import Language

CODES: Final = frozenset({"photo_sign_noted", "photo_signs_combined", "photo_sign_unmeasured"})

KINDS: Mapping[SignKind, tuple[str, str]] = MappingProxyType(
    {
        SignKind.EXIF_SOFTWARE: ("编辑软件", "editing program"),
        SignKind.EXIF_DATES: ("文件日期", "dates in the file"),
        SignKind.EXIF_THUMBNAIL: ("内嵌缩略图", "embedded thumbnail"),
        SignKind.C2PA: ("内容凭证", "content credentials"),
        SignKind.SCREENSHOT: ("应用截图", "app screen"),
        SignKind.RECAPTURE: ("翻拍屏幕或印刷品", "taken from a screen or print"),
        SignKind.GENERATOR: ("生成式图片", "generated picture"),
        SignKind.DOUBLE_JPEG: ("多次压缩", "compressed repeatedly"),
        SignKind.COPY_MOVE: ("画面重复区域", "repeated part"),
    }
)

PHRASES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # the file
        "not_looked": ("未检查该文件", "the file was not looked at for signs"),
        "metadata_unreadable": ("文件元数据无法读取（{0}）", "the file's metadata cannot be read ({0})"),
        "written_by": ("由 {0} 写入", "written by {0}"),
        "no_software": ("文件未注明软件", "the file names no software"),
        "no_time_taken": ("文件未注明拍摄时间", "the file has no time of taking"),
        "time_taken_no_date": ("文件所注拍摄时间不是有效日期", "the file's time of taking is not a date"),
        "one_date": ("文件只有一个日期", "the file has one date only"),
        "gps_date_apart": ("卫星日期与相机日期相差 {0} 天", "the satellites' date is {0} days from the camera's"),
        "digitized_apart": ("拍摄日期与数字化日期相差 {0} 天", "taken and digitized {0} days apart"),
        "changed_before": ("修改日期早于拍摄 {0} 天", "changed {0} days before it was taken"),
        "changed_after": ("拍摄 {0} 天后修改过", "changed {0} days after it was taken"),
        "dates_agree": ("文件各日期一致", "the file's dates agree"),
        "no_thumbnail": ("文件没有缩略图", "the file has no thumbnail"),
        "thumbnail_flat": ("缩略图为单一颜色，无法比对", "the thumbnail cannot be compared: it is all of one colour"),
        "thumbnail_unreadable": ("缩略图无法读取", "the thumbnail cannot be read"),
        "thumbnail_no_number": ("缩略图比对没有得出数值", "the comparison of the thumbnail gave no number"),
        "thumbnail_other": ("缩略图与画面不同（相似度 {0}）", "the thumbnail shows something else (likeness {0})"),
        "thumbnail_same": ("缩略图与画面一致（相似度 {0}）", "the thumbnail shows this picture (likeness {0})"),
        "prompt_of": ("文件带有 {0} 的提示词", "the file carries a prompt of {0}"),
        "labelled_generated": ("按 GB 45438 标识：系生成内容", "labelled under GB 45438: it is generated"),
        "labelled_maybe": ("按 GB 45438 标识：可能为生成内容", "labelled under GB 45438: it may be generated"),
        "labelled_suspected": (
            "按 GB 45438 标识：疑似生成内容",
            "labelled under GB 45438: it is suspected to be generated",
        ),
        "made_how": ("文件注明制作方式：{0}", "the file says how it was made: {0}"),
        "done_to_it": ("文件注明所做处理：{0}", "the file says what was done to it: {0}"),
        "no_generator": ("没有生成工具的标记", "no mark of a generator"),
        # content credentials
        "credentials_died": ("内容凭证检查中断（{0}）", "the check of the content credentials died ({0})"),
        "credentials_remote": (
            "内容凭证存放在服务器上，不作查询",
            "the content credentials lie on a server, which is not asked",
        ),
        "credentials_missing": (
            "文件声明有内容凭证，但未找到",
            "content credentials are announced, and none can be found",
        ),
        "no_credentials": ("没有内容凭证", "no content credentials"),
        "signed_by_trusted": (
            "由受信任的 {0} 签名，此后未改动",
            "signed by {0}, who is trusted, and unchanged since",
        ),
        "signed_trusted": (
            "由受信任的签名者签名，此后未改动",
            "signed by somebody who is trusted, and unchanged since",
        ),
        "signed_untrusted": (
            "签名后未改动，签名者不在信任名单内",
            "unchanged since it was signed, by nobody on the list",
        ),
        "signed_expired": ("签名证书不在有效期内", "signed with a certificate outside its time"),
        "signed_otherwise": ("内容与签名不符：{0}", "not what was signed: {0}"),
        "credentials_no_rule": ("内容凭证不合规范（{0}）", "the content credentials follow no rule ({0})"),
        # the pixels
        "app_screen": ("应用界面", "an app's screen"),
        "text_lines": ("{0} 行文字，{1}% 的像素行为空白", "{0} lines of text, {1}% of the rows empty"),
        "too_small": ("图片太小，没有可用的频谱", "the picture is too small to have a spectrum"),
        "fine_pattern": (
            "通幅细密纹路，如翻拍屏幕或印刷品（{0}，界限 1）",
            "a fine pattern all over, as of a screen or a print photographed ({0} of 1)",
        ),
        "no_fine_pattern": ("没有通幅细密纹路（{0}，界限 1）", "no fine pattern all over ({0} of 1)"),
        "no_baseline_jpeg": (
            "不是基线 JPEG，或未检查元数据",
            "no baseline JPEG, or its metadata was not looked at",
        ),
        "too_little_detail": (
            "图片上部细节太少，无法统计",
            "too little detail at the top of the picture to count",
        ),
        "compressed_again": (
            "压缩过不止一次，聊天和编辑软件常如此（{0}）",
            "compressed more than once, as messengers and editors do ({0})",
        ),
        "compressed_once": ("没有先前压缩的痕迹（{0}）", "no trace of an earlier compression ({0})"),
        "too_few_points": ("可比对的特征点太少", "too few distinct points to compare"),
        "repeated_part": (
            "画面有一处重复出现：{0} 个点，相距边长的 {1}%",
            "a part appears twice: {0} points, {1}% of the edge apart",
        ),
        "no_repeated_part": ("没有重复出现的部分", "no part appears twice"),
    }
)
_BETWEEN_PHRASES: Final = ("，", ", ")
_BETWEEN_SIGNS: Final = ("；", "; ")
_BETWEEN_KINDS: Final = " + "


def kind_text(kind: str, lang: Language) -> str:
    """What was looked for; the kind itself where there are no words for it."""
    return KINDS[SignKind(kind)][_index(lang)] if kind in list(SignKind) else kind


def kinds_text(value: str, lang: Language) -> str:
    """The kinds that a reason's value names."""
    return _BETWEEN_KINDS.join(kind_text(kind, lang) for kind in value.split(_BETWEEN_KINDS))


def sign_text(sign: ProvenanceSign, lang: Language) -> str:
    """What the sign says."""
    return _phrases_text(sign.said, lang) if sign.said else sign.detail


def kinds_value(signs: Sequence[ProvenanceSign]) -> str:
    """The value of a reason about these signs."""
    return _BETWEEN_KINDS.join(sign.kind for sign in signs)


def detail(signs: Sequence[ProvenanceSign]) -> str:
    """The detail of a reason about these signs; in English where one of them has no phrases."""
    if all(sign.said for sign in signs):
        return json.dumps([sign.said for sign in signs], ensure_ascii=False, separators=(",", ":"))
    return _BETWEEN_SIGNS[1].join(sign.detail for sign in signs)


def detail_text(written: str, lang: Language) -> str:
    """`detail` in words; what `detail` did not write stays as it is."""
    try:
        signs = json.loads(written)
    except ValueError:
        return written
    if not isinstance(signs, list) or not all(_is_phrases(phrases) for phrases in signs):
        return written
    return _BETWEEN_SIGNS[_index(lang)].join(_phrases_text(phrases, lang) for phrases in signs)


def _is_phrases(plain: object) -> bool:
    return isinstance(plain, list) and all(
        isinstance(phrase, list) and phrase and all(isinstance(part, str) for part in phrase) for phrase in plain
    )


def _phrases_text(phrases: Sequence[Sequence[str]], lang: Language) -> str:
    return _BETWEEN_PHRASES[_index(lang)].join(_phrase_text(phrase, lang) for phrase in phrases)


def _phrase_text(phrase: Sequence[str], lang: Language) -> str:
    code, *values = phrase
    try:
        return PHRASES[code][_index(lang)].format(*values)
    except (KeyError, IndexError):  # another version's: its code and values say more than nothing
        return " ".join(phrase)


def _index(lang: Language) -> int:
    return 0 if lang == "zh" else 1
