"""The version file, recipes and the cache of builds."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local import builds, versions
from local.versions import Program


def test_every_program_is_pinned_once():
    table = versions.read()
    assert {"etcd", "kube-apiserver", "kubelet", "kubectl", "coredns", "contour", "helm"} <= set(table.programs)
    for program in table.programs.values():
        pinned = program.install or f"v{program.version}"
        assert program.version in pinned


def test_kubernetes_programs_share_one_version_and_module():
    programs = [one for one in versions.read().programs.values() if one.package.startswith("k8s.io/kubernetes/")]
    assert len(programs) == 6
    assert len({(one.version, one.module) for one in programs}) == 1


def test_a_program_without_origin_is_refused(tmp_path: Path):
    file = tmp_path / "versions.toml"
    file.write_text(
        '[debian]\nrelease = "x"\npackages = []\n[wheel]\n[manifests]\n'
        '[program.lost]\nversion = "1"\npackage = "example.com/lost"\n'
    )
    with pytest.raises(ValueError, match="program lost"):
        versions.read(file)


def test_the_recipe_changes_with_the_version_that_is_linked_in():
    one = Program("kubectl", "1.34.4", "k8s.io/kubernetes/cmd/kubectl", "kubernetes", None)
    other = Program("kubectl", "1.34.5", "k8s.io/kubernetes/cmd/kubectl", "kubernetes", None)
    assert builds.recipe(one) != builds.recipe(other)
    assert builds.recipe(one) == builds.recipe(one)


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path))

    def half(room: Path) -> None:
        (room / "program").write_text("half")
        raise builds.BuildFailed("cut short")

    with pytest.raises(builds.BuildFailed):
        builds.kept("program", "1", "abc", half)
    assert not [entry for entry in (tmp_path / "bin").iterdir() if entry.is_dir()]


def test_a_killed_build_is_not_taken_for_a_program_and_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path))
    script = (
        "import os, signal\nfrom local import builds\n"
        "def make(room):\n (room / 'program').write_text('half')\n os.kill(os.getpid(), signal.SIGKILL)\n"
        "builds.kept('program', '1', 'abc', make)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    folder = builds.kept("program", "1", "abc", lambda room: (room / "program").write_text("whole") and None)
    assert (folder / "program").read_text() == "whole"
    assert [entry.name for entry in (tmp_path / "bin").iterdir() if entry.is_dir()] == [folder.name]


def test_two_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path))
    made: list[str] = []
    both = threading.Barrier(2)

    def build() -> None:
        both.wait()
        builds.kept("program", "1", "abc", lambda room: made.append(room.name))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
