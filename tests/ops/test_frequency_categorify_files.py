"""Tests which fit owns the files of FrequencyCategorify, and what failed fits leave."""

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
from copy import deepcopy

import cloudpickle
import dask
import dask.dataframe as dd
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.io import Dataset
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    PopSamplerError,
)
from tests.support.processes import OPERATORS, ROOT
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    encode,
    expected_ids,
    expected_order,
    fit_folders,
    fitted,
    forget_vocabularies,
    popularity,
    transformed_anew,
    transformed_elsewhere,
    vocabulary,
)


def mixed_keys():
    """Returns keys that cannot be ordered, so that counting one partition raises an error."""
    return dataset(pd.DataFrame({"item_id": ["a", 1], "user": ["b", 2]}), 1)


def broken_file():
    """Returns data whose second partition cannot be read, so that counting raises an error."""

    @dask.delayed
    def part(fine):
        if not fine:
            raise OSError("no such block")
        return pd.DataFrame({"item_id": [5], "user": [6]})

    meta = pd.DataFrame({"item_id": [0], "user": [0]})
    return Dataset(dd.from_delayed([part(True), part(False)], meta=meta, verify_meta=False))


def many_users():
    """Returns data whose ids do not fit into int8, so that `fit_finalize` raises an error."""
    return dataset(pd.DataFrame({"item_id": [5] * 300, "user": range(300)}), 1)


def other_items():
    return dataset(pd.DataFrame({"item_id": [5, 6, 6], "user": [1, 1, 2]}), 1)


