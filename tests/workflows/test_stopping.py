"""Tests the rule of early stopping on given measurements."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

import stopping


def judged(recalls):
    rule = stopping.Stopping()
    return rule, [rule.judge(i, {"recall@20": recall}) for i, recall in enumerate(recalls)]


def test_three_failures_end_training():
    rule, verdicts = judged([0.1, 0.2, 0.5, 0.4, 0.49, 0.5])
    assert [verdict.keep for verdict in verdicts] == [True] * 3 + [False] * 3
    assert [verdict.stop for verdict in verdicts] == [False] * 5 + [True]
    assert rule.best == {"epoch": 2, "averaged": False, "recall@20": 0.5}
    assert [row["epoch"] for row in rule.curve] == list(range(6))


def test_averages_count_once_they_are_better():
    rule = stopping.Stopping()
    pairs = [(0.3, None), (0.35, 0.35), (0.4, 0.45), (None, 0.44), (None, 0.46)]
    verdicts, averaged = [], []
    for epoch, pair in enumerate(pairs):
        told = [each and {"recall@20": each, "ndcg@20": 1 - each} for each in pair]
        verdicts.append(rule.judge(epoch, *told))
        averaged.append(rule.averaged)
    assert averaged == [False, False, True, True, True]
    assert [verdict.keep for verdict in verdicts] == [True, True, True, False, True]
    assert [row["recall@20"] for row in rule.curve] == [0.3, 0.35, 0.45, 0.44, 0.46]
    assert rule.curve[2] == {"epoch": 2, "averaged": True, "recall@20": 0.45, "ndcg@20": 0.55}
    assert rule.report()["best_epoch"] == 4


def test_a_better_one_forgives():
    _, verdicts = judged([0.1, 0.05, 0.05, 0.1001, 0.1, 0.1, 0.3])
    assert not any(verdict.stop for verdict in verdicts)


def test_a_recall_of_zero_is_not_a_gain():
    _, verdicts = judged([0.0] * 4)
    assert [verdict.keep for verdict in verdicts] == [True] + [False] * 3
    assert verdicts[-1].stop and not verdicts[-2].stop


@pytest.mark.parametrize("updates", [1, 2, 30, 1000])
def test_the_averages_weigh_by_a_power_of_the_place(updates):
    """Update t has a weight proportional to (t + 1) (t + 2) ... (t + 8)."""
    shares = []
    for earlier in range(updates):
        newest = stopping.newest_share(earlier)
        shares = [share * (1 - newest) for share in shares] + [newest]
    expected = []
    for place in range(updates):
        expected.append(1.0)
        for step in range(1, 9):
            expected[-1] *= place + step
    total = sum(expected)
    assert shares == pytest.approx([each / total for each in expected], rel=1e-9)
