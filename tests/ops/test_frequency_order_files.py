"""Tests that counts and maps of FrequencyOrder stay consistent, through failures and saves."""

import os
import pickle
import shutil
import warnings

import cloudpickle
import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    FrequencyOrderError,
    PopSamplerError,
    SchemaError,
)
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    fit_folders,
    fitted,
    popularity,
    transformed_anew,
)


@pytest.fixture
def frame(rng):
    """Returns ids 0 to 96, which are not in frequency order."""
    return pd.DataFrame(
        {"item_id": rng.permutation(np.append(rng.zipf(1.3, 3000), range(97))) % 97}
    )


def test_save_move_load(frame, tmp_path):
    node = ["item_id"] >> ops.HashBucket(60)
    node = node >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "fit"))
    workflow = fitted(node, frame)
    expected = workflow.transform(frame)["item_id"].tolist()
    workflow.save(str(tmp_path / "saved"))
    shutil.rmtree(tmp_path / "fit")
    os.rename(tmp_path / "saved", tmp_path / "moved")
    loaded = nvt.Workflow.load(str(tmp_path / "moved"))
    assert transformed_anew(loaded, frame)["item_id"].tolist() == expected
    assert popularity(loaded) == popularity(workflow)
    (map_file,) = (tmp_path / "moved").rglob("map.item_id.parquet")
    map_file.unlink()
    with pytest.raises(PopSamplerError, match="no file"):
        transformed_anew(loaded, frame)


def test_a_second_fit_on_ids_in_order_has_no_map(frame, tmp_path):
    node = ["item_id"] >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workflow = fitted(node, frame)
        assert (fit_folders(tmp_path)[-1] / "map.item_id.parquet").exists()
        workflow.fit(dataset(pd.DataFrame({"item_id": [0, 0, 1]}), 1))
    assert not (fit_folders(tmp_path)[-1] / "map.item_id.parquet").exists()
    assert workflow.transform(frame)["item_id"].tolist() == frame["item_id"].tolist()


FAILURES = {
    "no ids": ([0.5, 2.0], FrequencyOrderError, "float64 values"),
    "ids out of order": ([0, 1, 1, 2, 2, 2], FrequencyOrderError, "id 0 seen 1 times"),
}


@pytest.mark.parametrize("failure", list(FAILURES))
def test_a_failing_fit_leaves_the_earlier_one_alone(tmp_path, failure):
    """Files and contract are unchanged. Transforms raise an error, since ids may have changed."""
    ids, error, message = FAILURES[failure]
    order = FrequencyOrder(out_path=str(tmp_path))
    frame = pd.DataFrame({"item_id": [0, 0, 0, 1, 1, 2], "click": [0, 0, 1, 1, 0, 0]})
    workflow = fitted(["item_id", "click"] >> order, dataset(frame, 1))
    before = bytes_below(tmp_path)
    assert sorted(path.rsplit("/", 1)[1] for path in before) == [
        "manifest.json", "popularity.click.parquet", "popularity.item_id.parquet",
    ]  # fmt: skip
    stated, earlier = popularity(workflow), pickle.loads(cloudpickle.dumps(workflow))
    with pytest.raises(error, match=f"'item_id'.*{message}"):
        workflow.fit(dataset(pd.DataFrame({"item_id": ids, "click": [0] * len(ids)}), 1))
    assert {path: held for path, held in bytes_below(tmp_path).items() if path in before} == before
    assert popularity(workflow) == stated
    assert order.fits["item_id"].metadata.steps == "0:3,1:2,2:1,3"
    pd.testing.assert_frame_equal(transformed_anew(earlier, frame), frame)
    for one in (workflow, pickle.loads(cloudpickle.dumps(workflow))):
        with pytest.raises(FrequencyOrderError, match="'item_id'.*Fit the workflow again"):
            one.transform(frame)
    workflow.fit(dataset(frame, 1))
    pd.testing.assert_frame_equal(workflow.transform(frame), frame)
    assert fit_folders(tmp_path, complete=False) == []


def test_maps_of_several_workflows_in_one_folder(frame, tmp_path):
    frames = [frame, frame // 2, pd.DataFrame({"item_id": [0, 0, 1]})]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workflows = [
            fitted(["item_id"] >> FrequencyOrder("count", "remap", out_path=str(tmp_path)), data)
            for data in frames
        ]
    expected = [workflow.transform(data) for workflow, data in zip(workflows, frames)]
    assert expected[0]["item_id"].tolist() != frame["item_id"].tolist()
    for workflow, data, found in zip(workflows, frames, expected):
        counts = np.bincount(found["item_id"])
        assert (np.diff(counts) <= 0).all()
        pd.testing.assert_frame_equal(transformed_anew(workflow, data), found)


def test_an_audit_never_follows_a_stale_path(frame, tmp_path):
    encoder = ops.Categorify(out_path=str(tmp_path))
    workflow = fitted(["item_id"] >> encoder >> FrequencyOrder(mode="vocabulary"), frame)
    other = pd.DataFrame({"item_id": [1, 1, 2]})
    fitted(["item_id"] >> ops.Categorify(out_path=str(tmp_path)), dataset(other, 1))
    with pytest.raises(SchemaError, match="'item_id'"):
        audited = ["item_id"] >> FrequencyOrder(mode="vocabulary")
        data = dataset(workflow.transform(frame))
        data.schema = workflow.output_schema
        fitted(audited, data)
    os.remove(tmp_path / "categories" / "unique.item_id.parquet")
    with pytest.raises(FrequencyOrderError, match="nothing at"):
        fitted(audited, data)


def test_an_audit_knows_other_counts_of_the_same_range(tmp_path):
    """A file with as many items but other counts is not that of the contract."""
    frame = pd.DataFrame({"item_id": ["a", "a", "b"]})
    encoder = FrequencyCategorify(out_path=str(tmp_path))
    workflow = fitted(["item_id"] >> encoder, dataset(frame, 1))
    data = dataset(workflow.transform(frame), 1)
    data.schema = workflow.output_schema
    audited = ["item_id"] >> FrequencyOrder(mode="vocabulary")
    assert popularity(workflow)["steps"] == "3:2,4:1,5"
    assert popularity(fitted(audited, data))["steps"] == "3:2,4:1,5"
    other = pd.DataFrame({"item_id": ["a", "b"], "item_id_size": [3, 1]}, pd.RangeIndex(3, 5))
    other.to_parquet(workflow.output_schema["item_id"].properties["cat_path"])
    with pytest.raises(SchemaError, match="'item_id'.*Was it written over"):
        fitted(audited, data)