FAILURES = {
    "keys of two kinds": (mixed_keys, PopSamplerError, "all keys to have one type"),
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
    assert sum(path.endswith("user.parquet/part.1.parquet") for path in bytes_below(out_path)) == 4
    return workflow


@pytest.mark.parametrize("failure", list(FAILURES))
def test_a_failing_fit_leaves_the_earlier_one_alone(workflow, frame, out_path, failure):
    """All bytes are unchanged, and the earlier fit encodes from its files, without a cache."""
    data, error, message = FAILURES[failure]
    before, expected = bytes_below(out_path), workflow.transform(frame)
    earlier = pickle.loads(cloudpickle.dumps(workflow))
    with pytest.raises(error, match=message):
        workflow.fit(data())
    assert {path: held for path, held in bytes_below(out_path).items() if path in before} == before
    for one in (earlier, workflow, pickle.loads(cloudpickle.dumps(workflow))):
        pd.testing.assert_frame_equal(transformed_anew(one, frame), expected)
    del one
    workflow.save(out_path + "/../saved")
    loaded = nvt.Workflow.load(out_path + "/../saved")
    pd.testing.assert_frame_equal(transformed_anew(loaded, frame), expected)
    workflow.fit(other_items())
    assert workflow.transform(other_items()).compute()["item_id"].tolist() == [4, 3, 3]
    assert fit_folders(out_path, complete=False) == []


def test_nothing_is_left_of_a_fit_that_failed(frame, out_path):
    for data, error, _ in FAILURES.values():
        workflow = of_two_columns(out_path)
        with pytest.raises(error):
            workflow.fit(data())
        del workflow
        gc.collect()
        assert bytes_below(out_path) == {}


def test_a_fresh_process_knows_nothing_of_fits_that_failed(workflow, frame, out_path, tmp_path):
    (tmp_path / "workflow.pkl").write_bytes(cloudpickle.dumps(workflow))
    expected = workflow.transform(frame)
    for data, error, _ in FAILURES.values():
        with pytest.raises(error):
            workflow.fit(data())
    of_two_columns(out_path).fit(other_items())
    found = transformed_elsewhere(tmp_path / "workflow.pkl", frame, tmp_path)
    pd.testing.assert_frame_equal(found, expected)


def test_one_name_twice_is_refused(frame, out_path):
    frame["item_id_user"] = 1
    with pytest.raises(PopSamplerError, match="item_id_user"):
        encode(frame, [["item_id", "user"], "item_id_user"], out_path)


def filtered_branch(out_path, other_path):
    """Returns a workflow with two branches of one column: all rows, and filtered rows."""
    plain = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    some = ["item_id"] >> ops.Filter(lambda df: df[df["item_id"] > 70])
    some = some >> FrequencyCategorify(out_path=other_path) >> ops.Rename(postfix="_some")
    return plain, some


@pytest.mark.parametrize("other", ["", "/other"])
def test_two_branches_of_one_column(frame, out_path, tmp_path, other):
    """Each branch keeps its vocabulary, when live, saved and pickled, in one folder or two."""
    plain, some = filtered_branch(out_path, out_path + other)
    workflows = [fitted(node, frame) for node in (plain, some)]
    expected = [workflow.transform(frame) for workflow in workflows]
    few = expected_ids(frame["item_id"][frame["item_id"] > 70])
    assert expected[0]["item_id"].tolist() != expected[1]["item_id_some"].tolist()
    assert expected[1]["item_id_some"].tolist() == [few[i] for i in frame["item_id"] if i > 70]
    for number, (workflow, found) in enumerate(zip(workflows, expected)):
        pd.testing.assert_frame_equal(transformed_anew(workflow, frame), found)
        workflow.save(
            str(tmp_path / "saved")
        )  # into one folder: the second save must not damage the first
        copy = tmp_path / f"workflow{number}.pkl"
        shutil.copy(tmp_path / "saved" / "workflow.pkl", copy)
    for number, found in enumerate(expected):
        shutil.copy(tmp_path / f"workflow{number}.pkl", tmp_path / "saved" / "workflow.pkl")
        loaded = nvt.Workflow.load(str(tmp_path / "saved"))
        pd.testing.assert_frame_equal(transformed_anew(loaded, frame), found)


@pytest.mark.parametrize("separate", [False, True])
def test_two_branches_in_one_workflow(frame, out_path, tmp_path, separate):
    """`Workflow.save` visits the operators in the arbitrary order of a set."""
    low = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    high = ["item_id"] >> ops.LambdaOp(lambda column: column % 5)
    high = high >> FrequencyCategorify(out_path=out_path + "/b" * separate)
    workflow = fitted(low + (high >> ops.Rename(postfix="_mod")), frame)
    expected = pd.DataFrame(
        {
            "item_id": frame["item_id"].map(expected_ids(frame["item_id"])),
            "item_id_mod": (frame["item_id"] % 5).map(expected_ids(frame["item_id"] % 5)),
        }
    )
    workflow.save(str(tmp_path / "saved"))
    found = transformed_elsewhere(tmp_path / "saved", frame, tmp_path)
    for one in (transformed_anew(workflow, frame), found):
        assert one[list(expected)].to_dict("list") == expected.to_dict("list")


def test_an_out_path_shared_with_stock_categorify(frame, out_path):
    """The last fit writes the files of Categorify's names; FrequencyCategorify needs none."""
    workflow, encoded = encode(frame, ["item_id"], out_path, split_out=3)
    for other in (-frame["item_id"], frame["item_id"]):
        fitted(["item_id"] >> ops.Categorify(out_path=out_path), other.to_frame())
        assert transformed_anew(workflow, frame)["item_id"].tolist() == encoded["item_id"].tolist()
        workflow.fit(dataset(frame))
        expected = expected_order(frame["item_id"])
        assert list(vocabulary(out_path).itertuples(index=False, name=None)) == expected


def fitted_with(frame, out_path, **options):
    return fitted(["item_id"] >> FrequencyCategorify(out_path=out_path, **options), frame)


CHANGES = {
    "other data": lambda frame, out: fitted_with(pd.DataFrame({"item_id": [5, 6, 6]}), out),
    "parts": lambda frame, out: fitted_with(frame, out, split_out=2),
    "doubled counts": lambda frame, out: fitted_with(pd.concat([frame, frame]), out),
    "a threshold": lambda frame, out: fitted_with(frame, out, freq_threshold=20),
    "the same": fitted_with,
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_two_workflows_with_one_folder(frame, out_path, change):
    """Each workflow keeps the vocabulary of its own fit after later fits of the other."""
    first = fitted_with(frame, out_path)
    expected = first.transform(frame)
    second = CHANGES[change](frame, out_path)
    theirs = second.transform(frame)
    pd.testing.assert_frame_equal(transformed_anew(first, frame), expected)
    pd.testing.assert_frame_equal(transformed_anew(second, frame), theirs)
    assert len(fit_folders(out_path)) == 2


def test_a_refit_for_another_workflow(frame, out_path, tmp_path):
    """If one operator is in two workflows, earlier copies of the first keep their fit."""
    operator = FrequencyCategorify(out_path=out_path)
    first = fitted(["item_id"] >> operator, frame)
    expected = first.transform(frame)["item_id"].tolist()
    copy, pickled = deepcopy(first), cloudpickle.dumps(first)
    first.save(str(tmp_path / "saved"))
    folders = fit_folders(out_path)
    second = fitted(["item_id"] >> operator, pd.DataFrame({"item_id": [5, 6, 6]}))
    assert fit_folders(out_path)[:-1] == folders
    loaded = nvt.Workflow.load(str(tmp_path / "saved"))
    for earlier in (copy, pickle.loads(pickled), loaded):
        assert transformed_anew(earlier, frame)["item_id"].tolist() == expected
    asked = pd.DataFrame({"item_id": [6, 5, frame["item_id"][0]]})
    for workflow in (first, second):  # the object encodes by its last fit
        assert transformed_anew(workflow, asked)["item_id"].tolist() == [3, 4, 2]


FITS_AND_TRANSFORMS = (
    OPERATORS
    + """
import nvtabular, pandas
from merlin.io import Dataset
from merlin_popsampler import FrequencyCategorify
from merlin_popsampler.ops.lookup import INDEXES
shift, out_path = int(sys.argv[1]), sys.argv[2]
frame = pandas.DataFrame({"item_id": [shift + i // 3 for i in range(30)]})
for _ in range(8):
    workflow = nvtabular.Workflow(["item_id"] >> FrequencyCategorify(out_path=out_path))
    workflow.fit(Dataset(frame, npartitions=2, cpu=True))
    for _ in range(3):
        INDEXES.clear()
        ids = workflow.transform(frame)["item_id"].tolist()
        assert ids == [3 + i // 3 for i in range(30)], ids
"""
)


def test_processes_that_fit_into_one_folder_at_once(out_path):
    """Each process has other keys, and must read the files that it wrote."""
    command = [sys.executable, "-W", "ignore", "-c", FITS_AND_TRANSFORMS]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([*command, str(1000 * number), out_path], env=env, stderr=subprocess.PIPE)
        for number in range(2)
    ]
    for process in started:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said.decode()[-2000:]
    assert fit_folders(out_path, complete=False) == []


def test_a_vocabulary_written_over_is_not_used(frame, out_path):
    workflow, _ = encode(frame, ["item_id"], out_path)
    path = workflow.output_schema["item_id"].properties["cat_path"]
    pd.DataFrame({"item_id": [1], "item_id_size": [1]}).to_parquet(path)
    forget_vocabularies()
    with pytest.raises(PopSamplerError, match="digest"):
        workflow.transform(frame)
    os.remove(path)
    with pytest.raises(PopSamplerError, match="no file"):
        workflow.transform(frame)


@pytest.mark.parametrize("split_out", [1, 3])
def test_copies_for_readers_of_categorify_files(frame, out_path, split_out):
    """They are those of the newest fit, and the package does not read them."""
    workflow, encoded = encode(frame, ["item_id"], out_path, split_out=split_out)
    for data in (frame, pd.DataFrame({"item_id": [8, 8, 9]}), frame):
        workflow.fit(dataset(data, 1))
        own = bytes_below(fit_folders(out_path)[-1])
        del own["manifest.json"]
        copies = {
            path: held
            for path, held in bytes_below(f"{out_path}/categories").items()
            if not path.startswith(".fits")
        }
        assert copies == own
        expected = expected_order(data["item_id"])
        assert list(vocabulary(out_path).itertuples(index=False, name=None)) == expected
    for path in copies:
        os.remove(f"{out_path}/categories/{path}")
    assert transformed_anew(workflow, frame)["item_id"].tolist() == encoded["item_id"].tolist()


ODD_NAMES = ["item/id", "../item", "x" * 250, "tags[0]", "Item", "é", "a b", "popularity.v1", "*"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_columns_of_any_name(frame, out_path, tmp_path, name):
    named = frame.rename(columns={"item_id": name})
    workflow = fitted([name, "user"] >> FrequencyCategorify(out_path=out_path, split_out=2), named)
    expected = frame["item_id"].map(expected_ids(frame["item_id"])).tolist()
    assert transformed_anew(workflow, named)[name].tolist() == expected
    workflow.save(str(tmp_path / "saved"))
    loaded = nvt.Workflow.load(str(tmp_path / "saved"))
    assert transformed_anew(loaded, named)[name].tolist() == expected
    below = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(out_path) or "saved" in path.parts for path in below)


@pytest.mark.parametrize("out", ["popularity.v1", "map.x.parquet", "run[2]", "a b", "unique.item"])
def test_folders_of_any_name(frame, tmp_path, out):
    out_path = str(tmp_path / out)
    node = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    node = node >> ops.Filter(lambda df: df[df["item_id"] != 3])
    node = node >> FrequencyOrder(on_violation="remap", out_path=out_path)
    workflow = fitted(node, frame)
    expected = transformed_anew(workflow, frame)
    for _ in range(2):
        workflow.save(out_path)
    assert os.listdir(tmp_path) == [out]
    loaded = nvt.Workflow.load(out_path)
    pd.testing.assert_frame_equal(transformed_anew(loaded, frame), expected)


def test_a_second_fit_takes_the_new_data(frame, out_path):
    workflow, _ = encode(frame, ["item_id"], out_path, 1)
    other = pd.DataFrame({"item_id": [5, 6, 6]})
    workflow.fit(dataset(other, 1))
    assert workflow.transform(other)["item_id"].tolist() == [4, 3, 3]
    assert popularity(workflow)["max_id"] == 4


def test_the_manifest_carries_the_contract(frame, out_path):
    workflow, _ = encode(frame, ["item_id", "user"], out_path)
    manifest = json.loads((fit_folders(out_path)[-1] / "manifest.json").read_text())
    for column in ("item_id", "user"):
        assert manifest["columns"][column]["popularity"] == popularity(workflow, column)


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
