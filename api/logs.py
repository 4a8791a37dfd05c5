"""How every process of the stack logs: one JSON object a line on standard error."""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """JSON lines; tracebacks without local variables, which could hold people's data."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
