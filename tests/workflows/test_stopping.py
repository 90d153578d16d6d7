"""The rule by which training stops, on measurements that are told beforehand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

import stopping


def judged(recalls):
    rule = stopping.Stopping()
    return rule, [rule.judge(i, {"recall@20": recall}) for i, recall in enumerate(recalls)]


def test_the_best_is_kept_and_three_failures_end():
    rule, verdicts = judged([0.1, 0.2, 0.5, 0.4, 0.49, 0.2])
    assert [verdict.keep for verdict in verdicts] == [True, True, True, False, False, False]
    assert [verdict.slower for verdict in verdicts] == [False, False, False, True, True, True]
    assert [verdict.stop for verdict in verdicts] == [False] * 5 + [True]
    assert rule.best == {"epoch": 2, "recall@20": 0.5}
    assert [row["epoch"] for row in rule.curve] == list(range(6))


def test_a_better_one_forgives():
    _, verdicts = judged([0.1, 0.05, 0.05, 0.2, 0.1, 0.1, 0.3])
    assert not any(verdict.stop for verdict in verdicts)


@pytest.mark.parametrize("second", [0.5, 0.504])
def test_what_is_hardly_better_is_kept_and_counts_as_a_failure(second):
    rule, (_, verdict) = judged([0.5, second])
    assert verdict.keep and verdict.slower
    assert rule.best["epoch"] == 1
