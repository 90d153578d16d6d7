"""Looks expected counts up in PyTorch, from the tables of `core.expected_counts`."""

import numpy as np
import torch
from torch.nn import functional

from merlin_popsampler.core.expected_counts import ExpectedCounts

from .constants import Constants
from .inverse_cdf import Edges


class ExpectedCountsOnDevice(Constants):
    """Looks up how often each rank is expected in a batch, by the formulas of `ExpectedCounts`.

    Args:
      table: the table of `core.expected_counts`.
      edges: the edges of the distribution's segments.
      outside: the result for ranks outside of `[0, size)`.
    """

    def __init__(self, table: ExpectedCounts, edges: Edges, outside: float = 1.0) -> None:
        super().__init__()
        self.table, self.edges, self.outside = table, edges, outside
        self.keep("_rows", table.rows.astype(np.float32))

    def forward(self, ranks: torch.Tensor) -> torch.Tensor:
        """Returns expected counts, with a relative error of at most 1e-5.

        Args:
          ranks: int64 of any shape.

        Returns:
          float32 of the shape of `ranks`.
        """
        safe = ranks.clamp(0, self.table.size - 1)
        if self.table.starts is not None:
            expected_counts = self._by_segment(safe)
        else:
            expected_counts = (
                self._by_rank(safe) if len(self.table.rows) else self._by_formula(safe)
            )
        return expected_counts.masked_fill(safe != ranks, self.outside)

    def _by_segment(self, ranks: torch.Tensor) -> torch.Tensor:
        rows = self._rows[:, 0]
        return rows.expand(ranks.shape) if len(rows) == 1 else rows[self.edges(ranks)]

    def _by_rank(self, ranks: torch.Tensor) -> torch.Tensor:
        shifted = ranks.to(torch.float32) + 1.0
        t = torch.log(shifted) * self.table.scale
        cell = t.floor()
        v0, v1, v2, v3 = functional.embedding(cell.to(torch.int64), self._rows).unbind(-1)
        f = t - cell
        cubic = torch.addcmul(v0, f, torch.addcmul(v1, f, torch.addcmul(v2, f, v3)))
        return (cubic / shifted).clamp(max=1.0)

    def _by_formula(self, ranks: torch.Tensor) -> torch.Tensor:
        """Computes `factor * log1p(1 / (rank + offset))`, with a relative error of 3e-7.

        In float32, a difference of logarithms would lose all digits.
        """
        return torch.log1p(1.0 / (ranks.to(torch.float32) + self.table.offset)) * self.table.factor
