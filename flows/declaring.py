"""Declares flows and tasks in Prefect's words, on functions that run with or without Prefect.

`@task` and `@flow` keep what Prefect's own decorators keep (name, description, tags, retries, pause, timeout) and leave
the function a plain one: calling it runs it here, at once, without asking any server. A timeout and retries hold all
the same, and each call is recorded where the run is shown (`flows.run_record`), from where Prefect's server gets it as
a task run of that name (docs/decisions/0031-tasks-are-reported.md).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

from flows import run_record
from flows.errors import TaskTimedOut
from flows.run_record import TaskOptions

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class DeclaredTask(Generic[P, T]):
    """A function declared as a task. Raises TaskTimedOut when a run takes too long, and whatever the function raises
    once no retry is left."""

    fn: Callable[P, Awaitable[T]]
    options: TaskOptions
    retry_on: tuple[type[BaseException], ...] = ()
    retry_if: Callable[[Any], bool] = field(default=lambda error: True)  # noqa: ARG005  (of every `retry_on`)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        with run_record.calling(self.options):
            for _ in range(self.options.retries):
                try:
                    return await self._once(*args, **kwargs)
                except self.retry_on as error:
                    if not self.retry_if(error):
                        raise
                    run_record.retried(error, self.options.retry_delay_seconds)
                await asyncio.sleep(self.options.retry_delay_seconds)
                run_record.retrying()
            return await self._once(*args, **kwargs)

    async def _once(self, *args: P.args, **kwargs: P.kwargs) -> T:
        timer = asyncio.timeout(self.options.timeout_seconds)
        try:
            async with timer:
                return await self.fn(*args, **kwargs)
        except TimeoutError as error:
            if not timer.expired():
                raise  # somebody else's
            raise TaskTimedOut(f"{self.options.name} took over {self.options.timeout_seconds} s") from error


@dataclass(frozen=True)
class DeclaredFlow(Generic[P, T]):
    """A function declared as a flow. tasks: in the order in which it calls them, for whoever draws it."""

    fn: Callable[P, Awaitable[T]]
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    tasks: tuple[DeclaredTask[..., Any], ...] = ()

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.fn(*args, **kwargs)


def task(
    *,
    name: str,
    tags: Sequence[str] = (),
    retries: int = 0,
    retry_delay_seconds: float = 0.0,
    timeout_seconds: float | None = None,
    retry_on: tuple[type[BaseException], ...] = (),
    retry_if: Callable[[Any], bool] = lambda error: True,  # noqa: ARG005
) -> Callable[[Callable[P, Awaitable[T]]], DeclaredTask[P, T]]:
    """Declare a function as a task; its docstring is the description."""

    def declare(fn: Callable[P, Awaitable[T]]) -> DeclaredTask[P, T]:
        words = inspect.getdoc(fn) or ""
        key = f"{fn.__module__}.{fn.__qualname__}"
        options = TaskOptions(name, key, words, tuple(tags), retries, retry_delay_seconds, timeout_seconds)
        return DeclaredTask(fn, options, retry_on, retry_if)

    return declare


def flow(
    *, name: str, tags: Sequence[str] = (), tasks: Sequence[DeclaredTask[..., Any]] = ()
) -> Callable[[Callable[P, Awaitable[T]]], DeclaredFlow[P, T]]:
    """Declare a function as a flow; its docstring is the description."""

    def declare(fn: Callable[P, Awaitable[T]]) -> DeclaredFlow[P, T]:
        return DeclaredFlow(fn, name, inspect.getdoc(fn) or "", tuple(tags), tuple(tasks))

    return declare
