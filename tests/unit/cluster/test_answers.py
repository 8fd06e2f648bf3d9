"""Which error an answer of the API server is, and the paths it is asked under."""

import pytest

from trainyard.systems.cluster.port import (
    DEPLOYMENT,
    SERVICE,
    ClusterError,
    Unavailable,
)
from trainyard.systems.cluster.transport import Expired, error_of, path


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", "Invalid"),
        (401, "", "Forbidden"),
        (403, "Forbidden", "Forbidden"),
        (404, "NotFound", "NotFound"),
        (409, "AlreadyExists", "AlreadyExists"),
        (409, "Conflict", "Conflict"),
        (410, "Expired", "Expired"),
        (422, "Invalid", "Invalid"),
        (429, "", "Unavailable"),
        (500, "InternalError", "Unavailable"),
        (503, "", "Unavailable"),
    ],
)
def test_each_answer_has_its_error(code: int, reason: str, expected: str) -> None:
    error = error_of(code, {"reason": reason, "message": "m"})
    assert isinstance(error, ClusterError)
    assert type(error).__name__ == expected
    assert str(error) == f"m ({code})"


def test_the_same_refusal_is_the_same_sentence_in_whichever_order_its_causes_come() -> None:
    """What changes is written to status, which wakes the object: an endless row of tries without a pause."""
    causes = [{"field": "spec.b", "message": "Invalid value"}, {"field": "spec.a", "message": "Required value"}]
    told = set()
    for order in (causes, causes[::-1]):
        message = 'Job.batch "a" is invalid: [' + ", ".join(f"{c['field']}: {c['message']}" for c in order) + "]"
        told.add(str(error_of(422, {"message": message, "details": {"causes": order}})))
    assert told == {'Job.batch "a" is invalid: spec.a: Required value; spec.b: Invalid value (422)'}
    alone = 'Job.batch "a" is invalid: spec.a: Required value'
    assert str(error_of(422, {"message": alone, "details": {"causes": causes[1:]}})) == f"{alone} (422)"


def test_an_answer_that_is_no_status_has_an_error_too() -> None:
    assert isinstance(error_of(502, ["html"]), Unavailable)
    assert issubclass(Expired, Unavailable)


def test_paths() -> None:
    assert path(SERVICE, "ns", "a") == "/api/v1/namespaces/ns/services/a"
    assert path(DEPLOYMENT) == "/apis/apps/v1/deployments"
    assert path(DEPLOYMENT, "ns", "a", "status") == "/apis/apps/v1/namespaces/ns/deployments/a/status"
    assert path(SERVICE, "ns", "../x") == "/api/v1/namespaces/ns/services/..%2Fx"
