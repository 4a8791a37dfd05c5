"""Sentences that measuring leaves in facts, read again in the reader's language: why a photo, a paper or a nose could
not be used, what a check of a paper compared, why nobody vouches for a reading.

`vision` writes them in English, each in one form; a test lets it write them and reads them here. A sentence of another
version has no reading: the reason around it is given without it.
"""

from __future__ import annotations

import re
from typing import Final

from claims.readings.papers import kind_title
from claims.readings.strings import (
    Reading,
    TextReader,
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
    within,
)

# A kind that an insurer added and the texts do not know is shown by its own name.
FIELD: Final = first_of(named("paper_fields"), own_name)
KIND: Final = first_of(kind_title, own_name)
CHECK: Final = named("checks")
_DAYS: Final = counted("days")
_SIZE: Final = r"(?P<wide>\d+) x (?P<high>\d+) px"

# A catalogue's text says what is wrong and, behind the bar, what to send instead.
_ADVICE: Final = "|"
_LEGIBLE: Final = "(?:no text|\\d+ characters at a mean confidence of [\\d.]+)"
_OF_FILES: Final = within(r"(?P<code>\w+)(?:: .*)?", named("refusals"))
_OF_PAPERS: Final = (
    phrase("unusable_papers.too_small", rf"too small to read: {_SIZE}; .*"),
    phrase("unusable_papers.too_blurred", rf"too blurred to read: edges are \d+ px wide, {_LEGIBLE}; .*"),
    phrase("unusable_papers.too_dark", rf"too dark to read: the brightest parts are at \d+ of 255, {_LEGIBLE}; .*"),
    phrase("unusable_papers.no_print", rf"no readable print was found: {_LEGIBLE}; .*"),
    phrase(
        "unusable_papers.two_papers",
        r"there are two papers in the picture \((?P<one>\w+) and (?P<other>\w+)\); photograph one at a time",
        one=KIND,
        other=KIND,
    ),
    phrase("unusable_papers.not_finished", r"the page could not be read to its end: .*"),
)
_OF_NOSES: Final = (
    phrase(
        "unusable_noses.too_small", r"nose too small: (?P<wide>\d+) pixels wide, at least (?P<least>\d+) are needed; .*"
    ),
    phrase("unusable_noses.too_dark", r"too dark: .*; turn towards a window or switch on a light"),
    phrase("unusable_noses.glare", r"too much glare: (?P<share>\d+)% of the nose is blown out, .*"),
    phrase("unusable_noses.covered", r"nose partly covered: .*"),
    phrase("unusable_noses.from_the_side", r"nose seen from the side: .*"),
    phrase("unusable_noses.too_blurred", r"too blurred: sharpness .*"),
    phrase("unusable_noses.no_nose", r"no nose found: .*"),
    phrase("unusable_noses.other_animal", r"not a dog's or a cat's nose: .*"),
    phrase(
        "unusable_noses.without_detail",
        r"nose without detail: .* has the detail of (?P<wide>\d+) pixels, at least (?P<least>\d+) are needed; .*",
    ),
    phrase("unusable_noses.not_enrolled", r"no enrolment: .*"),
    phrase("unusable_noses.too_little_shared", r"too little of the nose is visible .*"),
)
_OF_PHOTOS: Final = (phrase("unusable_photos.nothing_to_compare", r"nothing to compare by: .*"),)
_UNUSABLE: Final = first_of(_OF_FILES, *_OF_PAPERS, *_OF_NOSES, *_OF_PHOTOS)


def unusable(text: str, reader: TextReader) -> str | None:
    """Read why a photo, a paper or a nose could not be used, and what to send instead."""
    words = _UNUSABLE(text, reader)
    return None if words is None else words.replace(_ADVICE, reader.texts["lists.advice"])


def defect(text: str, reader: TextReader) -> str | None:
    """Read why it could not be used, where nothing is asked for."""
    words = _UNUSABLE(text, reader)
    return None if words is None else words.partition(_ADVICE)[0]


_ITEMS: Final = counted("items")
_SIGNS: Final = first_of(
    phrase("digit_signs.noise", "the paper's noise around it"),
    phrase("digit_signs.sharpness", "the sharpness of its edges"),
    phrase("digit_signs.ink_depth", "the depth of its ink"),
    phrase("digit_signs.ink_colour", "the colour of its ink"),
    phrase("digit_signs.brightness", "a step in the paper's brightness around it"),
    phrase("digit_signs.compression", "a trace of another JPEG compression"),
    phrase("digit_signs.twin", "a digit elsewhere that is the same to the pixel"),
)


def _shown(name: str, value: str, reader: TextReader) -> str | None:
    """Return a field's value as it stands in facts: minor units, an ISO date, or what the paper prints."""
    if name.endswith("_minor"):
        return paper_minor(value, reader)
    return day(value, reader) if name == "date" or name.endswith("_date") else quote(value, reader)


