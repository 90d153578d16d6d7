"""Files of a fit: in place or not at all, and never mistaken for each other."""

import os

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops import storage


def test_parts_come_in_the_order_of_their_numbers(tmp_path):
    for part in (0, 2, 10, 1):
        storage.write(f"{tmp_path}/d.parquet/part.{part}.parquet", pd.DataFrame({"a": [part]}))
    assert storage.read(f"{tmp_path}/d.parquet")["a"].tolist() == [0, 1, 2, 10]


def test_publish_replaces_and_drops_what_is_stale(tmp_path):
    old, staged = f"{tmp_path}/final", f"{tmp_path}/final/.staging"
    storage.write(f"{old}/map.a.parquet", pd.DataFrame({"v": ["stale"]}))
    storage.write(f"{old}/unique.a.parquet/part.0.parquet", pd.DataFrame({"v": ["old"]}))
    storage.write(f"{old}/unique.b.parquet", pd.DataFrame({"v": ["other"]}))
    storage.write(f"{staged}/unique.a.parquet", pd.DataFrame({"v": ["new"]}))
    storage.publish(["unique.a.parquet", "map.a.parquet"], staged, old)
    assert storage.read(f"{old}/unique.a.parquet")["v"].tolist() == ["new"]
    assert storage.read(f"{old}/unique.b.parquet")["v"].tolist() == ["other"]
    assert not storage.exists(f"{old}/map.a.parquet")


def test_copy_takes_files_and_folders(tmp_path):
    storage.write(f"{tmp_path}/a/unique.x.parquet/part.0.parquet", pd.DataFrame({"v": [1]}))
    storage.write(f"{tmp_path}/a/meta.x.parquet", pd.DataFrame({"v": [2]}))
    names = ["unique.x.parquet", "meta.x.parquet", "popularity.x.parquet"]
    storage.copy(names, f"{tmp_path}/a", f"{tmp_path}/b")
    assert storage.read(f"{tmp_path}/b/unique.x.parquet")["v"].tolist() == [1]
    assert sorted(os.listdir(tmp_path / "b")) == ["meta.x.parquet", "unique.x.parquet"]


def test_digests(tmp_path):
    path = f"{tmp_path}/u.parquet"
    storage.write(path, pd.DataFrame({"v": [1]}))
    digest = storage.file_digest(path)
    storage.check_digest(path, digest)
    storage.write(path, pd.DataFrame({"v": [2]}))
    with pytest.raises(PopSamplerError, match=f"(?s){digest}.*out_path"):
        storage.check_digest(path, digest)
    storage.remove(path)
    storage.remove(path)
    with pytest.raises(PopSamplerError, match="no file"):
        storage.check_digest(path, digest)


def test_counts_round_trip(tmp_path):
    path = f"{tmp_path}/popularity.a.parquet"
    counts = np.array([0, 2, 0, 9, 5])
    digest = storage.write_counts(path, counts)
    assert storage.read_counts(path).tolist() == counts.tolist()
    assert digest == storage.counts_digest(counts.astype(np.int32))
    assert digest != storage.counts_digest(counts[::-1])


@pytest.mark.parametrize(
    "frame", [{"id": [1, 2], "count": [1, 1]}, {"id": [0, 1], "size": [1, 1]}, {"item": ["a"]}]
)
def test_what_is_no_counts_file_is_refused(tmp_path, frame):
    storage.write(f"{tmp_path}/x.parquet", pd.DataFrame(frame))
    with pytest.raises(PopSamplerError, match="counts file"):
        storage.read_counts(f"{tmp_path}/x.parquet")
    with pytest.raises(PopSamplerError, match="nothing at"):
        storage.read_counts(f"{tmp_path}/missing.parquet")


def test_any_file_system(memory):
    storage.write("memory://fit/u.parquet", pd.DataFrame({"v": [3]}))
    assert storage.read("memory://fit/u.parquet")["v"].tolist() == [3]
    assert storage.exists("memory://fit/u.parquet") and not storage.exists("memory://fit/w.parquet")
    storage.remove("memory://fit")
    assert memory.find("/") == []


def test_publish_on_any_file_system(memory):
    """A file in place of a folder of parts, and the reverse; what is stale goes."""
    old, staged = "memory://final/c", "memory://final/c/.staging"
    storage.write(f"{old}/map.a.parquet", pd.DataFrame({"v": ["stale"]}))
    storage.write(f"{old}/unique.a.parquet/part.0.parquet", pd.DataFrame({"v": ["old"]}))
    storage.write(f"{old}/unique.b.parquet", pd.DataFrame({"v": ["other"]}))
    storage.write(f"{old}/unique.c.parquet", pd.DataFrame({"v": ["old"]}))
    storage.write(f"{staged}/unique.a.parquet", pd.DataFrame({"v": ["new"]}))
    for part in (0, 1):
        path = f"{staged}/unique.c.parquet/part.{part}.parquet"
        storage.write(path, pd.DataFrame({"v": [part]}))
    names = ["unique.a.parquet", "map.a.parquet", "unique.c.parquet"]
    storage.publish(names, staged, old)
    storage.remove(staged)
    assert memory.find("/") == [
        "/final/c/unique.a.parquet",
        "/final/c/unique.b.parquet",
        "/final/c/unique.c.parquet/part.0.parquet",
        "/final/c/unique.c.parquet/part.1.parquet",
    ]
    assert storage.read(f"{old}/unique.a.parquet")["v"].tolist() == ["new"]
    assert storage.read(f"{old}/unique.b.parquet")["v"].tolist() == ["other"]
    assert storage.read(f"{old}/unique.c.parquet")["v"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("source", "target"),
    [("memory://a", "memory://b/c"), ("memory://a", "{0}/b"), ("{0}/a", "memory://b")],
)
def test_copy_between_file_systems(memory, tmp_path, source, target):
    source, target = source.format(tmp_path), target.format(tmp_path)
    storage.write(f"{source}/unique.x.parquet/part.0.parquet", pd.DataFrame({"v": [1]}))
    storage.write(f"{source}/unique.x.parquet/part.1.parquet", pd.DataFrame({"v": [2]}))
    storage.write(f"{source}/meta.x.parquet", pd.DataFrame({"v": [3]}))
    storage.write(f"{target}/meta.x.parquet", pd.DataFrame({"v": ["old"]}))
    storage.write(f"{target}/popularity.x.parquet", pd.DataFrame({"v": ["stale"]}))
    names = ["unique.x.parquet", "meta.x.parquet", "popularity.x.parquet"]
    storage.copy(names, source, target)
    for file in names[:2]:
        assert storage.file_digest(f"{source}/{file}") == storage.file_digest(f"{target}/{file}")
        assert len(storage.parts_of(f"{target}/{file}")) == len(
            storage.parts_of(f"{source}/{file}")
        )
    assert not storage.exists(f"{target}/popularity.x.parquet")


def test_one_place_has_one_spelling(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")
    spellings = ["./x", "x", "../a/x", f"{tmp_path}/link/x", f"file://{tmp_path}/a/x"]
    assert {storage.absolute(path) for path in spellings} == {f"{tmp_path.resolve()}/a/x"}
    assert storage.absolute("memory://a/x") != storage.absolute("x")
