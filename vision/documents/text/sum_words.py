"""Words that stand beside the sums of a bill: total, subtotal, cash, change, tax, in the languages of papers that
travellers bring. One table for all that look for sums: receipts, two papers in one picture, the notation of amounts.

Only what a recogniser can read is listed: the characters of PP-OCRv6 hold Chinese (tiny: hardly any kana and only some
traditional characters), Latin with its accents, and in the small model kana; Hangul, Thai and Cyrillic are in neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

#: due: what must be paid, after everything else. total: a sum of all. sub: a sum before tax or rounding. tendered:
#: what was handed over, and how it was paid.
Sense = Literal["due", "total", "sub", "tendered", "change", "tax"]

_WORDS: Final[Mapping[Sense, Mapping[str, str]]] = {
    "due": {
        "en": r"(?:AMOUNT|BALANCE)\s(?:DUE|PAYABLE)|TOTAL\s(?:DUE|PAYABLE)|GRAND\sTOTAL",
        "zh": r"价税合计|應付|应付",
        "ms": r"JUMLAH\s(?:PERLU\sDIBAYAR|BESAR|BAYARAN|KESELURUHAN)",
        "de": r"ZU\sZAHLEN|(?:END|GESAMT|RECHNUNGS)(?:BETRAG|SUMME)|ZAHLBETRAG",
        "fr": r"NET\s[AÀ]\sPAYER|TOTAL\sT\.?T\.?C\b\.?|MONTANT\s(?:TOTAL|D[UÛ])|TOTAL\sG[EÉ]N[EÉ]RAL",
        "es": r"TOTAL\sA\sPAGAR|IMPORTE\sTOTAL|TOTAL\sFACTURA",
        "it": r"TOTALE\s(?:COMPLESSIVO|EURO|DOCUMENTO)|IMPORTO\s(?:TOTALE|PAGATO|DOVUTO)",
        "ja": r"[御ご]?請求額|[御お]?会計|お?買上[げ]?[合]?計|税込合計",
    },
    "total": {
        "en": r"TOTAL",
        "zh": r"合\s{0,3}[计計]|[总總共]\s{0,3}[计計额額]|总金额|總金額",
        "ms": r"JUMLAH",
        "de": r"SUMME|GESAMT",
        "fr": r"MONTANT",
        "es": r"IMPORTE",
        "it": r"TOTALE|IMPORTO",
        "ja": r"合\s{0,3}計|総\s?[計額]",
    },
    "sub": {
        "en": r"SUB\s?-?\s?TOTAL",
        "zh": r"小\s?[计計]",
        "ms": r"JUMLAH\sKECIL",
        "de": r"ZWISCHENSUMME|NETTO(?:BETRAG|SUMME)?|(?:SUMME|GESAMT)\sNETTO",
        "fr": r"SOUS[\s-]TOTAL|(?:TOTAL|MONTANT)\sH\.?T\b\.?",
        "es": r"SUBTOTAL|BASE\sIMPONIBLE",
        "it": r"SUBTOTALE|(?:TOTALE\s)?IMPONIBILE",
        "ja": r"小\s?計|税抜(?:合計)?",
    },
    "tendered": {
        "en": r"CASH|TENDERED|PAID",
        "zh": r"现金|現金|实[付收]|實[付收]",
        "ms": r"TUNAI|DIBAYAR",
        "de": r"(?<![A-ZÀ-Ý]\s)BAR(?=\s*(?:EUR|€|-?\d|$))|GEGEBEN|BARGELD|EC-?KARTE|GIROCARD|KARTENZAHLUNG",
        "fr": r"ESP[EÈ]CES|RE[CÇ]U|CARTE\sBANCAIRE",
        "es": r"EFECTIVO|ENTREGADO|TARJETA",
        "it": r"CONTANT[EI]|CARTA|BANCOMAT|PAGAMENTO",
        "ja": r"[御お]?預り?|クレジット",
    },
    "change": {
        "en": r"CHANGE",
        "zh": r"找[零回赎]|找續",
        "ms": r"BAKI",
        "de": r"R[UÜ]CKGELD|ZUR[UÜ]CK|WECHSELGELD",
        "fr": r"RENDU|[AÀ]\sRENDRE",
        "es": r"CAMBIO",
        "it": r"RESTO",
        "ja": r"[御お]?釣り?銭?",
    },
    "tax": {
        "en": r"TAX|GST|VAT",
        "zh": r"[税稅]额?",
        "ms": r"CUKAI|SST",
        "de": r"MWST|UST|MEHRWERTSTEUER",
        "fr": r"T\.?V\.?A\b\.?",
        "es": r"I\.?V\.?A\b\.?",
        "it": r"I\.?V\.?A\b\.?",
        "ja": r"(?:内|外|消費)税",
    },
}  # fmt: skip
LANGUAGES: Final = tuple(_WORDS["total"])
#: All but English and Chinese, whose receipts have finer rules (`vision.documents.fields.receipt`).
FURTHER: Final = tuple(language for language in LANGUAGES if language not in ("en", "zh"))


def words(*senses: Sense, languages: tuple[str, ...] = LANGUAGES) -> str:
    """Return the alternatives of a regular expression, in capitals, for words of these senses: Latin ones stand alone,
    not within longer words."""
    of_letters: list[str] = []
    of_characters: list[str] = []
    for sense in senses:
        for language in languages:
            group = of_characters if language in ("zh", "ja") else of_letters
            group.append(_WORDS[sense][language])
    latin = rf"(?<![A-ZÀ-Ý])(?:{'|'.join(of_letters)})(?![A-ZÀ-Ý])" if of_letters else ""
    return "|".join(part for part in (latin, *of_characters) if part)
