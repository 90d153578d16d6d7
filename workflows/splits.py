"""Splits the sessions of preprocess.py into training and held-out ones, without a framework."""

from pathlib import Path
from typing import Any, List, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from evaluate import Array, leave_last_out

from merlin_popsampler import PopSamplerError

ITEM = "item_id"
ENDED = "ended"
SUMMARY = "preprocess.json"
"""The file that preprocess.py writes last."""
HELD_OUT = 0.1
"""Share of the training sessions, the last to end, that are held out for early stopping."""
MOST_HELD_OUT = 5000
"""Most held-out sessions: enough to measure the recall, few enough to score quickly."""


class HeldOut(NamedTuple):
    """Holds the sessions that are held out for early stopping.

    Attributes:
      until: `ended` of the last session that trains.
      queries: ids of each held-out session but the last.
      positives: int64 `[sessions]`, those last ids.
    """

    until: int
    queries: List[Array]
    positives: Array

    def sessions_of(self, positives: int) -> int:
        """Returns about how many sessions hold so many positives."""
        return max(1, positives // round(np.mean([len(ids) + 1 for ids in self.queries])))


def read_held_out(folder: Path) -> HeldOut:
    """Reads the held-out sessions of a folder: the training sessions that ended last."""
    until = last_to_train(folder)
    return HeldOut(until, *leave_last_out(read_sessions(folder, after=until)))


def read_sessions(folder: Path, after: int = -1, until: int = 2**62) -> List[Array]:
    """Reads the ids of the sessions in a folder whose `ended` is above `after`, up to `until`."""
    filters = [(ENDED, ">", after), (ENDED, "<=", until)]
    ids: List[Array] = _read(folder, filters=filters)[ITEM].tolist()
    return ids


def last_to_train(folder: Path) -> int:
    """Returns `ended` of the last session that trains; sessions that ended later are held out."""
    ended = np.sort(_read(folder, columns=[ENDED])[ENDED])
    held_out = min(MOST_HELD_OUT, max(1, int(HELD_OUT * len(ended))))
    if held_out == len(ended):
        raise PopSamplerError(
            f"Expected two or more sessions in {folder}, since one is held out. "
            f"Received: {len(ended)}. Give workflows/preprocess.py more rows."
        )
    return int(ended[-held_out - 1])


def check_whole(data: Path) -> None:
    """Checks that a run of preprocess.py is complete.

    Raises:
      PopSamplerError: its last file is missing.
    """
    if not (data / SUMMARY).is_file():
        raise PopSamplerError(
            f"Expected the --output of a run of preprocess.py that ended. Received: {data}, "
            f"without {SUMMARY}. Run workflows/preprocess.py again, to its end."
        )


def _read(folder: Path, **options: Any) -> pd.DataFrame:
    parts = sorted(folder.glob("*.parquet"))
    found = pq.read_schema(parts[0]).names if parts else "none"
    if not {ITEM, ENDED} <= set(found):
        raise PopSamplerError(
            f"Expected parquet files with {ITEM!r} and {ENDED!r} in {folder}. Received: {found}. "
            "Run workflows/preprocess.py first, with this folder's parent as its --output."
        )
    return pd.concat([pd.read_parquet(part, **options) for part in parts])
