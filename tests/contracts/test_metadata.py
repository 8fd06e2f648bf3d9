"""One suite for the `Metadata` port, on the fake and on a real MariaDB; and what only a database can do."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, select, text

from local.free_ports import free_port
from tests.fakes.metadata import FakeMetadata
from tests.servers.running import Database, mariadb
from trainyard.reconciling.plan import Record
from trainyard.systems.metadata import client
from trainyard.systems.metadata.client import MySQLMetadata
from trainyard.systems.metadata.migrations import current, migrate
from trainyard.systems.metadata.port import Metadata, MetadataUnavailable
from trainyard.systems.metadata.reading import DatasetRow, decisions_of, runs, versions
from trainyard.systems.metadata.tables import artifacts, decisions, executions

AT = "2026-01-01T10:00:00.123456Z"
DATASET = {"name": "digits", "uri": "s3://trainyard/data/digits/", "digest": "sha256:" + "d" * 64}

RUN = Record(
    "uid-1", 1, "run", AT, "team", "digits-1",
    {"event": "Started", "pipeline": "digits", "model": "digits", "revision": "digits-abc", "attempt": 1,
     "parameters": {"epochs": 3}, "datasets": [{"name": "digits", "uri": DATASET["uri"]}], "requestedBy": "ada",
     "trigger": {"type": "Schedule", "name": "nightly", "slot": "2026-01-01T02:00Z"}, "experiment": "wide",
     "description": "after the fix", "engine": "kubeflow", "engineId": "7d2f", "packageDigest": "sha256:" + "b" * 64},
)  # fmt: skip
END = Record(
    "uid-1", 2, "run", "2026-01-01T11:00:00Z", "team", "digits-1",
    {**RUN.data, "event": "Finished", "reason": "Succeeded", "modelVersion": "digits-1", "datasets": [DATASET],
     "images": ["sha256:" + "1" * 64]},
)  # fmt: skip
FAILED = Record(
    "uid-1", 101, "run", "2026-01-01T10:30:00Z", "team", "digits-1",
    {"event": "AttemptFailed", "pipeline": "digits", "attempt": 1, "engineId": "7d2f", "reason": "OutOfMemory",
     "message": "train: OOMKilled"},
)  # fmt: skip
ARTIFACT = Record(
    "uid-1", 3, "artifact", "2026-01-01T11:00:00Z", "team", "digits-1",
    {"uri": "s3://trainyard/team/digits/digits-1/1/", "digest": "sha256:" + "a" * 64, "format": "SavedModel",
     "sizeBytes": 12, "metrics": {"auc": "0.97"}, "run": "digits-1"},
)  # fmt: skip
VERSION = Record(
    "uid-2", 1, "version", "2026-01-01T11:00:01Z", "team", "digits-1",
    {"model": "digits", "run": "digits-1", "uri": ARTIFACT.data["uri"], "digest": ARTIFACT.data["digest"],
     "format": "SavedModel", "metrics": {"auc": "0.97"}, "images": ["example/trainer@sha256:1"],
     "datasets": [DATASET]},
)  # fmt: skip


OLD_ROW = text(
    "INSERT INTO executions (uid, sequence, at, namespace, name, event, data)"
    " VALUES (:uid, :sequence, :at, :namespace, :name, 'Started', '{}')"
)


def decision(sequence: int, at: str, **data: Any) -> Record:
    return Record("uid-3", sequence, "decision", at, "team", "digits", {"version": "digits-1", **data})


@pytest.fixture(scope="module")
def running() -> Iterator[Database]:
    with mariadb() as database:
        yield database


@pytest.fixture
async def real(running: Database) -> AsyncIterator[MySQLMetadata]:
    """The client on an empty database."""
    made = MySQLMetadata("127.0.0.1", running.port, running.name, running.user, running.password)
    async with made._engine.begin() as connection:
        await connection.execute(text(f"DROP DATABASE {running.name}"))
        await connection.execute(text(f"CREATE DATABASE {running.name}"))
    await made._engine.dispose()
    yield made
    await made.close()


@pytest.fixture(params=["fake", pytest.param("mariadb", marks=pytest.mark.servers)])
def metadata(request: pytest.FixtureRequest) -> Metadata:
    return FakeMetadata() if request.param == "fake" else request.getfixturevalue("real")


async def keys(metadata: Metadata) -> set[tuple[str, int]]:
    if isinstance(metadata, FakeMetadata):
        return set(metadata.rows)
    assert isinstance(metadata, MySQLMetadata)
    found: set[tuple[str, int]] = set()
    async with metadata.reading() as connection:
        for table in (executions, artifacts, decisions):
            rows = await connection.execute(select(table.c.uid, table.c.sequence))
            found |= {(row.uid, row.sequence) for row in rows}
    return found


ALL = (RUN, END, ARTIFACT, VERSION, decision(1, AT, decision="StepStarted", weight=10))


async def test_rows_are_kept(metadata: Metadata) -> None:
    await metadata.record(ALL)
    assert await keys(metadata) == {(r.uid, r.sequence) for r in ALL}


async def told(metadata: Metadata) -> list[tuple[str, datetime]]:
    """Every decision and its time, in order."""
    if isinstance(metadata, FakeMetadata):
        kept = [row for row in metadata.rows.values() if row.type == "decision"]
        return [(str(row.data["decision"]), datetime.fromisoformat(row.at)) for row in kept]
    assert isinstance(metadata, MySQLMetadata)
    async with metadata.reading() as connection:
        return [(row.decision, row.at) for row in reversed(await decisions_of(connection, "team"))]


async def test_a_later_decision_takes_the_place_of_the_one_with_its_key(metadata: Metadata) -> None:
    first, later = datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC)
    await metadata.record((decision(6, first.isoformat(), decision="WeightSet", weight=20),))
    await metadata.record((decision(6, later.isoformat(), decision="WeightSet", weight=20),))
    assert await told(metadata) == [("WeightSet", first)], "an equal one changes nothing, its time neither"
    aborted = decision(6, later.isoformat(), decision="Aborted", by="ada")
    await metadata.record((aborted, decision(7, later.isoformat(), decision="Resumed")))
    assert await told(metadata) == [("Aborted", later), ("Resumed", later)]
    if isinstance(metadata, MySQLMetadata):
        async with metadata.reading() as connection:
            replaced = (await decisions_of(connection, "team"))[-1]
        assert (replaced.actor, replaced.data) == ("ada", aborted.data)


async def test_of_two_decisions_told_at_once_the_later_is_kept(metadata: Metadata) -> None:
    await metadata.record((decision(6, AT, decision="WeightSet"), decision(6, AT, decision="Aborted")))
    assert [name for name, _ in await told(metadata)] == ["Aborted"]


async def test_rows_told_again_are_kept_once_and_the_first_stays(metadata: Metadata) -> None:
    await metadata.record(ALL[:2])
    await metadata.record((*ALL, replace(ALL[0], at="2026-01-02T00:00:00Z", data={})))
    assert await keys(metadata) == {(r.uid, r.sequence) for r in ALL}
    if isinstance(metadata, MySQLMetadata):
        async with metadata.reading() as connection:
            first = (await runs(connection, "team"))[-1]
        assert (first.event, first.parameters) == ("Started", {"epochs": 3})


async def test_no_rows_are_no_work(metadata: Metadata) -> None:
    await metadata.record(())
    assert await keys(metadata) == set()


async def test_the_fake_away_takes_nothing() -> None:
    fake = FakeMetadata(away=True)
    with pytest.raises(MetadataUnavailable):
        await fake.record(ALL)
    fake.away = False
    assert fake.rows == {}


# ---- what only a database can do ----


@pytest.mark.servers
async def test_all_rows_or_none(real: MySQLMetadata) -> None:
    await real.record(ALL[:1])
    async with real._engine.begin() as connection:
        await connection.execute(text("DROP TABLE decisions"))
    with pytest.raises(MetadataUnavailable, match="refuses"):
        await real.record(ALL)
    async with real.reading() as connection:
        assert [(r.uid, r.event) for r in await runs(connection, "team")] == [("uid-1", "Started")]
        assert await versions(connection, "team") == ()


@pytest.mark.servers
async def test_a_row_that_is_none_is_refused_and_stops_nobody_else(real: MySQLMetadata) -> None:
    for bad in (replace(RUN, at="yesterday"), replace(RUN, at="2026-01-01T00:00:00"), replace(RUN, type="poem")):  # type: ignore[arg-type] # on purpose
        with pytest.raises(MetadataUnavailable, match="cannot be written"):
            await real.record((VERSION, bad))
    with pytest.raises(MetadataUnavailable, match="refuses"):
        await real.record((replace(RUN, uid="u" * 65),))
    await real.record((RUN,))
    assert await keys(real) == {("uid-1", 1)}


@pytest.mark.servers
async def test_long_and_odd_text_fits(real: MySQLMetadata) -> None:
    odd = decision(1, AT, decision="x" * 500, message="漢😀\0'\"\\%s" * 2000, by=["a"], verdict=None, version=7)
    await real.record((odd,))
    async with real.reading() as connection:
        (row,) = await decisions_of(connection, "team", name="digits")
    assert row.decision == "x" * 63
    assert row.message == ("漢😀\0'\"\\%s" * 2000)[:4096]
    assert row.data["message"] == odd.data["message"]
    assert (row.actor, row.version, row.verdict) == ('["a"]', "7", "")


@pytest.mark.servers
async def test_which_run_made_a_version_from_what(real: MySQLMetadata) -> None:
    await real.record(ALL)
    async with real.reading() as connection:
        (version,) = await versions(connection, "team", version="digits-1")
        assert version.run == "digits-1"
        assert version.parameters == {"epochs": 3}
        assert version.images == ("example/trainer@sha256:1",)
        assert [(d.dataset, d.digest) for d in version.datasets] == [("digits", DATASET["digest"])]
        assert version.at == datetime(2026, 1, 1, 11, 0, 1, tzinfo=UTC)
        for dataset in ("digits", DATASET["digest"], DATASET["uri"]):
            assert [v.name for v in await versions(connection, "team", dataset=dataset)] == ["digits-1"]
        assert await versions(connection, "team", dataset="other") == ()
        assert await versions(connection, "elsewhere") == ()
        started, ended = reversed(await runs(connection, "team", pipeline="digits"))
    assert (started.event, started.at) == ("Started", datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC))
    assert (ended.reason, ended.version) == ("Succeeded", "digits-1")


@pytest.mark.servers
async def test_who_asked_for_a_run_why_and_with_what(real: MySQLMetadata) -> None:
    await real.record((RUN, FAILED, END))
    async with real.reading() as connection:
        ended, failed, started = await runs(connection, "team", run="digits-1")
        assert await runs(connection, "team", requested_by="ada") == (ended, started)
        assert await runs(connection, "team", requested_by="eve") == ()
        assert await runs(connection, "team", dataset=DATASET["digest"]) == (ended,)
        assert await runs(connection, "team", dataset="digits") == (ended, started)
        assert await runs(connection, "team", model="digits", limit=1) == (ended,)
    asked = (started.requested_by, started.trigger_type, started.trigger_name, started.experiment)
    assert asked == ("ada", "Schedule", "nightly", "wide")
    assert started.data["trigger"]["slot"] == "2026-01-01T02:00Z"
    assert (started.data["description"], started.revision) == ("after the fix", "digits-abc")
    assert (started.engine, started.engine_id, started.package_digest) == ("kubeflow", "7d2f", "sha256:" + "b" * 64)
    assert started.datasets == (DatasetRow("digits", DATASET["uri"], ""),)
    assert ended.datasets == (DatasetRow("digits", DATASET["uri"], DATASET["digest"]),)
    assert ended.images == ("sha256:" + "1" * 64,)
    assert (failed.event, failed.attempt, failed.reason) == ("AttemptFailed", 1, "OutOfMemory")


@pytest.mark.servers
async def test_rows_are_added_and_nothing_else_is_done_to_them(real: MySQLMetadata) -> None:
    said: list[str] = []
    await real.record(ALL[:1])
    event.listen(real._engine.sync_engine, "before_cursor_execute", lambda *args: said.append(args[2].split()[0]))
    await real.record((*ALL, replace(ALL[0], data={"event": "Forged"})))
    assert set(said) == {"INSERT"}
    async with real.reading() as connection:
        assert {r.event for r in await runs(connection, "team")} == {"Started", "Finished"}


@pytest.mark.servers
async def test_a_database_of_an_earlier_version_keeps_its_rows(real: MySQLMetadata) -> None:
    """Also where the migration was killed after its first column."""
    async with real._engine.connect() as connection:
        await connection.run_sync(lambda c: migrate(c, "0001"))
        old = {"uid": "old", "sequence": 1, "at": datetime(2026, 1, 1), "namespace": "team", "name": "digits-0"}  # noqa: DTZ001 - as DATETIME keeps it
        await connection.execute(OLD_ROW, old)
        await connection.execute(text("ALTER TABLE executions ADD COLUMN requested_by VARCHAR(253)"))
        await connection.commit()
    await real.record((RUN,))
    async with real.reading() as connection:
        new, kept = await runs(connection, "team")
    assert (new.requested_by, kept.requested_by, kept.event) == ("ada", "", "Started")


@pytest.mark.servers
async def test_what_a_rollout_decided_when_and_why(real: MySQLMetadata) -> None:
    told = (
        decision(1, "2026-01-01T14:00:00+02:00", decision="StepStarted", weight=10),
        decision(2, "2026-01-01T12:05:00Z", decision="Aborted", verdict="Fail", value="0.31", message="too slow"),
    )
    await real.record(told)
    async with real.reading() as connection:
        newest, oldest = await decisions_of(connection, "team", name="digits")
        assert await decisions_of(connection, "team", version="digits-1") == (newest, oldest)
        before = await decisions_of(connection, "team", name="digits", until=datetime(2026, 1, 1, 12, 4, tzinfo=UTC))
    assert (newest.decision, newest.verdict, newest.data["value"]) == ("Aborted", "Fail", "0.31")
    assert oldest.at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert before == (oldest,)


@pytest.mark.servers
async def test_several_processes_migrate_an_empty_database_once(real: MySQLMetadata, running: Database) -> None:
    others = [MySQLMetadata("127.0.0.1", running.port, running.name, running.user, running.password) for _ in range(4)]
    await asyncio.gather(*(other.record((replace(RUN, uid=f"uid-{i}"),)) for i, other in enumerate(others)))
    assert len(await keys(real)) == 4
    for other in others:
        await other.close()


@pytest.mark.servers
async def test_a_migration_that_was_killed_half_way_is_finished(real: MySQLMetadata) -> None:
    await real.record(ALL)
    async with real._engine.begin() as connection:
        await connection.execute(text("DROP TABLE decisions"))
        await connection.execute(text("DELETE FROM alembic_version"))
    real._migration = None
    await real.record(ALL)
    async with real.reading() as connection:
        assert await connection.run_sync(current) == "0002"
    assert await keys(real) == {(r.uid, r.sequence) for r in ALL}


@pytest.mark.servers
async def test_a_database_that_was_lost_gets_its_tables_again(real: MySQLMetadata) -> None:
    await real.record(ALL)
    async with real._engine.begin() as connection:
        for table in ("executions", "artifacts", "events", "decisions", "alembic_version"):
            await connection.execute(text(f"DROP TABLE {table}"))
    with pytest.raises(MetadataUnavailable, match="refuses"):
        await real.record(ALL)
    await real.record(ALL)
    assert await keys(real) == {(r.uid, r.sequence) for r in ALL}


@pytest.mark.servers
async def test_the_tables_are_what_the_migrations_make(real: MySQLMetadata) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

    from trainyard.systems.metadata.tables import metadata as tables

    def difference(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "include_name": lambda name, kind, _: name != "alembic_version"}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), tables)
        # MariaDB has no JSON type of its own: it shows LONGTEXT with a check.
        return [d for d in found if not (isinstance(d, list) and "JSON" in repr(d[0][-1]))]

    async with real.reading() as connection:
        assert await connection.run_sync(difference) == []


@pytest.mark.servers
async def test_an_outage_costs_seconds_once_and_then_nothing(
    real: MySQLMetadata, running: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await real.record(ALL[:1])
    running.server.stop()
    try:
        with pytest.raises(MetadataUnavailable, match="does not answer"):
            await real.record(ALL)
        start = time.monotonic()
        with pytest.raises(MetadataUnavailable, match="a moment ago"):
            await real.record(ALL)
        assert time.monotonic() - start < 0.5
    finally:
        running.server.start()
    monkeypatch.setattr(real, "_tried_again_at", 0.0)  # the pause is over
    await real.record(ALL)
    assert await keys(real) == {(r.uid, r.sequence) for r in ALL}


async def test_a_database_that_hangs_is_given_up_in_time_and_the_loop_goes_on() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        hung = MySQLMetadata("127.0.0.1", deaf.getsockname()[1], "trainyard", "who", "s3cret")
        longest, ticking = 0.0, True

        async def tick() -> None:
            nonlocal longest
            while ticking:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - before)

        ticker = asyncio.create_task(tick())
        start = time.monotonic()
        with pytest.raises(MetadataUnavailable) as caught:
            await hung.record((RUN,))
        took, ticking = time.monotonic() - start, False
        await ticker
        assert took < client.CALL_SECONDS + 1
        assert longest < 1
        assert "s3cret" not in str(caught.value)
        await hung.close()


async def test_nobody_listens() -> None:
    away = MySQLMetadata("127.0.0.1", free_port(), "trainyard", "who", "s3cret")
    with pytest.raises(MetadataUnavailable, match="does not answer"):
        await away.record((RUN,))
    with pytest.raises(MetadataUnavailable, match="does not answer"):
        async with away.reading():
            pass
    await away.close()


@pytest.mark.servers
async def test_a_wrong_password_is_unavailable(running: Database) -> None:
    wrong = MySQLMetadata("127.0.0.1", running.port, running.name, running.user, "wrong")
    with pytest.raises(MetadataUnavailable) as caught:
        await wrong.record((RUN,))
    assert "1045" in str(caught.value)
    await wrong.close()
