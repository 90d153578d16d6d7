"""Tests that the experiment detects a wrong correction, and reports its results."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
import compare_distributions


def test_a_wrong_correction_is_distinguished_from_right_ones():
    (row,) = compare_distributions.learning([200], seeds=1, steps=2000)
    found = {name: values[0] for name, values in row["kl"].items()}
    assert found["reference"] > 1e-2
    for name in ("TensorFlow's op", "popsampler, log-uniform", "popsampler, empirical"):
        assert abs(found[name]) < found["reference"] / 50


@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.05, False)])
def test_expected_counts_of_the_head_off_by_a_twentieth_are_detected(factor, right):
    counts = compare_distributions.true_counts(0)

    def off(seed):
        sample = compare_distributions.popsampler("log_uniform", 200, seed)
        shift = tf.constant(
            np.where(np.arange(compare_distributions.ITEMS) < 20, np.log(factor), 0.0)
        )

        def shifted():
            ids, all_log_q, log_q = sample()
            shifts = tf.cast(shift, tf.float32)
            return ids, all_log_q + shifts, log_q + tf.gather(shifts, ids)

        return shifted

    kl = compare_distributions.divergence((off(1), off(2)), counts / counts.sum(), steps=2000)
    assert (abs(kl) < 1e-4) == right


def test_it_writes_a_table_numbers_and_a_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    arguments = ["--num-sampled", "20", "--seeds", "2", "--steps", "20"]
    compare_distributions.main(["--output", str(tmp_path), *arguments])
    rows = json.loads((tmp_path / "compare_distributions.json").read_text())["learning"]
    assert [row["num_sampled"] for row in rows] == [20]
    assert all(len(values) == 2 for row in rows for values in row["kl"].values())
    table = (tmp_path / "compare_distributions.md").read_text()
    mean = np.mean(rows[0]["kl"]["reference"])
    assert f"| 20 | {mean:.2g} (" in table
    assert table.strip() in capsys.readouterr().out
    assert (tmp_path / "compare_distributions.png").read_bytes().startswith(b"\x89PNG")


RESULT = {
    "learning": [
        {"num_sampled": 20, "kl": {"reference": [0.1, 0.3], "popsampler, a": [0.01, 0.01]}},
        {"num_sampled": 40, "kl": {"reference": [0.5, 0.5], "popsampler, a": [0.002, 0.004]}},
    ],
    "demo": {
        "log_uniform": {"recall@20": [0.1, 0.2], "ndcg@20": [0.7, 0.7]},
        "empirical": {"recall@20": [0.4, 0.6], "ndcg@20": [0.8, 0.8]},
    },
}


def points(artist):
    """Returns the points of a line or of error bars."""
    line = artist if hasattr(artist, "get_xdata") else artist[0]
    return list(line.get_xdata()), pytest.approx(list(line.get_ydata()))


def bars(container):
    """Returns the ends of each error bar."""
    return [segment[:, 1].tolist() for segment in container[2][0].get_segments()]


def test_the_picture_shows_the_numbers_that_its_legend_names():
    """It shows means and standard errors by number of samples, and every seed by distribution."""
    pytest.importorskip("matplotlib")
    learning, demo = compare_distributions.drawn(RESULT).axes
    handles, labels = learning.get_legend_handles_labels()
    assert [text.get_text() for text in learning.get_legend().get_texts()] == labels
    curves = dict(zip(labels, handles))
    assert {name: points(curve) for name, curve in curves.items()} == {
        "reference": ([20, 40], [0.2, 0.5]),
        "popsampler, a": ([20, 40], [0.01, 0.003]),
    }
    assert np.allclose(bars(curves["reference"]), [[0.1, 0.3], [0.5, 0.5]])
    assert np.allclose(bars(curves["popsampler, a"]), [[0.01, 0.01], [0.002, 0.004]])
    assert (learning.get_xscale(), learning.get_yscale()) == ("log", "log")

    means = demo.containers
    assert [points(mean) for mean in means] == [([0.12], [0.15]), ([1.12], [0.5])]
    assert np.allclose([bars(mean)[0] for mean in means], [[0.1, 0.2], [0.4, 0.6]])
    seeds = [line for line in demo.get_lines() if line.get_color() == "0.7"]
    assert [points(line) for line in seeds] == [([0, 0], [0.1, 0.2]), ([1, 1], [0.4, 0.6])]
    assert [label.get_text() for label in demo.get_xticklabels()] == ["log-uniform", "empirical"]
    (alone,) = compare_distributions.drawn({**RESULT, "demo": {}}).axes
    assert alone.get_title() == learning.get_title()


def test_mean_and_standard_error():
    assert compare_distributions.mean_error([1.0, 3.0]) == pytest.approx((2.0, 1.0))
    assert compare_distributions.mean_error([5.0]) == (5.0, 0.0)


@pytest.mark.merlin_models
def test_every_distribution_trains_with_the_same_budget_and_seeds(tmp_path, monkeypatch):
    import train

    asked = []

    def trained(args):
        asked.append(args)
        return {"retrieval": {"recall@20": 0.1 * args.seed, "ndcg@20": 0.05, "seconds": 1.0}}

    monkeypatch.setattr(train, "train", trained)
    found = compare_distributions.demo(tmp_path, tmp_path / "out", seeds=2, epochs=3)
    assert list(found) == ["log_uniform", "empirical", "uniform"]
    assert found["empirical"]["recall@20"] == [0.0, 0.1]
    assert [(args.distribution, args.seed) for args in asked] == [
        (distribution, seed) for distribution in found for seed in (0, 1)
    ]
    budgets = {(args.epochs, args.num_sampled, args.batch_size, args.dim) for args in asked}
    assert len(budgets) == 1
