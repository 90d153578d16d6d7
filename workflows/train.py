"""Trains three Merlin models with sampled negatives, and compares them with two baselines.

- `retrieval`: the query is the mean of the item vectors of the remaining items of a session.
- `session`: the query is the state of a recurrent network that reads the items of a session in
  order. Input and output share one item table.
- `two-tower`: the query is that of `retrieval`. The vector of an item is its row of the table plus
  vectors of its features. It needs the item table of preprocess.py.

All models train through Merlin's Loader on the output of preprocess.py. The negatives configure
themselves from the schema. Every item of a session serves as a positive, except the first one in
`session`, which has no item before it. The training sessions that ended last are held out for early
stopping. Each model trains until the recall of their last items stops improving, and the best one
is kept. The printed table is about other sessions, `valid/`.

Writes `results.json` (with the recall of each model over epochs), `training_curve.png` and the
trained models under `--output`.
"""

import argparse
import gc
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")
# Hides warnings of Merlin's old imports, an unused bias, and functions that are not saved.
logging.disable(logging.WARNING)

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import merlin.models.tf as mm
import numpy as np
import tensorflow as tf
from baselines import baseline_results, blended_results
from early_stopping import UntilNoBetter, adam
from evaluate import Scorer, as_table, bands_of, evaluate, leave_last_out, report
from flags import made, training_parser
from merlin.io import Dataset
from models import MODELS, build_model, model_scorer
from refits import checkpoint, read_id_maps, said
from sessions import Examples
from splits import ENDED, ITEM, HeldOut, check_whole, read_held_out, read_sessions
from stopping import METRIC
from whole_files import write_json, written_whole

from merlin_popsampler import (
    PopSamplerError,
    PopularityBasedSampler,
    PopularityMetadata,
    read_popularity,
)
from merlin_popsampler.tf import warm_start
from merlin_popsampler.tf.merlin_models import ItemFeatures

DISTRIBUTIONS = ("auto", "empirical", "log_uniform", "uniform")


def fit(
    name: str,
    data: Dataset,
    held_out: HeldOut,
    popularity: PopularityMetadata,
    args: argparse.Namespace,
) -> Tuple[Any, Scorer, Any]:
    """Trains a model of `MODELS`, and returns it, its scorer and its callback.

    Args:
      name: name of the model.
      data: the training sessions.
      held_out: the sessions of `data` that do not train.
      popularity: popularity of the items.
      args: the flags.
    """
    tf.keras.utils.set_random_seed(args.seed)
    domain = popularity.domain
    negatives: Any = "in-batch"
    if args.negatives == "sampled":
        negatives = PopularityBasedSampler.from_schema(
            data.schema,
            distribution=args.distribution,
            max_num_samples=min(args.num_sampled, domain.size),
        )
    item_schema = features = None
    if name == "two-tower":
        features = ItemFeatures.from_dataset(args.data / "items", domain=domain)
        item_schema = Dataset(str(args.data / "items" / "*.parquet"), engine="parquet").schema
    model = build_model(name, data.schema, negatives, popularity, args.dim, item_schema, features)
    model.compile(optimizer=adam(args.learning_rate))

    def scorer() -> Scorer:
        return model_scorer(model, features, domain)

    first = 1 if name == "session" else 0
    examples = Examples(held_out.until, domain.min_id, first, features)
    sessions = held_out.sessions_of(args.batch_size)
    loader = mm.Loader(data, batch_size=sessions, shuffle=True).map(examples)

    def measure() -> Dict[str, float]:
        return evaluate(scorer(), held_out.queries, held_out.positives, domain, name=name)

    fitting = UntilNoBetter(measure, 60 * args.minutes, name)
    if args.warm_start:
        _warm_start(name, model, loader, item_schema, args)
    model.fit(loader, epochs=args.epochs, verbose=0, callbacks=[fitting])
    return model, scorer(), fitting


