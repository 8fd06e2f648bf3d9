"""The first tables. A migration is frozen once released: it repeats the columns and imports nothing of ours."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import DATETIME

revision = "0001"
down_revision = None

OPTIONS: dict[str, Any] = {
    "if_not_exists": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Create the four tables."""
    _executions()
    _artifacts()
    _events()
    _decisions()


def _key() -> list[sa.Column[Any]]:
    return [
        sa.Column("uid", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", DATETIME(fsp=6), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
    ]


def _index(table: str, name: str, *columns: str) -> None:
    """Create an index where it is not there yet; MySQL, other than MariaDB, has no IF NOT EXISTS for it."""
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)


def _executions() -> None:
    op.create_table(
        "executions",
        *_key(),
        sa.Column("event", sa.String(63)),
        sa.Column("pipeline", sa.String(253)),
        sa.Column("revision", sa.String(253)),
        sa.Column("model", sa.String(253)),
        sa.Column("attempt", sa.Integer),
        sa.Column("reason", sa.String(63)),
        sa.Column("version", sa.String(253)),
        sa.Column("parameters", sa.JSON),
        sa.Column("data", sa.JSON, nullable=False),
        **OPTIONS,
    )
    _index("executions", "executions_by_name", "namespace", "name")
    _index("executions", "executions_by_pipeline", "namespace", "pipeline", "at")


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        *_key(),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("model", sa.String(253)),
        sa.Column("run", sa.String(253)),
        sa.Column("uri", sa.String(1024)),
        sa.Column("digest", sa.String(80)),
        sa.Column("format", sa.String(63)),
        sa.Column("metrics", sa.JSON),
        sa.Column("images", sa.JSON),
        sa.Column("data", sa.JSON, nullable=False),
        **OPTIONS,
    )
    _index("artifacts", "artifacts_by_name", "namespace", "name")
    _index("artifacts", "artifacts_by_model", "namespace", "model", "at")
    _index("artifacts", "artifacts_by_digest", "digest")


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("uid", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("dataset", sa.String(253)),
        sa.Column("uri", sa.String(1024)),
        sa.Column("digest", sa.String(80)),
        **OPTIONS,
    )
    _index("events", "events_by_digest", "digest")
    _index("events", "events_by_dataset", "dataset")


def _decisions() -> None:
    op.create_table(
        "decisions",
        *_key(),
        sa.Column("decision", sa.String(63)),
        sa.Column("verdict", sa.String(63)),
        sa.Column("actor", sa.String(253)),
        sa.Column("model", sa.String(253)),
        sa.Column("version", sa.String(253)),
        sa.Column("revision", sa.String(253)),
        sa.Column("digest", sa.String(80)),
        sa.Column("message", sa.Text),
        sa.Column("data", sa.JSON, nullable=False),
        **OPTIONS,
    )
    _index("decisions", "decisions_by_name", "namespace", "name", "at")
