"""Ids by (count descending, key ascending), whatever the data, the options or the partitioning."""

import datetime
import decimal
import gc
import os
import pickle
import warnings
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.io.worker import clean_worker_cache
from merlin.schema import Tags
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrderError, PopSamplerError
from merlin_popsampler.contract.schema import read_popularity
from tests.support.workflow_helpers import (
    counts_file,
    dataset,
    encode,
    expected_ids,
    expected_order,
    fitted,
    meta_file,
    popularity,
    vocabulary,
)


@pytest.fixture
def frame(rng):
    return pd.DataFrame({"item_id": rng.zipf(1.3, 2000) % 97 * 7, "user": rng.integers(0, 9, 2000)})


def test_ids_are_sorted_and_the_schema_says_so(frame, out_path):
    workflow, encoded = encode(frame, ["item_id"], out_path)
    order = expected_order(frame["item_id"])
    assert vocabulary(out_path)["item_id"].tolist() == [key for key, _ in order]
    assert vocabulary(out_path)["item_id_size"].tolist() == [count for _, count in order]
    assert vocabulary(out_path).index.tolist() == list(range(3, 3 + len(order)))
    assert encoded["item_id"].tolist() == frame["item_id"].map(expected_ids(frame.item_id)).tolist()
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"]) == (encoded.item_id.min(), encoded.item_id.max())
    assert found["frequency_ordered"] is True and found["evidence"] == "vocabulary"
    assert counts_file(out_path) == [0, 0, 0] + [count for _, count in order]
    domain = workflow.output_schema["item_id"].int_domain
    assert (domain.min, domain.max) == (0, found["max_id"])


def test_the_order_differs_from_stock_only_in_ties(frame, tmp_path):
    """The check is independent of us: stock Categorify's vocabulary, sorted by plain Python."""
    encode(frame, ["item_id"], str(tmp_path / "ours"))
    fitted(["item_id"] >> ops.Categorify(out_path=str(tmp_path / "stock")), frame)
    stock = vocabulary(str(tmp_path / "stock"))
    by_rule = sorted(zip(-stock["item_id_size"], stock["item_id"]))
    assert vocabulary(str(tmp_path / "ours"))["item_id"].tolist() == [key for _, key in by_rule]


GOLDEN = ["apple", "Zebra", "apple2", "zebra", "Äpfel", "äpfel", "1", "10", "2", "", "~", "猫"]
GOLDEN_ORDER = [
    "",
    "1",
    "10",
    "2",
    "Zebra",
    "apple",
    "apple2",
    "zebra",
    "~",
    "Äpfel",
    "äpfel",
    "猫",
]


@pytest.mark.parametrize("npartitions", [1, 2, 5, 24])
@pytest.mark.parametrize("split_out", [1, 3, 12])
def test_golden_vocabulary_of_ties(npartitions, split_out, out_path, rng):
    """Every key twice, in a shuffled order: only the rule decides, and it compares code points."""
    keys = rng.permutation(GOLDEN * 2)
    _, encoded = encode(
        pd.DataFrame({"item_id": keys}), ["item_id"], out_path, npartitions, split_out=split_out
    )
    assert encoded["item_id"].tolist() == [3 + GOLDEN_ORDER.index(key) for key in keys]
    parts = vocabulary(out_path)
    assert sorted(parts["item_id"]) == GOLDEN_ORDER


def test_golden_vocabulary_on_a_cluster(local_cluster, tmp_path, rng):
    keys = rng.permutation(GOLDEN * 2)
    frame = pd.DataFrame({"item_id": keys})
    frame.iloc[:7].to_parquet(tmp_path / "a.parquet")
    frame.iloc[7:].to_parquet(tmp_path / "b.parquet")
    data = Dataset([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")], engine="parquet")
    node = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out"), split_out=3)
    workflow = nvt.Workflow(node)
    workflow.fit(data)
    encoded = workflow.transform(data).compute()
    assert encoded["item_id"].tolist() == [3 + GOLDEN_ORDER.index(key) for key in keys]


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    keys=st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=60),
    npartitions=st.integers(1, 6),
    split_out=st.integers(1, 4),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_partitioning_gives_the_same_ids(
    tmp_path_factory, keys, npartitions, split_out, shuffle
):
    hypothesis.assume(not any("\x00" in key for key in keys if key))
    hypothesis.assume(all(key is None or key.isprintable() for key in keys))
    ids = expected_ids(keys)
    shuffle.shuffle(keys)
    out_path = str(tmp_path_factory.mktemp("fit"))
    frame = pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})
    npartitions = min(npartitions, len(frame))
    _, encoded = encode(frame, ["item_id"], out_path, npartitions, split_out=split_out)
    assert encoded["item_id"].tolist() == [1 if key is None else ids[key] for key in keys]


