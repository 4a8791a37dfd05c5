"""The commands of docs/commands.md work: its `sh` block is run line by line, and each line's JSON is read.

The README's claim by curl needs a stack: tests/end_to_end/test_readme_claim.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli import app
from tests.forked import miaopei

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
LINES = re.search(r"```sh\n(.*?)```", COMMANDS, re.DOTALL)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, object]]]:
    """Returns the output of each command of the block, by its line."""
    assert LINES is not None
    folder = tmp_path_factory.mktemp("readme")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MIAOPEI_HOME": str(folder / "home"),
    }
    results: dict[str, list[dict[str, object]]] = {}
    for line in LINES.group(1).strip().splitlines():
        done = typed(line, folder, environment, anew="photos import" in line)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        results[line] = [json.loads(row) for row in done.stdout.splitlines()] if "--json" in line else []
    return results


def typed(line: str, folder: Path, environment: dict[str, str], *, anew: bool) -> subprocess.CompletedProcess[str]:
    """Runs the line in a shell; unless `anew`, one of `miaopei` in a process that has the modules loaded."""
    script, *arguments = shlex.split(line)
    if script == "miaopei" and not anew:
        return miaopei(*arguments, env=environment, cwd=folder)
    return subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def output(printed: dict[str, list[dict[str, object]]], words: str) -> list[dict[str, object]]:
    return next(rows for line, rows in printed.items() if words in line)


def test_the_web_photo_is_found_inside_the_screenshot_and_the_other_photo_is_unseen(
    printed: dict[str, list[dict[str, object]]],
) -> None:
    screenshot, coffee = output(printed, "photos check")
    assert screenshot["verdict"] == "edited_copy"
    assert screenshot["matches"][0]["file"] == "china.jpg"  # type: ignore[index]
    assert coffee["verdict"] == "unseen"
    assert coffee["matches"] == []


def test_the_invoice_is_read_into_fields_that_agree(printed: dict[str, list[dict[str, object]]]) -> None:
    (paper,) = output(printed, "documents read")
    assert paper["kind"] == "outpatient_invoice"
    assert paper["fields"]["patient"]["value"] == "王思远"  # type: ignore[index]
    assert all(check["passed"] for check in paper["checks"])  # type: ignore[attr-defined]


def test_one_pup_is_accepted_and_its_litter_mate_is_not(printed: dict[str, list[dict[str, object]]]) -> None:
    (same,) = output(printed, "nose-2.jpg")
    (other,) = output(printed, "nose-other.jpg")
    assert same["verdict"] == "accept"
    assert other["verdict"] == "reject"


def test_nothing_is_owed_and_bank_and_books_agree_where_nothing_was_paid(
    printed: dict[str, list[dict[str, object]]],
) -> None:
    assert output(printed, "recoveries list") == []
    assert output(printed, "findings list") == []


def test_every_command_is_named_in_the_docs() -> None:
    documents = README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    group = get_command(app)
    missing = [name for name in group.commands if f"miaopei {name}" not in documents]  # type: ignore[attr-defined]
    assert not missing, missing
