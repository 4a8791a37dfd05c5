from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.audit import SALT_BYTES, START, Content, Record, append, commitment, verify
from claims.errors import BrokenChain

AT = datetime(2026, 11, 20, 8, 30, 0, 123456, tzinfo=UTC)


def chain(contents: Sequence[bytes]) -> tuple[list[Record], dict[int, Content]]:
    tip, records, kept = START, [], {}
    for place, content in enumerate(contents):
        body = Content(bytes([place]) * SALT_BYTES, content)
        record = append(tip, at=AT, actor="worker", action="claim.decided", subject=f"claim-{place}", content=body)
        records.append(record)
        kept[record.seq] = body
        tip = verify([record], {}, tip)
    return records, kept


def test_chain_of_appended_records_verifies_to_its_tip() -> None:
    records, contents = chain([b"a", b"b", b"c"])
    tip = verify(records, contents)
    assert (tip.seq, tip.hash) == (3, records[-1].hash)
    assert verify([], {}) == START


def test_erased_content_leaves_the_chain_valid() -> None:
    records, contents = chain([b"a", b"b", b"c"])
    del contents[2]
    assert verify(records, contents).seq == 3


def test_pages_of_a_long_chain_verify_one_after_the_other() -> None:
    records, contents = chain([b"x"] * 9)
    assert verify(records[4:], contents, verify(records[:4], contents)) == verify(records, contents)


@given(st.integers(0, 3), st.sampled_from(["actor", "action", "subject", "commitment", "previous_hash", "hash", "at"]))
@settings(max_examples=60)
def test_any_changed_field_is_seen(place: int, field: str) -> None:
    records, contents = chain([b"a", b"b", b"c", b"d"])
    changes: dict[str, Any] = {field: AT + timedelta(microseconds=1) if field == "at" else "0" * 63 + "1"}
    records[place] = replace(records[place], **changes)
    with pytest.raises(BrokenChain):
        verify(records, contents)


def test_dropped_doubled_swapped_or_foreign_records_are_seen() -> None:
    records, contents = chain([b"a", b"b", b"c"])
    first, second, third = records
    for broken in ([first, third], [second, third], [first, first, second], [first, third, second]):
        with pytest.raises(BrokenChain):
            verify(broken, contents)
    foreign = append(START, at=AT, actor="x", action="y", subject="z", content=Content(b"s" * SALT_BYTES, b""))
    with pytest.raises(BrokenChain, match="record 2 does not name"):
        verify([foreign, second, third], {})


def test_changed_content_is_seen() -> None:
    records, contents = chain([b"a", b"b"])
    contents[2] = replace(contents[2], content=b"B")
    with pytest.raises(BrokenChain, match="record 2: the stored content"):
        verify(records, contents)


def test_same_instant_in_another_zone_hashes_alike() -> None:
    body = Content(b"s" * SALT_BYTES, b"c")
    shanghai = AT.astimezone(timezone(timedelta(hours=8)))
    made = [append(START, at=at, actor="a", action="b", subject="c", content=body).hash for at in (AT, shanghai)]
    assert made[0] == made[1]


def test_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(Content(b"short", b"content"))
