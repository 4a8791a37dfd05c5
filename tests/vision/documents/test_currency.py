"""The currency of a paper: from signs, codes, words, the merchant's country and the script; unknown where they leave it
open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from vision.documents.fields.currency import read_currency
from vision.documents.text.layout import rows_of
from vision.documents.text.page import CurrencyReading, PageText

MakePage = Callable[..., PageText]
US = ["GREEN DINER", "12 MAIN STREET", "AUSTIN, TX 78701"]
MY = ["KEDAI ABC SDN BHD", "NO 18, JALAN MELATI", "43000 KAJANG, SELANGOR"]
SG = ["TOAST HOUSE PTE LTD", "1 ORCHARD ROAD", "SINGAPORE 238823"]


def _of(page_of: MakePage, lines: Sequence[str]) -> CurrencyReading:
    return read_currency(rows_of(page_of([[line] for line in lines])))


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        ("US$12.00", "USD"), ("USD$ 29.01", "USD"), ("USD 12.00", "USD"), ("12.00 USD", "USD"), ("Total (USD)", "USD"),
        ("€12.00", "EUR"), ("12,50 €", "EUR"), ("EUR 12.50", "EUR"), ("£4.20", "GBP"), ("￡4.20", "GBP"),
        ("HK$88.00", "HKD"), ("HKD 88.00", "HKD"), ("S$4.50", "SGD"), ("SGD 4.50", "SGD"), ("A$4.50", "AUD"),
        ("RM12.50", "MYR"), ("RM 12.50", "MYR"), ("Total (RM)", "MYR"), ("MYR 12.50", "MYR"),
        ("฿120.00", "THB"), ("THB 120.00", "THB"), ("120 baht", "THB"), ("₩12,000", "KRW"), ("KRW 12,000", "KRW"),
        ("￦12,000", "KRW"), ("Rp 12.000", "IDR"), ("Rp12.000", "IDR"), ("₹1,20,034.56", "INR"), ("₱120.00", "PHP"),
        ("JPY 1,000", "JPY"), ("1,000円", "JPY"), ("JP¥1,000", "JPY"), ("NT$120", "TWD"), ("KWD 1.234", "KWD"),
        ("CHF 1'234.50", "CHF"),
        ("BHD 1.234", "BHD"), ("Total SEK 120,50", "SEK"), ("120.50 CAD", "CAD"),
        ("Amount (CAD)", "CAD"), ("CN¥12.00", "CNY"), ("RMB 12.00", "CNY"), ("Currency: AED", "AED"),
        ("RINGGIT MALAYSIA TWELVE ONLY", "MYR"), ("12.00 US dollars", "USD"), ("12.50 euros", "EUR"),
    ],
)  # fmt: skip
def test_a_sign_code_or_word_beside_an_amount_is_the_currency(page_of: MakePage, printed: str, code: str) -> None:
    read = _of(page_of, ["SHOP", printed])
    assert read.code == code
    assert read.read_from in ("sign", "code", "word")
    assert read.text
    assert read.box.right > read.box.left


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([*US, "TOTAL  $12.00"], "USD"),
        ([*SG, "TOTAL  $12.00"], "SGD"),
        (["SHOP PTY LTD", "SYDNEY NSW 2000", "ABN 12 345", "TOTAL $12.00"], "AUD"),
        (["餐廳", "九龍尖沙咀", "合計 $88.00", "多謝惠顧"], "HKD"),
        (["商店", "統一編號 12345678", "總計 $120", "謝謝"], "TWD"),
        (["レストラン さくら", "合計 ¥1,000", "ありがとうございました"], "JPY"),
        (["东京料理店", "合计 ¥88.00", "谢谢惠顾"], "CNY"),
        (["SHOP", "TOTAL $12.00"], ""),
        (["SHOP", "TOTAL ¥1,000"], ""),
        (["SHOP", "COFFEE ¥32.50", "TOTAL ¥64.80", "CASH ¥100.00"], "CNY"),
        (["SHOP", "COFFEE 32.50", "TOTAL ¥64.80"], "CNY"),
        (["SHOP", "COFFEE ¥32.00", "TOTAL ¥64.00"], ""),
        (["SHOP", "COFFEE ¥3250", "TOTAL ¥64.80"], ""),
        (["SHOP", "TOTAL ¥64.80"], ""),
        (["SHOP", "TOKYO 150-0041, JAPAN", "TEL +81 3-1234-5678", "COFFEE ¥32.50", "TOTAL ¥64.80"], ""),
        (["レストラン さくら", "コーヒー ¥32.50", "合計 ¥64.80", "ありがとうございました"], ""),
        ([*MY, "TOTAL $12.00"], "MYR"),
        (["商店", "合计 $12.00", "谢谢惠顾请保留小票"], ""),
        (["SHOP", "TOTAL USD 12.00", "PAID RM 52.00"], ""),
    ],
)
def test_a_sign_of_several_currencies_counts_only_with_other_evidence(
    page_of: MakePage, lines: list[str], code: str
) -> None:
    assert _of(page_of, lines).code == code


@pytest.mark.parametrize(
    ("lines", "code", "source"),
    [
        ([*MY, "GST ID 0012", "TOTAL 12.00"], "MYR", "country"),
        ([*SG, "TOTAL 12.00"], "SGD", "country"),
        ([*US, "TOTAL 12.00"], "USD", "country"),
        (["CAFE", "LONDON W1D 4PZ", "VAT NO GB 123 4567 89", "TOTAL 4.20"], "GBP", "country"),
        (["Bäckerei GmbH", "MwSt 7%", "SUMME 12,50"], "EUR", "country"),
        (["市第一医院门诊收费票据", "合计 464.07", "收费员"], "CNY", "script"),
        (["网店订单详情", "日本进口植物の恋面膜", "实付 120.00"], "CNY", "script"),
        (["香港风味茶餐厅", "合计 58.00", "谢谢惠顾"], "CNY", "script"),
        (["附加元素检测", "生日元宵", "合计 58.00 现金支付"], "CNY", "script"),
        (["醫院收費單", "總計 120.00", "謝謝"], "", ""),
        (["SHOP", "TOTAL 12.00", "CASH 20.00"], "", ""),
        (["一家小店 KEDAI ABC SDN BHD", "JALAN MELATI, SELANGOR", "合计 12.00 谢谢"], "MYR", "country"),
    ],
)
def test_a_paper_without_a_sign_is_in_the_currency_of_its_country_or_script(
    page_of: MakePage, lines: list[str], code: str, source: str
) -> None:
    read = _of(page_of, lines)
    assert (read.code, read.read_from) == (code, source)


@pytest.mark.parametrize(
    "line",
    [
        "EURO CAR PARTS",
        "MISS WON YUAN DONG",
        "ALL 3 ITEMS",
        "TRY 2 FOR 1",
        "Y 2018",
        "USB 3.00",
        "TOP 10.00",
        "GREENFIELD GROCERS SDN BHD (123456-X)",
        "SEK 7, JALAN PLUMBUM",
        "LAK 3",
        "Rp. 1 AMOXICILLIN",
        "KOD MAD 12",
    ],
)
def test_words_that_only_look_like_a_currency_are_none(page_of: MakePage, line: str) -> None:
    assert _of(page_of, [*MY, line, "TOTAL 12.00"]).code == "MYR"
