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

from . import report
from .errors import PopSamplerError
from .subject import read_subject

FINE, FOUND, FAILED = 0, 1, 2


def main(argv: Optional[List[str]] = None) -> int:
    """Runs a command and returns its exit code."""
    args = _parser().parse_args(argv)
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        code: int = args.run(args)
    except PopSamplerError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except Exception:  # noqa: BLE001 - Python would exit with 1, which says something else here
        traceback.print_exc()
        return FAILED
    return code


def _inspect(args: argparse.Namespace) -> int:
    subject = read_subject(args.path, args.column, args.counts)
    found = report.summary(subject)
    print(json.dumps(found, indent=2) if args.json else _summary_table(found))
    if args.plot:
        from .pictures import plot

        plot(subject, args.plot, args.num_sampled)
    return FINE if found["frequency_ordered"] else FOUND


def _compare(args: argparse.Namespace) -> int:
    old, new = (read_subject(path, args.column) for path in (args.old, args.new))
    found = report.drift(old, new, args.num_sampled)
    found["drifted"] = found["tv"] > args.max_tv
    print(json.dumps(found, indent=2) if args.json else _drift_table(found))
    return FOUND if found["drifted"] else FINE


def _summary_table(found: Dict[str, Any]) -> str:
    rows = {
        "column": found["column"],
        "item ids": f"{found['min_id']} to {found['max_id']} ({found['items']:,} items)",
        "in frequency order": "yes" if found["frequency_ordered"] else "NO",
        "evidence": found["evidence"],
        "steps of the curve": found["num_steps"],
    }
    if "interactions" in found:
        rows["interactions"] = f"{found['interactions']:,}"
        rows["top 1 % of the items"] = f"{found['top_share']:.1%} of the interactions"
    for name, distance in (found["fit"] or {}).items():
        label = f"{name.replace('_', '-')} law"
        rows[label] = f"total variation {distance['tv']:.4f}, KL {distance['kl']:.4f} nats"
    for name, share in found.get("reserved_share", {}).items():
        rows[f"share of {name}"] = f"{share:.2%}"
    return _as_table(rows)


def _drift_table(found: Dict[str, Any]) -> str:
    rows = {name: value for name, value in found.items() if name != "most_off"}
    for item in found.get("most_off", []):
        rows[f"expected {item['key']}"] = f"{item['old']:.6f} before, {item['new']:.6f} now"
    return _as_table(rows)


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
    inspect = commands.add_parser("inspect", help="what a schema says of its item ids")
    inspect.add_argument("path", help="data set, schema file, saved workflow or out_path")
    inspect.add_argument("--counts", help="popularity.<column>.parquet of the same fit")
    inspect.add_argument("--plot", help="picture to write, such as out.png")
    inspect.set_defaults(run=_inspect)
    compare = commands.add_parser("compare", help="how far popularity has moved")
    compare.add_argument("old", help="saved workflow, out_path or schema of the model in use")
    compare.add_argument("new", help="the same of newer data")
    compare.add_argument(
        "--max-tv", type=float, default=0.1, help="total variation allowed [%(default)s]"
    )
    compare.set_defaults(run=_compare)
    for command in (inspect, compare):
        command.add_argument("--column", help="where several columns are tagged as item id")
        command.add_argument("--json", action="store_true", help="machine-readable output")
        command.add_argument(
            "--num-sampled", type=int, default=1000, help="draws of a batch [%(default)s]"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
