"""Writes the schema of a data set with stable ids, without the operator."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.ranks_file import encode_ids_by_rank
from merlin_popsampler.core.digests import digest_of
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.popularity_curve import PopularityCurve

MIN_ID = 3
COUNTS = [5, 0, 90, 5, 0, 7, 41, 41, 1, 0, 300, 5, 0]
"""Occurrences of the ids from 3 on; the first is not the most frequent, and the last is gone."""
BY_RANK = [13, 5, 9, 10, 8, 3, 6, 14, 11]
"""Their ids by decreasing count, ties by id, without those that are gone: by hand."""
GONE = [4, 7, 12, 15]
P = np.array([*[0] * MIN_ID, *COUNTS]) / sum(COUNTS)
"""Expected probability of each id."""


def check_drawn(drawn: Any, unique: bool) -> None:
    """Asserts that ids of 1,000 batches of 9 are those of the items, by their probabilities."""
    counts = np.bincount(drawn, minlength=16)
    assert counts[[0, 1, 2, *GONE]].sum() == 0
    if unique:  # as many draws as items, so each batch holds each item
        assert counts[BY_RANK].tolist() == [1000] * 9
    else:  # 7 deviations: false alarms below 1e-10 for nine ids; by rank alone it would be far off
        deviation = np.sqrt(9000 * P * (1 - P))
        assert (np.abs(counts - 9000 * P) <= 7 * deviation).all()
        ordered = np.array([*[0] * MIN_ID, *sorted(COUNTS)[::-1]]) / sum(COUNTS)
        assert (np.abs(counts - 9000 * ordered) > 7 * deviation).any()


def metadata(path: Any) -> PopularityMetadata:
    """Writes the file of ids by rank, and returns the metadata that name it."""
    content = encode_ids_by_rank(np.array(BY_RANK))
    Path(path).write_bytes(content)
    curve = PopularityCurve.from_counts([COUNTS[found - MIN_ID] for found in BY_RANK])
    domain = IdDomain(MIN_ID, MIN_ID + len(COUNTS) - 1)
    found = PopularityMetadata.from_ranks(curve, domain, 256, digest_of(content))
    return replace(found, digest="04cb1f", ranks_path=str(path))


def data_set(folder: Path) -> Path:
    """Returns the folder of a data set that has only a schema."""
    fields = metadata(folder / "ranks.item_id.int32").to_dict()
    feature = {
        "name": "item_id",
        "type": "INT",
        "intDomain": {"min": 0, "max": MIN_ID + len(COUNTS) - 1, "name": "item_id"},
        "annotation": {"tag": ["item_id"], "extraMetadata": [{"popularity": fields}]},
    }
    (folder / ".merlin").mkdir()
    (folder / ".merlin" / "schema.json").write_text(json.dumps({"feature": [feature]}))
    return folder
