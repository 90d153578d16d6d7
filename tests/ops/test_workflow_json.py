"""Operators in the workflows that NVTabular writes as JSON."""

import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from fsspec.implementations.local import LocalFileSystem
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from merlin_popsampler.ops.column_options import PerColumn
from merlin_popsampler.ops.upstream import Encoder
from merlin_popsampler.ops.workflow_json import from_json, saved_as_json, to_json
from tests.support.workflow_helpers import (
    check_contract,
    dataset,
    fitted,
    forget_vocabularies,
    popularity,
    transformed_anew,
)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**60,
        0.5,
        "a",
        [1, (2, "b"), []],
        {"a": {1: None}, ("b", "c"): [0.25]},
        [{1, 2}, frozenset(["a"])],
        Encoder("items", 3, fitted_here=True),
        {"held": (Encoder("items", 3, fitted_here=False),)},
    ],
)
def test_values_come_back(value):
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


def test_options_by_column_keep_their_default():
    options = from_json(json.loads(json.dumps(to_json(PerColumn({"a": 3}, 8)))))
    assert (options["a"], options["another"]) == (3, 8)


@pytest.mark.parametrize("dtype", [np.int32, np.dtype("int32"), np.dtype(np.int32).type])
def test_dtypes_come_back(dtype):
    assert from_json(json.loads(json.dumps(to_json(dtype)))) == np.dtype("int32")


def test_paths_are_text():
    assert to_json(Path("a") / "b") == os.path.join("a", "b")


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "subprocess.Popen",
        "merlin_popsampler.store.filesystem.write",
        "merlin_popsampler.No",
        "merlin_popsampler.no.No",
    ],
)
def test_a_file_makes_nothing_but_our_dataclasses(name):
    with pytest.raises(PopSamplerError, match=f"{name}.*Save the workflow anew"):
        from_json({"class": name, "fields": {}})


@pytest.fixture
def frame(rng):
    items = [f"k{key}" for key in rng.zipf(1.3, 900) % 50]
    return pd.DataFrame({"item_id": items, "other": items[::-1], "user": rng.integers(0, 9, 900)})


def stored(workflow, folder):
    """The workflow as another machine would load it: its first files are gone."""
    workflow.save(str(folder / "saved"))
    shutil.rmtree(folder / "fit")
    os.rename(folder / "saved", folder / "moved")
    return nvt.Workflow.load(str(folder / "moved"))


def test_both_operators_are_registered(frame, tmp_path, monkeypatch):
    """With a stand-in for what NVTabular's coming versions have: it calls what it was given."""
    coming = ModuleType("nvtabular.workflow.graph_serializer")
    coming._REGISTRY = {}
    coming._build_registry = lambda: coming._REGISTRY.update(stock=())
    coming._register = lambda name, *what: coming._REGISTRY.update({name: what})
    monkeypatch.setitem(sys.modules, coming.__name__, coming)
    monkeypatch.setattr("nvtabular.workflow.graph_serializer", coming, raising=False)
    operators = [FrequencyCategorify, FrequencyOrder]
    assert [saved_as_json(operator) for operator in operators] == operators
    assert list(coming._REGISTRY) == [
        "stock",
        "merlin_popsampler.ops.frequency_categorify.FrequencyCategorify",
        "merlin_popsampler.ops.frequency_order.FrequencyOrder",
    ]
    encoder = FrequencyCategorify(out_path=str(tmp_path / "fit"), num_buckets=3)
    workflow = fitted(["item_id"] >> encoder, frame)
    expected = workflow.transform(frame)
    name = list(coming._REGISTRY)[1]
    registered, to_dict, from_dict = coming._REGISTRY[name]
    assert registered is FrequencyCategorify
    params, state = json.loads(
        json.dumps(to_dict(encoder, str(tmp_path / "saved"), LocalFileSystem()))
    )
    shutil.rmtree(tmp_path / "fit")
    os.rename(tmp_path / "saved", tmp_path / "moved")
    restored = from_dict(params, state, str(tmp_path / "moved"))
    assert restored.num_buckets == 3
    forget_vocabularies()
    encoded = restored.transform(nvt.ColumnSelector(["item_id"]), frame[["item_id"]])
    pd.testing.assert_frame_equal(encoded, expected)


@pytest.mark.newer_nvtabular
def test_an_encoder_is_saved_whole(frame, tmp_path):
    options = {"num_buckets": {"item_id": 3}, "freq_threshold": {"item_id": 2}, "dtype": "int32"}
    encoder = FrequencyCategorify(out_path=str(tmp_path / "fit"), **options)
    workflow = fitted(["item_id", "user"] >> encoder >> ops.TagAsItemID(), frame)
    unknown = pd.DataFrame({"item_id": [f"new{i}" for i in range(20)], "user": 0})
    expected = [workflow.transform(part) for part in (frame, unknown)]
    stated = popularity(workflow)
    loaded = stored(workflow, tmp_path)
    for part, ids in zip((frame, unknown), expected):
        pd.testing.assert_frame_equal(transformed_anew(loaded, part), ids)
    assert popularity(loaded) == stated
    assert type(loaded.output_node.parents[0].op) is FrequencyCategorify
    loaded.fit(dataset(frame[:300]))
    ids = transformed_anew(loaded, frame[:300])
    check_contract(popularity(loaded), ids["item_id"], reserved=5)


@pytest.mark.newer_nvtabular
def test_joint_vocabularies_and_maps_are_saved(frame, tmp_path):
    joint = [["item_id", "other"]] >> FrequencyCategorify(out_path=str(tmp_path / "fit" / "ids"))
    order = FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "fit" / "order"))
    kept = joint >> ops.Filter(without_the_first)
    workflow = fitted(kept >> order, frame)
    expected = workflow.transform(frame)
    assert order.fits["item_id_other"].remaps
    loaded = stored(workflow, tmp_path)
    pd.testing.assert_frame_equal(transformed_anew(loaded, frame), expected)
    assert popularity(loaded) == popularity(workflow)
    with pytest.raises(PopSamplerError, match="'item_id', 'other'.*Make the workflow anew"):
        loaded.fit(dataset(frame))


def without_the_first(frame):
    """By name: a lambda cannot be written."""
    return frame[frame["item_id"] > 4]
