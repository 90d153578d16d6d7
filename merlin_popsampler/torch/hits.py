"""Computes ranks, and so hits, as `core.scores` defines them."""

import torch

from merlin_popsampler.core.scores import OWN_ROWS, tie_tolerance


def own_scores(query: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Computes the score of each row's own item, with the rounding of a matrix product.

    Args:
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, the vector of each row's own item.

    Returns:
      float32 `[rows]`.
    """
    parts = zip(query.split(OWN_ROWS), vectors.split(OWN_ROWS))
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
    return scores - tie_tolerance(query.shape[1]) * size


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
