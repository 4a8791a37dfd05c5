"""Prefect's command line with one repair: `python -m api.prefect_command server start ...`.

Prefect 3.8.8 inserts the runs of schedules in bulk, with their state under a key that is a hybrid attribute. SQLAlchemy
2.0 leaves such a key out; 2.1 refuses the statement, and no schedule ever makes a run. Here the attribute is told to
leave it out again, as `bulk_dml` of SQLAlchemy 2.1 is for.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import sqlalchemy
from prefect.cli import app
from prefect.server.database.orm_models import FlowRun


def _left_out(_cls: type[Any], _mapping: MutableMapping[str, Any], _value: object) -> None:
    """Leave the state of a run out of a bulk insert; Prefect inserts it by a statement of its own."""


def repair() -> None:
    """Let runs of schedules be inserted, where the attribute is as Prefect 3.8.8 has it."""
    state = sqlalchemy.inspect(FlowRun).all_orm_descriptors.get("state")
    if getattr(state, "bulk_dml_setter", state) is None:
        state.inplace.bulk_dml(_left_out)  # type: ignore[union-attr]


def main() -> None:
    repair()
    app()


if __name__ == "__main__":
    main()
