"""The rank of a positive, by which every metric tells a hit from a miss.

An item's rank is the number of other items whose score is greater, equal or NaN. So ties count
against the positive, and a positive whose own score is NaN has the worst rank: all other items.
"""

import torch

from merlin_popsampler.core.scores import TIED

_ROWS = 64
"""Rows whose own scores are the diagonal of one product of matrices."""


def own_scores(query: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """The score of each row's own item, in the arithmetic of the other items' scores.

    A product of matrices may round its inputs (TensorFloat-32 on a GPU), which a sum of products
    does not. Equal vectors would then have different scores.

    Args:
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, of each row's own item.

    Returns:
      float32 `[rows]`.
    """
    parts = zip(query.split(_ROWS), vectors.split(_ROWS))
    return torch.cat([(some @ own.T).diagonal() for some, own in parts])


def tie_threshold(scores: torch.Tensor, query: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """The score below which an item is worse than a row's own item, and does not tie.

    Args:
      scores: float32 `[rows]`, of `own_scores`.
      query: float32 `[rows, dim]`.
      vectors: float32 `[rows, dim]`, of each row's own item.

    Returns:
      float32 `[rows]`; NaN where the own score is.
    """
    size = query.norm(dim=1) * vectors.norm(dim=1)
    return scores - TIED * query.shape[1] ** 0.5 * size


def count_ahead(
    scores: torch.Tensor, threshold: torch.Tensor, ranked: torch.Tensor
) -> torch.Tensor:
    """The number of items that count against each row's own item: int64 `[rows]`.

    Args:
      scores: float32 `[rows, items]`.
      threshold: float32 `[rows]`, of `tie_threshold`.
      ranked: bool `[rows, items]`: false for the own item, and for what is left out.
    """
    ahead = ranked & ~(scores < threshold[:, None])  # NaN is not below anything
    return ahead.sum(1)
