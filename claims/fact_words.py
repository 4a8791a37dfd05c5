"""Names of what facts speak of, in Chinese and English: what a photo may show, how much of a copy one is, what claims
share, attributes of credit, checks of papers, stages of checking, programs apart."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from claims.evidence import PhotoVerdict
from claims.subject import Subject

SUBJECTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        Subject.FOOD: ("食品", "food"),
        Subject.SEAFOOD: ("水产", "seafood"),
        Subject.TABLEWARE: ("餐具", "tableware"),
        Subject.PARCEL: ("包装", "packing"),
        Subject.HOUSEHOLD: ("家居杂物", "household things"),
        Subject.COSMETICS: ("化妆品", "cosmetics"),
        Subject.CLOTHING: ("衣物", "clothing"),
        Subject.DOG: ("狗", "a dog"),
        Subject.CAT: ("猫", "a cat"),
        Subject.ANIMAL: ("动物", "an animal"),
        Subject.PLANT: ("植物", "plants"),
        Subject.SCREEN: ("屏幕", "a screen"),
        Subject.PAPER: ("印刷品", "a printed paper"),
        Subject.DEVICE: ("电器", "a device"),
        Subject.CLOCK: ("钟表", "a clock"),
        Subject.TOOL: ("工具", "tools"),
        Subject.FURNITURE: ("家具", "furniture"),
        Subject.INSTRUMENT: ("乐器", "a musical instrument"),
        Subject.SPORT: ("体育用品", "sports gear"),
        Subject.WEAPON: ("武器", "a weapon"),
        Subject.VEHICLE: ("交通工具", "a vehicle"),
        Subject.PLACE: ("场所", "a place"),
    }
)
LOOKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        PhotoVerdict.SAME_BYTES: ("同一文件", "the same file"),
        PhotoVerdict.SAME_PICTURE: ("同一画面", "the same picture"),
        PhotoVerdict.EDITED_COPY: ("编辑过的复制件", "edited copy"),
        PhotoVerdict.SIMILAR: ("相似", "looks alike"),
        PhotoVerdict.UNSEEN: ("未曾出现", "not seen before"),
    }
)
SHARED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "device": ("设备", "device"),
        "payee": ("收款账户", "account"),
        "address": ("地址", "address"),
        "merchant": ("商家", "shop"),
        "claimant": ("申请人", "claimant"),
    }
)
# Classes of medical items, as the state insurance's lists and the bills name them.
ITEM_CLASSES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "甲": ("甲类", "class A (甲)"),
        "乙": ("乙类", "class B (乙)"),
        "丙": ("丙类", "class C (丙)"),
        "own": ("自费", "own cost"),
        "-": ("未分类", "unclassed"),
    }
)
STAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "load": ("读取案件", "loading the claim"),
        "lease": ("读取案件", "loading the claim"),
        "cover": ("核对保障", "the cover"),
        "photos": ("照片查验", "the photos"),
        "papers": ("单据识别", "the papers"),
        "nose": ("鼻纹比对", "the nose"),
        "noses": ("鼻纹比对", "the nose"),
        "credit": ("信用评估", "the credit score"),
        "fraud": ("风险统计", "the counts against fraud"),
        "repeats": ("重复申请核对", "other claims for the same"),
        "decide": ("作出决定", "deciding"),
    }
)
CHECKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "items_sum_to_total": ("明细之和等于合计", "items sum to the total"),
        "capital_amount_equals_total": ("大写等于小写", "amount in words equals the total"),
        "insurance_and_cash_equal_total": ("医保与现金之和等于合计", "insurance and cash sum to the total"),
        "date_is_plausible": ("日期合理", "date is plausible"),
        "net_and_tax_equal_total": ("不含税金额与税额之和等于合计", "net amount and tax sum to the total"),
        "price_less_discount_equals_total": ("价格减优惠等于实付", "price less discount is what was paid"),
        "stay_days_match_dates": ("住院天数与日期相符", "days of the stay match its dates"),
        "code_matches_text": ("二维码或条码与印刷相符", "the code says what is printed"),
        "text_layer_matches_picture": ("电子文字与画面相符", "the document's text is what it shows"),
        "digits_look_untouched": ("金额数字未见改动", "the digits look untouched"),
    }
)
CREDIT: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "months_late_now": ("当前逾期月数", "months late now"),
        "months_late_worst_6m": ("半年内最长逾期", "worst delay in 6 months"),
        "months_late_count_6m": ("半年内逾期次数", "late months in 6"),
        "months_late_sum_6m": ("半年内逾期合计", "sum of delays in 6 months"),
        "credit_line_minor": ("授信额度", "credit line"),
        "utilisation_mean_6m_ratio": ("平均额度使用率", "mean use of the line"),
        "repaid_last_month_minor": ("上月还款", "repaid last month"),
        "repaid_mean_6m_minor": ("半年月均还款", "repaid a month, mean of 6"),
        "repaid_least_6m_minor": ("半年最低月还款", "repaid, least month of 6"),
    }
)
