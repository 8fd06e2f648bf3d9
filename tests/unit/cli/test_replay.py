"""Which past is replayed, and how the replay looks."""

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.unit.cli.watched import drawn
from tests.unit.replay import playing
from trainyard.cli import replay_screen
from trainyard.cli.app import app
from trainyard.cli.commands import replay as command
from trainyard.cli.problem import FAILED, USAGE, Problem
from trainyard.cli.replay_past import Flags, Tried, choose, recorded, tried
from trainyard.systems.prometheus.port import Answer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def moment(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC)


def ended(revision: str, outcome: str, hour: int, message: str = "") -> dict[str, str]:
    return {
        "revision": revision, "version": f"churn-{revision[0]}", "outcome": outcome, "message": message,
        "startedTime": f"2026-03-01T{hour:02d}:00:00Z", "finishedTime": f"2026-03-01T{hour:02d}:30:00Z",
    }  # fmt: skip


FIRST = ended("aaaaaaaaaa", "Promoted", 6, "the first version")
HISTORY = [ended("cccccccccc", "Aborted", 9, "errors"), ended("bbbbbbbbbb", "Promoted", 8), FIRST]
STABLE = {"revision": "bbbbbbbbbb", "version": "churn-b"}


def known(**status: Any) -> list[Tried]:
    return tried({"status": {"stable": STABLE, "history": HISTORY, **status}}, NOW)


def test_the_newest_is_replayed_against_what_served_then() -> None:
    chosen = choose(known(), STABLE, Flags())
    assert (chosen.canary, chosen.stable) == (("cccccccccc", "churn-c"), ("bbbbbbbbbb", "churn-b"))
    assert (chosen.start, chosen.end) == (moment(9), moment(9, 30))
    assert chosen.then is not None
    assert (chosen.then.outcome, chosen.then.message) == ("Aborted", "errors")


def test_an_earlier_one_by_its_revision() -> None:
    chosen = choose(known(), STABLE, Flags(canary="bbbbbbbbbb"))
    assert (chosen.canary[0], chosen.stable[0], chosen.start) == ("bbbbbbbbbb", "aaaaaaaaaa", moment(8))


def test_what_served_before_all_that_is_known_has_to_be_said() -> None:
    """The promotion before it has dropped out of the history; what serves today was not there yet."""
    with pytest.raises(Problem, match="Say --stable: no history tells it"):
        choose(tried({"status": {"history": HISTORY[:2]}}, NOW)[1:], STABLE, Flags(canary="bbbbbbbbbb"))
    later = [ended("eeeeeeeeee", "Promoted", 10), ended("cccccccccc", "Aborted", 9)]
    with pytest.raises(Problem, match="Say --stable: no history tells it"):
        choose(tried({"status": {"history": later}}, NOW), {"revision": "eeeeeeeeee"}, Flags(canary="cccccccccc"))
    assert choose(tried({"status": {"history": later[1:]}}, NOW), STABLE, Flags()).stable[0] == "bbbbbbbbbb"


def test_the_running_one_ends_now() -> None:
    running = known(canary={"revision": "dddddddddd", "version": "churn-d"}, canaryStartedTime="2026-03-01T11:00:00Z")
    chosen = choose(running, STABLE, Flags())
    assert (chosen.canary[0], chosen.stable[0], chosen.end) == ("dddddddddd", "bbbbbbbbbb", NOW)


def test_flags_win_and_what_came_of_it_is_then_another_time() -> None:
    chosen = choose(known(), STABLE, Flags(moment(9, 5), None, "", "eeeeeeeeee"))
    assert (chosen.start, chosen.end, chosen.stable) == (
        moment(9, 5),
        moment(9, 30),
        ("eeeeeeeeee", "revision-eeeeeeeeee"),
    )
    assert chosen.then is None


def test_what_nobody_knows_has_to_be_said() -> None:
    with pytest.raises(Problem, match="Say --canary, --stable, --from, --to: no history tells it"):
        choose([], {}, Flags())
    with pytest.raises(Problem, match="Say --stable:"):
        choose(known()[-1:], {"revision": "aaaaaaaaaa"}, Flags())
    alone = choose([], {}, Flags(moment(1), moment(2), "bbbbbbbbbb", "aaaaaaaaaa"))
    assert alone.canary == ("bbbbbbbbbb", "revision-bbbbbbbbbb")


