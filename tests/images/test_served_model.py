"""The model server with TensorFlow, over HTTP, as a client and Prometheus see it."""

import base64
import signal
import socket
from pathlib import Path

import pytest

from tests.images.serving import Server, ask, ended, metric, predict, serving, start

ROW = [1.0, 2.0, 3.0]


def test_v1_rows_and_columns(plain: int) -> None:
    assert predict(plain, {"instances": [ROW, [4, 5, 6]]}).json == {"predictions": [6.0, 15.0]}
    assert predict(plain, {"instances": [{"x": ROW}]}).json == {"predictions": [6.0]}
    assert predict(plain, {"inputs": {"x": [ROW]}}).json == {"outputs": [6.0]}
    assert ask(plain, "GET", "/v1/models").json == {"models": ["m"]}
    assert ask(plain, "GET", "/v1/models/m").json == {"name": "m", "ready": True}


def test_v2(plain: int) -> None:
    body = {"id": "a", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": ROW}]}
    assert ask(plain, "POST", "/v2/models/m/infer", body).json == {
        "model_name": "m",
        "id": "a",
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [1], "data": [6.0]}],
    }
    assert ask(plain, "GET", "/v2").json["extensions"] == []
    assert ask(plain, "GET", "/v2/health/live").json == {"live": True}
    assert ask(plain, "GET", "/v2/health/ready").json == {"ready": True}
    assert ask(plain, "GET", "/v2/models/m/ready").json == {"name": "m", "ready": True}
    assert ask(plain, "GET", "/v2/models/m").json == {
        "name": "m",
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [-1]}],
    }


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"instances": [[1, 2, 101]]}, 500, "a value above 100"),
        ({"instances": [[1, 2, -1]]}, 500, "not finite"),
        ({"instances": [[1, 2]]}, 400, "has shape [1, 2]"),
        ({"instances": [ROW] * 101}, 400, "at most 100"),
        (b"{", 400, "not JSON"),
        (b'{"instances": [[NaN, 1, 1]]}', 400, "NaN"),
        (b" " * 20_001, 413, "at most 20000"),
    ],
)
def test_failures_are_answered_and_counted_with_their_own_code(
    plain: int, body: object, status: int, sentence: str
) -> None:
    name = f'trainyard_server_requests_total{{code="{status}"}}'
    before = metric(plain, name)
    answer = predict(plain, body)
    assert answer.status == status
    assert sentence in answer.json["error"]
    assert metric(plain, name) == before + 1


def test_what_is_predicted_is_counted_and_a_failure_is_not(plain: int) -> None:
    name = 'trainyard_server_prediction_count{output="total"}'
    predict(plain, {"instances": [ROW]})
    before = metric(plain, name)
    assert predict(plain, {"instances": [ROW, ROW, ROW]}).status == 200
    assert predict(plain, {"instances": [[1, 2, 101]]}).status == 500
    assert metric(plain, name) == before + 3


def test_unknown_paths(plain: int) -> None:
    before = metric(plain, 'trainyard_server_requests_total{code="404"}')
    assert predict(plain, {"instances": [ROW]}, model="other").status == 404
    assert ask(plain, "POST", "/v2/models/other/infer", {}).status == 404
    assert metric(plain, 'trainyard_server_requests_total{code="404"}') == before + 2
    for path in ("/v1/models/other", "/v2/models/other", "/v2/models/other/ready", "/v2/models/m/versions/1", "/"):
        assert ask(plain, "GET", path).status == 404
    assert ask(plain, "GET", "/v2/models/m/infer").status == 405
    assert metric(plain, 'trainyard_server_requests_total{code="404"}') == before + 2, "those are no inferences"


def test_every_type_goes_through_and_back(models: Path) -> None:
    row = {"whole": -(2**63), "word": "ä", "flags": [True, False], "small": 255, "half": 0.5}
    with serving(models / "typed") as server:
        rows = predict(server.port, {"instances": [row, {**row, "word": {"b64": "/w=="}}]}).json["predictions"]
        assert rows[0] == {f"{name}_out": value for name, value in row.items()}
        assert base64.b64decode(rows[1]["word_out"]) == b"\xff"
        metadata = ask(server.port, "GET", "/v2/models/m").json
        types = {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}
        assert types == {"whole": "INT64", "word": "BYTES", "flags": "BOOL", "small": "UINT8", "half": "FP16"}


@pytest.mark.parametrize(
    ("folder", "code", "sentence"),
    [
        ("absent", 2, "there is no model folder"),
        ("empty", 2, "is not a SavedModel"),
        ("broken", 3, "can't be loaded as a SavedModel"),
        ("unsigned", 3, 'has no signature "serving_default"'),
        ("complex", 3, "'z' is of type complex64"),
    ],
)
def test_a_model_that_cannot_be_served_ends_the_server_with_a_sentence(
    models: Path, folder: str, code: int, sentence: str
) -> None:
    ending, said = ended(start(models / folder))
    assert ending == code
    assert sentence in said.splitlines()[-1]


def test_a_signal_lets_the_request_in_flight_finish(models: Path) -> None:
    with serving(models / "plain") as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(60)
        body = b'{"instances": [[1, 2, 3]]}'
        head = f"POST /v1/models/m:predict HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n"
        client.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100"), "the server has begun the request"
        server.process.send_signal(signal.SIGTERM)
        while _accepts(server):
            pass
        client.sendall(body)
        answer = b"".join(iter(lambda: client.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"predictions":[6.0]}')
        assert ended(server)[0] == 0


def _accepts(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_small_and_few(plain_server: Server) -> None:
    """One process, few threads; the memory is mostly TensorFlow's own, about 550 MB."""
    assert predict(plain_server.port, {"instances": [ROW]}).status == 200
    assert metric(plain_server.port, "process_resident_memory_bytes") < 800e6
    process = Path(f"/proc/{plain_server.process.pid}")
    assert len(list((process / "task").iterdir())) <= 12
    assert (process / f"task/{plain_server.process.pid}/children").read_text() == ""


def test_a_model_that_refuses_the_made_up_batch_serves_and_is_told_of(models: Path) -> None:
    with serving(models / "wary") as server:
        assert predict(server.port, {"instances": [[0.0]]}).status == 500
        assert predict(server.port, {"instances": [[2.0]]}).json == {"predictions": [2.0]}
        server.process.terminate()
        code, said = ended(server)
    assert code == 0
    assert "refuses a made-up batch of zeros: InvalidArgumentError: assertion failed: [not above zero]" in said
    assert said.count("ERROR the model failed") == 1
