"""Tests saved workflows, which need no other folder, on any file system."""

import gc
import os
import re
import shutil
from typing import ClassVar

import fsspec
import nvtabular as nvt
import pandas as pd
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    encode,
    expected_ids,
    fit_folders,
    fitted,
    popularity,
    transformed_anew,
    transformed_elsewhere,
)

VOCABULARY = ("meta", "popularity", "unique")


def copies(*names):
    return {f"categories/{kind}.{name}.parquet" for kind in VOCABULARY for name in names}


def files_in_save(folder):
    """Returns the names of all files of a save, except NVTabular's own."""
    written = set(bytes_below(folder)) - {"workflow.pkl", "metadata.json"}
    fits = {re.sub(r"popsampler/[0-9a-f]{32}/", "popsampler/", path) for path in written}
    return fits - {"popsampler/manifest.json"}


def two_columns_and_an_order(tmp_path):
    encoded = ["item_id", "user"] >> FrequencyCategorify(out_path=str(tmp_path / "a"))
    rows = ["row"] >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "b"))
    return encoded + rows


def two_encoders(tmp_path):
    items = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "a"), split_out=3)
    users = ["user"] >> FrequencyCategorify(out_path=str(tmp_path / "b"), max_size=7)
    return items + users


TWO = copies("item_id", "user")
CUT = {f"categories/{kind}.item_id.parquet" for kind in ("unique", "popularity")}
PARTS = {f"{file}/part.{part}.parquet" for file in CUT for part in range(3)}
SEVERAL = {
    two_columns_and_an_order: (TWO, {"popularity.row.parquet", "map.row.parquet"}),
    two_encoders: (TWO - CUT | PARTS, set()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("build", list(SEVERAL))
def test_several_operators_in_one_save(frame, tmp_path, build):
    frame["row"] = frame["item_id"] // 7
    workflow = fitted(build(tmp_path), frame)
    expected = workflow.transform(frame)
    ids = expected_ids(frame["item_id"])
    assert expected["item_id"].tolist() == frame["item_id"].map(ids).tolist()
    workflow.save(str(tmp_path / "saved"))
    shutil.rmtree(tmp_path / "a")
    shutil.rmtree(tmp_path / "b")
    os.rename(tmp_path / "saved", tmp_path / "moved")
    encoded, others = SEVERAL[build]
    fits = {path.replace("categories/", "") for path in encoded} | others
    assert files_in_save(tmp_path / "moved") == encoded | {f"popsampler/{path}" for path in fits}
    found = transformed_elsewhere(tmp_path / "moved", frame, tmp_path)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("split_out", [1, 3])
def test_everything_on_another_file_system(memory, frame, split_out):
    """Tests fit, transform, copy, save and load, all of which NVTabular supports there."""
    operator = FrequencyCategorify(out_path="memory://fit", split_out=split_out)
    workflow = fitted(["item_id"] >> operator >> ops.TagAsItemID(), frame)
    expected = frame["item_id"].map(expected_ids(frame["item_id"])).tolist()
    assert transformed_anew(workflow, frame)["item_id"].tolist() == expected
    size = 2 * split_out + 1
    assert len(memory.find("/fit/categories")) == 2 * size + 1
    assert len(memory.find("/fit/categories/.fits")) == size + 1
    assert len(memory.find("/")) == 2 * size + 1

    operator.set_storage_path("memory://copy", copy=True)
    assert len(memory.find("/copy/popsampler")) == size + 1
    memory.rm("/fit", recursive=True)
    assert transformed_anew(workflow, frame)["item_id"].tolist() == expected

    workflow.save("memory://saved")
    memory.rm("/copy", recursive=True)
    assert len(memory.find("/saved")) == 2 * size + 3
    loaded = nvt.Workflow.load("memory://saved")
    assert transformed_anew(loaded, frame)["item_id"].tolist() == expected
    assert popularity(loaded) == popularity(workflow)

    loaded.fit(dataset(pd.DataFrame({"item_id": ["b", "a", "b"]}), 1))
    assert loaded.transform(pd.DataFrame({"item_id": ["a", "b"]}))["item_id"].tolist() == [4, 3]


def test_from_one_file_system_to_another(memory, frame, tmp_path):
    operator = FrequencyCategorify(out_path=str(tmp_path / "fit"))
    workflow = fitted(["item_id"] >> operator, frame)
    expected = workflow.transform(frame)["item_id"].tolist()
    for place in ("memory://away", str(tmp_path / "back")):
        operator.set_storage_path(place, copy=True)
        assert transformed_anew(workflow, frame)["item_id"].tolist() == expected
    assert len(memory.find("/away/categories")) == 3
    assert files_in_save(tmp_path / "back") == {
        *copies("item_id"),
        *(path.replace("categories", "popsampler") for path in copies("item_id")),
    }
    held = bytes_below(tmp_path / "back")
    for path in copies("item_id"):
        assert held[path] == bytes_below(tmp_path / "fit")[path]


@pytest.mark.parametrize("name", ["run[2]", "run*"])
def test_names_that_are_patterns_elsewhere(memory, frame, name):
    """fsspec's recursive calls would remove the files that such a pattern matches."""
    others = fitted(["user"] >> FrequencyCategorify(out_path="memory://run2"), frame)
    expected = others.transform(frame)
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=f"memory://{name}"), frame)
    found = workflow.transform(frame)
    for _ in range(4):
        workflow.fit(dataset(frame))
        workflow.save(f"memory://{name}")
    pd.testing.assert_frame_equal(transformed_anew(others, frame), expected)
    loaded = nvt.Workflow.load(f"memory://{name}")
    pd.testing.assert_frame_equal(transformed_anew(loaded, frame), found)