def test_the_record_remembers_what_status_forgot() -> None:
    rows = [
        {"decision": decision, "revision": revision, "version": "v", "at": moment(hour), "message": "m"}
        for decision, revision, hour in (
            ("Promoted", "zzzzzzzzzz", 5), ("Started", "aaaaaaaaaa", 6), ("WeightSet", "aaaaaaaaaa", 7),
            ("Aborted", "aaaaaaaaaa", 8), ("Started", "bbbbbbbbbb", 9),
        )
    ]  # fmt: skip
    assert recorded(rows) == [Tried("aaaaaaaaaa", "v", moment(6), moment(8), "Aborted", "m")]


def event(seconds: int, kind: str, text: str, weight: int = 10, *metrics: dict[str, Any]) -> dict[str, Any]:
    time = f"2026-03-01T09:{seconds // 60:02d}:{seconds % 60:02d}Z"
    return {"time": time, "kind": kind, "text": text, "weight": weight, "step": 0, "metrics": list(metrics)}


def measured(seconds: int, verdict: str, value: str, message: str = "") -> dict[str, Any]:
    metric = {"name": "errors", "verdict": verdict, "value": value, "message": message}
    return event(seconds, "Measured", f"errors {verdict}", 10, metric)


REPLAY: dict[str, Any] = {
    "rollout": "churn", "namespace": "shop", "canary": {"revision": "cccccccccc", "version": "churn-c"},
    "stable": {"revision": "bbbbbbbbbb", "version": "churn-b"}, "from": "2026-03-01T09:00:00Z",
    "to": "2026-03-01T09:30:00Z", "recorded": {"outcome": "Promoted", "message": "all steps passed"},
    "outcome": "Aborted", "message": "errors was 0.2", "seconds": 90.0, "measurements": 4,
    "verdicts": {"errors": {"Pass": 3, "Fail": 1}}, "events": [
        event(0, "WeightSet", "weight of revision cccccccccc is 10 %"), measured(30, "Pass", "0"),
        measured(45, "Pass", "0.001"), measured(60, "Pass", "0.002"), measured(75, "Fail", "0.2", "above max 0.05"),
        event(90, "Aborted", "errors was 0.2", 0),
    ],
}  # fmt: skip


def test_a_replay_on_one_screen() -> None:
    assert drawn(replay_screen.screen(REPLAY), width=80) == (
        "Rollout  churn in shop\n"
        "canary   churn-c  revision cccccccccc\n"
        "stable   churn-b  revision bbbbbbbbbb\n"
        "time     2026-03-01T09:00:00Z to 2026-03-01T09:30:00Z\n"
        "then     Promoted  all steps passed\n"
        "\n"
        "TIME      WEIGHT  EVENT      WHAT\n"
        "09:00:00  10 %    WeightSet  weight of revision cccccccccc is 10 %\n"
        "09:00:30  10 %    Measured   errors Pass 0 (and 2 more with these verdicts)\n"
        "09:01:15  10 %    Measured   errors Fail 0.2 above max 0.05\n"
        "09:01:30  0 %     Aborted    errors was 0.2\n"
        "\n"
        "METRIC  Pass  Fail  Inconclusive  NoData\n"
        "errors  3     1     0             0\n"
        "\n"
        "Aborted after 1m30s and 4 measurements: errors was 0.2"
    )


