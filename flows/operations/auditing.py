"""Tips of the audit chain noted outside the database, read and noted now, for the command line and as jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.audit import Tip
from flows.config import TipConfig
from flows.tips import TipKeeper, read_tips

WEBHOOK_SECONDS = 5.0  # for the tip's receiver to answer


@dataclass(frozen=True, slots=True)
class ExpectedTips:
    """Tips that the chain must have. files: where they were noted; unreadable: lines of these files that are no
    tips."""

    tips: tuple[Tip, ...]
    files: tuple[Path, ...]
    unreadable: int

    @classmethod
    def read(cls, own: Path, expect: Sequence[str] = (), others: Sequence[Path] = ()) -> ExpectedTips:
        """Read our own file where there is one, further files, and single tips. Raises InvalidTip for what is no tip,
        OSError for a file that cannot be read."""
        files = (*([own] if own.exists() else []), *others)
        unreadable, tips = 0, [Tip.parse(words) for words in expect]
        for file in files:
            noted = read_tips(file)
            tips += noted.tips
            unreadable += noted.unreadable
        return cls(tuple(tips), files, unreadable)


async def checkpoint_audit(engine: AsyncEngine, config: TipConfig) -> tuple[Tip, bool]:
    """Note the newest record outside the database now, in our own file and to the receiver that is set. Returns it,
    and True if it had not been noted before. Raises OSError when the file cannot be written."""
    async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS, trust_env=False) as client:
        keeper = TipKeeper(engine, config, client)
        fresh = await keeper.note_now()
        return keeper.noted, fresh
