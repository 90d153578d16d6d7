"""Names the ways of training that compare_negatives.py compares: negatives and their correction."""

from typing import Any, Callable, Dict, List, NamedTuple

import torch
from baselines import nearest_items
from comparison_data import ComparisonData
from torch.nn import functional

from merlin_popsampler.torch import AllItems, InBatch, PopularityBasedSampler, SampledSoftmaxLoss

HARD = 20
"""Number of hard negatives of a positive."""
CALIBRATION = 0.75
"""`t` of gBCE (Petrov, Macdonald 2023)."""


class Rows(NamedTuple):
    """Holds the rows of one training step.

    Attributes:
      queries: float32 `[rows, dim]`.
      positives: int64 `[rows]`.
      owners: int64 `[rows]`, the sequence of each row.
      sequences: int64 `[sequences, longest]`, the items of each sequence, filled with 0.
      table: the item table of the model.
    """

    queries: torch.Tensor
    positives: torch.Tensor
    owners: torch.Tensor
    sequences: torch.Tensor
    table: torch.nn.Embedding


Loss = Callable[[Rows], torch.Tensor]
Builder = Callable[[ComparisonData, int, int], Loss]
"""Makes a loss for data, a number of samples and a seed."""

CORRECTED, UNCORRECTED = 1.0, 0.0


def sampler(
    data: ComparisonData, kind: str, samples: int, seed: int, unique: bool = True
) -> PopularityBasedSampler:
    """Returns a sampler of "measured", "uniform" or "log_uniform" negatives."""
    domain = data.popularity.domain
    return PopularityBasedSampler(
        domain.max_id,
        domain.min_id,
        max_num_samples=min(samples, domain.size),
        seed=seed,
        unique=unique,
        distribution=data.popularity.distribution() if kind == "measured" else kind,
    )


def full(data: ComparisonData, *_: int) -> Loss:
    domain = data.popularity.domain
    return _softmax(AllItems(domain.max_id, domain.min_id))


def sampled(kind: str, strength: float) -> Builder:
    def build(data: ComparisonData, samples: int, seed: int) -> Loss:
        return _softmax(sampler(data, kind, samples, seed), strength)

    return build


def in_batch(strength: float, *with_samples: str) -> Builder:
    """Builds in-batch negatives, mixed with samples of these distributions."""

    def build(data: ComparisonData, samples: int, seed: int) -> Loss:
        domain = data.popularity.domain
        others = InBatch(domain.max_id, domain.min_id, distribution=data.popularity.distribution())
        more = [sampler(data, kind, samples, seed) for kind in with_samples]
        return _softmax([others, *more], strength)

    return build


def hard(data: ComparisonData, samples: int, seed: int) -> Loss:
    """Mixes measured samples with the nearest items of each positive that are new to its user."""
    loss = SampledSoftmaxLoss(sampler(data, "measured", samples, seed))
    near = torch.from_numpy(nearest_items(data.train, data.popularity.domain, HARD))

    def step(rows: Rows) -> torch.Tensor:
        ids, own = near[rows.positives], rows.sequences[rows.owners]
        ids = ids.masked_fill((ids[:, :, None] == own[:, None]).any(2), 0)
        found: torch.Tensor = loss(rows.queries, rows.positives, rows.table, hard_negative_ids=ids)
        return found

    return step


def gbce(data: ComparisonData, samples: int, seed: int) -> Loss:
    """Builds gBCE: binary cross-entropy of uniform samples, with a calibrated positive."""
    uniform, size = sampler(data, "uniform", samples, seed), data.popularity.domain.size
    samples = min(samples, size)  # as the sampler draws
    share = samples / max(size - 1, 1)
    power = share * (CALIBRATION * (1 - 1 / share) + 1 / share)

    def step(rows: Rows) -> torch.Tensor:
        ids = uniform.sample_ids()
        negative = functional.softplus(rows.queries @ rows.table(ids).T)
        negative = negative.masked_fill(ids == rows.positives[:, None], 0.0).sum(1)
        positive = (rows.queries * rows.table(rows.positives)).sum(1)
        return (power * functional.softplus(-positive) + negative).mean() / (samples + 1)

    return step


def counted_by_tries(tries_per_sample: int) -> Builder:
    """Builds log-uniform samples whose expected counts are `1 - (1 - p)^tries`.

    Merlin Models 23.12 takes as many tries as samples (`CandidateSampler`), Transformers4Rec
    23.12 twice as many. The count of the positive is exact, as the loss computes it itself.
    """

    def build(data: ComparisonData, samples: int, seed: int) -> Loss:
        drawn = sampler(data, "log_uniform", samples, seed)
        loss = SampledSoftmaxLoss(drawn)

        def step(rows: Rows) -> torch.Tensor:
            ids = drawn.sample_ids()
            tries = tries_per_sample * len(ids)
            counts = -torch.expm1(tries * torch.log1p(-drawn.probability(ids)))
            found: torch.Tensor = loss(
                rows.queries, rows.positives, rows.table, sampled_values=(ids, counts)
            )
            return found

        return step

    return build


def _softmax(negatives: Any, strength: float = CORRECTED) -> Loss:
    loss = SampledSoftmaxLoss(negatives, logq_strength=strength)

    def step(rows: Rows) -> torch.Tensor:
        found: torch.Tensor = loss(rows.queries, rows.positives, rows.table)
        return found

    return step


FULL = "full softmax"
TRAINED: Dict[str, Builder] = {
    FULL: full,
    "uniform, corrected": sampled("uniform", CORRECTED),
    "uniform, uncorrected": sampled("uniform", UNCORRECTED),
    "log-uniform, corrected": sampled("log_uniform", CORRECTED),
    "log-uniform, uncorrected": sampled("log_uniform", UNCORRECTED),
    "measured, corrected": sampled("measured", CORRECTED),
    "measured, uncorrected": sampled("measured", UNCORRECTED),
    "measured, strength .5": sampled("measured", 0.5),
    "in-batch, corrected": in_batch(CORRECTED),
    "in-batch, uncorrected": in_batch(UNCORRECTED),
    "in-batch and uniform, corrected": in_batch(CORRECTED, "uniform"),
    "in-batch and uniform, uncorrected": in_batch(UNCORRECTED, "uniform"),
    "measured and hard, corrected": hard,
    "gBCE": gbce,
    "counts of Merlin V2": counted_by_tries(1),
    "counts of Transformers4Rec": counted_by_tries(2),
}
"""Rows that train a model, by name."""

WITHOUT_SAMPLES = (FULL, "in-batch, corrected", "in-batch, uncorrected")
"""Rows that the number of samples does not change."""

SMALL: List[str] = [
    FULL,
    "uniform, corrected",
    "measured, corrected",
    "measured, uncorrected",
    "in-batch, corrected",
    "in-batch, uncorrected",
]
"""Rows of the table that is run by default; popularity and item kNN need no training."""
