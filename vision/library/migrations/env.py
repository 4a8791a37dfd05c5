"""Run by Alembic: migrates over the connection, and in the transaction, that `vision.library.migrate` has opened."""

from __future__ import annotations

from alembic import context

from vision.library.migrate import VERSION_TABLE
from vision.library.tables import metadata


def _mine(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    """The claims store keeps tables of its own in the same database: they are none of this schema's business."""
    return kind != "table" or name in metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_object=_mine,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
