"""Compares runs of counts with the counts themselves."""

import numpy as np
import pytest

from merlin_popsampler.core import run_lengths
from merlin_popsampler.core.run_lengths import RunLengths


@pytest.mark.parametrize("size", [0, 1, 200])
def test_runs_stand_for_their_counts(size, rng, monkeypatch):
    monkeypatch.setattr(run_lengths, "_BLOCK", 7)
    counts = np.sort(rng.integers(0, 9, size))[::-1]
    runs = RunLengths.of(counts)
    assert len(runs) == size and len(runs.sizes) == len(set(counts.tolist()))
    for start, stop in [(0, size), (0, 0), (3, 90), (17, 18), (150, 10**6)]:
        assert runs.between(start, stop).counts().tolist() == counts[start:stop].tolist()
    blocks = list(runs.blocks())
    assert [block for part in blocks for block in part] == counts.tolist()
    assert all(len(block) <= 7 for block in blocks)
    joined = RunLengths.joined([runs.between(0, 50), runs.between(50, size)])
    assert joined.counts().tolist() == counts.tolist()
