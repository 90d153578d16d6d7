"""The rule by which training stops, on measurements that are told beforehand."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))

import stopping


def judged(recalls):
    rule = stopping.Stopping()
    return rule, [rule.judge(i, {"recall@20": recall}) for i, recall in enumerate(recalls)]


def test_failures_lower_the_rate_and_as_many_more_end():
    failures = [0.4, 0.49, 0.5, 0.2, 0.3, 0.3, 0.3, 0.3]
    rule, verdicts = judged([0.1, 0.2, 0.5, *failures])
    assert [verdict.keep for verdict in verdicts] == [True] * 3 + [False] * 8
    assert [place for place, verdict in enumerate(verdicts) if verdict.slower] == [6]
    assert [verdict.stop for verdict in verdicts] == [False] * 10 + [True]
    assert rule.best == {"epoch": 2, "recall@20": 0.5}
    assert [row["epoch"] for row in rule.curve] == list(range(11))


def test_a_better_one_forgives():
    _, verdicts = judged([0.1, *[0.05] * 7, 0.1001, *[0.1] * 7, 0.3])
    assert not any(verdict.stop for verdict in verdicts)
    assert [place for place, verdict in enumerate(verdicts) if verdict.slower] == [4, 12]


def test_nothing_recalled_is_no_gain():
    _, verdicts = judged([0.0] * 9)
    assert [verdict.keep for verdict in verdicts] == [True] + [False] * 8
    assert verdicts[-1].stop and not verdicts[-2].stop
