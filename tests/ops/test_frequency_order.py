"""Tests FrequencyOrder on ids of any origin: counting, checking, refusing, renumbering."""

import doctest
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    FrequencyOrderError,
    PopSamplerError,
    read_popularity,
)
from tests.support.workflow_helpers import check_contract, dataset, fitted, last_counts, popularity


@pytest.fixture
def frame(rng):
    return pd.DataFrame(
        {"item_id": rng.zipf(1.3, 3000) % 97 * 7, "click": rng.integers(0, 2, 3000)}
    )


def test_the_example_in_the_docstring():
    results = [
        doctest.DocTestRunner().run(example)
        for example in doctest.DocTestFinder(recurse=False).find(FrequencyOrder, "FrequencyOrder")
    ]
    assert [(found.attempted, found.failed) for found in results] == [(6, 0)]


def emitted(workflow, frame, column="item_id"):
    return workflow.transform(dataset(frame)).compute()[column]


@pytest.mark.parametrize("encoder", [ops.Categorify, FrequencyCategorify])
@pytest.mark.parametrize("mode", ["count", "vocabulary"])
def test_directly_after_an_encoder(frame, tmp_path, encoder, mode):
    order = FrequencyOrder(mode=mode, out_path=str(tmp_path))
    workflow = fitted(["item_id"] >> encoder(out_path=str(tmp_path)) >> order, frame)
    found = popularity(workflow)
    check_contract(found, emitted(workflow, frame), reserved=3)
    assert found["evidence"] == {"count": "counted", "vocabulary": "vocabulary"}[mode]
    properties = workflow.output_schema["item_id"].properties
    assert properties["cat_path"] and properties["domain"]["max"] == found["max_id"]


def test_rows_that_went_after_the_encoder_are_not_counted(frame, tmp_path):
    """A filter changes the order, so the counts of the vocabulary prove nothing."""
    rare = frame["item_id"].value_counts().index[1]
    frame = frame[(frame["item_id"] != rare) | (np.arange(len(frame)) % 50 == 0)]
    ids = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path))
    top = emitted(fitted(ids, frame), frame).value_counts().index[0]
    kept = ids >> ops.Filter(lambda df: df[(df["item_id"] != top) | (df.index % 37 == 0)])
    with pytest.raises(FrequencyOrderError, match=f"'item_id'.*id {top} seen"):
        fitted(kept >> FrequencyOrder(out_path=str(tmp_path)), frame)
    with pytest.warns(UserWarning, match="sorted by decreasing frequency"):
        node = kept >> FrequencyOrder(on_violation="warn", out_path=str(tmp_path / "w"))
        workflow = fitted(node, frame)
    check_contract(popularity(workflow), emitted(workflow, frame), reserved=3)
    workflow = fitted(
        kept >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "r")), frame
    )
    found = popularity(workflow)
    assert found["frequency_ordered"]
    check_contract(found, emitted(workflow, frame), reserved=3)
    assert workflow.output_schema["item_id"].properties["cat_path"] is None


def test_remapped_ids_are_ordered_by_count_then_by_old_id(tmp_path):
    ids = pd.DataFrame({"item_id": [5, 9, 9, 6, 6, 12, 5, 12, 12, 7]})
    node = ["item_id"] >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path))
    workflow = fitted(node, ids)
    new = {12: 5, 5: 6, 6: 7, 9: 8, 7: 9}
    assert emitted(workflow, ids).tolist() == [new[i] for i in ids["item_id"]]
    assert popularity(workflow)["steps"] == "5:3,6:6,9:1,10"
    assert last_counts(tmp_path) == [0] * 5 + [3, 2, 2, 2, 1]
    # Ids that the fit never saw keep distinct ids, inside the range and outside of it.
    later = workflow.transform(pd.DataFrame({"item_id": list(range(16))}))["item_id"]
    assert later.nunique() == 16 and later[[0, 4, 13, 15]].tolist() == [0, 4, 13, 15]


def test_hashed_ids(frame, tmp_path):
    """Without an encoder no ids are reserved: Categorify's offset of 3 must not be assumed."""
    node = ["item_id"] >> ops.HashBucket(60)
    with pytest.raises(FrequencyOrderError, match="id 0"):
        fitted(node >> FrequencyOrder(out_path=str(tmp_path / "a")), frame[frame.item_id % 5 > 0])
    workflow = fitted(
        node >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "b")), frame
    )
    found = popularity(workflow)
    check_contract(found, emitted(workflow, frame), reserved=0)