def _warm_start(name: str, model: Any, loader: Any, item_schema: Any, args: Any) -> None:
    """Warm starts a model from the earlier one of that name."""
    path = checkpoint(args.warm_start, name, args.output)
    old = mm.Model.load(str(path))
    # Reads the optimizer state: Keras loads a legacy optimizer without it.
    old.load_weights(str(path / "variables" / "variables"))
    columns = [column for column in item_schema or () if column.name != ITEM]
    encoded = [column.name for column in columns if column.properties.get("cat_path")]
    maps = read_id_maps(args.data, encoded)
    model(next(iter(loader))[0])  # creates its weights
    report = warm_start(
        model,
        old,
        maps,
        optimizer=model.optimizer,
        old_optimizer=old.optimizer,
        new_items="as initialized",
    )
    print(said(report))


def read_training(folder: Path) -> Dataset:
    """Reads the training sessions from a folder of preprocess.py."""
    data = Dataset(str(folder / "train" / "*.parquet"), engine="parquet")
    data.schema = data.schema.select_by_name([ITEM, ENDED])
    return data


def possible(folder: Path) -> List[str]:
    """Lists the models that a folder has data for; "two-tower" needs an item table."""
    return [name for name in MODELS if name != "two-tower" or (folder / "items").exists()]


def train(args: argparse.Namespace) -> Dict[str, Dict[str, Any]]:
    """Trains and evaluates the models, and returns the content of `results.json`."""
    check_whole(args.data)
    queries, positives = leave_last_out(read_sessions(args.data / "valid"))
    data = read_training(args.data)
    popularity = read_popularity(data)
    domain = popularity.domain
    unknown = float(np.mean(positives < domain.min_id))
    print(
        f"{domain.size:,} items, ids {domain.min_id} to {domain.max_id}; "
        f"{len(positives):,} later sessions, {unknown:.1%} of their positives out of vocabulary"
    )
    sessions = read_sessions(args.data / "train")
    bands = bands_of(sessions, domain)
    results = baseline_results(queries, positives, domain, sessions, bands)
    held_out = read_held_out(args.data / "train")
    scorers: Dict[str, Scorer] = {}
    for name in args.models or possible(args.data):
        began = time.perf_counter()
        model, scorer, fitting = fit(name, data, held_out, popularity, args)
        scorers[name] = scorer
        results[name] = {
            **report(scorer, queries, positives, domain, bands, name=name),
            "seconds": round(time.perf_counter() - began, 1),
            **fitting.stopping.report(),
        }
        with written_whole(args.output / name) as partial:
            model.save(str(partial))
    asked = (queries, positives, domain, bands)
    return {**results, **blended_results(results, scorers, args.data / "train", asked)}


def drawn(results: Dict[str, Dict[str, Any]]) -> Any:
    """Draws recall of the held-out sessions over epochs, with the best epoch of each model."""
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    figure = Figure(figsize=(6.4, 4.2))
    axis = figure.subplots()
    trained = [item for item in results.items() if "curve" in item[1]]
    for (name, row), colour in zip(trained, ("#d95f02", "#1b9e77", "#7570b3")):
        epochs, recalls = zip(*((found["epoch"], found[METRIC]) for found in row["curve"]))
        axis.plot(epochs, recalls, ".-", color=colour, label=name)
        best = row["best_epoch"]
        axis.plot(best, recalls[epochs.index(best)], "o", color=colour, ms=9, mfc="none")
    axis.set(xlabel="epoch (0: popularity alone)", ylabel=f"{METRIC} of the held-out sessions")
    axis.set_title("training until recall stops improving")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = training_parser(__doc__)
    add = parser.add_argument
    add("--models", nargs="+", choices=MODELS, help="models to train (all)")
    add(
        "--negatives",
        choices=("sampled", "in-batch"),
        default="sampled",
        help="their source [%(default)s]",
    )
    add(
        "--distribution",
        choices=DISTRIBUTIONS,
        default="auto",
        help="of sampled negatives; auto is the measured one [%(default)s]",
    )
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    try:
        made(args.output)
        results = train(args)
    except PopSamplerError as error:
        sys.exit(f"train.py: {error}")
    with written_whole(args.output / "training_curve.png") as partial:
        drawn(results).savefig(partial, dpi=130)
    write_json(args.output / "results.json", results)
    print(as_table(results))


if __name__ == "__main__":
    gc.freeze()  # so that the garbage collector need not search all that the imports created
    main()
