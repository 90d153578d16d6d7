"""A vocabulary in Categorify's files: the only place that orders, fills and reads `unique.*` and
`meta.*`.
"""

from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import pandas as pd
import pyarrow as pa
from merlin.core import dispatch
from pandas.api.types import infer_dtype
from pandas.util import hash_pandas_object

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.core.domain import FIRST_OOV_ID, NULL_ID, PADDING_ID
from merlin_popsampler.core.pieces import Ints
from merlin_popsampler.core.steps import MAX_STEPS
from merlin_popsampler.errors import FrequencyOrderError

from . import fit_folder, popularity_file, storage
from .counting import SIZE, Counts
from .fit_folder import FitFolder, Fitted
from .key_index import memory_of
from .key_kinds import KeyKind
from .keys import KeyGroup


@dataclass(frozen=True)
class Layout:
    """What a vocabulary keeps of the keys that were counted.

    Args:
      num_buckets: out-of-vocabulary ids, `>= 1`.
      max_size: most ids in all, reserved ones included; 0 for no limit.
      freq_threshold: fewest occurrences of a key; 0 for no limit.
      split_out: files that the vocabulary is cut into, `>= 1`.
      steps: most steps of the popularity curve.
    """

    num_buckets: int = 1
    max_size: int = 0
    freq_threshold: int = 0
    split_out: int = 1
    steps: int = MAX_STEPS

    @property
    def min_id(self) -> int:
        """First id that stands for a key."""
        return FIRST_OOV_ID + self.num_buckets


@dataclass(frozen=True)
class Vocabulary(Fitted):
    """What an operator knows of the vocabulary that it fitted: all that is needed to encode.

    Args:
      kinds: of its key columns; None where no key was seen.
      is_list: by column of the data, whether its rows are lists; None where no row showed it.
      index_bytes: memory that an index of its keys takes.
    """

    kinds: Tuple[Optional[KeyKind], ...]
    is_list: Dict[str, Optional[bool]]
    index_bytes: int


