"""The arrows of docs/design: kept by the tree as it is, and broken by a planted violation of each contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["api", "flows", "claims", "vision", "models", "fixtures"]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy_of_the_tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("ocr", "vendor", "weights", "__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("planted_in", "line"),
    [
        ("claims/money.py", "import vision.errors"),  # the domain knows no pictures
        ("vision/measurement.py", "import flows"),  # arrows point down
        ("claims/policy.py", "import sqlalchemy"),  # the domain does no I/O
        ("claims/decision.py", "import claims.store.tables"),
        ("api/http/__init__.py", "import prefect"),  # the API starts in a second
        ("flows/__init__.py", "import fixtures"),  # the product does not need its test worlds
    ],
)
def test_a_planted_violation_breaks_the_contract(copy_of_the_tree: Path, planted_in: str, line: str) -> None:
    with (copy_of_the_tree / planted_in).open("a") as file:
        file.write(f"\n{line}  # planted\n")
    result = lint(copy_of_the_tree)
    assert result.returncode != 0, result.stdout
    assert "BROKEN" in result.stdout
