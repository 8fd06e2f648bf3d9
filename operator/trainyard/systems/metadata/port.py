"""The metadata database (MySQL): the record of what happened. The cluster is the truth; nothing is decided here."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class MetadataUnavailable(Exception):
    """The database did not take the rows; they wait in the object's status."""


class Row(Protocol):
    """The shape of `reconciling.plan.Record`, known here by structure only."""

    @property
    def uid(self) -> str:
        """The object's uid."""
        ...

    @property
    def sequence(self) -> int:
        """The row's number within the object; (uid, sequence) is unique."""
        ...

    @property
    def type(self) -> str:
        """run, artifact, version or decision."""
        ...

    @property
    def at(self) -> str:
        """RFC 3339 UTC."""
        ...

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        ...

    @property
    def name(self) -> str:
        """The object's name."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """The row's other columns and a JSON remainder."""
        ...


def replaces(new: Row, old: Row) -> bool:
    """Whether a row takes the place of the one with its key: a decision that says something else.

    Decisions are numbered on from the object's status. Where the number comes again, the status that the earlier one
    belongs to was never written: it was not decided so. All other rows are told again as they are, and the first stays.
    """
    return new.type == "decision" and dict(new.data) != dict(old.data)


class Metadata(Protocol):
    """One verb for the operator. No row is ever taken away; of two with one key see `replaces`."""

    async def record(self, rows: Sequence[Row]) -> None:
        """Insert rows whose key is not there yet, or is replaced; all or none.

        Raises MetadataUnavailable within seconds.
        """
        ...
