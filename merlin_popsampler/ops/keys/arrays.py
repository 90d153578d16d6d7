"""Converts keys to Arrow arrays, and counts, sorts and hashes them there."""

from typing import Any, List, Optional, Sequence, Set, Tuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from merlin.core import dispatch
from pandas.api.types import infer_dtype
from pandas.util import hash_pandas_object

from merlin_popsampler.core.segments import Ints

from .kinds import TOGETHER, KeyType, is_arrow_string, unusable, widened
from .numbers import number_totals
from .strings import are_strings, ascending_strings, narrow, one_chunk, string_totals

_TYPES = {"string": pa.large_string(), "bytes": pa.large_binary()}
"""Arrow's types for some families of keys; Arrow infers the types of all other families."""


def to_arrow(keys: pd.Series, kind: Optional[KeyType], column: str) -> pa.Array:
    """Converts canonical keys to an Arrow array.

    Args:
      keys: a series of keys in the form of `kinds.canonical`, which may contain nulls.
      kind: type of the keys; None if all are null.
      column: name of the column, for messages.

    Raises:
      PopSamplerError: Arrow cannot represent a key.
    """
    if kind is None:
        return pa.nulls(len(keys))
    if kind.family == "bool":
        # Next to nulls, bools are stored as floats, which a reader would take for numbers.
        keys = keys.astype("boolean")
    elif kind.dtype == "float64":
        keys = keys + 0.0  # one zero for both signs
    wanted = _TYPES.get(kind.family)
    try:
        found = pa.array(keys, wanted, from_pandas=True)
        # Keys that pandas holds in Arrow keep its type and its chunks.
        return one_chunk(found if wanted is None else found.cast(wanted))
    except UnicodeEncodeError as error:
        raise unusable(
            column, f"strings that are not valid Unicode ({error})", "Replace them."
        ) from None
    except (ValueError, TypeError, OverflowError) as error:
        raise unusable(column, f"{kind.family} keys that no file holds ({error})") from None


def in_one_type(
    keys: Sequence[pa.Array],
    kinds: Sequence[Optional[KeyType]],
    kind: Optional[KeyType],
    column: str,
) -> List[pa.Array]:
    """Casts arrays of keys to the type that holds all of them.

    Args:
      keys: the arrays.
      kinds: type of the keys in each array.
      kind: type that holds all keys, the result of `kinds.merged`.
      column: name of the column, for messages.

    Raises:
      PopSamplerError: the type does not hold a key exactly.
    """
    if kind is not None:
        pairs = zip(keys, kinds)
        keys = [
            _widened(part, kind, column) if own not in (None, kind) else part for part, own in pairs
        ]
    common = _common_type({part.type for part in keys}, column)
    return [part if part.type == common else part.cast(common) for part in keys]


def totals(
    columns: Sequence[Sequence[Any]], sizes: Optional[Sequence[Ints]] = None
) -> Tuple[List[Any], Ints]:
    """Returns distinct rows of keys, in no particular order, and the total count of each.

    Args:
      columns: for each key column, the arrays or chunked arrays of its parts, of one type.
      sizes: counts of the rows of each part, whose sum is below 2**53; None for one each.

    Returns:
      An array or a chunked array of keys for each column, and the sizes (int64).
    """
    if len(columns) == 1 and are_strings(columns[0]):
        distinct, counts = string_totals(columns[0], sizes)
        return [distinct], counts
    return _array_totals(
        [one_chunk(*parts) for parts in columns], None if sizes is None else np.concatenate(sizes)
    )


def _array_totals(keys: Sequence[pa.Array], sizes: Optional[Ints]) -> Tuple[List[Any], Ints]:
    if len(keys) == 1 and _is_number(keys[0]):
        numbers, counts = number_totals(keys[0].to_numpy(), sizes)
        return [pa.array(numbers)], counts
    codes, distinct = _coded(keys[0])
    rows = [distinct]
    for part in keys[1:]:
        others, distinct = _coded(part)
        codes, _ = pd.factorize(codes * (len(distinct) + 1) + others)
    if len(keys) > 1:
        _, first = np.unique(codes, return_index=True)
        rows = [part.take(pa.array(first)) for part in keys]
    return rows, np.bincount(codes, sizes, len(rows[0])).astype(np.int64)


