"""Saved workflows: complete without the folders that they were fitted in, on any file system."""

import os
import shutil

import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    encode,
    expected_ids,
    fitted,
    popularity,
    transformed_anew,
    transformed_elsewhere,
)

VOCABULARY = ("meta", "popularity", "unique")


def vocabularies(*names):
    return {f"categories/{kind}.{name}.parquet" for kind in VOCABULARY for name in names}


@pytest.mark.parametrize("split_out", [1, 3])
def test_save_move_load(frame, tmp_path, split_out):
    workflow, encoded = encode(frame, ["item_id"], str(tmp_path / "fit"), split_out=split_out)
    workflow.save(str(tmp_path / "saved"))
    shutil.rmtree(tmp_path / "fit")
    os.rename(tmp_path / "saved", tmp_path / "moved")
    loaded = nvt.Workflow.load(str(tmp_path / "moved"))
    assert transformed_anew(loaded, frame)["item_id"].tolist() == encoded["item_id"].tolist()
    names = sorted(os.listdir(tmp_path / "moved" / "categories"))
    assert names == [f"{kind}.item_id.parquet" for kind in VOCABULARY]
    assert popularity(loaded) == popularity(workflow)


def two_columns_and_an_order(tmp_path):
    encoded = ["item_id", "user"] >> FrequencyCategorify(out_path=str(tmp_path / "a"))
    rows = ["row"] >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "b"))
    return encoded + rows


def two_encoders(tmp_path):
    items = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "a"), split_out=3)
    users = ["user"] >> FrequencyCategorify(out_path=str(tmp_path / "b"), max_size=7)
    return items + users


SEVERAL = {
    two_columns_and_an_order: {
        *vocabularies("item_id", "user"),
        "frequency_order/popularity.row.parquet",
        "frequency_order/map.row.parquet",
    },
    two_encoders: {
        *vocabularies("item_id", "user"),
        *(f"categories/unique.item_id.parquet/part.{part}.parquet" for part in range(3)),
    }
    - {"categories/unique.item_id.parquet"},
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
    written = set(bytes_below(tmp_path / "moved")) - {"workflow.pkl", "metadata.json"}
    assert written == SEVERAL[build]
    found = transformed_elsewhere(tmp_path / "moved", frame, tmp_path)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("split_out", [1, 3])
def test_everything_on_another_file_system(memory, frame, split_out):
    """Fit, transform, copy, save and load: NVTabular allows all of it, too."""
    operator = FrequencyCategorify(out_path="memory://fit", split_out=split_out)
    workflow = fitted(["item_id"] >> operator >> ops.TagAsItemID(), frame)
    expected = frame["item_id"].map(expected_ids(frame["item_id"])).tolist()
    assert transformed_anew(workflow, frame)["item_id"].tolist() == expected
    size = 3 if split_out == 1 else 2 + split_out
    assert len(memory.find("/")) == size
    assert all(path.startswith("/fit/categories/") for path in memory.find("/"))

    operator.set_storage_path("memory://copy", copy=True)
    assert len(memory.find("/copy/categories")) == size
    memory.rm("/fit", recursive=True)
    assert transformed_anew(workflow, frame)["item_id"].tolist() == expected

    workflow.save("memory://saved")
    memory.rm("/copy", recursive=True)
    assert len(memory.find("/saved")) == size + 2
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
    assert bytes_below(tmp_path / "back") == bytes_below(tmp_path / "fit")
