"""Compares a warm start after a refit with training from scratch, over several seeds.

For each seed it trains a model of train_torch.py three times:

- earlier: `--epochs` less one on the data before the refit;
- warm: from there, one epoch on the data after the refit;
- scratch: `--epochs` on the data after the refit.

So both ways end after the same number of epochs. The reported sessions are the later ones, which
neither fit has seen. Prints recall@20 of both, the paired difference with its standard error over
the sessions, and the time of both after the refit. Writes `compare_refits.json` under `--output`.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import train_torch
from comparison_report import paired
from evaluate import Array, gains_of, leave_last_out
from flags import local_path, made, seed_number, whole
from models_torch import MODELS, Model, model_scorer
from splits import check_whole, read_held_out, read_sessions

from merlin_popsampler import PopSamplerError, read_popularity


def trained(model: str, data: Path, flags: Sequence[Any]) -> Tuple[train_torch.Trained, float]:
    """Trains a model, and returns it with the seconds that this took.

    Args:
      model: a name in `MODELS`.
      data: folder of preprocess.py.
      flags: further flags of train_torch.py.
    """
    args = train_torch.parse_args(["--data", str(data), *map(str, flags)])
    sessions = train_torch.read_training(data)
    held_out, popularity = read_held_out(data / "train"), read_popularity(sessions)
    began = time.perf_counter()
    found = train_torch.fit(model, sessions, held_out, popularity, args)
    return found, time.perf_counter() - began


def hits_of(model: Model, data: Path) -> Array:
    """Returns which of the later sessions a model hits, bool `[sessions]`."""
    queries, positives = leave_last_out(read_sessions(data / "valid"))
    domain = read_popularity(data / "train").domain
    gains = gains_of(model_scorer(model), queries, positives, domain)
    hits: Array = gains > 0.0
    return hits


def compare(args: argparse.Namespace) -> Dict[str, Any]:
    """Runs all seeds, and returns the content of `compare_refits.json`."""
    for data in (args.old, args.data):
        check_whole(data)
    hits, seconds = [], []
    for seed in args.seeds:
        earlier = made(args.output / f"earlier-{seed}")
        warm = ("--seed", seed, "--output", args.output)
        before, _ = trained(args.model, args.old, [*warm, "--epochs", args.epochs - 1])
        before.save(earlier / f"{args.model}.pt")
        runs = [
            trained(args.model, args.data, [*warm, *flags])
            for flags in (("--epochs", 1, "--warm-start", earlier), ("--epochs", args.epochs))
        ]
        one, other = (hits_of(found.model, args.data) for found, _ in runs)
        hits.append((one, other))
        seconds.append([taken for _, taken in runs])
    difference, error = paired(hits)
    found: Dict[str, Any] = {
        "model": args.model,
        "epochs": args.epochs,
        "seeds": args.seeds,
        "sessions": len(hits[0][0]),
        "difference": difference,
        "standard_error": error,
    }
    for place, name in enumerate(("warm", "scratch")):
        found[f"recall@20 {name}"] = [float(pair[place].mean()) for pair in hits]
        found[f"seconds {name}"] = [round(pair[place], 2) for pair in seconds]
    return found


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--old", type=local_path, required=True, help="--output of preprocess.py, before the refit")
    add("--data", type=local_path, required=True, help="--output of preprocess.py --refit-of")
    add("--output", type=local_path, required=True, help="folder for the results and the models")
    add("--model", choices=list(MODELS), default="retrieval", help="[%(default)s]")
    add("--epochs", type=whole(2), default=4, help="total of each way [%(default)s]")
    add("--seeds", type=seed_number, nargs="+", default=[17, 18, 19], help="[%(default)s]")
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    try:
        made(args.output)
        found = compare(args)
    except PopSamplerError as error:
        sys.exit(f"compare_refits.py: {error}")
    (args.output / "compare_refits.json").write_text(json.dumps(found, indent=2) + "\n")
    for name, value in found.items():
        print(f"{name:20s}{value}")


if __name__ == "__main__":
    main()