def ascending(keys: Sequence[pa.Array]) -> Ints:
    """Returns the positions of rows in ascending order: nulls first, strings by code point.

    Args:
      keys: an array for each key column.
    """
    if len(keys) == 1 and _is_number(keys[0]):
        return np.argsort(keys[0].to_numpy(), kind="stable")
    if len(keys) == 1 and are_strings(keys):
        return ascending_strings(keys[0].cast(pa.large_binary()))
    named = {str(number): _sortable(part) for number, part in enumerate(keys)}
    order = pc.sort_indices(
        pa.table(named),
        sort_keys=[(name, "ascending") for name in named],
        null_placement="at_start",
    )
    rows: Ints = order.to_numpy().astype(np.int64)
    return rows


def _is_number(keys: pa.Array) -> bool:
    """Tests whether keys are numbers without nulls, which NumPy reads without a copy."""
    numeric = pa.types.is_integer(keys.type) or pa.types.is_floating(keys.type)
    return bool(numeric) and not keys.null_count


def _coded(keys: pa.Array) -> Tuple[Ints, pa.Array]:
    """Returns the index of each key in an array of distinct keys, and that array.

    The index of a null is the length of the array.
    """
    if pa.types.is_null(keys.type):
        return np.zeros(len(keys), np.int64), keys.slice(0, 0)
    coded = narrow(keys).dictionary_encode()
    codes = coded.indices.fill_null(len(coded.dictionary)).to_numpy()
    return codes.astype(np.int64), coded.dictionary.cast(keys.type)


def _sortable(keys: pa.Array) -> pa.Array:
    """Casts keys to a type of the same order that Arrow can sort."""
    if pa.types.is_null(keys.type):
        return keys.cast(pa.int8())
    return keys.cast(pa.int64()) if pa.types.is_duration(keys.type) else keys


def _widened(keys: pa.Array, kind: KeyType, column: str) -> pa.Array:
    return to_arrow(widened(keys.to_pandas(), kind, column), kind, column)


def _common_type(types: Set[pa.DataType], column: str) -> pa.DataType:
    """Returns the type that holds all keys; decimals have a type for each number of digits."""
    known = {found for found in types if not pa.types.is_null(found)}
    if len(known) < 2:
        return known.pop() if known else pa.null()
    scale = max(found.scale for found in known)
    digits = scale + max(found.precision - found.scale for found in known)
    if digits > 76:
        raise unusable(column, f"decimal keys of {digits} digits in all", TOGETHER)
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def hash_buckets(keys: Sequence[Any], num_buckets: int) -> Any:
    """Returns the bucket of unknown keys for each row, in `[0, num_buckets)`, by a hash of its key.

    Args:
      keys: a pandas or cuDF series for each key column, of one length, in the dtypes of the
        vocabulary's `kinds`.
      num_buckets: number of buckets, `>= 1`.
    """
    hashed: Any = 0
    for column in keys:
        hashed = hashed ^ _hashed(column)
    return hashed % num_buckets


def counting_buckets(keys: Sequence[pa.Array], num_buckets: int) -> Ints:
    """Returns the bucket in which each row is counted, int64 in `[0, num_buckets)`.

    Equal keys get the same bucket in every partition, even if their dtypes differ.

    Args:
      keys: canonical keys, an array for each key column.
      num_buckets: number of buckets, `>= 1`.
    """
    hashed = np.zeros(len(keys[0]), np.uint64)
    for part in map(one_chunk, keys):
        series = (part.cast(pa.float64()) if pa.types.is_boolean(part.type) else part).to_pandas()
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
    if is_arrow_string(keys.dtype):
        keys = keys.astype(object)
    if infer_dtype(keys) == "decimal":
        keys = keys.astype("float64")  # 1.5 and 1.50 are one key; objects hash as strings
    # pandas hashes the index label along with the value, so all rows get the same label.
    keys = keys.set_axis(np.zeros(len(keys), np.int64))
    try:
        # Without categories, for which pandas would compare strings only up to a NUL.
        return hash_pandas_object(keys, categorize=False).to_numpy()
    except UnicodeEncodeError:  # half of a surrogate pair is not in a file
        return hash_pandas_object(keys.str.encode("utf-8", "surrogatepass"), categorize=False)
