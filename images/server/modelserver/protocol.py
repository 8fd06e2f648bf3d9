"""The bodies of the Open Inference Protocol, v1 (row and column form) and v2: what is asked, and the answer.

v1 is TensorFlow Serving's REST form, https://www.tensorflow.org/tfx/serving/api_rest ; v2 is
https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md). No extension of v2 is
offered, so binary tensor data is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from .tensors import Array, BadRequest, TensorSpec, rows, size, to_array, to_json, unnest

SIGNATURE = "serving_default"
PLATFORM = "tensorflow_savedmodel"
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Signature:
    """What the model takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Question:
    """A checked request: the tensors for the model, and how the answer is to be written."""

    tensors: Tensors
    form: str  # "rows", "columns" or "v2"
    identity: str | None = None
    wanted: tuple[str, ...] = ()


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request's body."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, BadRequest) else "the body is not JSON"
        raise BadRequest(reason) from error
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not JSON; a model's input must be finite")


def read_v1(body: bytes, signature: Signature, max_rows: int) -> Question:
    """Read a `:predict` request: `{"instances": [row, …]}` or `{"inputs": columns}`."""
    asked = parse_body(body)
    if asked.get("signature_name", SIGNATURE) != SIGNATURE:
        raise BadRequest(f'the only signature served is "{SIGNATURE}"')
    if ("instances" in asked) == ("inputs" in asked):
        raise BadRequest('give "instances" (rows) or "inputs" (columns), one of them')
    if "instances" in asked:
        return Question(_read_rows(asked["instances"], signature, max_rows), "rows")
    return Question(_read_columns(asked["inputs"], signature, max_rows), "columns")


def _read_rows(instances: Any, signature: Signature, max_rows: int) -> Tensors:
    if not isinstance(instances, list) or not instances:
        raise BadRequest('"instances" must be a list with at least one row')
    if len(instances) > max_rows:
        raise BadRequest(f"{len(instances)} rows in one request, at most {max_rows} are taken")
    for spec in signature.inputs:
        if not spec.batched:
            raise BadRequest(f'input {spec.name!r} is not batched: send "inputs" instead of "instances"')
    return _read_columns(_columns(instances, signature), signature, max_rows)


def _columns(instances: list[Any], signature: Signature) -> dict[str, Any]:
    """Turn rows into columns. A row is an object by input name, or the bare value where there is one input."""
    names = [spec.name for spec in signature.inputs]
    named = [isinstance(row, dict) and set(row) != {"b64"} for row in instances]
    if not any(named):
        if len(names) != 1:
            raise BadRequest(f"each row must be an object with the inputs {', '.join(names)}")
        return {names[0]: instances}
    if not all(named):
        raise BadRequest("either all rows are objects or none is")
    for index, row in enumerate(instances):
        _check_names(row, names, f"row {index}")
    return {name: [row[name] for row in instances] for name in names}


def _read_columns(columns: Any, signature: Signature, max_rows: int) -> Tensors:
    names = [spec.name for spec in signature.inputs]
    if not isinstance(columns, dict) or set(columns) == {"b64"}:
        if len(names) != 1:
            raise BadRequest(f'"inputs" must be an object with {", ".join(names)}')
        columns = {names[0]: columns}
    _check_names(columns, names, '"inputs"')
    tensors = {spec.name: to_array(spec, *unnest(columns[spec.name])) for spec in signature.inputs}
    _check_rows(tensors, max_rows)
    return tensors


