"""The model server's metrics."""

import re

from images.server.modelserver.metrics import Metrics


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
