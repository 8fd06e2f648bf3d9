"""`trainyard lineage` from the record: a real database, rows as the operator writes them, also of what was pruned."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.free_ports import free_port
from tests.contracts.test_metadata import ARTIFACT, DATASET, END, FAILED, RUN, VERSION, decision
from tests.servers.running import Database, mariadb
from trainyard.cli import lineage, lineage_record
from trainyard.cli.lineage import Dataset, Decision
from trainyard.cli.problem import Problem
from trainyard.systems.metadata.client import MySQLMetadata

pytestmark = pytest.mark.servers

LATER = replace(RUN, uid="uid-9", name="digits-2", at="2026-01-02T10:00:00Z")
PROMOTED = decision(1, "2026-01-01T14:00:00Z", decision="Promoted", by="ada", message="all steps passed")


@pytest.fixture(scope="module")
def running() -> Iterator[Database]:
    with mariadb() as database:
        yield database


def _url(database: Database, password: str | None = None) -> str:
    return f"mysql://{database.user}:{password or database.password}@127.0.0.1:{database.port}/{database.name}"


async def test_the_three_questions_from_the_record(running: Database) -> None:
    with pytest.raises(Problem, match="Without --database the cluster alone is asked"):
        await lineage_record.facts(_url(running), "team")  # it makes no tables
    client = MySQLMetadata("127.0.0.1", running.port, running.name, running.user, running.password)
    await client.record((RUN, FAILED, END, ARTIFACT, VERSION, PROMOTED, LATER))
    await client.close()
    facts = await lineage_record.facts(_url(running), "team")
    assert await lineage_record.facts(_url(running), "elsewhere") == lineage.Facts()
    (version,) = lineage.of_model(facts, "digits", ["record"]).versions
    assert version.datasets == (Dataset("digits", DATASET["uri"], DATASET["digest"]),)
    assert version.metrics == {"auc": "0.97"}
    answer = lineage.of_dataset(facts, DATASET["digest"], ["record"])
    assert ([v.name for v in answer.versions], [r.name for r in answer.runs]) == (["digits-1"], ["digits-1"])
    assert [r.name for r in lineage.of_dataset(facts, "digits", ["record"]).runs] == ["digits-2", "digits-1"]
    answer = lineage.of_run(facts, "digits-1", ["record"])
    (run,) = answer.runs
    assert (run.at, run.state, run.attempts) == ("2026-01-01T10:00:00Z", "Succeeded", ("OutOfMemory",))
    assert (run.requested_by, run.trigger, run.experiment) == ("ada", "Schedule nightly", "wide")
    assert (run.description, run.parameters, run.version) == ("after the fix", {"epochs": 3}, "digits-1")
    assert answer.decisions == (
        Decision("2026-01-01T14:00:00Z", "Promoted", "", "ada", "digits-1", "all steps passed"),
    )
    (running_still,) = lineage.of_run(facts, "digits-2", ["record"]).runs
    assert running_still.state == "Started"


async def test_a_record_that_is_away_or_closed_is_a_sentence_without_secrets(running: Database) -> None:
    for url in (_url(running, "wr0ng"), f"mysql://who:wr0ng@127.0.0.1:{free_port()}/trainyard"):
        with pytest.raises(Problem, match="The record: the database does not answer") as caught:
            await lineage_record.facts(url, "team")
        assert "wr0ng" not in str(caught.value)
