"""The state machine at full length.

    python -m tests.machine [--runs 1000] [--seed N] [--codes CODE,..] [--collect] [--json]

Ends with 1 when an invariant broke, after the shortest sequence of steps that was found to break it. `--collect` goes
on instead, and ends with the shortest sequence for each code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.machine.running import STEPS, Outcome, hunt, started
from tests.machine.watching import Tally

LOGGED_RUNS = 50  # a line in a log for so many


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.machine", description=(__doc__ or "").split("\n")[0])
    runs = int(os.environ.get("MIAOPEI_MACHINE_RUNS", "1000"))
    parser.add_argument("--runs", type=int, default=runs, help="also MIAOPEI_MACHINE_RUNS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS, help="rules in a run, at most")
    parser.add_argument("--codes", default="", help="violations that count, comma-separated; all of them otherwise")
    parser.add_argument("--collect", action="store_true", help="go on after a violation")
    parser.add_argument("--no-shrink", action="store_true", help="do not look for a shorter sequence of steps")
    parser.add_argument("--measured", type=Path, help="a folder for measurements that other runs may use, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    errors = Console(stderr=True)
    began = time.monotonic()

    def progress(tally: Tally) -> None:
        seconds = time.monotonic() - began
        words = f"{tally.runs} of {options.runs} runs, {sum(tally.steps.values())} steps, {seconds:.0f} s"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{words} ")
        elif tally.runs % LOGGED_RUNS == 0:
            sys.stderr.write(f"{words}\n")
        sys.stderr.flush()

    with started(options.measured):
        outcome = hunt(
            options.runs,
            number=options.seed,
            steps=options.steps,
            codes=options.codes.split(",") if options.codes else None,
            shrink=not options.no_shrink,
            collect=options.collect,
            on_run=progress,
        )
    if options.json:
        sys.stdout.write(json.dumps(plain(outcome, options.seed), ensure_ascii=False) + "\n")
    else:
        errors.print()
        show(outcome, options.seed)
    return 1 if outcome.violation is not None else 0


def plain(outcome: Outcome, seed: int) -> dict[str, Any]:
    """Returns the outcome as JSON-ready data."""
    tally, broken = outcome.tally, outcome.violation
    return {
        "seed": seed,
        "runs": tally.runs,
        "steps": dict(tally.steps),
        "claims": tally.claims,
        "statuses": dict(tally.statuses),
        "payouts": tally.payouts,
        "paid_minor": tally.paid_minor,
        "decisions": dict(tally.decisions),
        "refusals": dict(tally.refusals),
        "deaths": dict(tally.deaths),
        "seconds": round(outcome.seconds, 1),
        "violation": None
        if broken is None
        else {
            "code": broken.code,
            "words": broken.words,
            "steps": broken.steps,
            "run": outcome.run,
            "step": outcome.steps,
        },
        "collected": {code: [violation.words, *violation.steps] for code, violation in outcome.collected.items()},
    }


def show(outcome: Outcome, seed: int) -> None:
    """Prints the outcome for people."""
    console, tally = Console(), outcome.tally
    table = Table("", "", title=f"seed {seed}, {outcome.seconds:.0f} s", show_header=False)
    for name, value in (
        ("runs", tally.runs),
        ("steps", _counts(tally.steps)),
        ("claims", f"{tally.claims}: {_counts(tally.statuses)}"),
        ("payouts", f"{tally.payouts}, {tally.paid_minor} minor units"),
        ("decisions", _counts(tally.decisions)),
        ("refusals", _counts(tally.refusals)),
        ("killed", _counts(tally.deaths)),
    ):
        table.add_row(name, str(value))
    console.print(table)
    for violation in outcome.collected.values():
        console.print(str(violation), markup=False, highlight=False, soft_wrap=True)
    if outcome.violation is None:
        console.print("every invariant held")
    else:
        console.print(f"first broken in run {outcome.run}, after {outcome.steps} steps in all")


def _counts(counter: Any) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


if __name__ == "__main__":
    sys.exit(main())
