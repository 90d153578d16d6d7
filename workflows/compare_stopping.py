"""Compares early stopping with the best fixed number of epochs.

It trains a model with early stopping. It also trains it for `--epochs` epochs at the initial
learning rate, and measures the test queries after each. Both start from the same weights for a
seed, and see the batches in the same order. The model and the data are those of
compare_negatives.py, with negatives of the measured distribution.

The best number of epochs is the one whose mean recall over the seeds is highest on the test
queries themselves. So its recall is biased upwards.

Prints the mean recall@20 of both, their difference with the standard error of the pairs, and the
epochs that they take. Writes `stopping.json` under `--output`.
"""

import argparse
import json
import sys
import warnings
from typing import Any, Dict, List, Optional, Sequence

warnings.filterwarnings("ignore")

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import numpy as np
import torch
from comparison_data import ComparisonData, read_data
from comparison_training import start, train
from early_stopping_torch import train_epoch
from evaluate import evaluate
from flags import comparison_parser, made, whole
from models_torch import model_scorer

from merlin_popsampler import PopSamplerError

ROW = "measured, corrected"
METRIC = "recall@20"


def stopped(data: ComparisonData, seed: int, args: argparse.Namespace) -> Dict[str, float]:
    """Trains with early stopping, and returns the recall of the test and the epochs it took."""
    model, report = train(data, ROW, args.num_sampled, seed, args)
    return {"recall": recall(model, data), "epochs": report["epochs"]}


def fixed(data: ComparisonData, seed: int, args: argparse.Namespace) -> List[float]:
    """Trains without early stopping, and returns the recall of the test after each epoch."""
    model, losses = start(data, ROW, args.num_sampled, seed, args)
    optimizer = torch.optim.Adam(model.parameters(), args.learning_rate, fused=True)
    found = []
    for _ in range(args.epochs):
        train_epoch(optimizer, losses())
        found.append(recall(model, data))
    return found


def recall(model: Any, data: ComparisonData) -> float:
    """Returns the recall of the test queries."""
    return evaluate(model_scorer(model), *data.test, data.popularity.domain, name=ROW)[METRIC]


def compared(
    found: Sequence[Dict[str, float]], curves: Sequence[Sequence[float]]
) -> Dict[str, Any]:
    """Compares recalls of early stopping with those after the best fixed number of epochs.

    Args:
      found: results of `stopped`, one for each seed.
      curves: results of `fixed` of the same seeds.
    """
    stopping, curve = np.array([each["recall"] for each in found]), np.array(curves)
    best = int(curve.mean(0).argmax())
    difference = stopping - curve[:, best]
    root = np.sqrt(len(difference))
    return {
        "early stopping": stopping.mean(),
        "spread of early stopping": stopping.std(ddof=1),
        "best number of epochs": best + 1,
        "recall after so many": curve[:, best].mean(),
        "spread after so many": curve[:, best].std(ddof=1),
        "difference": difference.mean(),
        "standard error": difference.std(ddof=1) / root,
        "epochs, times the best": np.mean([each["epochs"] for each in found]) / (best + 1),
    }


def compare(args: argparse.Namespace) -> Dict[str, Dict[str, Any]]:
    """Trains all, and returns the comparison of each data set."""
    torch.set_num_threads(args.threads)
    seeds = range(args.seed, args.seed + args.seeds)
    results = {}
    for path in args.data:
        data = read_data(path)
        pairs = [(stopped(data, seed, args), fixed(data, seed, args)) for seed in seeds]
        results[data.name] = compared(*zip(*pairs))
        print(data.name, json.dumps(results[data.name], indent=2), flush=True)
    return results


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = comparison_parser(__doc__)
    add = parser.add_argument
    add("--num-sampled", type=whole(2), default=256, help="negatives of a batch [%(default)s]")
    add("--seeds", type=whole(2), default=5, help="number of seeds [%(default)s]")
    add(
        "--epochs",
        type=whole(1),
        default=30,
        help="of the runs without early stopping [%(default)s]",
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