@pytest.mark.parametrize("name_sep", ["_", "-", "::"])
def test_name_sep_changes_nothing(frame, out_path, name_sep):
    """Stock Categorify falls back to key order, and forgets max_size, for any other separator."""
    workflow, _ = encode(frame, ["item_id"], out_path, name_sep=name_sep, max_size=20)
    assert vocabulary(out_path)["item_id"].tolist() == [
        key for key, _ in expected_order(frame["item_id"])[:17]
    ]
    assert popularity(workflow)["max_id"] == 19


@pytest.mark.parametrize("split_out", [1, 4])
@pytest.mark.parametrize(
    "options, kept",
    [({"max_size": 12}, 9), ({"max_size": 3}, 0), ({"max_size": 10_000}, None)]
    + [({"freq_threshold": limit}, limit) for limit in (1, 5, 10_000)],
)
def test_truncation_follows_the_order(frame, out_path, options, kept, split_out):
    order = expected_order(frame["item_id"])
    if "freq_threshold" in options:
        survivors = [item for item in order if item[1] >= options["freq_threshold"]]
    else:
        survivors = order[:kept]
    workflow, encoded = encode(frame, ["item_id"], out_path, split_out=split_out, **options)
    ids = {key: 3 + rank for rank, (key, _) in enumerate(survivors)}
    assert encoded["item_id"].tolist() == [ids.get(key, 2) for key in frame["item_id"]]
    oov = len(frame) - sum(count for _, count in survivors)
    assert counts_file(out_path) == [0, 0, oov] + [count for _, count in survivors]
    meta = meta_file(out_path)
    assert meta["num_observed"].tolist() == [0, 0, oov, len(frame) - oov]
    assert meta["num_indices"].tolist() == [1, 1, 1, len(survivors)]
    assert meta["offset"].tolist() == [0, 1, 2, 3]
    assert popularity(workflow)["max_id"] == 2 + len(survivors)
    assert workflow.output_schema["item_id"].int_domain.max == 2 + len(survivors)
    assert nvt.ops.get_embedding_sizes(workflow)["item_id"][0] == 3 + len(survivors)


def test_buckets_hold_what_they_stand_for(frame, out_path):
    with pytest.warns(UserWarning, match="hash-based"):
        workflow, encoded = encode(frame, ["item_id"], out_path, num_buckets=4, max_size=20)
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"]) == (6, 19)
    assert counts_file(out_path) == np.bincount(encoded["item_id"], minlength=20).tolist()
    assert encoded["item_id"].between(2, 19).all() and encoded["item_id"].lt(6).any()