@pytest.mark.parametrize("first", [0, 1, 100])
def test_row_numbers_of_a_query(first, tmp_path):
    ids = pd.DataFrame({"item_id": np.repeat(np.arange(first, first + 4), [9, 5, 5, 1])})
    node = ["item_id"] >> FrequencyOrder(out_path=str(tmp_path)) >> ops.TagAsItemID()
    found = read_popularity(fitted(node, ids))
    assert (found.min_id, found.max_id, found.evidence) == (first, first + 3, "counted")
    assert found.steps == f"{first}:9,{first + 1}:10,{first + 3}:1,{first + 4}"


def test_gaps_count_as_seen_once(tmp_path):
    ids = pd.DataFrame({"item_id": [1, 1, 1, 2, 2, 5]})
    seldom = r"2 of the ids from 1 to 5 \(the first is 3, the last 4\) were never seen"
    with pytest.warns(UserWarning, match=seldom):
        workflow = fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path)), ids)
    assert popularity(workflow)["steps"] == "1:3,2:2,3:3,6"
    assert last_counts(tmp_path) == [0, 3, 2, 0, 0, 1]  # the file has the counts as seen


def test_reserved_ids_keep_their_place(tmp_path):
    frame = pd.DataFrame({"item_id": [None, None, None, "a", "b", "b", "c", "c", "c", "c"]})
    encoder = ops.Categorify(out_path=str(tmp_path), max_size=5)
    few = ["item_id"] >> encoder >> ops.Filter(lambda df: df[(df.item_id != 3) | (df.index == 9)])
    node = few >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path))
    workflow = fitted(node, dataset(frame, 1))
    ids = workflow.transform(dataset(frame, 1)).compute()["item_id"]
    assert ids.tolist() == [1, 1, 1, 2, 3, 3, 4]
    assert last_counts(tmp_path) == [0, 3, 1, 2, 1]


def test_lists(tmp_path):
    frame = pd.DataFrame({"item_id": [[4, 5, 5], [], [5, 6], None]}, index=[3, 1, 0, 2])
    workflow = fitted(
        ["item_id"] >> FrequencyOrder(on_violation="remap", out_path=str(tmp_path)),
        Dataset(frame.reset_index(drop=True), npartitions=1, cpu=True),
    )
    assert [list(row) for row in workflow.transform(frame)["item_id"]] == [
        [5, 4, 4], [], [4, 6], [],
    ]  # fmt: skip


def test_jointly_encoded_columns_share_one_map(rng, tmp_path):
    frame = pd.DataFrame({"a": rng.integers(0, 30, 400), "b": rng.zipf(1.4, 400) % 30})
    frame["b"] = 29 - frame["b"]
    joint = [["a", "b"]] >> ops.Categorify(out_path=str(tmp_path))
    kept = joint >> ops.Filter(lambda df: df[df["b"] > 4])
    node = kept >> FrequencyOrder(on_violation="remap", groups=[["a", "b"]], out_path=str(tmp_path))
    workflow = fitted(node, frame)
    out = workflow.transform(dataset(frame)).compute()
    assert popularity(workflow, "a") == popularity(workflow, "b")
    check_contract(popularity(workflow, "a"), np.concatenate([out["a"], out["b"]]), reserved=3)
    before = fitted(kept, frame).transform(dataset(frame)).compute()
    pairs = set(zip(before["a"], out["a"])) | set(zip(before["b"], out["b"]))
    assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})


@pytest.mark.parametrize(
    "values, message",
    [
        ([-1, 3], "from -1"),
        ([2.5, 3.0], "float64"),
        ([3.0, None], "1 nulls"),
        (["a", "b"], "(object|str) values, such as '[ab]'"),
        ([5, 10**12], "1000000000000"),
    ],
)
def test_values_that_are_not_ids_are_refused(values, message, tmp_path):
    frame = pd.DataFrame({"item_id": values})
    with pytest.raises(FrequencyOrderError, match=f"'item_id'.*{message}"):
        fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path)), dataset(frame, 1))
    assert not (tmp_path / "frequency_order" / "popularity.item_id.parquet").exists()


