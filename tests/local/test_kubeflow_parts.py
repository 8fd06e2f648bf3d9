"""What `up --kubeflow` adds: sources laid out, objects that fit together, parts that wait for each other."""

import ast
from pathlib import Path
from typing import Any

import pytest

from local import builds, image_table, up, versions
from local.cluster import Cluster
from local.kubeflow import install, objects, sources, wire
from local.kubeflow.sources import Archive
from local.processes import Identity


def message(number: int, value: bytes) -> bytes:
    return wire._field(number, value)


def test_a_request_is_what_a_protoc_plugin_reads():
    told = list(wire.fields(wire.request("a.proto", [b"first", b"x" * 300])))
    assert told == [(1, b"a.proto"), (15, b"first"), (15, b"x" * 300)]


def test_fields_that_are_no_text_are_passed_over():
    varint, fixed64, fixed32 = b"\x10\xac\x02", b"\x19" + b"\0" * 8, b"\x25" + b"\0" * 4
    assert wire.text(varint + message(1, b"n") + fixed64 + fixed32 + message(3, b"d"), 3) == ["d"]
    with pytest.raises(ValueError, match="wire type 3"):
        list(wire.fields(b"\x0b"))


def test_the_generators_answer_is_its_one_file_or_its_error():
    assert wire.generated(message(15, message(1, b"x.go") + message(15, b"package x"))) == b"package x"
    with pytest.raises(wire.GenerationFailed, match="no such import"):
        wire.generated(message(1, b"no such import"))


def package(folder: Path, name: str, proto: str, *imports: str) -> bytes:
    """A module as protoc writes it for Python, with its descriptor inside."""
    descriptor = message(1, proto.encode()) + b"".join(message(3, one.encode()) for one in imports)
    (folder / name).write_text(f"DESCRIPTOR = pool.Default().AddSerializedFile(\n  {descriptor!r})\n")
    return descriptor


def test_kubeflows_code_is_generated_from_the_descriptors_after_what_they_import(tmp_path: Path):
    published, room, asked = tmp_path / "published", tmp_path / "room", []
    for target in sources.GENERATED.values():
        file = published / target.partition("/")[2]
        file.parent.mkdir(parents=True)
        file.write_text("old")
        file.chmod(0o444)

    def run(command: list[str], where: Path) -> None:
        if "install" in command:
            packages = where / "packages"
            packages.mkdir()
            package(packages, "kubernetes_executor_config_pb2.py", "kubernetes_executor_config.proto", "s.proto")
            package(packages, "pipeline_spec_pb2.py", "pipeline_spec.proto", "s.proto")
            package(packages, "s_pb2.py", "s.proto")
        else:
            asked.append((where / "request").read_bytes())
            (where / "answer").write_bytes(message(15, message(15, b"new")))

    room.mkdir()
    sources.lay_out("kubeflow", room, lambda _: published, run)
    assert [(room / target).read_text() for target in sources.GENERATED.values()] == ["new", "new"]
    assert sorted(entry.name for entry in room.iterdir()) == ["api", "kubernetes_platform", "sqlite3"]
    descriptors = [wire.text(value, 1)[0] for number, value in wire.fields(asked[0]) if number == 15]
    assert descriptors == ["s.proto", "pipeline_spec.proto"]


def test_argos_lost_symlink_is_there_again(tmp_path: Path):
    lost = tmp_path / "module/workflow/executor/os-specific"
    lost.mkdir(parents=True)
    (lost / "signal_darwin.go").write_text("package os_specific")
    (tmp_path / "room").mkdir()
    sources.lay_out("argo", tmp_path / "room", lambda _: tmp_path / "module", lambda *_: None)
    found = tmp_path / "room/argo-workflows/workflow/executor/os-specific/signal_linux.go"
    assert found.read_text() == "package os_specific"


def test_a_module_with_another_digest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(builds, "_download", lambda *_: {"Dir": str(tmp_path), "Sum": "h1:other"})
    with pytest.raises(builds.BuildFailed, match="h1:other, not h1:ours"):
        builds._unpacked(Archive("example.com/x", "v1", "h1:ours"), tmp_path)


def test_pinned_archives_are_those_that_the_go_modules_name():
    for module, archives in {"kubeflow": [sources.API, sources.PLATFORM], "argo": [sources.ARGO]}.items():
        text = (sources.places.LOCAL / f"go/{module}/go.mod").read_text()
        for archive in archives:
            assert f"{archive.path} {archive.version}" in text


