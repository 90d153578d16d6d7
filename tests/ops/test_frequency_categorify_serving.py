"""Tests the encoder that a server, such as Merlin Systems, requests from the operator."""

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.dag import ColumnSelector
from merlin.dag.executors import LocalExecutor
from merlin.table import TensorTable

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from tests.support.workflow_helpers import dataset, fitted


def served(operator, workflow, requests):
    """Encodes requests as a server does: by the operator's own encoder if it has one."""
    columns = nvt.ColumnSelector(list(requests))
    encoder = operator.inference_initialize(columns, {})
    if encoder is None:
        return workflow.transform(requests)
    tensors = {name: requests[name].to_numpy() for name in requests}
    return pd.DataFrame(encoder.transform(columns, tensors))


@pytest.mark.parametrize(
    ("keys", "options", "requests", "expected"),
    [
        (["a", "a", "b"], {}, ["b", "a", "z", None], [4, 3, 2, 1]),
        ([2, 2, 7], {"num_buckets": 3}, [2, 7, 2], [5, 6, 5]),
        ([2, 2, 7], {}, [2.5, 2.0, 7.9], [2, 3, 2]),
        ([0.5, 0.5, 0.25], {}, [0.25, 0.5, 0.75], [4, 3, 2]),
        ([True, True, False], {}, [False, True], [4, 3]),
    ],
)
def test_a_server_gives_the_ids_of_the_training_data(keys, options, requests, expected, out_path):
    operator = FrequencyCategorify(out_path=out_path, **options)
    workflow = fitted(["item_id"] >> operator, dataset(pd.DataFrame({"item_id": keys}), 1))
    ids = served(operator, workflow, pd.DataFrame({"item_id": requests}))
    assert ids["item_id"].tolist() == expected


def test_a_server_knows_joint_vocabularies(out_path):
    operator = FrequencyCategorify(out_path=out_path)
    frame = pd.DataFrame({"a": [1, 1, 2], "b": [2, 3, 1]})
    workflow = fitted([["a", "b"]] >> operator, dataset(frame, 1))
    ids = served(operator, workflow, frame)
    assert ids.to_dict("list") == {"a": [3, 3, 4], "b": [4, 5, 3]}


def asked_by_a_server(workflow, request):
    """Encodes arrays by column, with the conversions of Merlin Systems' runner."""
    frame = LocalExecutor().transform(TensorTable(request).to_df(), workflow.graph)
    made = TensorTable.from_df(frame)
    shapes = {name: (-1, *request[name].shape[1:]) for name in made if name in request}
    return {name: made[name].values.reshape(shapes.get(name, -1)).tolist() for name in made}


WORDS, NUMBERS, FRACTIONS = ["a", "a", "b"], [2, 2, 7], [0.5, 0.5, 0.25]
ONE_EACH = {
    "numbers": (NUMBERS, np.array([[7], [2], [9]]), [4, 3, 2]),
    "other numbers": (NUMBERS, np.array([[7.0], [2.5]], "float32"), [4, 2]),
    "objects": (NUMBERS, np.array([[7], [2]], object), [4, 3]),
    "one row": (NUMBERS, np.array([[7]]), [4]),
    "no rows": (NUMBERS, np.zeros((0, 1), int), []),
    "fractions and a null": (FRACTIONS, np.array([[0.25], [np.nan]]), [4, 1]),
    "bools": ([True, True, False], np.array([[False], [True]]), [4, 3]),
    "fixed width": (WORDS, np.array([["b"], ["a"], ["z"]]), [4, 3, 2]),
    "words and a null": (WORDS, np.array([["b"], [None]], object), [4, 1]),
    "numpy's words": (WORDS, np.array([[np.str_("b")], [np.str_("a")]], object), [4, 3]),
    "UTF-8": (["é", "é", "b"], np.array([[b"b"], ["é".encode()]], object), [4, 3]),
    "fixed UTF-8": (WORDS, np.array([[b"b"], [b"a"], [b"\xff"]]), [4, 3, 2]),
    "bytes": ([b"a", b"a", b"b"], np.array([[b"b"], [b"a"]], object), [4, 3]),
}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("case", ONE_EACH)
def test_a_server_may_ask_in_arrays_of_one_column(case, flat, ordered, out_path):
    """Regression: Triton passes a scalar column as `[rows, 1]`, which Merlin reads as lists.

    Cases: arrays `[rows]` and `[rows, 1]` of integers, floats, bools, objects, strings of
    fixed width, `np.str_`, UTF-8 in bytes, nulls, one row and none; FrequencyOrder behind it.
    """
    keys, request, expected = ONE_EACH[case]
    node = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    node = node >> FrequencyOrder(out_path=out_path) if ordered else node
    workflow = fitted(node, dataset(pd.DataFrame({"item_id": keys}), 1))
    request = request[:, 0] if flat else request
    made = asked_by_a_server(workflow, {"item_id": request})
    assert np.ravel(made["item_id"]).tolist() == expected
    assert np.shape(made["item_id"]) == request.shape or not len(request)


