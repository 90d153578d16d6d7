"""The few kinds of values that the programs know, of the many types that Arrow files have.

`role` says which kind a type is. `plain` gives a column the one type of its kind, and `joined` puts
the columns of several files together, or refuses them. What comes after sees these types alone:
`large_string`, `large_binary`, `int64` (`uint64` where a value needs it), floats, `bool`, decimals,
`date32`, timestamps without a zone or in UTC, `time64[ns]`, durations, and `large_list`.
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
"""Roles of values that can be compared with each other, so that they can name a user or item."""


class Part(NamedTuple):
    """One column of one file (or of one block of its lines).

    Attributes:
      file: name of the file, for messages.
      column: a `pyarrow.ChunkedArray`.
    """

    file: str
    column: Any


def role(kind: Any) -> str:
    """Which kind of value an Arrow type holds; that of its values for dictionaries and the like."""
    kind = stored(kind)
    # By its name, since older versions of pyarrow have no test for newer types.
    name = re.match("[a-z_]*", str(kind)).group()  # type: ignore[union-attr]
    if name == "timestamp" and kind.tz is not None:
        return ZONED
    return _ROLE_OF.get(name, OTHER)


def stored(kind: Any) -> Any:
    """The type of the values themselves: of a dictionary's, an extension's or of repeated ones."""
    while True:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        else:
            return kind


def plain(column: Any) -> Any:
    """A column in the one type of its role, without dictionaries, extensions and zones but UTC.

    Args:
      column: a `pyarrow.ChunkedArray` of any type. Floats keep their width, since it says up to
        which number they are exact.
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
    return _narrowed(column, pa.int64()) if column.type == pa.uint64() else column


def joined(parts: Sequence[Part], name: str, approximate: bool = False) -> Any:
    """One column of the plain columns of several files.

    Integers join floats, and dates join timestamps without a zone. All others join their own kind.

    Args:
      parts: the columns as `plain` returns them.
      name: of the column, for messages.
      approximate: whether integers may be rounded where they join floats.

    Returns:
      A `pyarrow.ChunkedArray`.

    Raises:
      PopSamplerError: columns of kinds that cannot be compared, or integers that no type holds
        together; the message names two files and their types.
    """
    kind = _common([part.column.type for part in parts])
    if kind is None:
        raise _different(parts, name)
    try:
        columns = [part.column.cast(kind, safe=not approximate) for part in parts]
    except pa.ArrowInvalid:
        raise _different(parts, name) from None
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], kind)


def text(column: Any) -> Any:
    """Values as strings, equal where the values are: numbers as written, bytes as hexadecimals.

    Args:
      column: a plain column of a role that can be a key, or null.
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
    """The column in a type, where that holds all of its values."""
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return column


def _common(kinds: Sequence[Any]) -> Optional[Any]:
    """The type that holds the values of all these plain types; None where they are not comparable.

    Columns without any value join all kinds.
    """
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
    """The error for columns that cannot be one, with the first two files that differ."""
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
