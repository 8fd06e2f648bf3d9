"""`up`: builds what is missing and starts what does not run; the parts and what each needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from local import builds, image_table, images, locking, packages, places, progress, teardown, versions
from local.cluster import Cluster
from local.kubeflow import install
from local.kubeflow.install import Kubeflow
from local.progress import Outcome, Part, Screen

BASE_IMAGES = ("pause", "base-python")


def up(wanted_images: list[str], *, kubeflow: bool = False) -> int:
    """Bring the cluster up and import these images besides those that it needs itself; the exit status."""
    if os.geteuid() != 0:
        raise SystemExit("the local cluster needs root: it makes a bridge, packet rules and mounts")
    with progress.screen() as shown:
        waiting = partial(progress.say_who, shown)
        with locking.exclusive(places.lock_file(), "up", waiting):
            cluster = Cluster()
            if not cluster.fits():
                shown.say("the cluster that is here was made by other versions: replacing it")
                teardown.down(cluster, shown)
            outcome = progress.Runner(parts(cluster, wanted_images, kubeflow=kubeflow), shown).run()
            code = _summary(outcome, shown)
            if not code:
                shown.say("up: `python -m local status` tells more")
            return code


def parts(cluster: Cluster, wanted_images: list[str], *, kubeflow: bool = False) -> list[Part]:
    """Every part of a start. Two things that fill both cores never run beside a third: lanes `go` and `images`."""
    table = versions.read()
    only = [None, install.PART] if kubeflow else [None]
    own, chart = (_images_of(install.PART), Kubeflow(cluster).chart_images()) if kubeflow else ([], ())
    wanted = {*BASE_IMAGES, *wanted_images, *own, *chart}
    chosen = [name for name in image_table.read() if name in wanted]
    return [
        Part("packages", packages.install),
        *(Part(f"build {name}", _built(name), lane="go") for name, one in table.programs.items() if one.only in only),
        *(Part(f"wheel {name}", _wheel(name)) for name in table.wheels),
        Part("gateway CRDs", _gateway_crds),
        *(_image_part(name) for name in chosen),
        Part(
            "base images",
            partial(_import_all, cluster, BASE_IMAGES),
            needs=("containerd", *map(_build_name, BASE_IMAGES)),
        ),
        *cluster.parts(),
        *(_import_part(cluster, name, "kubelet") for name in chosen if name not in BASE_IMAGES),
        *(Kubeflow(cluster).parts(own, chart) if kubeflow else []),
    ]


def build_and_import(names: list[str]) -> int:
    """`images`: build these, or all that the checkout has, and import them where a cluster runs; the exit status."""
    table = image_table.read()
    unknown = [name for name in names if name not in table]
    if unknown:
        raise SystemExit(f"no such image: {', '.join(unknown)}; there are {', '.join(table)}")
    chosen = [name for name in table if name in names] if names else available()
    cluster = Cluster()
    programs = sorted({program for name in chosen for program in table[name].programs})
    work = [Part("packages", packages.install), *(Part(f"build {name}", _built(name), lane="go") for name in programs)]
    work += map(_image_part, chosen)
    if cluster.supervisor():
        work += [_import_part(cluster, name) for name in chosen]
    with progress.screen() as shown:
        return _summary(progress.Runner(work, shown).run(), shown)


def available() -> list[str]:
    """The images whose sources the checkout has, without those that are for one part of the cluster only."""
    return [name for name, image in image_table.read().items() if image.present and not image.only]


def _images_of(part: str) -> list[str]:
    return [name for name, image in image_table.read().items() if image.present and image.only == part]


def _image_part(name: str) -> Part:
    programs = image_table.read()[name].programs
    needs = ("packages", *(f"build {program}" for program in programs))
    return Part(_build_name(name), partial(_build, name), needs, lane="images")


def _import_part(cluster: Cluster, name: str, *needs: str) -> Part:
    return Part(f"import {name}", partial(_import, cluster, name), (*needs, _build_name(name)), lane="import")


def _build_name(name: str) -> str:
    return f"image {name}"


_BUILT: dict[str, str] = {}
"""Digests of the images that this command built or found: what is imported, also when a source changes meanwhile."""


def _build(name: str) -> str:
    _BUILT[name], anew = images.build(name)
    return f"built {_BUILT[name]}" if anew else "cached"


def _import(cluster: Cluster, name: str) -> str:
    return "imported" if images.imported(cluster.state, name, _BUILT[name]) else "already there"


def _import_all(cluster: Cluster, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}: {_import(cluster, name)}" for name in names)


def _built(name: str) -> Callable[[], str]:
    def run() -> str:
        cached = builds.is_built(versions.read().programs[name])
        builds.program(name)
        return "cached" if cached else "built"

    return run


def _wheel(name: str) -> Callable[[], str]:
    return lambda: builds.wheel_program(name).parent.name


def _gateway_crds() -> str:
    return f"{len(builds.manifests('gateway'))} files"


def _summary(outcome: Outcome, shown: Screen) -> int:
    slow = ", ".join(f"{name} {seconds:.0f}s" for name, seconds in outcome.slowest())
    shown.say(f"slowest parts: {slow}")
    if outcome.errors:
        shown.say(f"failed: {', '.join(outcome.errors)}; not started: {', '.join(outcome.skipped) or 'none'}")
        return 1
    return 0
