"""Logging of every process of the stack: one JSON object a line on standard error.

An error is logged by kind, codes and places (`claims.faults`), never by its words, whoever logs it: our own log, a
library's, or the interpreter at the end of a process. Text that libraries write is logged as its unfilled template.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import structlog

from claims.faults import fault, places

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from threading import ExceptHookArgs

# How messages begin that libraries put together before they log them, so that no template is left to tell.
_OPENINGS: Final = (
    "Exception in ASGI application",
    "Exception in callback",
    "Exception in 'lifespan' protocol",
    "Task exception was never retrieved",
    "Future exception was never retrieved",
    "Task was destroyed but it is pending",
    "Unclosed connection",
    "Unhandled exception",
    "Invalid HTTP request received.",
    "ASGI callable returned without",
    "Cancel ",
)
_WARNED: Final = re.compile(r"\S+:\d+: \w+")
_log = structlog.get_logger("process")


def configure() -> None:
    """Log JSON lines without the words of errors, which may quote data. Call it once, first thing in a process that
    logs to a file."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_words,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the one of the moment
    )
    # Before any handler: libraries bring their own handlers and formatters, which would print what they are given.
    logging.setLogRecordFactory(_Record)
    logging.captureWarnings(True)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Line())
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)
    sys.excepthook = ended_by
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread_ended


def without_words(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: every exception among the values becomes its kind and place, `exc_info` the whole way."""
    raised = _exception(event.pop("exc_info", None))
    for name, value in event.items():
        if isinstance(value, BaseException):
            event[name] = fault(value)
    if raised is not None:
        event["error"] = fault(raised)
        event["places"] = places(raised)
    return event


def ended_by(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log kind and places of the error that ends the process; an `excepthook`."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("ended by an error", exc_info=error)


def _thread_ended(args: ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _log.error("a thread ended by an error", exc_info=args.exc_value)


def _unraisable(args: UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        _log.error("an error that nobody could catch", exc_info=args.exc_value)


def _exception(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return info[1] if isinstance(info[1], BaseException) else None
    return sys.exception() if info else None


class _Line(logging.Formatter):
    """Formats records of libraries like our own lines."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat()
        told = {"event": record.getMessage(), "level": record.levelname.lower(), "timestamp": at, "logger": record.name}
        return json.dumps(told | {"place": f"{record.module}:{record.lineno}"}, ensure_ascii=False)


class _Record(logging.LogRecord):
    """A record of the standard library's logging, made safe before any handler reads it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raised = _exception(self.exc_info)
        self.msg = _text(self.name, self.msg, self.args)
        if raised is not None:
            self.msg += f" ({fault(raised)}; {' > '.join(places(raised))})"
        self.args = ()
        self.exc_info = self.exc_text = self.stack_info = None


def _text(name: str, message: object, arguments: object) -> str:
    if isinstance(message, BaseException):
        return fault(message)
    text = str(message)
    if name == "py.warnings":
        warned = _WARNED.match(text)
        return warned[0] if warned else "a warning"
    if arguments:
        return text.splitlines()[0] if text else ""  # the template; its gaps stay gaps
    return next((opening for opening in _OPENINGS if text.startswith(opening)), "(text withheld)")
