"""Trains two models of train.py in PyTorch, on the same data, with the same early stopping.

They train through Merlin's torch Loader on the output of preprocess.py, with a sampler that
configures itself from the schema. Run it in the environment of PyTorch. Writes `results.json` and
the models with their optimizers under `--output`.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence, Tuple

warnings.filterwarnings("ignore")

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import numpy as np
import torch
from baselines import baseline_results, blended_results
from early_stopping_torch import Losses, train_until_no_better
from evaluate import Scorer, as_table, bands_of, evaluate, leave_last_out, report
from flags import made, training_parser
from merlin.dataloader.torch import Loader
from merlin.io import Dataset
from models_torch import MODELS, Model, model_scorer, places, popular_items
from refits import checkpoint, read_id_maps, said
from splits import ENDED, ITEM, HeldOut, check_whole, read_held_out, read_sessions
from stopping import Stopping
from whole_files import write_json, written_whole

from merlin_popsampler import PopSamplerError, PopularityMetadata, read_popularity
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, warm_start


class Trained(NamedTuple):
    """A model after training.

    Attributes:
      model: the best one of the training.
      optimizer: that trained it.
      stopping: the measurements.
    """

    model: Model
    optimizer: torch.optim.Optimizer
    stopping: Stopping

    def save(self, path: Path) -> None:
        """Writes the states of the model and of its optimizer."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        with written_whole(path) as partial:
            torch.save(state, partial)


def batches(loader: Loader, until: int, min_id: int) -> Iterator[Tuple[torch.Tensor, torch.Tensor]]:
    """Yields ids and lengths of whole sessions of at least two items that ended by `until`."""
    for features, _ in loader:
        ids, offsets = features[f"{ITEM}__values"], features[f"{ITEM}__offsets"].to(torch.int64)
        session, _ = places(offsets.diff())
        ended = features[ENDED].reshape(-1)
        fine = (ids.reshape(-1) >= min_id) & (ended <= until)[session]
        lengths = torch.bincount(session[fine], minlength=len(ended))
        fine &= (lengths > 1)[session]
        if fine.any():
            yield ids.reshape(-1)[fine].to(torch.int64), lengths[lengths > 1]


def fit(
    name: str,
    data: Dataset,
    held_out: HeldOut,
    popularity: PopularityMetadata,
    args: argparse.Namespace,
) -> Trained:
    """Trains a model of `MODELS`."""
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)  # noqa: NPY002 - the order in which the Loader reads
    domain = popularity.domain
    sampler = PopularityBasedSampler.from_schema(
        data.schema, max_num_samples=min(args.num_sampled, domain.size)
    )
    loss = SampledSoftmaxLoss(sampler)
    model: Model = MODELS[name](popular_items(popularity, args.dim))
    optimizer = torch.optim.Adam(model.parameters(), args.learning_rate, fused=True)
    if args.warm_start:
        old = torch.load(checkpoint(args.warm_start, f"{name}.pt", args.output))
        report = warm_start(
            model,
            old["model"],
            dict.fromkeys(model.TABLES, read_id_maps(args.data)[ITEM]),
            optimizer=optimizer,
            old_optimizer=old["optimizer"],
            new_items="as initialized",
        )
        print(said(report))
    sessions = held_out.sessions_of(args.batch_size)
    loader = Loader(data, batch_size=sessions, shuffle=True, device="cpu")

    def losses() -> Losses:
        for ids, lengths in batches(loader, held_out.until, domain.min_id):
            yield loss(model(ids, lengths), model.positives(ids, lengths), model.items)

    def measure(measured: Model) -> Dict[str, float]:
        asked = (held_out.queries, held_out.positives)
        return evaluate(model_scorer(measured), *asked, domain, name=name)

    stopping = train_until_no_better(
        model,
        optimizer,
        losses,
        measure,
        epochs=args.epochs,
        minutes=args.minutes,
        name=name,
    )
    return Trained(model, optimizer, stopping)


def read_training(folder: Path) -> Dataset:
    """Reads the training sessions from a folder of preprocess.py."""
    data = Dataset(str(folder / "train" / "*.parquet"), engine="parquet", cpu=True)
    data.schema = data.schema.select_by_name([ITEM, ENDED])
    return data


def train(args: argparse.Namespace) -> Dict[str, Dict[str, Any]]:
    """Trains and evaluates the models, and returns the content of `results.json`."""
    check_whole(args.data)
    queries, positives = leave_last_out(read_sessions(args.data / "valid"))
    data = read_training(args.data)
    popularity = read_popularity(data)
    domain = popularity.domain
    sessions = read_sessions(args.data / "train")
    bands = bands_of(sessions, domain)
    results = baseline_results(queries, positives, domain, sessions, bands)
    held_out = read_held_out(args.data / "train")
    scorers: Dict[str, Scorer] = {}
    for name in args.models:
        began = time.perf_counter()
        trained = fit(name, data, held_out, popularity, args)
        scorers[name] = scorer = model_scorer(trained.model)
        results[name] = {
            **report(scorer, queries, positives, domain, bands, name=name),
            "seconds": round(time.perf_counter() - began, 1),
            **trained.stopping.report(),
        }
        trained.save(args.output / f"{name}.pt")
    asked = (queries, positives, domain, bands)
    return {**results, **blended_results(results, scorers, args.data / "train", asked)}


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = training_parser(__doc__)
    choices = list(MODELS)
    parser.add_argument(
        "--models", nargs="+", choices=choices, default=choices, help="models to train (all)"
    )
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    try:
        made(args.output)
        results = train(args)
    except PopSamplerError as error:
        sys.exit(f"train_torch.py: {error}")
    write_json(args.output / "results.json", results)
    print(as_table(results))


if __name__ == "__main__":
    main()
