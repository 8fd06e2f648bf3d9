"""The model server's metrics."""

import re

import numpy as np

from images.server.modelserver.metrics import MOST_COLUMNS, MOST_ROWS, Metrics


def test_counts_by_code_and_says_nothing_of_who_it_is() -> None:
    metrics = Metrics()
    metrics.answered(200, 0.004)
    metrics.answered(500, 0.2)
    metrics.answered(418, 0.2)
    text = metrics.render().decode()
    for code, count in {"200": 1, "500": 1, "418": 1, "503": 0}.items():
        assert f'trainyard_server_requests_total{{code="{code}"}} {count}.0\n' in text
    assert 'trainyard_server_request_duration_seconds_bucket{le="0.005"} 1.0\n' in text
    assert "trainyard_server_request_duration_seconds_count 3.0\n" in text
    assert set(re.findall(r'[{,](\w+)="', text)) == {"code", "le"}


def predictions(metrics: Metrics, suffix: str) -> dict[str, float]:
    found = re.findall(r"trainyard_server_prediction_" + suffix + r"\{(.*)\} (\S+)", metrics.render().decode())
    return {labels: float(value) for labels, value in found}


def test_predictions_are_counted_by_output_and_column() -> None:
    metrics = Metrics((0.0, 0.5, 1.0))
    metrics.predicted({"p": np.array([0.2, 0.7, 0.9], dtype=np.float32), "q": np.array([[0.1, 0.9]])})
    assert predictions(metrics, "count") == {'output="p"': 3.0, 'output="q[0]"': 1.0, 'output="q[1]"': 1.0}
    assert predictions(metrics, "bucket")['le="0.5",output="p"'] == 1.0
    metrics.predicted({"p": np.array([[0.2], [3.0]])})
    assert predictions(metrics, "count")['output="p"'] == 5.0
    assert predictions(metrics, "bucket")['le="1.0",output="p"'] == 4.0


def test_what_is_no_distribution_of_numbers_is_not_counted() -> None:
    metrics = Metrics()
    metrics.predicted({"text": np.array(["a"]), "none": np.zeros((0, 3)), "image": np.zeros((2, MOST_COLUMNS + 1))})
    assert predictions(metrics, "count") == {}


def test_a_large_answer_costs_no_more_than_a_small_one() -> None:
    metrics = Metrics()
    metrics.predicted({"p": np.linspace(0.0, 1.0, 1000)})
    assert 0 < predictions(metrics, "count")['output="p"'] <= MOST_ROWS