def test_buckets_do_not_depend_on_the_partitions(rng, tmp_path):
    """Stock Categorify hashes the row's index label along with the key, and floats unlike the
    equal integers, which a partition with a null holds."""
    frame = pd.DataFrame({"item_id": rng.integers(0, 300, 400).astype(float)})
    frame.iloc[-1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, by_parts = (
            encode(frame, ["item_id"], str(tmp_path / str(n)), n, num_buckets=5, max_size=30)[1]
            for n in (1, 8)
        )
    assert whole["item_id"].tolist() == by_parts["item_id"].tolist()


def test_options_of_other_columns_are_defaults(frame, tmp_path):
    """Stock Categorify: KeyError for the column that the dict does not name."""
    node = ["item_id", "user"] >> FrequencyCategorify(
        out_path=str(tmp_path), max_size={"item_id": 10}, split_out={"user": 2}
    )
    workflow = fitted(node, frame)
    assert popularity(workflow)["max_id"] == 9
    assert popularity(workflow, "user")["max_id"] == 2 + frame["user"].nunique()
    assert workflow.output_schema["user"].properties["max_size"] == 0


def test_joint_vocabulary(rng, out_path):
    frame = pd.DataFrame({"a": rng.zipf(1.5, 500) % 20, "b": rng.zipf(1.5, 500) % 40 + 0.0})
    frame.loc[3:8, "b"] = np.nan
    workflow, encoded = encode(frame, [["a", "b"]], out_path)
    pooled = frame["a"].tolist() + frame["b"].dropna().astype(int).tolist()
    ids = expected_ids(pooled)
    assert encoded["a"].tolist() == frame["a"].map(ids).tolist()
    assert encoded["b"].tolist() == frame["b"].map(ids).fillna(1).astype(int).tolist()
    assert popularity(workflow, "a") == popularity(workflow, "b")
    assert popularity(workflow, "a")["max_id"] == 2 + len(ids)
    assert counts_file(out_path, "a_b")[1] == 6
    assert workflow.output_schema["a"].int_domain.max == 2 + len(ids)


def test_joint_options_go_by_group_or_by_column(rng, out_path):
    frame = pd.DataFrame({"a": rng.integers(0, 20, 99), "b": rng.integers(0, 30, 99)})
    workflow, _ = encode(frame, [["a", "b"]], out_path, max_size={"a": 9})
    assert popularity(workflow, "b")["max_id"] == 8
    with pytest.raises(PopSamplerError, match="one max_size"):
        encode(frame, [["a", "b"]], out_path, max_size={"a": 9, "b": 10})


def test_combinations(rng, out_path):
    frame = pd.DataFrame({"a": rng.integers(0, 4, 300), "b": rng.choice(list("xyz"), 300)})
    frame.loc[5:9, "b"] = None
    frame.loc[8:9, "a"] = np.nan
    workflow, encoded = encode(
        frame, [["a", "b"]], out_path, encode_type="combo", name_sep="-", split_out=2
    )
    pairs = [
        None if isinstance(a, float) and np.isnan(a) and b is None else (a, b)
        for a, b in zip(frame["a"], frame["b"])
    ]
    counts = pd.Series([pair for pair in pairs if pair]).value_counts()
    vocabulary_counts = counts_file(out_path, "a-b")
    assert vocabulary_counts[:3] == [0, 2, 0]
    assert vocabulary_counts[3:] == sorted(counts.tolist(), reverse=True)
    emitted = encoded["a-b"].tolist()
    assert [emitted[i] for i in (8, 9)] == [1, 1]
    for pair, count in counts.items():
        ids = {emitted[i] for i, other in enumerate(pairs) if other == pair}
        assert len(ids) == 1 and vocabulary_counts[ids.pop()] == count
    assert popularity(workflow, "a-b")["max_id"] == 2 + len(counts)


def test_lists_with_nulls(out_path):
    """Stock Categorify emits a null element as unknown; it is a null."""
    rows = [[1, 2, 2], [], None, [2, 3], [None, 3, 2]]
    frame = pd.DataFrame({"item_id": rows})
    _, encoded = encode(frame, ["item_id"], out_path, npartitions=2)
    assert [list(row) for row in encoded["item_id"]] == [[5, 3, 3], [], [], [3, 4], [1, 4, 3]]
    assert counts_file(out_path) == [0, 1, 0, 4, 2, 1]
    assert encoded["item_id"][0].dtype == np.int64


def test_lists_with_buckets(out_path):
    """Stock Categorify: TypeError."""
    frame = pd.DataFrame({"item_id": [[1, 2, 2], [2, 3], [4, 3, 2]]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, encoded = encode(frame, ["item_id"], out_path, num_buckets=3, max_size=6)
    assert counts_file(out_path)[5] == 4 and sum(counts_file(out_path)) == 8
    ids = np.concatenate(encoded["item_id"].tolist())
    assert counts_file(out_path) == np.bincount(ids, minlength=6).tolist()


KEYS = {
    "int8": np.array([3, -3, 3, 5], "int8"),
    "uint64": np.array([2**63 + 5, 1, 2**63 + 5, 7], "uint64"),
    "int64 above 2**53": np.array([2**53 + 1, 2**53, 2**53 + 1, 2**53 + 2]),
    "fractions": np.array([0.5, -1.25, 0.5, 3.0]),
    "bool": np.array([True, False, True, True]),
    "words": np.array(["b", "a", "b", "c"], object),
    "bytes": np.array([b"b", b"a", b"b", b"c"], object),
    "times": np.array(["2020-01-02", "2019-01-01", "2020-01-02", "2021-01-01"], "M8[ns]"),
    "dates": np.array([datetime.date(2020, 1, day) for day in (2, 1, 2, 3)], object),
    "decimals": np.array([decimal.Decimal(n) for n in ("1.5", "0.5", "1.5", "2.5")], object),
    "Int64": pd.array([5, 4, 5, 6], "Int64"),
    "string": pd.array(["b", "a", "b", "c"], "string"),
    "boolean": pd.array([True, False, True, True], "boolean"),
    "categories": pd.Categorical(["b", "a", "b", "c"], categories=["z", "c", "b", "a"]),
    "categories of numbers": pd.Categorical([5, 4, 5, 6], categories=[9, 6, 5, 4]),
}


@pytest.mark.parametrize("kind", sorted(KEYS))
@pytest.mark.parametrize("with_null", [False, True])
def test_every_kind_of_key(kind, with_null, out_path):
    series = pd.Series(KEYS[kind], name="item_id")
    keys = list(series)
    if with_null:
        if kind in ("uint64", "int64 above 2**53", "bool", "int8"):
            series = series.astype({"u": "UInt64", "i": "Int64", "b": "boolean"}[series.dtype.kind])
        series = pd.concat([series, pd.Series([None], dtype=series.dtype)], ignore_index=True)
        series.name = "item_id"
    frame = pd.DataFrame({"item_id": series})
    workflow, encoded = encode(frame, ["item_id"], out_path, npartitions=2)
    ids = expected_ids(keys)
    assert encoded["item_id"].tolist() == [ids[key] for key in keys] + [1] * with_null
    assert popularity(workflow)["max_id"] == 2 + len(ids)
    assert workflow.transform(frame)["item_id"].tolist() == encoded["item_id"].tolist()


def test_unused_categories_are_no_items(out_path):
    """Stock Categorify writes them with count 0, and a domain above every id."""
    column = pd.Categorical(["b", "a", "b"], categories=["a", "b", "unused"])
    workflow, _ = encode(pd.DataFrame({"item_id": column}), ["item_id"], out_path, 1)
    assert vocabulary(out_path)["item_id"].tolist() == ["b", "a"]
    assert popularity(workflow)["max_id"] == 4


def test_big_integers_with_nulls_are_refused(out_path):
    """Their reader made floats of them: two items had become one."""
    frame = pd.DataFrame({"item_id": [2**53, 2**53 + 1, None]}, dtype=float)
    with pytest.raises(PopSamplerError, match=r"'item_id'.*2\*\*53"):
        encode(frame, ["item_id"], out_path, 1)


def test_big_integers_with_nulls_in_another_partition(tmp_path):
    """Only the partition with the null holds floats; the keys of the other stay exact."""
    pd.DataFrame({"item_id": [2**53 + 1, 2**53, 2**53 + 1]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"item_id": [None, 7.0]}).to_parquet(tmp_path / "b.parquet")
    data = Dataset([str(tmp_path / f) for f in ("a.parquet", "b.parquet")], engine="parquet")
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out")), data)
    assert workflow.transform(data).compute()["item_id"].tolist() == [3, 5, 3, 1, 4]


def test_mixed_keys_are_refused(out_path):
    frame = pd.DataFrame({"item_id": [1, "a", 2, "b"]})
    with pytest.raises(FrequencyOrderError, match="keys of one kind"):
        encode(frame, ["item_id"], out_path, 1)
    assert not os.path.exists(f"{out_path}/categories/unique.item_id.parquet")


@pytest.mark.parametrize(
    "parts",
    [[[5, 5, 6], [None, None], [6, 6, 7]], [[5, 6, 6], [], [6]], [[None], [5]], [[5, None], []]],
)
def test_empty_and_null_partitions(tmp_path, parts):
    """Stock Categorify: IndexError at transform."""
    for number, part in enumerate(parts):
        frame = pd.DataFrame({"item_id": part}, dtype=float if None in part else int)
        frame.to_parquet(tmp_path / f"{number}.parquet")
    data = Dataset([str(tmp_path / f"{n}.parquet") for n in range(len(parts))], engine="parquet")
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out")), data)
    keys = sum(parts, [])
    ids = expected_ids(keys)
    expected = [1 if key is None else ids[key] for key in keys]
    assert workflow.transform(data).compute()["item_id"].tolist() == expected


@pytest.mark.parametrize("keys", [[], [None], [None, None, None]])
def test_no_items_at_all(out_path, keys):
    """Zero items are fine to fit; a sampler over them is what cannot be."""
    frame = pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})
    workflow, encoded = encode(frame, ["item_id"], out_path, 1)
    assert encoded["item_id"].tolist() == [1] * len(keys)
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"], found["steps"]) == (3, 2, "")
    assert counts_file(out_path) == [0, len(keys), 0]
    assert workflow.transform(pd.DataFrame({"item_id": ["new", None]}))["item_id"].tolist() == [
        2,
        1,
    ]


def test_one_item(out_path):
    workflow, encoded = encode(pd.DataFrame({"item_id": ["a"]}), ["item_id"], out_path, 1)
    assert encoded["item_id"].tolist() == [3]
    assert (popularity(workflow)["min_id"], popularity(workflow)["max_id"]) == (3, 3)


def test_a_shuffled_index_changes_nothing(frame, out_path):
    """Stock Categorify takes null positions from the index labels."""
    frame.loc[::7, "item_id"] = None
    workflow, encoded = encode(frame, ["item_id"], out_path, 1)
    shuffled = frame.sample(frac=1, random_state=1)
    again = workflow.transform(shuffled)["item_id"].tolist()
    assert again == encoded["item_id"].iloc[shuffled.index].tolist()
    lists = pd.DataFrame({"item_id": [[1], [2, 2]]}, index=[7, 3])
    workflow, _ = encode(lists.reset_index(drop=True), ["item_id"], out_path + "/lists", 1)
    assert [list(row) for row in workflow.transform(lists)["item_id"]] == [[4], [3, 3]]


def test_keys_that_the_vocabulary_cannot_hold_are_unknown(out_path):
    workflow, _ = encode(pd.DataFrame({"item_id": [1, 2, 2]}), ["item_id"], out_path, 1)
    other = pd.DataFrame({"item_id": [2.0, 2.5, np.nan, 1.0]})
    assert workflow.transform(other)["item_id"].tolist() == [3, 2, 1, 4]
    with pytest.raises(PopSamplerError, match="'item_id'.*kind"):
        workflow.transform(pd.DataFrame({"item_id": ["one", "two"]}))
    words, _ = encode(pd.DataFrame({"item_id": ["a", "b"]}), ["item_id"], out_path + "/w", 1)
    with pytest.raises(PopSamplerError, match="'item_id'.*kind"):
        words.transform(pd.DataFrame({"item_id": [1, 2]}))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_any_integer_dtype_that_holds_the_ids(frame, out_path, dtype):
    workflow, encoded = encode(frame, ["item_id"], out_path, dtype=dtype)
    assert encoded["item_id"].dtype == dtype
    assert encoded["item_id"].max() == popularity(workflow)["max_id"]


def test_a_dtype_too_small_is_refused_before_files_are_touched(frame, out_path):
    encode(frame, ["item_id"], out_path)
    before = Path(out_path, "categories", "unique.item_id.parquet").read_bytes()
    many = pd.DataFrame({"item_id": range(300)})
    with pytest.raises(PopSamplerError, match="int8.*127"):
        encode(many, ["item_id"], out_path, dtype="int8")
    assert Path(out_path, "categories", "unique.item_id.parquet").read_bytes() == before
    assert not [name for name in os.listdir(f"{out_path}/categories") if name.startswith(".")]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"single_table": True}, "single_table=False"),
        ({"vocabs": {"item_id": pd.Series(["a", "b"])}}, "no vocabs"),
        ({"dtype": "float32"}, "integer dtype"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"steps": True}, "steps"),
    ],
)
def test_refused_arguments(options, message, out_path):
    with pytest.raises(PopSamplerError, match=message):
        FrequencyCategorify(out_path=out_path, **options)