@pytest.mark.parametrize("column", [[[9], [7]], [[9.0], [7.0]], [[9]]], ids=str)
def test_it_may_do_so_for_ids_that_are_renumbered(column, out_path):
    ids = pd.DataFrame({"item_id": [7, 9, 9, 9, 8, 8]})
    order = FrequencyOrder(on_violation="remap", out_path=out_path)
    workflow = fitted(["item_id"] >> order, dataset(ids, 1))
    made = asked_by_a_server(workflow, {"item_id": np.array(column)})
    assert made["item_id"] == [[7], [9]][: len(column)]


@pytest.mark.parametrize(("columns", "name"), [([["a", "b"]], "b"), (["b"], "b")])
def test_it_may_do_so_for_joint_columns(columns, name, out_path):
    frame = pd.DataFrame({"a": [1, 1, 2], "b": [2, 3, 1]})
    workflow = fitted(columns >> FrequencyCategorify(out_path=out_path), dataset(frame, 1))
    flat = asked_by_a_server(workflow, {of: frame[of].to_numpy() for of in "ab"})
    made = asked_by_a_server(workflow, {of: frame[[of]].to_numpy() for of in "ab"})
    assert np.ravel(made[name]).tolist() == flat[name]


def test_it_may_do_so_for_columns_that_are_combined(out_path):
    """Accepted are lists of length one in all of the columns; other lists are refused."""
    frame = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "y"]})
    encoder = FrequencyCategorify(out_path=out_path, encode_type="combo")
    workflow = fitted([["a", "b"]] >> encoder, dataset(frame, 1))
    column = {of: frame[[of]].to_numpy() for of in "ab"}
    assert asked_by_a_server(workflow, column)["a_b"] == [3, 3, 4]
    for wrong in ({"a": frame["a"].to_numpy()}, {"b": np.array([["x", "x"]] * 3)}):
        with pytest.raises(PopSamplerError):
            asked_by_a_server(workflow, {**column, **wrong})


@pytest.mark.parametrize(
    "rows",
    [[[1, 2]], [[1], []], [[1], None], [[1], 1], [[[1]]]],
    ids=["two", "none", "a null row", "a bare one", "a list"],
)
def test_rows_of_another_number_of_keys_are_refused(rows, out_path):
    workflow = fitted(
        ["item_id"] >> FrequencyCategorify(out_path=out_path),
        dataset(pd.DataFrame({"item_id": [1, 1, 2]}), 1),
    )
    with pytest.raises(PopSamplerError, match="'item_id'"):
        workflow.transform(pd.DataFrame({"item_id": pd.Series(rows, dtype=object)}))


def test_unknown_strings_have_one_bucket_in_either_form(out_path):
    keys = [f"k{number}" for number in range(9)]
    encoder = FrequencyCategorify(out_path=out_path, num_buckets=50)
    workflow = fitted(["item_id"] >> encoder, dataset(pd.DataFrame({"item_id": WORDS}), 1))
    words = asked_by_a_server(workflow, {"item_id": np.array(keys)})
    assert asked_by_a_server(workflow, {"item_id": np.array(keys).astype("S")}) == words
    assert len(set(words["item_id"])) > 3


@pytest.mark.parametrize("operator", [FrequencyCategorify, FrequencyOrder])
def test_a_frame_has_one_column_of_each_name(operator, out_path):
    fitted_on = pd.DataFrame({"item_id": [2, 2, 3]})
    workflow = fitted(["item_id"] >> operator(out_path=out_path), dataset(fitted_on, 1))
    for names, received in ((["item_id", "item_id"], "2 of them"), (["a", "b"], "none")):
        frame = pd.DataFrame([[2, 3]], columns=names)
        with pytest.raises(PopSamplerError, match=f"'item_id': .* of this name.*: {received}"):
            workflow.output_node.op.transform(ColumnSelector(["item_id"]), frame)
    with pytest.raises(PopSamplerError, match="expected one column of this name"):
        workflow.transform(pd.concat([fitted_on, fitted_on], axis=1))
