"""Recognises a person's name on a Chinese paper, to tell it from a word that happens to stand in its place.

Surnames after the Hundred Family Surnames (Song dynasty) with today's common ones; a rare surname is a reason for a
person to look, never to refuse a paper.
"""

from __future__ import annotations

import re
from typing import Final

SURNAMES: Final = frozenset(
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方俞任"
    "袁柳酆鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴"
    "谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯昝管卢莫经房裘缪干解"
    "应宗丁宣贲邓郁单杭洪包诸左石崔吉钮龚程嵇邢滑裴陆荣翁荀羊於惠甄曲家封芮羿储靳汲邴糜松井段富巫乌焦巴弓牧隗山谷车侯宓蓬"
    "全郗班仰秋仲伊宫宁仇栾暴甘钭厉戎祖武符刘景詹束龙叶幸司韶郜黎蓟薄印宿白怀蒲邰从鄂索咸籍赖卓蔺屠蒙池乔阴胥能苍双闻莘党"
    "翟谭贡劳逄姬申扶堵冉宰郦雍却璩桑桂濮牛寿通边扈燕冀郏浦尚农温别庄晏柴瞿阎充慕连茹习宦艾鱼容向古易慎戈廖庾终暨居衡步都"
    "耿满弘匡国文寇广禄阙东欧殳沃利蔚越夔隆师巩厍聂晁勾敖融冷訾辛阚那简饶空曾毋沙乜养鞠须丰巢关蒯相查后荆红游竺权逯盖益桓"
    "公肖邸岳仝代苟覃付闫佟初冼佘揭麦粟褟卿占海修涂仉佴原战楚鹿闭敬植青"
)
_TWO_CHARACTERS: Final = frozenset(
    re.findall(
        "..",
        "欧阳上官司马诸葛东方皇甫尉迟公孙慕容令狐司徒司空夏侯轩辕长孙宇文南宫端木独孤西门百里呼延东郭拓跋闻人澹台淳于单于太史申屠"
        "仲孙钟离鲜于闾丘赫连公羊万俟濮阳宗政",
    )
)
# Words that begin with a surname and stand where a name does: the place of a delivery, the rest of a heading.
_NO_NAMES: Final = frozenset(
    re.findall(
        "..",
        "成都武汉温州安徽江苏江西云南宁夏宁波金华常州常熟盐城东莞广东广州广西杭州海南海口山东山西安庆安阳吉林吉安桂林贺州柳州梅州惠州"
        "江门黄山黄石荆州洪山宁德龙岩温岭富阳宣城白银关东华东华南华北东北方式明细时间计费单号平台关系包裹利息全部余额家长主任通知温馨"
        "宣传强制安全成功和解",
    )
)
# Endings of what a bill charges for and of its headings (挂号费, 中成药, 合计): nobody is called so, whatever the
# surname.
_THING: Final = re.compile(
    r"(?:[费款额]|[合小总共]计|数量|单价|票据|发票|收据|药|药品|检查|治疗|化验|检验|材料|床位|护理|手术|麻醉|挂号|诊查"
    r"|输液|注射|处置)$"
)
_HONORIFIC: Final = re.compile(r"(?<=[\u3400-\u9fff*]{2})(?:先生|女士|小姐|太太|同学|同志)$")
_CHINESE: Final = re.compile(r"[\u3400-\u9fff·*]+")
_LATIN_WORD: Final = re.compile(r"[A-Za-z.'-]+")


def person(text: str) -> str:
    """Return the name without the form of address behind it; 李先生 alone is left as it is."""
    return _HONORIFIC.sub("", text.strip())


def of_a_thing(text: str) -> bool:
    """True if a text is a fee's or a heading's name, never a person's."""
    return len(text) > 1 and _THING.search(text) is not None


def unlike_a_name(name: str) -> str:
    """Return why a text beside a person's label may not be a name, "" if it looks like one. Names in other scripts are
    not judged."""
    if _LATIN_WORD.fullmatch(name):
        return f"{name} is one word in Latin letters, as labels are"
    if not _CHINESE.fullmatch(name) or "*" in name or "·" in name:
        return ""
    known = name[0] in SURNAMES or name[:2] in _TWO_CHARACTERS
    if known and 2 <= len(name) <= 4 and name not in _NO_NAMES:
        return ""
    return f"{name} does not begin with a usual surname" if not known else f"{name} is no usual name"
