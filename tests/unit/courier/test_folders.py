"""What may be published: regular files inside the model's folder, whatever else lies there is named."""

import os
import socket
from pathlib import Path

import pytest

from trainyard.courier.folders import Found, appearing, emptied, regular_files
from trainyard.courier.outcome import Unusable


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"pb")
    (tmp_path / "model" / "variables" / "v").write_bytes(b"weights")
    return tmp_path / "model"


def test_regular_files_come_sorted_and_relative_to_the_output(model: Path) -> None:
    found = regular_files(model.parent, "model")
    assert [f.path for f in found] == ["model/saved_model.pb", "model/variables/v"]


def test_a_link_to_a_file_inside_counts_as_that_file(model: Path) -> None:
    (model / "alias").symlink_to("variables/v")
    assert Found("model/alias", model / "variables" / "v") in regular_files(model.parent, "model")


@pytest.mark.parametrize("target", ["/etc/hostname", "../metrics.json", "/proc/self/environ"])
def test_a_link_out_of_the_folder_is_refused(model: Path, target: str) -> None:
    (model.parent / "metrics.json").write_text("{}")
    (model / "bad").symlink_to(target)
    with pytest.raises(Unusable, match="model/bad is a link out"):
        regular_files(model.parent, "model")


def test_a_link_to_a_folder_to_nothing_and_in_a_circle_is_refused(model: Path) -> None:
    (model / "dir").symlink_to("variables")
    with pytest.raises(Unusable, match="link to a folder"):
        regular_files(model.parent, "model")
    (model / "dir").unlink()
    (model / "gone").symlink_to("nothing")
    with pytest.raises(Unusable, match="link to nothing"):
        regular_files(model.parent, "model")
    (model / "gone").unlink()
    (model / "round").symlink_to("round")
    with pytest.raises(Unusable, match="model/round"):
        regular_files(model.parent, "model")


def test_a_socket_and_a_pipe_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)  # a socket's path is at most 108 bytes
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("sock")
        with pytest.raises(Unusable, match="model/sock is no regular file"):
            regular_files(model.parent, "model")
    (model / "sock").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(Unusable, match="model/pipe is no regular file"):
        regular_files(model.parent, "model")


def test_a_name_that_no_key_can_have_is_refused(model: Path) -> None:
    (model / "a\nb").write_bytes(b"")
    with pytest.raises(Unusable, match="cannot be the name of an object"):
        regular_files(model.parent, "model")
    (model / "a\nb").unlink()
    Path(os.fsdecode(os.fsencode(model) + b"/\xff")).write_bytes(b"")
    with pytest.raises(Unusable, match="cannot be the name of an object"):
        regular_files(model.parent, "model")


def test_no_model_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no folder model/"):
        regular_files(tmp_path, "model")
    (tmp_path / "model").mkdir()
    with pytest.raises(Unusable, match="holds no file"):
        regular_files(tmp_path, "model")
    (tmp_path / "model").rmdir()
    (tmp_path / "model").symlink_to("/etc")
    with pytest.raises(Unusable, match="no folder model/"):
        regular_files(tmp_path, "model")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail() -> None:
        with appearing(tmp_path / "sub" / "file") as out:
            out.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / "sub").iterdir()) == []
    with appearing(tmp_path / "sub" / "file") as out:
        out.write(b"whole")
    assert [f.name for f in (tmp_path / "sub").iterdir()] == ["file"]


def test_emptied_removes_links_not_what_they_point_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"")
    room = tmp_path / "room"
    (room / "sub").mkdir(parents=True)
    (room / "file").write_bytes(b"")
    (room / "link").symlink_to(outside)
    assert list(emptied(room).iterdir()) == []
    assert (outside / "kept").exists()
