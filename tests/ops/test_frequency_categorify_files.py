"""The files of FrequencyCategorify: whose they are, and what a fit that fails leaves of them."""

import gc
import os
import pickle

import cloudpickle
import dask
import dask.dataframe as dd
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.io.worker import clean_worker_cache
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrderError, PopSamplerError
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    encode,
    fitted,
    popularity,
    staging_folders,
    transformed_anew,
    transformed_elsewhere,
)


def mixed_keys():
    """Keys that have no order: the tasks that write the vocabularies raise."""
    return dataset(pd.DataFrame({"item_id": ["a", 1], "user": ["b", 2]}), 1)


def broken_file():
    """The second of two partitions cannot be read: the tasks that count raise."""

    @dask.delayed
    def part(fine):
        if not fine:
            raise OSError("no such block")
        return pd.DataFrame({"item_id": [5], "user": [6]})

    meta = pd.DataFrame({"item_id": [0], "user": [0]})
    return Dataset(dd.from_delayed([part(True), part(False)], meta=meta, verify_meta=False))


def many_users():
    """Ids of one of the two columns do not fit into int8: `fit_finalize` raises."""
    return dataset(pd.DataFrame({"item_id": [5] * 300, "user": range(300)}), 1)


def other_items():
    return dataset(pd.DataFrame({"item_id": [5, 6, 6], "user": [1, 1, 2]}), 1)


FAILURES = {
    "keys of two kinds": (mixed_keys, FrequencyOrderError, "keys of one kind"),
    "a broken file": (broken_file, OSError, "no such block"),
    "a dtype too small": (many_users, PopSamplerError, "'user'.*int8.*127"),
}


def of_two_columns(out_path):
    encoder = FrequencyCategorify(out_path=out_path, dtype="int8", split_out={"user": 3})
    return nvt.Workflow(["item_id", "user"] >> encoder)


@pytest.fixture
def workflow(frame, out_path):
    workflow = of_two_columns(out_path)
    workflow.fit(dataset(frame))
    assert sum(path.startswith("categories/unique.user.parquet/") for path in bytes_below(out_path))
    return workflow


@pytest.mark.parametrize("failure", list(FAILURES))
def test_a_failing_fit_leaves_the_earlier_one_alone(workflow, frame, out_path, failure):
    """Byte by byte; what was fitted before encodes from these files, nothing in a cache helps."""
    data, error, message = FAILURES[failure]
    before, expected = bytes_below(out_path), workflow.transform(frame)
    earlier = pickle.loads(cloudpickle.dumps(workflow))
    with pytest.raises(error, match=message):
        workflow.fit(data())
    assert bytes_below(out_path) == before
    assert staging_folders(out_path) == []
    pd.testing.assert_frame_equal(transformed_anew(earlier, frame), expected)
    if failure == "a dtype too small":  # after a task that raised, a workflow asks to be fitted
        pd.testing.assert_frame_equal(transformed_anew(workflow, frame), expected)
    workflow.fit(other_items())
    assert workflow.transform(other_items()).compute()["item_id"].tolist() == [4, 3, 3]


def test_a_fit_over_the_files_of_another_leaves_them_alone(workflow, frame, out_path):
    before, expected = bytes_below(out_path), workflow.transform(frame)
    other = of_two_columns(out_path)
    with pytest.raises(PopSamplerError, match="'item_id'.*still in use"):
        other.fit(other_items())
    assert bytes_below(out_path) == before
    assert staging_folders(out_path) == []
    pd.testing.assert_frame_equal(transformed_anew(workflow, frame), expected)
    assert not other.output_node.op.fits


def test_a_fresh_process_knows_nothing_of_fits_that_failed(workflow, frame, out_path, tmp_path):
    (tmp_path / "workflow.pkl").write_bytes(cloudpickle.dumps(workflow))
    expected = workflow.transform(frame)
    for data, error, _ in FAILURES.values():
        with pytest.raises(error):
            workflow.fit(data())
    with pytest.raises(PopSamplerError):
        of_two_columns(out_path).fit(other_items())
    found = transformed_elsewhere(tmp_path / "workflow.pkl", frame, tmp_path)
    pd.testing.assert_frame_equal(found, expected)


def test_one_name_twice_is_refused(frame, out_path):
    frame["item_id_user"] = 1
    with pytest.raises(PopSamplerError, match="item_id_user"):
        encode(frame, [["item_id", "user"], "item_id_user"], out_path)


def test_two_branches_with_one_folder_are_refused(frame, out_path):
    """The later would have written over the earlier's vocabulary."""
    plain = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    some = ["item_id"] >> ops.Filter(lambda df: df[df["item_id"] > 70])
    some = some >> FrequencyCategorify(out_path=out_path) >> ops.Rename(postfix="_filtered")
    with pytest.raises(PopSamplerError, match="out_path of its own"):
        fitted(plain + some, frame)


def test_two_workflows_with_one_folder(frame, out_path):
    first, encoded = encode(frame, ["item_id"], out_path, 1)
    other = pd.DataFrame({"item_id": [5, 6, 6]})
    with pytest.raises(PopSamplerError, match="still in use"):
        encode(other, ["item_id"], out_path, 1)
    assert transformed_anew(first, frame)["item_id"].tolist() == encoded["item_id"].tolist()
    encode(frame, ["item_id"], out_path, 1)  # the same vocabulary harms nobody
    first = None
    gc.collect()
    _, again = encode(other, ["item_id"], out_path, 1)
    assert again["item_id"].tolist() == [4, 3, 3]


def test_one_operator_in_two_workflows_is_refused(frame, out_path):
    operator = FrequencyCategorify(out_path=out_path)
    first = fitted(["item_id"] >> operator, frame)
    expected = first.transform(frame)["item_id"].tolist()
    second = nvt.Workflow(["item_id"] >> operator)
    with pytest.raises(PopSamplerError, match="operator of its own"):
        second.fit(dataset(pd.DataFrame({"item_id": [5, 6, 6]}), 1))
    assert transformed_anew(first, frame)["item_id"].tolist() == expected


def test_a_vocabulary_written_over_is_not_used(frame, out_path):
    workflow, _ = encode(frame, ["item_id"], out_path)
    pd.DataFrame({"item_id": [1], "item_id_size": [1]}).to_parquet(
        f"{out_path}/categories/unique.item_id.parquet"
    )
    clean_worker_cache()
    with pytest.raises(PopSamplerError, match="digest"):
        workflow.transform(frame)
    os.remove(f"{out_path}/categories/unique.item_id.parquet")
    with pytest.raises(PopSamplerError, match="no file"):
        workflow.transform(frame)


def test_a_second_fit_takes_the_new_data(frame, out_path):
    workflow, _ = encode(frame, ["item_id"], out_path, 1)
    other = pd.DataFrame({"item_id": [5, 6, 6]})
    workflow.fit(dataset(other, 1))
    assert workflow.transform(other)["item_id"].tolist() == [4, 3, 3]
    assert popularity(workflow)["max_id"] == 4


def test_pickles_small(frame, out_path):
    operator = FrequencyCategorify(out_path=out_path, max_size={"item_id": 30})
    fitted(["item_id"] >> operator, frame)
    copy = pickle.loads(pickle.dumps(operator))
    assert copy.fits == operator.fits
    assert copy.max_size == {"item_id": 30} and copy.max_size["other"] == 0
    many = FrequencyCategorify(out_path=out_path + "/many")
    fitted(["item_id"] >> many, pd.DataFrame({"item_id": range(50_000)}))
    assert many.fits["item_id"].metadata.domain.size == 50_000
    assert len(pickle.dumps(many)) < 20_000
