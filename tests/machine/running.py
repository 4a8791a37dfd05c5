"""Starts the house once and lets the machine loose in it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.house import house
from tests.machine.machine import Machine, Tally
from tests.machine.model import Violation

STEPS = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """violation: None where every run held. run: the run in which it was found first. steps: taken by then."""

    tally: Tally
    violation: Violation | None
    run: int
    steps: int
    seconds: float


@contextlib.contextmanager
def started(measured: Path | None = None) -> Iterator[None]:
    """The house, for as many calls of `hunt` as follow."""
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
    on_run: Callable[[Tally], None] | None = None,
) -> Outcome:
    """As many runs, or fewer if an invariant breaks; with shrinking the violation is the smallest that was found.

    number: the seed. codes: violations that count.
    """
    began = time.monotonic()
    tally = Tally()
    first: list[tuple[int, int]] = []
    broken: list[Violation] = []

    class Counted(Machine):
        def _broken(self, code: str, words: str) -> None:
            try:
                super()._broken(code, words)
            except Violation as violation:
                if not first:
                    first.append((tally.runs + 1, sum(tally.steps.values())))
                broken.append(violation)
                raise

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
    violation = min(broken, key=lambda one: (len(one.steps), str(one)), default=None)
    run, taken = first[0] if first else (tally.runs, sum(tally.steps.values()))
    return Outcome(tally, violation, run, taken, time.monotonic() - began)
