"""Draws the flows, their tasks and the jobs of operators as docs/flows.md has them: a Mermaid graph and a table.

Everything in it is read from the declarations. `python -m flows.operations.picture` prints it;
`python -m flows.operations.picture FILE` puts it between the two markers of that file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from claims.store.outbox import Topic
from flows.adjudicate import adjudicate
from flows.config import JobsConfig, SettleConfig, StoreConfig, TipConfig
from flows.operations.jobs import Jobs, jobs
from flows.rails import http
from flows.rails.registry import chosen
from flows.run_record import TaskOptions
from flows.sending import TASKS

BEGIN: Final = "<!-- drawn by `python -m flows.operations.picture docs/flows.md` -->"
END: Final = "<!-- end of the drawing -->"
JOBS_A_ROW: Final = 6
_SPACING: Final = {"nodeSpacing": 16, "rankSpacing": 22, "subGraphTitleMargin": {"top": 2, "bottom": 8}}
# What leads to each message of the outbox. The store writes it in the transaction that causes it.
_CAUSES: Final[dict[Topic, tuple[str, str]]] = {
    "settle": ("record", "pay"),
    "refer": ("record", "refer"),
    "enrol": ("nose photos of a policy", ""),
    "learn": ("ruling of a person", ""),
}


def picture() -> str:
    """Returns the graph and the table, as Markdown."""
    return "\n".join([*_graph(), "", *_table()])


def drawn_into(page: str) -> str:
    """Returns a page with the drawing between its markers. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no two lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{picture()}\n{END}{after}"


def _graph() -> Iterator[str]:
    tasks = [task.options.name for task in adjudicate.tasks]
    yield "```mermaid"
    yield f"%%{{init: {json.dumps({'flowchart': _SPACING})}}}%%"
    yield "flowchart LR"
    yield f'  subgraph flow_{adjudicate.name}["flow {adjudicate.name}"]'
    yield "    " + " --> ".join(tasks)
    yield "  end"
    for topic, task in TASKS.items():
        yield f'  subgraph flow_{topic}["flow {topic}"]'
        yield f"    {topic}_{task.name}[{task.name}]"
        yield "  end"
    for topic, (cause, words) in _CAUSES.items():
        start = cause if cause in tasks else f'{topic}_cause(["{cause}"])'
        yield f"  {start} -->{f'|{words}|' if words else ''} {topic}_{TASKS[topic].name}"
    yield '  subgraph operators["deployments of operators"]'
    known = default_jobs()
    for name, job in known.items():
        schedule = f"<br>{job.schedule.words()}" if job.schedule is not None else ""
        yield f'    {_id(name)}["{name}{schedule}"]'
    # In rows: laid out by themselves, nodes without edges are one long column.
    names = list(known)
    for first in range(0, len(names), JOBS_A_ROW):
        yield "    " + " ~~~ ".join(map(_id, names[first : first + JOBS_A_ROW]))
    yield "  end"
    yield f"  {_id(adjudicate.name)} -.-> {tasks[0]}"
    yield "```"


def _table() -> Iterator[str]:
    yield "| Flow | Task | Does | Tags | Retries | Timeout |"
    yield "|---|---|---|---|---|---|"
    rows = [(adjudicate.name, task.options) for task in adjudicate.tasks]
    for flow, task in [*rows, *TASKS.items()]:
        yield _row(flow, task)


def _row(flow: str, task: TaskOptions) -> str:
    retries = f"{task.retries}, after {task.retry_delay_seconds:g} s" if task.retries else ""
    timeout = f"{task.timeout_seconds:,.0f} s" if task.timeout_seconds is not None else ""
    return f"| {flow} | {task.name} | {task.description} | {', '.join(task.tags)} | {retries} | {timeout} |"


def _id(job: str) -> str:
    return f"job_{job.replace('-', '_')}"


def default_jobs() -> Jobs:
    """Returns the jobs with the schedules that they have by default."""
    store = StoreConfig("", "")
    settle = SettleConfig("", store, chosen(http.KIND.name, {}))
    return jobs(JobsConfig(store, settle, TipConfig(Path())))


def main() -> None:
    """Print the drawing, or put it into the file that the command line names."""
    if len(sys.argv) > 1:
        page = Path(sys.argv[1])
        page.write_text(drawn_into(page.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(f"{picture()}\n")


if __name__ == "__main__":
    main()
