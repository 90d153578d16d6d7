"""Tests vocabularies in any number of parts."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.support.workflow_helpers import (
    encode,
    fit_folders,
    meta_file,
    parts_of,
    popularity,
    vocabulary,
)


@pytest.mark.parametrize("kind", ["words", "numbers", "combinations"])
@pytest.mark.parametrize(
    "options",
    [{}, {"max_size": 40}, {"freq_threshold": 3}, {"max_size": 30, "num_buckets": 7}],
    ids=lambda options: " ".join(options) or "whole",
)
def test_any_number_of_parts_is_one_vocabulary(options, kind, rng, tmp_path):
    """Parts are consecutive, and contract, counts and ids do not depend on their number."""
    keys = pd.Series(rng.zipf(1.2, 600) % 150)
    frame = pd.DataFrame({"item_id": keys, "b": keys % 3})
    frame["item_id"] = keys.astype(str) if kind == "words" else keys
    frame.loc[rng.choice(600, 9, replace=False), "item_id"] = None
    columns, name = ["item_id"], "item_id"
    if kind == "combinations":
        columns, name = [["item_id", "b"]], "item_id_b"
        options = {**options, "encode_type": "combo"}
    found = []
    for split_out in (1, 2, 6):
        out_path = str(tmp_path / str(split_out))
        workflow, encoded = encode(frame, columns, out_path, split_out=split_out, **options)
        files = [path for path in fit_folders(out_path)[0].rglob("*.parquet") if path.is_file()]
        assert len(files) == (3 if split_out == 1 else 2 * split_out + 1)
        found.append(
            {
                "ids": encoded[name].tolist(),
                "keys": vocabulary(out_path, name).to_csv(),
                "meta": meta_file(out_path, name).to_dict(),
                "counts": parts_of(out_path, f"popularity.{name}")["count"].tolist(),
                "contract": popularity(workflow, name),
            }
        )
    assert found[0] == found[1] == found[2]
    sizes = vocabulary(out_path, name)[f"{name}_size"].tolist()
    assert found[0]["counts"][found[0]["contract"]["min_id"] :] == sizes


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["item"], {"item_size", "count"}),
        ([["item", "b"]], {"item", "b", "item_b_size", "count"}),
    ],
    ids=["one column", "combination"],
)
def test_values_that_repeat_have_a_dictionary(columns, expected, tmp_path):
    """For distinct keys and ids, one would take more time and space than the values."""
    frame = pd.DataFrame({"item": list("aab"), "b": ["x", "y", "x"]})
    encode(frame, columns, str(tmp_path), encode_type="combo")
    found = set()
    for path in fit_folders(str(tmp_path))[0].glob("[up]*.parquet"):
        group = pq.ParquetFile(path).metadata.row_group(0)
        parts = [group.column(number) for number in range(group.num_columns)]
        found |= {part.path_in_schema for part in parts if part.has_dictionary_page}
    assert found == expected
