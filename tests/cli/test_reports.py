"""Checks the reports of `inspect` and `compare`, for each type of workflow, by plain Python."""

import json
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from merlin_popsampler.cli.commands import main
from tests.support.oracles import enumerate_inclusion, log_uniform_probs
from tests.support.workflow_helpers import dataset, fitted

pytestmark = pytest.mark.filterwarnings("ignore")

OLD = {"a1": 90, "a2": 40, "b1": 21, "b2": 10, "c1": 9, "c2": 2}
NEW = {"b2": 60, "a1": 33, "b1": 17, "a2": 8, "d1": 14, "d2": 2}
"""Occurrences by key, all different, so that no ties depend on the encoder."""
NULLS = 4
NUM_SAMPLED = 2


def shuffled(counts, nulls):
    keys = [key for key, count in counts.items() for _ in range(count)] + [None] * nulls
    return list(np.random.default_rng(17).permutation(np.array(keys, object)))


def as_column(keys):
    return pd.DataFrame({"item_id": keys})


def as_two_columns(keys):
    return pd.DataFrame({"item_id": keys[::2], "next": keys[1::2]})


def as_pairs(keys):
    pairs = [(None, None) if key is None else (key[0], key[1]) for key in keys]
    return pd.DataFrame(pairs, columns=["letter", "digit"])


def as_lists(keys):
    return pd.DataFrame({"item_id": [[], *(keys[i : i + 3] for i in range(0, len(keys), 3))]})


def as_numbers(keys):
    """Converts keys to ids of another encoder, from 7 on, in the order of the keys."""
    names = sorted(set(keys))
    return pd.DataFrame({"item_id": [7 + names.index(key) for key in keys]})


def encoder(folder, **options):
    return FrequencyCategorify(out_path=str(folder / "fit"), **options)


def order(folder, **options):
    return FrequencyOrder(out_path=str(folder / "fit"), **options)


# By type: the table of keys, the workflow, and the parts of its report that differ from the first.
KINDS = {
    "a column": (as_column, lambda at: ["item_id"] >> encoder(at), {}),
    "a joint group": (
        as_two_columns,
        lambda at: [["item_id", "next"]] >> encoder(at),
        {"column": "item_id_next"},
    ),
    "a combination": (
        as_pairs,
        lambda at: [["letter", "digit"]] >> encoder(at, encode_type="combo"),
        {"column": "letter_digit", "shown": list},
    ),
    "a list column": (as_lists, lambda at: ["item_id"] >> encoder(at), {}),
    "a cut vocabulary": (as_column, lambda at: ["item_id"] >> encoder(at, split_out=3), {}),
    "three buckets": (
        as_column,
        lambda at: ["item_id"] >> encoder(at, num_buckets=3, freq_threshold=8),
        {"min_id": 5, "fewest": 8},
    ),
    "counted after Categorify": (
        as_column,
        lambda at: ["item_id"] >> ops.Categorify(out_path=str(at / "fit")) >> order(at),
        {"evidence": "counted"},
    ),
    "remapped ids": (
        as_numbers,
        lambda at: ["item_id"] >> order(at, on_violation="remap"),
        {"evidence": "counted", "min_id": 7, "nulls": 0, "keys": False},
    ),
}
COMMON = {
    "column": "item_id",
    "min_id": 3,
    "evidence": "vocabulary",
    "nulls": NULLS,
    "fewest": 1,
    "keys": True,
    "shown": "".join,
}


@pytest.fixture(params=list(KINDS))
def kind(request, tmp_path):
    """Returns the expected report of a type, and the folders of two saved workflows."""
    table, build, differences = KINDS[request.param]
    facts = {**COMMON, **differences}
    for name, counts in (("old", OLD), ("new", NEW)):
        folder = tmp_path / name
        folder.mkdir()
        # one partition: stock Categorify finds nulls of later partitions by index labels
        data = dataset(table(shuffled(counts, facts["nulls"])), 1)
        fitted(build(folder) >> ops.TagAsItemID(), data).save(str(folder / "workflow"))
        facts[name] = str(folder / "workflow")
        facts[f"{name}_counts"] = {k: n for k, n in counts.items() if n >= facts["fewest"]}
    return facts


def reported(capsys, *arguments):
    code = main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out), code


def falling(counts):
    return sorted(counts.values(), reverse=True)


