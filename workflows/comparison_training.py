"""Trains one model of compare_negatives.py with one kind of negatives."""

import argparse
import time
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from comparison_data import ComparisonData
from evaluate import Array, evaluate
from models_torch import Retrieval, model_scorer, places, popular_items
from negative_rows import TRAINED, Rows
from sasrec import SASRec
from stopping import Stopping
from tqdm import tqdm

from merlin_popsampler.torch import AllItems, SampledSoftmaxLoss

CHUNK = 16
"""Batches hold sequences of similar length: those of so many batches are sorted by it."""


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


def train(
    data: ComparisonData, row: str, samples: int, seed: int, options: argparse.Namespace
) -> Tuple[Any, Dict[str, Any]]:
    """Trains until the held-out recall no longer rises.

    Returns:
      The model with its best weights, and what is reported of the training.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = new_model(data, options)
    loss = TRAINED[row](data, samples, seed)
    optimizer = torch.optim.Adam(model.parameters(), options.learning_rate, fused=True)
    stopping, weights, seconds = Stopping(), {}, 0.0
    size = max(1, round(options.batch_size / np.mean([len(ids) for ids in data.train])))
    for epoch in range(options.epochs + 1):
        began = time.perf_counter()
        for sequences in tqdm(
            batches(data.train, size, rng) if epoch else (), desc=row, disable=None
        ):
            optimizer.zero_grad()
            loss(rows_of(model, sequences)).backward()
            optimizer.step()
        seconds += time.perf_counter() - began
        metrics = evaluate(model_scorer(model), *data.valid, data.popularity.domain, name=row)
        verdict = stopping.judge(epoch, metrics)
        if verdict.keep:
            weights = {name: each.clone() for name, each in model.state_dict().items()}
        if verdict.stop or seconds > 60 * options.minutes:
            break
    model.load_state_dict(weights)
    report = stopping.report()
    return model, {**report, "seconds_an_epoch": seconds / max(1, report["epochs"])}


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
    """Mean of the full softmax's cross-entropy over the positives of the test, in nats."""
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