def test_a_replay_without_an_end() -> None:
    over = {**REPLAY, "outcome": "Undecided", "seconds": None, "recorded": None, "to": "2026-03-02T09:30:00Z"}
    text = drawn(replay_screen.screen(over))
    assert text.endswith("Undecided when the time is over, at 0 % of traffic")
    assert "03-01 09:00:00" in text
    assert "then" not in text.partition("\n\n")[0]
    empty = drawn(replay_screen.screen({**over, "events": [], "verdicts": {}}))
    assert "METRIC" not in empty


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: Service", "it has 0 Rollouts, wanted is one"),
        ("kind: Rollout\n---\nkind: Rollout", "it has 2 Rollouts"),
        ("{", "it cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_policy(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(Problem, match=sentence):
        command._manifest(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for file, why in ((tmp_path / "nope.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(Problem) as problem:
            command._manifest(file)
        assert (problem.value.status, str(problem.value)) == (2, f"-f {file}: {why}.")


class Recorded:
    """A server behind the command: the scripted past."""

    def __init__(self, *_: Any) -> None:
        self.behind = playing.recorded(lambda _: 0.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    async def close(self) -> None:
        pass


def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str, behind: Any = None, **policy: Any) -> Result:
    """Run the command over the scripted past, as docs/rollouts.md has it."""
    monkeypatch.setattr("trainyard.systems.prometheus.client.HttpPrometheus", behind or Recorded)
    file = tmp_path / "new.yaml"
    spec = {**playing.policy().spec, **policy}
    file.write_text(json.dumps({"kind": "Rollout", "metadata": {"name": "churn", "namespace": "shop"}, "spec": spec}))
    said = ("rollout", "replay", "-f", str(file), "--prometheus", "http://127.0.0.1:9", "--scrape-seconds", "2")
    return CliRunner().invoke(app, [*said, *words], env={"TRAINYARD_DATABASE_URL": ""})


PAST = ("--from", "2026-11-24T06:00:00Z", "--to", "2026-11-24T06:10:00Z")
BOTH = ("--canary", "0a1b2c3d4e", "--stable", "5f6a7b8c9d")


def test_revisions_that_begin_with_a_digit_are_replayed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = asked(monkeypatch, tmp_path, *PAST, *BOTH, "-o", "json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["canary"] == {"revision": "0a1b2c3d4e", "version": "revision-0a1b2c3d4e"}


YEARS = "Prometheus has recorded nothing before 1970, and nothing that is to come"


@pytest.mark.parametrize(
    ("words", "policy", "sentence"),
    [
        (("--from", "99999999999w"), {}, "--from 99999999999w: write a span"),
        (("--from", "200000w"), {}, "--from 200000w: write a span"),
        (("--from", "0001-01-01T00:00:00+10:00"), {}, "--from 0001-01-01T00:00:00+10:00: write a span"),
        (("--from", "0001-01-01", "--to", "0001-01-02"), {}, f"--from 0001-01-01: {YEARS}"),
        (("--to", "9999-12-31"), {}, f"--to 9999-12-31: {YEARS}"),
        (("--from", "2000-01-01", "--to", "2026-01-01"), {}, "at most are 20000: shorten it, or measure less often"),
        (("--prometheus", "nope"), {}, "--prometheus nope: write an address that starts with http"),
        (("--stable", "0a1b2c3d4e"), {}, "Canary and stable are both 0a1b2c3d4e"),
        (("--step-seconds", "5"), {"analysis": "nope"}, "It cannot be replayed: spec.analysis: "),
        (("--step-seconds", "5"), {"analysis": []}, "It cannot be replayed: spec.analysis: "),
        ((), {"analysis": []}, "It cannot be replayed: spec.analysis: "),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(
    words: tuple[str, ...], policy: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(Problem, match=re.escape(sentence)) as told:
        problem(asked(monkeypatch, tmp_path, *PAST, *BOTH, *words, **policy))
    assert told.value.status == USAGE


def problem(told: Result) -> None:
    """Raise what ended the command; `trainyard.cli.__main__` turns a Problem into a sentence and a status."""
    assert told.exception is not None, told.output
    raise told.exception


def test_a_spec_without_fields() -> None:
    with pytest.raises(Problem, match="spec holds no fields"):
        command._policy({"spec": "nope"}, None, 15, False)


def test_a_prometheus_that_answers_nothing_decides_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Away(Recorded):
        async def query(self, *_: Any) -> Answer:
            return Answer(failure="Prometheus cannot be reached")

    with pytest.raises(Problem, match=r"Not one query was answered: Prometheus cannot be reached\.") as told:
        problem(asked(monkeypatch, tmp_path, *PAST, *BOTH, behind=Away))
    assert told.value.status == FAILED


def test_the_server_is_entered_as_the_flags_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entries: list[Any] = []

    class Kept(Recorded):
        def __init__(self, _: str, entry: Any) -> None:
            super().__init__()
            entries.append(entry)

    flags = ("--prometheus-ca-file", "ca", "--prometheus-token-file", "token", "--prometheus-header", "X-Scope-OrgID=a")
    told = asked(monkeypatch, tmp_path, *PAST, *BOTH, *flags, behind=Kept)
    assert told.exit_code == 0, told.output
    assert (entries[0].ca_file, entries[0].token_file, entries[0].headers) == ("ca", "token", {"X-Scope-OrgID": "a"})


def test_so_are_those_that_the_cluster_does_not_remember(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manifest = {"metadata": {"name": "churn"}, "status": {"stable": STABLE, "history": HISTORY}}

    class Connection:
        namespace = "shop"

        async def find(self, *_: Any) -> Mapping[str, Any]:
            return manifest

    def asking(_: Any, of_cluster: Any) -> Any:
        return asyncio.run(of_cluster(Connection()))

    monkeypatch.setattr(command, "ask", asking)
    told = asked(monkeypatch, tmp_path, "churn", *PAST, "--canary", "0a1b2c3d4e", "-o", "json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert (found["canary"]["version"], found["stable"]["version"]) == ("revision-0a1b2c3d4e", "churn-b")
