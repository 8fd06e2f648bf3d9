"""Builds the images of images.toml with buildah, keeps them in the cache, and imports them into containerd.

What an image is made of has a digest; a build is done once per digest and kept as an image in one OCI layout of the
cache, where images share their layers. An import sends containerd only the layers that it lacks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from local import builds, image_table, node, places, processes, versions
from local.image_table import REPOSITORY, Image
from local.locking import exclusive

KEPT_PER_IMAGE = 3


class ImageFailed(RuntimeError):
    """An image could not be built or imported; the message ends with what the tool said last."""


def build(name: str) -> tuple[str, bool]:
    """Build the image where the cache lacks it, bases first; its digest, and whether anything was built."""
    images = image_table.read()
    image, digest = images[name], image_table.digest(images, name)
    if _record(name, digest).exists():
        return digest, False
    base = f"{REPOSITORY}/{image.base}:{build(image.base)[0]}" if image.base else None
    with exclusive(_room() / ".lock", f"build of image {name}"):
        if not _record(name, digest).exists():
            if base:
                _bring_back(base)
            _build(image, digest, base)
            _prune(name)
    return digest, True


def imported(state: Path, name: str, digest: str) -> bool:
    """Import the image that `build` gave this digest into containerd unless it is there; whether it had to be."""
    image = image_table.read()[name]
    manifest = json.loads(_record(name, digest).read_text())
    if manifest["digest"] in _say(node.ctr(state, "images", "ls", f"name=={image.reference}")):
        return False
    have = set(_say(node.ctr(state, "content", "ls", "-q")).split())
    command = node.ctr(state, "images", "import", "-")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as importer:
        if importer.stdin is None or importer.stdout is None:
            raise ImageFailed("no pipe to containerd")
        try:
            _send(importer.stdin, image, manifest, have)
        except BrokenPipeError:
            importer.kill()
        said = importer.stdout.read().decode()
    if importer.returncode:
        raise ImageFailed(f"import of {image.reference}: {said.strip()[-600:]}")
    return True


def push(name: str, registry: str) -> str:
    """Build the image where the cache lacks it and copy it to `registry` (host and prefix); its reference there."""
    digest, _ = build(name)
    target = f"{registry.rstrip('/')}/{name}:{image_table.read()[name].tag}"
    # A registry on this machine speaks plain HTTP, as containerd and Docker expect it of such an address.
    plain = ["--dest-tls-verify=false"] if target.startswith(("127.0.0.1:", "localhost:")) else []
    _say(["skopeo", "copy", "--quiet", *plain, f"oci:{_layout()}:{name}-{digest}", f"docker://{target}"])
    return target


def _send(pipe: IO[bytes], image: Image, manifest: dict[str, object], have: set[str]) -> None:
    """Write an OCI archive of the image, without blobs that containerd has."""
    annotated = {**manifest, "annotations": {"io.containerd.image.name": image.reference}}
    index = {"schemaVersion": 2, "manifests": [annotated]}
    with tarfile.open(fileobj=pipe, mode="w|") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in _blobs(str(manifest["digest"])):
            if blob not in have:
                archive.add(_blob(blob), f"blobs/{blob.replace(':', '/')}")
        pipe.flush()
    pipe.close()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, BytesIO(content))


def _build(image: Image, digest: str, base: str | None) -> None:
    reference = f"{REPOSITORY}/{image.name}:{digest}"
    with _context(image) as context:
        argument = [f"--build-arg=BASE={base}"] if base else []
        # One layer a build: what a later step removes is then really gone.
        _buildah("bud", "--quiet", "--layers=false", *argument, "-f", image.dockerfile, "-t", reference, str(context))
    _push(image.name, digest)


def _push(name: str, digest: str) -> None:
    """Copy a built image into the layout, without layers that it has, and record the manifest."""
    wanted = f"{name}-{digest}"
    _skopeo(f"{_STORAGE}{REPOSITORY}/{name}:{digest}", f"oci:{_layout()}:{wanted}")
    index = json.loads((_layout() / "index.json").read_text())
    (manifest,) = [one for one in index["manifests"] if one["annotations"][_REF_NAME] == wanted]
    half = _record(name, digest).with_suffix(".part")
    half.write_text(json.dumps({key: manifest[key] for key in ("mediaType", "digest", "size")}))
    half.rename(_record(name, digest))


@contextmanager
def _context(image: Image) -> Iterator[Path]:
    """A folder with just what the image names, laid out as in the checkout."""
    with tempfile.TemporaryDirectory(prefix="build-", dir=_room()) as folder:
        context = Path(folder)
        for path in {*image_table.files(image), image.dockerfile, *filter(None, (image.wheels,))}:
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(places.CHECKOUT / path, context / path)
        if image.packages:
            os.link(_rootfs(image.packages), context / "rootfs.tar")
        for program in image.programs:
            (context / "programs").mkdir(exist_ok=True)
            os.link(builds.program(program), context / "programs" / program)
        if image.compile:
            target = context / Path(image.compile).stem
            _say(["gcc", "-Os", "-static", "-s", "-o", str(target), str(places.CHECKOUT / image.compile)])
        if image.wheels:
            shutil.copytree(_wheels(places.CHECKOUT / image.wheels), context / "wheels", copy_function=os.link)
        yield context


def _rootfs(packages: tuple[str, ...]) -> Path:
    """A Debian root filesystem with these packages, as a tar file of the cache."""
    release = versions.read().release
    slim = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")]

    def make(room: Path) -> None:
        chosen = ["--variant=minbase", f"--include={','.join(packages)}", "--quiet", *slim]
        _say(["mmdebstrap", *chosen, release, str(room / "rootfs.tar")])

    digest = builds.digest(release, *packages, *slim)
    return builds.kept("rootfs", release, digest, make) / "rootfs.tar"


def _wheels(requirements: Path) -> Path:
    """A folder of the cache with the wheels of a requirements file."""

    def make(room: Path) -> None:
        # A requirements file lists all that is wanted; what it does not list, the image does without.
        chosen = ["--quiet", "--no-deps", "--only-binary=:all:"]
        _say([places.pip(), "download", *chosen, "-r", str(requirements), "-d", str(room)])

    whose = requirements.parent.name if requirements.parent != places.CHECKOUT else "operator"
    return builds.kept("wheels", whose, builds.digest(requirements.read_text()), make)


def _bring_back(reference: str) -> None:
    """Have a built image in buildah's own storage too, where builds on top of it look."""
    found = subprocess.run([*_BUILDAH, "inspect", "--type=image", reference], capture_output=True, check=False)
    if found.returncode:
        name, digest = reference.removeprefix(f"{REPOSITORY}/").split(":")
        _skopeo(f"oci:{_layout()}:{name}-{digest}", f"{_STORAGE}{reference}")


