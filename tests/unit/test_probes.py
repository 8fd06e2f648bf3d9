import json
import logging
import subprocess
import sys
from typing import cast

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from local.free_ports import free_port
from tests.unit.reconciling.tiny import KEY
from trainyard import probes, telemetry
from trainyard.__main__ import JsonLines, main
from trainyard.reconciling.cycle import Outcome
from trainyard.reconciling.tracking import Written
from trainyard.reconciling.worker import Report
from trainyard.systems.cluster.port import POD, SERVICE, Ref
from trainyard.systems.cluster.reflector import Reflector
from trainyard.systems.cluster.transport import Transport


def watch(*, silent: float = 0.0, synced: bool = True, failure: str = "") -> Reflector:
    made = Reflector(cast("Transport", None), POD, "", "", lambda *_: None)
    made.failure = failure
    if synced:
        made.listed.set()
    made._sign -= silent
    return made


def test_a_silent_watch_is_told_and_fails_the_probe() -> None:
    assert probes.liveness([watch(), watch(silent=200)]).wrong == ()
    health = probes.liveness([watch(), watch(silent=1000)])
    assert health.wrong == ("The watch of pods has been silent for 1000 s.",)
    assert health.response().status == 503


def test_a_kind_that_is_not_listed_makes_it_unready() -> None:
    assert probes.readiness([watch()]).response().status == 200
    health = probes.readiness([watch(synced=False), watch(synced=False, failure="no such kind (404)")])
    assert health.wrong == ("pods are not listed yet.", "pods are not listed: no such kind (404).")


async def test_pages_are_served() -> None:
    port = free_port()
    server = probes.Server(
        port, {"/healthz": lambda: probes.Health(("It is broken.",)).response(), "/metrics": probes.metrics}
    )
    await server.start()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert (answer.status, await answer.text()) == (503, "It is broken.\n")
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert "process_resident_memory_bytes" in await answer.text()
    await server.stop()


def value(name: str, **labels: str) -> float:
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_visit_is_counted() -> None:
    service = Ref(SERVICE, "ns", "s")
    report = Report(KEY, 0.2, "", (Written("apply", service, "1"),), Outcome(dropped=2))
    before = value("trainyard_operator_cycles_total", kind="ModelVersion", result="ok")
    telemetry.count(report)
    telemetry.count(Report(KEY, 0.2, "Conflict", (), Outcome()))
    assert value("trainyard_operator_cycles_total", kind="ModelVersion", result="ok") == before + 1
    assert value("trainyard_operator_errors_total", kind="ModelVersion", reason="Conflict") == 1
    assert value("trainyard_operator_writes_total", verb="apply", kind="Service") == 1
    assert value("trainyard_operator_rows_dropped_total", kind="ModelVersion") == 2


def test_ages_and_rows_are_asked_for_when_scraped() -> None:
    registry = CollectorRegistry()
    registry.register(telemetry.WatchAges(lambda: [("Pod", "", 3.0, True)]))
    registry.register(telemetry.WaitingRows(lambda: 4))
    text = generate_latest(registry).decode()
    assert 'trainyard_operator_watch_age_seconds{kind="Pod",namespace=""} 3.0' in text
    assert 'trainyard_operator_watch_synced{kind="Pod",namespace=""} 1.0' in text
    assert "trainyard_operator_rows_waiting 4.0" in text


def test_logs_can_be_json() -> None:
    record = logging.LogRecord("a.b", logging.WARNING, "f", 1, "x is %s", (5,), None)
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["logger"], line["message"]) == ("warning", "a.b", "x is 5")
    assert "traceback" not in line


def test_a_traceback_stays_on_its_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "oh", (), info)
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError: broken" in json.loads(text)["traceback"]


def test_wrong_settings_end_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TRAINYARD_POD_NAME", raising=False)
    assert main() == 2
    assert "TRAINYARD_POD_NAME is not set; it must be." in capsys.readouterr().err


def test_nothing_heavy_is_loaded_at_the_start() -> None:
    """TensorFlow, kfp and aiplatform never enter; each costs seconds and hundreds of megabytes."""
    code = "import sys, trainyard.handlers as h; h.all_rooms(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    modules = set(done.stdout.split())
    assert "kopf" in modules
    assert not modules & {"tensorflow", "kfp", "google.cloud.aiplatform", "sklearn", "numpy", "pandas"}
