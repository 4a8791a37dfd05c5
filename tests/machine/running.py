"""Starts the house once and runs the state machine in it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, assume, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine
from tests.machine.model import Violation
from tests.machine.start import house
from tests.machine.watching import Tally

STEPS = 12
SHRINK_SECONDS_MAX = 60.0  # after the first violation; the shortest sequence by then is reported


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a hunt. violation: None if every run held. run: number of the first failing run. steps: until
    then.
    """

    tally: Tally
    violation: Violation | None
    run: int
    steps: int
    seconds: float
    collected: Mapping[str, Violation]  # by code, where violations were collected instead of ending the hunt


@contextlib.contextmanager
def started(measured: Path | None = None) -> Iterator[None]:
    """Starts the house for the calls of `hunt` that follow."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        Machine.runner = runner
        Machine.house = runner.run(stack.enter_async_context(house(measured)))
        try:
            yield
        finally:
            runner.run(stack.aclose())


def hunt(
    runs: int,
    *,
    number: int = 0,
    steps: int = STEPS,
    codes: Collection[str] | None = None,
    shrink: bool = True,
    collect: bool = False,
    on_run: Callable[[Tally], None] | None = None,
) -> Outcome:
    """Makes `runs` runs, or fewer if an invariant breaks; shrinking gives the shortest violation.

    number: the seed. codes: violations that count. collect: go on after a violation and keep the shortest of each code.
    """
    began = time.monotonic()
    tally = Tally()
    first: list[tuple[int, int]] = []
    broken: list[Violation] = []
    violated_at: list[float] = []

    class Counted(Machine):
        def __init__(self) -> None:
            assume(not violated_at or time.monotonic() < violated_at[0] + SHRINK_SECONDS_MAX)
            super().__init__()

        def _broken(self, code: str, words: str) -> None:
            try:
                super()._broken(code, words)
            except Violation as violation:
                if not first:
                    first.append((tally.runs + 1, sum(tally.steps.values())))
                if not collect:
                    violated_at.append(time.monotonic())
                broken.append(violation)
                if not collect:
                    raise
                self.failed = False

    Counted.tally = tally
    Counted.codes = frozenset(codes) if codes is not None else None
    Counted.on_run = staticmethod(on_run) if on_run is not None else None
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    chosen = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(Counted), settings=chosen)
    except (Violation, Flaky):
        # A race that is lost once is lost: what was found counts, whether or not the same steps lead there again.
        if not broken:
            raise
    violation = min(broken, key=lambda candidate: (len(candidate.steps), str(candidate)), default=None)
    collected: dict[str, Violation] = {}
    for broken_run in sorted(broken, key=lambda candidate: len(candidate.steps), reverse=True):
        collected[broken_run.code] = broken_run
    run, taken = first[0] if first else (tally.runs, sum(tally.steps.values()))
    return Outcome(tally, violation, run, taken, time.monotonic() - began, collected)