def test_inspect(kind, capsys):
    found, code = reported(capsys, "inspect", kind["old"])
    counts = kind["old_counts"]
    heights, size = falling(counts), len(counts)
    total = sum(heights)
    assert code == 0
    assert found["column"] == kind["column"]
    assert (found["min_id"], found["max_id"]) == (kind["min_id"], kind["min_id"] + size - 1)
    assert (found["items"], found["num_steps"], found["interactions"]) == (size, size, total)
    assert (found["frequency_ordered"], found["evidence"]) == (True, kind["evidence"])
    assert found["top_share"] == pytest.approx(heights[0] / total)
    shares = [height / total for height in heights]
    distribution = log_uniform_probs(size).tolist()
    tv = sum(abs(p - q) for p, q in zip(shares, distribution)) / 2
    kl = sum(p * math.log(p / q) for p, q in zip(shares, distribution))
    assert found["fit"]["log_uniform"] == pytest.approx({"tv": tv, "kl": kl}, abs=1e-6)
    assert found["fit"]["steps"] == {"tv": 0.0, "kl": 0.0}
    everything = sum(OLD.values()) + kind["nulls"]
    unknown = sum(OLD.values()) - total
    reserved = dict(found["reserved_share"])
    assert reserved.pop("null", 0) == pytest.approx(kind["nulls"] / everything)
    assert sum(reserved.values()) == pytest.approx(unknown / everything)
    assert set(reserved) <= {f"unknown {i}" for i in range(2, kind["min_id"])}


def expected_drift(kind):
    old, new = kind["old_counts"], kind["new_counts"]
    totals = sum(old.values()), sum(new.values())
    every = {*old, *new}
    both = [key for key in old if key in new]
    expected_counts = []
    for counts in (old, new):
        heights = falling(counts)
        chances = enumerate_inclusion(np.array(heights) / sum(heights), NUM_SAMPLED)
        expected_counts.append({key: chances[heights.index(counts[key])] for key in both})
    off = sorted(
        both, key=lambda key: -abs(math.log(expected_counts[0][key] / expected_counts[1][key]))
    )
    off = [
        key
        for key in off
        if abs(math.log(expected_counts[0][key] / expected_counts[1][key])) > math.log(2)
    ]
    squares = sum(
        (sorted(both, key=old.get).index(key) - sorted(both, key=new.get).index(key)) ** 2
        for key in both
    )
    n = len(both)
    places = [sorted(counts, key=counts.get, reverse=True) for counts in (old, new)]
    moved = {key: places[0].index(key) != places[1].index(key) for key in both}
    # Of eight items or fewer one is the head of 1 %, and it ends the next 9 % as well.
    head = [moved[key] for key in both if places[0].index(key) == 0]
    tail = [moved[key] for key in both if places[0].index(key) > 0]
    return {
        "moved_items": np.mean([*head, *tail]),
        "moved_share": sum(new[key] * moved[key] for key in both) / sum(map(new.get, both)),
        "moved_top_1_percent": np.mean(head),
        "moved_next_9_percent": None,
        "moved_other_90_percent": np.mean(tail),
        "tv": sum(abs(old.get(k, 0) / totals[0] - new.get(k, 0) / totals[1]) for k in every) / 2,
        "rank_correlation": 1 - 6 * squares / (n * (n * n - 1)),
        "new_items": len(new) - n,
        "vanished_items": len(old) - n,
        "items_of_both": n,
        "unknown_share": sum(new[key] for key in new if key not in old) / totals[1],
        "num_sampled": NUM_SAMPLED,
        "off_by_2": len(off),
    }, [(kind["shown"](key), expected_counts[0][key], expected_counts[1][key]) for key in off]


def test_compare(kind, capsys):
    arguments = "compare", kind["old"], kind["new"], "--num-sampled", str(NUM_SAMPLED)
    found, code = reported(capsys, *arguments, "--max-tv", "0.01")
    assert code == 1
    assert found.pop("drifted") is True
    if not kind["keys"]:
        shares = [np.array(falling(c)) / sum(c.values()) for c in (OLD, NEW)]
        assert found.pop("matched_by") == "rank"
        assert found == pytest.approx({"tv": np.abs(shares[0] - shares[1]).sum() / 2})
        return
    assert found.pop("matched_by") == "key"
    worst = found.pop("most_off")
    expected, off = expected_drift(kind)
    assert found == pytest.approx(expected)
    assert [item["key"] for item in worst] == [key for key, _, _ in off]
    assert [(item["old"], item["new"]) for item in worst] == [
        pytest.approx(expected_counts, abs=1e-6) for _, *expected_counts in off
    ]


def test_a_workflow_has_not_moved_from_itself(kind, capsys):
    found, code = reported(capsys, "compare", kind["new"], kind["new"])
    assert (found["tv"], found["drifted"], code) == (0, False, 0)


def test_the_data_are_what_they_should_be():
    """The expected numbers are meaningful only if they differ from each other."""
    assert len(set(OLD.values())) == len(OLD)
    assert len(set(NEW.values())) == len(NEW)
    keys = shuffled(OLD, NULLS)
    assert Counter(keys) == {**OLD, None: NULLS}
    assert len(keys) % 2 == 0
    drift, off = expected_drift({**COMMON, "old_counts": OLD, "new_counts": NEW})
    assert drift["off_by_2"] == len(off) == 2 < drift["items_of_both"]
    assert 0 < drift["unknown_share"] < drift["tv"] < 1
    assert -1 < drift["rank_correlation"] < 1
