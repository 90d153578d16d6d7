"""Reads and writes `popularity.*` files, which have one row for each id from 0 on."""

from typing import TYPE_CHECKING, Iterable

import numpy as np

from merlin_popsampler.core.digests import digest_of_all
from merlin_popsampler.core.run_lengths import RunLengths
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

from . import artifact
from .artifact import POPULARITY, Files, FitArtifact, FitFolder

if TYPE_CHECKING:
    import pandas as pd


def write(folder: FitFolder, name: str, counts: RunLengths, parts: int) -> Files:
    """Writes a `popularity.*` file of the ids from 0 on, part by part.

    Args:
      folder: the folder of the fit.
      name: name of the vocabulary.
      counts: the occurrences of each id, reserved ids included.
      parts: number of parts.

    Returns:
      The digest of each part by its path in the folder.
    """
    import pyarrow as pa  # here, since a report on a schema does not need it

    files: Files = {}
    bounds = [len(counts) * part // parts for part in range(parts + 1)]
    for path, start, stop in zip(artifact.paths(POPULARITY, name, parts), bounds, bounds[1:]):
        sizes = counts.between(start, stop).counts()
        table = pa.table({"id": np.arange(start, stop), "count": sizes})
        files.update(artifact.write_part(folder, path, table, ["count"]))
    return files


def counts_of(frame: "pd.DataFrame", path: str) -> Ints:
    """Returns the counts of the ids from 0 on, int64 `[max_id + 1]`, from a file's table.

    Args:
      frame: the table of the file.
      path: path of the file, for the message.

    Raises:
      PopSamplerError: the columns are not `id` and `count`, or the ids are not 0, 1, 2, ...
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


def read_counts(fitted: FitArtifact) -> Ints:
    """Reads the counts of the ids from 0 on from the `popularity.*` file of a fit."""
    return counts_of(fitted.table(POPULARITY), fitted.path(POPULARITY))


def counts_digest(blocks: Iterable[Ints]) -> str:
    """Computes the digest of counts that are given in blocks of any lengths."""
    return digest_of_all(np.ascontiguousarray(block, dtype="<i8").tobytes() for block in blocks)
