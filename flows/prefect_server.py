"""Points Prefect's client at a server, and tells which of its errors are the server's; the one place that knows how."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import httpx
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectException
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_EVENTS_WORKER_MAX_QUEUE_SIZE,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from flows.config import PrefectConfig

T = TypeVar("T")

# Errors that Prefect's client raises for a server that is away, overloaded, half dead or inconsistent.
SERVER_ERRORS: Final = (PrefectException, httpx.HTTPError, OSError, TimeoutError)
# The same and, for an answer that is no JSON or of a shape that the client does not know (a newer server), ValueError.
ANSWER_ERRORS: Final = (*SERVER_ERRORS, ValueError)


def failed_there(error: Exception) -> bool:
    """Returns True for an answer by which the server says that it failed itself."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error


async def again(
    request: Callable[[], Awaitable[T]],
    *,
    tries_max: int,
    pause_seconds: float,
    passing: Callable[[Exception], bool] = failed_there,
) -> T:
    """Make a request that may be made again, until it succeeds or has failed `tries_max` times. passing: True for an
    error that may be gone the next time; any other is raised at once."""
    for _ in range(tries_max - 1):
        try:
            return await request()
        except ANSWER_ERRORS as error:
            if not passing(error):
                raise
        await asyncio.sleep(pause_seconds)
    return await request()


def address_settings(config: PrefectConfig) -> dict[Any, Any]:
    """Returns Prefect's settings for where its server is and what opens it."""
    settings: dict[Any, Any] = {PREFECT_API_URL: config.api_url}
    if config.api_key:
        settings[PREFECT_API_KEY] = config.api_key
    if config.auth_string:
        settings[PREFECT_API_AUTH_STRING] = config.auth_string
    if config.ssl_cert_file is not None:
        settings[PREFECT_API_SSL_CERT_FILE] = str(config.ssl_cert_file)
    return settings


@contextlib.contextmanager
def client_settings(config: PrefectConfig) -> Iterator[None]:
    """Points Prefect's client, in this process, at the server of `config` for as long as the context lasts."""
    settings: dict[Any, Any] = {
        **address_settings(config),
        PREFECT_API_REQUEST_TIMEOUT: config.request_timeout_seconds,
        PREFECT_CLIENT_MAX_RETRIES: 0,
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
        PREFECT_EVENTS_WORKER_MAX_QUEUE_SIZE: config.events_queue_max,
        # Over plain HTTP no certificate is looked at; yet each client that the engine makes would load them all.
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY: config.api_url.startswith("http://"),
        PREFECT_LOGGING_TO_API_ENABLED: False,  # a claim's log lines reach Prefect by our own selection, if at all
    }
    with temporary_settings(settings):
        yield


async def let_events_go(seconds_max: float) -> None:
    """Wait until the events of this process are sent, and drop those that are not by then.

    Otherwise the interpreter would not end before each of them had been tried for seconds, on a server that is away.
    """
    workers = list(EventsWorker._instances.values())  # type: ignore[misc]
    waiting = EventsWorker.drain_all(timeout=seconds_max)
    if not isinstance(waiting, tuple):
        await waiting
    for worker in workers:
        with contextlib.suppress(queue.Empty):
            while True:
                worker._queue.get_nowait()
        worker._queue.put_nowait(None)  # ends it
