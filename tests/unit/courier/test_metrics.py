"""Metrics of a training as decimal strings: exact, without exponent, or refused with the reason."""

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.courier.metrics import metrics
from trainyard.courier.outcome import Unusable

STATUS = re.compile(r"^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?$")  # resources.base.Decimal


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0.97", "0.97"),
        ("1", "1"),
        ("1.0", "1"),
        ("100", "100"),
        ("-0.0", "0"),
        ("1e-7", "0.0000001"),
        ("1E3", "1000"),
        ("0.1234567890123456789", "0.123456789012"),
        ("1e-400", "0"),
        ("-1e-999999", "0"),
        ("9999999999999999", "9999999999999999"),
        ("-12.50", "-12.5"),
    ],
)
def test_a_number_is_written_without_exponent(written: str, read: str) -> None:
    assert metrics(f'{{"a": {written}}}'.encode()) == {"a": read}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[1]", "not one flat object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": "1"}', "a is not a number"),
        (b'{"a": true}', "a is not a number"),
        (b'{"a": null}', "a is not a number"),
        (b'{"a": {"b": 1}}', "a is not a number"),
        (b'{"a": 1e400}', "16 digits"),
        (b'{"a": 99999999999999999}', "16 digits"),
        (b'{"a": 9999999999999999.9999999999999}', "16 digits"),
        (b'{"a": 1e99999999999999999999}', "no JSON|16 digits"),
        (b'{"a b": 1}', "no name"),
        (b'{"": 1}', "no name"),
        (json.dumps({f"m{i}": 1 for i in range(101)}).encode(), "101 metrics"),
        (b"[" * 200_000, "no JSON"),
    ],
)
def test_what_is_no_metric_is_refused_with_the_reason(text: bytes, says: str) -> None:
    with pytest.raises(Unusable, match=says):
        metrics(text)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_any_float_becomes_what_a_status_takes_and_stays_close(value: float) -> None:
    text = metrics(json.dumps({"a": value}).encode())["a"]
    assert STATUS.match(text)
    assert abs(Decimal(text) - Decimal(repr(value))) <= Decimal("5e-13")
