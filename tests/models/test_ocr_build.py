"""The OCR model folders are complete, verified and built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ModelCorrupt, ModelMissing
from models.ocr_build import build, folder_files, main, verify
from models.registry import sha256_of


def test_the_folders_hold_what_the_cards_say(tmp_path: Path) -> None:
    assert len(build(tmp_path)) == 8
    verify(tmp_path)
    for _card, _role, entry, path in folder_files(tmp_path):
        assert sha256_of(path) == entry.sha256


def test_a_second_build_writes_nothing_and_a_damaged_file_is_mended(tmp_path: Path) -> None:
    build(tmp_path)
    assert build(tmp_path) == []
    damaged = tmp_path / "PP-OCRv6_tiny_rec" / "inference.onnx"
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"models\.ocr_build"):
        verify(tmp_path)
    assert build(tmp_path) == [damaged]
    verify(tmp_path)


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"python -m models\.ocr_build"):
        verify(tmp_path)


def test_the_command_builds_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--target", str(tmp_path / "here")]) == 0
    assert "8 files written" in capsys.readouterr().out
    verify(tmp_path / "here")
