"""Tests that data sets keep their partitions and options with each generation of dask.

With dask 2025 and later each test needs one of the adaptations of `compat.expressions`. Cases: few
columns of a file, several row groups in a partition, options of a file system, data frames that
users made and repartitioned, and NVTabular's own task graphs.
"""

import dask.dataframe as dd
import fsspec
import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from fsspec.implementations.local import LocalFileSystem
from merlin.io import Dataset

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS, GROUP = 1000, 100
WIDE = [f"wide{i}" for i in range(8)]


def frame():
    rng = np.random.default_rng(17)
    wide = {name: rng.random(ROWS) for name in WIDE}
    return pd.DataFrame({"item": rng.zipf(1.5, ROWS) % 50, "price": np.arange(ROWS) / 2, **wide})


@pytest.fixture
def path(tmp_path):
    """Writes a file of ten row groups."""
    written = tmp_path / "data.parquet"
    frame().to_parquet(written, row_group_size=GROUP)
    return str(written)


def lengths(ddf):
    return ddf.map_partitions(len, meta=("len", int)).compute().tolist()


@pytest.mark.parametrize("columns", [None, ["item"], ["item", "price"]])
@pytest.mark.parametrize("groups, expected", [(1, [100] * 10), (4, [400, 400, 200])])
def test_row_groups_of_a_partition(groups, expected, columns, path):
    data = Dataset(path, engine="parquet", cpu=True, row_groups_per_part=groups)
    ddf = data.to_ddf(columns=columns)
    assert [*ddf.columns] == (columns or [*frame().columns])
    assert ddf.npartitions == len(expected)
    assert lengths(ddf) == expected
    assert [len(part.compute()) for part in ddf.to_delayed()] == expected
    assert data.num_rows == ROWS
    assert data.engine._partition_lens == expected


def test_filters(path):
    dear = [("price", ">", 399.0)]
    data = Dataset(path, engine="parquet", cpu=True, row_groups_per_part=1, filters=dear)
    assert data.to_ddf().compute()["price"].min() > 399
    assert data.npartitions == 3


class Guarded(LocalFileSystem):
    """A local file system that requires a password, as an option of storage."""

    protocol = "guarded"

    def __init__(self, *args, password=None, **kwargs):
        assert password == "tea"
        super().__init__(*args, **kwargs)


def test_storage_options(path):
    fsspec.register_implementation("guarded", Guarded, clobber=True)
    data = Dataset(
        f"guarded://{path}", engine="parquet", cpu=True, storage_options={"password": "tea"}
    )
    pd.testing.assert_frame_equal(data.to_ddf().compute().reset_index(drop=True), frame())


def users_frame(path):
    return dd.read_parquet(path, split_row_groups=1)[["item", "price"]]


def test_a_users_frame_keeps_its_partitions(path):
    data = Dataset(users_frame(path), cpu=True)
    assert data.npartitions == 10
    assert lengths(data.to_ddf(columns=["item"])) == [100] * 10
    workflow = nvt.Workflow(["price"] >> nvt.ops.Normalize())
    fitted = workflow.fit_transform(data).to_ddf()
    assert lengths(fitted) == [100] * 10
    price = frame()["price"]
    expected = (price - price.mean()) / price.std()
    np.testing.assert_allclose(fitted.compute()["price"], expected, rtol=1e-6)


@pytest.mark.parametrize("made", [lambda ddf: ddf.repartition(npartitions=4), lambda ddf: ddf])
def test_rows_are_written_once(made, path, tmp_path):
    data = Dataset(made(users_frame(path)), cpu=True)
    for count in (2, 12):
        folder = str(tmp_path / f"out{count}")
        data.to_parquet(folder, output_files=count)
        assert len([*(tmp_path / f"out{count}").glob("*.parquet")]) == count
        again = Dataset(folder, engine="parquet", cpu=True).compute()
        assert sorted(again["price"]) == frame()["price"].tolist()


def test_shuffling_keeps_rows(path):
    data = Dataset(path, engine="parquet", cpu=True, row_groups_per_part=1)
    assert sorted(data.to_ddf(shuffle=True, seed=1).compute()["price"]) == frame()["price"].tolist()
    parts = data.shuffle_by_keys(["item"], npartitions=3).to_ddf().to_delayed()
    items = [{*part.compute()["item"]} for part in parts]
    assert sum(map(len, items)) == frame()["item"].nunique()


@pytest.mark.parametrize("files", [1, 3])
def test_a_vocabulary_of_several_files(files, path, out_path):
    data = Dataset(path, engine="parquet", cpu=True, row_groups_per_part=1)
    encode = nvt.ops.Categorify(out_path=out_path, split_out=files)
    ids = nvt.Workflow(["item"] >> encode).fit_transform(data).compute()["item"]
    sizes = ids.value_counts().sort_index()
    assert sizes.is_monotonic_decreasing
    assert sizes.index.tolist() == [*range(3, 3 + frame()["item"].nunique())]
    assert frame().groupby("item")["price"].size().sort_values().tolist() == sizes[::-1].tolist()
