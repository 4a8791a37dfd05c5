from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.audit import ELSEWHERE, SALT_BYTES, START, Content, Missing, Record, Tip, Tips, append, commitment, verify
from claims.errors import BrokenChain, InvalidTip
from claims.wire import canonical

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


def named(*entries: tuple[str, str]) -> list[Record]:
    """Returns records of (action, subject)."""
    tip, records = START, []
    for action, subject in entries:
        body = Content(b"s" * SALT_BYTES, b"{}")
        records.append(append(tip, at=AT, actor="worker", action=action, subject=subject, content=body))
        tip = Tip(records[-1].seq, records[-1].hash)
    return records


def missing(records: Sequence[Record], gone: set[int], erasure: bytes = b"{}") -> Missing:
    looked = Missing()
    for record in records:
        body = Content(b"s" * SALT_BYTES, erasure if record.action == "claim.erased" else b"{}")
        looked.see(record, None if record.seq in gone else body)
    return looked


LIFE = (("claim.created", "a"), ("claim.created", "b"), ("claim.decided", "a"), ("claim.erased", "a"))


def test_contents_that_an_erasure_took_are_covered_and_all_others_are_missing() -> None:
    records = named(*LIFE, ("claim.decided", "a"))
    assert (missing(records, {1, 3}).uncovered, missing(records, {1, 3}).covered) == ((), 2)
    assert missing(records, {1, 2, 3}).uncovered == (2,)  # of another claim
    assert missing(records, {1, 5}).uncovered == (5,)  # after the erasure
    assert missing(records, {1, 4}).uncovered == (4,)  # of the erasure's own record
    assert missing(records[:3], {1, 3}).uncovered == (1, 3)  # nothing was erased at all


def test_an_erasure_covers_words_about_its_pictures_in_other_claims_where_it_names_them() -> None:
    words = canonical({ELSEWHERE: [2]})
    assert missing(named(*LIFE), {1, 2, 3}, words).uncovered == ()
    assert missing(named(*LIFE, ("match.ruled", "b")), {2, 5}, words).uncovered == (5,)


def test_a_noted_tip_shows_a_cut_tail_and_a_chain_written_anew() -> None:
    records, _ = chain([b"a", b"b", b"c"])
    noted = [Tip(record.seq, record.hash) for record in records]

    def compared(now: Sequence[Record]) -> tuple[str, ...]:
        tips = Tips(noted)
        for record in now:
            tips.see(record)
        assert tips.count == 3
        return tips.differing(verify(now, {}))

    assert compared(records) == ()
    assert "its tail was cut off" in compared(records[:2])[0]
    assert "its tail was cut off" in compared([])[0]
    anew, _ = chain([b"a", b"B", b"c"])
    assert [words.split(" has")[0] for words in compared(anew)] == ["record 2", "record 3"]


def test_a_tip_reads_back_as_it_is_written_and_nothing_else_is_one() -> None:
    records, _ = chain([b"a"])
    tip = Tip(1, records[0].hash)
    assert Tip.parse(str(tip)) == tip
    for words in ("", "1", f"1:{tip.hash[:-1]}", f"-1:{tip.hash}", f"1:{tip.hash.upper()}x", f"{'9' * 40}:{tip.hash}"):
        with pytest.raises(InvalidTip):
            Tip.parse(words)
