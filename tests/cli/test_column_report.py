"""Tests where a report finds a contract, its counts and its keys."""

import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    PopSamplerError,
    PopularityMetadata,
    SchemaError,
)
from merlin_popsampler.cli.column_report import ColumnReport, read_column_report
from tests.support.workflow_helpers import dataset, fit_folders, fitted, saved

pytestmark = pytest.mark.filterwarnings("ignore")
KEYS = ["tea"] * 6 + ["milk"] * 3 + ["jam"] * 2 + [None] * 4


@pytest.fixture
def folder(tmp_path):
    return saved(KEYS, tmp_path / "here")


@pytest.mark.parametrize("place", ["data", "data/schema.pbtxt", "workflow", "fit", "workflow.json"])
def test_every_location_of_a_contract(folder, place):
    if place.endswith(".json"):
        schema = Dataset(str(folder / "data"), engine="parquet").schema
        text = TensorflowMetadata.from_merlin_schema(schema).to_json()
        (folder / place).write_text(text)
    found = read_column_report(str(folder / place))
    assert found.name == "item_id"
    assert (found.metadata.min_id, found.metadata.max_id) == (3, 5)
    assert found.metadata == read_column_report(str(folder / "workflow")).metadata
    assert found.item_counts.tolist() == pytest.approx([6, 3, 2])


@pytest.mark.parametrize("place", ["workflow", "fit", "fit/categories"])
def test_counts_and_keys_of_a_fit(folder, place):
    found = read_column_report(str(folder / place))
    assert found.counts.tolist() == [0, 4, 0, 6, 3, 2]
    assert found.keys["item_id"].tolist() == ["tea", "milk", "jam"]


def test_several_buckets_for_unknown_keys(tmp_path):
    saved(KEYS, tmp_path / "a", num_buckets=3, freq_threshold=3)
    found = read_column_report(str(tmp_path / "a" / "fit"))
    assert (found.metadata.min_id, found.metadata.max_id) == (5, 6)
    assert found.item_counts.tolist() == [6, 3]


def test_several_columns_need_a_name(folder):
    saved(KEYS, folder, column="shop")
    with pytest.raises(SchemaError, match="'item_id', 'shop'"):
        read_column_report(str(folder / "fit"))
    with pytest.raises(SchemaError, match="column='car'"):
        read_column_report(str(folder / "fit"), column="car")
    assert read_column_report(str(folder / "fit"), column="shop").name == "shop"


def test_the_last_of_several_fits(folder):
    saved(["milk"] * 8 + ["tea"] * 4, folder)
    found = read_column_report(str(folder / "fit"))
    assert found.keys["item_id"].tolist() == ["milk", "tea"]
    assert found.item_counts.tolist() == [8, 4]


def test_counts_of_another_fit_are_refused(folder, tmp_path):
    other = saved(["milk"] * 8 + ["tea"] * 4, tmp_path / "other")
    name = "fit/categories/popularity.item_id.parquet"
    with pytest.raises(PopSamplerError, match="digest"):
        read_column_report(str(folder / "data"), counts_path=str(other / name))
    own = read_column_report(str(folder / "data"), counts_path=str(folder / name))
    assert own.counts.tolist() == [0, 4, 0, 6, 3, 2]


@pytest.mark.parametrize("name", ["missing", "data.csv", ""])
def test_places_without_a_schema(tmp_path, name):
    with pytest.raises(SchemaError, match="none of these"):
        read_column_report(str(tmp_path / name))


@pytest.mark.parametrize("name", ["schema.pbtxt", "schema.json"])
def test_files_that_are_not_a_schema(tmp_path, name):
    (tmp_path / name).write_text("feature {{{")
    with pytest.raises(SchemaError, match="Expected a Merlin schema"):
        read_column_report(str(tmp_path / name))


@pytest.mark.parametrize("kind", ["popularity", "unique"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_files_that_were_damaged(folder, kind, damage):
    path = fit_folders(folder)[-1] / f"{kind}.item_id.parquet"
    path.write_bytes(path.read_bytes()[:50]) if damage == "cut" else path.unlink()
    with pytest.raises(PopSamplerError, match=f"{kind}.item_id.parquet"):
        read_column_report(str(folder / "fit")).keys  # noqa: B018 - which are read when asked for


def test_the_curve_stands_for_counts_that_are_not_there(folder):
    found = read_column_report(str(folder / "data"))
    assert found.counts is None
    np.testing.assert_allclose(found.item_counts, [6, 3, 2])


def test_ids_out_of_order_have_neither_counts_nor_a_curve():
    column = ColumnReport("item", PopularityMetadata(3, 5, False, "counted"))
    with pytest.raises(SchemaError, match="its ids are out of frequency order"):
        _ = column.item_counts


def test_a_folder_that_was_saved_to_twice(folder):
    """Fits have no order, so the workflow that was saved last determines which is read."""
    first = read_column_report(str(folder / "workflow"))
    saved(["milk"] * 8 + ["tea"] * 4, folder)
    with pytest.warns(UserWarning, match=r"Loading NVTabular.*workflow\.pkl\.$"):
        found = read_column_report(str(folder / "workflow"))
    assert found.keys["item_id"].tolist() == ["milk", "tea"]
    assert found.metadata != first.metadata


def test_an_encoder_that_was_fitted_after_an_order(tmp_path):
    """The earlier FrequencyOrder renumbered ids of an earlier fit, not these."""
    out_path = str(tmp_path)
    encoder = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    node = encoder >> ops.Filter(lambda df: df[df["item_id"] != 3])
    node = node >> FrequencyOrder(on_violation="remap", out_path=out_path)
    frame = pd.DataFrame({"item_id": list("aaaabbcccd")})
    fitted(node, dataset(frame, 1))
    ordered = read_column_report(out_path)
    assert ordered.keys["item_id"].tolist() == ["c", "b", "d"]
    assert ordered.counts.tolist() == [0, 0, 0, 0, 3, 2, 1]
    fitted(["item_id"] >> FrequencyCategorify(out_path=out_path), dataset(frame, 1))
    assert read_column_report(out_path).keys["item_id"].tolist() == ["a", "c", "b", "d"]


def test_keys_of_another_categorify(tmp_path):
    node = (
        ["item_id"]
        >> ops.Categorify(out_path=str(tmp_path))
        >> FrequencyOrder(out_path=str(tmp_path))
    )
    fitted(node, dataset(pd.DataFrame({"item_id": list("abbccc")}), 1))
    assert read_column_report(str(tmp_path)).keys["item_id"].tolist() == ["c", "b", "a"]
