"""The schema of the store, as `api.migrations` brings it up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from claims.store import guard
from claims.store.tables import metadata

__all__ = ["AFTER", "LOCK", "SCRIPTS", "VERSION_TABLE", "metadata"]

VERSION_TABLE: Final = "alembic_version_claims"
LOCK: Final = 0x6D69616F
SCRIPTS: Final = Path(__file__).parent / "migrations"
AFTER: Final = (guard.install,)
