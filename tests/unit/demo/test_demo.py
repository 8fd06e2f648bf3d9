"""The parts of the demo that need no cluster."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console
from rich.text import Text

from examples.demo import installing, manifests, screen, summary
from examples.demo.board import Board, clock_text
from examples.demo.claims import Claims
from examples.demo.load import Load, Sample
from examples.demo.observing import Moment, Observer, moment
from examples.demo.settings import Settings, WrongUsage, check_loopback, exports, parse
from examples.demo.shell import Failed, Shell, until
from examples.demo.story import Demo
from trainyard.resources.rollout import RolloutSpec
from trainyard.resources.training_pipeline import TrainingPipelineSpec


def settings(tmp_path: Path, **changes: Any) -> Settings:
    made = Settings(
        environment={"PATH": "/usr/bin:/bin", "KUBECONFIG": "/k"},
        gateway_url="http://127.0.0.1:18080",
        prometheus_url="http://127.0.0.1:19090",
        prometheus_cluster_url="http://prometheus:9090",
        figures=tmp_path / "figures.json",
        transcript=tmp_path / "transcript.txt",
    )
    return replace(made, **changes)


def board(tmp_path: Path, **options: Any) -> tuple[Board, io.StringIO]:
    file = io.StringIO()
    return Board(tmp_path / "transcript.txt", console=Console(file=file, width=120, highlight=False, **options)), file


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost:1/x", "http://[::1]:8080"])
def test_load_goes_to_this_machine(url: str) -> None:
    check_loopback(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1:80", "http://example.com", "http://127.0.0.1.example.com", ""])
def test_and_nowhere_else(url: str) -> None:
    with pytest.raises(WrongUsage):
        check_loopback(url)


def test_another_cluster_needs_images() -> None:
    with pytest.raises(WrongUsage, match="IMAGES="):
        parse(["--cluster", "current", "--registry", ""])
    made = parse(["--cluster", "current", "--registry", "registry.example.com/me/", "--tag", "v1"])
    assert (made.registry, made.local) == ("registry.example.com/me/", False)
    with pytest.raises(WrongUsage):
        parse(["--cluster", "current", "--registry", "r", "--gateway-url", "http://10.0.0.1"])


def test_exports_are_read_as_a_shell_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    text = "# nothing\nexport A=b\nexport B='c d'\nexport C=$HOME/x=y\n"
    assert exports(text) == {"A": "b", "B": "c d", "C": "/root/x=y"}


def test_the_quickstart_is_valid_and_goes_to_the_local_cluster_as_it_is(tmp_path: Path) -> None:
    objects = manifests.load()
    TrainingPipelineSpec.model_validate(manifests.of_kind(objects, "TrainingPipeline")["spec"])
    RolloutSpec.model_validate(manifests.of_kind(objects, "Rollout")["spec"])
    for before, after in zip(objects, manifests.adapt(objects, settings(tmp_path), "demo-1"), strict=True):
        assert after["spec"] == before["spec"]
        assert after["metadata"] == {**before["metadata"], "namespace": "demo-1"}


def test_a_users_cluster_gets_the_users_images_and_gateway(tmp_path: Path) -> None:
    wanted = settings(tmp_path, registry="registry.example.com/me/", tag="v1", gateway="infra/web")
    adapted = manifests.adapt(manifests.load(), wanted, "demo-1")
    template = manifests.of_kind(adapted, "TrainingPipeline")["spec"]["engine"]["job"]["template"]
    assert template["image"] == "registry.example.com/me/trainer:v1"
    traffic = manifests.of_kind(adapted, "Rollout")["spec"]["target"]["kubernetes"]["traffic"]
    assert traffic["parentRefs"] == [{"namespace": "infra", "name": "web"}]
    command = installing.helm_command(wanted, "demo-1")
    assert "image.repository=registry.example.com/me/operator" in command
    assert "setup.namespaces={demo-1}" in command
    assert not any("local-values" in part for part in command)


def test_the_local_cluster_starts_an_operator_that_was_built_anew(tmp_path: Path) -> None:
    command = installing.helm_command(settings(tmp_path), "demo-1")
    assert f"operator.podAnnotations.checkout=sources-{installing.sources()}" in command
    assert any(part.endswith("ci/local-values.yaml") for part in command)


def test_an_edit_changes_one_default_and_nothing_else() -> None:
    pipeline = manifests.of_kind(manifests.load(), "TrainingPipeline")
    edited = manifests.with_default(pipeline, "epochs", 40)
    assert {p["name"]: p["default"] for p in edited["spec"]["parameters"]}["epochs"] == 40
    assert manifests.with_default(edited, "epochs", 20) == pipeline
    with pytest.raises(KeyError):
        manifests.with_default(pipeline, "nope", 1)


def test_until() -> None:
    answers = iter([None, None, "there"])
    assert until("it", lambda: next(answers), 5, every=0) == "there"
    with pytest.raises(Failed, match="never: not within 0 s"):
        until("never", lambda: None, 0, every=0)


def test_programs_that_fail_say_what_they_said() -> None:
    shell = Shell({"PATH": "/usr/bin:/bin"}, "demo-1")
    assert shell.run("cat", stdin="x") == "x"
    with pytest.raises(Failed, match="so it is"):
        shell.run("sh", "-c", "echo so it is >&2; exit 3")
    with pytest.raises(Failed, match="no-such-program"):
        shell.run("no-such-program")
    with pytest.raises(Failed):
        shell.run("sleep", "5", timeout=0.1)


def test_a_claim_that_does_not_hold_ends_it(tmp_path: Path) -> None:
    claims = Claims(board(tmp_path)[0])
    claims.claim("two and two", True, "four")
    with pytest.raises(Failed, match="claimed: three; seen: four"):
        claims.claim("three", False, "four")
    assert claims.made == [("two and two", True), ("three", False)]


ROUTE = {
    "metadata": {"annotations": {"trainyard.dev/canary-revision": "bbbbbbbbbb"}},
    "spec": {
        "rules": [
            {"backendRefs": [{"name": "m-aaaaaaaaaa", "weight": 90}, {"name": "m-bbbbbbbbbb", "weight": 10}]},
        ]
    },
}


def test_a_moment_reads_the_weight_from_the_route_not_from_the_status() -> None:
    rollout = {"status": {"weight": 50, "stable": {"version": "v1"}, "canary": {"version": "v2"}}}
    assert moment(rollout, ROUTE, 1.0) == Moment(1.0, "v1", "v2", 10, (90, 10))
    assert moment({}, None, 2.0) == Moment(2.0, "", "", 0, ())


def observer(share: float | None = None) -> Observer:
    return Observer(cast("Any", None), "m", lambda _: share)


def test_weights_are_kept_in_order_without_repeats() -> None:
    seen = observer()
    for at, (canary, weight) in enumerate(
        [("", 0), ("v2", 0), ("v2", 10), ("v2", 10), ("v2", 50), ("v2", 100), ("", 0), ("v3", 10), ("v3", 0)]
    ):
        seen.note(Moment(at, "v1", canary, weight, (100 - weight, weight)))
    assert seen.weights_of("v2") == [10, 50, 100]
    assert seen.weights_of("v3") == [10]
    assert seen.weights_of("v4") == []


def test_shares_are_read_once_a_weight_has_settled() -> None:
    seen = observer(9.87)
    seen.note(Moment(0, "v1", "v2", 10, (90, 10)))
    seen.note(Moment(5, "v1", "v2", 10, (90, 10)))
    assert seen.shares_of("v2") == {}
    seen.note(Moment(20, "v1", "v2", 10, (90, 10)))
    seen.note(Moment(21, "v1", "v2", 50, (50, 50)))
    assert seen.shares_of("v2") == {10: 9.9}


def test_the_board_times_parts_and_keeps_a_transcript(tmp_path: Path) -> None:
    now = iter(range(0, 1000, 10))
    made = Board(tmp_path / "t.txt", console=Console(file=io.StringIO()), clock=lambda: float(next(now)))
    with made.part("easy"):
        made.say("a line")
    with pytest.raises(Failed), made.part("hard"):
        raise Failed("no")
    assert [(p.name, p.ok) for p in made.parts] == [("easy", True), ("hard", False)]
    assert [p.name for p in made.slowest(1)] == [max(made.parts, key=lambda p: p.seconds or 0).name]
    assert [line.split("  ", 1)[1] for line in (tmp_path / "t.txt").read_text().splitlines()] == [
        "── easy", "a line", "── hard",
    ]  # fmt: skip


def test_a_picture_is_the_screen_without_anything_from_elsewhere(tmp_path: Path) -> None:
    made, _ = board(tmp_path)
    made.below = lambda: Text("what is below")
    with made.part("v2: canary"):
        made.say("a line")
        made.picture()
    drawn = (tmp_path / "screen.svg").read_text().replace("&#160;", " ")
    assert drawn.startswith("<svg")
    assert all(text in drawn for text in ("v2: canary", "a line", "what is below"))
    assert "url(" in drawn  # of its own parts
    assert not re.search(r'url\(["\']?http', drawn)


def test_the_live_screen_shows_parts_run_rollout_and_load(tmp_path: Path) -> None:
    made, file = board(tmp_path, force_terminal=True)
    seen = observer()
    seen.newest = {
        "spec": {"strategy": {"canary": {"steps": [{"setWeight": 10}]}}},
        "status": {"weight": 10, "step": 0},
    }
    run = {"metadata": {"name": "run-1"}, "status": {"steps": [{"name": "train", "state": "Running"}]}}
    made.below = lambda: screen.below(run, seen, Load("http://127.0.0.1:9/", "", [{}], 1))
    with made.shown(), made.part("v2: train"):
        pass
    assert "v2: train" in file.getvalue()
    assert "run-1" in file.getvalue()
    assert "10 % to the canary" in file.getvalue()


def test_without_a_terminal_there_are_lines_only(tmp_path: Path) -> None:
    made, file = board(tmp_path)
    with made.shown(), made.part("v2: train"):
        made.say("hello")
    assert "\x1b" not in file.getvalue()
    assert "00:00  hello" in file.getvalue()


def test_load_line_tells_lately_apart_from_all() -> None:
    samples = [Sample(at, 500 if at < 3 else 200, 0.01, "") for at in range(20)]
    load = Load("http://127.0.0.1:9/", "", [{}], 1, samples=samples)
    line = screen.load_line(load.of(), samples, now=20.0)
    assert line == "1/s  20 sent, 3 failed; lately 0 failed, p50 10 ms, p99 10 ms"


def test_figures_and_summary(tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    made, _ = board(tmp_path)
    load = Load("http://127.0.0.1:9/", "", [{}], 1, samples=[Sample(1, 200, 0.01, "v1"), Sample(2, 0, 1, "v1", "Gone")])
    seen = observer()
    demo = Demo(
        wanted, made, Shell(wanted.environment, "demo-1"), cast("Any", None), seen, Claims(made), load, [],
        versions={"v1": "m-1"}, metrics={"v1": {"auc": "0.9"}},
    )  # fmt: skip
    with made.part("v1: train"):
        pass
    told = summary.write(demo, ok=False)
    assert json.loads(wanted.figures.read_text()) == told
    assert told["load"]["v1"]["statuses"] == {"200": 1, "Gone": 1}
    assert told["total"]["failed"] == 1
    text = summary.text(demo, told)
    assert "kubectl -n demo-1 get trainyard" in text
    assert "m-1" in text
    assert "v1                    2 sent     1 failed" in text


def test_clock() -> None:
    assert [clock_text(s) for s in (0, 59.9, 61, 3_661)] == ["00:00", "00:59", "01:01", "61:01"]