def by_frequency(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rows sorted by (occurrences descending, keys ascending): a total order, as keys are unique.

    Words are compared by code point and nulls come first, on any processor.
    """
    # One column at a time: of several, pandas makes categories, and loses what follows a NUL.
    for key in reversed(keys):
        if not frame[key].is_monotonic_increasing:
            frame = frame.sort_values(key, kind="stable", na_position="first")
    return frame.iloc[np.argsort(-frame[SIZE].to_numpy(), kind="stable")]


def stage(counts: Counts, group: KeyGroup, layout: Layout, folder: FitFolder) -> Vocabulary:
    """Orders and truncates the counted keys, and writes the three files of a vocabulary.

    Args:
      counts: of the group's keys.
      group: whose vocabulary it is.
      layout: what to keep.
      folder: the fit's.
    """
    ordered = by_frequency(counts.frame, group.keys)
    sizes = ordered[SIZE].to_numpy()
    kept = len(sizes)
    if layout.freq_threshold:
        kept = int(np.searchsorted(-sizes, -layout.freq_threshold, side="right"))
    if layout.max_size:
        kept = min(kept, layout.max_size - layout.min_id)
    oov = _bucket_sizes(ordered.iloc[kept:], group, layout.num_buckets)
    reserved = np.concatenate(([0, counts.nulls], oov))

    metadata = PopularityMetadata.from_counts(
        sizes[:kept], layout.min_id, "vocabulary", layout.steps
    )
    dense = np.concatenate((reserved, sizes[:kept]))
    frames = {
        fit_folder.UNIQUE: _parts(ordered.iloc[:kept], group, layout),
        fit_folder.META: [_meta(reserved, sizes[:kept])],
        fit_folder.POPULARITY: [popularity_file.counts_table(dense)],
    }
    return Vocabulary(
        folder,
        {kind: fit_folder.write(folder, kind, group.name, frames[kind]) for kind in frames},
        replace(metadata, digest=popularity_file.counts_digest(dense)),
        counts.kinds,
        {column: rows.is_list for column, rows in counts.rows.items()},
        memory_of(pa.Table.from_pandas(ordered.iloc[:kept][group.keys])),
    )


def hash_buckets(keys: Sequence[Any], num_buckets: int) -> Any:
    """Out-of-vocabulary bucket of each row, `[0, num_buckets)`: a function of its key alone.

    Args:
      keys: series of one length, one for each key column.
      num_buckets: `>= 1`.
    """
    hashed: Any = 0
    for column in keys:
        hashed = hashed ^ _hashed(column)
    return hashed % num_buckets


def _hashed(keys: Any) -> Any:
    if not dispatch.is_cpu_object(keys):
        return keys.hash_values().values
    if infer_dtype(keys) == "decimal":
        keys = keys.astype("float64")  # 1.5 and 1.50 are one key, and hash as words do
    # pandas hashes the index label along with the value: one label for all takes it out.
    keys = keys.set_axis(np.zeros(len(keys), np.int64))
    try:
        # Without categories, which pandas makes of what stands before a NUL.
        return hash_pandas_object(keys, categorize=False).to_numpy()
    except UnicodeEncodeError:  # half of a surrogate pair, which may be asked for, is no item
        return hash_pandas_object(keys.str.encode("utf-8", "surrogatepass"), categorize=False)


def _bucket_sizes(removed: pd.DataFrame, group: KeyGroup, num_buckets: int) -> Ints:
    """Occurrences that each out-of-vocabulary id stands for, int64 `[num_buckets]`."""
    sizes = removed[SIZE].to_numpy()
    if num_buckets == 1 or not len(removed):
        return np.append(sizes.sum(), np.zeros(num_buckets - 1, np.int64)).astype(np.int64)
    buckets = hash_buckets([removed[key] for key in group.keys], num_buckets)
    result = np.zeros(num_buckets, np.int64)
    np.add.at(result, buckets.astype(np.int64), sizes)
    return result


def _parts(kept: pd.DataFrame, group: KeyGroup, layout: Layout) -> List[pd.DataFrame]:
    """Keys and sizes; the ids are the index, as everything that reads these files expects."""
    frame = kept.rename(columns={SIZE: fit_folder.size_column(group.name)}).infer_objects()
    frame.index = pd.RangeIndex(layout.min_id, layout.min_id + len(frame))
    if layout.split_out == 1 or len(frame) <= layout.split_out:
        return [frame]
    bounds = np.linspace(0, len(frame), layout.split_out + 1).astype(int)
    return [frame.iloc[start:stop] for start, stop in zip(bounds, bounds[1:])]


def _meta(reserved: Ints, sizes: Ints) -> pd.DataFrame:
    num_oov = len(reserved) - FIRST_OOV_ID
    meta = {
        "kind": ["pad", "null", "oov", "unique"],
        "offset": [PADDING_ID, NULL_ID, FIRST_OOV_ID, len(reserved)],
        "num_indices": [1, 1, num_oov, len(sizes)],
        "num_observed": [0, reserved[NULL_ID], reserved[FIRST_OOV_ID:].sum(), sizes.sum()],
    }
    return pd.DataFrame(meta)


def read_sizes(path: str, name: str, min_id: int) -> Ints:
    """Occurrences that an encoder wrote beside its keys, int64 `[items]`, in the ids' order.

    Args:
      path: the `unique.*` file, or folder of parts, of NVTabular's or our Categorify.
      name: the vocabulary's name.
      min_id: first id that the encoder gives to a key.

    Raises:
      FrequencyOrderError: no such file any more, no counts in it, or ids that start elsewhere.
    """
    what_to_do = "Let FrequencyOrder count the ids (mode='count'), or fit the encoder again."
    if not storage.exists(path):
        raise FrequencyOrderError(
            f"Column {name!r}: expected the encoder's vocabulary at its cat_path. Received: "
            f"nothing at {path}; was the folder moved or removed? {what_to_do}"
        )
    frame = storage.read_table(path)
    columns = [
        column
        for column in frame.columns
        if column != name and column.startswith(name) and column.endswith("size")
    ]
    if len(columns) != 1 or frame[columns[0]].dtype.kind not in "iu":
        raise FrequencyOrderError(
            f"Column {name!r}: expected the encoder's counts beside its keys. Received: "
            f"columns {list(frame.columns)} (as vocabs= leaves them). {what_to_do}"
        )
    # A file that is numbered from 0 is shifted to its place by the encoder.
    if len(frame) and frame.index[0] not in (0, min_id):
        raise FrequencyOrderError(
            f"Column {name!r}: expected ids from {min_id} on. Received: a vocabulary numbered "
            f"from {frame.index[0]}, whose ids the encoder shifts. {what_to_do}"
        )
    sizes: Ints = frame[columns[0]].to_numpy(np.int64)
    return sizes
