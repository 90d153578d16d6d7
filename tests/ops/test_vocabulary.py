"""A vocabulary in any number of parts, and the readers of other encoders' files."""

import pandas as pd
import pytest

from merlin_popsampler import FrequencyOrderError
from merlin_popsampler.ops.vocabulary import read_sizes
from tests.support.workflow_helpers import (
    encode,
    fit_folders,
    meta_file,
    parts_of,
    popularity,
    vocabulary,
)


def write(path, index=None, **columns):
    pd.DataFrame(columns, index=index).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("name_sep", ["_", "-"])
def test_sizes_of_any_separator(tmp_path, name_sep):
    path = write(tmp_path / "u", **{"i": [7, 8], f"i{name_sep}size": [4, 2]})
    assert read_sizes(path, "i", 3).tolist() == [4, 2]


def test_sizes_that_are_not_there(tmp_path):
    with pytest.raises(FrequencyOrderError, match="counts"):
        read_sizes(write(tmp_path / "u", i=[7, 8]), "i", 3)
    with pytest.raises(FrequencyOrderError, match="nothing at"):
        read_sizes(str(tmp_path / "gone"), "i", 3)


@pytest.mark.parametrize("start, fine", [(0, True), (3, True), (1, False), (4, False)])
def test_ids_that_start_elsewhere(tmp_path, start, fine):
    path = write(tmp_path / "u", index=pd.RangeIndex(start, start + 2), i=[7, 8], i_size=[4, 2])
    if fine:
        assert read_sizes(path, "i", 3).tolist() == [4, 2]
    else:
        with pytest.raises(FrequencyOrderError, match=f"numbered from {start}"):
            read_sizes(path, "i", 3)


@pytest.mark.parametrize("kind", ["words", "numbers", "combinations"])
@pytest.mark.parametrize(
    "options",
    [{}, {"max_size": 40}, {"freq_threshold": 3}, {"max_size": 30, "num_buckets": 7}],
    ids=lambda options: " ".join(options) or "whole",
)
def test_any_number_of_parts_is_one_vocabulary(options, kind, rng, tmp_path):
    """The cuts follow the order, and the contract, the counts and the ids are the same."""
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
