"""Logged errors carry kinds, codes and places, but not messages, which quote people's data."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WORD = "KANARI-4711"


def test_every_engine_hides_the_values_of_its_statements() -> None:
    made = 0
    for folder in ("api", "claims", "flows", "vision", "models", "fixtures", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ("create_async_engine", "create_engine")
                ):
                    made += 1
                    assert "hide_parameters" in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"
    assert made >= 5


def test_no_error_is_logged_by_its_words() -> None:
    """`error=error` is logged by kind and place; `error=str(error)` would log the data that its message quotes."""
    for folder in ("api", "claims", "flows", "vision"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                    told = [ast.unparse(value) for value in (*node.args, *(keyword.value for keyword in node.keywords))]
                    assert not any("str(error" in expression or "repr(error" in expression for expression in told), (
                        f"{path}:{node.lineno}"
                    )


def told(code: str) -> list[dict[str, Any]]:
    """Returns the log lines of a process that runs `code` with logging configured; fails if the secret word leaks."""
    start = f"from api.logs import configure; configure(); WORD = {WORD!r}\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == ""
    assert WORD not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_an_error_in_our_own_log_is_told_by_kind_and_place() -> None:
    code = """
import structlog
from claims.money import Money
try:
    Money(WORD, "CNY") + Money(1, "USD")
except Exception as error:
    structlog.get_logger().error("broken", exc_info=error)
    structlog.get_logger().warning("away", error=error)
    structlog.get_logger().warning("now", exc_info=True)
"""
    first, second, third = told(code)
    assert "at claims/money.py:" in first["error"]
    assert any(place.startswith("claims/money.py:") for place in first["places"])
    assert second["error"] == first["error"] == third["error"]


def test_a_cause_is_told_by_its_kind() -> None:
    code = """
import structlog
try:
    try:
        raise ConnectionRefusedError(111, WORD)
    except OSError as error:
        raise KeyError(WORD) from error
except KeyError as error:
    structlog.get_logger().error("broken", error=error)
"""
    (line,) = told(code)
    assert line["error"].startswith("KeyError")
    assert line["error"].endswith("< ConnectionRefusedError ECONNREFUSED")


def test_what_libraries_log_keeps_its_template_and_loses_its_values() -> None:
    code = """
import logging, warnings
log = logging.getLogger("some.library")
log.setLevel("DEBUG")
log.error("cannot send %s to %r", WORD, WORD)
log.error(f"cannot send {WORD}")
log.error(ValueError(WORD))
try:
    int(WORD)
except ValueError:
    log.exception("no number: %s", WORD, stack_info=True)
own = logging.StreamHandler()
own.setFormatter(logging.Formatter('{"event": "%(message)s %(exc_text)s"}'))
other = logging.getLogger("other")
other.propagate, other.handlers = False, [own]
try:
    int(WORD)
except ValueError:
    other.exception("no number in " + WORD)
warnings.warn("do not use " + WORD)
"""
    lines = [line["event"] for line in told(code)]
    assert lines[0] == "cannot send %s to %r"
    assert lines[1] == "(text withheld)"
    assert lines[2] == "ValueError"
    assert lines[3].startswith("no number: %s (ValueError")
    assert lines[4].startswith("(text withheld) (ValueError")
    assert lines[5].endswith("UserWarning")


def test_what_asyncio_and_uvicorn_say_is_told_from_its_fixed_beginning() -> None:
    code = """
import asyncio, gc

async def fails():
    raise RuntimeError(WORD)

async def main():
    asyncio.create_task(fails())
    asyncio.get_running_loop().call_soon(lambda word: int(word), WORD)
    await asyncio.sleep(0.05)
    gc.collect()

asyncio.run(main())
"""
    events = sorted(line["event"] for line in told(code))
    assert events[0].startswith("Exception in callback (ValueError")
    assert events[1].startswith("Task exception was never retrieved (RuntimeError")


def test_the_end_of_a_process_and_of_a_thread_are_told_the_same_way() -> None:
    code = """
import threading
def work():
    raise ValueError(WORD)
thread = threading.Thread(target=work)
thread.start()
thread.join()
class Broken:
    def __del__(self):
        raise ValueError(WORD)
Broken()
raise LookupError(WORD)
"""
    thread, unraisable, end = told(code)
    assert (thread["event"], thread["error"][:10]) == ("a thread ended by an error", "ValueError")
    assert unraisable["error"].startswith("ValueError")
    assert (end["event"], end["error"][:11]) == ("ended by an error", "LookupError")


def test_a_command_that_breaks_tells_kind_and_place() -> None:
    code = f"""
import sys
import api.commands.casework as casework
from api import cli

@cli.app.command()
def broken() -> None:
    raise ValueError({WORD!r})

sys.argv = ["miaopei", "broken"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 1
    assert WORD not in done.stdout + done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["error"].startswith("ValueError")
