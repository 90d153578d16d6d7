"""Tests files under exact names, on the local file system and in memory."""

import os

import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.store import filesystem

PLACES = ["{0}/a", "memory://a"]


def files_below(memory, tmp_path):
    local = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    return sorted([*local, *(path.lstrip("/") for path in memory.find("/"))])


@pytest.mark.parametrize("place", PLACES)
def test_bytes(memory, tmp_path, place):
    path = place.format(tmp_path) + "/b/c.bin"
    filesystem.write_bytes(path, b"one")
    filesystem.write_bytes(path, b"two")
    assert filesystem.read_bytes(path) == b"two"
    assert files_below(memory, tmp_path) == ["a/b/c.bin"]
    assert filesystem.exists(path) and not filesystem.exists(path + "x")
    for missing in (path + "x", place.format(tmp_path) + "/b"):
        with pytest.raises(PopSamplerError, match="nothing at"):
            filesystem.read_bytes(missing)


@pytest.mark.parametrize("place", PLACES)
def test_names_in_a_folder(memory, tmp_path, place):
    folder = place.format(tmp_path)
    assert filesystem.names_in(folder) == []
    for name in ("z", "b/c", "b/d", ".h"):
        filesystem.write_bytes(f"{folder}/{name}", b"")
    assert filesystem.names_in(folder) == [".h", "b", "z"]
    assert filesystem.names_in(f"{folder}/z") == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["run[2]", "run*", "run?", "run"])
def test_only_what_is_named_is_removed(memory, tmp_path, place, name):
    """Brackets and stars in a name are taken literally."""
    names = ["run2", "run*", "run?", "run[2]", "run"]
    for each in names:
        filesystem.write_bytes(f"{place.format(tmp_path)}/{each}/x/y", each.encode())
    filesystem.remove(f"{place.format(tmp_path)}/{name}")
    filesystem.remove(f"{place.format(tmp_path)}/{name}")
    left = sorted(set(names) - {name})
    assert files_below(memory, tmp_path) == sorted(f"a/{each}/x/y" for each in left)
    assert filesystem.names_in(place.format(tmp_path)) == left
    filesystem.remove(f"{place.format(tmp_path)}/{left[0]}/x/y")
    assert len(files_below(memory, tmp_path)) == 3


def test_a_folder_may_be_removed_while_others_are_made(tmp_path):
    """The folder may contain empty folders."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    filesystem.remove(str(tmp_path / "a"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("pattern", ["part.{}.parquet", "part_{}.parquet", "4f-part-{:05}.parquet"])
def test_parts_come_in_the_order_of_their_numbers(tmp_path, pattern):
    """Other programs name parts differently; files that are not parts are left out."""
    for part in (0, 2, 10, 1, 100):
        frame = pd.DataFrame({"a": [part]}, index=[part + 7])
        (tmp_path / "d.parquet").mkdir(exist_ok=True)
        frame.to_parquet(tmp_path / "d.parquet" / pattern.format(part))
    (tmp_path / "d.parquet" / "_metadata").write_text("no part")
    found = filesystem.read_table(f"{tmp_path}/d.parquet")
    assert found["a"].tolist() == [0, 1, 2, 10, 100]
    assert found.index.tolist() == [7, 8, 9, 17, 107]


def test_tables_that_are_none(tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "x.parquet")
    path = f"{tmp_path}/x.parquet"
    assert filesystem.read_table(path)["a"].tolist() == [1, 2]
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:50])
    with pytest.raises(PopSamplerError, match=r"Expected a parquet file.*x\.parquet"):
        filesystem.read_table(path)
    with pytest.raises(PopSamplerError, match="nothing at"):
        filesystem.read_table(path + "y")


def test_one_place_has_one_spelling(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    spellings = ["./x", "x", "../a/x", f"{tmp_path}/link/x", f"file://{tmp_path}/a/x", "x/"]
    assert {filesystem.absolute(path) for path in spellings} == {f"{tmp_path.resolve()}/a/x"}
    assert filesystem.absolute("memory://a/x") != filesystem.absolute("/a/x")
    assert filesystem.absolute("memory://a/x") == filesystem.absolute("memory:///a/x/")


def test_a_file_system_that_fsspec_does_not_know_is_refused():
    with pytest.raises(PopSamplerError, match="URL of a file system that fsspec can open.*nowhere"):
        filesystem.absolute("nowhere://fits")