def test_local_and_other_places_of_one_path(memory, frame, tmp_path):
    """`/x` and `memory:///x` are two different folders."""
    workflow, encoded = encode(frame, ["item_id"], str(tmp_path / "x"))
    workflow.save(f"memory://{tmp_path}/x")
    shutil.rmtree(tmp_path / "x")
    loaded = nvt.Workflow.load(f"memory://{tmp_path}/x")
    assert transformed_anew(loaded, frame)["item_id"].tolist() == encoded["item_id"].tolist()


class Flat(MemoryFileSystem):
    """Imitates an object store: it has keys, no folders, and cannot rename."""

    protocol = "flat"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]

    def makedirs(self, path, exist_ok=False):
        """There are none."""

    def mkdir(self, path, create_parents=True, **_):
        """There are none."""

    def rmdir(self, path):
        raise NotADirectoryError(path)

    def mv(self, *_, **__):
        raise NotImplementedError

    rename = move = mv

    def _open(self, path, mode="rb", **options):
        self.pseudo_dirs[:] = [path.rsplit("/", 1)[0], ""]
        return super()._open(path, mode, **options)


@pytest.mark.parametrize("split_out", [1, 3])
def test_an_object_store(frame, split_out):
    fsspec.register_implementation("flat", Flat, clobber=True)
    Flat.store.clear()
    workflow, encoded = encode(frame, ["item_id"], "flat://bucket/run", split_out=split_out)
    for _ in range(3):
        gc.collect()  # graphs of dask hold operators, so their fits would be kept
        workflow.fit(dataset(frame))
    workflow.save("flat://bucket/saved")
    loaded = nvt.Workflow.load("flat://bucket/saved")
    for one in (workflow, loaded):
        assert transformed_anew(one, frame)["item_id"].tolist() == encoded["item_id"].tolist()
    manifests = [path for path in Flat.store if path.endswith("manifest.json")]
    assert len([path for path in manifests if "/.fits/" in path]) == 2


def test_a_save_is_not_changed_by_later_fits(frame, tmp_path):
    """A refit of the saved workflow writes where its earlier fits did; so do loaded ones."""
    workflow, encoded = encode(frame, ["item_id"], str(tmp_path / "fit"))
    workflow.save(str(tmp_path / "saved"))
    before = bytes_below(tmp_path / "saved")
    other = pd.DataFrame({"item_id": ["b", "a", "b"]})
    workflow.fit(dataset(other, 1))
    assert bytes_below(tmp_path / "saved") == before
    loaded = nvt.Workflow.load(str(tmp_path / "saved"))
    assert bytes_below(tmp_path / "saved") == before
    assert transformed_anew(loaded, frame)["item_id"].tolist() == encoded["item_id"].tolist()
    fits = fit_folders(tmp_path / "fit")
    loaded.fit(dataset(other, 1))
    assert fit_folders(tmp_path / "fit") == fits
    assert len(fit_folders(tmp_path / "saved")) == 1
    again = nvt.Workflow.load(str(tmp_path / "saved"))
    assert transformed_anew(again, frame)["item_id"].tolist() == encoded["item_id"].tolist()
    for one in (workflow, loaded):
        assert transformed_anew(one, other)["item_id"].tolist() == [3, 4, 3]
