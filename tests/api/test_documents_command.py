"""`miaopei documents read --json`: one object a file, whatever the file is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from api.cli import app, main
from fixtures.hostile_files import pdf
from fixtures.papers import FLAT, render_invoice, render_receipt

KEYS = {
    "file",
    "page",
    "kind",
    "currency",
    "currency_from",
    "fields",
    "accepted",
    "reason",
    "items",
    "checks",
    "missing",
    "refused",
    "standing",
    "codes",
    "lines",
}


def read(*files: Path) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["documents", "read", *map(str, files), "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_receipt_a_bill_and_what_is_none_each_give_one_object(tmp_path: Path) -> None:
    receipt, invoice = render_receipt(9, language="en", total_minor=1250, capture=FLAT), render_invoice(9, capture=FLAT)
    blank = io.BytesIO()
    Image.new("RGB", (800, 600), "white").save(blank, "JPEG")
    contents = {
        "receipt.jpg": receipt.jpeg, "bill.jpg": invoice.jpeg, "blank.jpg": blank.getvalue(), "text.jpg": b"no picture",
        "several.pdf": pdf(3),
    }  # fmt: skip
    files = [tmp_path / name for name in contents]
    for file in files:
        file.write_bytes(contents[file.name])
    told = read(*files)
    assert [Path(row["file"]).name for row in told] == list(contents)
    assert all(set(row) | {"page"} == KEYS for row in told)

    fields = told[0]["fields"]
    assert told[0]["kind"] == "receipt"
    assert told[0]["accepted"] is True
    assert {name: fields[name]["value"] for name in ("company", "date", "address", "total", "total_minor")} == {
        "company": receipt.truth["company"], "date": receipt.truth["date"], "address": receipt.truth["address"],
        "total": "12.50", "total_minor": "1250",
    }  # fmt: skip
    assert all(len(field["box"]) == 4 and 0 <= field["confidence"] <= 1 for field in fields.values())
    assert any("12.50" in line for line in told[0]["lines"])

    assert told[1]["kind"] == "outpatient_invoice"
    assert all(check["passed"] for check in told[1]["checks"])
    for row in told[2:]:
        assert (row["kind"], row["accepted"], row["fields"]) == ("unknown", False, {})
        assert row["reason"]
    assert "no readable print" in told[2]["reason"]
    assert told[3]["reason"].startswith("unknown_format")


def test_a_mistake_in_an_insurers_kind_ends_the_command_with_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = tmp_path / "kinds"
    kinds.mkdir()
    (kinds / "ticket.yaml").write_text(
        "kind: ticket\ntitle: ticket\nwords: {a: 3}\nfields: {x_minor: {format: amont}}\n"
    )
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"x")
    monkeypatch.setenv("MIAOPEI_PAPER_KINDS", str(kinds))
    monkeypatch.setattr("sys.argv", ["miaopei", "documents", "read", str(picture), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in (0, None)
    told = capsys.readouterr().err.replace("\n", "")
    assert "ticket.yaml" in told
    assert "fields.x_minor.format" in told
