"""Hashes of keys, which put them into buckets."""

from typing import Any, Sequence

import numpy as np
import pyarrow as pa
from merlin.core import dispatch
from pandas.api.types import infer_dtype
from pandas.util import hash_pandas_object

from merlin_popsampler.core.segments import Ints


def hash_buckets(keys: Sequence[Any], num_buckets: int) -> Any:
    """Out-of-vocabulary bucket of each row, `[0, num_buckets)`: a function of its key alone.

    Args:
      keys: series of one length, one for each key column, in the dtypes of the vocabulary's kinds.
      num_buckets: `>= 1`.
    """
    hashed: Any = 0
    for column in keys:
        hashed = hashed ^ _hashed(column)
    return hashed % num_buckets


def counting_buckets(keys: Sequence[pa.Array], num_buckets: int) -> Ints:
    """Bucket of each row: the same wherever the key was met, in whatever dtype of its kind.

    Args:
      keys: canonical, an array for each key column.
      num_buckets: `>= 1`.
    """
    hashed = np.zeros(len(keys[0]), np.uint64)
    for part in keys:
        series = part.to_pandas()
        if series.dtype.kind in "biuf":
            series = series.astype(np.float64)
        own = np.array(_hashed(series), np.uint64)
        own[part.is_null().to_numpy(zero_copy_only=False)] = 0
        hashed ^= own
    buckets: Ints = (hashed % np.uint64(num_buckets)).astype(np.int64)
    return buckets


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
