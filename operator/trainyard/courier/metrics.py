"""`metrics.json` of a training, as the manifest carries it: finite numbers as decimal strings without exponent."""

import json
import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, NoReturn

from trainyard.courier.outcome import Unusable

NAME = re.compile(r"[A-Za-z_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?")
MOST = 100
# What a status takes: 16 digits before the point, 12 after it.
WHOLE_DIGITS = 16
SMALLEST = Decimal("1e-12")
EXACT = Context(prec=64)


def metrics(text: bytes) -> dict[str, str]:
    """Read one flat JSON object, name to number. Raises Unusable with a sentence."""
    try:
        body: Any = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unusable(f"metrics.json is no JSON: {error}") from error
    if not isinstance(body, Mapping):
        raise Unusable("metrics.json is not one flat object of names and numbers")
    if len(body) > MOST:
        raise Unusable(f"metrics.json has {len(body)} metrics; {MOST} is the most")
    return {_name(name): _number(name, value) for name, value in body.items()}


def decimal(value: Decimal) -> str:
    """Write a finite number without exponent, rounded to 12 places. Raises ValueError above 16 whole digits."""
    if value.adjusted() >= WHOLE_DIGITS:
        raise ValueError(f"more than {WHOLE_DIGITS} digits before the point")
    text = format(value.quantize(SMALLEST, context=EXACT), "f").rstrip("0").rstrip(".")
    if len(text.lstrip("-").partition(".")[0]) > WHOLE_DIGITS:
        raise ValueError(f"more than {WHOLE_DIGITS} digits before the point")
    return "0" if text == "-0" else text


def _name(name: str) -> str:
    if len(name) > 63 or not NAME.fullmatch(name):
        raise Unusable(f"metrics.json: {name[:80]!r} is no name of a metric (letters, digits, '_', '-' and '.')")
    return name


def _number(name: str, value: object) -> str:
    if not isinstance(value, Decimal):
        raise Unusable(f"metrics.json: {name} is not a number")
    try:
        return decimal(value)
    except ValueError as error:
        raise Unusable(f"metrics.json: {name} has {error}") from error


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number that can be compared")
