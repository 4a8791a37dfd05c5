"""Waiting for a condition, in one place, with patience for a machine that is busy with other things.

Tests name the condition, never a duration: the limit only ends a test that fails, and is many times what any machine
needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 600.0


def wait_until(condition: Callable[[], bool], *, pause_seconds: float = 0.01) -> None:
    """Returns as soon as the condition holds; fails when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so within {PATIENCE_SECONDS:.0f} s: {condition}"
        time.sleep(pause_seconds)


async def until(condition: Callable[[], Awaitable[bool]], *, pause_seconds: float = 0.05) -> None:
    """Does the same for a condition that is awaited."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not so within {PATIENCE_SECONDS:.0f} s: {condition}"
        await asyncio.sleep(pause_seconds)
