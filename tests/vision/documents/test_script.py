"""Traditional characters on a paper in simplified ones, and the other way round."""

from __future__ import annotations

from vision.documents.text.page import TextLine
from vision.documents.text.script import in_one_script

CORNERS = ((0.0, 0.0), (9.0, 0.0), (9.0, 3.0), (0.0, 3.0))


def lines_of(*texts: str) -> list[TextLine]:
    return [TextLine(text, 0.98, CORNERS) for text in texts]


def texts_of(lines: list[TextLine]) -> list[str]:
    return [line.text for line in lines]


def test_a_traditional_character_among_simplified_ones_is_a_slip() -> None:
    paper = lines_of("杭州市医疗门诊收费票据（电子）", "交款人：周子強", "开票日期：2026年9月11日")
    assert texts_of(in_one_script(paper))[1] == "交款人：周子强"


def test_a_paper_in_traditional_characters_stays_as_it_is() -> None:
    paper = lines_of("醫療門診收費票據", "交款人：周子強", "開票日期：2026年9月11日")
    assert in_one_script(paper) == paper


def test_where_nothing_tells_nothing_changes() -> None:
    paper = lines_of("GREENFIELD GROCERS 強", "TOTAL 12.00")
    assert in_one_script(paper) == paper
    assert in_one_script([]) == []
