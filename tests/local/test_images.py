"""The image table and its digests: what changed, and only that, is built again."""

from pathlib import Path

import pytest

from local import image_table, places


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "CHECKOUT", tmp_path)
    for path, text in (("a/Dockerfile", "FROM scratch"), ("b/Dockerfile", "FROM a"), ("b/app/main.py", "print()")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


TABLE = """
[image.b]
about = "stands on a"
dockerfile = "b/Dockerfile"
context = ["b/app"]
base = "a"
[image.a]
about = "the base"
dockerfile = "a/Dockerfile"
"""


@pytest.fixture
def images(checkout: Path) -> dict[str, image_table.Image]:
    file = checkout / "images.toml"
    file.write_text(TABLE)
    return image_table.read(file)


def test_bases_come_first(images: dict[str, image_table.Image]):
    assert list(images) == ["a", "b"]
    assert images["b"].reference == "localhost/trainyard/b:dev"


def test_a_changed_file_changes_its_image_and_not_the_base(checkout: Path, images: dict[str, image_table.Image]):
    before = {name: image_table.digest(images, name) for name in images}
    (checkout / "b/app/main.py").write_text("print(1)")
    assert image_table.digest(images, "a") == before["a"]
    assert image_table.digest(images, "b") != before["b"]


def test_a_changed_base_changes_what_stands_on_it(checkout: Path, images: dict[str, image_table.Image]):
    before = image_table.digest(images, "b")
    (checkout / "a/Dockerfile").write_text("FROM scratch\nENV A=1")
    assert image_table.digest(images, "b") != before


def test_what_python_leaves_behind_changes_nothing(checkout: Path, images: dict[str, image_table.Image]):
    before = image_table.digest(images, "b")
    (checkout / "b/app/__pycache__").mkdir()
    (checkout / "b/app/__pycache__/main.pyc").write_bytes(b"x")
    (checkout / "b/app/main.py").touch()
    assert image_table.digest(images, "b") == before


def test_an_image_that_stands_on_itself_is_refused(checkout: Path):
    file = checkout / "images.toml"
    file.write_text('[image.a]\nabout = ""\ndockerfile = "a/Dockerfile"\nbase = "a"\n')
    with pytest.raises(ValueError, match="stands on itself"):
        image_table.read(file)


def test_the_real_table_names_files_that_exist():
    for image in image_table.read().values():
        assert image.present, f"{image.name} names files that the checkout lacks"
