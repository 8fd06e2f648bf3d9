"""Lays out the Go sources that registry modules leave out, beside the go.mod whose `replace` lines name them.

Kubeflow's go.mod replaces two modules by folders that are not in its archive, and the published ones are older. Their
Go code is generated again from the file descriptors inside the Python packages of the same release.
Argo's archive lost a symlink (module archives hold none), without which its executor does not compile.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local import places
from local.kubeflow import wire

Run = Callable[[list[str], Path], object]
"""Runs a command in a folder; raises where it fails."""


@dataclass(frozen=True)
class Archive:
    """One version of a module as the registry has it. `digest` is its line of go.sum: a replaced module has none."""

    path: str
    version: str
    digest: str


Unpack = Callable[[Archive], Path]
"""Gives the folder of an archive in Go's module cache, its digest verified."""

# The generator that made the code of this Kubeflow release.
GENERATOR = "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.6"
API = Archive(
    "github.com/kubeflow/pipelines/api",
    "v0.0.0-20250102152816-873e9dedd766",
    "h1:ZXz+Ki+hxez8vsr5hWHsjYWpa9V/dkp3iI4XTtMBH7A=",
)
PLATFORM = Archive(
    "github.com/kubeflow/pipelines/kubernetes_platform",
    "v0.0.0-20240725205754-d911c8b73b49",
    "h1:Xf1qun8x4ZJj/nLZpUSIaphDK04NKeV7WME31qIC8Xo=",
)
ARGO = Archive("github.com/argoproj/argo-workflows/v3", "v3.6.7", "h1:3vT0ygPVtZxSSUaZsCeI+Th/Bm9Cfc2J1FQOGe2iKoM=")
DESCRIPTORS = places.LOCAL / "go/kubeflow/descriptors.txt"
SQLITE = places.LOCAL / "go/kubeflow/sqlite3"
GENERATED = {
    "pipeline_spec.proto": "api/v2alpha1/go/pipelinespec/pipeline_spec.pb.go",
    "kubernetes_executor_config.proto": "kubernetes_platform/go/kubernetesplatform/kubernetes_executor_config.pb.go",
}


# Raise it when what is laid out changes for another reason than the data above.
LAYOUT = 1


def recipe(module: str) -> list[str]:
    """Texts that decide what is laid out beside the go.mod of a folder of local/go; empty where nothing is."""
    own = [file.read_text() for file in (DESCRIPTORS, *sorted(SQLITE.iterdir()))]
    generated = [GENERATOR, API.digest, PLATFORM.digest, *GENERATED, *GENERATED.values(), *own]
    return {"kubeflow": [f"layout {LAYOUT}", *generated], "argo": [f"layout {LAYOUT}", ARGO.digest]}.get(module, [])


def lay_out(module: str, room: Path, unpack: Unpack, run: Run) -> None:
    """Write into `room` what the go.mod of this folder of local/go replaces."""
    {"kubeflow": kubeflow, "argo": argo}[module](room, unpack, run)


def kubeflow(room: Path, unpack: Unpack, run: Run) -> None:
    """Write `api` and `kubernetes_platform`: the published modules with their code generated anew; and `sqlite3`."""
    shutil.copytree(SQLITE, room / "sqlite3")
    _copy(unpack(API), room / "api")
    _copy(unpack(PLATFORM), room / "kubernetes_platform")
    with tempfile.TemporaryDirectory(dir=room) as folder:
        scratch = Path(folder)
        install = [places.pip(), "install", "--quiet", "--no-deps", "--require-hashes"]
        run([*install, "-r", str(DESCRIPTORS), f"--target={scratch / 'packages'}"], scratch)
        found = dict(_named(scratch / "packages"))
        for proto, target in GENERATED.items():
            (scratch / "request").write_bytes(wire.request(proto, _with_dependencies(proto, found)))
            run(["sh", "-c", f"go run {GENERATOR} < request > answer"], scratch)
            (room / target).write_bytes(wire.generated((scratch / "answer").read_bytes()))


def argo(room: Path, unpack: Unpack, _: Run) -> None:
    """Write `argo-workflows`: the module, and the file that is a symlink in its repository."""
    _copy(unpack(ARGO), room / "argo-workflows")
    folder = room / "argo-workflows/workflow/executor/os-specific"
    shutil.copyfile(folder / "signal_darwin.go", folder / "signal_linux.go")


def _copy(module: Path, target: Path) -> None:
    # The module cache is read-only, and `copy` carries the modes over.
    shutil.copytree(module, target, copy_function=shutil.copyfile)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)


def _named(wheels: Path) -> Iterator[tuple[str, bytes]]:
    """Each file descriptor of the installed packages with the name of its .proto file."""
    for file in wheels.rglob("*_pb2.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
                descriptor: bytes = ast.literal_eval(node.args[0])
                yield wire.text(descriptor, wire.FILE_NAME)[0], descriptor


def _with_dependencies(name: str, known: dict[str, bytes]) -> list[bytes]:
    """The descriptor after all that it imports, each once, as protoc sends them."""
    ordered: dict[str, bytes] = {}

    def add(one: str) -> None:
        for needed in wire.text(known[one], wire.FILE_DEPENDENCY):
            add(needed)
        ordered[one] = known[one]

    add(name)
    return list(ordered.values())
