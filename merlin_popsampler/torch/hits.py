"""Computes the rank of a positive, from which every metric determines hits.

The rank of an item is the number of other items whose score is greater, equal or NaN. So ties count
against the positive. A positive whose own score is NaN has the worst rank: all other items.
"""

import torch

from merlin_popsampler.core.scores import TIED

_ROWS = 64
"""Number of rows whose own scores are the diagonal of one matrix product."""


def own_scores(query: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Computes the score of each row's own item, with the rounding of a matrix product.

    A matrix product may round its inputs (TensorFloat-32 on a GPU), whereas a sum of products does
    not. Equal vectors would then have different scores.

    Args:
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, the vector of each row's own item.

    Returns:
      float32 `[rows]`.
    """
    parts = zip(query.split(_ROWS), vectors.split(_ROWS))
    return torch.cat([(some @ own.T).diagonal() for some, own in parts])


def tie_threshold(scores: torch.Tensor, query: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Computes the score below which an item ranks behind a row's own item, without a tie.

    Args:
      scores: float32 `[rows]`, the result of `own_scores`.
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, the vector of each row's own item.

    Returns:
      float32 `[rows]`; NaN if the own score is NaN.
    """
    size = query.norm(dim=1) * vectors.norm(dim=1)
    return scores - TIED * query.shape[1] ** 0.5 * size


def count_ahead(
    scores: torch.Tensor, threshold: torch.Tensor, ranked: torch.Tensor
) -> torch.Tensor:
    """Counts the items that rank ahead of each row's own item, or tie with it.

    Args:
      scores: float32 `[rows, items]`.
      threshold: float32 `[rows]`, the result of `tie_threshold`.
      ranked: bool `[rows, items]`; false for the own item and for items that are left out.

    Returns:
      int64 `[rows]`.
    """
    ahead = ranked & ~(scores < threshold[:, None])  # a comparison with NaN is false
    return ahead.sum(1)
