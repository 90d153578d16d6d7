"""Tests the table of counts by id."""

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError, PopularityMetadata
from merlin_popsampler.core.run_lengths import RunLengths
from merlin_popsampler.store import counts_file, filesystem
from merlin_popsampler.store.artifact import FitArtifact, FitFolder


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_counts_round_trip(parts, out_path):
    """There may be more parts than ids."""
    counts = np.array([0, 2, 0, 9, 5])
    folder = FitFolder(out_path, "fit")
    files = counts_file.write(folder, "a", RunLengths.of(counts), parts)
    assert len(files) == parts
    table = filesystem.read_table(f"{out_path}/fit/popularity.a.parquet")
    assert table.to_dict("list") == {"id": [0, 1, 2, 3, 4], "count": [0, 2, 0, 9, 5]}
    assert counts_file.counts_of(table, "x").tolist() == counts.tolist()
    metadata = PopularityMetadata.from_counts(counts, 0, "counted", 9)
    fitted = FitArtifact(folder, {"popularity": files}, metadata)
    assert counts_file.read_counts(fitted).tolist() == counts.tolist()


def test_the_digest_is_that_of_the_values():
    counts = np.array([0, 2, 0, 9, 5])
    digest = counts_file.counts_digest([counts])
    assert digest == counts_file.counts_digest([counts[:2], counts[2:2], counts[2:]])
    assert digest == counts_file.counts_digest([counts.astype(np.int32)])
    assert digest == counts_file.counts_digest([counts.astype(">i8")])
    assert digest != counts_file.counts_digest([counts[::-1]])


@pytest.mark.parametrize(
    "frame", [{"id": [1, 2], "count": [1, 1]}, {"id": [0, 1], "size": [1, 1]}, {"item": ["a"]}]
)
def test_another_table_is_refused(frame):
    with pytest.raises(PopSamplerError, match=r"counts file.*x\.parquet"):
        counts_file.counts_of(pd.DataFrame(frame), "x.parquet")
