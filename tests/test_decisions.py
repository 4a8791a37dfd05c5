"""Decision records have one form, so that a reader finds the reason and the price of each in the same place."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("*.md"))
HEAD = re.compile(
    r"# (?P<number>\d{4}) (?P<title>\S.*)\n"
    r"\n"
    r"Date: (?P<date>\d{4}-\d{2}-\d{2})\n"
    r"State: (?P<state>in force|replaced by (?P<by>\d{4}))\n"
    r"\n"
    r"\*\*(?P<quote>[^*]+)\*\*\n"
    r"\n"
)
REQUIRED = ["Why", "What we do"]
OPTIONAL = "What it costs and leaves open"


def faults(text: str, numbers: set[str]) -> list[str]:
    """Returns the faults in a record's form, in words. numbers: those of all records."""
    head = HEAD.match(text)
    if head is None:
        return ["the head is not: # NNNN Title, Date:, State:, one line in bold"]
    wrong = []
    if head["by"] is not None and head["by"] not in numbers:
        wrong.append(f"no record {head['by']}")
    try:
        date.fromisoformat(head["date"])
    except ValueError:
        wrong.append(f"no such day: {head['date']}")
    body = text[head.end() :]
    sections = re.split(r"^## (.+)\n", body, flags=re.MULTILINE)
    if sections[0].strip():
        wrong.append("text before the first heading")
    headings = sections[1::2]
    if headings not in (REQUIRED, [*REQUIRED, OPTIONAL]):
        wrong.append(f"headings are {headings}, not {REQUIRED} and, where there is any, {OPTIONAL!r}")
    for name, words in zip(headings, sections[2::2], strict=True):
        if not words.strip():
            wrong.append(f"nothing under {name!r}")
    return wrong


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_the_form_that_all_have(record: Path) -> None:
    text = record.read_text()
    assert faults(text, {record.name[:4] for record in RECORDS}) == []
    assert text.startswith(f"# {record.name[:4]} ")


def test_no_number_is_given_twice() -> None:
    numbers = [record.name[:4] for record in RECORDS]
    assert numbers
    assert len(numbers) == len(set(numbers))


GOOD = "# 0001 A title\n\nDate: 2026-11-22\nState: in force\n\n**A line.**\n\n## Why\n\nSo.\n\n## What we do\n\nThis.\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("# 0001 A", "# 1. A", "head"),
        ("2026-11-22", "2026-11-31", "no such day"),
        ("in force", "replaced by 0002", "no record 0002"),
        ("in force", "old", "head"),
        ("**A line.**", "A line.", "head"),
        ("## Why", "A word.\n\n## Why", "before the first heading"),
        ("## Why", "## Question", "headings"),
        ("This.", "", "nothing under"),
        ("This.", "This.\n\n## And more\n\nThat.", "headings"),
    ],
)
def test_a_record_of_another_form_is_noticed(old: str, new: str, told: str) -> None:
    assert faults(GOOD, {"0001"}) == []
    assert any(told in fault for fault in faults(GOOD.replace(old, new), {"0001"}))
