"""Looks expected counts up in PyTorch, from the tables of `core.expected_counts`."""

import numpy as np
import torch
from torch.nn import functional

from merlin_popsampler.core.expected_counts import CELL_SHIFT, FIRST_CELL, ExpectedCounts

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
        """Returns expected counts, with a relative error of at most 6e-6.

        Args:
          ranks: int64 of any shape.

        Returns:
          float32 of the shape of `ranks`.
        """
        safe = ranks.clamp(0, self.table.size - 1)
        if self.table.starts is not None:
            expected_counts = self._by_segment(safe)
        else:
            expected_counts = self._by_cell(safe)
        return expected_counts.masked_fill(safe != ranks, self.outside)

    def _by_segment(self, ranks: torch.Tensor) -> torch.Tensor:
        rows = self._rows[:, 0]
        return rows[0].expand(ranks.shape) if len(rows) == 1 else rows[self.edges(ranks)]

    def _by_cell(self, ranks: torch.Tensor) -> torch.Tensor:
        x = ranks.to(torch.float64) + 1.0
        b, a = functional.embedding(_cell(x), self._rows).unbind(-1)
        return torch.addcdiv(b, a, x.to(torch.float32))


def _cell(x: torch.Tensor) -> torch.Tensor:
    """Returns the cells of float64 numbers from 1.0 on, see `ExpectedCounts`."""
    if torch.jit.is_tracing():  # torch.jit.trace cannot record a view of another dtype
        mantissa, exponent = torch.frexp(x)  # the mantissa is in [0.5, 1)
        bits = 52 - CELL_SHIFT
        return ((exponent + 2.0 * mantissa - 2.0) * 2.0**bits).to(torch.int64)
    return (x.view(torch.int64) >> CELL_SHIFT) - FIRST_CELL
