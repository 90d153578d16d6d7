"""Trains one model of compare_negatives.py with one kind of negatives."""

import argparse
import time
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch
from comparison_data import ComparisonData
from early_stopping_torch import Losses, train_until_no_better
from evaluate import Array, evaluate
from models_torch import Retrieval, model_scorer, places, popular_items
from negative_rows import TRAINED, Rows
from sasrec import SASRec

from merlin_popsampler.torch import AllItems, SampledSoftmaxLoss

CHUNK = 16
"""Sequences of this many batches are sorted by length, so that a batch has similar lengths."""


def new_model(data: ComparisonData, options: argparse.Namespace) -> Any:
    """Builds the model of a data set: a SASRec for users, the retrieval model for sessions."""
    if data.ordered:
        return SASRec(data.popularity.domain.cardinality, options.dim)
    return Retrieval(popular_items(data.popularity, options.dim))


def batches(sequences: List[Array], size: int, rng: np.random.Generator) -> Iterator[List[Array]]:
    """Yields each sequence once, in batches of `size` sequences of similar length."""
    order = rng.permutation(len(sequences))
    found: List[Array] = []
    for start in range(0, len(order), CHUNK * size):
        chunk = order[start : start + CHUNK * size]
        chunk = chunk[np.argsort([len(sequences[row]) for row in chunk], kind="stable")]
        found.extend(np.array_split(chunk, max(1, round(len(chunk) / size))))
    for place in rng.permutation(len(found)):
        yield [sequences[row] for row in found[place]]


def start(
    data: ComparisonData, row: str, samples: int, seed: int, options: argparse.Namespace
) -> Tuple[Any, Callable[[], Losses]]:
    """Builds a model with the weights of a seed, and a function that starts an epoch of losses."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = new_model(data, options)
    loss = TRAINED[row](data, samples, seed)
    size = max(1, round(options.batch_size / np.mean([len(ids) for ids in data.train])))

    def losses() -> Losses:
        for sequences in batches(data.train, size, rng):
            yield loss(rows_of(model, sequences))

    return model, losses


def train(
    data: ComparisonData, row: str, samples: int, seed: int, options: argparse.Namespace
) -> Tuple[Any, Dict[str, Any]]:
    """Trains until the held-out recall no longer rises.

    Returns:
      The best model, and what is reported of the training. Seconds are those of the processor,
      without the measurements.
    """
    model, losses = start(data, row, samples, seed, options)
    seconds = []

    def timed() -> Losses:
        began = time.process_time()
        yield from losses()
        seconds.append(time.process_time() - began)

    def measure(measured: Any) -> Dict[str, float]:
        return evaluate(model_scorer(measured), *data.valid, data.popularity.domain, name=row)

    stopping = train_until_no_better(
        model,
        torch.optim.Adam(model.parameters(), options.learning_rate, fused=True),
        timed,
        measure,
        epochs=options.epochs,
        minutes=options.minutes,
        name=row,
    )
    return model, {**stopping.report(), "seconds_an_epoch": float(np.mean(seconds or [np.nan]))}


def rows_of(model: Any, sequences: List[Array]) -> Rows:
    """Computes the rows of one training step."""
    lengths = torch.tensor([len(ids) for ids in sequences])
    ids = torch.from_numpy(np.concatenate(sequences))
    owner, place = places(lengths)
    padded = ids.new_zeros(len(sequences), int(lengths.max()))
    padded[owner, place] = ids
    return Rows(
        model(ids, lengths),
        model.positives(ids, lengths),
        model.positives(owner, lengths),
        padded,
        model.items,
    )


def cross_entropy(model: Any, data: ComparisonData) -> float:
    """Returns the mean cross-entropy of the full softmax over the test positives, in nats."""
    domain = data.popularity.domain
    loss = SampledSoftmaxLoss(AllItems(domain.max_id, domain.min_id), reduction="none")
    loss.eval()
    model.eval()
    total, rows = 0.0, 0
    queries, positives = data.test
    for start in range(0, len(queries), 1024):
        asked, true = (
            queries[start : start + 1024],
            torch.from_numpy(positives[start : start + 1024]),
        )
        with torch.inference_mode():
            lengths = torch.tensor([len(ids) for ids in asked])
            vectors = model(torch.from_numpy(np.concatenate(asked)), lengths)
            total += float(loss(vectors, true, model.items).sum())
        rows += int(domain.contains(true).sum())
    return total / max(1, rows)
