"""Tests ids by (count descending, key ascending), for all data, options and partitions."""

import warnings
from collections import Counter
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from tests.support.workflow_helpers import (
    counts_file,
    encode,
    expected_ids,
    expected_order,
    fitted,
    meta_file,
    popularity,
    vocabulary,
)


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
    """The oracle is stock Categorify's vocabulary, sorted by plain Python."""
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
    """Every key occurs twice, in random order: the rule for ties compares code points."""
    keys = rng.permutation(GOLDEN * 2)
    _, encoded = encode(
        pd.DataFrame({"item_id": keys}), ["item_id"], out_path, npartitions, split_out=split_out
    )
    assert encoded["item_id"].tolist() == [3 + GOLDEN_ORDER.index(key) for key in keys]
    path = Path(out_path, "categories", "unique.item_id.parquet")
    parts = [f"part.{n}.parquet" for n in range(split_out)] if split_out > 1 else [""]
    written = pd.concat([pd.read_parquet(path / part) for part in parts])
    assert written["item_id"].tolist() == GOLDEN_ORDER
    assert written.index.tolist() == list(range(3, 15))


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
    ids = expected_ids(keys)
    shuffle.shuffle(keys)
    out_path = str(tmp_path_factory.mktemp("fit"))
    frame = pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})
    npartitions = min(npartitions, len(frame))
    _, encoded = encode(frame, ["item_id"], out_path, npartitions, split_out=split_out)
    assert encoded["item_id"].tolist() == [1 if key is None else ids[key] for key in keys]


@pytest.mark.parametrize("name_sep", ["_", "-", "::"])
def test_name_sep_changes_nothing(frame, out_path, name_sep):
    """With another separator, stock Categorify orders by key and ignores max_size."""
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
    workflow, encoded = encode(frame, ["item_id"], out_path, num_buckets=4, max_size=20)
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"]) == (6, 19)
    assert counts_file(out_path) == np.bincount(encoded["item_id"], minlength=20).tolist()
    ids = {key: 6 + rank for rank, (key, _) in enumerate(expected_order(frame["item_id"])[:14])}
    known = frame["item_id"].isin(ids)
    assert encoded["item_id"][known].tolist() == frame["item_id"][known].map(ids).tolist()
    assert set(encoded["item_id"][~known]) == {2, 3, 4, 5}


def test_buckets_do_not_depend_on_the_partitions(rng, tmp_path):
    """Stock Categorify hashes the index label with the key. It also hashes floats and equal
    integers differently, and a partition with a null holds floats."""
    frame = pd.DataFrame({"item_id": rng.integers(0, 300, 400).astype(float)})
    frame.iloc[-1] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, by_parts = (
            encode(frame, ["item_id"], str(tmp_path / str(n)), n, num_buckets=5, max_size=30)[1]
            for n in (1, 8)
        )
    assert whole["item_id"].tolist() == by_parts["item_id"].tolist()
    assert set(whole["item_id"]) == {1, *range(2, 30)}


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


def test_combinations(rng, out_path):
    frame = pd.DataFrame({"a": rng.integers(0, 4, 300), "b": rng.choice(list("qrstuvwxyz"), 300)})
    frame.loc[5:9, "b"] = None
    frame.loc[8:9, "a"] = np.nan
    workflow, encoded = encode(
        frame, [["a", "b"]], out_path, encode_type="combo", name_sep="-", split_out=2
    )
    pairs = [
        tuple(None if pd.isna(key) else key for key in pair) for pair in zip(frame["a"], frame["b"])
    ]
    counts = Counter(pair for pair in pairs if pair != (None, None))
    # ties by the keys, nulls first
    order = sorted(
        counts, key=lambda pair: (-counts[pair], *((key is not None, key) for key in pair))
    )
    assert len(set(counts.values())) < len(counts)
    ids = {pair: 3 + rank for rank, pair in enumerate(order)}
    assert encoded["a-b"].tolist() == [ids.get(pair, 1) for pair in pairs]
    assert counts_file(out_path, "a-b") == [0, 2, 0] + [counts[pair] for pair in order]
    assert popularity(workflow, "a-b")["max_id"] == 2 + len(counts)


def test_lists_with_nulls(out_path):
    """A null element is a null; stock Categorify encodes it as unknown."""
    rows = [[1, 2, 2], [], None, [2, 3], [None, 3, 2]]
    frame = pd.DataFrame({"item_id": rows})
    _, encoded = encode(frame, ["item_id"], out_path, npartitions=2)
    assert [list(row) for row in encoded["item_id"]] == [[5, 3, 3], [], [], [3, 4], [1, 4, 3]]
    assert counts_file(out_path) == [0, 1, 0, 4, 2, 1]
    assert encoded["item_id"][0].dtype == np.int64


def test_lists_with_buckets(out_path):
    """Stock Categorify raises a TypeError."""
    frame = pd.DataFrame({"item_id": [[1, 2, 2], [2, 3], [4, 3, 2]]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, encoded = encode(frame, ["item_id"], out_path, num_buckets=3, max_size=6)
    assert counts_file(out_path)[5] == 4 and sum(counts_file(out_path)) == 8
    assert [[i == 5 for i in row] for row in encoded["item_id"]] == [
        [key == 2 for key in row] for row in frame["item_id"]
    ]
    ids = np.concatenate(encoded["item_id"].tolist())
    assert counts_file(out_path) == np.bincount(ids, minlength=6).tolist()
