"""A measurement that is cut short goes on where it ended, and never mixes the rows of two readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.commands.benches import CannotMeasure
from benchmarks import documents_opposites, paper_families
from benchmarks.kept_rows import KeptRows, source_digest
from fixtures.papers.opposites.pages import QUICK, wanted
from vision.decode.image import DecodeLimits, Decoder
from vision.documents import Reader

ROW: Final = {"currency": "CNY", "taken": True, "vouched": True, "right": True, "currency_read": "CNY"}


def test_rows_are_there_again_for_the_next_run_and_a_half_written_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = KeptRows(path, "a")
    rows.add("honest/plain/00", ROW)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"name": "honest/plain/01", "tak')
    again = KeptRows(path, "a")
    assert again.get("honest/plain/00") == ROW
    assert again.get("honest/plain/01") is None
    again.add("honest/plain/01", ROW)
    assert KeptRows(path, "a").get("honest/plain/01") == ROW


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({"source_sha256": "b"}) + "\n", "another version of the code"),
        ("no rows\n", "holds no rows of this benchmark"),
        ("[1]\n[2]\n", "holds no rows of this benchmark"),
        ('{"source_sha256": "a"}\n{"taken": true}\n', "holds no rows of this benchmark"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CannotMeasure, match=message):
        KeptRows(path, "a")
    assert path.read_text(encoding="utf-8") == content


def test_the_digest_changes_with_code_and_tables_and_not_with_figures(tmp_path: Path) -> None:
    for name in ("vision/read.py", "vision/kind.yaml", "models/results/documents.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1", encoding="utf-8")
    before = source_digest(tmp_path)
    (tmp_path / "models/results/documents.json").write_text("2", encoding="utf-8")
    assert source_digest(tmp_path) == before
    (tmp_path / "vision/kind.yaml").write_text("2", encoding="utf-8")
    assert source_digest(tmp_path) != before


def test_pages_and_files_with_a_row_are_not_read_again(tmp_path: Path) -> None:
    rows = KeptRows(tmp_path / "rows.jsonl", "a")
    pages = wanted(("not_payable",), QUICK)
    for page in pages:
        rows.add(page.name, ROW)
    family = tmp_path / "papers" / "receipts"
    family.mkdir(parents=True)
    (family / "a.jpg").write_bytes(b"no picture")
    (family / "truth.json").write_text('{"a.jpg": {"kind": "receipt", "fields": {"total_minor": "100"}}}')
    marks = {"fields": {"total_minor": True}, "accepted": True, "right": True, "currency_right": None, "unread": False}
    rows.add("families/receipts/a.jpg", marks)
    with Decoder(DecodeLimits(), processes=1) as decoder, Reader(processes=1) as reader:
        table = documents_opposites.measure(("not_payable",), reader, decoder, 1, rows, quick=True)
        family_figures = paper_families.families(tmp_path / "papers", reader, rows=rows)
        assert reader.cpu_seconds == 0
    assert table["not_payable_accepted"]["all"] == [len(pages), len(pages)]
    assert (family_figures["receipts"].accepted, family_figures["receipts"].right) == (1, 1)


def test_rows_belong_to_documents() -> None:
    refused = CliRunner().invoke(app, ["bench", "noses", "--rows", "rows.jsonl"])
    assert refused.exit_code != 0
    assert "--rows belongs to" in refused.output