def test_max_size_below_the_reserved_ids_is_refused(frame, out_path):
    with pytest.raises(PopSamplerError, match="'item_id'.*at least 3"):
        encode(frame, ["item_id"], out_path, max_size=2)


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
    assert first.transform(frame)["item_id"].tolist() == encoded["item_id"].tolist()
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
    assert first.transform(frame)["item_id"].tolist() == expected


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
    """Stock Categorify keeps the rewritten file's old contents cached."""
    workflow, _ = encode(frame, ["item_id"], out_path, 1)
    other = pd.DataFrame({"item_id": [5, 6, 6]})
    workflow.fit(dataset(other, 1))
    assert workflow.transform(other)["item_id"].tolist() == [4, 3, 3]
    assert popularity(workflow)["max_id"] == 4


def test_a_failing_fit_leaves_the_earlier_one_alone(frame, out_path):
    workflow, encoded = encode(frame, ["item_id"], out_path, 1)
    with pytest.raises(FrequencyOrderError):
        workflow.fit(dataset(pd.DataFrame({"item_id": ["a", 1]}), 1))
    _again, same = encode(frame, ["item_id"], out_path, 1)
    assert same["item_id"].tolist() == encoded["item_id"].tolist()


@pytest.mark.parametrize("split_out", [1, 3])
def test_save_move_load(frame, tmp_path, split_out):
    workflow, encoded = encode(frame, ["item_id"], str(tmp_path / "fit"), split_out=split_out)
    workflow.save(str(tmp_path / "saved"))
    os.rename(tmp_path / "saved", tmp_path / "moved")
    loaded = nvt.Workflow.load(str(tmp_path / "moved"))
    assert loaded.transform(frame)["item_id"].tolist() == encoded["item_id"].tolist()
    names = sorted(os.listdir(tmp_path / "moved" / "categories"))
    assert names == [f"{kind}.item_id.parquet" for kind in ("meta", "popularity", "unique")]
    assert popularity(loaded) == popularity(workflow)


