"""Tells errors for want of a resource of ours from errors that are the claim's own.

Resource trouble says nothing about a claim: it is checked again later, however often that takes, and in the end again
after a person was asked (`flows.recheck`). Everything else counts against the claim, which a person gets after a few
attempts. A decoder that hits its own limits is not resource trouble: that is `vision.errors.ImageRefused`, a fact about
the file.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from flows.errors import RunLost, TaskTimedOut
from vision.errors import DecoderUnavailable, ReaderUnavailable, SearchTimedOut

STORED_PREFIX: Final = "ResourceTrouble"

_BY_ERRNO: Final = {
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.ENOMEM: "memory",
    errno.EMFILE: "open_files",
    errno.ENFILE: "open_files",
    errno.EAGAIN: "processes",
}
_BY_CLASS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (DecoderUnavailable, "decoder"),
    (ReaderUnavailable, "reader"),
    (SearchTimedOut, "search"),
    (RunLost, "prefect"),
    # By the clock, which runs on a machine that is too busy, too. What a claim itself makes us compute is limited by
    # CPU (`flows.computing`, and in the child processes).
    (TaskTimedOut, "time"),
    (MemoryError, "memory"),
    (PoolTimeout, "store"),
)
# By SQLSTATE: classes of connections, resources, operators' interventions (a statement's time limit is one) and the
# system's errors, and single codes of deadlocks, locks that did not come free, and a server that only reads.
_STORE_CLASSES: Final = frozenset({"08", "53", "57", "58"})
_STORE_STATES: Final = frozenset({"40001", "40P01", "55P03", "25006"})
# Messages of torch, OpenCV and threads in place of MemoryError.
_WORDS: Final = (
    ("can't allocate memory", "memory"),
    ("not enough memory", "memory"),
    ("Insufficient memory", "memory"),
    ("can't start new thread", "processes"),
)
# Names of errors as referrals kept them before their trouble was told apart. LeasedTooOften: leases that ran out, for
# whatever reason. Some names may stand for a claim's own fault, too; one more check finds that out.
_STORED_BEFORE: Final = frozenset(
    {
        "BlockingIOError",
        "BrokenPipeError",
        "CannotConnectNowError",
        "ConnectionAbortedError",
        "ConnectionDoesNotExistError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "DBAPIError",
        "DecoderUnavailable",
        "InterfaceError",
        "LeasedTooOften",
        "MemoryError",
        "OSError",
        "OperationalError",
        "PermissionError",
        "ReaderUnavailable",
        "SearchTimedOut",
        "TaskTimedOut",
        "TimeoutError",
        "TooManyConnectionsError",
    }
)


@dataclass(frozen=True, slots=True)
class ResourceTrouble:
    """A resource that was missing. resource: disk, memory, open_files, processes, decoder, reader, search, store,
    evidence, time or prefect."""

    resource: str

    @property
    def stored(self) -> str:
        """The text that a referral stores; `was_trouble` recognises it."""
        return f"{STORED_PREFIX}: {self.resource}"


def trouble_of(error: BaseException) -> ResourceTrouble | None:
    """Returns the resource that was missing, None where the error is the claim's own."""
    if isinstance(error, BaseExceptionGroup):
        parts = [trouble_of(part) for part in error.exceptions]
        return parts[0] if all(parts) else None  # one error of the claim's own in the group is enough
    for kind, resource in _BY_CLASS:
        if isinstance(error, kind):
            return ResourceTrouble(resource)
    if isinstance(error, DBAPIError):
        return ResourceTrouble("store") if store_lacks(error) else None
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, RuntimeError) or type(error).__module__ == "cv2":
        return next((ResourceTrouble(resource) for words, resource in _WORDS if words in str(error)), None)
    return None


def store_lacks(error: DBAPIError) -> bool:
    """True if the database is away, starting, full, too busy or out of time, rather than given a wrong statement."""
    if error.connection_invalidated or isinstance(error, OperationalError):
        return True
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state[:2] in _STORE_CLASSES or state in _STORE_STATES:
        return True
    cause = error.orig.__cause__ if error.orig is not None else None
    # asyncpg's own errors without a state: a connection that is closed or in use; but also a value that fits no column.
    if isinstance(cause, asyncpg.InterfaceError):
        return not isinstance(cause, ValueError)
    return isinstance(error, InterfaceError) and cause is None


def was_trouble(stored: str) -> bool:
    """True if an error as a referral stores it was for want of a resource."""
    return stored.startswith(STORED_PREFIX) or stored in _STORED_BEFORE


def _of_system(error: OSError) -> ResourceTrouble | None:
    if error.errno in _BY_ERRNO:
        return ResourceTrouble(_BY_ERRNO[error.errno])
    if isinstance(error, ConnectionError | TimeoutError) or error.errno is not None:
        # No name that a claimant gives becomes a path, so OSErrors are about our stores, never about a claim's file.
        return ResourceTrouble("evidence")
    return None  # Pillow's words about a picture come as an OSError without a number
