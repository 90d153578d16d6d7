"""Tests which arguments FrequencyCategorify accepts, and what it writes into the schema."""

import nvtabular as nvt
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.schema import Tags
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from merlin_popsampler.contract.schema import read_popularity
from tests.support.workflow_helpers import encode, expected_ids, fitted, popularity


def test_options_of_other_columns_are_defaults(frame, tmp_path):
    """Stock Categorify raises a KeyError for a column that the dict does not name."""
    node = ["item_id", "user"] >> FrequencyCategorify(
        out_path=str(tmp_path), max_size={"item_id": 10}, split_out={"user": 2}
    )
    workflow = fitted(node, frame)
    assert popularity(workflow)["max_id"] == 9
    assert popularity(workflow, "user")["max_id"] == 2 + frame["user"].nunique()
    assert workflow.output_schema["user"].properties["max_size"] == 0


def test_joint_options_go_by_group_or_by_column(rng, out_path):
    frame = pd.DataFrame({"a": rng.integers(0, 20, 99), "b": rng.integers(0, 30, 99)})
    workflow, _ = encode(frame, [["a", "b"]], out_path, max_size={"a": 9})
    assert popularity(workflow, "b")["max_id"] == 8
    with pytest.raises(PopSamplerError, match="one max_size"):
        encode(frame, [["a", "b"]], out_path, max_size={"a": 9, "b": 10})


def test_the_schema_names_a_joint_vocabulary_before_the_fit(frame, out_path):
    """Later operators must know before the fit which columns share a vocabulary."""
    node = [["item_id", "user"]] >> FrequencyCategorify(out_path=out_path)
    workflow = nvt.Workflow(node).fit_schema(Dataset(frame, cpu=True).schema)
    named = {column.properties["domain"]["name"] for column in workflow.output_schema}
    assert named == {"item_id_user"}


def test_a_joint_vocabulary_is_not_split_by_another_fit(frame, out_path):
    """Uses one operator, first for a group and then for single columns."""
    operator = FrequencyCategorify(out_path=out_path)
    fitted([["item_id", "user"]] >> operator, frame)
    with pytest.raises(PopSamplerError, match="'item_id', 'user'.*with a new operator"):
        fitted(["item_id", "user"] >> operator, frame)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"single_table": True}, "single_table=False"),
        ({"vocabs": {"item_id": pd.Series(["a", "b"])}}, "no vocabs"),
        ({"dtype": "float32"}, "integer dtype"),
        ({"encode_type": "join"}, r"encode_type to be one of \['joint', 'combo'\]"),
        ({"name_sep": None}, "name_sep to be a string between the names of columns"),
        ({"freq_treshold": 3}, "Categorify accepts.*freq_treshold.*Correct the name or the value"),
        ({"freq_threshold": 3, "search_sorted": True}, "search_sorted.*Correct the name"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
    ],
)
def test_refused_arguments(options, message, out_path):
    with pytest.raises(PopSamplerError, match=message):
        FrequencyCategorify(out_path=out_path, **options)


@pytest.mark.parametrize("operator", [FrequencyCategorify, FrequencyOrder])
@pytest.mark.parametrize("out_path", [3, True, ["fits"]])
def test_an_out_path_that_is_none_would_name_a_folder(operator, out_path):
    """A folder named "3" would be the result of a wrong order of the arguments."""
    with pytest.raises(PopSamplerError, match="out_path to be a folder.*Leave it out for the"):
        operator(out_path=out_path)


def test_given_vocabularies_write_no_files(tmp_path):
    with pytest.raises(PopSamplerError, match="no vocabs"):
        FrequencyCategorify(out_path=str(tmp_path), vocabs={"item_id": pd.Series(["a", "b"])})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("vocabs", [None, {}], ids=repr)
def test_no_vocabularies_may_be_given(vocabs, out_path):
    assert FrequencyCategorify(out_path=out_path, vocabs=vocabs).fits == {}


def test_max_size_below_the_reserved_ids_is_refused(frame, out_path):
    with pytest.raises(PopSamplerError, match="'item_id'.*at least 3"):
        encode(frame, ["item_id"], out_path, max_size=2)