_REF_NAME = "org.opencontainers.image.ref.name"
_GRAPH, _RUN = places.cache() / "buildah", "/run/trainyard-buildah"
_BUILDAH = ["buildah", f"--root={_GRAPH}", f"--runroot={_RUN}", "--storage-driver=overlay"]
_STORAGE = f"containers-storage:[overlay@{_GRAPH}+{_RUN}]"


def _buildah(*arguments: str) -> str:
    return _say([*_BUILDAH, *arguments], BUILDAH_ISOLATION="chroot")


def _skopeo(source: str, target: str) -> None:
    # Uncompressed: gzip costs more than it saves here, and only so are layers that are there already recognised.
    _say(["skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers", source, target])


def _say(command: list[str], **env: str) -> str:
    done = subprocess.run(
        [*processes.BOUND, *command],
        cwd=places.CHECKOUT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ImageFailed(f"{command[0]} {' '.join(command[1:4])} exited {done.returncode}:\n{last}")
    return done.stdout


def _room() -> Path:
    room = places.cache() / "images"
    room.mkdir(parents=True, exist_ok=True)
    return room


def _layout() -> Path:
    return _room() / "layout"


def _record(name: str, digest: str) -> Path:
    return _room() / f"{name}@{digest}.json"


def _blob(digest: str) -> Path:
    return _layout() / "blobs" / digest.replace(":", "/")


def _blobs(manifest: str) -> list[str]:
    """Digests of everything a manifest needs, itself first."""
    content = json.loads(_blob(manifest).read_text())
    return [manifest, content["config"]["digest"], *(layer["digest"] for layer in content["layers"])]


def _prune(name: str) -> None:
    """Forget all but the newest builds of an image, and the blobs that no image needs any more."""
    newest = sorted(_room().glob(f"{name}@*.json"), key=lambda record: -record.stat().st_mtime)
    for record in newest[KEPT_PER_IMAGE:]:
        record.unlink()
        reference = f"{REPOSITORY}/{record.stem.replace('@', ':')}"
        subprocess.run([*_BUILDAH, "rmi", reference], capture_output=True, check=False)
    if len(newest) > KEPT_PER_IMAGE:
        _drop_unused()


def _drop_unused() -> None:
    needed = {blob for record in _room().glob("*@*.json") for blob in _blobs(json.loads(record.read_text())["digest"])}
    index = _layout() / "index.json"
    content = json.loads(index.read_text())
    content["manifests"] = [one for one in content["manifests"] if one["digest"] in needed]
    half = index.with_suffix(".part")
    half.write_text(json.dumps(content))
    half.rename(index)
    for blob in (_layout() / "blobs/sha256").iterdir():
        if f"sha256:{blob.name}" not in needed:
            blob.unlink()
