"""Reduces the many types of Arrow files to the few types that the programs support.

`role` classifies a type, such as "integer". `plain` converts a column to the one type of its role.
`joined` concatenates the columns of several files, or raises an error. The other modules see only
these types:

- `large_string`, `large_binary`, `bool`, `large_list`;
- `int64` (`uint64` if a value needs it), floats, decimals;
- `date32`, timestamps without a zone or in UTC, `time64[ns]`, durations.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set

import pyarrow as pa
import pyarrow.compute as pc

from merlin_popsampler.errors import PopSamplerError

_ROLES = {
    "string": ("string", "large_string", "string_view"),
    "binary": ("binary", "large_binary", "fixed_size_binary", "binary_view"),
    "integer": ("int", "uint"),
    "float": ("halffloat", "float", "double"),
    "boolean": ("bool",),
    "decimal": ("decimal",),
    "date": ("date",),
    "time of day": ("time",),
    "timestamp": ("timestamp",),
    "duration": ("duration",),
    "list": ("list", "large_list", "fixed_size_list", "list_view", "large_list_view"),
    "struct": ("struct", "map", "sparse_union", "dense_union"),
    "null": ("null",),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
ZONED = "timestamp with time zone"
OTHER = "other"
KEYS = frozenset(_ROLES) - {"list", "struct", "null"} | {ZONED}
"""Roles of values that can be compared, so that they can be keys of users or items."""


class Part(NamedTuple):
    """Holds one column of one file, or of one block of its lines.

    Attributes:
      file: name of the file, for messages.
      column: a `pyarrow.ChunkedArray`.
    """

    file: str
    column: Any


def role(kind: Any) -> str:
    """Returns the role of an Arrow type; for dictionaries and the like, that of their values."""
    kind = stored(kind)
    # By its name, since older versions of pyarrow have no test for newer types.
    name = re.match("[a-z_]*", str(kind)).group()  # type: ignore[union-attr]
    if name == "timestamp" and kind.tz is not None:
        return ZONED
    return _ROLE_OF.get(name, OTHER)


def stored(kind: Any) -> Any:
    """Returns the type of the values of a dictionary, an extension or a run-end encoding."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def plain(column: Any) -> Any:
    """Converts a column to the one type of its role.

    The result has no dictionaries, no extensions and no time zone but UTC. NaN becomes null.

    Args:
      column: a `pyarrow.ChunkedArray` of any type. Floats keep their width, which determines the
        largest exact integer.
    """
    while isinstance(column.type, pa.BaseExtensionType):
        chunks = [chunk.storage for chunk in column.chunks]
        column = pa.chunked_array(chunks, column.type.storage_type)
    if pa.types.is_run_end_encoded(column.type):
        chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
        return plain(pa.chunked_array(chunks, column.type.value_type))
    if pa.types.is_float16(column.type):
        chunks = [
            pa.array(chunk.to_numpy(zero_copy_only=False).astype("float32"), from_pandas=True)
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks, pa.float32())
    if pa.types.is_dictionary(column.type):
        kind = _plain_type(column.type)
        # The values are cast first, since Arrow cannot take views of strings.
        chunks = [chunk.dictionary.cast(kind).take(chunk.indices) for chunk in column.chunks]
        column = pa.chunked_array(chunks, kind)
    kind = _plain_type(column.type)
    column = column if column.type == kind else column.cast(kind)
    if pa.types.is_floating(kind):
        return without_nan(column)
    return _narrowed(column, pa.int64()) if column.type == pa.uint64() else column


