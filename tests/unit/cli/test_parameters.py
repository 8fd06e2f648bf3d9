from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.cli.parameters import from_text, read, value
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


def test_a_file_gives_typed_values_and_an_argument_wins() -> None:
    values = from_text("epochs: 9\nlayers: [16]\nnote: 2026-01-01\n", "f.yaml")
    assert values == {"epochs": 9, "layers": [16], "note": "2026-01-01"}  # a date stays text
    assert read(DECLARED, ["epochs=7"], values) == {"epochs": 7, "layers": [16], "note": "2026-01-01"}


def test_everything_wrong_in_a_file_is_told() -> None:
    with pytest.raises(Problem) as caught:
        read(DECLARED, ["rate=x"], {"epochs": "9", "epoch": 1, "guard": 1})
    assert str(caught.value) == (
        "epochs: the file has String, not Integer; "
        "epoch is not a parameter of the pipeline (did you mean epochs?); "
        "guard: the file has Integer, not Boolean; rate: 'x' is not a Double."
    )


def test_a_file_may_give_what_has_no_default() -> None:
    declared = (Parameter(name="label", type="String"),)
    assert read(declared, [], {"label": "a"}) == {"label": "a"}
    assert refusal(declared=declared) == "label has no default: give -p label=…."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "f.yaml is neither YAML nor JSON (line 1)."),
        ("- a", "f.yaml must be a mapping of parameter names to values."),
        ("1: a", "f.yaml must be a mapping of parameter names to values."),
        ("!!python/object/apply:os.system [ls]", "f.yaml is neither YAML nor JSON (line 1)."),
    ],
)
def test_files_that_are_none(text: str, sentence: str) -> None:
    with pytest.raises(Problem) as caught:
        from_text(text, "f.yaml")
    assert (str(caught.value), caught.value.status) == (sentence, USAGE)
