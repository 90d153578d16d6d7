"""Compares early stopping with the best fixed number of epochs.

It trains a model for `--epochs` epochs, and measures it after each. By the recall of the validation
queries, early stopping chooses one of these epochs, and either the weights or their averages; see
stopping.py. A fixed number of epochs takes the weights. The model and the data are those of
compare_negatives.py, with negatives of the measured distribution.

The best number of epochs is the one whose mean recall over the seeds is highest on the test
queries themselves. So its recall is biased upwards.

Prints the mean recall@20 of both, their difference with the standard error of the pairs, and the
epochs that they take. Writes `stopping.json` under `--output`, with the recalls of each epoch.
"""

import argparse
import json
import math
import sys
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

warnings.filterwarnings("ignore")

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import numpy as np
import torch
from comparison_data import ComparisonData, check_names, read_data
from comparison_training import start
from early_stopping_torch import Training
from evaluate import Array, evaluate
from flags import comparison_parser, made, whole
from models_torch import model_scorer
from stopping import METRIC, STEPS, Stopping

from merlin_popsampler import PopSamplerError

ROW = "measured, corrected"
Recalls = Dict[str, List[float]]


class Run(NamedTuple):
    """Holds recalls of one training, before it and after each epoch.

    Attributes:
      batches: number of batches of an epoch.
      valid: recalls of the validation queries, for `weights` and for `averages`.
      test: those of the test queries.
    """

    batches: int
    valid: Recalls
    test: Recalls


def trained(data: ComparisonData, seed: int, args: argparse.Namespace) -> Run:
    """Trains a model, and measures its weights and their averages."""
    model, losses = start(data, ROW, args.num_sampled, seed, args)
    training = Training(model, torch.optim.Adam(model.parameters(), args.learning_rate, fused=True))
    models = {"weights": model, "averages": training.averaged}
    valid: Recalls = {name: [] for name in models}
    test: Recalls = {name: [] for name in models}
    batches = 0
    for epoch in range(args.epochs + 1):
        if epoch:
            batches = training.epoch(losses())
        for name, measured in models.items():
            valid[name].append(recall(measured, data, data.valid))
            test[name].append(recall(measured, data, data.test))
    return Run(batches, valid, test)


def recall(model: Any, data: ComparisonData, asked: Tuple[List[Array], Array]) -> float:
    """Returns the recall of queries with their positives."""
    return evaluate(model_scorer(model), *asked, data.popularity.domain, name=ROW)[METRIC]


def stopped(run: Run) -> Tuple[float, int]:
    """Returns the recall of the test with early stopping, and the last epoch that it trains."""
    stopping, epochs = Stopping(), len(run.valid["weights"]) - 1
    for epoch in sorted({*range(0, epochs, math.ceil(STEPS / run.batches)), epochs}):
        weights, averages = ({METRIC: run.valid[kind][epoch]} for kind in ("weights", "averages"))
        if stopping.judge(epoch, None if stopping.averaged else weights, averages).stop:
            break
    kept = "averages" if stopping.best["averaged"] else "weights"
    return run.test[kept][int(stopping.best["epoch"])], epoch


def compared(runs: Sequence[Run]) -> Dict[str, Any]:
    """Compares recalls of early stopping with those after the best fixed number of epochs.

    Args:
      runs: results of `trained`, one for each seed.
    """
    recalls, epochs = zip(*map(stopped, runs))
    stopping, curve = np.array(recalls), np.array([run.test["weights"] for run in runs])
    best = int(curve.mean(0).argmax())
    difference = stopping - curve[:, best]
    return {
        "early stopping": stopping.mean(),
        "spread of early stopping": stopping.std(ddof=1),
        "best number of epochs": best,
        "recall after so many": curve[:, best].mean(),
        "spread after so many": curve[:, best].std(ddof=1),
        "difference": difference.mean(),
        "standard error": difference.std(ddof=1) / np.sqrt(len(runs)),
        "epochs": list(epochs),
        "epochs, times the best": np.mean(epochs) / max(1, best),
    }


def compare(args: argparse.Namespace) -> Dict[str, Dict[str, Any]]:
    """Trains all, and returns the comparison and the recalls of each data set."""
    check_names(args.data)
    torch.set_num_threads(args.threads)
    seeds = range(args.seed, args.seed + args.seeds)
    results = {}
    for path in args.data:
        data = read_data(path)
        runs = [trained(data, seed, args) for seed in seeds]
        found = compared(runs)
        print(data.name, json.dumps(found, indent=2), flush=True)
        results[data.name] = {**found, "runs": [run._asdict() for run in runs]}
    return results


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = comparison_parser(__doc__)
    add = parser.add_argument
    add("--num-sampled", type=whole(2), default=256, help="negatives of a batch [%(default)s]")
    add("--seeds", type=whole(2), default=5, help="number of seeds [%(default)s]")
    add(
        "--epochs",
        type=whole(1),
        default=60,
        help="of each training; more than early stopping takes [%(default)s]",
    )
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    try:
        made(args.output)
        results = compare(args)
    except PopSamplerError as error:
        sys.exit(f"compare_stopping.py: {error}")
    (args.output / "stopping.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