def _two_sides(key: str, pattern: str) -> Reading:
    """Return a reading of a field with its value on either side."""
    compiled = re.compile(pattern, re.DOTALL)

    def read(text: str, reader: TextReader) -> str | None:
        match = compiled.fullmatch(text)
        if match is None or (field := FIELD(match["field"], reader)) is None:
            return None
        sides = [_shown(match["field"], match[side], reader) or match[side] for side in ("one", "other")]
        return reader.texts[key].format(field=field, one=sides[0], other=sides[1])

    return read


_STATED: Final = _two_sides(
    "compared.code_and_print", r"(?P<field>\w+): the (?:bar )?code says (?P<one>.*), the print (?P<other>.*)"
)
_LAYERED: Final = _two_sides(
    "compared.text_and_picture", r"(?P<field>\w+): the text layer says (?P<one>.*), the picture (?P<other>.*)"
)


def _date_field(text: str, reader: TextReader) -> str | None:
    """Return the name of a field of dates, written without its ending: "admitted" is 入院日期, date of admission."""
    return reader.texts.get("paper_fields", f"{text}_date")


_DATED: Final = first_of(
    phrase("compared.dated", r"dated (?P<day>\S+)", day=day),
    phrase("compared.dated_field", r"(?P<field>\w+) (?P<day>\S+)", field=_date_field, day=day),
)
# An amount as checks write it, with its currency on foreign papers.
_SUM: Final = r"\S+(?: [A-Z]{3})?"
# Comparisons made by a check of a paper, both sides.
COMPARED: Final = first_of(
    phrase(
        "compared.items_and_total",
        rf"(?P<items>\d+) items sum to (?P<sum>{_SUM}), the total says (?P<total>{_SUM})",
        items=_ITEMS,
        sum=paper_amount,
        total=paper_amount,
    ),
    phrase(
        "compared.items_and_field",
        rf"(?P<items>\d+) items sum to (?P<sum>{_SUM}), (?P<field>\w+) says (?P<total>{_SUM})",
        items=_ITEMS,
        sum=paper_amount,
        total=paper_amount,
        field=lambda text, reader: FIELD(f"{text}_minor", reader),
    ),
    phrase(
        "compared.words_and_digits",
        rf"in capitals (?P<words>{_SUM}), in digits (?P<total>{_SUM})",
        words=paper_amount,
        total=paper_amount,
    ),
    phrase(
        "compared.insurance_and_cash",
        rf"insurance (?P<insurance>{_SUM}) \+ account (?P<account>{_SUM}) \+ cash (?P<cash>{_SUM}),"
        rf" the total says (?P<total>{_SUM})",
        insurance=paper_amount,
        account=paper_amount,
        cash=paper_amount,
        total=paper_amount,
    ),
    phrase(
        "compared.net_and_tax",
        rf"net (?P<net>{_SUM}) \+ tax (?P<tax>{_SUM}), the total says (?P<total>{_SUM})",
        net=paper_amount,
        tax=paper_amount,
        total=paper_amount,
    ),
    phrase(
        "compared.price_and_discount",
        rf"price (?P<price>{_SUM}) - discount (?P<discount>{_SUM}) \+ freight (?P<freight>{_SUM}),"
        rf" paid (?P<paid>{_SUM})",
        price=paper_amount,
        discount=paper_amount,
        freight=paper_amount,
        paid=paper_amount,
    ),
    phrase(
        "compared.discharged_before_admitted",
        r"from (?P<first>\S+) to (?P<last>\S+): discharged before admitted",
        first=day,
        last=day,
    ),
    phrase(
        "compared.stay_days",
        r"from (?P<first>\S+) to (?P<last>\S+), the paper says (?P<days>\d+) days",
        first=day,
        last=day,
        days=_DAYS,
    ),
    phrase(
        "compared.read_on",
        r"(?P<dates>.+), read on (?P<today>\S+)",
        dates=listed(_DATED, ", "),
        today=day,
    ),
    listed(_STATED, "; ", "lists.sentences"),
    listed(_LAYERED, "; ", "lists.sentences"),
    phrase("compared.not_as_signed", r"not as it was signed: .*"),
    phrase("compared.text_too_long", r"the text layer is longer than any paper"),
    phrase(
        "compared.digit",
        r"(?P<field>\w+): the digit at (?P<across>\d+)% from the left, (?P<down>\d+)% from the top differs in"
        r" (?P<sign>.+) \([\d.]+\)",
        field=FIELD,
        sign=_SIGNS,
    ),
)

