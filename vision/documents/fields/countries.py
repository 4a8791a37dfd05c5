"""Tells a merchant's country from its address, telephone code, tax and company words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# Weights: 3 for what only one country's papers print (tax and company words, a telephone code), 2 for its name and
# those of its cities, 1 for words of streets and taxes that neighbours share. Each pattern counts once.
_CLUES: Final[Mapping[str, tuple[tuple[int, str], ...]]] = {
    "MY": (
        (3, r"\bSDN\b|\bBHD\b|\bSST\b|\bMYR\b|\+60\b|\.com\.my\b|\bLHDN\b"),
        (2, r"MALAYSIA|SELANGOR|KUALA\s?LUMPUR|JOHOR|MELAKA|PENANG|PULAU\s?PINANG|PERAK|KEDAH|PAHANG|SEREMBAN"
            r"|SABAH|SARAWAK"),
        (1, r"\b(?:JALAN|JLN|TAMAN|LORONG|PERSIARAN|BANDAR|KAMPUNG|LEBUH)\b"),
        (1, r"\bGST\s?(?:ID|REG)|\bGST\b|ROUNDING\s?ADJ"),
    ),
    "SG": (
        (3, r"\bPTE\.?\s?LTD|\bUEN\b|\+65\b|\.com\.sg\b|\bPAYNOW\b"),
        (3, r"SINGAPORE\s?\(?\d{6}|\bS\s?\(\d{6}\)"),
        (2, r"SINGAPORE|新加坡"),
        (1, r"\bGST\b"),
    ),
    "US": (
        (3, r"(?-i:\b(?:AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|IA|ID|IL|IN|KS|KY|LA|MA|MD|ME|MI|MN|MO|MS|MT|NC|ND|NE"
            r"|NH|NJ|NM|NV|NY"
            r"|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VA|VT|WA|WI|WV|WY)\.?,?\s+\d{5}(?:-\d{4})?\b)"),
        (2, r"\bUSA\b|\bU\.S\.A\b|UNITED\s?STATES"),
        (2, r"\bSALES\s?TAX\b|\bSTATE\s?TAX\b|\bL\.?L\.?C\b|\bEBT\b"),
        (1, r"\(\d{3}\)\s?\d{3}-\d{4}|\bINC\.?$"),
    ),
    "GB": (
        (3, r"\bVAT\b.{0,12}\bGB\s?\d|\+44\b|\.co\.uk\b|\bGB\s?\d{3}\s?\d{4}\s?\d{2}\b"),
        (2, r"UNITED\s?KINGDOM|\bENGLAND\b|\bSCOTLAND\b|\bWALES\b"),
        (1, r"\bLONDON\b|\bMANCHESTER\b|\bBIRMINGHAM\b"),
        (2, r"(?-i:\b[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}\b)"),
        (1, r"\bVAT\b"),
    ),
    "IE": ((3, r"\bVAT\b.{0,12}\bIE\s?\d|\+353\b"), (2, r"\bIRELAND\b|\bDUBLIN\b")),
    "DE": (
        (3, r"\bMWST\b|\bUST\b|\bSTEUER-?NR|\bGMBH\b|\+49\b"),
        (2, r"\bDEUTSCHLAND\b"),
        (1, r"\bBERLIN\b|\bM[ÜU]NCHEN\b|\bHAMBURG\b"),
        (1, r"\bSUMME\b|\bGESAMT|\bRECHNUNG\b"),
    ),
    "FR": ((3, r"\bTVA\b|\bSIRET\b|\+33\b"), (1, r"\bFRANCE\b"), (1, r"\bPARIS\b|\bTOTAL\s?TTC\b|\bMONTANT\b")),
    "ES": ((3, r"\bN\.?I\.?F\b|\bC\.?I\.?F\b|\+34\b"), (2, r"\bESPAÑA\b|\bSPAIN\b"), (1, r"\bMADRID\b|\bBARCELONA\b"),
           (1, r"\bI\.?V\.?A\b|FACTURA")),
    "IT": ((3, r"\bP\.?\s?IVA\b|PARTITA\s?IVA|SCONTRINO|\+39\b"), (2, r"\bITALIA\b"), (1, r"\bITALY\b|\bROMA\b"
            r"|\bMILANO\b"),
           (1, r"\bTOTALE\b")),
    "NL": ((3, r"\bBTW\b|\bKVK\b|\+31\b"), (2, r"\bNEDERLAND\b"), (1, r"\bAMSTERDAM\b"), (1, r"\bTOTAAL\b")),
    "CH": ((4, r"\bCHE-?\d{3}|\+41\b"), (2, r"\bSCHWEIZ\b|\bSUISSE\b|\bSWITZERLAND\b|\bZ[ÜU]RICH\b|\bGEN[ÈE]VE\b")),
    "JP": ((3, r"消費税|税込|税抜|領収[書証]|\+81\b|\bJCT\b"),
           (2, r"\bJAPAN\b|\bTOKYO\b|\bOSAKA\b|東京都|大阪府|京都府|北海道")),
    "KR": ((3, r"부가세|사업자|합계|\+82\b"), (2, r"\bKOREA\b|\bSEOUL\b|\bBUSAN\b")),
    "TH": ((3, r"\+66\b|ใบเสร็จ|ภาษี"), (2, r"\bTHAILAND\b|\bBANGKOK\b|\bPHUKET\b|\bCHIANG\s?MAI\b|\bPATTAYA\b")),
    "HK": ((3, r"\+852\b|\.com\.hk\b"),
           (2, r"HONG\s?KONG|\bKOWLOON\b|九龍|新界|香港[島岛]|尖沙咀|旺角|銅鑼灣|\bWAN\s?CHAI\b")),
    "MO": ((3, r"\+853\b"), (2, r"\bMACAU\b|\bMACAO\b|澳門")),
    "TW": ((3, r"統一編號|統一發票|\+886\b|載具|\.com\.tw\b"),
           (2, r"\bTAIWAN\b|\bTAIPEI\b|[台臺]北|[台臺]中市|高雄市|[台臺]南市")),
    "IN": ((3, r"\bGSTIN\b|\b[CSI]GST\b|\+91\b|\bFSSAI\b"), (2, r"\bINDIA\b|\bMUMBAI\b|\bNEW\s?DELHI\b"
            r"|\bBANGALORE\b|\bBENGALURU\b|\bCHENNAI\b")),
    "ID": ((3, r"\bNPWP\b|\bPPN\b|\+62\b"), (2, r"\bINDONESIA\b|\bJAKARTA\b|\bSURABAYA\b|\bBANDUNG\b")),
    "VN": ((3, r"\bMST\b|\+84\b|HÓA\s?ĐƠN"), (2, r"VI[EỆ]T\s?NAM|\bHANOI\b|HÀ\s?NỘI|HO\s?CHI\s?MINH|HỒ\s?CHÍ\s?MINH")),
    "PH": ((3, r"\bVAT\s?REG\.?\s?TIN\b|\+63\b"), (2, r"\bPHILIPPINES\b|\bMANILA\b|\bCEBU\b|\bQUEZON\b")),
    "AU": ((3, r"\bA\.?B\.?N\b|\bPTY\.?\s?LTD|\+61\b|\.com\.au\b|\b(?:NSW|VIC|QLD|TAS)\s\d{4}\b"),
           (2, r"\bAUSTRALIA\b|\bSYDNEY\b|\bMELBOURNE\b|\bBRISBANE\b"), (1, r"\bGST\b|TAX\s?INVOICE")),
    "NZ": ((3, r"\+64\b|\.co\.nz\b|\bNZBN\b"), (2, r"NEW\s?ZEALAND|\bAUCKLAND\b|\bWELLINGTON\b"), (1, r"\bGST\b")),
    "CA": ((3, r"\bHST\b|\bPST\b|\bQST\b|\bTPS\b|(?-i:\b[A-Z]\d[A-Z]\s\d[A-Z]\d\b)"),
           (2, r"\bCANADA\b|\bTORONTO\b|\bVANCOUVER\b|\bMONTR[ÉE]AL\b|\bONTARIO\b"), (1, r"\bGST\b")),
    "AE": ((3, r"\bTRN\b|\+971\b"), (2, r"\bDUBAI\b|\bABU\s?DHABI\b|\bU\.?A\.?E\b")),
    "KW": ((3, r"\+965\b"), (2, r"\bKUWAIT\b")),
    "BH": ((3, r"\+973\b"), (2, r"\bBAHRAIN\b|\bMANAMA\b")),
    "OM": ((3, r"\+968\b"), (1, r"\bOMAN\b|\bMUSCAT\b")),
    "TN": ((3, r"\+216\b"), (2, r"\bTUNISIE?\b|\bTUNIS\b")),
    "JO": ((3, r"\+962\b"), (1, r"\bJORDAN\b"), (1, r"\bAMMAN\b")),
}  # fmt: skip
#: Currency of each country that is told.
CURRENCY_OF: Final[Mapping[str, str]] = {
    "MY": "MYR", "SG": "SGD", "US": "USD", "GB": "GBP", "IE": "EUR", "DE": "EUR", "FR": "EUR", "ES": "EUR", "IT": "EUR",
    "NL": "EUR", "CH": "CHF", "JP": "JPY", "KR": "KRW", "TH": "THB", "HK": "HKD", "MO": "MOP", "TW": "TWD", "IN": "INR",
    "ID": "IDR", "VN": "VND", "PH": "PHP", "AU": "AUD", "NZ": "NZD", "CA": "CAD", "AE": "AED", "KW": "KWD", "BH": "BHD",
    "OM": "OMR", "TN": "TND", "JO": "JOD", "CN": "CNY",
}  # fmt: skip
# Prices in these are printed in many countries.
_EVERYWHERE: Final = frozenset({"USD", "EUR"})
_COMPILED: Final = {
    country: tuple((weight, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for weight, pattern in clues)
    for country, clues in _CLUES.items()
}
#: Clues that tell a country on their own; below, one word of a street or a tax may be a neighbour's.
WEIGHT_MIN: Final = 2
_LEAD_RATIO: Final = 2  # over the country with the next most clues


def home_of(currency: str) -> str:
    """Return the country whose papers are in that currency: "EU" for the euro, "" for US dollars and what is not
    known."""
    if currency in _EVERYWHERE:
        return currency[:2] if currency == "EUR" else ""
    return next((country for country, code in CURRENCY_OF.items() if code == currency), "")


@dataclass(frozen=True, slots=True)
class CountryClue:
    """A country, the row (by its index) and the print that tell it most surely, and the weight of all its clues."""

    country: str
    weight: int
    row: int
    start: int
    end: int


def countries(texts: Sequence[str]) -> list[CountryClue]:
    """Return the countries that rows of text point to, the likeliest first."""
    page, clues = "\n".join(texts), []
    for country, patterns in _COMPILED.items():
        hits = [(weight, match) for weight, pattern in patterns if (match := pattern.search(page)) is not None]
        if hits:
            match = max(hits, key=lambda hit: hit[0])[1]
            row, begin = page.count("\n", 0, match.start()), page.rfind("\n", 0, match.start()) + 1
            end = min(match.end(), begin + len(texts[row]))
            clues.append(CountryClue(country, sum(hit[0] for hit in hits), row, match.start() - begin, end - begin))
    return sorted(clues, key=lambda clue: -clue.weight)


def told_country(clues: Sequence[CountryClue]) -> CountryClue | None:
    """Return the country with clearly the most clues, None if there is none; two that share a currency count as one."""
    if not clues or clues[0].weight < WEIGHT_MIN:
        return None
    first = CURRENCY_OF[clues[0].country]
    other = next((clue.weight for clue in clues[1:] if CURRENCY_OF[clue.country] != first), 0)
    return clues[0] if clues[0].weight >= _LEAD_RATIO * other else None