def test_subgraphs_and_removed_inputs(frame, out_path):
    frame = frame.assign(label=1.0)
    node = ["item_id"] >> FrequencyCategorify(out_path=out_path) >> ops.AddMetadata(Tags.ITEM_ID)
    workflow = fitted(node + ["label"], frame)
    workflow.remove_inputs(["label"])
    served = workflow.transform(frame[["item_id"]])
    assert served["item_id"].tolist() == frame["item_id"].map(expected_ids(frame.item_id)).tolist()
    assert read_popularity(workflow).max_id == served["item_id"].max()


@pytest.mark.parametrize("columns", [["item_id", "user"], [["item_id", "user"]]], ids=str)
def test_a_loaded_workflow_serves_requests_without_one_of_its_columns(columns, frame, tmp_path):
    """Users are encoded alone, also by a vocabulary that items share."""
    workflow = fitted(columns >> FrequencyCategorify(out_path=str(tmp_path / "fits")), frame)
    whole = workflow.transform(frame)
    workflow.save(str(tmp_path / "saved"))
    served = nvt.Workflow.load(str(tmp_path / "saved")).remove_inputs(["item_id"])
    assert served.transform(frame[["user"]])["user"].tolist() == whole["user"].tolist()


def test_inside_a_subgraph(frame, out_path):
    from merlin.dag.ops.subgraph import Subgraph

    inner = ["item_id"] >> FrequencyCategorify(out_path=out_path)
    workflow = fitted(Subgraph("ids", output_node=inner), frame)
    encoded = workflow.transform(frame)["item_id"]
    assert encoded.tolist() == frame["item_id"].map(expected_ids(frame["item_id"])).tolist()


def test_the_contract_follows_the_column(frame, out_path):
    data = frame.assign(session=frame["user"])
    ids = ["item_id"] >> FrequencyCategorify(out_path=out_path) >> ops.TagAsItemID()
    sessions = (ids + ["session"]) >> ops.Groupby(
        groupby_cols=["session"], aggs={"item_id": ["list"]}, name_sep="-"
    )
    last = sessions["item_id-list"] >> ops.ListSlice(-3) >> ops.Rename(postfix="_last")
    kept = ids >> ops.Filter(lambda df: df[df["item_id"] > 3]) >> ops.Rename(f=lambda name: "iid")
    found = popularity(fitted(ids, data))
    assert popularity(fitted(last, data), "item_id-list_last") == found
    assert popularity(fitted(kept, data), "iid") == found


def test_not_fitted(frame, out_path):
    operator = FrequencyCategorify(out_path=out_path)
    with pytest.raises(PopSamplerError, match="Fit the workflow first"):
        operator.transform(nvt.ColumnSelector(["item_id"]), frame)


def test_one_column_in_two_groups(out_path):
    """Two operators alone would not do: the later `a` would replace the earlier one."""
    frame = pd.DataFrame({"a": ["x", "y", "x"], "b": ["y", "y", "z"], "c": ["x", "z", "z"]})
    with pytest.raises(PopSamplerError, match=r"rename the columns of one \(`>> Rename"):
        encode(frame, [["a", "b"], ["a", "c"]], out_path)
    first, second = (FrequencyCategorify(out_path=f"{out_path}/{n}") for n in "12")
    both = ([["a", "b"]] >> first) + ([["a", "c"]] >> second >> ops.Rename(postfix="_2"))
    ids = fitted(both, frame).transform(Dataset(frame, cpu=True)).compute()
    assert ids["a"].tolist() == [4, 3, 4] and ids["b"].tolist() == [3, 3, 5]
    assert ids["a_2"].tolist() == [3, 5, 3] and ids["c_2"].tolist() == [3, 4, 4]


def test_a_dtype_that_is_too_small_and_what_makes_room(out_path):
    frame = pd.DataFrame({"a": range(300)})
    with pytest.raises(PopSamplerError, match="Pass a wider dtype, or max_size=128."):
        encode(frame, ["a"], out_path, dtype="int8")
    _, ids = encode(frame, ["a"], out_path, dtype="int8", max_size=128)
    assert ids["a"].max() == 127
    for options in (
        {"num_buckets": 200, "max_size": 300},
        {"base": encode(frame, ["a"], out_path)[0]},
    ):
        with pytest.raises(PopSamplerError, match="Pass a wider dtype.$"):
            encode(frame, ["a"], out_path, dtype="int8", **options)