# Reasons to doubt a field, or not to accept it as read. Quoted words are the paper's.
DOUBT: Final = first_of(
    phrase("doubts.place_alone", r"(?P<value>.*) is told from its like by its place alone"),
    phrase("doubts.other_field", r"(?P<value>.*) is read as (?P<field>\w+), too", field=FIELD),
    phrase(
        "doubts.dates_unlabelled",
        r"(?P<count>\d+) dates stand on the paper and none beside its label",
        count=number,
    ),
    phrase(
        "doubts.numbers_unlabelled",
        r"(?P<count>\d+) long numbers stand on the paper and none beside a label of it",
        count=number,
    ),
    phrase("doubts.day_of_printing", r"(?P<value>\S+) is the day of printing", value=day),
    phrase(
        "doubts.another_paper",
        r"another paper may be in the picture: (?P<signs>[a-z, ]+)",
        signs=listed(named("second_paper_signs"), ", "),
    ),
    phrase("doubts.handed_over", r"the change tells that it was handed over, not owed"),
    phrase("doubts.nearly_listed", r"(?P<value>.*) is nearly (?P<other>.*), which the terms name"),
    phrase("doubts.stated_once", r"the receipt states it nowhere else"),
    phrase("doubts.not_last_sum", r"not the last sum of the receipt: (?P<value>.*)"),
    phrase("doubts.like_a_label", r"(?P<value>.*) is one word in Latin letters, as labels are"),
    phrase("doubts.no_surname", r"(?P<value>.*) does not begin with a usual surname"),
    phrase("doubts.no_name", r"(?P<value>.*) is no usual name"),
    phrase("doubts.two_of_them", r"two of them on one paper: (?P<one>.*) and (?P<other>.*)"),
    phrase("doubts.too_large", r"(?P<value>.*) is more than any paper here is for(?: \(under [\d,]+\))?"),
    # of facts recorded before `doubts.negative` was the one wording
    phrase("doubts.below_zero", r"(?P<value>.*) is below zero"),
    phrase("doubts.no_day", r"(?P<value>.*) is no day of the calendar"),
    phrase("doubts.no_amount", r"no amount at the start of '?(?P<value>.*?)'?"),
    phrase("doubts.no_weight", r"no weight with a unit in '?(?P<value>.*?)'?"),
    phrase("doubts.negative", r"negative amount"),
    phrase("doubts.two_amounts", r"(?P<value>.*) may be two amounts"),
    phrase("doubts.unlike_amounts", r"(?P<value>.*) is written unlike the other amounts"),
    phrase("doubts.two_days", r"(?P<value>.*) may be two days"),
    phrase("doubts.by_hand", r"it looks written by hand(?: \([\d.]+\))?"),
    phrase("doubts.two_values", r"the paper says (?P<value>.*) and (?P<other>.*)"),
)
# Reasons why the reader does not vouch for a paper.
NOT_VOUCHED: Final = first_of(
    phrase("not_vouched.kind_unknown", r"the kind of paper is not known"),
    phrase(
        "not_vouched.no_paid_bill",
        r"no paid bill: (?P<standing>\w+): (?P<words>.*)",
        standing=named("standings"),
    ),
    phrase("not_vouched.mark_not_read", r"a mark across the print was not read: .*"),
    phrase("not_vouched.two_kinds", r"the words point to (?P<other>\w+) besides (?P<kind>\w+)", other=KIND, kind=KIND),
    phrase("not_vouched.currency_unknown", r"the currency is not known(?:: .*)?"),
    phrase("not_vouched.not_found", r"not found: (?P<fields>.+)", fields=listed(FIELD, ", ")),
    phrase("not_vouched.one_way", r"read in one way only: (?P<fields>.+)", fields=listed(FIELD, ", ")),
    phrase(
        "not_vouched.low_confidence",
        r"(?P<field>\w+) was read at a confidence of (?P<read>[\d.]+), below (?P<least>[\d.]+)",
        field=FIELD,
        read=percent,
        least=percent,
    ),
    phrase("not_vouched.check_failed", r"(?P<check>\w+): (?P<sides>.+)", check=CHECK, sides=COMPARED),
    phrase("not_vouched.doubt", r"(?P<field>\w+): (?P<doubt>.+)", field=FIELD, doubt=DOUBT),
)

# Reasons why no amount due could be calculated.
NO_BENEFIT: Final = first_of(
    phrase("no_benefit.no_amount", r"no paper shows the amount"),
    phrase("no_benefit.no_stay", r"(?P<paper>.*): the dates of the stay were not read"),
    phrase("no_benefit.odd_stay", r"(?P<paper>.*): a stay from (?P<first>\S+) to (?P<last>\S+)", first=day, last=day),
    phrase("no_benefit.unreadable", r"(?P<paper>.*): (?P<field>\w+) reads .*", field=FIELD),
)
UNSCORED: Final = first_of(
    phrase("unscored.nothing_supplied", r"the platform supplied no credit attributes"),
    phrase("unscored.incomplete", r"credit attribute (?P<name>\w+) is .*"),
)