def test_subgraphs_and_removed_inputs(frame, out_path):
    frame = frame.assign(label=1.0)
    node = ["item_id"] >> FrequencyCategorify(out_path=out_path) >> ops.AddMetadata(Tags.ITEM_ID)
    workflow = fitted(node + ["label"], frame)
    workflow.remove_inputs(["label"])
    served = workflow.transform(frame[["item_id"]])
    assert served["item_id"].tolist() == frame["item_id"].map(expected_ids(frame.item_id)).tolist()
    assert read_popularity(workflow).max_id == served["item_id"].max()


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


def test_a_poor_log_uniform_fit_is_said(out_path):
    flat = pd.DataFrame({"item_id": list(range(100)) * 3})
    with pytest.warns(UserWarning, match="item_id.*empirical"):
        encode(flat, ["item_id"], out_path)


def test_pickles_small(frame, out_path):
    operator = FrequencyCategorify(out_path=out_path, max_size={"item_id": 30})
    fitted(["item_id"] >> operator, frame)
    copy = pickle.loads(pickle.dumps(operator))
    assert copy.fits == operator.fits and copy.max_size["other"] == 0


def test_not_fitted(frame, out_path):
    operator = FrequencyCategorify(out_path=out_path)
    with pytest.raises(PopSamplerError, match="Fit the workflow first"):
        operator.transform(nvt.ColumnSelector(["item_id"]), frame)
