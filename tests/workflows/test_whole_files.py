"""Tests that files and folders are written whole, or not at all."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

from whole_files import written_whole


class Killed(BaseException):
    """Simulates a kill in the middle of a write; nothing catches it."""


def write(path, text, folder):
    if folder:
        path.mkdir()
        (path / text).write_text(text)
    else:
        path.write_text(text)


def read(path, folder):
    return [each.name for each in path.iterdir()] if folder else path.read_text()


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_write_that_dies_leaves_what_was_there(folder, earlier, tmp_path):
    path = tmp_path / "model"
    if earlier:
        write(path, "old", folder)
    for _ in range(2):
        with pytest.raises(Killed), written_whole(path) as partial:
            write(partial, "half", folder)
            raise Killed
        assert path.exists() == earlier
        assert not earlier or read(path, folder) == (["old"] if folder else "old")
    with written_whole(path) as partial:
        write(partial, "new", folder)
    assert read(path, folder) == (["new"] if folder else "new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_never_there_in_part(tmp_path, monkeypatch):
    """Removing the old folder takes many steps, so it is renamed first."""
    path = tmp_path / "model"
    write(path, "old", True)

    def dies(*_):
        raise Killed

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(Killed), written_whole(path) as partial:
        write(partial, "new", True)
    assert not path.exists()
    monkeypatch.undo()
    with pytest.raises(Killed), written_whole(path):
        assert read(path, True) == ["old"]  # from where it was moved
        raise Killed
    with written_whole(path) as partial:
        write(partial, "new", True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_link_names_is_replaced(folder, tmp_path):
    """A link may lead to a larger disk, which has room for the new model as well."""
    path, target = tmp_path / "model", tmp_path / "disk" / "model"
    target.parent.mkdir()
    write(target, "old", folder)
    path.symlink_to(target)
    with written_whole(path) as partial:
        write(partial, "new", folder)
    assert path.is_symlink()
    assert read(target, folder) == (["new"] if folder else "new")
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("folder", [False, True])
def test_a_link_to_nowhere_does_not_lose_what_was_trained(folder, tmp_path):
    path, target = tmp_path / "model", tmp_path / "disk" / "model"
    path.symlink_to(target)
    with written_whole(path) as partial:
        write(partial, "new", folder)
    assert path.is_symlink() and read(target, folder) == (["new"] if folder else "new")


@pytest.mark.parametrize("stale", ["old", "partial"])
def test_a_stale_link_is_removed_and_not_what_it_names(stale, tmp_path):
    """Regression: replacing a folder behind a link failed, and left its link as `old-model`."""
    path, target = tmp_path / "model", tmp_path / "disk"
    write(target, "old", True)
    (tmp_path / f"{stale}-model").symlink_to(target)
    write(path, "old", True)
    with written_whole(path) as partial:
        write(partial, "new", True)
    assert read(path, True) == ["new"] and read(target, True) == ["old"]
    assert {*tmp_path.iterdir()} == {path, target}
