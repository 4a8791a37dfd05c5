"""Words for kinds and fields of papers, each in Chinese and English; a kind's title stands in its own file
(`claims.paper_kind`)."""

from __future__ import annotations

from collections.abc import Mapping

from claims.evidence import UNKNOWN_KIND
from claims.paper_kind import PaperKinds, load_paper_kinds

UNPLACED = ("无法识别的单据", "unknown paper")


def titles(kinds: PaperKinds) -> Mapping[str, tuple[str, str]]:
    """The title of each kind, and of what is of none."""
    return {**{name: terms.title for name, terms in kinds.items()}, UNKNOWN_KIND: UNPLACED}


KINDS: Mapping[str, tuple[str, str]] = titles(load_paper_kinds())

FIELDS: Mapping[str, tuple[str, str]] = {
    "account_paid_minor": ("个人账户支付", "paid from the own account"),
    "address": ("地址", "address"),
    "admitted_date": ("入院日期", "date of admission"),
    "birth_date": ("出生日期", "date of birth"),
    "breed": ("品种", "breed"),
    "buyer": ("购买方", "buyer"),
    "capital_total_minor": ("大写合计", "total in words"),
    "carrier": ("快递公司", "carrier"),
    "cash_paid_minor": ("个人现金支付", "paid in cash"),
    "chip_number": ("芯片号", "chip number"),
    "code": ("发票代码", "code of the invoice"),
    "company": ("商家", "company"),
    "date": ("日期", "date"),
    "declared_value_minor": ("声明价值", "declared value"),
    "department": ("科室", "department"),
    "device": ("设备", "device"),
    "diagnosis": ("诊断", "diagnosis"),
    "discharged_date": ("出院日期", "date of discharge"),
    "discount_minor": ("优惠", "discount"),
    "doctor": ("医师", "doctor"),
    "freight_minor": ("运费", "freight"),
    "goods": ("商品", "goods"),
    "hospital": ("医院", "hospital"),
    "insurance_paid_minor": ("医保支付", "paid by the state insurance"),
    "merchant": ("店铺", "merchant"),
    "net_minor": ("不含税金额", "net amount"),
    "number": ("号码", "number"),
    "occurred_at": ("申报的事故日", "day of the event as stated"),
    "order_number": ("订单号", "order number"),
    "owner": ("宠主", "owner"),
    "patient": ("就诊人", "patient"),
    "payee": ("收款账户", "account"),
    "pet_name": ("宠物名", "pet's name"),
    "price_minor": ("商品价格", "price"),
    "recipient": ("收件人", "recipient"),
    "seller": ("销售方", "seller"),
    "sender": ("寄件人", "sender"),
    "species": ("种类", "species"),
    "stay_days": ("住院天数", "days of the stay"),
    "tax_minor": ("税额", "tax"),
    "total_minor": ("合计", "total"),
    "tracking_number": ("运单号", "tracking number"),
    "vaccinated_date": ("免疫日期", "date of vaccination"),
    "vaccine": ("疫苗", "vaccine"),
    "weight_g": ("重量", "weight"),
}
