"""Migration of the library's schema, as `api.migrations` applies it; independent of the claims store's.

The server must offer the extension `vector` (pgvector 0.8 or later), and the user must be allowed to create it once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vision.library.tables import metadata

__all__ = ["AFTER", "LOCK", "SCRIPTS", "VERSION_TABLE", "metadata"]

VERSION_TABLE: Final = "alembic_version_library"
LOCK: Final = 0x6D696170  # other than the store's
SCRIPTS: Final = Path(__file__).parent / "migrations"
AFTER: Final = ()
