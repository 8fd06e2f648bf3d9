"""The metadata database as a dict: the `Metadata` port for tests, with the database's outage as a lever.

It passes the contract suite of the real client (`tests/contracts/test_metadata.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from trainyard.systems.metadata.port import MetadataUnavailable, Row, replaces


@dataclass
class FakeMetadata:
    """Rows by (uid, sequence); of two see `replaces`. `away`: nothing is taken. `attempts` counts the calls."""

    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    away: bool = False
    attempts: int = 0

    async def record(self, rows: Sequence[Row]) -> None:
        """Keep the rows whose key is not there yet or that replace it, all or none."""
        self.attempts += 1
        if self.away:
            raise MetadataUnavailable("the database does not answer")
        for row in rows:
            key = (row.uid, row.sequence)
            if key not in self.rows or replaces(row, self.rows[key]):
                self.rows[key] = row

    def of(self, uid: str) -> tuple[Row, ...]:
        """Return an object's rows in the order of their sequence numbers."""
        return tuple(self.rows[key] for key in sorted(self.rows) if key[0] == uid)
