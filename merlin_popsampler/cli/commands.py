"""Runs the command line: `python -m merlin_popsampler inspect PATH`, `... compare OLD NEW`.

Exit codes: 0 for success; 1 if `inspect` found ids out of order, or `compare` more drift than
allowed; 2 for errors.
"""

import argparse
import json
import math
import sys
import traceback
import warnings
from typing import Any, Dict, List, Optional

from merlin_popsampler.errors import PopSamplerError

from . import inspect
from .column_report import read_column_report
from .inspect import ReportLines
from .terminal import finish, printable, say

FINE, FOUND, FAILED = 0, 1, 2


def main(argv: Optional[List[str]] = None) -> int:
    """Runs a command and returns its exit code."""
    try:
        return _outcome(argv)
    except OSError:  # of the error's own message, as on a full disk: Python would exit with 1
        return FAILED


def _outcome(argv: Optional[List[str]]) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.showwarning = _as_note
            args = _arguments(argv)
            code: int = args.run(args)
    except (PopSamplerError, OSError, ImportError) as error:
        say(f"error: {error}", sys.stderr)
        return FAILED
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says something else here
        say(traceback.format_exc(), sys.stderr)
        return FAILED
    return code


def _arguments(argv: Optional[List[str]]) -> argparse.Namespace:
    try:
        return _parser().parse_args(argv)
    except SystemExit:
        finish(sys.stdout)  # flushes the text of --help
        raise


def _inspect(args: argparse.Namespace) -> int:
    column = read_column_report(args.path, args.column, args.counts)
    found = inspect.summary(column)
    _report(found, inspect.rows(found), args.json)
    if args.plot:
        from .pictures import plot

        plot(column, args.plot, args.num_sampled)
    return FINE if column.metadata.is_ranked else FOUND


def _compare(args: argparse.Namespace) -> int:
    from . import compare  # here, since it loads pandas

    old, new = (
        read_column_report(path, args.column, with_keys=True) for path in (args.old, args.new)
    )
    found = compare.drift(old, new, args.num_sampled)
    found["drifted"] = found["tv"] > args.max_tv
    _report(found, compare.rows(found), args.json)
    return FOUND if found["drifted"] else FINE


def _report(found: Dict[str, Any], rows: ReportLines, as_json: bool) -> None:
    say(json.dumps(found, indent=2) if as_json else _as_table(rows), sys.stdout)


def _as_note(message: Any, *_: Any, **__: Any) -> None:
    """Prints a warning without the line of code that raised it."""
    say(f"note: {message}", sys.stderr)


def _as_table(rows: ReportLines) -> str:
    width = max(len(printable(name)) for name, _ in rows)
    values = [
        (printable(name), f"{value:.4f}" if isinstance(value, float) else printable(value))
        for name, value in rows
    ]
    return "\n".join(f"{name:<{width}}  {value}" for name, value in values)


def _total_variation(text: str) -> float:
    """Parses `--max-tv`; NaN raises an error, since no drift would exceed it."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(
            f"Expected a total variation from 0 (equal) to 1 (nothing in common). Received: "
            f"{text!r}. Pass 0.1 for a tenth of the interactions."
        )
    return value


def _number_of_draws(text: str) -> int:
    """Parses `--num-sampled`, a whole number `>= 1`."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(
            f"Expected a whole number of 1 or more. Received: {text!r}. Pass the number of draws "
            "of a batch, or leave it out."
        )
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m merlin_popsampler", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="inspect|compare")
    inspect_ = commands.add_parser("inspect", help="what a schema says of its item ids")
    inspect_.add_argument("path", help="data set, schema file, saved workflow or out_path")
    inspect_.add_argument("--counts", help="popularity.<column>.parquet of the same fit")
    inspect_.add_argument("--plot", help="picture to write, such as out.png")
    inspect_.set_defaults(run=_inspect)
    compare_ = commands.add_parser("compare", help="how far popularity has moved")
    compare_.add_argument("old", help="saved workflow, out_path or schema of the model in use")
    compare_.add_argument("new", help="the same of newer data")
    compare_.add_argument(
        "--max-tv",
        type=_total_variation,
        default=0.1,
        help="total variation allowed, from 0 to 1 [%(default)s]",
    )
    compare_.set_defaults(run=_compare)
    for command, use in ((inspect_, "--plot shows"), (compare_, "are compared")):
        command.add_argument("--column", help="name of the column, where there are several")
        command.add_argument("--json", action="store_true", help="machine-readable output")
        command.add_argument(
            "--num-sampled",
            type=_number_of_draws,
            help=f"draws of a batch whose expected counts {use} [a tenth of the items, at most "
            "1000]",
        )
    return parser
