"""Compares the key of each id with the ids to which the workflow encodes the keys."""

import shutil

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    PopSamplerError,
    id_map,
    read_keys,
)
from tests.store.test_id_map import COLUMN, KEYS, NEW, OLD, SOURCES, encoded, flat, workflow
from tests.support.workflow_helpers import dataset, fitted


def check(found, flow, keys, lists=False):
    """Checks that there is one row for each id, in order, with the key of the id."""
    assert found.index.name == "id" and found.index.dtype == np.int64
    assert found.index.is_monotonic_increasing and len(found) == len(keys)
    for key, number in zip(keys, encoded(flow, keys, lists)):
        assert found[COLUMN].loc[number] == key


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("split_out", [1, 3])
def test_each_id_has_its_key(name, split_out, tmp_path):
    keys = KEYS[name][0]
    flow = workflow(keys, tmp_path, split_out=split_out)
    check(read_keys(flow), flow, flat(keys), lists=name == "lists")


@pytest.mark.parametrize("name", SOURCES)
def test_wherever_the_fit_is(name, tmp_path):
    source = SOURCES[name](workflow(OLD, tmp_path), tmp_path)
    assert read_keys(source)[COLUMN].to_dict() == {3: "b", 4: "a", 5: "c", 6: "gone", 7: "z"}


def test_a_saved_workflow_that_was_moved(tmp_path):
    flow = workflow(OLD, tmp_path / "fit")
    flow.save(str(tmp_path / "saved"))
    shutil.rmtree(tmp_path / "fit")
    (tmp_path / "saved").rename(tmp_path / "elsewhere")
    loaded = nvt.Workflow.load(str(tmp_path / "elsewhere"))
    for source in (tmp_path / "elsewhere", loaded):
        check(read_keys(source), loaded, flat(OLD))


@pytest.mark.parametrize("encoder", [FrequencyCategorify, ops.Categorify])
def test_ids_that_were_put_in_order_afterwards(encoder, tmp_path):
    frame = pd.DataFrame({COLUMN: list("aabcccdd"), "used": [1, 0, 1, 0, 0, 1, 1, 1]})
    ids = [COLUMN] >> encoder(out_path=str(tmp_path)) >> ops.TagAsItemID()
    used = ids + ["used"] >> ops.Filter(f=lambda part: part["used"] == 1)
    order = FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "order"))
    flow = fitted(used[COLUMN] >> order, dataset(frame, 1))
    kept = frame[frame["used"] == 1]
    given = flow.transform(dataset(frame, 1)).compute()[COLUMN].tolist()
    found = read_keys(flow)[COLUMN]
    assert found.loc[given].tolist() == kept[COLUMN].tolist()
    assert found.loc[3] == "d"  # the encoder put c first
    assert sorted(found) == list("abcd")


def test_vanished_items_of_stable_ids_keep_their_row(tmp_path):
    flow = workflow(NEW, tmp_path / "new", base=workflow(OLD, tmp_path / "old"))
    check(read_keys(flow), flow, flat(OLD + NEW))


def test_combinations_have_a_column_for_each_part(tmp_path):
    frame = pd.DataFrame({"a": [1, 1, 1, 2, 2], "b": list("xxyxx")})
    encoder = FrequencyCategorify(out_path=str(tmp_path), encode_type="combo")
    flow = fitted([["a", "b"]] >> encoder, dataset(frame, 2))
    found = read_keys(flow, "a_b")
    assert found.loc[[3, 4, 5], ["a", "b"]].values.tolist() == [[1, "x"], [2, "x"], [1, "y"]]
    ids = flow.transform(dataset(frame, 1)).compute()["a_b"]
    assert found.loc[ids].values.tolist() == frame.values.tolist()


def test_unknown_ids_raise_a_key_error(tmp_path):
    keys = read_keys(workflow(OLD, tmp_path))
    for reserved_or_beyond in (0, 1, 2, 8):
        with pytest.raises(KeyError):
            keys.loc[[reserved_or_beyond]]


def test_keys_that_are_nowhere_are_refused(tmp_path):
    for column in (None, ["item_id"]):
        with pytest.raises(PopSamplerError, match="whose keys can be read"):
            read_keys(tmp_path, column)


@pytest.mark.parametrize("again", ["saved", "loaded"])
def test_a_folder_with_several_fits_is_refused_and_its_workflow_read(again, tmp_path):
    """Fits of a folder have no order after two saves, or after a fit of the loaded workflow."""
    folder = str(tmp_path / "saved")
    flow = workflow(OLD, tmp_path / "fits")
    flow.save(folder)
    if again == "saved":
        flow.fit(dataset(pd.DataFrame({COLUMN: NEW}), 1)).save(folder)
    else:
        nvt.Workflow.load(folder).fit(dataset(pd.DataFrame({COLUMN: NEW}), 1))
    remedy = r"Workflow\.load of the folder.*each fit into a folder of its own"
    with pytest.raises(PopSamplerError, match=rf"one fit of '{COLUMN}'.*Received: 2.*{remedy}"):
        read_keys(folder)
    with pytest.raises(PopSamplerError, match=rf"Received: 2.*{remedy}"):
        workflow(NEW, tmp_path / "next", base=folder)
    loaded = nvt.Workflow.load(folder)
    check(read_keys(loaded), loaded, flat(NEW if again == "saved" else OLD))
    then = workflow(NEW, tmp_path / "next", base=loaded)
    ids = id_map(loaded, then)
    assert ids.new_ids.tolist() == list(range(ids.old.cardinality))
