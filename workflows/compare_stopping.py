"""Compares the early stopping of train.py with a search over epochs and learning rates.

It trains a model with early stopping. It also trains it in plain loops of `--epochs` epochs with
each learning rate. All runs use the same sessions and several seeds. After each epoch, the search
measures the reported sessions.

The best of many measurements is biased on the sessions that chose it. So the search also chooses on
a random half of the sessions, and is measured on the other half. The mean over many halves is the
unbiased result of the search.

Prints recall@20 as multiples of that of popularity. Writes the hits of each run to `stopping.npz`
under `--output`.
"""

import argparse
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import numpy as np
import tensorflow as tf
import train
from baselines import popularity_scorer
from evaluate import Array, Scorer, gains_of, leave_last_out
from flags import local_path, made, positive, seed_number, whole
from models import MODELS
from splits import read_held_out, read_sessions

from merlin_popsampler import PopSamplerError, read_popularity

HALVES = 400


class Comparison:
    """Trains one model repeatedly on the sessions of a folder.

    Args:
      flags: `--data` and `--output` of train.py.
      model: a name in `MODELS`.
    """

    def __init__(self, flags: Sequence[str], model: str) -> None:
        self.flags, self.model = flags, model
        folder = train.parse_args(flags).data
        self.data = train.read_training(folder)
        self.popularity = read_popularity(self.data)
        self.held_out = read_held_out(folder / "train")
        self.reported = leave_last_out(read_sessions(folder / "valid"))
        self.baseline = self._hits(popularity_scorer(self.popularity.domain))

    def without_flags(self, seed: int) -> Array:
        """Trains with early stopping, and returns which sessions it hits, bool `[sessions]`."""
        _, scorer, _ = self._fit("--seed", seed)
        return self._hits(scorer)

    def by_hand(self, seed: int, rate: float, epochs: int) -> Array:
        """Trains a plain loop, and returns the hits after each epoch, bool `[epochs, sessions]`."""
        looks: List[Array] = []

        def watch(scorer: Callable[[], Scorer]) -> Any:
            return tf.keras.callbacks.LambdaCallback(
                on_epoch_end=lambda *_: looks.append(self._hits(scorer()))
            )

        flags = ("--seed", seed, "--learning-rate", rate, "--epochs", epochs)
        self._fit(*flags, watch=watch)
        return np.array(looks)

    def _fit(self, *flags: Any, watch: Any = None) -> Any:
        args = train.parse_args([*self.flags, *map(str, flags)])
        return train.fit(self.model, self.data, self.held_out, self.popularity, args, watch)

    def _hits(self, scorer: Scorer) -> Array:
        gains = gains_of(scorer, *self.reported, self.popularity.domain, name=self.model)
        hits: Array = gains > 0.0
        return hits


def worth(stopped: Array, searched: Array, rng: np.random.Generator) -> Dict[str, float]:
    """Computes the mean hits of early stopping and of the search.

    Args:
      stopped: share of the seeds that hit each session, `[sessions]`.
      searched: the same at each point of the search, `[points, sessions]`.
      rng: draws the halves.

    Returns:
      Mean hits of early stopping, and of the best point on all sessions. Mean hits of the points
      that are best on one half of the sessions, measured on the other half.
    """
    on_rest = []
    for _ in range(HALVES):
        order = rng.permutation(len(stopped))
        chosen_on, judged_on = np.array_split(order, 2)
        place = searched[:, chosen_on].mean(1).argmax()
        on_rest.append(searched[place, judged_on].mean())
    return {
        "without flags": float(stopped.mean()),
        "best look at all": float(searched.mean(1).max()),
        "chosen on a half, judged on the other": float(np.mean(on_rest)),
    }


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=local_path, required=True, help="folder that preprocess.py wrote")
    add("--output", type=local_path, required=True, help="folder for stopping.npz")
    add("--model", choices=MODELS, default="retrieval", help="[%(default)s]")
    add("--epochs", type=whole(1), default=20, help="epochs of each plain loop [%(default)s]")
    add(
        "--rates",
        type=positive,
        nargs="+",
        default=[0.003, 0.01],
        help="learning rates [%(default)s]",
    )
    add("--seeds", type=seed_number, nargs="+", default=[17, 18, 19], help="[%(default)s]")
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    flags = ["--data", str(args.data), "--output", str(args.output)]
    try:
        made(args.output)
        comparison = Comparison(flags, args.model)
    except PopSamplerError as error:
        sys.exit(f"compare_stopping.py: {error}")
    stopped = np.mean([comparison.without_flags(seed) for seed in args.seeds], 0)
    searched = np.concatenate(
        [
            np.mean([comparison.by_hand(seed, rate, args.epochs) for seed in args.seeds], 0)
            for rate in args.rates
        ]
    )
    np.savez(args.output / "stopping.npz", stopped=stopped, searched=searched)
    base = comparison.baseline.mean()
    print(f"{args.model}, {len(stopped):,} sessions, of which popularity hits {base:.2%}")
    for name, hits in worth(stopped, searched, np.random.default_rng(0)).items():
        print(f"{name:40s}{hits / base:6.2f}")


if __name__ == "__main__":
    main()
