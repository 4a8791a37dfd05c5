"""Capital numerals against a writer that was made apart from the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.papers import capital_amount
from vision.documents.fields import capital
from vision.measurement import Unmeasured


@given(st.integers(0, 10**14 - 1), st.sampled_from("元圆"), st.sampled_from("整正"))
def test_every_written_amount_reads_back(minor: int, yuan: str, whole: str) -> None:
    assert capital.parse(capital_amount(minor, yuan, whole)) == minor


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_two_amounts_never_share_one_spelling(first: int, other: int) -> None:
    assert (capital_amount(first) == capital_amount(other)) == (first == other)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("人民币壹佰零贰元伍角整", 10250),
        ("零元整", 0),
        ("伍角", 50),
        ("玖分", 9),
        ("叁佰柒拾圆零伍分", 37005),
        ("壹万元整", 1_000_000),
        ("拾伍元整", 1500),
        ("壹拾万零伍元整", 10_000_500),
        ("壹亿零壹元整", 10_000_000_100),
        ("零仟零佰壹拾贰元叁角肆分", 1234),
        ("貳佰參拾陸圓伍角正", 23650),
        ("壹佰 玖拾 元 整", 19000),
        ("二百三十元五角", 23050),
    ],
)
def test_spellings_in_use_are_read(text: str, minor: int) -> None:
    assert capital.parse(text) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "元整",
        "整",
        "壹贰元整",  # a digit without its unit
        "壹拾贰佰元整",  # units rise
        "壹佰贰佰元整",  # a unit twice
        "佰元整",  # a unit without a digit
        "壹元伍",  # cut off
        "壹元伍角陆角",
        "壹元伍分叁角",
        "壹佰0贰元整",
        "壹佰贰拾",  # no 元: half an amount
        "合计壹佰元整",
    ],
)
def test_what_is_not_an_amount_is_unmeasured_not_guessed(text: str) -> None:
    assert isinstance(capital.parse(text), Unmeasured)


@given(st.text(alphabet=capital.CHARACTERS, max_size=14))
def test_any_run_of_its_characters_is_read_or_refused_without_an_error(text: str) -> None:
    result = capital.parse(text)
    assert isinstance(result, Unmeasured) or result >= 0


def test_the_amount_is_found_inside_a_line() -> None:
    line = "金额合计(大写):壹佰玖拾柒元整  (小写)197.00"
    start, end = capital.find(line)
    assert capital.parse(line[start:end]) == 19700
