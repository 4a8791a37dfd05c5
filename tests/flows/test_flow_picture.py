"""The picture of docs/flows.md is the one that is drawn from the code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from claims.store.brakes import FLOWS
from flows.adjudicate import adjudicate
from flows.operations.picture import BEGIN, END, default_jobs, drawn_into, main, picture
from flows.sending import TASKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "flows.md"


def test_the_page_has_exactly_what_the_module_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flows.operations.picture"])
    main()
    printed = capsys.readouterr().out
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == printed.strip(), (
        "draw it again: python -m flows.operations.picture docs/flows.md"
    )
    assert drawn_into(page) == page


def test_the_picture_has_every_flow_task_and_job() -> None:
    drawn = picture()
    graph = drawn.partition("```mermaid")[2].partition("```")[0]
    assert " --> ".join(task.options.name for task in adjudicate.tasks) in graph
    for topic, task in TASKS.items():
        assert f"flow_{topic}" in graph
        assert f"| {topic} | {task.name} | {task.description} |" in drawn
    assert {adjudicate.name, *TASKS} == set(FLOWS), "each flow is held by a queue of its own name"
    for name, job in default_jobs().items():
        assert f'["{name}' in graph
        if job.schedule is not None:
            assert job.schedule.words() in graph


def test_a_page_is_drawn_again_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "flows.md"
    page.write_text(f"# Flows\n{BEGIN}\nan older drawing\n{END}\nwords\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["flows.operations.picture", str(page)])
    main()
    assert page.read_text(encoding="utf-8") == f"# Flows\n{BEGIN}\n{picture()}\n{END}\nwords\n"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no two lines"):
        drawn_into("# Flows\n")
