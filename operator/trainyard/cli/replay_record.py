"""The canaries of a Rollout as the record in MySQL tells them: also those that its status has forgotten."""

from trainyard.cli.lineage_record import LIMIT, database
from trainyard.cli.problem import Problem
from trainyard.cli.replay_past import Tried, recorded
from trainyard.systems.metadata import reading
from trainyard.systems.metadata.port import MetadataUnavailable


async def tried(address: str, namespace: str, rollout: str) -> list[Tried]:
    """Read a Rollout's decisions and return its canaries, newest first. Raises Problem."""
    client = database(address)
    try:
        async with client.reading(migrated=False) as connection:
            rows = await reading.decisions_of(connection, namespace, name=rollout, limit=LIMIT)
    except MetadataUnavailable as error:
        raise Problem(f"The record: {error}. Without --database the Rollout's own history is asked.") from error
    finally:
        await client.close()
    return recorded([vars(row) for row in reversed(rows)])
