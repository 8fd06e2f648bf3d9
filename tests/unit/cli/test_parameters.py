from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.cli.parameters import read, value
from trainyard.cli.problem import USAGE, Problem
from trainyard.resources.parameters import mismatch
from trainyard.resources.training_pipeline import Parameter

DECLARED = (
    Parameter(name="epochs", type="Integer", default=3),
    Parameter(name="rate", type="Double", default=0.1),
    Parameter(name="guard", type="Boolean", default=False),
    Parameter(name="layers", type="List", default=[8]),
    Parameter(name="extra", type="Struct", default={}),
    Parameter(name="note", type="String", default=""),
)


def refusal(*arguments: str, declared: tuple[Parameter, ...] = DECLARED) -> str:
    with pytest.raises(Problem) as caught:
        read(declared, arguments)
    assert caught.value.status == USAGE
    return str(caught.value)


def test_every_type() -> None:
    arguments = ["epochs=-5", "rate=1e-3", "guard=true", "layers=[16, 8]", 'extra={"a": {"b": 1}}', "note=a=b "]
    assert read(DECLARED, arguments) == {
        "epochs": -5, "rate": 0.001, "guard": True, "layers": [16, 8], "extra": {"a": {"b": 1}}, "note": "a=b ",
    }  # fmt: skip


def test_what_is_left_out_is_left_to_the_pipeline() -> None:
    assert read(DECLARED, ["note="]) == {"note": ""}


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("epochs=1.5", "epochs: '1.5' is not an Integer."),
        ("epochs=", "epochs: '' is not an Integer."),
        ("epochs=٣", "epochs: '٣' is not an Integer."),
        ("rate=fast", "rate: 'fast' is not a Double."),
        ("rate=nan", "rate: nan is not a finite Double."),
        ("guard=yes", "guard: 'yes' is not a Boolean: write true or false."),
        ("layers=8", "layers: this JSON is of type Integer, not List."),
        ("extra=[1]", "extra: this JSON is of type List, not Struct."),
        ("epoch=3", "epoch is not a parameter of the pipeline (did you mean epochs?)."),
        ("epochs", "'epochs' is no parameter: write name=value."),
    ],
)
def test_refused_with_a_sentence(argument: str, sentence: str) -> None:
    assert refusal(argument) == sentence


def test_malformed_json_says_where() -> None:
    assert refusal("layers=[1").startswith("layers: a List is written as JSON: ")


def test_unknown_without_a_near_one_lists_what_there_is() -> None:
    assert "it has epochs, rate, guard, layers, extra, note" in refusal("zzz=1")
    assert "(it has none)" in refusal("zzz=1", declared=())


def test_everything_wrong_is_told_at_once() -> None:
    needed = Parameter(name="seed", type="Integer")
    told = refusal("epochs=x", "rate=1", "rate=2", declared=(*DECLARED, needed))
    assert told == "epochs: 'x' is not an Integer; rate is given twice; seed has no default: give -p seed=…."


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive_the_way(number: Any) -> None:
    kind = "Integer" if isinstance(number, int) else "Double"
    found = value(kind, repr(number))
    assert found == number
    assert mismatch(kind, found) == ""
