"""The rule by which training stops, on measurements that are told beforehand."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

import stopping


def judged(recalls):
    rule = stopping.Stopping()
    return rule, [rule.judge(i, {"recall@20": recall}) for i, recall in enumerate(recalls)]


def test_two_failures_lower_the_rate_and_two_more_end():
    rule, verdicts = judged([0.1, 0.2, 0.5, 0.4, 0.49, 0.5, 0.2])
    assert [verdict.keep for verdict in verdicts] == [True] * 3 + [False] * 4
    assert [verdict.slower for verdict in verdicts] == [False] * 4 + [True, False, False]
    assert [verdict.stop for verdict in verdicts] == [False] * 6 + [True]
    assert rule.best == {"epoch": 2, "recall@20": 0.5}
    assert [row["epoch"] for row in rule.curve] == list(range(7))


def test_a_better_one_forgives():
    _, verdicts = judged([0.1, 0.05, 0.05, 0.05, 0.1001, 0.05, 0.05, 0.1, 0.3])
    assert not any(verdict.stop for verdict in verdicts)
    assert [place for place, verdict in enumerate(verdicts) if verdict.slower] == [2, 6]


def test_nothing_recalled_is_no_gain():
    _, verdicts = judged([0.0] * 5)
    assert [verdict.keep for verdict in verdicts] == [True] + [False] * 4
    assert verdicts[-1].stop
