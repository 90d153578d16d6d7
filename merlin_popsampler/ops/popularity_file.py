"""The table of a `popularity.*` file: one row for each id from 0 on, and its count."""

from typing import TYPE_CHECKING

import numpy as np

from merlin_popsampler.core.pieces import Ints
from merlin_popsampler.errors import PopSamplerError

from . import storage
from .fit_folder import POPULARITY, Fitted

if TYPE_CHECKING:
    import pandas as pd


def counts_table(counts: Ints) -> "pd.DataFrame":
    """The table of a `popularity.*` file: the counts of the ids from 0 on."""
    import pandas as pd  # where a table is made: a report on a schema alone has no use for it

    return pd.DataFrame({"id": np.arange(len(counts)), "count": counts.astype(np.int64)})


def counts_of(frame: "pd.DataFrame", path: str) -> Ints:
    """Counts of the ids from 0 on, int64 `[max_id + 1]`, of a `popularity.*` file's table.

    Raises:
      PopSamplerError: another table; `path` is for the message.
    """
    if list(frame.columns) != ["id", "count"] or not np.array_equal(
        frame["id"], np.arange(len(frame))
    ):
        raise PopSamplerError(
            f"Expected a counts file (columns id and count, ids 0, 1, 2, ...). Received: {path} "
            f"with columns {list(frame.columns)}. Pass a popularity.<column>.parquet."
        )
    counts: Ints = frame["count"].to_numpy(np.int64)
    return counts


def counts_of_fit(fitted: Fitted) -> Ints:
    """Counts of the ids from 0 on that a fit wrote, see `counts_of`."""
    return counts_of(fitted.table(POPULARITY), fitted.path(POPULARITY))


def counts_digest(counts: Ints) -> str:
    """Digest of the counts themselves, the same whatever library wrote the file."""
    return storage.digest_of(np.ascontiguousarray(counts, dtype="<i8").tobytes())
