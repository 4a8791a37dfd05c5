"""The import contracts of pyproject.toml: the tree keeps them, and violations planted in a copy break each of them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import grimp
import pytest

from tests.architecture import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = [contract["name"] for contract in SETTINGS["tool"]["importlinter"]["contracts"]]
# Alembic runs these by path: they are no packages, and import-linter does not see them.
MIGRATIONS = {Path(store, "migrations") for store in ("claims/store", "vision/library")}
DOMAIN = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in (ROOT / "claims").rglob("*.py")
    if path.relative_to(ROOT).parts[1] != "store"
)

# Where (a module), the line planted there, and how the report of each contract that must notice it names it.
PLANTED: list[tuple[str, str, dict[str, str]]] = [
    *(
        (module, "import sqlalchemy", {"claims does no I/O and knows no framework": f"{module} -> sqlalchemy"})
        for module in DOMAIN
    ),
    ("claims.floods", "import httpx", {"claims does no I/O and knows no framework": "claims.floods -> httpx"}),
    ("claims.wire", "import claims.store.tables", {"floors of claims": "claims.wire -> claims.store.tables"}),
    ("claims.money", "import vision.errors", {"floors of the house": "claims.money -> vision.errors"}),
    ("claims.unplaced", "", {"floors of claims": "- claims.unplaced"}),
    ("flows.stages", "import benchmarks.photos", {"floors of the house": "flows.stages -> benchmarks.photos"}),
    (
        "flows.config",
        "import flows.worker",
        {"floors of flows": "flows.config -> flows.worker", "siblings are acyclic": "allowed in flows."},
    ),
    ("flows.webhooks", "import fixtures", {"test worlds are no part of the product": "flows.webhooks -> fixtures"}),
    (
        "vision.decode.exif",
        "import vision.library.tables",
        {"floors of vision": "vision.decode.exif -> vision.library.tables"},
    ),
    (
        "vision.documents.text.page",
        "import vision.documents.parse",
        {"floors of vision.documents": "vision.documents.text.page -> vision.documents.parse"},
    ),
    ("formats.boxes", "import formats.header", {"floors of formats": "formats.boxes -> formats.header"}),
    ("models.errors", "import models.registry", {"floors of models": "models.errors -> models.registry"}),
    (
        "vision.nose.find",
        "import models.train",
        {"nobody imports training recipes": "vision.nose.find -> models.train"},
    ),
    # A circle of two, neither on a floor of its own.
    ("benchmarks.scratch", "import benchmarks.retrieval", {}),
    ("benchmarks.retrieval", "import benchmarks.scratch", {"siblings are acyclic": ".retrieval"}),
    (
        "api.http.schemas.words",
        "import torch",
        {"HTTP and pages start without vision, models, torch or prefect": "api.http.schemas.words -> torch"},
    ),
    ("api.private", "import api.cli", {"floors of api": "api.private -> api.cli"}),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Returns the report of each broken contract, by its name, for a copy of the tree with all of `PLANTED`."""
    copy = tmp_path_factory.mktemp("planted")
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            place = copy / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    shutil.copy(ROOT / "pyproject.toml", copy)
    for module, line, _ in PLANTED:
        path = copy.joinpath(*module.split("."))
        with (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).open("a") as file:
            file.write(f"\n{line}  # planted\n")
    printed = lint(copy).stdout
    _, _, broken = printed.partition("Broken contracts")
    headings = "|".join(re.escape(name) for name in CONTRACTS)
    parts = re.split(rf"^({headings})\n-+\n", broken, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_tree_keeps_every_contract() -> None:
    kept = lint(ROOT)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in kept.stdout


@pytest.mark.parametrize(("module", "line", "noticed"), PLANTED, ids=[f"{m}: {line}" for m, line, _ in PLANTED])
def test_what_is_planted_is_noticed_by_its_contract(
    reports: Mapping[str, str], module: str, line: str, noticed: dict[str, str]
) -> None:
    del module, line
    for contract, words in noticed.items():
        assert re.search(rf"{re.escape(words)}(?![\w.]*\w)", reports.get(contract, "")), reports.get(contract, "kept")


def test_something_is_planted_for_every_contract() -> None:
    assert {contract for _, _, noticed in PLANTED for contract in noticed} == set(CONTRACTS)


def test_the_contracts_see_every_file() -> None:
    """A folder without `__init__.py` is no package: no contract would check its files."""
    unseen = {
        path.relative_to(ROOT).parent
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert {place for place in unseen if not MIGRATIONS & {place, *place.parents}} == set()


def test_the_contracts_and_the_type_checker_know_every_package() -> None:
    tops = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert tops == set(PACKAGES) == set(SETTINGS["tool"]["importlinter"]["root_packages"])
    assert tops == set(SETTINGS["tool"]["mypy"]["packages"])
    assert tops == {name.rstrip("*") for name in SETTINGS["tool"]["setuptools"]["packages"]["find"]["include"]}


def test_the_domain_uses_three_libraries_of_others() -> None:
    """The contract forbids libraries known to do I/O or to be heavy; this test notices any other."""
    graph = grimp.build_graph("claims", include_external_packages=True, cache_dir=None)
    used = {name for module in DOMAIN for name in graph.find_modules_directly_imported_by(module)}
    theirs = {name for name in used if name.split(".")[0] != "claims"} - sys.stdlib_module_names
    assert theirs == {"babel", "pydantic", "yaml"}


def test_only_two_commands_import_by_name() -> None:
    """No contract sees an import by name. `miaopei bench NAME` imports the benchmarks so, and
    `python -m flows.adjudicate CLAIM`, when it is the program and not imported, the command line."""
    by_name = re.compile(r"\bimport_module\(|\b__import__\(|\brunpy\b")
    importers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if by_name.search(path.read_text(encoding="utf-8"))
    }
    assert importers == {"api/commands/benches.py", "flows/adjudicate.py"}


def test_a_class_name_stands_for_one_thing_in_the_whole_tree() -> None:
    places: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