def _check_names(given: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    missing, unknown = set(names) - set(given), set(given) - set(names)
    if missing:
        raise BadRequest(f"{where} lacks the input {min(missing)!r}")
    if unknown:
        raise BadRequest(f"{where} has an input that the model does not know; it has {', '.join(names)}")


def _check_rows(tensors: Tensors, max_rows: int) -> None:
    count = rows([array.shape for array in tensors.values()])
    if count > max_rows:
        raise BadRequest(f"{count} rows in one request, at most {max_rows} are taken")
    if any(array.size == 0 for array in tensors.values()):
        raise BadRequest("a tensor without elements")


def read_v2(body: bytes, signature: Signature, max_rows: int) -> Question:
    """Read an `infer` request."""
    asked = parse_body(body)
    identity = asked.get("id")
    if identity is not None and not isinstance(identity, str):
        raise BadRequest('"id" must be a string')
    _check_parameters(asked, "the request")
    specs = {spec.name: spec for spec in signature.inputs}
    inputs = _named_objects(asked.get("inputs"), "inputs")
    _check_names(inputs, list(specs), '"inputs"')
    tensors = {name: _read_tensor(specs[name], given) for name, given in inputs.items()}
    _check_rows(tensors, max_rows)
    return Question(tensors, "v2", identity, _wanted(asked, signature))


def _check_parameters(holder: Mapping[str, Any], where: str) -> None:
    if not isinstance(holder.get("parameters", {}), dict):
        raise BadRequest(f'"parameters" of {where} must be an object')


def _named_objects(value: Any, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise BadRequest(f'"{where}" must be a list of objects')
    found: dict[str, dict[str, Any]] = {}
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise BadRequest(f'each of "{where}" must be an object with a "name"')
        if item["name"] in found:
            raise BadRequest(f'"{where}" names {item["name"][:64]!r} twice')
        found[item["name"]] = item
    return found


def _read_tensor(spec: TensorSpec, given: Mapping[str, Any]) -> Array:
    if given.get("datatype") != spec.datatype:
        raise BadRequest(f'input {spec.name!r} has the "datatype" {spec.datatype}')
    _check_parameters(given, f"input {spec.name!r}")
    if "data" not in given:
        raise BadRequest(f'input {spec.name!r} lacks "data" (binary tensor data is not offered)')
    shape = _read_shape(spec, given.get("shape"))
    leaves, nested = unnest(given["data"])
    if len(nested) != 1 and nested != shape:
        raise BadRequest(f'input {spec.name!r}: "data" is nested as {list(nested)}, "shape" says {list(shape)}')
    if len(leaves) != size(shape):
        raise BadRequest(f"input {spec.name!r}: {len(leaves)} elements for the shape {list(shape)}")
    return to_array(spec, leaves, shape)


def _read_shape(spec: TensorSpec, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item < 2**63 for item in value):
        raise BadRequest(f'input {spec.name!r}: "shape" must be a list of whole numbers, none below 0')
    return tuple(value)


def _wanted(asked: Mapping[str, Any], signature: Signature) -> tuple[str, ...]:
    names = [spec.name for spec in signature.outputs]
    if "outputs" not in asked:
        return tuple(names)
    wanted = _named_objects(asked["outputs"], "outputs")
    for name, item in wanted.items():
        if name not in names:
            raise BadRequest(f'"outputs" asks for one that the model does not have; it has {", ".join(names)}')
        _check_parameters(item, f"output {name!r}")
    return tuple(wanted)


def write(question: Question, model: str, signature: Signature, answer: Tensors) -> bytes:
    """Return the body of the answer, in the form that was asked for. BadOutput where JSON has no word for it."""
    body = _write_v2(question, model, signature, answer) if question.form == "v2" else _write_v1(question, answer)
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _write_v1(question: Question, answer: Tensors) -> dict[str, Any]:
    said = {name: to_json(name, array) for name, array in answer.items()}
    if question.form == "columns":
        return {"outputs": said if len(said) > 1 else next(iter(said.values()))}
    if len(said) == 1:
        return {"predictions": next(iter(said.values()))}
    return {"predictions": [dict(zip(said, row, strict=True)) for row in zip(*said.values(), strict=True)]}


def _write_v2(question: Question, model: str, signature: Signature, answer: Tensors) -> dict[str, Any]:
    datatypes = {spec.name: spec.datatype for spec in signature.outputs}
    outputs = [
        {
            "name": name,
            "shape": list(answer[name].shape),
            "datatype": datatypes[name],
            "data": to_json(name, answer[name].reshape(-1)),
        }
        for name in question.wanted
    ]
    identity = {} if question.identity is None else {"id": question.identity}
    return {"model_name": model, **identity, "outputs": outputs}