def test_no_ids_at_all(tmp_path):
    frame = pd.DataFrame({"item_id": np.array([], np.int64)})
    workflow = fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path)), dataset(frame, 1))
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"], found["steps"]) == (0, -1, "")


def test_an_audit_without_counts_is_refused(tmp_path):
    """With vocabs=, the encoder writes no counts."""
    frame = pd.DataFrame({"item_id": ["a", "b", "b"]})
    encoder = ops.Categorify(vocabs={"item_id": pd.Series(["a", "b"])}, out_path=str(tmp_path))
    with pytest.raises(FrequencyOrderError, match="'item_id'.*counts"):
        fitted(["item_id"] >> encoder >> FrequencyOrder(mode="vocabulary"), dataset(frame, 1))


@pytest.mark.parametrize("times", [1, 2])
def test_an_audit_without_an_encoder_is_refused(times, tmp_path):
    """The order of ids of your own is in no vocabulary, so nothing would have been checked."""
    frame = pd.DataFrame({"item_id": [1, 2, 2]})
    node = ["item_id"] >> FrequencyOrder(mode="vocabulary", out_path=str(tmp_path))
    for _ in range(times):
        with pytest.raises(FrequencyOrderError, match="'item_id'.*without cat_path.*mode='count'"):
            fitted(node, dataset(frame, 1))


def test_an_audit_finds_key_order(frame, tmp_path):
    """With another name_sep than "_", stock Categorify orders ids by key."""
    encoder = ops.Categorify(name_sep="-", out_path=str(tmp_path))
    counts = [count for _, count in sorted(Counter(frame["item_id"]).items())]
    rises = [rank for rank, pair in enumerate(zip(counts, counts[1:])) if pair[0] < pair[1]]
    found = (
        f"id {3 + rises[0]} seen {counts[rises[0]]} times, id {4 + rises[0]} seen "
        f"{counts[rises[0] + 1]} times, and {len(rises) - 1} more rises"
    )
    with pytest.raises(FrequencyOrderError, match=f"'item_id'.*Received: {found}"):
        fitted(["item_id"] >> encoder >> FrequencyOrder(mode="vocabulary"), frame)


@pytest.mark.parametrize("groups", ["item_id", 0, [["item_id", 3]], np.array([["item_id"]])])
def test_groups_are_lists_of_names(groups):
    with pytest.raises(PopSamplerError, match="Expected groups as lists of names of columns"):
        FrequencyOrder(groups=groups)


@pytest.mark.parametrize(
    "vocabs, reserved_shift",
    [
        ({"item_id": pd.Series(["b", "a"])}, {}),
        ({"item_id": pd.Series(["b", "a"])}, {"num_buckets": 3}),
    ],
)
def test_given_vocabularies_get_the_range_that_was_seen(vocabs, reserved_shift, tmp_path):
    """Stock Categorify's ids exceed its own domain here, by which models size tables."""
    frame = pd.DataFrame({"item_id": ["a", "b", "b"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = ops.Categorify(vocabs=vocabs, out_path=str(tmp_path), **reserved_shift)
        node = ["item_id"] >> encoder >> FrequencyOrder(out_path=str(tmp_path))
        workflow = fitted(node, dataset(frame, 1))
    ids = workflow.transform(frame)["item_id"]
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"]) == (ids.min(), ids.max())
    assert workflow.output_schema["item_id"].int_domain.max >= ids.max()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "guess"}, "mode"),
        ({"on_violation": "ignore"}, "on_violation"),
        ({"mode": "vocabulary", "on_violation": "remap"}, "mode='count'"),
        ({"mode": "vocabulary", "groups": [["a", "b"]]}, "mode='count'"),
        ({"steps": 0}, "steps"),
        ({"groups": 3}, "groups as lists of names"),
        ({"groups": "item_id"}, "groups as lists of names"),
        ({"groups": ["item_id", "other"]}, "groups as lists of names"),
        ({"groups": [[3]]}, "groups as lists of names"),
    ],
)
def test_refused_arguments(options, message):
    with pytest.raises(PopSamplerError, match=message):
        FrequencyOrder(**options)


@pytest.mark.parametrize("groups", [[["item_id", "missing"]], [["item_id"], ["item_id"]]])
def test_groups_must_be_columns_once(groups, frame, tmp_path):
    with pytest.raises(PopSamplerError, match="groups"):
        fitted(["item_id"] >> FrequencyOrder(groups=groups, out_path=str(tmp_path)), frame)