def test_programs_of_kubeflow_are_built_only_where_it_is_wanted(tmp_path: Path):
    programs = {f"build {name}" for name, one in versions.read().programs.items() if one.only == "kubeflow"}
    assert programs
    cluster = Cluster(tmp_path)
    without = {part.name for part in up.parts(cluster, [])}
    whole = {part.name: part for part in up.parts(cluster, [], kubeflow=True)}
    assert not programs & without
    assert programs <= set(whole)
    assert {f"import {name}" for name in ("argo", "kubeflow", "operator", "mysql", "minio")} <= set(whole)
    assert "chart" in whole["kubeflow"].needs


def test_where_the_chart_is_installed_no_operator_is_built_for_it():
    told = Told({"secrets": "secret/sh.helm.release.v1.trainyard.v1"})
    assert not {"image operator", "image mysql"} & {part.name for part in up.parts(told, [], kubeflow=True)}


def pods() -> dict[str, dict[str, Any]]:
    made = [one for one in objects.objects("{}") if one["kind"] == "Deployment"]
    return {one["metadata"]["name"]: one["spec"]["template"] for one in made}


def test_pods_use_images_of_the_table_and_services_choose_pods():
    references = {image.reference: name for name, image in image_table.read().items()}
    for pod in pods().values():
        image = pod["spec"]["containers"][0]["image"]
        assert pod["metadata"]["annotations"]["trainyard.dev/made-of"] == image_table.digest(
            image_table.read(), references[image]
        )
    labels = {pod["metadata"]["labels"]["app"] for pod in pods().values()}
    services = [one["spec"] for one in objects.objects("{}") if one["kind"] == "Service"]
    assert {spec["selector"]["app"] for spec in services if "selector" in spec} <= labels


def test_no_key_is_written_into_a_pod():
    secrets = {objects.MYSQL_SECRET, objects.STORE_SECRET}
    named = [
        entry
        for pod in pods().values()
        for entry in pod["spec"]["containers"][0]["env"]
        if "PASSWORD" in entry["name"] or "KEY" in entry["name"]
    ]
    assert len(named) == 4
    assert all(entry["valueFrom"]["secretKeyRef"]["name"] in secrets for entry in named)


def test_accounts_of_kubeflows_own_bindings_get_their_namespace():
    binding = {"kind": "RoleBinding", "subjects": [{"kind": "ServiceAccount", "name": "argo"}]}
    assert objects.placed(binding)["subjects"] == [{"kind": "ServiceAccount", "name": "argo", "namespace": "kubeflow"}]
    assert objects.placed({"kind": "Role"}) == {"kind": "Role"}


class Told(Cluster):
    """A cluster whose kubectl answers from a table and notes what it was given."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__(Path("/nonexistent"))
        self.answers, self.asked = answers, []

    def supervisor(self) -> Identity | None:
        return Identity(1, 1)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        self.asked.append((arguments, given))
        return next((answer for part, answer in self.answers.items() if part in arguments), "")


def test_the_database_keeps_the_password_that_pods_have():
    told = Told({objects.MYSQL_SECRET: '{"data": {"password": "cHc="}}'})
    install.Kubeflow(told)._prepare_database()
    (statements,) = (given for arguments, given in told.asked if "exec" in arguments)
    assert "ALTER USER 'kubeflow'@'%' IDENTIFIED BY 'pw';" in statements
    assert "GRANT ALL ON metadb.* TO 'kubeflow'@'%';" in statements


def test_a_chart_whose_installer_was_killed_is_installed_anew(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    states = ['[{"status": "pending-install"}]']

    def helm(self: object, *arguments: str) -> str:
        asked.append(arguments[0])
        return states.pop(0) if arguments[0] == "list" else ""

    monkeypatch.setattr(install.Kubeflow, "_helm", helm)
    monkeypatch.setattr(install, "_helm_runs", lambda: False)
    assert install.Kubeflow(Told({})).install_chart() == "installed"
    assert asked == ["list", "uninstall", "upgrade"]
    states.append('[{"status": "deployed"}]')
    assert install.Kubeflow(Told({})).install_chart() == "already there (deployed)"


def test_the_metadata_server_knows_the_environment_that_its_pod_has():
    text = (sources.places.CHECKOUT / "images/ml-metadata/server.py").read_text()
    read = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    given = {entry["name"] for entry in pods()["metadata-grpc"]["spec"]["containers"][0]["env"]}
    assert given <= read