def joined(parts: Sequence[Part], name: str, approximate: bool = False) -> Any:
    """Concatenates the columns of several files.

    Integers and floats can be joined, and dates and timestamps without a zone. Other columns must
    have the same role. A column without values may have any type.

    Args:
      parts: results of `plain`.
      name: name of the column, for messages.
      approximate: whether integers may be rounded when they are joined with floats.

    Returns:
      A `pyarrow.ChunkedArray`.

    Raises:
      PopSamplerError: the columns cannot be compared, or no type holds all integers. The message
        names two files and their types.
    """
    full = [part for part in parts if _has_values(part)]
    kind = _common([part.column.type for part in full or parts[:1]])
    if kind is None:
        raise _different(full, name)
    chunks: List[Any] = []
    for part in parts:
        if not _has_values(part):
            chunks.append(pa.nulls(len(part.column), kind))
            continue
        try:
            chunks += part.column.cast(kind, safe=not approximate).chunks
        except pa.ArrowInvalid:
            raise _different(full, name) from None
    return pa.chunked_array(chunks, kind)


def _has_values(part: Part) -> bool:
    return bool(part.column.null_count < len(part.column))


def without_nan(column: Any) -> Any:
    """Replaces NaN by null in a column of floats."""
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def text(column: Any) -> Any:
    """Converts values to strings, which are equal if the values are equal.

    Numbers are in decimal, and bytes in hexadecimal.

    Args:
      column: a plain column of a role that can be a key, but not floats, or null.
    """
    if role(column.type) in ("string", "integer", "boolean", "null"):
        return column.cast(pa.large_string())
    codes = pa.chunked_array([column.combine_chunks()]).dictionary_encode().chunk(0)
    values = [_as_string(value) for value in codes.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.large_string()).take(codes.indices)])


def _as_string(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _plain_type(kind: Any) -> Any:
    kind = stored(kind)
    fixed: Dict[str, Any] = {
        "string": pa.large_string(),
        "binary": pa.large_binary(),
        "date": pa.date32(),
        "time of day": pa.time64("ns"),
    }
    found = role(kind)
    if found == "integer":
        return pa.uint64() if kind == pa.uint64() else pa.int64()
    if found == ZONED:
        return pa.timestamp(kind.unit, "UTC")
    if found == "list":
        return pa.large_list(_plain_type(kind.value_type))
    if found == "decimal" and not isinstance(kind, pa.Decimal256Type):
        return pa.decimal128(kind.precision, kind.scale)
    return fixed.get(found, kind)


def _narrowed(column: Any, kind: Any) -> Any:
    """Casts a column to a type, if that type holds all of its values."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return column


def _common(kinds: Sequence[Any]) -> Optional[Any]:
    """Returns the type that holds the values of all these plain types, or None if there is none."""
    kinds = [kind for kind in dict.fromkeys(kinds) if role(kind) != "null"]
    roles = set(map(role, kinds))
    if len(kinds) <= 1:
        return kinds[0] if kinds else pa.null()
    if roles <= {"integer", "float"}:
        return pa.float64() if "float" in roles else pa.uint64()
    if roles <= {"date", "timestamp"} or roles in ({ZONED}, {"duration"}):
        return _finest([kind for kind in kinds if role(kind) != "date"])
    if roles == {"decimal"}:
        return _widest_decimal(kinds)
    if roles == {"list"}:
        value = _common([kind.value_type for kind in kinds])
        return None if value is None else pa.large_list(value)
    return None


def _finest(kinds: List[Any]) -> Any:
    return min(kinds, key=lambda kind: ("ns", "us", "ms", "s").index(kind.unit))


def _widest_decimal(kinds: List[Any]) -> Optional[Any]:
    scale = max(kind.scale for kind in kinds)
    digits = scale + max(kind.precision - kind.scale for kind in kinds)
    if digits > 76:
        return None
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def _different(parts: Sequence[Part], name: str) -> PopSamplerError:
    """Builds the error for columns that cannot be joined; it names two files that differ."""
    seen: Set[Any] = {pa.null()}
    different = []
    for part in parts:
        if part.column.type not in seen:
            seen.add(part.column.type)
            different.append(f"{part.column.type} in {part.file}")
    error: PopSamplerError = PopSamplerError(
        f"Column {name!r}: expected values of one type in all files, since values of different "
        f"types cannot be compared. Received: {' and '.join(different)}. Convert the column to "
        "one of them in all files."
    )
    return error
