"""Plants every known fault and reports those that go unnoticed.

    python -m tests.planted [NAME...] [--runs 300] [--seed N] [--json] [--list]

Each fault is planted in a copy of the tree, in which the state machine then looks for it; the copy is deleted. First
the unchanged tree is checked: a violation without a fault proves nothing. Exits with 1 when a fault is not found, no
longer applies, or the unchanged tree breaks.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.planted.faults import Fault, every
from tests.planted.planting import HuntResult, hunt_for

BASELINE_RUNS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="faults to plant; all of them otherwise")
    parser.add_argument("--runs", type=int, default=300, help="of the machine for each fault, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measured", type=Path, help="a folder for measurements, kept")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="name the faults and plant none")
    options = parser.parse_args()
    known = {fault.name: fault for fault in every()}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no such fault: {', '.join(unknown)}")
    chosen = [known[name] for name in options.names] or list(known.values())
    if options.list:
        for fault in chosen:
            sys.stdout.write(f"{fault.name}: {fault.what}\n")
        return 0
    results: list[HuntResult] = []
    with tempfile.TemporaryDirectory() as folder:
        measured = options.measured or Path(folder)
        base = baseline(chosen)
        if base.codes:
            results.append(hunt_for(base, measured, runs=min(BASELINE_RUNS, options.runs), seed=options.seed))
            _say(results[-1], base)
        for fault in chosen:
            results.append(hunt_for(fault, measured, runs=options.runs, seed=options.seed))
            _say(results[-1], fault)
    good = [result.ok if result.fault != NOTHING else not result.by and not result.error for result in results]
    if options.json:
        rows = [{**asdict(result), "ok": ok} for result, ok in zip(results, good, strict=True)]
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(results, good)
    return 0 if all(good) else 1


NOTHING = "nothing"


def baseline(faults: list[Fault]) -> Fault:
    """Returns the unchanged tree as a fault without edits, with every code by which planted faults are found."""
    codes = dict.fromkeys(code for fault in faults if fault.edits for code in fault.codes)
    return Fault(NOTHING, "the tree as it is", (), tuple(codes))


def _say(result: HuntResult, fault: Fault) -> None:
    """Writes a result to standard error as soon as it is known."""
    words = result.error or (f"{result.by} in run {result.runs}" if result.by else f"nothing in {result.runs} runs")
    sys.stderr.write(f"{result.fault} ({fault.what}): {words}, {result.seconds:.0f} s\n")
    sys.stderr.flush()


def _show(results: list[HuntResult], good: list[bool]) -> None:
    table = Table("fault", "where", "found by", "run", "steps", "")
    for result, ok in zip(results, good, strict=True):
        by = result.error or result.by or "nothing"
        table.add_row(
            result.fault, result.where, by, str(result.runs), str(result.steps), "ok" if ok else "NOT AS IT SHOULD BE"
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
