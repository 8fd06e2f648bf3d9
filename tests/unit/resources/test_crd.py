"""The generated files equal the models, and what every CRD of ours has in common."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from trainyard.resources import crd

each_kind = pytest.mark.parametrize("kind", crd.KINDS, ids=lambda kind: kind.kind)


def schema(kind: crd.Kind) -> dict[str, Any]:
    root: dict[str, Any] = crd.manifest(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def nodes(node: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every node of a schema with its path."""
    yield at, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{at}.{name}")
    for part in ("items", "additionalProperties"):
        if part in node:
            yield from nodes(node[part], f"{at}.{part}")


def test_the_files_equal_the_models() -> None:
    assert [str(path) for path in crd.stale()] == []


def test_the_files_are_what_their_text_says() -> None:
    for path, text in crd.rendered().items():
        assert yaml.safe_load(text)["metadata"]["name"].partition(".")[0] in path.name


def test_check_tells_and_generate_mends(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(crd, "ROOT", tmp_path)
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds/gone.yaml").write_text("left over")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["crd", *arguments])
        return crd.main()

    assert run("--check") == 1
    assert "differs: crds/gone.yaml" in capsys.readouterr().out
    assert run() == 0
    assert run("--check") == 0
    assert not (tmp_path / "crds/gone.yaml").exists()
    edited = tmp_path / "crds/trainyard.dev_rollouts.yaml"
    edited.write_text(edited.read_text().replace("maximum: 100", "maximum: 101"))
    assert run("--check") == 1


@each_kind
def test_everything_is_bounded(kind: crd.Kind) -> None:
    """Lists, strings and maps have an end, or CEL rules cost too much and one object fills etcd."""
    unbounded = []
    for at, node in nodes(schema(kind)["properties"]["spec"], "spec"):
        ends = {"array": "maxItems", "string": "maxLength"}.get(node.get("type", ""))
        free = "additionalProperties" in node or "x-kubernetes-preserve-unknown-fields" in node
        if free and node.get("type") == "object":  # one without properties holds nothing at all
            ends = "maxProperties"
        finite = "enum" in node or ("pattern" in node and "*" not in node["pattern"] and "+" not in node["pattern"])
        if ends and ends not in node and not finite:
            unbounded.append(at)
    assert unbounded == []


@each_kind
def test_fractions_are_strings(kind: crd.Kind) -> None:
    assert [at for at, node in nodes(schema(kind), "") if node.get("type") == "number"] == []


@each_kind
def test_rules_end_in_a_sentence(kind: crd.Kind) -> None:
    messages = [
        rule["message"] for _, node in nodes(schema(kind), "") for rule in node.get("x-kubernetes-validations", ())
    ]
    assert messages
    assert [message for message in messages if len(message.split()) < 4] == []


@each_kind
def test_no_phase(kind: crd.Kind) -> None:
    manifest = crd.manifest(kind)
    assert [at for at, _ in nodes(schema(kind), "") if at.endswith(".phase")] == []
    paths = [column["jsonPath"] for column in manifest["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert any(path.endswith('")].reason') for path in paths)


def test_names_do_not_clash() -> None:
    names = [name for kind in crd.KINDS for name in (kind.short, kind.plural, kind.kind.lower())]
    assert len(set(names)) == len(names)
