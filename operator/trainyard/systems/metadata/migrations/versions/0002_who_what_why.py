"""Who asked for a run, and with what it ran. Frozen once released; every step bears to be run again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns to executions, and the indexes that questions use."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("executions")}
    for column in _columns():
        if column.name not in there:
            op.add_column("executions", column)
    _index("executions", "executions_by_requester", "namespace", "requested_by", "at")
    _index("decisions", "decisions_by_version", "namespace", "version", "at")


def _columns() -> list[sa.Column[str]]:
    return [
        sa.Column("requested_by", sa.String(253)),
        sa.Column("trigger_type", sa.String(16)),
        sa.Column("trigger_name", sa.String(63)),
        sa.Column("experiment", sa.String(128)),
        sa.Column("engine", sa.String(16)),
        sa.Column("engine_id", sa.String(64)),
        sa.Column("package_digest", sa.String(80)),
        sa.Column("images", sa.JSON),
    ]


def _index(table: str, name: str, *columns: str) -> None:
    """Create an index where it is not there yet; MySQL, other than MariaDB, has no IF NOT EXISTS for it."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
