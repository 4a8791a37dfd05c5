"""Processes that die at their transactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class Died(Exception):
    """A process that was killed at one of its transactions."""


@dataclass
class Mortal:
    """Kills a process as it begins its n-th transaction from now, or just before it commits the first one that
    writes to a table. A dead process begins no transaction until it is revived.
    """

    engine: AsyncEngine
    left: int = 0  # 0: lives for ever
    table: str = ""
    wrote: Any = None  # the connection that has written there: it is its commit that is not reached
    dead: bool = False

    def __post_init__(self) -> None:
        event.listen(self.engine.sync_engine, "begin", self._begins)
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._executes)
        event.listen(self.engine.sync_engine, "commit", self._commits)

    def arm(self, at: int, table: str) -> None:
        """Arms the death: after a write to `table` if given, else at the n-th transaction."""
        self.left, self.table, self.wrote, self.dead = (0 if table else at), table, None, False

    def revive(self) -> bool:
        """Starts the process again; returns True if it had died."""
        died, self.left, self.table, self.wrote, self.dead = self.dead, 0, "", None, False
        return died

    def _begins(self, _: object) -> None:
        if self.dead:
            raise Died
        if self.left:
            self.left -= 1
            if self.left == 0:
                self.dead = True
                raise Died

    def _executes(self, conn: object, _: object, statement: str, *__: object) -> None:
        if self.table and statement.startswith((f"INSERT INTO {self.table} ", f"UPDATE {self.table} ")):
            self.wrote = conn

    def _commits(self, conn: object) -> None:
        if self.dead or conn is self.wrote:
            self.dead = True
            raise Died
