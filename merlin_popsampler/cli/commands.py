"""Command line: `python -m merlin_popsampler inspect PATH`, `... compare OLD NEW`.

Exit codes: 0 all is well; 1 `inspect` found ids out of order, or `compare` more drift than allowed;
2 something could not be read, or went wrong.
"""

import argparse
import json
import sys
import traceback
import warnings
from typing import Any, Dict, List, Optional

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.ops.fitted_column import read_fitted_column

from . import inspect

FINE, FOUND, FAILED = 0, 1, 2


def main(argv: Optional[List[str]] = None) -> int:
    """Runs a command and returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.showwarning = _as_note
            code: int = args.run(args)
    except PopSamplerError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says something else here
        traceback.print_exc()
        return FAILED
    return code


def _inspect(args: argparse.Namespace) -> int:
    column = read_fitted_column(args.path, args.column, args.counts)
    found = inspect.summary(column)
    print(json.dumps(found, indent=2) if args.json else _as_table(inspect.rows(found)))
    if args.plot:
        from .pictures import plot

        plot(column, args.plot, args.num_sampled)
    return FINE if found["frequency_ordered"] else FOUND


def _compare(args: argparse.Namespace) -> int:
    from . import compare  # which loads pandas

    old, new = (read_fitted_column(path, args.column) for path in (args.old, args.new))
    found = compare.drift(old, new, args.num_sampled)
    found["drifted"] = found["tv"] > args.max_tv
    print(json.dumps(found, indent=2) if args.json else _as_table(compare.rows(found)))
    return FOUND if found["drifted"] else FINE


def _as_note(message: Any, *_: Any, **__: Any) -> None:
    """A warning without the line of code that raised it."""
    print(f"note: {message}", file=sys.stderr)


def _as_table(rows: Dict[str, Any]) -> str:
    width = max(len(name) for name in rows)
    shown = {
        name: f"{value:.4f}" if isinstance(value, float) else str(value)
        for name, value in rows.items()
    }
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in shown.items())


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
        "--max-tv", type=float, default=0.1, help="total variation allowed [%(default)s]"
    )
    compare_.set_defaults(run=_compare)
    for command in (inspect_, compare_):
        command.add_argument("--column", help="where several columns are tagged as item id")
        command.add_argument("--json", action="store_true", help="machine-readable output")
        command.add_argument(
            "--num-sampled", type=int, help="draws of a batch [a tenth of the items, at most 1000]"
        )
    return parser
