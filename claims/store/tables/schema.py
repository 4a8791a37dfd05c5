"""The schema that all tables of the store belong to."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def time_column(name: str, *, nullable: bool = False) -> Column[object]:
    """Return a column of times, which are UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)
