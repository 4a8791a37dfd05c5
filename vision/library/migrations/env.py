"""Run by Alembic. Connection, tables and version table come from the caller (`api.migrations.config`)."""

from __future__ import annotations

from alembic import context

context.config.attributes["run"]()
